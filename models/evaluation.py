"""Scores with bootstrap intervals, and paired differences of scores.

Source: percentile intervals, Efron and Tibshirani, "An introduction to the bootstrap", 1993, chapter 13.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from shc.models.metrics import AUC_THRESHOLD, Scores, covered, score

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

METRICS: Final = Scores._fields[1:]
"""Names of the scores that have intervals."""
COVERAGE: Final = "coverage"
"""Share of labels inside the predicted intervals."""
N_RESAMPLES: Final = 2000
LEVEL: Final = 0.95
FEWEST: Final = 10
"""Crystals that an interval needs: resamples of fewer do not tell how much a score may vary."""
_BLOCK: Final = 2**21
"""Drawn crystals in memory at a time."""


class Estimated(NamedTuple):
    """A score and its bootstrap interval; NaN where it is not defined, the interval also below ``FEWEST`` crystals."""

    value: float
    lower: float
    upper: float

    @property
    def has_interval(self) -> bool:
        """Whether there is an interval."""
        return math.isfinite(self.lower)

    @property
    def excludes_zero(self) -> bool | None:
        """Whether the interval leaves 0 out; None if there is none."""
        return (self.lower > 0.0 or self.upper < 0.0) if self.has_interval else None


def resamples(n: int, seed: int, n_resamples: int = N_RESAMPLES) -> Iterator[NDArray[np.int64]]:
    """Draw n of n crystals with replacement, again and again; equal arguments give equal draws.

    Yields:
        Blocks of ``[b, n]`` indices, ``n_resamples`` rows in all.
    """
    rng, step = np.random.default_rng(seed), max(1, _BLOCK // n)
    for start in range(0, n_resamples, step):
        yield rng.integers(0, n, (min(step, n_resamples - start), n))


def evaluate(
    label: NDArray[np.float64],
    value: NDArray[np.float64],
    bounds: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
    *,
    seed: int = 0,
) -> dict[str, Estimated]:
    """Score predictions.

    Args:
        label: ``[n]`` labels, (hbar/e) S/cm; n >= 1.
        value: ``[n]`` predictions, (hbar/e) S/cm.
        bounds: ``[n]`` lower and ``[n]`` upper ends of their intervals, if there are any.
        seed: Seed of the bootstrap.

    Returns:
        ``METRICS``, and ``COVERAGE`` if there are intervals.
    """
    n = len(label)
    found = _with_intervals(score(value, label)[1:], resampled_scores(label, value, seed), n)
    if bounds is not None:
        lower, upper = bounds
        inside = ((label >= lower) & (label <= upper)).astype(np.float64)
        shares = np.concatenate([inside[rows].mean(axis=1) for rows in resamples(n, seed)])
        found[COVERAGE] = _estimate(covered(lower, upper, label), shares, n)
    return found


def paired_difference(
    label: NDArray[np.float64], first: NDArray[np.float64], second: NDArray[np.float64], *, seed: int = 0
) -> dict[str, Estimated]:
    """Scores of one set of predictions minus those of another, resampled together.

    Args:
        label: ``[n]`` labels, (hbar/e) S/cm; n >= 1.
        first: ``[n]`` predictions of the same crystals.
        second: ``[n]`` other predictions of them.
        seed: Seed of the bootstrap.

    Returns:
        Differences of ``METRICS``.
    """
    value = np.subtract(score(first, label)[1:], score(second, label)[1:])
    resampled = resampled_scores(label, first, seed) - resampled_scores(label, second, seed)
    return _with_intervals(tuple(value.tolist()), resampled, len(label))


def resampled_scores(label: NDArray[np.float64], value: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Scores of the resamples: what ``score`` gives for each, computed for many at a time.

    A resample is held as the number of times that it holds each crystal.

    Returns:
        ``[N_RESAMPLES, 5]`` in the order of ``METRICS``; NaN where a score is not defined.
    """
    n = len(label)
    error, centred = value - label, label - label.mean()
    by_value, by_label, positive = _Ranking(value), _Ranking(label), label > AUC_THRESHOLD
    parts = []
    for rows in resamples(n, seed):
        times = _times(rows)
        squares = times @ error**2 / n
        spread = times @ centred**2 / n - (times @ centred / n) ** 2
        value_ranks = by_value.ranks(times)
        with np.errstate(divide="ignore", invalid="ignore"):
            # Resamples of one label only have no spread but that of rounding.
            r2 = np.where(_one_label(by_label, times), np.nan, 1.0 - squares / spread)
            auc = _auc(times, value_ranks, positive)
            spearman = _correlation(times, value_ranks, by_label.ranks(times))
        parts.append(np.stack([r2, times @ np.abs(error) / n, np.sqrt(squares), auc, spearman], axis=1))
    return np.concatenate(parts)


