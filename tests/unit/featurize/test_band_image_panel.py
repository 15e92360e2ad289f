from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from shc.featurize.band_image.panel import FULL_FRAME, choose_panel, find_panels
from shc.featurize.band_image.panel_open import without_text
from shc.featurize.band_image.panel_split import PanelCandidate, ends_at_label, gaps, without_bar
from shc.featurize.band_image.types import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray

BOX = Box(100, 40, 500, 340)


def _page(paper: int = 255) -> NDArray[np.uint8]:
    return np.full((400, 800, 3), paper, np.uint8)


def _frame(rgb: NDArray[np.uint8], box: Box, sides: str = "ltrb", *, ink: int = 0, thick: int = 2) -> None:
    """Draw the sides just outside of the box."""
    outer = slice(box.top - thick, box.bottom + thick), slice(box.left - thick, box.right + thick)
    if "l" in sides:
        rgb[outer[0], box.left - thick : box.left] = ink
    if "r" in sides:
        rgb[outer[0], box.right : box.right + thick] = ink
    if "t" in sides:
        rgb[box.top - thick : box.top, outer[1]] = ink
    if "b" in sides:
        rgb[box.bottom : box.bottom + thick, outer[1]] = ink


def _bands(rgb: NDArray[np.uint8], box: Box, colour: tuple[int, int, int] = (200, 40, 40), n: int = 6) -> None:
    x = np.arange(box.width)
    for band in range(n):
        y = (band + 0.5) / n * box.height + 12 * np.sin(x / 35.0 + band)
        for shift in range(3):
            rgb[box.top + np.clip(y.astype(int) + shift, 0, box.height - 1), box.left + x] = colour


def _found(rgb: NDArray[np.uint8]) -> Box:
    return choose_panel(find_panels(rgb))[0].box


def _is_near(box: Box, other: Box, slack: int = 2) -> bool:
    pairs = zip(
        (box.left, box.top, box.right, box.bottom), (other.left, other.top, other.right, other.bottom), strict=True
    )
    return all(abs(one - two) <= slack for one, two in pairs)


@pytest.mark.parametrize(("paper", "ink", "thick"), [(255, 0, 1), (255, 0, 5), (255, 130, 2), (20, 230, 2)])
def test_inside_of_a_frame(paper: int, ink: int, thick: int) -> None:
    rgb = _page(paper)
    _frame(rgb, BOX, ink=ink, thick=thick)
    _bands(rgb, BOX)
    panel, reasons = choose_panel(find_panels(rgb))
    assert panel.box == BOX
    assert panel.sides == FULL_FRAME
    assert reasons == ()


def test_ticks_and_labels_outside_do_not_matter() -> None:
    rgb = _page()
    _frame(rgb, BOX)
    _bands(rgb, BOX)
    for row in range(BOX.top, BOX.bottom + 1, 60):
        rgb[row : row + 2, BOX.left - 10 : BOX.left] = 0
        rgb[row - 5 : row + 6, BOX.left - 32 : BOX.left - 14 : 3] = 0
    assert _found(rgb) == BOX


def test_left_and_lower_side_are_enough() -> None:
    rgb = _page()
    _frame(rgb, BOX, "lb")
    _bands(rgb, BOX)
    panel, reasons = choose_panel(find_panels(rgb))
    assert _is_near(panel.box, BOX)
    assert any("not complete" in reason for reason in reasons)


def test_without_a_frame_the_bands_show_the_panel() -> None:
    rgb = _page()
    _bands(rgb, BOX)
    panel, reasons = choose_panel(find_panels(rgb))
    assert _is_near(panel.box, BOX, 24)
    assert any("guess" in reason for reason in reasons)


def test_a_coloured_panel_needs_no_frame() -> None:
    rgb = _page()
    rgb[BOX.top : BOX.bottom, BOX.left : BOX.right] = (229, 236, 246)
    _bands(rgb, BOX)
    assert _is_near(_found(rgb), BOX)


