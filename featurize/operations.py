"""Symmetry operations written in a file: parsing, checking, and expanding sites to the full cell."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import gemmi
import numpy as np

from shc.featurize.errors import ShcError
from shc.featurize.sites import SHORTEST_DISTANCE, check_atom_count, wrap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from shc.featurize.config import FeaturizeConfig

MERGE_DISTANCE = 0.1
"""Images of one site closer than this, Angstrom, are the same atom on a rounded special position."""
_MAX_OPERATIONS = 768
_METRIC_TOLERANCE = 0.05
_GRID = 24
_HINT = "write the operations of one space group as triplets such as '-x, y+1/2, z', or name the space group"


class Operations(NamedTuple):
    """A space group's operations modulo lattice translations, x' = R x + t in fractional coordinates."""

    rotation: NDArray[np.float64]
    """``[n_ops, 3, 3]`` rotation parts; the entries are integers."""
    translation: NDArray[np.float64]
    """``[n_ops, 3]`` translations in [0, 1)."""
    product: NDArray[np.int16]
    """``[n_ops, n_ops]`` index of the operation ``a`` after ``b``."""


@lru_cache(maxsize=1024)
def parse_operations(triplets: tuple[str, ...]) -> Operations:
    """Parse coordinate triplets and check that they form a group modulo lattice translations.

    Args:
        triplets: Such as ``('x, y, z', '-x, y+1/2, -z')``; repetitions are dropped.

    Raises:
        ShcError: A triplet is unreadable, is no symmetry operation, or the list is not closed.
    """
    if len(triplets) > _MAX_OPERATIONS:
        raise ShcError(f"{len(triplets)} symmetry operations, more than any space group has", _HINT)
    rotation, translation = _integer_parts(triplets)
    keys, order = np.unique(_keys(rotation, translation), return_index=True)
    order.sort()  # the file's own order, so that the first image is the site as written
    rotation, translation = rotation[order], translation[order]
    file_keys = _keys(rotation, translation)
    sorted_to_file = np.argsort(file_keys)
    wanted = _keys(*_compose_all(rotation, translation))
    position = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    if (keys[position] != wanted).any():
        raise ShcError("the symmetry operations do not form a group", _HINT)
    return Operations(
        rotation.astype(np.float64),
        translation.astype(np.float64) / _GRID,
        sorted_to_file[position].astype(np.int16),
    )


def _compose_all(
    rotation: NDArray[np.int64], translation: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rotations ``[n, n, 3, 3]`` and translations ``[n, n, 3]`` of every ``a`` after every ``b``."""
    n_ops = len(rotation)
    # One matrix product over all pairs, in floats for BLAS: the integers are small, so it is exact.
    rows = rotation.reshape(-1, 3).astype(np.float64)
    columns = np.concatenate([rotation.transpose(1, 0, 2).reshape(3, -1), translation.T], axis=1)
    composed = np.rint(rows @ columns.astype(np.float64)).astype(np.int64).reshape(n_ops, 3, -1)
    composed_r = composed[:, :, : 3 * n_ops].reshape(n_ops, 3, n_ops, 3).transpose(0, 2, 1, 3)
    composed_t = composed[:, :, 3 * n_ops :].transpose(0, 2, 1) + translation[:, None]
    return composed_r, composed_t % _GRID


