from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from shc.featurize.band_image.panel import FULL_FRAME, choose_panel, find_panels
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


def test_an_empty_page_has_no_panel() -> None:
    assert find_panels(_page()) == []
