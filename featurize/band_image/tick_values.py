"""From lines of text at known rows to the straight scale that explains them best."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shc.featurize.band_image.digits import Line

NUMBER: Final = re.compile(r"(#*)([-+]?)(\d{1,4}(?:\.\d{1,4})?|\.\d{1,3})(-?)")
"""A number, perhaps with a stray glyph before it and a tick mark behind it."""
FERMI: Final = "EF"
_MISREAD: Final = -7.0
"""Least that a number counts, log probability: another thing stands there, or it was not read well."""
_NO_NUMBER: Final = -2.0
"""The same for a line that does not look like a number."""
_TRIED: Final = 6
"""So many of the likeliest scales are compared in full."""
_LOST_MINUS: Final = -2.5
_CLEAR: Final = -1.0
"""A number that agrees as well as this supports the scale."""


@dataclass(frozen=True)
class Label:
    """A line of text beside the axis."""

    row: float
    """Its middle, row coordinate of the picture."""
    height: float
    """Height of its glyphs, pixels."""
    line: Line

    @cached_property
    def value(self) -> float | None:
        """The number that it most likely shows; 0 for the Fermi level; None if it is no number."""
        match = NUMBER.fullmatch(self.line.text)
        if match is not None:
            number = float(match[3])
            return -number if match[2] == "-" else number
        return 0.0 if self.line.text == FERMI else None


@dataclass(frozen=True, slots=True)
class Scale:
    """Values on a straight axis with evenly spaced labels."""

    anchor_row: float
    anchor_value: float
    spacing: float
    """Rows from one label to the next lower one."""
    step: float
    """By how much values fall from one label to the next lower one; positive."""

    def index(self, row: float) -> int:
        """Which label of the grid a row is nearest to; the anchor is 0."""
        return round((row - self.anchor_row) / self.spacing)

    def value(self, index: int) -> float:
        """Value of a label of the grid."""
        return self.anchor_value - self.step * index

    def is_near(self, label: Label) -> bool:
        """Whether a label stands at a place of the grid; the grid is known better near its anchor."""
        index = self.index(label.row)
        away = abs(label.row - self.anchor_row - index * self.spacing)
        return away <= min(0.2 * self.spacing, 1.0 + 0.12 * label.height + 0.3 * abs(index))


@dataclass(frozen=True, slots=True)
class Fit:
    """The scale that explains labels best."""

    scale: Scale
    members: tuple[int, ...]
    """Labels that agree with it."""
    values: tuple[float, ...]
    """Their values."""
    n_numbers: int
    """Labels that look like numbers, also those that do not agree."""
    n_signs_lost: int
    """Members whose minus sign was not seen."""
    margin: float
    """By how much, log probability, it is better than the next."""
    clarity: float
    """Mean probability of what the members were read as."""


def fit_scale(labels: list[Label]) -> Fit | None:
    """Find the scale that explains labels best, in spite of misread digits, lost minus signs and other text.

    Every two numbers make a scale; a scale scores the log probability of the text that it wants at each label, less
    that of the text read there, and odd steps cost.

    Args:
        labels: Any order.

    Returns:
        None if no two labels agree with any rising scale.
    """
    memory: dict[tuple[int, float], tuple[float, bool]] = {}
    scored = [
        (_prior(scale) + sum(_score(k, label, scale, memory)[0] for k, label in enumerate(labels)), scale)
        for scale in _candidates(labels)
    ]
    if not scored:
        return None
    ranking = sorted(scored, key=lambda entry: -entry[0])
    best, scale = ranking[0]
    scores = [_score(k, label, scale, memory) for k, label in enumerate(labels)]
    clear = [k for k, (score, lost) in enumerate(scores) if score >= (_LOST_MINUS if lost else 0.0) + _CLEAR]
    by_place = {scale.index(labels[k].row): k for k in sorted(clear, key=lambda k: scores[k][0])}
    members = sorted(by_place.values())
    if len(members) < 2:
        return None
    second = next((score for score, other in ranking[1:] if _differ(scale, other, labels)), -math.inf)
    nothing = _MISREAD * sum(label.value is not None for label in labels)
    clarity = [math.exp(labels[k].line.log_likelihood / max(1, len(labels[k].line.text))) for k in members]
    return Fit(
        scale=scale,
        members=tuple(members),
        values=tuple(scale.value(scale.index(labels[k].row)) for k in members),
        n_numbers=sum(label.value is not None for label in labels),
        n_signs_lost=sum(scores[k][1] for k in members),
        margin=best - max(second, nothing),
        clarity=sum(clarity) / len(clarity),
    )


def _candidates(labels: list[Label]) -> list[Scale]:
    """The scales through any two numbers that most of the others agree with."""
    numbers = sorted((label for label in labels if label.value is not None), key=lambda label: label.row)
    votes: dict[tuple[float, float], tuple[float, Scale]] = {}
    for scale in _through_two(numbers):
        key = _key(scale, numbers[0].row)
        if key not in votes:
            votes[key] = (_prior(scale) / 10.0 + sum(_vote(label, scale) for label in numbers), scale)
    ranking = sorted(votes.values(), key=lambda vote: -vote[0])
    return [scale for _, scale in ranking[:_TRIED]]


def _vote(label: Label, scale: Scale) -> float:
    """1 for a number as the scale wants it, less if it lacks its minus sign, 0 for another."""
    wanted, value = scale.value(scale.index(label.row)), label.value
    if value is None or not scale.is_near(label):
        return 0.0
    small = 1e-3 * scale.step
    return 1.0 if abs(value - wanted) < small else 0.6 if abs(value + wanted) < small and value > 0.0 else 0.0


def _through_two(numbers: list[Label]) -> Iterator[Scale]:
    """Scales through every two numbers, for all spacings between neighbours; a minus sign may be lost."""
    gaps = sorted({b.row - a.row for a, b in itertools.pairwise(numbers) if b.row - a.row > a.height})
    spacings: list[float] = []
    for gap in gaps:
        if not spacings or gap > 1.08 * spacings[-1]:
            spacings.append(gap)
    for i, upper in enumerate(numbers):
        for lower in numbers[i + 1 :]:
            for spacing in spacings[:4]:
                count = round((lower.row - upper.row) / spacing)
                if count == 0 or abs((lower.row - upper.row) / count - spacing) > 0.15 * spacing:
                    continue
                for high, low in _signed(upper.value or 0.0, lower.value or 0.0):
                    if high > low:
                        yield Scale(upper.row, high, (lower.row - upper.row) / count, (high - low) / count)


def _signed(upper: float, lower: float) -> Iterator[tuple[float, float]]:
    """The values as read, and with minus signs that may have been lost."""
    yield upper, lower
    if lower > 0.0:
        yield upper, -lower
        if upper > 0.0:
            yield -upper, -lower


def _key(scale: Scale, row: float) -> tuple[float, float]:
    """The same for scales that give the same values."""
    return round(scale.value(scale.index(row)) / scale.step, 2), round(scale.step * 100 / scale.spacing, 2)


def _differ(one: Scale, other: Scale, labels: list[Label]) -> bool:
    """Whether two scales disagree at any label."""
    return any(
        abs(one.value(one.index(label.row)) - other.value(other.index(label.row))) > 0.01 * one.step
        for label in labels
        if one.is_near(label) and other.is_near(label)
    )


def is_nice(step: float) -> bool:
    """Whether a step is 1, 2, 2.5 or 5 times a power of ten."""
    mantissa = step / 10.0 ** math.floor(math.log10(step) + 1e-9)
    return min(abs(mantissa - nice) for nice in (1.0, 2.0, 2.5, 5.0)) < 1e-3


def has_zero(scale: Scale) -> bool:
    """Whether zero is a place of the grid."""
    index = scale.anchor_value / scale.step
    return abs(index - round(index)) < 1e-3


def _prior(scale: Scale) -> float:
    """Log probability of such a scale, up to a constant."""
    half_nice = any(is_nice(scale.step / factor) for factor in (1.5, 3.0, 4.0, 6.0, 8.0))
    return (0.0 if is_nice(scale.step) else -2.0 if half_nice else -6.0) + (0.0 if has_zero(scale) else -2.5)


def _score(
    k: int, label: Label, scale: Scale, memory: dict[tuple[int, float], tuple[float, bool]]
) -> tuple[float, bool]:
    """How well a label agrees with a scale, log probability, and whether its minus sign was lost."""
    match = NUMBER.fullmatch(label.line.text)
    floor = _MISREAD if match or label.line.text == FERMI else _NO_NUMBER
    if not scale.is_near(label):
        return floor, False
    value = round(scale.value(scale.index(label.row)), 6)
    if label.value == value:
        return 0.0, False
    if (k, value) not in memory:
        before, after = (match[1], match[4]) if match else ("", "")
        plus = "+" if match and match[2] == "+" else ""
        best, lost = floor, False
        for text in _texts(abs(value)):
            signed = before + ("-" if value < 0.0 else plus if value > 0.0 else "") + text + after
            score = _better(label.line, signed, 0.0, best)
            if score > best:
                best, lost = score, False
            if value < 0.0:
                score = _better(label.line, before + text + after, _LOST_MINUS, best)
                if score > best:
                    best, lost = score, True
        if value == 0.0:
            best = _better(label.line, FERMI, 0.0, best)
        memory[k, value] = (best, lost)
    return memory[k, value]


def _better(line: Line, text: str, cost: float, best: float) -> float:
    """Log probability of a text less that of the one that was read, plus a cost; the best so far if that is more."""
    needed = best - cost + line.log_likelihood
    if line.at_most(text) <= needed:
        return best
    return max(best, line.likelihood(text) - line.log_likelihood + cost)


def _texts(value: float) -> Iterator[str]:
    """How a number that is not negative may be written."""
    for decimals in range(4):
        text = f"{value:.{decimals}f}"
        if abs(float(text) - value) < 1e-5:
            yield text
            if text.startswith("0."):
                yield text[1:]
