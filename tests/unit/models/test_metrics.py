from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr
from sklearn.metrics import mean_absolute_error, r2_score, roc_auc_score, root_mean_squared_error

from shc.models.metrics import AUC_THRESHOLD, ranks, roc_auc, score


@pytest.fixture
def sample() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    label = rng.gamma(1.0, 210.0, 500).round(-1)
    predicted = (0.6 * label + rng.gamma(1.0, 80.0, 500)).round(-1)
    return predicted, label


def test_scores_equal_those_of_other_libraries_also_with_ties(sample: tuple[np.ndarray, np.ndarray]) -> None:
    predicted, label = sample
    scores = score(predicted, label)
    assert scores.n == 500
    assert scores.r2 == pytest.approx(r2_score(label, predicted), abs=1e-12)
    assert scores.mae == pytest.approx(mean_absolute_error(label, predicted), abs=1e-9)
    assert scores.rmse == pytest.approx(root_mean_squared_error(label, predicted), abs=1e-9)
    assert scores.auc == pytest.approx(roc_auc_score(label > AUC_THRESHOLD, predicted), abs=1e-12)
    assert scores.spearman == pytest.approx(spearmanr(predicted, label).statistic, abs=1e-12)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=40))
@settings(deadline=None)
def test_ranks_average_ties(values: list[int]) -> None:
    array = np.array(values, dtype=np.float64)
    np.testing.assert_array_equal(ranks(array), rankdata(array))


def test_perfect_and_reversed_order() -> None:
    label = np.array([0.0, 10.0, 300.0, 900.0])
    assert score(label, label) == pytest.approx((4, 1.0, 0.0, 0.0, 1.0, 1.0))
    assert roc_auc(-label, label > 200) == 0.0
    assert score(-label, label).spearman == pytest.approx(-1.0)


def test_what_cannot_be_scored_is_nan() -> None:
    constant = np.full(4, 250.0)
    scores = score(np.arange(4.0), constant)
    assert math.isnan(scores.r2)
    assert math.isnan(scores.auc)
    assert math.isnan(scores.spearman)
    assert scores.mae == pytest.approx(248.5)
