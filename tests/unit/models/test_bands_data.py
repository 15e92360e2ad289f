from __future__ import annotations

import numpy as np
import pytest
import torch

from shc.models.bands_data import CURVES_SHARE, PICTURE_SHARE, BandsArrays, BandsBatch
from shc.models.modalities import SUBSETS

COUNTS = np.array([0, 2, 0, 1, 3])
HAS_CURVES = np.array([True, True, False, False, True])
ALL = np.arange(5)


@pytest.fixture
def arrays() -> BandsArrays:
    """Five crystals; curves and tokens tell where they come from: ``10 crystal`` and ``100 picture``."""
    curves = np.where(HAS_CURVES[:, None], 10.0 * ALL[:, None] + np.arange(3), 0.0).astype(np.float32)
    tokens = (100.0 * torch.arange(6)[:, None, None]).expand(-1, 4, 2).half()
    return BandsArrays(curves, HAS_CURVES, tokens, COUNTS)


def test_the_subset_of_a_crystal_is_what_it_has(arrays: BandsArrays) -> None:
    names = [SUBSETS[place] for place in arrays.subset().tolist()]
    both = "structure+curves+picture"
    assert names == ["structure+curves", both, "structure", "structure+picture", both]
    assert arrays.known_curves(np.array([4, 2, 0])).tolist() == [[40.0, 41.0, 42.0], [0.0, 1.0, 2.0]]


def test_a_batch_shows_all_and_averages_pictures(arrays: BandsArrays) -> None:
    rows = np.array([4, 3, 2, 1])
    batch = arrays.batch(rows)
    assert batch is not None
    assert batch.has_curves.tolist() == [1.0, 0.0, 0.0, 1.0]
    assert batch.has_picture.tolist() == [1.0, 1.0, 0.0, 1.0]
    assert batch.any_known().tolist() == [1.0, 1.0, 0.0, 1.0]
    assert batch.curves[[0, 3], 0].tolist() == [40.0, 10.0]
    # Pictures 3 to 5, picture 2, none, pictures 0 and 1.
    assert batch.picture[:, 0, 0].tolist() == [400.0, 200.0, 0.0, 50.0]
    assert (batch.picture.shape, batch.picture.dtype) == ((4, 4, 2), torch.float32)
    assert (batch.picture == batch.picture[:, :1, :1]).all()


def test_a_batch_hides_what_is_not_named(arrays: BandsArrays) -> None:
    def shown(subset: int) -> tuple[list[float], list[float]]:
        batch = arrays.batch(ALL, subset)
        assert batch is not None
        return batch.has_curves.tolist(), batch.has_picture.tolist()

    curves, picture, nothing = HAS_CURVES.astype(float).tolist(), (COUNTS > 0).astype(float).tolist(), [0.0] * 5
    assert shown(1) == (curves, nothing)
    assert shown(2) == (nothing, picture)
    assert shown(3) == (curves, picture)
    hidden = arrays.batch(ALL, 1)
    assert hidden is not None
    assert not hidden.picture.any()


def test_there_is_no_batch_of_nothing(arrays: BandsArrays) -> None:
    assert arrays.batch(ALL, 0) is None
    assert arrays.batch(np.array([2])) is None
    assert arrays.batch(np.array([0, 2]), 2) is None
    assert arrays.batch(np.array([3, 2]), 1) is None
    assert arrays.batch(np.array([0, 2]), 1) is not None


def draws(arrays: BandsArrays, rows: np.ndarray[tuple[int], np.dtype[np.int64]], n: int = 400) -> list[BandsBatch]:
    rng = np.random.default_rng(0)
    return [arrays.sample(rows, rng) for _ in range(n)]


def test_training_shows_curves_or_pictures_or_both(arrays: BandsArrays) -> None:
    found = draws(arrays, np.array([1, 4]))
    kinds = np.array([(batch.has_curves + 2 * batch.has_picture).tolist() for batch in found]).ravel()
    assert (kinds > 0).all(), "something is always shown"
    shares = [(kinds == kind).mean() for kind in (1, 2, 3)]
    assert shares == pytest.approx([CURVES_SHARE, PICTURE_SHARE, 1.0 - CURVES_SHARE - PICTURE_SHARE], abs=0.05)


def test_crystals_with_one_kind_always_show_it(arrays: BandsArrays) -> None:
    for batch in draws(arrays, np.array([0, 2, 3]), 100):
        assert (batch.has_curves.tolist(), batch.has_picture.tolist()) == ([1.0, 0.0, 0.0], [0.0, 0.0, 1.0])
        assert batch.picture[2, 0, 0] == 200.0
        assert batch.curves[0].tolist() == [0.0, 1.0, 2.0]


def test_training_draws_one_of_the_pictures(arrays: BandsArrays) -> None:
    found = draws(arrays, np.array([1, 4]))
    for place, own in enumerate([{0.0, 100.0}, {300.0, 400.0, 500.0}]):
        seen = {float(batch.picture[place, 0, 0]) for batch in found if batch.has_picture[place]}
        assert seen == own


def test_equal_seeds_draw_the_same(arrays: BandsArrays) -> None:
    first, again = (arrays.sample(ALL, np.random.default_rng(7)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_crystals_without_any_picture_have_no_tokens() -> None:
    curves = np.ones((2, 3), dtype=np.float32)
    counts = np.zeros(2, dtype=np.int64)
    arrays = BandsArrays(curves, np.array([True, False]), torch.zeros(0, 0, 0), counts)
    batch, sample = arrays.batch(np.arange(2)), arrays.sample(np.arange(2), np.random.default_rng(0))
    assert batch is not None
    assert batch.picture.shape == sample.picture.shape == (2, 0, 0)
    assert batch.has_curves.tolist() == sample.has_curves.tolist() == [1.0, 0.0]
