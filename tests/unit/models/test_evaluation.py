from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from shc.models.evaluation import (
    COVERAGE,
    FEWEST,
    METRICS,
    N_RESAMPLES,
    evaluate,
    paired_difference,
    resampled_scores,
    resamples,
)
from shc.models.metrics import score

if TYPE_CHECKING:
    from numpy.typing import NDArray

Sample = tuple["NDArray[np.float64]", "NDArray[np.float64]", "NDArray[np.float64]"]


@pytest.fixture
def sample() -> Sample:
    """Labels and two predictions of 60 crystals, with ties in all of them."""
    rng = np.random.default_rng(0)
    label = rng.gamma(1.0, 210.0, 60).round(-2)
    good, bad = (0.7 * label + rng.gamma(1.0, spread, 60) for spread in (40.0, 400.0))
    return label, good.round(-1), bad.round(-1)


def slow(label: NDArray[np.float64], value: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Scores of the resamples, one after the other."""
    rows = np.concatenate(list(resamples(len(label), seed)))
    return np.array([score(value[row], label[row])[1:] for row in rows])


def test_scores_of_resamples_are_those_of_a_slow_loop(sample: Sample) -> None:
    label, value, _ = sample
    fast = resampled_scores(label, value, 3)
    assert fast.shape == (N_RESAMPLES, len(METRICS))
    np.testing.assert_allclose(fast, slow(label, value, 3), rtol=1e-9, atol=1e-9)


def test_resamples_without_a_score_are_nan_like_in_a_slow_loop() -> None:
    label, value = np.array([0.0, 300.0, 300.0]), np.array([5.0, 5.0, 7.0])
    fast, expected = resampled_scores(label, value, 0), slow(label, value, 0)
    assert 0 < np.isnan(expected[:, METRICS.index("auc")]).sum() < N_RESAMPLES
    np.testing.assert_allclose(fast, expected, rtol=1e-9, atol=1e-9)


def test_intervals_are_quantiles_of_the_resamples(sample: Sample) -> None:
    label, value, _ = sample
    expected, found = slow(label, value, 0), evaluate(label, value)
    assert tuple(found) == METRICS
    for k, name in enumerate(METRICS):
        assert found[name].value == score(value, label)[k + 1]
        assert found[name][1:] == pytest.approx(np.quantile(expected[:, k], [0.025, 0.975]))
        assert found[name].lower < found[name].value < found[name].upper
        assert found[name].excludes_zero


def test_intervals_depend_on_the_seed_only(sample: Sample) -> None:
    label, value, _ = sample
    assert evaluate(label, value, seed=1) == evaluate(label, value, seed=1)
    assert evaluate(label, value, seed=1) != evaluate(label, value, seed=2)


def test_blocks_of_many_crystals_are_small_and_complete() -> None:
    blocks = [rows.shape for rows in resamples(2**20, 0, 5)]
    assert blocks == [(2, 2**20), (2, 2**20), (1, 2**20)]


def test_coverage_counts_labels_within_closed_intervals() -> None:
    label = np.tile([0.0, 10.0, 20.0, 30.0], 3)
    lower, upper = np.tile([0.0, 11.0, 5.0, 0.0], 3), np.tile([5.0, 20.0, 20.0, 29.0], 3)
    found = evaluate(label, label, (lower, upper))
    assert found[COVERAGE].value == 0.5
    # Of twelve draws with even chances 3 to 9 lie inside in 96 % of the resamples.
    assert found[COVERAGE][1:] == (0.25, 0.75)


def test_toy_numbers() -> None:
    label, value = np.array([0.0, 100.0, 300.0, 400.0]), np.array([50.0, 50.0, 350.0, 250.0])
    found = evaluate(label, value)
    # errors 50, -50, 50, -150; labels spread by 100 000 around 200; ranks 1.5, 1.5, 4, 3 against 1, 2, 3, 4
    expected = {"r2": 0.7, "mae": 75.0, "rmse": math.sqrt(7500.0), "auc": 1.0, "spearman": 3.5 / math.sqrt(4.5 * 5.0)}
    assert {name: one.value for name, one in found.items()} == pytest.approx(expected)


def test_what_cannot_be_scored_has_no_interval() -> None:
    found = evaluate(np.full(FEWEST, 300.0), np.full(FEWEST, 200.0))
    assert found["mae"] == (100.0, 100.0, 100.0)
    for name in ("r2", "auc", "spearman"):
        assert all(map(math.isnan, found[name]))
        assert not found[name].excludes_zero


def test_few_crystals_have_no_interval(sample: Sample) -> None:
    for n in (FEWEST - 1, FEWEST):
        label, good, bad = (values[:n] for values in sample)
        for found in (evaluate(label, good, (good, good)), paired_difference(label, good, bad)):
            for one in found.values():
                assert math.isfinite(one.value)
                assert one.has_interval == math.isfinite(one.upper) == (n == FEWEST)
                assert (one.excludes_zero is None) == (n < FEWEST)


def test_predictions_do_not_differ_from_themselves(sample: Sample) -> None:
    label, value, _ = sample
    for difference in paired_difference(label, value, value).values():
        assert difference == (0.0, 0.0, 0.0)
        assert not difference.excludes_zero


def test_paired_differences_are_those_of_common_resamples(sample: Sample) -> None:
    label, good, bad = sample
    found, back = paired_difference(label, good, bad, seed=4), paired_difference(label, bad, good, seed=4)
    expected = slow(label, good, 4) - slow(label, bad, 4)
    for k, name in enumerate(METRICS):
        value = score(good, label)[k + 1] - score(bad, label)[k + 1]
        assert found[name] == pytest.approx((value, *np.quantile(expected[:, k], [0.025, 0.975])))
        assert back[name] == pytest.approx((-found[name].value, -found[name].upper, -found[name].lower))
    assert found["r2"].lower > 0.0
    assert found["mae"].upper < 0.0
    assert found["r2"].excludes_zero


def test_a_constant_shift_of_the_error_has_a_narrow_paired_interval(sample: Sample) -> None:
    label, value, _ = sample
    above = label + np.abs(value - label)
    difference = paired_difference(label, above + 5.0, above)["mae"]
    assert difference == pytest.approx((5.0, 5.0, 5.0))
    assert difference.excludes_zero