def _integer_parts(triplets: tuple[str, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return integer rotations ``[n, 3, 3]`` and translations ``[n, 3]`` in units of 1/24."""
    rotation = np.empty((len(triplets), 3, 3), dtype=np.int64)
    translation = np.empty((len(triplets), 3), dtype=np.int64)
    for index, triplet in enumerate(triplets):
        try:
            operation = gemmi.Op(triplet)
        except (RuntimeError, ValueError) as error:
            raise ShcError(f"symmetry operation {triplet[:60]!r} is not readable", _HINT) from error
        rotation[index] = operation.rot
        translation[index] = operation.tran
    scaled = np.abs(np.linalg.det(rotation / _GRID))
    bad = (np.abs(scaled - 1) > 1e-9) | (rotation % _GRID != 0).any(axis=(1, 2))
    bad |= (np.abs(rotation) > 8 * _GRID).any(axis=(1, 2))
    if bad.any():
        raise ShcError(f"{triplets[int(bad.argmax())][:60]!r} is no symmetry operation", _HINT)
    return rotation // _GRID, translation % _GRID


def _keys(rotation: NDArray[np.int64], translation: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return one integer per operation; a rotation entry outside -8..8 gets a key nothing else has."""
    digits = (rotation + 8).reshape(*rotation.shape[:-2], 9)
    key = digits @ (17 ** np.arange(9, dtype=np.int64)) * _GRID**3
    key += translation @ np.array([_GRID**2, _GRID, 1], dtype=np.int64)
    outside = (np.abs(rotation) > 8).any(axis=(-1, -2))
    return np.where(outside, -1, key)


def check_metric(operations: Operations, lattice: NDArray[np.float64]) -> None:
    """Raise ShcError if an operation changes lengths in this cell by more than about 2 percent."""
    metric = lattice @ lattice.T
    moved = np.matmul(np.matmul(operations.rotation.transpose(0, 2, 1), metric), operations.rotation)
    lengths = np.sqrt(metric.diagonal())
    if (np.abs(moved - metric) > _METRIC_TOLERANCE * np.multiply.outer(lengths, lengths)).any():
        raise ShcError(
            "the symmetry operations do not fit the cell",
            "cell and operations must belong to the same setting (e.g. hexagonal or rhombohedral axes)",
        )


def expand(
    operations: Operations,
    lattice: NDArray[np.float64],
    frac: NDArray[np.float64],
    labels: Sequence[str],
    config: FeaturizeConfig,
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Generate all atoms of the cell from the listed sites.

    Operations that move a site by less than ``MERGE_DISTANCE`` are its stabiliser; the site is projected
    onto the position they leave fixed (0.3333 becomes 1/3), and each coset then gives one atom.

    Args:
        operations: The group.
        lattice: ``[3, 3]`` lattice vectors as rows, Angstrom.
        frac: ``[n_sites, 3]`` fractional positions of the listed sites.
        labels: ``[n_sites]`` names of the sites, for messages.
        config: Gives ``max_atoms``.

    Returns:
        Positions ``[n_atoms, 3]`` in [0, 1), and the listed site of each atom ``[n_atoms]``.

    Raises:
        ShcError: A site's own images are too close without being one atom, or there are too many atoms.
    """
    n_sites, n_ops = len(frac), len(operations.rotation)
    if n_ops == 1:
        return wrap(frac), np.arange(n_sites)
    check_metric(operations, lattice)
    images = np.matmul(operations.rotation, frac.T).transpose(2, 0, 1) + operations.translation
    delta = images - frac[:, None, :]
    delta -= np.rint(delta)
    distance = np.sqrt(np.square(delta @ lattice).sum(axis=2))
    fixes = distance < MERGE_DISTANCE
    too_close = (distance < SHORTEST_DISTANCE) & ~fixes
    if too_close.any():
        site = int(too_close.any(axis=1).argmax())
        shortest = distance[site][too_close[site]].min()
        raise ShcError(
            f"site {labels[site]} is {shortest:.3f} Angstrom from its own symmetry image",
            "give the coordinate with more digits, or check the symmetry operations",
        )
    order = fixes.sum(axis=1)
    check_atom_count(int((n_ops // order).sum()), config)
    projected = frac + (delta * fixes[:, :, None]).sum(axis=1) / order[:, None]
    special = np.nonzero(order > 1)[0]
    keep = np.ones((n_sites, n_ops), dtype=bool)
    for site in special.tolist():
        keep[site] = _coset_representatives(operations.product, np.nonzero(fixes[site])[0], labels[site])
    images = np.matmul(operations.rotation, projected.T).transpose(2, 0, 1) + operations.translation
    return wrap(images[keep]), np.nonzero(keep)[0]


def _coset_representatives(product: NDArray[np.int16], stabiliser: NDArray[np.intp], label: str) -> NDArray[np.bool_]:
    """Return which operations ``[n_ops]`` are the first of their coset a S of the stabiliser S."""
    cosets = product[:, stabiliser]
    representative: NDArray[np.bool_] = cosets.min(axis=1) == np.arange(len(product))
    inside = np.zeros(len(product), dtype=bool)
    inside[stabiliser] = True
    # Were S no subgroup, its cosets would overlap.
    if not inside[cosets[stabiliser]].all():
        raise ShcError(
            f"site {label} lies ambiguously close to a special position",
            "give the coordinates with more digits",
        )
    return representative
