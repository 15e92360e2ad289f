"""Bands as a figure shows them: also where the record does not know them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from shc.featurize.electronic.codec import ENERGY_LIMIT, ENERGY_STEP
from shc.featurize.electronic.picture import IMAGE_SIZE
from shc.featurize.electronic.record import BAND_RANGE, DOS_GRID
from shc.kernels.image import draw_bands

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shc.featurize.electronic.record import ElectronicRecord

    Floats = NDArray[np.float64]

WIDEST_SHIFT: Final = 0.6
"""The top of the valence bands becomes the zero only if it lies no further from the Fermi level, eV."""
MOST_ADDED: Final = 40
"""Bands made up on one side, at most."""


@dataclass(frozen=True, slots=True)
class ShownBands:
    """What one panel shows; energies from the zero of its axis, eV."""

    energy: Floats
    """``[n_k, n_bands]``."""
    other: Floats
    """``[n_k, n_other]`` the same with or without spin-orbit coupling, whichever ``energy`` is not."""
    distance: Floats
    """``[n_k]``, from 0 to 1."""
    breaks: tuple[int, ...]
    zero_ev: float
    """Where the zero of the axis lies from the Fermi level of the record, eV."""

    def lines(self, energy: Floats) -> Floats:
        """``[n_bands, n_points, 2]`` points of the lines, not finite where the path breaks."""
        x = np.insert(self.distance, self.breaks, np.nan)
        y = np.insert(energy, self.breaks, np.nan, axis=0)
        return np.stack(np.broadcast_arrays(x[None, :], y.T), axis=-1)

    def ideal(self, e_min_ev: float, e_max_ev: float, *, both: bool = False) -> NDArray[np.float32]:
        """What the normaliser should make of the panel.

        Args:
            e_min_ev: Lower end of the panel, eV.
            e_max_ev: Upper end of the panel, eV.
            both: Also the bands of ``other`` are shown.

        Returns:
            ``[1, 224, 224]`` ink; 0 outside the panel.
        """
        energy = np.concatenate([self.energy, self.other], axis=1) if both else self.energy
        picture = draw_bands(self.distance, energy, self.breaks, BAND_RANGE, IMAGE_SIZE)
        middle = BAND_RANGE * (1.0 - (2.0 * np.arange(IMAGE_SIZE) + 1.0) / IMAGE_SIZE)
        picture[(middle < e_min_ev) | (middle > e_max_ev)] = 0.0
        return picture[None]


def shown_bands(
    record: ElectronicRecord, window: tuple[float, float], rng: np.random.Generator, *, scalar: bool, at_valence: bool
) -> ShownBands:
    """Bands over the whole window of a figure.

    Within the range of the record they are its own. Beyond, lines go on smoothly and further bands are made up.

    Args:
        record: The bands.
        window: Lower and upper end of the axis, from its zero, eV.
        rng: Decides what is made up.
        scalar: Show the bands without spin-orbit coupling.
        at_valence: Put the zero at the top of the valence bands, if there is a gap and it is not too wide.
    """
    main, other = record.energy, record.scalar_energy
    if scalar:
        main, other = other, main
    zero = _valence_top(main, record.gap_ev) if at_valence else 0.0
    distance = record.distance.astype(np.float64)
    distance = (distance - distance[0]) / (distance[-1] - distance[0])
    nodes = np.unique([0, len(distance) - 1, *(index for index, _ in record.labels)])
    edges = [0, *record.breaks, len(distance)]
    ends = (min(window[0] + zero, 0.0), max(window[1] + zero, 0.0))
    complete = []
    for part in (main, other):
        energy = _continue(part.astype(np.float64), distance, edges) if max(ends[1], -ends[0]) > BAND_RANGE else part
        made_up = [
            _made_up(side, end, part.shape[1], distance, nodes, rng) for side, end in zip((-1, 1), ends, strict=True)
        ]
        complete.append(np.concatenate([energy, *made_up], axis=1) - zero)
    return ShownBands(complete[0], complete[1], distance, record.breaks, zero)


def smooth_weights(n_bands: int, n_k: int, rng: np.random.Generator) -> Floats:
    """``[n_bands, n_k]`` from 0 to 1, slowly varying along a band: the share of an orbital that nobody computed."""
    phase, turns = rng.uniform(0.0, 2.0 * np.pi, (n_bands, 1)), rng.uniform(0.2, 2.0, (n_bands, 1))
    return 0.5 + 0.5 * np.sin(phase + 2.0 * np.pi * turns * np.linspace(0.0, 1.0, n_k))


def shown_dos(record: ElectronicRecord, energies: Floats, zero_ev: float, rng: np.random.Generator) -> Floats:
    """Density of states at energies from the zero of an axis: the record's own, bumps beyond its range.

    Args:
        record: The crystal.
        energies: ``[n]`` eV.
        zero_ev: Zero of the axis from the Fermi level, eV.
        rng: Decides the bumps.

    Returns:
        ``[n]`` states per eV and primitive cell.
    """
    at = energies + zero_ev
    known = np.interp(at, DOS_GRID, record.dos)
    bumps = np.abs(np.sin(at * rng.uniform(1.0, 3.0) + rng.uniform(0.0, 6.0))) + 0.3 * rng.random()
    outside = np.clip((np.abs(at) - BAND_RANGE) / 0.2, 0.0, 1.0)
    return (1.0 - outside) * known + outside * bumps * max(float(record.dos.mean()), 0.1)


def _valence_top(energy: NDArray[np.float32], gap_ev: float) -> float:
    below = energy[energy < 0.0]
    top = float(below.max(initial=-np.inf))
    return top if gap_ev > 0.0 and top > -WIDEST_SHIFT else 0.0


def _continue(energy: Floats, distance: Floats, edges: list[int]) -> Floats:
    """Replace the flat ends of lines at the limit of the record by smooth arcs."""
    energy = energy.copy()
    limit = ENERGY_LIMIT - 0.6 * ENERGY_STEP
    for first, last in pairwise(edges):
        piece = energy[first:last]
        for band in np.flatnonzero((np.abs(piece) > limit).any(axis=0)):
            line = piece[:, band]
            for side in (1.0, -1.0):
                line[:] = side * _arcs(side * line, distance[first:last], limit)
    return energy


def _arcs(line: Floats, x: Floats, limit: float) -> Floats:
    """Bridge each run of points above the limit by a cubic that takes up the slopes on both sides of it."""
    flat = np.concatenate([[False], line > limit, [False]])
    starts, stops = (np.flatnonzero(np.diff(flat.astype(np.int8)) == step) for step in (1, -1))
    out = line.copy()
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        rise, fall = _slope(line, x, start - 1, start - 2), _slope(line, x, stop, stop + 1)
        if rise is None and fall is None:
            out[start:stop] = limit + 0.5 + 0.3 * np.cos(9.0 * x[start:stop])
            continue
        left, right = max(start - 1, 0), min(stop, len(line) - 1)
        length = max(x[right] - x[left], 1e-9)
        t = (x[start:stop] - x[left]) / length
        up, down = (0.0 if slope is None else float(np.clip(slope, -60.0, 60.0)) for slope in (rise, fall))
        low = line[left] if rise is not None else line[right] - 0.5 * down * length
        high = line[right] if fall is not None else line[left] + 0.5 * up * length
        arc = (1 + 2 * t) * (1 - t) ** 2 * low + t**2 * (3 - 2 * t) * high
        arc += length * (t * (1 - t) ** 2 * up - t**2 * (1 - t) * down)
        out[start:stop] = np.maximum(arc, limit)
    return out


def _slope(line: Floats, x: Floats, near: int, far: int) -> float | None:
    """Slope at a known point beside a run, eV per length of the path; None where there is no such point."""
    if not (0 <= near < len(line) and 0 <= far < len(line)) or x[near] == x[far]:
        return None
    return float((line[near] - line[far]) / (x[near] - x[far]))


def _made_up(
    side: int, end: float, n_known: int, distance: Floats, nodes: NDArray[np.int64], rng: np.random.Generator
) -> Floats:
    """``[n_k, n]`` bands beyond the range of the record, flat at the high-symmetry points."""
    first = ENERGY_LIMIT + 0.1
    at_node = distance[nodes]
    room = side * end + 1.0 - first
    n = min(int(np.ceil(room * max(n_known, 2) / (2.0 * BAND_RANGE))), MOST_ADDED) if side * end > ENERGY_LIMIT else 0
    levels = np.sort(rng.uniform(first, first + max(room, 0.1), (len(nodes), n)), axis=1)
    levels = np.maximum(levels + rng.normal(0.0, 0.25, levels.shape), first)
    at = np.clip(np.searchsorted(nodes, np.arange(len(distance)), side="right") - 1, 0, len(nodes) - 2)
    left, right = at_node[at], at_node[at + 1]
    t = np.clip((distance - left) / np.maximum(right - left, 1e-9), 0.0, 1.0)[:, None]
    bands: Floats = side * (levels[at] + t**2 * (3.0 - 2.0 * t) * (levels[at + 1] - levels[at]))
    return bands