def test_lines_inside_are_no_sides() -> None:
    rgb = _page()
    _frame(rgb, BOX)
    rgb[190:192, BOX.left : BOX.right] = 0
    for column in (180, 300, 420):
        rgb[BOX.top : BOX.bottom, column : column + 2] = 0
    _bands(rgb, BOX)
    panel, _ = choose_panel(find_panels(rgb))
    assert panel.box == BOX
    assert panel.uprights == (180, 300, 420)


def test_of_two_panels_the_first_with_a_reason() -> None:
    rgb = _page()
    boxes = Box(60, 40, 360, 340), Box(440, 40, 740, 340)
    for box in boxes:
        _frame(rgb, box)
        _bands(rgb, box)
    panel, reasons = choose_panel(find_panels(rgb))
    assert panel.box == boxes[0]
    assert any("another panel" in reason for reason in reasons)


@pytest.mark.parametrize("joined", [False, True])
def test_a_density_of_states_beside_is_left_out(*, joined: bool) -> None:
    rgb = _page()
    beside = Box(502 if joined else 540, 40, 690, 340)
    _frame(rgb, BOX)
    _frame(rgb, beside)
    for column in (220, 360):
        rgb[BOX.top : BOX.bottom, column : column + 2] = 0
    _bands(rgb, BOX)
    for row in range(beside.top, beside.bottom):
        end = beside.left + int(2 + 110 * np.exp(-(((row - 120) / 50.0) ** 2)))
        rgb[row, beside.left : end] = (160, 160, 160)
    assert _found(rgb) == BOX


@pytest.mark.parametrize("left", [False, True])
def test_a_gap_parts_frames_in_one_row(*, left: bool) -> None:
    rgb = _page()
    beside = Box(20, 40, 92, 340) if left else Box(508, 40, 640, 340)
    for box in (BOX, beside):
        _frame(rgb, box)
    for column in (220, 360):
        rgb[BOX.top : BOX.bottom, column : column + 2] = 0
    _bands(rgb, BOX)
    for row in range(beside.top, beside.bottom):
        rgb[row, beside.left + int(30 + 20 * np.sin(row / 30.0))] = 0
    panel, reasons = choose_panel(find_panels(rgb))
    assert _is_near(panel.box, BOX)
    assert not panel.with_dos
    assert reasons == ()


def test_a_thick_common_side_parts_bands_and_density() -> None:
    rgb = _page()
    whole = Box(100, 40, 660, 340)
    _frame(rgb, whole)
    _bands(rgb, BOX)
    for column in (220, 360):
        rgb[BOX.top : BOX.bottom, column : column + 2] = 0
    rgb[BOX.top : BOX.bottom, BOX.right : BOX.right + 5] = 0
    for row in range(BOX.top, BOX.bottom):
        rgb[row, BOX.right + int(30 + 20 * np.sin(row / 30.0))] = 0
    panel, _ = choose_panel(find_panels(rgb))
    assert _is_near(panel.box, BOX)
    assert panel.with_dos


def test_few_bands_in_the_last_part_of_a_path_are_no_density() -> None:
    rgb = _page()
    _frame(rgb, BOX)
    for column in (220, 360, 460):
        rgb[BOX.top : BOX.bottom, column : column + 2] = 0
    _bands(rgb, Box(BOX.left, BOX.top, 460, BOX.bottom), n=8)
    _bands(rgb, Box(460, BOX.top, BOX.right, BOX.bottom), n=2)
    assert _found(rgb) == BOX


def test_a_colour_bar_that_touches_the_frame_is_cut_off() -> None:
    rgb = _page()
    _frame(rgb, Box(BOX.left, BOX.top, 524, BOX.bottom))
    rgb[BOX.top : BOX.bottom, 500:502] = 0
    rgb[BOX.top : BOX.bottom, 506:524] = (np.linspace(0, 150, 300)[:, None, None]).astype(np.uint8)
    rgb[BOX.top : BOX.bottom, 502:506] = 0
    _bands(rgb, BOX)
    assert _is_near(_found(rgb), BOX)


