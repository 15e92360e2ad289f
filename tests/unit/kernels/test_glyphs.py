from __future__ import annotations

import itertools

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from scipy.sparse.csgraph import connected_components

from shc.kernels.glyphs import linked_groups, resized, text_likelihood, tick_marks
from shc.kernels.picture_parts import parts


@pytest.mark.parametrize("seed", range(5))
def test_patches_are_those_of_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ink = rng.random((40, 60), np.float32)
    threshold = 0.5 + 0.08 * seed
    names, count = ndimage.label(ink > threshold, structure=np.ones((3, 3)))
    wanted = set()
    for rows, columns in ndimage.find_objects(names):
        wanted.add((columns.start, rows.start, columns.stop, rows.stop))
    boxes = parts((ink > threshold).view(np.uint8))[1]
    assert len(boxes) == count
    assert {tuple(int(v) for v in box[:4]) for box in boxes} == wanted
    assert boxes[:, 4].sum() == np.count_nonzero(ink > threshold)


@pytest.mark.parametrize("seed", range(4))
def test_groups_are_the_connected_components_of_scipy(seed: int) -> None:
    linked = np.random.default_rng(seed).random((30, 30)) < 0.03
    linked |= linked.T
    np.testing.assert_array_equal(linked_groups(linked), connected_components(linked, directed=False)[1])


def test_tick_marks_are_found_at_the_middle_of_their_ink() -> None:
    profile = np.full(80, 0.1)
    profile[[30, 31]] = 0.9
    profile[36] = 0.8
    profile[50:70] = 1.0
    np.testing.assert_allclose(tick_marks(profile, 33.0, 12.0), [31.0, 36.5])
    assert tick_marks(profile, 60.0, 12.0).size == 0
    assert tick_marks(profile, 15.0, 12.0).size == 0
    assert tick_marks(profile, -20.0, 12.0).size == 0


def test_no_ink_no_patch() -> None:
    assert parts(np.zeros((5, 5), np.uint8))[1].shape == (0, 5)


@pytest.mark.parametrize("text", [(), (1,), (1, 2), (1, 1), (2, 1, 2)])
def test_likelihood_is_the_sum_over_all_spellings(text: tuple[int, ...]) -> None:
    columns = np.random.default_rng(1).normal(size=(5, 3))
    log_probability = (columns - np.log(np.exp(columns).sum(axis=1, keepdims=True))).astype(np.float32)
    total = 0.0
    for path in itertools.product(range(3), repeat=5):
        if tuple(key for key, _ in itertools.groupby(path) if key) == text:
            total += float(np.exp(sum(log_probability[i, c] for i, c in enumerate(path))))
    assert text_likelihood(log_probability, np.array(text, np.int64)) == pytest.approx(np.log(total), rel=1e-5)


def test_a_text_longer_than_its_line_is_impossible() -> None:
    assert text_likelihood(np.full((2, 3), -1.0, np.float32), np.array([1, 1])) == -np.inf


@pytest.mark.parametrize(("columns", "rows"), [(9, 5), (60, 24), (31, 70)])
def test_resized_as_by_pillow(columns: int, rows: int) -> None:
    ink = np.random.default_rng(columns).random((40, 50), np.float32)
    window = (6.3, 4.6, 41.2, 33.1)
    theirs = np.asarray(Image.fromarray(ink).resize((columns, rows), Image.Resampling.BILINEAR, box=window))
    ours = resized(ink, (0, 0, 50, 40), window, columns, rows)
    np.testing.assert_allclose(ours, theirs.T / theirs.max(), atol=1e-5)


def test_outside_the_picture_there_is_no_ink() -> None:
    ink = np.ones((10, 10), np.float32)
    whole = np.pad(ink, 6)
    ours = resized(ink, (-6, -6, 16, 16), (-4.0, -5.0, 13.0, 15.0), 12, 20)
    theirs = resized(whole, (0, 0, 22, 22), (2.0, 1.0, 19.0, 21.0), 12, 20)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert ours[0].max() == 0.0
    assert ours.max() == 1.0
