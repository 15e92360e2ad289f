from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from shc.featurize.band_image.ink import draw_strokes, read_strokes
from shc.featurize.band_image.types import Box
from shc.kernels.image import draw_bands

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 448
SIZE = 224
PANEL = Box(20, 10, 20 + SIDE, 10 + SIDE)
X = np.linspace(0.0, 1.0, 80)
LEVELS = np.stack([0.6 + 0.25 * np.sin(5 * X), -0.2 + 0.3 * np.cos(4 * X), -0.7 + 0.05 * X], axis=1)
BLACK = (0, 0, 0)


def _paint(rgb: NDArray[np.uint8], ink: NDArray[np.float32], colour: tuple[int, int, int]) -> None:
    """Lay ink of a colour on the panel."""
    inside = rgb[PANEL.top : PANEL.bottom, PANEL.left : PANEL.right]
    inside[:] = np.rint(inside + ink[..., None] * (np.array(colour) - inside.astype(float))).astype(np.uint8)


def _figure(
    width: float = 3.0, colour: tuple[int, int, int] = BLACK, paper: tuple[int, int, int] = (255, 255, 255)
) -> NDArray[np.uint8]:
    rgb = np.empty((SIDE + 40, SIDE + 40, 3), np.uint8)
    rgb[:] = paper
    _paint(rgb, draw_bands(X, LEVELS, [], 1.0, SIDE, width), colour)
    return rgb


def _inside(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return rgb[PANEL.top : PANEL.bottom, PANEL.left : PANEL.right]


def _error(rgb: NDArray[np.uint8]) -> float:
    """Mean absolute difference from the ideal picture, as a part of its ink."""
    ours = draw_strokes(read_strokes(rgb, PANEL), (0.0, SIDE / SIZE, 0.0, SIDE / SIZE), SIZE)
    ideal = draw_bands(X, LEVELS, [], 1.0, SIZE)
    return float(np.abs(ours - ideal).mean() / ideal.mean())


@pytest.mark.parametrize("width", [1.0, 2.0, 3.0, 6.0, 12.0])
def test_width_of_the_strokes_does_not_matter(width: float) -> None:
    assert _error(_figure(width)) < (0.1 if width > 1.0 else 0.17)


@pytest.mark.parametrize(
    ("colour", "paper"),
    [
        ((200, 30, 30), (255, 255, 255)),
        ((200, 200, 200), (255, 255, 255)),
        ((255, 220, 40), (25, 25, 35)),
        ((30, 60, 200), (229, 236, 246)),
    ],
)
def test_colours_and_backgrounds_do_not_matter(colour: tuple[int, int, int], paper: tuple[int, int, int]) -> None:
    assert _error(_figure(3.0, colour, paper)) < 0.1


def test_shaded_window_is_background() -> None:
    rgb = _figure(3.0)
    plain = _inside(rgb)[150:260] == 255
    _inside(rgb)[150:260][plain.all(axis=2)] = (255, 240, 210)
    assert _error(rgb) < 0.12


@pytest.mark.parametrize("colour", [(150, 150, 150), (0, 120, 0), (235, 120, 120)])
@pytest.mark.parametrize("dash", [12, 7, 5])
def test_lines_across_are_taken_off_and_bands_survive(colour: tuple[int, int, int], dash: int) -> None:
    rgb = _figure(3.0, (20, 20, 200))
    band = (_inside(rgb) != 255).any(axis=2)
    lines = np.zeros((SIDE, SIDE), bool)
    on = np.arange(SIDE) % 12 < dash
    for at in (110, 224, 330):
        lines[at : at + 2, on] = True
        lines[on, at : at + 2] = True
    _inside(rgb)[lines & ~band] = colour
    assert _error(rgb) < 0.12


def test_black_lines_over_black_bands() -> None:
    rgb = _figure(3.0)
    for at in (110, 224, 330):
        _inside(rgb)[:, at : at + 2] = 0
    _inside(rgb)[224:226] = 0
    assert _error(rgb) < 0.15


def test_level_lines_are_told() -> None:
    rgb = _figure(3.0, (20, 20, 200))
    _inside(rgb)[223:225, np.arange(SIDE) % 10 < 6] = (90, 90, 90)
    ((row, seen),) = read_strokes(rgb, PANEL).levels
    assert row == pytest.approx(224.0, abs=0.5)
    assert 0.5 < seen < 0.65


def test_a_flat_band_stays_where_it_is_not_straight() -> None:
    rgb = np.full((SIDE + 40, SIDE + 40, 3), 255, np.uint8)
    flat = 0.3 + 0.015 * np.sin(9 * X[:, None])
    _paint(rgb, draw_bands(X, flat, [], 1.0, SIDE, 2.0), (200, 0, 0))
    ours = draw_strokes(read_strokes(rgb, PANEL), (0.0, 2.0, 0.0, 2.0), SIZE)
    ideal = draw_bands(X, flat, [], 1.0, SIZE)
    assert np.abs(ours - ideal).mean() < 0.1 * ideal.mean()


def test_ticks_inwards_are_taken_off() -> None:
    rgb = _figure(3.0, (200, 30, 30))
    for at in range(20, SIDE, 40):
        _inside(rgb)[at : at + 2, :9] = 0
        _inside(rgb)[at : at + 2, -9:] = 0
        _inside(rgb)[-9:, at : at + 2] = 0
    assert _error(rgb) < 0.12


def test_framed_legends_are_taken_off() -> None:
    rgb = _figure(2.0)
    blank = _figure(2.0)
    place = (slice(300, 360), slice(30, 150))
    _inside(blank)[place] = 255
    box = _inside(rgb)[place]
    box[:] = 255
    box[[0, -1]] = box[:, [0, -1]] = 204
    box[28:31, 10:40] = (0, 0, 200)
    for letter in range(50, 100, 10):
        box[20:36, letter : letter + 5] = 40
    given = draw_strokes(read_strokes(rgb, PANEL), (0.0, 2.0, 0.0, 2.0), SIZE)
    assert given[150:180, 15:75].mean() < 0.01


def test_words_are_taken_off_and_dots_stay() -> None:
    rgb = _figure(2.0)
    for k, letter in enumerate(range(200, 260, 10)):
        _inside(rgb)[270 + k % 2 : 284, letter : letter + 2] = 0
        _inside(rgb)[276:278, letter : letter + 6] = 0
    assert _error(rgb) < 0.1
    dotted = np.full_like(rgb, 255)
    ink = draw_bands(X, LEVELS, [], 1.0, SIDE, 4.0) * (np.arange(SIDE) % 6 < 4)
    _paint(dotted, ink.astype(np.float32), (200, 0, 0))
    assert _error(dotted) < 0.45


def test_an_empty_panel_has_no_ink() -> None:
    strokes = read_strokes(np.full((60, 60, 3), 255, np.uint8), Box(0, 0, 60, 60))
    assert strokes.share == 0.0
    assert not draw_strokes(strokes, (0.0, 1.0, 0.0, 1.0), 60).any()