def test_a_tinted_panel_with_many_bands_and_a_white_grid() -> None:
    rgb = _page()
    rgb[BOX.top : BOX.bottom, BOX.left : BOX.right] = (229, 236, 246)
    rgb[BOX.top : BOX.bottom : 75, BOX.left : BOX.right] = 255
    rgb[BOX.top : BOX.bottom, BOX.left : BOX.right : 80] = 255
    _bands(rgb, Box(BOX.left, 210, BOX.right, BOX.bottom), n=22)
    rgb[60:100, 520:600] = (229, 236, 246)
    assert _is_near(_found(rgb), BOX, 4)


def test_labels_below_upright_lines_are_left_out() -> None:
    rgb = _page()
    for column in (BOX.left, 220, 360, BOX.right - 2):
        rgb[BOX.top : BOX.bottom, column : column + 2] = 0
        rgb[BOX.bottom + 4 : BOX.bottom + 18, column : column + 2] = 0
    _bands(rgb, BOX)
    panel, reasons = choose_panel(find_panels(rgb))
    assert _is_near(panel.box, BOX, 4)
    assert any("not complete" in reason for reason in reasons)


def test_insets_and_colour_bars_are_no_panels() -> None:
    rgb = _page()
    _frame(rgb, BOX)
    _bands(rgb, BOX)
    _frame(rgb, Box(380, 60, 480, 140))
    _frame(rgb, Box(540, 40, 560, 340))
    panel, reasons = choose_panel(find_panels(rgb))
    assert panel.box == BOX
    assert reasons == ()


def test_ticks_across_the_gap_do_not_join_two_frames() -> None:
    rgb = _page()
    beside = Box(510, 40, 656, 340)
    _frame(rgb, BOX)
    _frame(rgb, beside)
    for row in range(BOX.top - 2, BOX.bottom + 2, 60):
        rgb[row : row + 2, BOX.right : beside.left] = 0
    for column in (220, 360):
        rgb[BOX.top : BOX.bottom, column : column + 1] = 0
    _bands(rgb, BOX)
    for row in range(beside.top, beside.bottom):
        rgb[row, beside.left + int(60 + 40 * np.sin(row / 30.0))] = 0
    assert _is_near(_found(rgb), BOX)


def test_a_narrow_colour_bar_behind_a_gap_is_left_out() -> None:
    rgb = _page()
    _frame(rgb, BOX)
    _frame(rgb, Box(506, 40, 510, 340), ink=60)
    rgb[40:340, 506:510] = np.linspace(60, 200, 300)[:, None, None].astype(np.uint8)
    _bands(rgb, BOX)
    assert _is_near(_found(rgb), BOX)


def test_close_upright_lines_that_bands_cross_are_no_sides() -> None:
    rgb = _page()
    _frame(rgb, BOX)
    for column in (180, 400, 410):
        rgb[BOX.top : BOX.bottom, column : column + 2] = 0
    _bands(rgb, BOX)
    assert _found(rgb) == BOX


def test_ticks_darker_than_the_frame_do_not_hide_its_corner() -> None:
    rgb = _page()
    _frame(rgb, BOX, ink=120)
    for row in (BOX.top - 2, BOX.bottom):
        rgb[row : row + 2, BOX.left - 30 : BOX.left] = 0
    for column in (150, 300, 420):
        rgb[BOX.top : BOX.bottom, column : column + 1] = 120
    _bands(rgb, BOX)
    assert _found(rgb) == BOX


def test_a_legend_beside_a_tinted_panel_is_left_out() -> None:
    tint = (229, 236, 246)
    rgb = _page()
    rgb[BOX.top : BOX.bottom, BOX.left : BOX.right] = tint
    rgb[BOX.top : 140, BOX.right + 4 : 600] = tint
    _bands(rgb, BOX)
    assert _is_near(_found(rgb), BOX)


