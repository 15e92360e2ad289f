"""What every reader of a structure file hands over, and the checks every crystal has to pass."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import gemmi
import numpy as np

from shc.featurize.errors import ShcError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from shc.featurize.config import FeaturizeConfig

SHORTEST_DISTANCE = 0.3
"""Two atoms closer than this, in Angstrom, are one atom written twice or a wrong file."""
THINNEST_CELL = 2 * SHORTEST_DISTANCE
"""A cell with lattice planes closer than this, in Angstrom, holds no crystal once it is reduced."""
LONGEST_VECTOR = 1.0e4
"""Lattice vectors beyond this length, in Angstrom, are refused as nonsense."""
_DENSE_LIMIT = 128


class Sites(NamedTuple):
    """All atoms of one cell as a reader found them, each an element at full occupancy."""

    lattice: NDArray[np.float64]
    """``[3, 3]`` lattice vectors as rows, Angstrom."""
    frac: NDArray[np.float64]
    """``[n_atoms, 3]`` fractional positions."""
    atomic_number: NDArray[np.int64]
    """``[n_atoms]`` atomic numbers; deuterium and tritium are 1."""
    label: Sequence[str]
    """``[n_atoms]`` name of each atom in messages."""


@lru_cache(maxsize=4096)
def element_number(symbol: str) -> int:
    """Return the atomic number of a chemical symbol, 0 for what is none (``Xx``, ``Vac``, ``Uue``).

    Upper and lower case are not told apart; ``D`` and ``T`` are hydrogen.
    """
    if len(symbol) > 2 or not symbol.isascii() or not symbol.isalpha():
        return 0
    if symbol.upper() in {"D", "T"}:
        return 1
    return int(gemmi.Element(symbol.title()).atomic_number)


def check_element(symbol: str, label: str, config: FeaturizeConfig) -> int:
    """Return the atomic number of ``symbol``, or say why the site is refused.

    Raises:
        ShcError: The symbol is no element, or it is hydrogen and the configuration does not allow it.
    """
    number = element_number(symbol)
    if number == 0:
        raise ShcError(
            f"unknown element {symbol[:20]!r} at site {label}",
            "every site needs the symbol of one element, H to Og; remove dummy atoms and vacancies",
        )
    if number == 1 and not config.allow_hydrogen:
        raise ShcError(
            f"hydrogen ({symbol}) at site {label}",
            "no training crystal holds hydrogen; --allow-hydrogen accepts it (D and T are read as H)",
        )
    return number


def check_atom_count(count: int, config: FeaturizeConfig) -> None:
    """Raise ShcError if there are no atoms or more than ``config.max_atoms``."""
    if count == 0:
        raise ShcError("the file lists no atoms", "complete the file")
    if count > config.max_atoms:
        raise ShcError(
            f"more than {config.max_atoms} atoms in the cell (at least {count})",
            "give the primitive cell, or raise max_atoms",
        )


def lattice_from_parameters(lengths: Sequence[float], angles: Sequence[float]) -> NDArray[np.float64]:
    """Return lattice vectors as rows, with c along z and a in the xz plane (pymatgen's convention).

    Args:
        lengths: a, b, c in Angstrom.
        angles: alpha, beta, gamma in degrees.

    Raises:
        ShcError: A parameter is not finite, not positive, or the three angles span no volume.
    """
    if not all(math.isfinite(value) for value in (*lengths, *angles)):
        raise ShcError("the cell has a parameter that is no finite number", "correct the _cell_ items")
    if min(lengths) <= 0 or max(lengths) > LONGEST_VECTOR:
        raise ShcError(
            f"cell lengths {lengths[0]:g} {lengths[1]:g} {lengths[2]:g} are not usable",
            f"lengths are in Angstrom, above 0 and up to {LONGEST_VECTOR:g}",
        )
    if min(angles) <= 0 or max(angles) >= 180:
        raise ShcError(
            f"cell angles {angles[0]:g} {angles[1]:g} {angles[2]:g} are not usable",
            "angles are in degrees, between 0 and 180",
        )
    a, b, c = lengths
    # Multiples of 90 and 60 degrees give exact zeros and halves.
    cos_a, cos_b, cos_g = (round(math.cos(math.radians(angle)), 15) for angle in angles)
    sin_a, sin_b = (math.sin(math.radians(angle)) for angle in angles[:2])
    volume_factor = 1 - cos_a**2 - cos_b**2 - cos_g**2 + 2 * cos_a * cos_b * cos_g
    if volume_factor < 1e-8:
        raise ShcError(
            f"cell angles {angles[0]:g} {angles[1]:g} {angles[2]:g} span no volume", "correct the cell angles"
        )
    cos_star = (cos_a * cos_b - cos_g) / (sin_a * sin_b)
    sin_star = math.sqrt(max(0.0, 1 - cos_star**2))
    return np.array(
        [
            [a * sin_b, 0.0, a * cos_b],
            [-b * sin_a * cos_star, b * sin_a * sin_star, b * cos_a],
            [0.0, 0.0, c],
        ]
    )


def wrap(frac: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return fractional positions moved into [0, 1), shape kept."""
    wrapped: NDArray[np.float64] = frac - np.floor(frac)
    wrapped[wrapped >= 1.0] = 0.0  # -1e-17 - floor(-1e-17) rounds to 1
    return wrapped


def _volume_and_faces(lattice: NDArray[np.float64]) -> tuple[float, tuple[float, float, float]]:
    """Return the signed volume and the areas of the faces (b, c), (c, a) and (a, b).

    Plain floats: for one 3 x 3 matrix a tenth of the time of numpy.linalg.
    """
    rows = lattice.tolist()
    faces = []
    volume = 0.0
    for index in range(3):
        (x1, y1, z1), (x2, y2, z2) = rows[index - 2], rows[index - 1]
        x, y, z = y1 * z2 - z1 * y2, z1 * x2 - x1 * z2, x1 * y2 - y1 * x2
        faces.append(math.hypot(x, y, z))
        volume = rows[index][0] * x + rows[index][1] * y + rows[index][2] * z
    return volume, (faces[0], faces[1], faces[2])


def plane_spacings(lattice: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the distances between the lattice planes (100), (010) and (001), Angstrom."""
    volume, (bc, ca, ab) = _volume_and_faces(lattice)
    return abs(volume) / bc, abs(volume) / ca, abs(volume) / ab


def check_lattice(lattice: NDArray[np.float64]) -> None:
    """Raise ShcError unless the lattice vectors are finite, right-handed and span a usable volume."""
    if not np.isfinite(lattice).all() or np.abs(lattice).max() > LONGEST_VECTOR:
        raise ShcError("the cell has a vector that is not finite or far too long", "correct the cell")
    volume = _volume_and_faces(lattice)[0]
    # Below 0.01 cubic Angstrom the inverse loses its digits; no atom is that small.
    if abs(volume) < 0.01:
        raise ShcError(f"the cell has no volume ({volume:.3g} cubic Angstrom)", "correct the cell")
    if volume < 0:
        raise ShcError("the cell has a negative volume", "swap two lattice vectors and their coordinates")


def check_distances(sites: Sites) -> None:
    """Raise ShcError if two atoms, periodic images included, are closer than ``SHORTEST_DISTANCE``."""
    lattice, frac = sites.lattice, sites.frac
    if min(plane_spacings(lattice)) < THINNEST_CELL:
        lattice, frac = _reduce(lattice, frac)
    close = _close_pair(lattice, frac)
    if close is None:
        return
    first, second, distance = close
    one, other = sites.label[first], sites.label[second]
    if distance < 1e-3:
        raise ShcError(
            f"atoms {one} and {other} are at the same place",
            "a duplicate or disordered site: list every atom once, at full occupancy",
        )
    raise ShcError(
        f"atoms {one} and {other} are {distance:.3f} Angstrom apart",
        f"at least {SHORTEST_DISTANCE} Angstrom are expected: check cell, positions and symmetry operations",
    )


def _reduce(lattice: NDArray[np.float64], frac: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the same crystal in an LLL-reduced cell; refuse it if even that is thin."""
    from pymatgen.core import Lattice  # noqa: PLC0415 - takes a second, needed for strange cells only

    reduced = np.asarray(Lattice(lattice).get_lll_reduced_lattice().matrix, dtype=np.float64)
    if min(plane_spacings(reduced)) < THINNEST_CELL:
        raise ShcError(f"the cell is thinner than {THINNEST_CELL:g} Angstrom", "cell lengths are expected in Angstrom")
    return reduced, frac @ lattice @ np.linalg.inv(reduced)


def _close_pair(lattice: NDArray[np.float64], frac: NDArray[np.float64]) -> tuple[int, int, float] | None:
    """Return the closest pair below ``SHORTEST_DISTANCE`` (indices, Angstrom), or None.

    With lattice planes at least twice that distance apart, every fractional component of so short a
    vector is below one half: rounding then finds the image, and no lattice vector is that short.
    """
    n_atoms = len(frac)
    if n_atoms < 2:
        return None
    if n_atoms <= _DENSE_LIMIT:
        first, second = _upper_triangle(n_atoms)
    else:
        from scipy.spatial import cKDTree  # noqa: PLC0415 - large cells only

        radius = SHORTEST_DISTANCE / min(plane_spacings(lattice))
        tree = cKDTree(wrap(frac), boxsize=1.0)
        pairs = tree.query_pairs(min(radius, 0.5), p=np.inf, output_type="ndarray")
        if len(pairs) == 0:
            return None
        first, second = pairs[:, 0], pairs[:, 1]
    delta = frac[first] - frac[second]
    delta -= np.rint(delta)
    cartesian = delta @ lattice
    squared = np.einsum("ij,ij->i", cartesian, cartesian)
    closest = int(squared.argmin())
    if squared[closest] >= SHORTEST_DISTANCE**2:
        return None
    return int(first[closest]), int(second[closest]), math.sqrt(squared[closest])


@lru_cache(maxsize=64)
def _upper_triangle(n_atoms: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    return np.triu_indices(n_atoms, 1)
