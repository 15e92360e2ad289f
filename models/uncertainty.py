"""From a predicted distribution to a value, an interval that covers what it promises, and an honest p_finite."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import torch

from shc.models.heads import ValueGrid, moments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

METHOD: Final = "split conformal, conformalised quantile regression in sqrt(SHC), by predicted size"
METHOD_COMMON: Final = METHOD + ", moved from members to ensemble on rows that all held out"
N_GROUPS: Final = 5
"""Groups of predicted size with an offset of their own."""
ROWS_PER_GROUP: Final = 200
"""Fewer groups are made rather than groups of fewer rows: 1/sqrt(n) blurs their offsets."""


class Estimate(NamedTuple):
    """What is reported of B distributions; all ``[B]``."""

    value: NDArray[np.float64]
    """(hbar/e) S/cm."""
    lower: NDArray[np.float64]
    """Lower end of the interval, >= 0, (hbar/e) S/cm."""
    upper: NDArray[np.float64]
    """Upper end of the interval, (hbar/e) S/cm."""
    std: NDArray[np.float64]
    """Standard deviation of the distribution, (hbar/e) S/cm."""
    p_finite: NDArray[np.float64]
    """Probability of a finite SHC, recalibrated."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What out-of-fold rows taught about the distributions of an ensemble.

    Intervals run from the quantile (1 - coverage)/2 to the quantile (1 + coverage)/2 of the distribution, each
    end moved outwards in sqrt(SHC) by the offset of its group of predicted size (inwards if it is negative).
    Source: Romano, Patterson, Candes, NeurIPS 2019, arXiv:1905.03222, eqs. 6-8; groups after Vovk, Lindsay,
    Nouretdinov, Gammerman, "Mondrian confidence machine", 2003.

    The coverage is exact for rows exchangeable with the calibration rows and predicted like them: by one member.
    The mean of all members errs less, so its intervals need the step of ``for_ensemble``; without it they cover
    more than promised.
    """

    coverage: float = 0.9
    """Share of labels inside the intervals."""
    blend: float = 0.5
    """Share of the mean in the point value; the rest is the median."""
    edges: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    """``[G - 1]`` bounds of the groups of predicted size, ascending, (hbar/e) S/cm."""
    offset: NDArray[np.float64] = field(default_factory=lambda: np.zeros(1))
    """``[G]`` offset of the interval ends, in sqrt((hbar/e) S/cm)."""
    finite_slope: float = 1.0
    """Factor of the logit of p_finite, > 0."""
    finite_intercept: float = 0.0
    """Added to the logit of p_finite."""

    def apply(self, grid: ValueGrid, probability: NDArray[np.float64], p_finite: NDArray[np.float64]) -> Estimate:
        """Read value, interval, spread and probability off some distributions.

        Args:
            grid: Bins of the distributions.
            probability: ``[B, n_values]``.
            p_finite: ``[B]`` as the ensemble gives it.
        """
        numbers = moments(grid, probability)
        value = self.blend * numbers.mean + (1.0 - self.blend) * numbers.median
        low, high = _quantiles(grid, probability, self.coverage)
        offset = self.offset[_group(self.edges, value)]
        lower = np.maximum(low - offset, 0.0) ** 2
        upper = np.maximum(high + offset, 0.0) ** 2
        calibrated = _sigmoid(self.finite_slope * _logit(p_finite) + self.finite_intercept)
        # A mean of a long tail may lie outside of the interval, which is widened then.
        return Estimate(value, np.minimum(lower, value), np.maximum(upper, value), numbers.std, calibrated)

    def miss(
        self, grid: ValueGrid, probability: NDArray[np.float64], labels: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """How far labels lie outside of their intervals, in sqrt((hbar/e) S/cm); negative inside.

        Args:
            grid: Bins of the distributions.
            probability: ``[n, n_values]``.
            labels: ``[n]`` (hbar/e) S/cm.

        Returns:
            ``[n]`` what the offset of each row would have to grow by to reach its label.
        """
        low, high = _quantiles(grid, probability, self.coverage)
        root = np.sqrt(labels)
        group = _group(self.edges, point_value(grid, probability, self.blend))
        return np.maximum(low - root, root - high) - self.offset[group]

    def to_tensors(self) -> dict[str, Tensor]:
        """Tensors to store, by name."""
        scalars = [self.coverage, self.blend, self.finite_slope, self.finite_intercept]
        return {
            "scalars": torch.tensor(scalars, dtype=torch.float64),
            "edges": torch.from_numpy(self.edges),
            "offset": torch.from_numpy(self.offset),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Calibration:
        """The calibration behind ``to_tensors``.

        Raises:
            KeyError: A tensor is missing.
            ValueError: A tensor has the wrong size.
        """
        coverage, blend, slope, intercept = tensors["scalars"].tolist()
        edges, offset = tensors["edges"].numpy(), tensors["offset"].numpy()
        if len(offset) != len(edges) + 1:
            raise ValueError(f"{len(edges)} group bounds do not fit {len(offset)} offsets")
        return cls(coverage, blend, edges, offset, slope, intercept)


def point_value(grid: ValueGrid, probability: NDArray[np.float64], blend: float) -> NDArray[np.float64]:
    """Point value of ``[B, n_values]`` distributions, ``[B]`` (hbar/e) S/cm: a blend of mean and median."""
    numbers = moments(grid, probability)
    return blend * numbers.mean + (1.0 - blend) * numbers.median


def fit_blend(grid: ValueGrid, probability: NDArray[np.float64], labels: NDArray[np.float64]) -> float:
    """Choose the blend of mean (best RMSE) and median (best MAE) that serves both.

    Args:
        grid: Bins of the distributions.
        probability: ``[n, n_values]`` out-of-fold distributions.
        labels: ``[n]`` (hbar/e) S/cm.

    Returns:
        The value of 0, 0.1, ..., 1 with the least 2 MAE / MAE_min + RMSE / RMSE_min: the typical error counts more
        than the few large ones.
    """
    numbers = moments(grid, probability)
    blends = np.linspace(0.0, 1.0, 11)
    error = blends[:, None] * numbers.mean + (1.0 - blends[:, None]) * numbers.median - labels
    mae, rmse = np.abs(error).mean(axis=1), np.sqrt((error**2).mean(axis=1))
    cost = 2.0 * mae / max(mae.min(), 1e-9) + rmse / max(rmse.min(), 1e-9)
    return float(blends[int(cost.argmin())])


def fit_calibration(
    grid: ValueGrid,
    probability: NDArray[np.float64],
    p_finite: NDArray[np.float64],
    labels: NDArray[np.float64],
    *,
    coverage: float = 0.9,
    finite_threshold: float = 10.0,
    n_groups: int = N_GROUPS,
) -> Calibration:
    """Calibrate on out-of-fold rows.

    Args:
        grid: Bins of the distributions.
        probability: ``[n, n_values]`` distributions of rows that their member was not trained on.
        p_finite: ``[n]`` probabilities of the same members.
        labels: ``[n]`` (hbar/e) S/cm.
        coverage: Share of labels that intervals shall hold.
        finite_threshold: Label above which a crystal counts as finite, (hbar/e) S/cm.
        n_groups: Groups of predicted size at most; 1 for one offset for all.

    Raises:
        ValueError: There is no row.
    """
    if len(labels) == 0:
        raise ValueError("calibration needs at least one row")
    blend = fit_blend(grid, probability, labels)
    value = point_value(grid, probability, blend)
    distance = Calibration(coverage, blend).miss(grid, probability, labels)
    groups = max(1, min(n_groups, len(labels) // ROWS_PER_GROUP))
    edges = np.unique(np.quantile(value, np.arange(1, groups) / groups))
    group = _group(edges, value)
    offset = np.array([_conformal_quantile(distance[group == g], coverage) for g in range(len(edges) + 1)])
    slope, intercept = fit_platt(p_finite, labels > finite_threshold)
    return Calibration(coverage, blend, edges, offset, slope, intercept)


def for_ensemble(
    single: Calibration, grid: ValueGrid, probability: NDArray[np.float64], labels: NDArray[np.float64]
) -> Calibration:
    """Move the intervals of single members to those that their ensemble needs.

    All offsets move by one number, such that the ensemble covers the same share of the given rows as its members do
    on average with the offsets they have. That share need not be the one that is promised: rows may be easy or hard
    by chance, but they are so for the ensemble and its members alike, which leaves little noise in the comparison.
    The offsets of the groups keep what many out-of-fold rows taught.

    Args:
        single: Calibration of single members.
        grid: Bins of the distributions.
        probability: ``[members, n, n_values]`` distributions of rows that no member has learned from or stopped on.
        labels: ``[n]`` (hbar/e) S/cm.
    """
    share = np.mean([single.miss(grid, member, labels) <= 0.0 for member in probability])
    # Hazen's quantile lies midway between the last row inside and the first outside: it favours neither side.
    step = np.quantile(single.miss(grid, probability.mean(axis=0), labels), share, method="hazen")
    return replace(single, offset=single.offset + step)


def fit_platt(p_finite: NDArray[np.float64], finite: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and intercept that make a probability honest, by logistic regression on its logit.

    Source: Platt, "Probabilistic outputs for support vector machines", 1999, with his smoothed targets.

    Args:
        p_finite: ``[n]`` probabilities.
        finite: ``[n]`` what came true.

    Returns:
        Slope > 0 and intercept; (1, 0), no change, unless the log likelihood rises by more than the two
        parameters are worth (Akaike, 1974) and the order of probabilities is kept.
    """
    n_yes, n_no = int(finite.sum()), int((~finite).sum())
    if n_yes == 0 or n_no == 0:
        return 1.0, 0.0
    target = np.where(finite, (n_yes + 1.0) / (n_yes + 2.0), 1.0 / (n_no + 2.0))
    logit = _logit(p_finite)
    design = np.stack([logit, np.ones_like(logit)], axis=1)
    parameters = np.array([1.0, 0.0])
    start = _log_likelihood(logit, target)
    for _ in range(50):
        p = _sigmoid(design @ parameters)
        curvature = (design * (p * (1.0 - p))[:, None]).T @ design + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, design.T @ (target - p))
        # Newton's method may overshoot where probabilities are extreme: halve until the likelihood rises.
        before = _log_likelihood(design @ parameters, target)
        while _log_likelihood(design @ (parameters + step), target) < before and np.abs(step).max() > 1e-10:
            step = 0.5 * step
        parameters = parameters + step
        if np.abs(step).max() < 1e-10:
            break
    slope, intercept = parameters.tolist()
    helps = _log_likelihood(design @ parameters, target) > start + 2.0
    return (slope, intercept) if slope > 0.0 and helps else (1.0, 0.0)