def test_bands_without_a_frame_end_before_the_frame_beside() -> None:
    rgb = _page()
    beside = Box(512, 40, 660, 340)
    _frame(rgb, beside)
    for column in (BOX.left, 220, 360, BOX.right - 2):
        rgb[BOX.top : BOX.bottom, column : column + 2] = 0
    for row in (100, 180, 260):
        rgb[row, BOX.left : BOX.right] = 0
    _bands(rgb, BOX)
    for row in range(beside.top, beside.bottom):
        rgb[row, beside.left + int(60 + 40 * np.sin(row / 30.0))] = 0
    assert _is_near(_found(rgb), BOX, 4)


def test_two_panels_without_frames_are_parted() -> None:
    rgb = _page()
    boxes = Box(60, 40, 360, 340), Box(420, 40, 720, 340)
    for box in boxes:
        for column in np.linspace(box.left, box.right - 2, 4).astype(int):
            rgb[box.top : box.bottom, column : column + 2] = 0
        _bands(rgb, box)
    panel, reasons = choose_panel(find_panels(rgb))
    assert _is_near(panel.box, boxes[0], 4)
    assert any("another panel" in reason for reason in reasons)


def test_level_bands_do_not_shorten_a_panel_with_two_sides() -> None:
    rgb = _page()
    _frame(rgb, BOX, "lb")
    for row in range(260, BOX.bottom - 8, 12):
        rgb[row : row + 2, BOX.left + 18 : BOX.right - 18] = (30, 120, 180)
    assert _is_near(_found(rgb), BOX)


@pytest.mark.parametrize("label", [True, False])
def test_a_label_at_the_corner_shows_that_the_path_goes_on(*, label: bool) -> None:
    rgb = _page()
    _frame(rgb, BOX)
    cut = Box(BOX.left, BOX.top, 390, BOX.bottom)
    for column in (390, 398):
        rgb[BOX.top : BOX.bottom, column : column + 2] = 0
    _bands(rgb, cut)
    for row in range(BOX.top, BOX.bottom):
        rgb[row, 430 + int(20 * np.sin(row / 30.0))] = (200, 40, 40)
    for column in (BOX.left, cut.right, *([BOX.right] if label else [])):
        rgb[BOX.bottom + 10 : BOX.bottom + 22, column - 6 : column + 8] = 0
    assert _is_near(_found(rgb), BOX if label else cut)


def _woven(box: Box) -> NDArray[np.uint8]:
    """Distances from the background with as much ink everywhere in a box."""
    distance = np.zeros((400, 800), np.uint8)
    distance[box.top : box.bottom : 6, box.left : box.right] = 200
    distance[box.top : box.bottom, box.left : box.right : 4] = 200
    return distance


@pytest.mark.parametrize("below", [0, 1, 30])
def test_no_label_at_the_corner_of_a_figure_cut_off_below(below: int) -> None:
    assert not ends_at_label(BOX, np.full((BOX.bottom + below, 800), 200, np.uint8))
    assert not ends_at_label(BOX, np.zeros((BOX.bottom + below, 800), np.uint8))


def test_bands_that_go_on_above_and_at_the_right_belong_to_the_panel() -> None:
    part = Box(BOX.left, BOX.top + 20, BOX.right - 20, BOX.bottom)
    assert _is_near(without_text(part, _woven(BOX), above=False), BOX)


def test_a_legend_that_touches_bands_without_a_frame_is_left_out() -> None:
    distance = _woven(BOX)
    distance[BOX.top : BOX.bottom, BOX.right - 2 : BOX.right] = 200
    for row in (60, 118):
        distance[row : row + 2, BOX.right + 2 : BOX.right + 120] = 200
    part = Box(BOX.left, BOX.top, BOX.right - 2, BOX.bottom)
    assert _is_near(without_text(part, distance, above=False), BOX)


