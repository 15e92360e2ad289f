from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from shc.models.config import ModelConfig
from shc.models.heads import ValueGrid, moments
from shc.models.metrics import covered
from shc.models.uncertainty import (
    N_GROUPS,
    Calibration,
    fit_blend,
    fit_calibration,
    fit_platt,
    for_ensemble,
    point_value,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

GRID = ValueGrid(ModelConfig())


def gaussian_rows(mean: NDArray[np.float64], width: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Distributions that are Gaussian in sqrt(SHC)."""
    centre = 0.5 * (GRID.root_edges[1:] + GRID.root_edges[:-1])
    weight = np.exp(-0.5 * ((centre - mean[:, None]) / np.reshape(width, (-1, 1))) ** 2)
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))


def crystals(n: int, seed: int, *, said: float = 0.6) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Predicted distributions, too narrow for large values and too wide for small ones, and labels."""
    rng = np.random.default_rng(seed)
    root = rng.gamma(3.0, 5.0, n)
    true_width = 0.5 + 0.25 * root
    labels = np.clip(root + true_width * rng.normal(size=n), 0.0, 59.0) ** 2
    return gaussian_rows(root, np.full(n, said * 4.0)), labels


def test_intervals_cover_what_they_promise_on_rows_they_were_not_calibrated_on() -> None:
    shares = []
    for seed in range(20):
        probability, labels = crystals(3000, seed)
        half = np.full(3000, 0.5)
        fit = fit_calibration(GRID, probability[:2000], half[:2000], labels[:2000])
        result = fit.apply(GRID, probability[2000:], half[2000:])
        shares.append(covered(result.lower, result.upper, labels[2000:]))
    assert 0.88 < np.mean(shares) < 0.92


def ensembles(n: int, seed: int, *, n_members: int = 8) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``[members, n, n_values]`` distributions whose centres err by a common and by an own part, and labels."""
    rng = np.random.default_rng(seed)
    root = rng.gamma(3.0, 5.0, n)
    scale = 0.5 + 0.2 * root
    labels = np.clip(root + scale * rng.normal(size=n), 0.0, 59.0) ** 2
    centre = np.clip(root + 0.35 * scale * rng.normal(size=(n_members, n)), 0.0, 59.0)
    return np.stack([gaussian_rows(each, scale) for each in centre]), labels


def test_intervals_of_an_ensemble_cover_what_they_promise() -> None:
    before: list[float] = []
    after: list[float] = []
    alone: list[float] = []
    for seed in range(20):
        oof, oof_labels = ensembles(2000, 3 * seed, n_members=1)
        common, common_labels = ensembles(300, 3 * seed + 1)
        new, new_labels = ensembles(3000, 3 * seed + 2)
        single = fit_calibration(GRID, oof[0], np.full(2000, 0.5), oof_labels)
        moved = for_ensemble(single, GRID, common, common_labels)
        small = fit_calibration(GRID, common.mean(axis=0), np.full(300, 0.5), common_labels)
        for shares, fit in ((before, single), (after, moved), (alone, small)):
            result = fit.apply(GRID, new.mean(axis=0), np.full(3000, 0.5))
            shares.append(covered(result.lower, result.upper, new_labels))
    assert np.mean(before) > 0.92
    assert np.mean(after) == pytest.approx(0.9, abs=0.01)
    assert np.std(after) < np.std(alone), "the common rows alone say less"


def test_equal_members_need_what_one_needs() -> None:
    rows, labels = ensembles(300, 5, n_members=1)
    single = Calibration(offset=np.array([0.7]))
    assert for_ensemble(single, GRID, np.repeat(rows, 4, axis=0), labels).offset == pytest.approx(0.7, abs=0.05)


@pytest.mark.parametrize("n", [1, 5, 60])
def test_few_common_rows_give_finite_intervals(n: int) -> None:
    rows, labels = ensembles(n, 6)
    assert np.isfinite(for_ensemble(Calibration(), GRID, rows, labels).offset).all()


def test_miss_is_what_the_offset_must_grow_by() -> None:
    probability, labels = crystals(200, 7)
    fit = Calibration(edges=np.array([150.0]), offset=np.array([0.5, -0.5]))
    miss = fit.miss(GRID, probability, labels)
    for row in (3, 50, 199):
        for grown, inside in ((miss[row] + 1e-6, True), (miss[row] - 1e-6, False)):
            wider = Calibration(edges=fit.edges, offset=fit.offset + grown)
            result = wider.apply(GRID, probability[row : row + 1], np.array([0.5]))
            assert (covered(result.lower, result.upper, labels[row : row + 1]) == 1.0) is inside


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.95])
def test_other_coverages(coverage: float) -> None:
    probability, labels = crystals(6000, 3)
    half = np.full(6000, 0.5)
    fit = fit_calibration(GRID, probability[:4000], half[:4000], labels[:4000], coverage=coverage)
    result = fit.apply(GRID, probability[4000:], half[4000:])
    assert covered(result.lower, result.upper, labels[4000:]) == pytest.approx(coverage, abs=0.03)


def test_groups_of_size_even_the_coverage_out_and_shorten_intervals() -> None:
    probability, labels = crystals(9000, 5)
    half = np.full(9000, 0.5)
    spread, width = {}, {}
    for n_groups in (1, N_GROUPS):
        fit = fit_calibration(GRID, probability[:6000], half[:6000], labels[:6000], n_groups=n_groups)
        assert len(fit.offset) == n_groups
        result = fit.apply(GRID, probability[6000:], half[6000:])
        hit = (labels[6000:] >= result.lower) & (labels[6000:] <= result.upper)
        thirds = np.argsort(result.value).reshape(3, -1)
        spread[n_groups] = max(abs(hit[rows].mean() - 0.9) for rows in thirds)
        width[n_groups] = (np.sqrt(result.upper) - np.sqrt(result.lower)).mean()
    assert spread[1] > 0.07
    assert spread[N_GROUPS] < 0.035
    assert width[N_GROUPS] < width[1]


def test_intervals_are_ordered_and_not_negative_whatever_the_offset() -> None:
    probability, _ = crystals(500, 1)
    for offset in (-50.0, -3.0, 0.0, 100.0):
        result = Calibration(offset=np.array([offset])).apply(GRID, probability, np.full(500, 0.5))
        assert (result.lower >= 0).all()
        assert (result.lower <= result.value).all()
        assert (result.value <= result.upper).all()


def test_without_calibration_the_interval_is_the_distributions_own() -> None:
    probability = gaussian_rows(np.array([20.0]), 3.0)
    result = Calibration(coverage=0.9, blend=0.0).apply(GRID, probability, np.array([0.3]))
    assert np.sqrt(result.lower) == pytest.approx(20.0 - 1.645 * 3.0, abs=0.2)
    assert np.sqrt(result.upper) == pytest.approx(20.0 + 1.645 * 3.0, abs=0.2)
    assert result.value == pytest.approx(400.0, rel=0.02)
    assert result.p_finite == pytest.approx(0.3)
    assert result.std == moments(GRID, probability).std


def test_few_rows_make_one_group_and_the_largest_miss_counts() -> None:
    probability = gaussian_rows(np.full(4, 20.0), 3.0)
    fit = fit_calibration(GRID, probability, np.full(4, 0.5), np.array([400.0, 400.0, 400.0, 2500.0]))
    result = fit.apply(GRID, probability[:1], np.array([0.5]))
    assert fit.offset.shape == (1,)
    assert result.upper == pytest.approx(2500.0)


def test_no_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        fit_calibration(GRID, np.empty((0, 40)), np.empty(0), np.empty(0))


def test_the_blend_is_the_grid_point_of_least_cost() -> None:
    probability, labels = crystals(800, 2)
    chosen = fit_blend(GRID, probability, labels)
    errors = [point_value(GRID, probability, b) - labels for b in np.linspace(0, 1, 11)]
    mae = np.array([np.abs(e).mean() for e in errors])
    rmse = np.array([np.sqrt((e**2).mean()) for e in errors])
    best = int((2.0 * mae / mae.min() + rmse / rmse.min()).argmin())
    assert chosen == pytest.approx(0.1 * best)


def test_the_blend_goes_to_the_end_that_is_right() -> None:
    probability = np.zeros((50, 40))
    probability[:, 2], probability[:, 30] = 0.7, 0.3
    numbers = moments(GRID, probability)
    assert fit_blend(GRID, probability, numbers.mean) == 1.0
    assert fit_blend(GRID, probability, numbers.median) == 0.0


def test_platt_undoes_overconfidence_and_keeps_order() -> None:
    rng = np.random.default_rng(0)
    logit = rng.normal(size=20000)
    finite = rng.random(20000) < 1 / (1 + np.exp(-logit))
    slope, intercept = fit_platt(1 / (1 + np.exp(-(3.0 * logit - 1.0))), finite)
    assert slope == pytest.approx(1 / 3, rel=0.05)
    assert intercept == pytest.approx(1 / 3, rel=0.12)


@pytest.mark.parametrize("case", ["honest", "one class", "reversed"])
def test_platt_leaves_alone_what_it_cannot_help(case: str) -> None:
    rng = np.random.default_rng(1)
    p = rng.uniform(0.05, 0.95, 500)
    finite = {"honest": rng.random(500) < p, "one class": np.ones(500, bool), "reversed": rng.random(500) > p}
    assert fit_platt(p, finite[case]) == (1.0, 0.0)


def test_platt_survives_separable_and_extreme_probabilities() -> None:
    finite = np.arange(100) >= 40
    slope, intercept = fit_platt(np.where(finite, 1.0, 0.0), finite)
    assert np.isfinite([slope, intercept]).all()
    assert slope > 0


def test_it_survives_storage() -> None:
    fit = Calibration(0.8, 0.3, np.array([50.0, 200.0]), np.array([1.0, 2.0, 3.0]), 0.9, -0.1)
    again = Calibration.from_tensors(fit.to_tensors())
    assert again.to_tensors().keys() == fit.to_tensors().keys()
    assert (again.coverage, again.blend, again.finite_slope, again.finite_intercept) == (0.8, 0.3, 0.9, -0.1)
    np.testing.assert_array_equal(again.offset, fit.offset)
    tensors = fit.to_tensors()
    with pytest.raises(ValueError, match="do not fit"):
        Calibration.from_tensors({**tensors, "offset": tensors["edges"]})