def _log_likelihood(logit: NDArray[np.float64], target: NDArray[np.float64]) -> float:
    return float((target * logit - np.logaddexp(0.0, logit)).sum())


def _quantiles(
    grid: ValueGrid, probability: NDArray[np.float64], coverage: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The distribution's own interval, in sqrt(SHC)."""
    low = np.sqrt(grid.quantile(probability, 0.5 - 0.5 * coverage))
    return low, np.sqrt(grid.quantile(probability, 0.5 + 0.5 * coverage))


def _group(edges: NDArray[np.float64], value: NDArray[np.float64]) -> NDArray[np.intp]:
    return np.searchsorted(edges, value, side="right")


def _conformal_quantile(distance: NDArray[np.float64], coverage: float) -> float:
    """The ceil((n + 1) coverage)-th smallest distance; the largest one if there are too few rows for that."""
    rank = math.ceil((len(distance) + 1) * coverage)
    return float(np.sort(distance)[min(rank, len(distance)) - 1])


def _logit(p: NDArray[np.float64]) -> NDArray[np.float64]:
    bounded = np.clip(p, 1e-6, 1.0 - 1e-6)
    return np.log(bounded) - np.log1p(-bounded)


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    p: NDArray[np.float64] = np.exp(-np.logaddexp(0.0, -x))
    return p
