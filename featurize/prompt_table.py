"""Builds the table behind the symmetry prompt from spglib's database; run as a module it writes the file."""

from __future__ import annotations

import json
from functools import cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import spglib

from shc.featurize.prompt import OPERATION_KINDS, POINT_GROUP_LAUE_CLASS, PROMPT_VERSION, SCREW_ORDERS
from shc.featurize.spglib_calls import quiet_spglib
from shc.featurize.tensor_symmetry import (
    allowed_components,
    allowed_projector,
    tensor_dimension,
    type_counts,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HEXAGONAL: Final = np.array([[1.0, 0.0, 0.0], [-0.5, np.sqrt(0.75), 0.0], [0.0, 0.0, 1.0]])
_SYSTEM_ENDS: Final = (
    ("triclinic", 2),
    ("monoclinic", 15),
    ("orthorhombic", 74),
    ("tetragonal", 142),
    ("trigonal", 167),
    ("hexagonal", 194),
    ("cubic", 230),
)
_KIND_OF: Final = {
    (1, 3): "1", (1, -1): "2", (1, 0): "3", (1, 1): "4", (1, 2): "6",
    (-1, -3): "-1", (-1, 1): "m", (-1, 0): "-3", (-1, -1): "-4", (-1, -2): "-6",
}  # fmt: skip
"""Kind of an operation by determinant and trace."""


def operation_kind(rotation: NDArray[np.int32]) -> str:
    """Name the kind of a rotation part: one of ``shc.featurize.prompt.OPERATION_KINDS``.

    Args:
        rotation: ``[3, 3]`` integer matrix in any lattice basis.
    """
    return _KIND_OF[round(float(np.linalg.det(rotation))), int(np.trace(rotation))]


def cartesian_rotations(rotations: NDArray[np.int32], space_group_number: int) -> NDArray[np.float64]:
    """Turn rotations of the standard conventional cell into Cartesian ones: a along x, c* along z.

    Args:
        rotations: ``[n, 3, 3]`` integer matrices acting on fractional coordinates.
        space_group_number: 1 to 230; the rotations do not depend on the lattice parameters otherwise.

    Returns:
        ``[n, 3, 3]`` orthogonal matrices.
    """
    columns = _HEXAGONAL.T if 143 <= space_group_number <= 194 else np.eye(3)
    return np.asarray(columns @ rotations @ np.linalg.inv(columns), dtype=np.float64)


def standard_operations(space_group_number: int) -> tuple[Any, NDArray[np.int32], NDArray[np.float64]]:
    """Read the operations of a space group in spglib's standard setting: its first Hall symbol.

    Args:
        space_group_number: 1 to 230.

    Returns:
        spglib's space-group type, rotations ``[n, 3, 3]``, translations ``[n, 3]`` of the conventional cell.
    """
    hall = _first_hall_numbers().get(space_group_number)
    if hall is None:
        raise ValueError(f"a space-group number lies in 1 to 230, got {space_group_number}")
    with quiet_spglib():
        operations = spglib.get_symmetry_from_database(hall)
        return spglib.get_spacegroup_type(hall), operations["rotations"], operations["translations"]


@cache
def _first_hall_numbers() -> dict[int, int]:
    """The first Hall symbol of every space group in spglib, which has 530 and is slow to tell the group of one."""
    with quiet_spglib():
        numbers = [int(spglib.get_spacegroup_type(hall).number) for hall in range(1, 531)]
    return {number: 530 - k for k, number in enumerate(reversed(numbers))}


def _intrinsic(rotation: NDArray[np.int32], vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Project translations ``[m, 3]`` on what no choice of origin removes: the mean over the powers of R."""
    total, power, order = np.zeros((3, 3)), np.eye(3), 0
    while order == 0 or not np.allclose(power, np.eye(3)):
        total += power
        power = power @ rotation
        order += 1
    return np.asarray(vectors @ (total / order).T)


def _screws_and_glides(rotations: NDArray[np.int32], translations: NDArray[np.float64]) -> tuple[list[int], int]:
    """Count rotations and mirrors that no lattice translation frees of their intrinsic translation."""
    centring = translations[np.all(rotations == np.eye(3), axis=(1, 2))]
    cells = np.array(list(product(range(-2, 3), repeat=3)), dtype=np.float64)
    lattice = (cells[:, None, :] + centring[None, :, :]).reshape(-1, 3)
    counts = dict.fromkeys((*SCREW_ORDERS, "m"), 0)
    parts, first = np.unique(rotations, axis=0, return_index=True)
    for rotation, where in zip(parts, first, strict=True):
        kind = operation_kind(rotation)
        if kind in counts:
            left = _intrinsic(rotation, translations[where] + lattice)
            counts[kind] += int(np.abs(left).max(axis=1).min() > 1e-6)
    return [counts[order] for order in SCREW_ORDERS], counts["m"]


def _is_enantiomorphic(number: int, rotations: NDArray[np.int32], translations: NDArray[np.float64]) -> bool:
    """Whether inverting space gives another space-group number."""
    columns = _HEXAGONAL if 143 <= number <= 194 else np.eye(3)
    with quiet_spglib():
        mirrored = spglib.get_spacegroup_type_from_symmetry(rotations, -translations, columns, 1e-4)
    return bool(mirrored.number != number)


def _space_group_row(number: int) -> tuple[dict[str, Any], NDArray[np.float64]]:
    """Facts of one space group, and the projector on its allowed tensors."""
    kind, rotations, translations = standard_operations(number)
    parts = np.unique(rotations, axis=0)
    kinds = [operation_kind(r) for r in parts]
    cartesian = cartesian_rotations(parts, number)
    projector = allowed_projector(cartesian)
    laue = POINT_GROUP_LAUE_CLASS[kind.pointgroup_international]
    form = laue
    if laue == "-3m":  # xx^x survives when the twofold axis lies along a
        form = "-3m1" if allowed_components(projector)[0] else "-31m"
    centring = translations[np.all(rotations == np.eye(3), axis=(1, 2))]
    off = translations[:, None, :] - centring[None, :, :]
    off -= np.rint(off)
    screws, glides = _screws_and_glides(rotations, translations)
    sohncke = bool((np.linalg.det(cartesian) > 0).all())
    row = {
        "number": number,
        "symbol": kind.international_short,
        "crystal_system": next(name for name, end in _SYSTEM_ENDS if number <= end),
        "point_group": kind.pointgroup_international,
        "laue_class": laue,
        "centring": kind.international_short[0],
        "operations": [kinds.count(k) for k in OPERATION_KINDS],
        "screws": screws,
        "glides": glides,
        # In the standard setting the origin of a symmorphic group lies on a point of full symmetry.
        "symmorphic": bool((np.abs(off).max(axis=2).min(axis=1) < 1e-6).all()),
        "polar": bool(np.abs(cartesian.mean(axis=0)).max() > 1e-6),
        "sohncke": sohncke,
        "enantiomorphic": sohncke and _is_enantiomorphic(number, rotations, translations),
        "centrosymmetric": "-1" in kinds,
        "tensor_form": form,
    }
    return row, projector


def build_prompt_table() -> dict[str, Any]:
    """Build the table behind `shc.featurize.prompt` from spglib's database of space groups.

    Returns:
        ``version``, ``space_groups`` (230 rows, fields of ``SpaceGroupFacts``) and ``tensor_forms`` (for each
        form: ``dimension``, ``types``, ``diagonal`` of the projector on the allowed SHC tensors).
    """
    rows, forms = [], {}
    for number in range(1, 231):
        row, projector = _space_group_row(number)
        rows.append(row)
        forms[row["tensor_form"]] = {
            "dimension": tensor_dimension(projector),
            "types": type_counts(projector).tolist(),
            "diagonal": (np.round(np.diagonal(projector), 9) + 0.0).tolist(),
        }
    return {"version": PROMPT_VERSION, "space_groups": rows, "tensor_forms": forms}


def write_prompt_table(path: Path) -> None:
    """Write the table as JSON, one space group a line.

    Args:
        path: File to write.
    """
    table = build_prompt_table()
    rows = ",\n".join(json.dumps(row) for row in table["space_groups"])
    forms = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(table["tensor_forms"].items()))
    head = f'{{"version": {table["version"]},\n"tensor_forms": {{\n{forms}\n}},\n'
    path.write_text(f'{head}"space_groups": [\n{rows}\n]}}\n', encoding="utf-8")


if __name__ == "__main__":
    write_prompt_table(Path(__file__).parent / "data" / f"prompt_v{PROMPT_VERSION}.json")
