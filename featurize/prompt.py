"""The symmetry prompt: a standardised, versioned vector that depends on the space-group number alone.

It is read from a shipped table (``data/prompt_v1.json``), which `shc.featurize.prompt_table` builds from
spglib's database of operations. The layout is documented in ``docs/prompt.md``.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

PROMPT_VERSION: Final = 1
"""Raised whenever the meaning, order or value of an entry changes."""

CRYSTAL_SYSTEMS: Final = (
    "triclinic",
    "monoclinic",
    "orthorhombic",
    "tetragonal",
    "trigonal",
    "hexagonal",
    "cubic",
)
LAUE_CLASSES: Final = ("-1", "2/m", "mmm", "4/m", "4/mmm", "-3", "-3m", "6/m", "6/mmm", "m-3", "m-3m")
POINT_GROUP_LAUE_CLASS: Final = {
    **dict.fromkeys(("1", "-1"), "-1"),
    **dict.fromkeys(("2", "m", "2/m"), "2/m"),
    **dict.fromkeys(("222", "mm2", "mmm"), "mmm"),
    **dict.fromkeys(("4", "-4", "4/m"), "4/m"),
    **dict.fromkeys(("422", "4mm", "-42m", "4/mmm"), "4/mmm"),
    **dict.fromkeys(("3", "-3"), "-3"),
    **dict.fromkeys(("32", "3m", "-3m"), "-3m"),
    **dict.fromkeys(("6", "-6", "6/m"), "6/m"),
    **dict.fromkeys(("622", "6mm", "-6m2", "6/mmm"), "6/mmm"),
    **dict.fromkeys(("23", "m-3"), "m-3"),
    **dict.fromkeys(("432", "-43m", "m-3m"), "m-3m"),
}
"""Laue class of each of the 32 point groups; its keys are the order of the one-hot field."""
CENTRINGS: Final = ("P", "A", "C", "I", "F", "R")
OPERATION_KINDS: Final = ("1", "-1", "m", "2", "3", "4", "6", "-3", "-4", "-6")
MOST_OPERATIONS: Final = (1, 1, 9, 9, 8, 6, 2, 8, 6, 2)
"""Largest count of each kind over the 32 point groups: scales the counts to [0, 1]."""
SCREW_ORDERS: Final = ("2", "3", "4", "6")
TYPE_SIZES: Final = (6, 6, 6, 6, 3)
"""Components of type I, II, III, IV and longitudinal, see `shc.featurize.tensor_symmetry`."""

_FIELD_SIZES: Final = (
    ("space_group_number", 1),
    ("crystal_system", len(CRYSTAL_SYSTEMS)),
    ("point_group", len(POINT_GROUP_LAUE_CLASS)),
    ("laue_class", len(LAUE_CLASSES)),
    ("centring", len(CENTRINGS)),
    ("point_group_order", 1),
    ("operation_counts", len(OPERATION_KINDS)),
    ("screw_fraction", len(SCREW_ORDERS)),
    ("glide_fraction", 1),
    ("symmorphic", 1),
    ("polar", 1),
    ("sohncke", 1),
    ("enantiomorphic", 1),
    ("centrosymmetric", 1),
    ("tensor_dimension", 1),
    ("tensor_types", len(TYPE_SIZES)),
    ("tensor_allowed", 27),
    ("tensor_diagonal", 27),
)


def _fields() -> tuple[tuple[str, slice], ...]:
    """Turn sizes into slices."""
    ends = np.cumsum([size for _, size in _FIELD_SIZES]).tolist()
    return tuple((name, slice(end - size, end)) for (name, size), end in zip(_FIELD_SIZES, ends, strict=True))


PROMPT_FIELDS: Final = _fields()
"""Name and place of every field of the vector."""
PROMPT_SIZE: Final = PROMPT_FIELDS[-1][1].stop
"""P, the length of the vector."""


@dataclass(frozen=True, slots=True)
class SpaceGroupFacts:
    """What a space group implies, whatever the crystal."""

    number: int
    """1 to 230."""
    symbol: str
    """Short Hermann-Mauguin symbol."""
    crystal_system: str
    """One of `CRYSTAL_SYSTEMS`."""
    point_group: str
    """Hermann-Mauguin."""
    laue_class: str
    """One of `LAUE_CLASSES`."""
    centring: str
    """One of `CENTRINGS`."""
    operations: tuple[int, ...]
    """Operations of the point group of each of `OPERATION_KINDS`."""
    screws: tuple[int, ...]
    """Proper rotations of order 2, 3, 4, 6 that exist as screw rotations only."""
    glides: int
    """Mirrors that exist as glide reflections only."""
    symmorphic: bool
    """Whether some point carries the full point group."""
    polar: bool
    """Whether a polar vector is left invariant."""
    sohncke: bool
    """Whether all operations are proper: the crystal is chiral if its structure is."""
    enantiomorphic: bool
    """Whether the mirror image has another space-group number (22 of the 65 Sohncke groups)."""
    centrosymmetric: bool
    """Whether there is an inversion."""
    tensor_form: str
    """Name of the form of the SHC tensor: the Laue class, with -3m split by setting into -3m1 and -31m."""
    tensor_dimension: int
    """Independent components of the SHC tensor."""
    tensor_types: tuple[int, ...]
    """Independent components among those of type I, II, III, IV, longitudinal."""
    tensor_diagonal: tuple[float, ...]
    """Diagonal of the projector on the allowed tensors, 27 components ``[i, j, k]`` in C order."""


@lru_cache(maxsize=1)
def _table() -> dict[str, Any]:
    """Read the shipped table once."""
    path = files("shc.featurize") / "data" / f"prompt_v{PROMPT_VERSION}.json"
    table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return table


@lru_cache(maxsize=230)
def space_group_facts(space_group_number: int) -> SpaceGroupFacts:
    """Look up what a space group implies, in the standard setting of spglib.

    Args:
        space_group_number: 1 to 230.

    Returns:
        The facts.

    Raises:
        ValueError: The number is outside 1 to 230.
    """
    if not 1 <= space_group_number <= 230:
        raise ValueError(f"a space-group number lies in 1 to 230, got {space_group_number}")
    row = dict(_table()["space_groups"][space_group_number - 1])
    form = _table()["tensor_forms"][row["tensor_form"]]
    for key in ("operations", "screws"):
        row[key] = tuple(row[key])
    return SpaceGroupFacts(
        **row,
        tensor_dimension=form["dimension"],
        tensor_types=tuple(form["types"]),
        tensor_diagonal=tuple(form["diagonal"]),
    )


def _one_hot(value: str, choices: tuple[str, ...]) -> list[float]:
    """1 at the place of ``value``, 0 elsewhere."""
    return [float(value == choice) for choice in choices]


@lru_cache(maxsize=230)
def symmetry_prompt(space_group_number: int) -> NDArray[np.float32]:
    """Give the symmetry prompt of a space group.

    Args:
        space_group_number: 1 to 230.

    Returns:
        ``[P]`` read-only vector with entries in [0, 1], laid out as in `PROMPT_FIELDS`.

    Raises:
        ValueError: The number is outside 1 to 230.
    """
    facts = space_group_facts(space_group_number)
    order = sum(facts.operations)
    vector = np.array(
        [
            facts.number / 230,
            *_one_hot(facts.crystal_system, CRYSTAL_SYSTEMS),
            *_one_hot(facts.point_group, tuple(POINT_GROUP_LAUE_CLASS)),
            *_one_hot(facts.laue_class, LAUE_CLASSES),
            *_one_hot(facts.centring, CENTRINGS),
            math.log2(order) / math.log2(48),
            *(count / most for count, most in zip(facts.operations, MOST_OPERATIONS, strict=True)),
            *(count / order for count in facts.screws),
            facts.glides / order,
            facts.symmorphic,
            facts.polar,
            facts.sohncke,
            facts.enantiomorphic,
            facts.centrosymmetric,
            facts.tensor_dimension / 27,
            *(count / size for count, size in zip(facts.tensor_types, TYPE_SIZES, strict=True)),
            *(float(entry > 0.0) for entry in facts.tensor_diagonal),
            *facts.tensor_diagonal,
        ],
        dtype=np.float32,
    )
    vector.setflags(write=False)
    return vector
