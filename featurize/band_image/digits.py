"""Reads numbers drawn in a picture: a small network of our own over the columns of a line of text.

A line is scaled to ``ROWS`` rows. Three convolutions along the line give, for every column, the probability of each
glyph; no glyph has to be cut out, so touching and broken ones are read as well. ``benchmarks/build_digits.py`` draws
the training lines and writes ``data/digits.npz``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from io import BytesIO
from typing import TYPE_CHECKING, Final

import numpy as np

from shc.kernels.glyphs import resized, text_likelihood

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

GLYPHS: Final = "0123456789.-+EF#"
"""What a column may show, class 1 onwards (class 0 is the gap between glyphs): digits, point or comma, signs, ``E``,
``F``, and ``#`` for anything else."""
ROWS: Final = 24
"""Rows of a scaled line."""
TEXT_ROWS: Final = 18
"""Rows that the text itself takes, in the middle of ``ROWS``."""
MAX_COLUMNS: Final = 192
"""Longer lines are cut off on the left."""
STRIDES: Final = (2, 1, 1)
"""Columns from output to output of the three convolutions."""
DILATIONS: Final = (1, 1, 2)
"""Columns from tap to tap of the three convolutions."""
_APART: Final = 8
"""Columns between lines that are read together: as far as a convolution reaches."""
_ROUNDING: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text as the network sees it."""

    log_probability: NDArray[np.float32]
    """``[n_outputs, 1 + len(GLYPHS)]``."""
    text: str
    """The most probable glyphs, column by column."""
    log_likelihood: float
    """Log probability of ``text``."""
    seen: dict[str, float]
    """Log of the sum over all columns of the probability of each glyph."""

    def at_most(self, text: str) -> float:
        """A bound of ``likelihood`` that costs little: a text needs each of its glyphs in at least one column."""
        return min([self.seen[glyph] for glyph in text], default=0.0) + _ROUNDING

    def likelihood(self, text: str) -> float:
        """Log probability of any text made of ``GLYPHS``."""
        return float(text_likelihood(self.log_probability, _classes(text)))


def read_lines(ink: NDArray[np.float32], boxes: Sequence[tuple[int, int, int, int]]) -> list[Line]:
    """Read lines of text.

    Args:
        ink: ``[H, W]`` from 0 (background) to 1.
        boxes: Left, top, right and bottom (exclusive) of each line, tight around its ink.

    Returns:
        One line for each box.
    """
    if not boxes:
        return []
    lines = [scaled_line(ink, box) for box in boxes]
    stride = math.prod(STRIDES)
    # All in one row, each far enough from the next for the convolutions not to see both.
    starts = np.cumsum([0] + [stride * n_outputs(line.shape[0]) + _APART for line in lines]).tolist()
    row = np.zeros((starts[-1], ROWS), np.float32)
    inside = np.zeros(starts[-1], np.bool_)
    for start, line in zip(starts, lines, strict=False):
        row[start : start + line.shape[0]] = line
        inside[start : start + line.shape[0]] = True
    logits = _network(row, inside)
    logits -= logits.max(axis=1, keepdims=True)
    probability = np.exp(logits)
    total = probability.sum(axis=1, keepdims=True)
    logits -= np.log(total)
    probability /= total
    places = [
        slice(start // stride, start // stride + n_outputs(line.shape[0]))
        for start, line in zip(starts, lines, strict=False)
    ]
    seen = np.log([probability[place].sum(axis=0) for place in places]).tolist()
    return [_line(logits[place], sums) for place, sums in zip(places, seen, strict=True)]


def n_outputs(n_columns: int) -> int:
    """Number of columns of a line after the convolutions."""
    return -(-n_columns // math.prod(STRIDES))


def scaled_line(ink: NDArray[np.float32], box: tuple[int, int, int, int]) -> NDArray[np.float32]:
    """Cut a line out, scale it to ``TEXT_ROWS`` rows of text and bring its darkest ink to 1.

    Args:
        ink: ``[H, W]`` from 0 to 1.
        box: Left, top, right and bottom (exclusive) of the text.

    Returns:
        ``[n_columns, ROWS]``; the columns of the line come first, so that convolutions run along it.
    """
    left, top, right, bottom = box
    scale = TEXT_ROWS / (bottom - top)
    margin = 0.5 * (ROWS - TEXT_ROWS) / scale
    columns = max(4, min(MAX_COLUMNS, round((right - left + 2 * margin) * scale)))
    around = math.ceil(margin) + 1
    x0 = max(left, right - round(MAX_COLUMNS / scale)) - around
    end = right + margin
    window = (max(float(x0), end - columns / scale), top - margin, end, bottom + margin)
    line: NDArray[np.float32] = resized(ink, (x0, top - around, right + around, bottom + around), window, columns, ROWS)
    return line


def _line(log_probability: NDArray[np.float32], sums: list[float]) -> Line:
    """Turn the columns of the network into a line; the sums are those of ``Line.seen``, class by class."""
    best = log_probability.argmax(axis=1)
    first = np.ones(best.size, np.bool_)
    first[1:] = best[1:] != best[:-1]
    text = "".join([GLYPHS[c - 1] for c in best[first & (best > 0)].tolist()])
    likelihood = float(text_likelihood(log_probability, _classes(text)))
    return Line(log_probability, text, likelihood, dict(zip(GLYPHS, sums[1:], strict=True)))


@lru_cache(maxsize=4096)
def _classes(text: str) -> NDArray[np.int64]:
    """Classes of the glyphs of a text."""
    return np.array([GLYPHS.index(glyph) + 1 for glyph in text], np.int64)


def _network(row: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """``[n_columns, ROWS]`` ink and ``[n_columns]`` what of it are lines to ``[n_outputs, 1 + len(GLYPHS)]`` logits."""
    weights = _weights()
    x = row
    for layer, (stride, dilation) in enumerate(zip(STRIDES, DILATIONS, strict=True)):
        kernel = weights[f"convolution.{layer}.weight"]
        taps = kernel.shape[0]
        pad = dilation * (taps // 2)
        columns = x.shape[0]
        padded = np.pad(x, ((pad, pad), (0, 0)))
        views = [padded[t * dilation : t * dilation + columns : stride] for t in range(taps)]
        x = np.concatenate(views, axis=1) @ kernel.reshape(-1, kernel.shape[2])
        x = np.maximum(x + weights[f"convolution.{layer}.bias"], 0.0)
        inside = inside[::stride]
        x[~inside] = 0.0
    logits: NDArray[np.float32] = x @ weights["output.weight"] + weights["output.bias"]
    return logits


@cache
def _weights() -> dict[str, NDArray[np.float32]]:
    """The shipped weights: kernels ``[taps, n_in, n_out]``, single precision."""
    data = files("shc.featurize").joinpath("data/digits.npz").read_bytes()
    with np.load(BytesIO(data), allow_pickle=False) as stored:
        return {name: stored[name].astype(np.float32) for name in stored.files}
