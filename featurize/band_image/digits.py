"""Reads numbers drawn in a picture: a small network of our own over the columns of a line of text.

A line is scaled to ``ROWS`` rows. Three convolutions along the line give, for every column, the probability of each
glyph; no glyph has to be cut out, so touching and broken ones are read as well. ``benchmarks/build_digits.py`` draws
the training lines and writes ``data/digits.npz``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from shc.kernels.glyphs import text_likelihood

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


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text as the network sees it."""

    log_probability: NDArray[np.float32]
    """``[n_outputs, 1 + len(GLYPHS)]``."""
    text: str
    """The most probable glyphs, column by column."""
    log_likelihood: float
    """Log probability of ``text``."""

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
    batch = np.zeros((len(lines), max(line.shape[0] for line in lines), ROWS), np.float32)
    for i, line in enumerate(lines):
        batch[i, : line.shape[0]] = line
    logits = _network(batch)
    return [_line(logits[i, : n_outputs(line.shape[0])]) for i, line in enumerate(lines)]


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
    y0, x1, y1 = top - around, right + around, bottom + around
    height, width = ink.shape
    cut = np.zeros((y1 - y0, x1 - x0), np.float32)
    v0, v1, u0, u1 = max(y0, 0), min(y1, height), max(x0, 0), min(x1, width)
    cut[v0 - y0 : v1 - y0, u0 - x0 : u1 - x0] = ink[v0:v1, u0:u1]
    end = right + margin - x0
    window = (end - columns / scale, top - margin - y0, end, bottom + margin - y0)
    window = (max(0.0, window[0]), window[1], window[2], window[3])
    image = Image.fromarray(cut).resize((columns, ROWS), Image.Resampling.BILINEAR, box=window)
    scaled = np.asarray(image, np.float32).T
    line: NDArray[np.float32] = np.clip(scaled / max(float(scaled.max()), 1e-3), 0.0, 1.0)
    return line


def _line(logits: NDArray[np.float32]) -> Line:
    """Turn the columns of the network into a line."""
    top = logits.max(axis=1, keepdims=True)
    log_probability = logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
    best = log_probability.argmax(axis=1)
    first = np.ones(best.size, np.bool_)
    first[1:] = best[1:] != best[:-1]
    text = "".join(GLYPHS[c - 1] for c in best[first & (best > 0)])
    return Line(log_probability, text, float(text_likelihood(log_probability, _classes(text))))


def _classes(text: str) -> NDArray[np.int64]:
    """Classes of the glyphs of a text."""
    return np.array([GLYPHS.index(glyph) + 1 for glyph in text], np.int64)


def _network(batch: NDArray[np.float32]) -> NDArray[np.float32]:
    """``[n, n_columns, ROWS]`` ink to ``[n, n_outputs, 1 + len(GLYPHS)]`` logits."""
    weights = _weights()
    x = batch
    for layer, (stride, dilation) in enumerate(zip(STRIDES, DILATIONS, strict=True)):
        kernel = weights[f"convolution.{layer}.weight"]
        taps = kernel.shape[0]
        pad = dilation * (taps // 2)
        columns = x.shape[1]
        padded = np.pad(x, ((0, 0), (pad, pad), (0, 0)))
        views = [padded[:, t * dilation : t * dilation + columns : stride] for t in range(taps)]
        x = np.concatenate(views, axis=2) @ kernel.reshape(-1, kernel.shape[2])
        x = np.maximum(x + weights[f"convolution.{layer}.bias"], 0.0)
    logits: NDArray[np.float32] = x @ weights["output.weight"] + weights["output.bias"]
    return logits


@cache
def _weights() -> dict[str, NDArray[np.float32]]:
    """The shipped weights: kernels ``[taps, n_in, n_out]``, single precision."""
    data = files("shc.featurize").joinpath("data/digits.npz").read_bytes()
    with np.load(BytesIO(data), allow_pickle=False) as stored:
        return {name: stored[name].astype(np.float32) for name in stored.files}
