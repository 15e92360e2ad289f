from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shc.kernels import picture, picture_lines, picture_parts, picture_rules, picture_strokes
from shc.kernels.image import draw_bands

if TYPE_CHECKING:
    from numpy.typing import NDArray

WHITE = np.array([[255, 255, 255]], np.uint8)


def _random(seed: int, height: int, width: int) -> NDArray[np.uint8]:
    """Pixels of few colours, so that runs and repetitions occur."""
    rng = np.random.default_rng(seed)
    colours = rng.integers(0, 256, (4, 3), dtype=np.uint8)
    colours[0] = 255
    return colours[rng.choice(4, (height, width), p=[0.7, 0.1, 0.1, 0.1])]


SIZES = {"seed": st.integers(0, 2**31), "height": st.integers(1, 24), "width": st.integers(1, 24)}


@settings(max_examples=40, deadline=None, derandomize=True)
@given(**SIZES, factor=st.integers(1, 4))
def test_reduced_picture_is_the_mean_of_blocks(seed: int, height: int, width: int, factor: int) -> None:
    rgb = _random(seed, height, width)
    rows, columns = height // factor, width // factor
    blocks = rgb[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor, 3)
    expected = np.floor(blocks.mean(axis=(1, 3)) + 0.5)
    np.testing.assert_array_equal(picture.reduce_picture(rgb, factor), expected)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(**SIZES)
def test_contrast_is_the_largest_difference_from_the_nearest_background(seed: int, height: int, width: int) -> None:
    rgb = _random(seed, height, width)
    grounds = np.random.default_rng(seed).integers(0, 256, (3, 3), dtype=np.uint8)
    expected = np.abs(rgb[:, :, None].astype(int) - grounds).max(axis=3).min(axis=2)
    np.testing.assert_array_equal(picture.contrast(rgb, grounds), expected)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(**SIZES)
