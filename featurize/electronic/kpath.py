"""The path through the Brillouin zone along which bands are drawn."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from shc.featurize.electronic.mesh import reciprocal
from shc.featurize.errors import ShcError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shc.featurize.symmetry import PrimitiveCrystal

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class KPath:
    """Points along lines of high symmetry, in the order they are drawn."""

    k: Floats
    """``[n_k, 3]`` Cartesian, 1/Angstrom, in the frame of the crystal's lattice."""
    distance: Floats
    """``[n_k]`` length of the path up to each point, 1/Angstrom; does not grow across a break."""
    labels: tuple[tuple[int, str], ...]
    """High-symmetry points: index along the path and name, ``GAMMA`` for the centre; both sides of a break."""
    breaks: tuple[int, ...]
    """Indices of the points before which the path jumps."""


def band_path(crystal: PrimitiveCrystal, n_points: int, symprec: float) -> KPath:
    """Choose the path of the crystal's Bravais lattice and spread points along it by length.

    Bands at k and -k have equal energies by time reversal, so crystals without inversion get the same path as those
    with it.

    Args:
        crystal: Primitive cell.
        n_points: Points on the whole path, at least; every straight segment has both its ends.
        symprec: Tolerance of the symmetry search, Angstrom.

    Returns:
        The path. Segments that follow on each other share their point.

    Raises:
        ShcError: No path was found, as for atoms that coincide.

    Source: Y. Hinuma, G. Pizzi, Y. Kumagai, F. Oba, I. Tanaka, Comput. Mater. Sci. 128, 140 (2017).
    """
    corner, lines = _high_symmetry_lines(crystal, symprec)
    lengths = [[float(np.linalg.norm(corner[b] - corner[a])) for a, b in pairwise(line)] for line in lines]
    # The first point of a line closes no interval: the intervals are fewer than the points.
    step = math.fsum(map(math.fsum, lengths)) / max(1, n_points - len(lines))
    k: list[Floats] = []
    distance: list[float] = []
    labels: list[tuple[int, str]] = []
    breaks: list[int] = []
    total = 0.0
    for line, line_lengths in zip(lines, lengths, strict=True):
        if k:
            breaks.append(len(k))
        labels.append((len(k), line[0]))
        k.append(corner[line[0]])
        distance.append(total)
        for start, end, length in zip(line[:-1], line[1:], line_lengths, strict=True):
            # Lengths that symmetry makes equal must not be parted by a rounding error.
            n = max(1, math.ceil(length / step - 1e-6))
            share = np.arange(1, n + 1) / n
            k.extend(corner[start] + share[:, None] * (corner[end] - corner[start]))
            distance.extend(total + length * share)
            total += length
            labels.append((len(k) - 1, end))
    return KPath(np.array(k), np.array(distance), tuple(labels), tuple(breaks))


def _high_symmetry_lines(crystal: PrimitiveCrystal, symprec: float) -> tuple[dict[str, Floats], list[list[str]]]:
    """Name the high-symmetry points and the polylines through them.

    Returns:
        Cartesian points by name, 1/Angstrom; names along each unbroken line.
    """
    found = _seekpath(crystal, symprec)
    # seekpath idealises the cell. Its fractional coordinates are kept and only their basis is changed, by the whole
    # numbers that join the two cells, so that a point on the border of the zone is there to the last bit.
    ideal = np.array(found["primitive_lattice"]) @ np.array(found["rotation_matrix"])
    change = crystal.lattice @ np.linalg.inv(ideal)
    if np.abs(change - np.rint(change)).max() < 0.1:
        change = np.rint(change)
    axes = reciprocal(crystal.lattice)
    corner = {name: np.asarray(change @ np.array(point) @ axes) for name, point in found["point_coords"].items()}
    lines: list[list[str]] = []
    for start, end in found["path"]:
        if lines and lines[-1][-1] == start:
            lines[-1].append(end)
        else:
            lines.append([start, end])
    if not lines:
        raise ShcError("no path through the Brillouin zone was found", "check the cell and the positions")
    return corner, lines


def _seekpath(crystal: PrimitiveCrystal, symprec: float) -> dict[str, Any]:
    """Ask seekpath, without its warnings on borderline cells: either choice is a valid path."""
    import seekpath  # noqa: PLC0415  # slow to import

    cell = (crystal.lattice, crystal.frac, crystal.atomic_number)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found: dict[str, Any] = seekpath.get_path(cell, with_time_reversal=True, symprec=symprec)
    except Exception as error:  # spglib and seekpath raise many kinds
        raise ShcError(
            f"no path through the Brillouin zone was found ({error})",
            f"check the cell and the positions, or change the tolerance of the symmetry search ({symprec} Angstrom)",
        ) from error
    return found
