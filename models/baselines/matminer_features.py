"""Features of matminer (Ward et al., doi:10.1016/j.commatsci.2018.05.018) from a feature file.

Composition: statistics of the Magpie table (Ward et al., doi:10.1038/npjcompumats.2016.28), norms of the fractions,
valence orbitals and ionic character. Structure: density, volume and packing, complexity, space group. Featurisers of
local environments take some hundred milliseconds a crystal, twenty times as long as all others, and are left out.
"""

from __future__ import annotations

import io
import warnings
import zipfile
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from shc.featurize.errors import ExitCode, ShcError
from shc.featurize.writing import write_whole
from shc.models.baselines.table import FeatureTable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from shc.featurize.store import FeatureBatch
    from shc.models.baselines.table import Group

_CHUNK: Final = 256
"""Crystals after which the cache is written."""
_HEAVINESS: Final = ("Number", "AtomicWeight", "Row")
"""Columns of the Magpie table that grow with the strength of spin-orbit coupling."""


class _Featurisers:
    """The featurisers and the names and groups of their features."""

    def __init__(self) -> None:
        try:
            from matminer.featurizers import composition, structure  # noqa: PLC0415  # optional, and slow to import
        except ImportError as error:
            hint = "pip install 'shc-predict[baselines]'"
            raise ShcError("the random forest needs matminer", hint, ExitCode.NO_BACKEND) from error
        self.composition: list[Any] = [
            composition.ElementProperty.from_preset("magpie", impute_nan=True),
            composition.Stoichiometry(),
            composition.ValenceOrbital(props=["avg", "frac"], impute_nan=True),
            composition.IonProperty(fast=True, impute_nan=True),
        ]
        self.structure: list[Any] = [structure.DensityFeatures(), structure.StructuralComplexity()]
        self.symmetry: list[Any] = [
            structure.GlobalSymmetryFeatures(["spacegroup_num", "crystal_system_int", "is_centrosymmetric"]),
        ]
        by_kind = {name: [label for each in getattr(self, name) for label in each.feature_labels()] for name in _KINDS}
        self.names: tuple[str, ...] = tuple(label for labels in by_kind.values() for label in labels)
        self.groups: tuple[Group, ...] = tuple(
            matminer_group(label, kind) for kind, labels in by_kind.items() for label in labels
        )

    def row(self, lattice: NDArray[np.float64], z: NDArray[Any], frac: NDArray[np.float64]) -> NDArray[np.float32]:
        """``[F]`` features of one crystal."""
        from pymatgen.core import Structure  # noqa: PLC0415  # slow to import

        crystal = Structure(lattice, z.tolist(), frac)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # matminer calls what newer versions of spglib and pandas call old
            parts = [each.featurize(crystal.composition) for each in self.composition]
            parts += [each.featurize(crystal) for each in (*self.structure, *self.symmetry)]
        return np.array([value for part in parts for value in part], dtype=np.float32)


_KINDS: Final[tuple[Group, ...]] = ("composition", "structure", "symmetry")


def matminer_group(label: str, kind: Group) -> Group:
    """What a feature speaks of.

    Args:
        label: Its name in matminer.
        kind: What its featuriser speaks of.
    """
    heavy = label.startswith("MagpieData") and label.rsplit(maxsplit=1)[-1] in _HEAVINESS
    return "spin-orbit" if heavy else kind


def matminer_table(features: FeatureBatch, cache: Path, on_chunk: Callable[[int], None]) -> FeatureTable:
    """Features of n crystals; those in the cache are not computed again.

    Args:
        features: The crystals; their cells are taken as they are.
        cache: ``.npz`` file, written as work goes on; made anew if it is damaged or of other features.
        on_chunk: Called with the number of crystals done, whenever they are on disk; may raise to stop.

    Raises:
        ShcError: matminer is not installed (``NO_BACKEND``), or the cache cannot be written (``USAGE``).
    """
    featurisers = _Featurisers()
    known = _read(cache, featurisers.names)
    atoms = list(pairwise(features.atom_offsets.tolist()))
    missing = [i for i, key in enumerate(features.content_hash) if key not in known]
    for start in range(0, len(missing), _CHUNK):
        for i in missing[start : start + _CHUNK]:
            of = slice(*atoms[i])
            row = featurisers.row(features.lattice[i], features.atomic_number[of], features.frac[of])
            known[features.content_hash[i]] = row
        _write(cache, featurisers.names, known)
        on_chunk(len(features) - len(missing) + min(start + _CHUNK, len(missing)))
    values = np.array([known[key] for key in features.content_hash]).reshape(len(features), len(featurisers.names))
    return FeatureTable(featurisers.names, featurisers.groups, values)


def _read(cache: Path, names: tuple[str, ...]) -> dict[str, NDArray[np.float32]]:
    """Rows by content hash."""
    try:
        with np.load(io.BytesIO(cache.read_bytes()), allow_pickle=False) as file:
            if tuple(file["names"].tolist()) == names:
                return dict(zip(file["keys"].tolist(), file["values"], strict=True))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        pass  # nothing of use; it is written anew
    return {}


def _write(cache: Path, names: tuple[str, ...], rows: dict[str, NDArray[np.float32]]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, names=np.array(names), keys=np.array(list(rows)), values=np.array(list(rows.values())))
    write_whole(cache, buffer.getvalue())