class _Ranking:
    """The order of ``[n]`` values, for ranks within resamples."""

    def __init__(self, values: NDArray[np.float64]) -> None:
        _, self.group = np.unique(values, return_inverse=True)
        self._order = np.argsort(self.group, kind="stable")
        self._first = np.searchsorted(self.group[self._order], np.arange(self.group.max() + 1))

    def totals(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """How often ``[b]`` resamples hold each distinct value, ascending: ``[b, n_distinct]``."""
        totals: NDArray[np.float64] = np.add.reduceat(times[:, self._order], self._first, axis=1)
        return totals

    def ranks(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Ranks from 1, ties averaged, of all values within each of ``[b]`` resamples: ``[b, n]``."""
        totals = self.totals(times)
        middle: NDArray[np.float64] = np.cumsum(totals, axis=1) - (totals - 1.0) / 2.0
        return middle[:, self.group]


def _times(rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """How often each of ``[b, n]`` draws holds each of the n crystals."""
    b, n = rows.shape
    place = rows + n * np.arange(b)[:, None]
    return np.bincount(place.ravel(), minlength=b * n).reshape(b, n).astype(np.float64)


def _one_label(labels: _Ranking, times: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which resamples hold a single distinct label."""
    single: NDArray[np.bool_] = np.count_nonzero(labels.totals(times), axis=1) == 1
    return single


def _auc(
    times: NDArray[np.float64], value_ranks: NDArray[np.float64], positive: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Area under the ROC curve of each resample by the rank sum, as ``roc_auc``; NaN if a class is empty."""
    n_positive = times @ positive
    n_negative = times.shape[1] - n_positive
    rank_sum = (times * value_ranks) @ positive
    auc: NDArray[np.float64] = (rank_sum - n_positive * (n_positive + 1.0) / 2.0) / (n_positive * n_negative)
    return auc


def _correlation(times: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson correlation of ``[b, n]`` ranks of each resample; ranks from 1 to n average to (n + 1) / 2."""
    middle = (times.shape[1] + 1.0) / 2.0
    a, b = a - middle, b - middle
    product, square_a, square_b = ((times * x).sum(axis=1) for x in (a * b, a * a, b * b))
    correlation: NDArray[np.float64] = product / np.sqrt(square_a * square_b)
    return correlation


def _with_intervals(values: tuple[float, ...], resampled: NDArray[np.float64], n: int) -> dict[str, Estimated]:
    return {name: _estimate(value, column, n) for name, value, column in zip(METRICS, values, resampled.T, strict=True)}


def _estimate(value: float, resampled: NDArray[np.float64], n: int) -> Estimated:
    """A score of n crystals and the interval of its resamples; those in which it is not defined are left out."""
    defined = resampled[np.isfinite(resampled)]
    if n < FEWEST or not math.isfinite(value) or len(defined) == 0:
        return Estimated(value, math.nan, math.nan)
    lower, upper = np.quantile(defined, [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0])
    return Estimated(value, float(lower), float(upper))