def test_histogram_counts_and_adds_colours(seed: int, height: int, width: int) -> None:
    rgb = _random(seed, height, width)
    counts = picture.colour_histogram(rgb, 1)
    index = (rgb[..., 0] // 16).astype(int) * 256 + rgb[..., 1] // 16 * 16 + rgb[..., 2] // 16
    np.testing.assert_array_equal(counts[:, 0], np.bincount(index.ravel(), minlength=4096))
    np.testing.assert_array_equal(counts[:, 1:].sum(axis=0), rgb.reshape(-1, 3).astype(int).sum(axis=0))


def test_filled_pixels_tell_areas_from_lines() -> None:
    rgb = np.full((40, 60, 3), 255, np.uint8)
    rgb[10:30, 10:50] = 0
    within, total = picture.filled_pixels(rgb, np.zeros(3, np.uint8), 0, 4)
    assert (within, total) == (6 * 16, 10 * 20)
    rgb[:] = 255
    rgb[::10] = 0
    assert picture.filled_pixels(rgb, np.zeros(3, np.uint8), 0, 4)[0] == 0


def test_blobs_join_what_is_near_and_nothing_else() -> None:
    distance = np.zeros((40, 60), np.uint8)
    distance[4:8, 5:12] = 200
    distance[9:12, 10:20] = 200
    distance[30:32, 40:55] = 200
    found = {tuple(map(int, box)) for box in picture.blob_boxes(distance, 100, 2)}
    assert found == {(5, 4, 20, 12), (40, 30, 55, 32)}


@settings(max_examples=40, deadline=None, derandomize=True)
@given(**SIZES)
def test_column_counts_equal_numpy(seed: int, height: int, width: int) -> None:
    distance = picture.contrast(_random(seed, height, width), WHITE)
    pixels, runs = picture.column_counts(distance, 30)
    ink = distance >= 30
    ink = ink[ink.sum(axis=1) * 5 <= 4 * width]
    above = np.concatenate([np.zeros((1, width), bool), ink])[:-1] if len(ink) else ink
    np.testing.assert_array_equal(pixels, ink.sum(axis=0))
    np.testing.assert_array_equal(runs, (ink & ~above).sum(axis=0))


@pytest.mark.parametrize("upright", [False, True])
def test_segments_bridge_what_crosses_and_end_at_blanks(*, upright: bool) -> None:
    rgb = np.full((60, 100, 3), 255, np.uint8)
    rgb[20, 10:80] = 0
    rgb[20, 40:46] = (255, 0, 0)
    rgb[20, 88:99] = 0
    if upright:
        rgb = np.ascontiguousarray(rgb.transpose(1, 0, 2))
    found = picture_lines.segments(rgb, picture.contrast(rgb, WHITE), np.array([7, 20]), upright, 40, (3, 10), 20)
    assert found.tolist() == [[20, 10, 79, 64]]


def test_frame_is_found_inside_its_lines() -> None:
    level = np.array([[10, 12, 20, 180], [50, 50, 22, 178], [90, 92, 20, 180]], np.int32)
    upright = np.array([[20, 22, 10, 92], [100, 100, 12, 90], [178, 180, 10, 96]], np.int32)
    boxes = {tuple(map(int, row)) for row in picture_lines.frames(level, upright, 4, 60)}
    assert boxes == {(23, 13, 178, 90, 4)}


def test_a_frame_ends_at_its_side_and_not_at_the_ticks_beyond() -> None:
    level = np.array([[10, 12, 20, 195], [90, 92, 20, 195]], np.int32)
    upright = np.array([[20, 22, 10, 92], [178, 180, 10, 92]], np.int32)
    assert picture_lines.frames(level, upright, 4, 60).tolist() == [[23, 13, 178, 90, 4]]


def test_a_side_that_begins_above_a_level_line_is_not_of_its_frame() -> None:
    level = np.array([[10, 12, 20, 180], [17, 17, 25, 175], [90, 92, 20, 180]], np.int32)
    upright = np.array([[20, 22, 10, 92], [178, 180, 10, 92]], np.int32)
    assert picture_lines.frames(level, upright, 9, 60).tolist() == [[23, 13, 178, 90, 4]]


@pytest.mark.parametrize("place", [np.s_[20:80, 15:18], np.s_[15:18, 20:80], np.s_[82:85, 20:80]])
def test_ink_outside_is_that_behind_a_side(place: tuple[slice, slice]) -> None:
    distance = np.zeros((100, 100), np.uint8)
    distance[18:82, 18:82] = 200
    distance[20:80, 20:80] = 0
    distance[20:80:10, 5:18] = 200
    box = np.array([[20, 20, 80, 80]], np.int32)
    assert picture_lines.ink_outside(distance, box, 40, 14)[0] == pytest.approx(0.2)
    distance[place][np.indices(distance[place].shape).sum(axis=0) % 8 < 6] = 200
    assert picture_lines.ink_outside(distance, box, 40, 14)[0] > 0.5


def test_longest_runs_bridge_grid_lines_and_prefer_the_first() -> None:
    rgb = np.full((3, 100, 3), 255, np.uint8)
    rgb[0, 10:50] = rgb[0, 55:96] = 230
    rgb[0, 30:32] = 255
    rgb[1, 5:10] = rgb[1, 20:80] = 230
    found = picture_lines.longest_runs(rgb, WHITE[0], 12, 3)
    assert found.tolist() == [[10, 50], [20, 80], [0, 0]]


def test_join_puts_rows_of_a_thick_line_together() -> None:
    runs = np.array([[5, 10, 90, 80], [6, 10, 91, 80], [6, 200, 260, 60], [30, 10, 90, 80]], np.int32)
    assert picture_lines.join_segments(runs).tolist() == [[5, 6, 10, 91], [6, 6, 200, 260], [30, 30, 10, 90]]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(**SIZES)
def test_mask_equals_its_definition(seed: int, height: int, width: int) -> None:
    distance = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    padded = np.pad(distance, 2)
    highest = np.max([padded[y : y + height, x : x + width] for y in range(5) for x in range(5)], axis=0)
    expected = (distance >= 60) & (2 * distance.astype(int) >= highest)
    np.testing.assert_array_equal(picture_strokes.ink_mask(distance, 60), expected)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(**SIZES)
def test_run_lengths_equal_brute_force(seed: int, height: int, width: int) -> None:
    mask = (np.random.default_rng(seed).random((height, width)) < 0.6).astype(np.uint8)
    down, along, _ = picture_strokes.run_lengths(mask)

    def longest(line: NDArray[np.uint8], at: int) -> int:
        low, high = at, at
        while low > 0 and line[low - 1]:
            low -= 1
        while high + 1 < line.size and line[high + 1]:
            high += 1
        return high - low + 1 if line[at] else 0

    for y in range(height):
        for x in range(width):
            assert down[y, x] == longest(mask[:, x], y)
            assert along[y, x] == longest(mask[y], x)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(**SIZES, share=st.floats(0.0, 1.0))
def test_runs_are_those_of_every_row(seed: int, height: int, width: int, share: float) -> None:
    mask = (np.random.default_rng(seed).random((height, width)) < share).astype(np.uint8)
    runs = picture_strokes.run_lengths(mask)[2]
    steps = np.diff(np.pad(mask.astype(int), ((0, 0), (1, 1))), axis=1)
    (rows, starts), (_, ends) = np.nonzero(steps == 1), np.nonzero(steps == -1)
    np.testing.assert_array_equal(runs, np.stack([rows, starts, ends], axis=1))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31), upright=st.booleans())