def test_ticks_that_touch_bands_without_a_frame_are_left_out() -> None:
    distance = _woven(BOX)
    for row in range(BOX.top, BOX.bottom, 70):
        distance[row : row + 3, BOX.left - 30 : BOX.left] = 200
    whole = Box(BOX.left - 30, BOX.top, BOX.right, BOX.bottom)
    assert _is_near(without_text(whole, distance, above=False), BOX)


def test_lines_among_bands_are_no_frame() -> None:
    rgb = _page()
    _bands(rgb, BOX, n=70)
    _frame(rgb, Box(200, 120, 440, 300))
    assert _is_near(_found(rgb), BOX, 8)


def test_an_empty_page_has_no_panel() -> None:
    assert find_panels(_page()) == []


def test_a_gap_beside_dense_bands_begins_at_the_side() -> None:
    rgb = _page()
    beside = Box(508, 40, 640, 340)
    for box in (BOX, beside):
        _frame(rgb, box)
    distance = 255 - rgb[..., 0]
    distance[BOX.top : BOX.bottom, BOX.left : BOX.right][np.arange(300) % 3 < 2] = 220
    assert gaps(Box(BOX.left, BOX.top, beside.right, BOX.bottom), distance) == [BOX, beside]


def test_a_thick_side_that_bands_end_at_is_no_colour_bar() -> None:
    rgb = _page()
    _frame(rgb, Box(BOX.left, BOX.top, 494, BOX.bottom), thick=10)
    rgb[BOX.top : BOX.bottom, 480:483] = 0
    _bands(rgb, Box(BOX.left, BOX.top, 494, BOX.bottom), n=16)
    panel = PanelCandidate(Box(BOX.left, BOX.top, 504, BOX.bottom), 1.0, FULL_FRAME, ())
    distance = 255 - rgb[..., 1]
    assert without_bar(panel, distance) == panel


def test_bands_on_either_side_of_a_gap_are_one_panel() -> None:
    rgb = _page()
    _bands(rgb, Box(BOX.left, 40, BOX.right, 130), n=5)
    _bands(rgb, Box(BOX.left, 230, BOX.right, 340), n=6)
    panel = _found(rgb)
    assert _is_near(panel, BOX, 16)


def test_bands_without_a_frame_are_more_than_a_frame_beside() -> None:
    rgb = _page()
    beside = Box(560, 40, 700, 340)
    _frame(rgb, beside)
    rgb[60:320, beside.left : beside.left + 40] = 160
    _bands(rgb, Box(60, 40, 520, 340), n=9)
    assert _found(rgb).right <= beside.left


def test_numbers_in_the_rows_of_labels_do_not_hide_them() -> None:
    distance = np.zeros((600, 1000), np.uint8)
    box = Box(200, 60, 900, 501)
    distance[box.top : box.bottom : 40, box.left : box.right] = 200
    distance[490:515, 150:194] = 200  # a number
    for column in (192, 500, 880):  # labels
        distance[508:524, column : column + 16] = 200
    fitted = without_text(Box(150, box.top, box.right, 524), distance, above=False)
    assert (fitted.top, fitted.right, fitted.bottom) == (box.top, box.right, box.bottom)


def test_lines_close_together_in_one_frame_are_no_sides() -> None:
    rgb = _page()
    box = Box(100, 40, 660, 340)
    _frame(rgb, box)
    for column in (220, 360, 540, 556):
        rgb[box.top : box.bottom, column : column + 2] = 0
    _bands(rgb, Box(box.left, box.top, 542, box.bottom))
    _bands(rgb, Box(556, box.top, box.right, box.bottom), n=2)
    assert _is_near(_found(rgb), box)


def test_a_frame_that_bands_cross_does_not_count_against_the_panel_around() -> None:
    rgb = _page()
    for column in (BOX.left, 180, 300, 420, BOX.right - 2):
        rgb[BOX.top : BOX.bottom, column : column + 2] = 0
    _bands(rgb, BOX, n=70)
    _frame(rgb, Box(120, 60, 480, 320))
    assert _is_near(_found(rgb), BOX, 20)
