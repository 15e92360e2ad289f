from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shc.kernels import image, image_reference
from shc.kernels.image import draw_bands

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE = 224
WINDOW = 3.0


def _bands(seed: int, n_k: int, n_bands: int, spread: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A path with points on top of each other here and there, and bands with holes."""
    rng = np.random.default_rng(seed)
    steps = rng.random(n_k - 1) * (rng.random(n_k - 1) > 0.15)
    steps[0] += 0.1
    energy = rng.normal(0.0, spread, n_bands) + np.cumsum(rng.normal(0.0, 0.4 * spread, (n_k, n_bands)), axis=0)
    energy[rng.random(energy.shape) < 0.03] = np.nan
    energy[rng.random(energy.shape) < 0.01] = np.inf
    return np.concatenate([[0.0], np.cumsum(steps)]) + rng.normal(), energy


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**31),
    n_k=st.integers(2, 24),
    n_bands=st.integers(0, 4),
    size=st.sampled_from([1, 2, 17, 48]),
    stroke_width=st.sampled_from([0.3, 1.0, 1.5, 4.7]),
    spread=st.sampled_from([0.01, 1.0, 40.0]),
    n_breaks=st.integers(0, 3),
)
def test_equals_twin(
    seed: int, n_k: int, n_bands: int, size: int, stroke_width: float, spread: float, n_breaks: int
) -> None:
    distance, energy = _bands(seed, n_k, n_bands, spread)
    breaks = np.random.default_rng(seed).integers(0, n_k, n_breaks)
    ours = draw_bands(distance, energy, breaks, WINDOW, size, stroke_width)
    theirs = image_reference.draw_bands(distance, energy, breaks, WINDOW, size, stroke_width)
    assert ours.dtype == theirs.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, rtol=0.0, atol=1e-6)


@pytest.mark.parametrize("row", [0, 5, 111, 112, 223])
def test_flat_band_is_a_level_stroke_in_its_row(row: int) -> None:
    energy = WINDOW * (1.0 - (row + 0.5) / (SIZE / 2))
    picture = draw_bands([0.0, 0.4, 2.0], np.full((3, 1), energy), [], WINDOW, SIZE, 1.5)
    expected = np.zeros((SIZE, SIZE), np.float32)
    expected[row] = 1.0
    for beside in (row - 1, row + 1):
        if 0 <= beside < SIZE:
            expected[beside] = 0.25
    np.testing.assert_allclose(picture, expected, atol=1e-6)


def test_fermi_level_is_half_way_up_and_energy_rises_upwards() -> None:
    level = draw_bands([0.0, 1.0], np.zeros((2, 1)), [], WINDOW, SIZE, 1.5)
    assert np.flatnonzero(level.any(axis=1)).tolist() == [111, 112]
    np.testing.assert_allclose(level[111:113], 0.75)
    rising = draw_bands([0.0, 1.0], [[-3.0], [3.0]], [], WINDOW, SIZE)
    assert rising[-1, 0] == rising[0, -1] == 1.0
    assert rising[0, 0] == rising[-1, -1] == 0.0


def test_mirrored_energies_mirror_the_picture() -> None:
    distance, energy = _bands(3, 60, 9, 1.0)
    up = draw_bands(distance, energy, [20, 41], WINDOW, SIZE)
    np.testing.assert_array_equal(draw_bands(distance, -energy, [20, 41], WINDOW, SIZE), up[::-1])
    assert 0.02 < up.mean() < 0.9


def test_nothing_is_drawn_across_a_break() -> None:
    distance, energy = [0.0, 1.0, 1.0, 2.0], np.array([[-1.5], [-1.5], [1.5], [1.5]])
    whole = draw_bands(distance, energy, [], WINDOW, SIZE)
    broken = draw_bands(distance, energy, [2], WINDOW, SIZE)
    assert whole[80:144, 111:113].min() > 0.5
    assert not broken[80:144].any()
    # Both sides reach the break: rows of -1.5 and 1.5 eV.
    assert broken[167, 110] > 0.5
    assert broken[55, 113] > 0.5
    assert not broken[167, 120:].any()


def test_missing_energies_leave_a_hole() -> None:
    energy = np.zeros((9, 2))
    energy[4, 0] = np.nan
    energy[:, 1] = np.inf
    picture = draw_bands(np.arange(9.0), energy, [], WINDOW, 80, 1.5)
    assert not picture[:, 32:48].any()
    assert picture[39, :30].min() == picture[39, 50:].min() == 0.75


def test_bands_on_top_of_each_other_look_like_one() -> None:
    distance, energy = _bands(5, 40, 6, 1.0)
    one = draw_bands(distance, energy, [17], WINDOW, SIZE)
    np.testing.assert_array_equal(draw_bands(distance, np.repeat(energy, 2, axis=1), [17], WINDOW, SIZE), one)
    assert one.max() == 1.0


def test_points_between_do_not_change_a_straight_band() -> None:
    coarse = draw_bands([0.0, 1.0], [[-2.0], [1.0]], [], WINDOW, SIZE)
    along = np.linspace(0.0, 1.0, 57)
    fine = draw_bands(along, (3.0 * along - 2.0)[:, None], [], WINDOW, SIZE)
    np.testing.assert_allclose(fine, coarse, atol=1e-6)


def test_slanted_stroke_covers_its_area() -> None:
    # Both ends lie far outside, so that the picture holds a strip of known area.
    for slope in (0.0, 0.3, 1.0, 4.0):
        picture = draw_bands([0.0, 1.0], [[-WINDOW * slope], [WINDOW * slope]], [], WINDOW, SIZE, 1.5)
        length = SIZE * (1.0 + slope**2) ** 0.5 / max(1.0, slope)
        assert picture.sum() == pytest.approx(1.5 * length, rel=0.02)


def test_strokes_end_at_the_window() -> None:
    assert not draw_bands([0.0, 1.0], [[3.1], [9.0]], [], WINDOW, SIZE).any()
    assert not draw_bands([0.0, 1.0], [[-1e30], [-1e12]], [], WINDOW, SIZE).any()
    assert draw_bands([0.0, 1.0], [[2.9], [9.0]], [], WINDOW, SIZE).any()
    assert draw_bands([0.0, 1.0], np.empty((2, 0)), [], WINDOW, SIZE).shape == (SIZE, SIZE)


def test_one_compiled_version_serves_every_layout_and_repeats_itself() -> None:
    distance, energy = _bands(8, 50, 7, 1.0)
    expected = draw_bands(distance, energy, [9], WINDOW, SIZE)
    frozen = np.asfortranarray(energy)
    frozen.flags.writeable = False
    np.testing.assert_array_equal(draw_bands(distance, frozen, np.array([9], np.int32), 3, SIZE), expected)
    np.testing.assert_array_equal(draw_bands(list(distance), energy[:, ::-1], (9,), WINDOW, SIZE), expected)
    draw_bands(distance, energy.astype(np.float32), [9], WINDOW, SIZE)
    assert len(image._draw.signatures) == 1


def test_a_full_picture_takes_about_a_millisecond() -> None:
    k = np.linspace(0.0, 20.0, 160)[:, None]
    energy = np.linspace(-2.8, 2.8, 40) + 0.8 * np.sin(k * np.linspace(0.4, 1.0, 40))
    best = float("inf")
    for _ in range(20):
        start = time.process_time()
        draw_bands(k[:, 0], energy, [70], WINDOW, SIZE)
        best = min(best, time.process_time() - start)
    # A third of this on an idle machine.
    assert best < 2e-3


@pytest.mark.parametrize(
    ("distance", "energy", "breaks", "window", "size", "width", "message"),
    [
        ([0.0, 1.0], np.zeros((3, 1)), [], 3.0, 9, 1.5, r"energy must be \[2, n_bands\]"),
        ([0.0, 1.0], np.zeros(2), [], 3.0, 9, 1.5, "energy must be"),
        ([1.0, 0.0], np.zeros((2, 1)), [], 3.0, 9, 1.5, "never fall"),
        ([0.0, np.nan], np.zeros((2, 1)), [], 3.0, 9, 1.5, "finite"),
        ([1.0, 1.0], np.zeros((2, 1)), [], 3.0, 9, 1.5, "no length"),
        ([1.0], np.zeros((1, 1)), [], 3.0, 9, 1.5, "no length"),
        ([0.0, 1.0], np.zeros((2, 1)), [2], 3.0, 9, 1.5, "breaks"),
        ([0.0, 1.0], np.zeros((2, 1)), [-1], 3.0, 9, 1.5, "breaks"),
        ([0.0, 1.0], np.zeros((2, 1)), [], 0.0, 9, 1.5, "window_ev"),
        ([0.0, 1.0], np.zeros((2, 1)), [], 3.0, 0, 1.5, "size"),
        ([0.0, 1.0], np.zeros((2, 1)), [], 3.0, 9, np.nan, "stroke_width"),
    ],
)
def test_bad_input_is_refused(
    distance: list[float],
    energy: NDArray[np.float64],
    breaks: list[int],
    window: float,
    size: int,
    width: float,
    message: str,
) -> None:
    with pytest.raises(ValueError, match=message):
        draw_bands(distance, energy, breaks, window, size, width)