def test_runs_across_strokes_are_found_where_they_begin(seed: int, *, upright: bool) -> None:
    mask = (np.random.default_rng(seed).random((18, 21)) < 0.5).astype(np.uint8)
    down, along, runs = picture_strokes.run_lengths(mask)
    found = picture_strokes.find_runs(200 * mask, down, along, runs, upright)
    own, other = (down, along) if upright else (along, down)
    before = np.zeros_like(mask)
    if upright:
        before[1:] = mask[:-1]
    else:
        before[:, 1:] = mask[:, :-1]
    expected = []
    for y, x in np.argwhere((mask == 1) & (before == 0)):
        size = int(own[y, x])
        across = int(other[y + size // 2, x] if upright else other[y, x + size // 2])
        if size <= 1.3 * across + 1.0:
            start = y if upright else x
            expected.append((x if upright else y, start, start + size))
    np.testing.assert_allclose(found[:, :3], np.array(expected, np.float32).reshape(-1, 3), atol=1e-6)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(**SIZES, threshold=st.integers(1, 200), cell=st.integers(1, 5))
def test_blobs_are_the_connected_cells(seed: int, height: int, width: int, threshold: int, cell: int) -> None:
    from scipy.ndimage import find_objects, label

    distance = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    distance[np.random.default_rng(seed + 1).random((height, width)) < 0.8] = 0
    ink = np.pad(distance >= threshold, ((0, -height % cell), (0, -width % cell)))
    cells = ink.reshape(ink.shape[0] // cell, cell, -1, cell).any(axis=(1, 3))
    groups = np.kron(label(cells, np.ones((3, 3)))[0], np.ones((cell, cell), int)) * ink
    expected = {(x.start, y.start, x.stop, y.stop) for y, x in find_objects(groups)}
    assert {tuple(map(int, box)) for box in picture.blob_boxes(distance, threshold, cell)} == expected


def test_colours_along_the_edges_are_counted() -> None:
    rgb = np.zeros((5, 8, 3), np.uint8)
    rgb[0] = rgb[:, -1] = 250
    counts = picture.edge_counts(rgb, np.array([[255, 255, 255], [0, 0, 0], [99, 99, 99]], np.uint8), 5)
    edges = np.concatenate([rgb[0], rgb[-1], rgb[:, 0], rgb[:, -1]])[:, 0]
    assert counts.tolist() == [np.count_nonzero(edges == 250), np.count_nonzero(edges == 0), 0]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(**SIZES, longest=st.integers(1, 8))
def test_ink_is_followed_inwards_from_all_sides(seed: int, height: int, width: int, longest: int) -> None:
    mask = (np.random.default_rng(seed).random((height + 4, width + 4)) < 0.7).astype(np.uint8)
    sides = (mask, mask[:, ::-1], mask.T, mask.T[:, ::-1])
    for side, found in zip(sides, picture_parts.edge_runs(mask, longest, longest), strict=True):
        for line, length in zip(side[:, 1 : longest + 2], found, strict=True):
            blank = np.flatnonzero(line == 0)
            assert length == (blank[0] if blank.size else 0)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31), gap=st.integers(1, 4), shortest=st.integers(3, 25), upright=st.booleans())
def test_long_segments_are_those_of_all_rows_or_columns(seed: int, gap: int, shortest: int, *, upright: bool) -> None:
    rgb = _random(seed, 30, 40)
    rgb[5, 3:30] = rgb[6, 3:30] = (200, 0, 0)
    if upright:
        rgb = np.ascontiguousarray(rgb.transpose(1, 0, 2))
    distance = picture.contrast(rgb, WHITE)
    lanes = np.arange(30)
    plain = picture_lines.segments(rgb, distance, lanes, upright, 30, (gap, 6), shortest)
    found = picture_parts.long_segments(rgb, distance, upright, 30, (gap, 6), shortest)
    np.testing.assert_array_equal(found, plain)
    assert len(plain) >= (shortest < 25)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(**SIZES)
def test_parts_are_the_connected_sets(seed: int, height: int, width: int) -> None:
    from scipy.ndimage import label

    mask = (np.random.default_rng(seed).random((height, width)) < 0.4).astype(np.uint8)
    runs, boxes = picture_parts.parts(mask)
    number = np.zeros_like(mask, np.int32)
    for row, start, end, part in runs:
        number[row, start:end] = part + 1
    theirs, count = label(mask, np.ones((3, 3)))
    np.testing.assert_array_equal(number, theirs)
    assert len(boxes) == count
    for k, (left, top, right, bottom, pixels) in enumerate(boxes):
        rows, columns = np.nonzero(theirs == k + 1)
        assert (left, top, right, bottom) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert pixels == rows.size
    kept = np.arange(count) % 2 == 0
    left_over = mask.copy()
    picture_parts.keep_parts(left_over, runs, kept)
    np.testing.assert_array_equal(left_over, np.isin(theirs, np.flatnonzero(kept) + 1))


def test_usual_thickness_is_the_median_of_the_shorter_run() -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[5:8, 2:50] = 1
    mask[20:35, 10:14] = 1
    down, along, runs = picture_strokes.run_lengths(mask)
    assert picture_strokes.usual_thickness(down, along, runs) == np.median(np.minimum(down, along)[mask > 0])
    assert picture_strokes.usual_thickness(np.zeros_like(down), np.zeros_like(along), runs[:0]) == 0


@pytest.mark.parametrize("open_side", [False, True])
def test_boxes_have_ink_on_all_sides(open_side: bool) -> None:
    mask = np.zeros((90, 160), np.uint8)
    mask[20, 40:121] = mask[60, 40:121] = mask[20:61, 40] = 1
    if not open_side:
        mask[20:61, 120] = 1
    level = np.array([[20, 20, 40, 120], [60, 60, 40, 120], [80, 80, 5, 150]], np.int32)
    found = picture_parts.boxed(mask, level, 8, 40, 14)
    np.testing.assert_array_equal(found, np.empty((0, 4)) if open_side else [[41, 21, 120, 60]])


@pytest.mark.parametrize("dash", [60, 5])
def test_ruled_row_is_found_and_erased_but_not_what_crosses(dash: int) -> None:
    rgb = np.full((60, 160, 3), 255, np.uint8)
    on = np.arange(160) % 8 < dash
    rgb[30, on] = 100
    rgb[10:50, 70:73] = (0, 0, 255)
    distance = picture.contrast(rgb, WHITE)
    mask = picture_strokes.ink_mask(distance, 24)
    down, _, _ = picture_strokes.run_lengths(mask)
    matched, colours = picture_rules.ruled_lanes(rgb, down, False, 6)
    assert np.flatnonzero(matched).tolist() == [30]
    assert colours[30].tolist() == [100, 100, 100]
    picture_rules.erase_line(rgb, distance, mask, False, 30, 30, colours[30], WHITE[0])
    expected = np.zeros((60, 160), np.uint8)
    expected[10:50, 70:73] = 1
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize(("thick", "slope"), [(2, 0.1), (5, 0.4), (9, 0.9), (5, 3.0)])
def test_strokes_of_any_width_are_redrawn_with_the_standard_one(thick: int, slope: float) -> None:
    size, scale = 96, 3
    y, x = np.mgrid[: size * scale, : size * scale] + 0.5
    miss = np.abs(y - size * scale / 2 - slope * (x - size * scale / 2)) / np.hypot(1.0, slope)
    distance = np.rint(255 * np.clip(0.5 * (thick + 1) - miss, 0.0, 1.0)).astype(np.uint8)
    mask = picture_strokes.ink_mask(distance, 24)
    found = picture_strokes.run_lengths(mask)
    nearest = np.full((size, size), 1.25**2, np.float32)
    place = np.array([0.0, scale, 0.0, scale])
    for upright in (True, False):
        runs = picture_strokes.find_runs(distance, *found, upright)
        picture_strokes.paint(nearest, runs, upright, place, float(thick), 1.25)
    ours = np.clip(1.25 - np.sqrt(nearest), 0.0, 1.0)
    ideal = draw_bands([0.0, 1.0], [[slope], [-slope]], [], 1.0, size)
    assert np.abs(ours - ideal)[4:-4, 4:-4].mean() < 0.17 * ideal.mean()


def test_spurs_are_left_out_and_strokes_stay() -> None:
    stroke = [[k, 20.0, 24.0, 4.0] for k in range(30)]
    spur = [[k, 50.0, 54.0, 4.0] for k in (12, 13)]
    runs = np.array(stroke + spur, np.float32)
    kept = picture_strokes.without_spurs(runs, 30, 0.8)
    np.testing.assert_array_equal(kept, np.array(stroke, np.float32))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(**SIZES, longest=st.integers(1, 6))
def test_gaps_up_to_a_length_are_closed(seed: int, height: int, width: int, longest: int) -> None:
    mask = (np.random.default_rng(seed).random((height, width)) < 0.3).astype(np.uint8)
    distance = 200 * mask
    expected = mask.copy()
    for y, x in np.argwhere(mask):
        for line, at, place in ((mask[y], x, expected[y]), (mask[:, x], y, expected[:, x])):
            following = np.flatnonzero(line[at + 1 :])
            if following.size and following[0] <= longest:
                place[at : at + 1 + following[0]] = 1
    picture_parts.close_gaps(mask, distance, longest)
    np.testing.assert_array_equal(mask, expected)
    np.testing.assert_array_equal(distance, 200 * expected)


@pytest.mark.parametrize("upright", [False, True])
def test_soft_edges_are_counted(*, upright: bool) -> None:
    rgb = np.full((20, 50, 3), 255, np.uint8)
    rgb[10, :40] = 120
    rgb[10, 40:45] = (255, 0, 0)
    mask = (rgb != 255).any(axis=2).astype(np.uint8)
    if upright:
        rgb, mask = np.ascontiguousarray(rgb.transpose(1, 0, 2)), np.ascontiguousarray(mask.T)
    assert picture_rules.blend_count(rgb, mask, upright, 10, np.zeros(3, np.uint8), WHITE[0]) == 40


def test_widths_are_counted_in_quarters_of_a_pixel() -> None:
    counts = picture_strokes.width_counts(np.array([0.1, 0.26, 0.3, 2.0, 1e4], np.float32))
    assert counts[0] == 1
    assert counts[1] == 2
    assert counts[8] == 1
    assert counts[-1] == 1
    assert counts.sum() == 5


@pytest.mark.parametrize("upright", [False, True])
def test_lines_go_on_over_ink_of_another_colour_to_the_next_blank(*, upright: bool) -> None:
    distance = np.zeros((60, 80), np.uint8)
    distance[20, 10:71] = 200
    distance[21, 5:11] = 60
    distance[20, 74:] = 200
    lines = np.array([[20, 21, 30, 50]], np.int32)
    found = picture_lines.extend_lines(lines, distance.T if upright else distance, upright, 40)
    assert found.tolist() == [[20, 21, 5, 70]]
    assert lines.tolist() == [[20, 21, 30, 50]]
