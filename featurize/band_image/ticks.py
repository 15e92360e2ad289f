"""Reads the energy axis of a panel: numbers beside it, tick marks on it, and the straight scale that fits them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from shc.featurize.band_image.digits import read_lines
from shc.featurize.band_image.tick_labels import Side, Strip, background, cut_strip, text_boxes
from shc.featurize.band_image.tick_values import FERMI, Fit, Label, fit_scale, has_zero, is_nice
from shc.featurize.band_image.types import Box, EnergyAxis
from shc.kernels.glyphs import tick_marks
from shc.kernels.picture import contrast

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LEVELS: Final = (0.35, 0.2, 0.55)
"""How dark, as part of the usual ink, a pixel of a glyph is: the first for most pictures, then for pale labels beside
dark ones and for glyphs that run together."""
_GOOD: Final = 0.6
"""With this confidence no further try is made."""
_USELESS: Final = 0.15
"""Below, no axis is given."""
_MAX_LABELS: Final = 40
_LARGEST_EV: Final = 60.0
"""Labels beyond are no energies of bands in eV, most likely."""


@dataclass(frozen=True, slots=True)
class AxisReading:
    """What was read from the energy axis."""

    axis: EnergyAxis | None
    """Where zero lies and how high a row is; None if the axis could not be read."""
    confidence: float
    """From 0 to 1."""
    reason: str
    """Why the confidence is low; empty if it is not."""
    n_labels: int
    """Numbers that agree with the axis."""
    fermi_label_row: float | None
    """Row coordinate of a label that says ``E_F``; None if there is none."""


class _Line(NamedTuple):
    """Rows of values."""

    slope: float
    """Rows per unit, negative."""
    zero: float
    """Row of zero."""
    deviation: float
    """Root mean square, rows."""


def read_axis(rgb: NDArray[np.uint8], panel: Box) -> AxisReading:
    """Read the energy axis of a panel from its tick labels, on the left or else on the right.

    Args:
        rgb: ``[H, W, 3]`` the upright picture.
        panel: Inside of the frame of the axes.

    Returns:
        The axis, zero where the labels say 0. Labels in meV, Ry or Hartree are taken for eV; very large numbers lower
        the confidence.
    """
    best = AxisReading(None, 0.0, "no numbers beside the panel", 0, None)
    for side in ("left", "right"):
        for level in _LEVELS:
            reading = _read_side(rgb, panel, side, level)
            if reading.confidence > best.confidence:
                best = reading
            if best.confidence >= _GOOD:
                return best
    return best


def _read_side(rgb: NDArray[np.uint8], panel: Box, side: Side, level: float) -> AxisReading:
    """Read the labels on one side."""
    nothing = AxisReading(None, 0.0, "", 0, None)
    strip = cut_strip(rgb, panel, side, level)
    if strip is None:
        return nothing
    boxes = text_boxes(strip, panel, side)
    distance = strip.ink.shape[1] - boxes[:, 2] if side == "left" else boxes[:, 0]
    boxes = boxes[np.argsort(distance, kind="stable")[:_MAX_LABELS]]
    labels, boxes = _near_labels(_labels(strip, boxes), boxes, strip.ink.shape[1], side)
    fermi_rows = [label.row for label in labels if label.line.text == FERMI]
    fit = fit_scale(labels) if len(labels) > 1 else None
    if fit is None:
        return nothing
    rows = np.array([labels[k].row for k in fit.members])
    height = float(np.median([labels[k].height for k in fit.members]))
    values = np.array(fit.values)
    line = _straight(values, rows)
    edges = _frame_edges(panel, strip, side)
    profiles = _tick_profiles(rgb, panel, strip, boxes[list(fit.members)], side)
    snapped = []
    for ink, top in profiles:
        found = _snap(ink, top, edges, line, values, height)
        if found is not None:
            snapped.append(found)
            if found[1] == 1.0 and found[0].deviation < 0.35 and values.size > 2:
                break
    confidence, reason = _confidence(fit, line.deviation / height)
    if snapped:
        line = max(snapped, key=lambda found: (round(found[1], 2), -found[0].deviation))[0]
    if not line.slope < 0.0 or confidence < _USELESS:
        return nothing
    return AxisReading(
        axis=EnergyAxis(fermi_row=line.zero, ev_per_pixel=-1.0 / line.slope),
        confidence=confidence,
        reason=reason,
        n_labels=len(fit.members),
        fermi_label_row=fermi_rows[0] if fermi_rows else None,
    )


def _labels(strip: Strip, boxes: NDArray[np.int64]) -> list[Label]:
    """Read lines of text of a strip."""
    lines = read_lines(strip.ink, [(int(b[0]), int(b[1]), int(b[2]), int(b[3])) for b in boxes])
    return [
        Label(strip.top + 0.5 * float(box[1] + box[3]), float(box[3] - box[1]), line)
        for box, line in zip(boxes, lines, strict=True)
    ]


def _near_labels(
    labels: list[Label], boxes: NDArray[np.int64], width: int, side: Side
) -> tuple[list[Label], NDArray[np.int64]]:
    """Keep lines in the column of numbers that is nearest to the axis and of like size."""
    numbers = [k for k, label in enumerate(labels) if label.value is not None]
    if len(numbers) < 2:
        return [], boxes[:0]
    distance = width - boxes[:, 2] if side == "left" else boxes[:, 0]
    height = float(np.median([labels[k].height for k in numbers]))
    nearest = min(distance[k] for k in numbers if labels[k].height > 0.6 * height)
    kept = [
        k
        for k, label in enumerate(labels)
        if distance[k] - nearest < 3.5 * height and 0.6 < label.height / height < 1.7
    ]
    return [labels[k] for k in kept], boxes[kept]


def _straight(values: NDArray[np.float64], rows: NDArray[np.float64]) -> _Line:
    """Least-squares line."""
    middle = values.mean()
    slope = float((values - middle) @ rows / ((values - middle) @ (values - middle)))
    zero = float(rows.mean() - slope * middle)
    return _Line(slope, zero, float(np.sqrt(np.mean((rows - zero - slope * values) ** 2))))


def _frame_edges(panel: Box, strip: Strip, side: Side) -> tuple[float, float]:
    """Middles of the upper and the lower line of the frame; they are as thick as the line of the axis."""
    first, last = _axis_columns(panel, strip, side)
    return panel.top - 0.5 * (last - first), panel.bottom + 0.5 * (last - first)


def _axis_columns(panel: Box, strip: Strip, side: Side) -> tuple[int, int]:
    """First and last (exclusive) column of the line of the axis."""
    return (strip.left + strip.ink.shape[1], panel.left) if side == "left" else (panel.right, strip.left)


def _tick_profiles(
    rgb: NDArray[np.uint8], panel: Box, strip: Strip, boxes: NDArray[np.int64], side: Side
) -> list[tuple[NDArray[np.float64], int]]:
    """Ink by rows just outside and just inside of the axis, where tick marks are, and the row where each begins.

    Inside, all ink and ink of the colour of the axis alone: the other is data, mostly.
    """
    reach = max(3, round(0.35 * float(np.median(boxes[:, 3] - boxes[:, 1]))))
    width = strip.ink.shape[1]
    if side == "left":
        outside = strip.ink[:, max(int(boxes[:, 2].max()) + 1, width - reach) : width]
        inside = rgb[panel.top : panel.bottom, panel.left : panel.left + reach]
    else:
        outside = strip.ink[:, : min(int(boxes[:, 0].min()) - 1, reach)]
        inside = rgb[panel.top : panel.bottom, panel.right - reach : panel.right]
    profiles = [(outside.mean(axis=1, dtype=np.float64), strip.top)] if outside.shape[1] > 0 else []
    inside = np.ascontiguousarray(inside)
    page = background(rgb[panel.top : panel.bottom, panel.left : panel.right], 4)
    profiles.append((contrast(inside, page[None]).mean(axis=1) / 255.0, panel.top))
    first, last = _axis_columns(panel, strip, side)
    if last > first:
        line = rgb[panel.top : panel.bottom, (first + last) // 2]
        colour = np.rint(np.median(line, axis=0)).astype(np.uint8)
        full = int(contrast(page[None, None], colour[None])[0, 0])
        if full > 64:
            ink = np.maximum(1.0 - contrast(inside, colour[None]) / full, 0.0).mean(axis=1)
            profiles.append((ink, panel.top))
    return profiles


def _snap(
    profile: NDArray[np.float64],
    top: int,
    edges: tuple[float, float],
    fit: _Line,
    values: NDArray[np.float64],
    height: float,
) -> tuple[_Line, float] | None:
    """Fit the scale to tick marks near the labels.

    Every two marks of different labels make a line; the one with marks at most labels is taken.

    Args:
        profile: Ink by rows near the axis.
        top: Row of the picture where the profile begins.
        edges: Upper and lower line of the frame, which serve as marks too.
        fit: Where the labels themselves say that the marks are.
        values: ``[n]`` what the labels show.
        height: Height of a label, pixels.

    Returns:
        The line and the share of labels with a mark; None if there are not enough marks or they are not evenly spaced.
    """
    expected = fit.zero + fit.slope * values
    near = max(2.0, 0.4 * height)
    marks = [
        [*tick_marks(profile, row - top, height), *(edge - top for edge in edges if abs(edge - row) < near)]
        for row in expected
    ]
    label = np.array([k for k, rows in enumerate(marks) for _ in rows], np.int64)
    rows = np.array([row + top for some in marks for row in some], np.float64)
    one, two = np.nonzero(label[:, None] < label)
    if one.size == 0:
        return None
    value = values[label]
    slope = (rows[two] - rows[one]) / (value[two] - value[one])
    away = np.abs(rows - rows[one, None] - slope[:, None] * (value - value[one, None]))
    first = np.flatnonzero(np.diff(label, prepend=-1))
    support = np.logical_or.reduceat(away <= 0.8, first, axis=1).sum(axis=1)
    closeness = np.abs(rows[one] - expected[label[one]]) + np.abs(rows[two] - expected[label[two]])
    slack = max(3.0, 0.2 * height) / np.ptp(values)
    support = np.where(np.abs(slope - fit.slope) <= slack, support - 1e-3 * closeness, 0.0)
    best = int(np.argmax(support))
    chosen = np.flatnonzero(away[best] <= 0.8)
    chosen = chosen[np.argsort(away[best, chosen], kind="stable")]
    chosen = chosen[np.unique(label[chosen], return_index=True)[1]]
    if support[best] <= 0.0 or chosen.size < (2 if values.size < 4 else max(3, 0.5 * values.size)):
        return None
    return _straight(value[chosen], rows[chosen]), chosen.size / values.size


def _confidence(fit: Fit, deviation: float) -> tuple[float, str]:
    """Confidence in a fit, and what speaks against it; the deviation is in heights of a label."""
    n_members = len(fit.members)
    doubts = [
        (1.0 - math.exp(-1.1 * (n_members - 1)), f"only {n_members} labels agree"),
        (n_members / max(n_members, fit.n_numbers), "some numbers do not fit"),
        (1.0 - math.exp(-0.4 * max(0.0, fit.margin)), "another scale fits nearly as well"),
        (min(1.0, 1.1 * fit.clarity), "the numbers are hard to read"),
        (math.exp(-((deviation / 0.25) ** 2)), "the labels are not evenly spaced"),
        (1.0 if is_nice(fit.scale.step) else 0.8 if n_members > 3 else 0.4, "the step is unusual"),
        (1.0 if has_zero(fit.scale) else 0.7, "no label can say zero"),
        (1.0 - 0.7 * fit.n_signs_lost / n_members, "minus signs are not seen"),
        (1.0 if max(abs(v) for v in fit.values) <= _LARGEST_EV else 0.3, "the numbers are too large for eV"),
    ]
    confidence = math.prod(factor for factor, _ in doubts)
    return confidence, "" if confidence >= _GOOD else min(doubts)[1]
