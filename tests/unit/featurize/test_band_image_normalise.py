from __future__ import annotations

import numpy as np
import pytest

from shc.featurize.band_image import normalise as module
from shc.featurize.band_image.fermi import given_axis, with_fermi_level
from shc.featurize.band_image.normalise import normalise
from shc.featurize.band_image.ticks import AxisReading
from shc.featurize.band_image.types import SURE, Box, EnergyAxis, EnergyWindow
from shc.featurize.electronic.picture import IMAGE_SIZE
from shc.featurize.errors import ShcError
from shc.kernels.image import draw_bands

BOX = Box(80, 30, 560, 510)
X = np.linspace(0.0, 1.0, 90)
LEVELS = np.stack([1.4 + np.sin(5 * X), -1.0 - 0.6 * np.cos(4 * X), -2.4 + 0.3 * X, 4.0 + X], axis=1)


def _figure(low: float, high: float, zero: float = 0.0) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Bands between two energies, the Fermi level at ``zero``, in a frame."""
    rgb = np.full((560, 640, 3), 255, np.uint8)
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    ink = draw_bands(X, LEVELS + zero - middle, [], half, BOX.height, 2.5)
    rgb[BOX.top : BOX.bottom, BOX.left : BOX.right] = np.rint(255 - ink[..., None] * [40, 200, 220])
    rgb[BOX.top - 2 : BOX.top, BOX.left - 2 : BOX.right + 2] = 0
    rgb[BOX.bottom : BOX.bottom + 2, BOX.left - 2 : BOX.right + 2] = 0
    rgb[BOX.top - 2 : BOX.bottom + 2, BOX.left - 2 : BOX.left] = 0
    rgb[BOX.top - 2 : BOX.bottom + 2, BOX.right : BOX.right + 2] = 0
    return rgb


@pytest.mark.parametrize(
    ("low", "high", "zero"), [(-4.0, 4.0, 0.0), (-6.0, 8.0, 0.0), (1.0, 9.0, 5.3), (-2.0, 1.5, 0.0)]
)
def test_window_of_a_person_gives_the_ideal_picture(low: float, high: float, zero: float) -> None:
    picture = normalise(_figure(low, high, zero), EnergyWindow(low, high, zero))
    ideal = draw_bands(X, LEVELS, [], 3.0, IMAGE_SIZE)
    middle = 3.0 * (1.0 - (2.0 * np.arange(IMAGE_SIZE) + 1.0) / IMAGE_SIZE)
    ideal[(middle < low - zero) | (middle > high - zero)] = 0.0
    assert picture.image.shape == (1, IMAGE_SIZE, IMAGE_SIZE)
    assert picture.image.dtype == np.float32
    assert np.abs(picture.image[0] - ideal).mean() < 0.15 * ideal.mean()
    assert picture.e_min_ev == pytest.approx(max(-3.0, low - zero))
    assert picture.e_max_ev == pytest.approx(min(3.0, high - zero))
    assert picture.panel == BOX
    assert picture.size == (560, 640)
    assert picture.confidence > 0.7


@pytest.mark.parametrize(("low", "high"), [(-0.15, 0.15), (-0.3, 0.3), (0.0, 8.0)])
def test_an_axis_that_is_hardly_one_of_bands_in_ev_is_doubtful(low: float, high: float) -> None:
    figure = _figure(-4.0, 4.0)
    picture = normalise(figure, EnergyWindow(low, high))
    assert 0.0 < picture.confidence < SURE
    assert any("may be no energy in eV" in reason for reason in picture.reasons)
    assert all("may be no" not in reason for reason in normalise(figure, EnergyWindow(-1.0, 1.0)).reasons)


def test_large_figures_are_read_alike() -> None:
    large = np.repeat(np.repeat(_figure(-4.0, 4.0), 4, axis=0), 4, axis=1)
    picture = normalise(large, EnergyWindow(-4.0, 4.0))
    ideal = draw_bands(X, LEVELS, [], 3.0, IMAGE_SIZE)
    assert picture.panel == Box(4 * BOX.left, 4 * BOX.top, 4 * BOX.right, 4 * BOX.bottom)
    assert np.abs(picture.image[0] - ideal).mean() < 0.15 * ideal.mean()


def test_what_is_not_known_is_empty() -> None:
    picture = normalise(_figure(-2.0, 1.5), EnergyWindow(-2.0, 1.5))
    assert not picture.image[0, : round(112 * (1 - 1.5 / 3)) - 1].any()
    assert not picture.image[0, round(112 * (1 + 2 / 3)) + 1 :].any()


def test_without_numbers_the_picture_is_empty_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "read_axis", lambda *_: AxisReading(None, 0.0, "no numbers beside the panel", 0, None))
    picture = normalise(_figure(-4.0, 4.0))
    assert picture.confidence == 0.0
    assert not picture.image.any()
    assert (picture.e_min_ev, picture.e_max_ev) == (0.0, 0.0)
    assert picture.axis is None
    assert picture.panel == BOX
    assert "--energy-window" in picture.reasons[0]


def test_numbers_that_are_read_give_the_axis(monkeypatch: pytest.MonkeyPatch) -> None:
    axis = EnergyAxis(BOX.top + 240.0, 8.0 / 480)
    monkeypatch.setattr(module, "read_axis", lambda *_: AxisReading(axis, 0.5, "few labels", 2, None))
    picture = normalise(_figure(-4.0, 4.0))
    assert picture.axis == axis
    assert picture.confidence < 0.6
    assert picture.reasons[0] == "few labels"
    told = normalise(_figure(-4.0, 4.0), EnergyWindow(-4.0, 4.0))
    np.testing.assert_array_equal(picture.image, told.image)


def test_a_blank_page_is_unusable() -> None:
    picture = normalise(np.full((300, 300, 3), 255, np.uint8))
    assert picture.confidence == 0.0
    assert picture.panel is None


def test_a_picture_that_is_all_but_empty_is_not_sure() -> None:
    rgb = _figure(-4.0, 4.0)
    rgb[BOX.top : BOX.bottom, BOX.left : BOX.right - 90] = 255
    picture = normalise(rgb, EnergyWindow(-4.0, 4.0))
    assert picture.confidence < 0.5
    assert picture.reasons[0] == "hardly any band was found"


def test_margins_beside_the_bands_are_cut() -> None:
    rgb = np.full((560, 640, 3), 255, np.uint8)
    narrow = _figure(-4.0, 4.0)
    rgb[:, :80], rgb[:, 560:] = narrow[:, :80], narrow[:, 560:]
    rgb[BOX.top - 2 : BOX.top, 80:560] = rgb[BOX.bottom : BOX.bottom + 2, 80:560] = 0
    rgb[BOX.top : BOX.bottom, 104:536] = narrow[BOX.top : BOX.bottom, BOX.left : BOX.right][
        :, (np.arange(432) * 480) // 432
    ]
    picture = normalise(rgb, EnergyWindow(-4.0, 4.0))
    ideal = draw_bands(X, LEVELS, [], 3.0, IMAGE_SIZE)
    assert np.abs(picture.image[0] - ideal).mean() < 0.25 * ideal.mean()
    assert any("stretched" in reason for reason in picture.reasons)


def test_an_empty_window_is_an_error() -> None:
    with pytest.raises(ShcError, match="is empty"):
        given_axis(BOX, EnergyWindow(2.0, 2.0))


def test_given_axis_counts_from_the_fermi_level() -> None:
    axis = given_axis(BOX, EnergyWindow(1.0, 9.0, 5.0))
    assert axis.energy(BOX.bottom) == pytest.approx(-4.0)
    assert axis.energy(BOX.top) == pytest.approx(4.0)


class TestFermiLevel:
    axis = EnergyAxis(BOX.top + 240.0, 0.01)

    def test_label_zero_without_a_line(self) -> None:
        reading = with_fermi_level(self.axis, BOX, ())
        assert reading.axis == self.axis
        assert reading.confidence > 0.9

    def test_a_line_near_label_zero_is_the_zero(self) -> None:
        reading = with_fermi_level(self.axis, BOX, ((BOX.top + 242.0, 0.6), (BOX.top + 100.0, 0.9)))
        assert reading.axis.fermi_row == BOX.top + 242.0
        assert reading.confidence == 1.0

    def test_a_line_elsewhere_is_the_level_and_a_doubt(self) -> None:
        reading = with_fermi_level(self.axis, BOX, ((BOX.top + 100.0, 0.6),))
        assert reading.axis.fermi_row == BOX.top + 100.0
        assert reading.confidence < 0.8
        assert "1.40 eV" in reading.reason

    def test_a_line_that_is_hardly_seen_is_none(self) -> None:
        assert with_fermi_level(self.axis, BOX, ((BOX.top + 100.0, 0.2),)).axis == self.axis

    def test_grid_lines_are_no_level(self) -> None:
        grid = tuple((BOX.top + 40.0 + 80.0 * k, 1.0) for k in range(5))
        assert with_fermi_level(self.axis, BOX, grid).axis == self.axis

    def test_zero_outside_and_no_line(self) -> None:
        far = EnergyAxis(BOX.bottom + 300.0, 0.01)
        reading = with_fermi_level(far, BOX, ())
        assert reading.confidence < 0.5
        assert reading.reason

    def test_a_label_of_the_level_wins(self) -> None:
        reading = with_fermi_level(self.axis, BOX, ((BOX.top + 100.0, 0.9),), BOX.top + 50.0)
        assert reading.axis.fermi_row == BOX.top + 50.0


def test_a_panel_with_numbers_is_taken_if_the_best_one_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_axis(_: object, panel: Box) -> AxisReading:
        if panel.left < 640:
            return AxisReading(None, 0.0, "no numbers beside the panel", 0, None)
        return AxisReading(EnergyAxis(panel.top + 0.5 * panel.height, 8.0 / panel.height), 1.0, "", 5, None)

    first = _figure(-4.0, 4.0)
    both = np.concatenate([first, np.full_like(first[:, :40], 255), first[:, :600]], axis=1)
    monkeypatch.setattr(module, "read_axis", read_axis)
    picture = normalise(both)
    assert picture.panel == Box(BOX.left + 680, BOX.top, BOX.right + 680, BOX.bottom)
    assert 0.0 < picture.confidence <= 0.8
    assert any("has no numbers" in reason for reason in picture.reasons)
    assert np.abs(picture.image - normalise(first, EnergyWindow(-4.0, 4.0)).image).mean() < 0.01
