"""Scores of predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

AUC_THRESHOLD = 200.0
"""Label above which a crystal counts as positive in the reported AUC, (hbar/e) S/cm."""


class Scores(NamedTuple):
    """Regression and ranking scores over n crystals."""

    n: int
    r2: float
    mae: float
    """(hbar/e) S/cm."""
    rmse: float
    """(hbar/e) S/cm."""
    auc: float
    """ROC AUC of the predicted value for label > ``AUC_THRESHOLD``."""
    spearman: float


def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1, ties averaged, of ``[n]`` values."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    average: NDArray[np.float64] = (last - (counts - 1) / 2.0)[inverse]
    return average


def roc_auc(score: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve by the rank sum (Mann and Whitney, 1947); NaN if a class is empty."""
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if n_positive == 0 or n_negative == 0:
        return float("nan")
    rank_sum = float(ranks(score)[positive].sum())
    return (rank_sum - n_positive * (n_positive + 1) / 2.0) / (n_positive * n_negative)


def score(predicted: NDArray[np.float64], label: NDArray[np.float64]) -> Scores:
    """Score ``[n]`` predictions against ``[n]`` labels, both in (hbar/e) S/cm."""
    error = predicted - label
    spread = float(((label - label.mean()) ** 2).sum())
    a, b = ranks(predicted), ranks(label)
    deviation = float(a.std() * b.std())
    return Scores(
        n=len(label),
        r2=1.0 - float((error**2).sum()) / spread if spread > 0 else float("nan"),
        mae=float(np.abs(error).mean()),
        rmse=float(np.sqrt((error**2).mean())),
        auc=roc_auc(predicted, label > AUC_THRESHOLD),
        spearman=float(((a - a.mean()) * (b - b.mean())).mean() / deviation) if deviation > 0 else float("nan"),
    )


def covered(lower: NDArray[np.float64], upper: NDArray[np.float64], labels: NDArray[np.float64]) -> float:
    """Share of ``[n]`` labels inside their closed intervals."""
    return float(((labels >= lower) & (labels <= upper)).mean())


def held_out_error(predicted: NDArray[np.float64], label: NDArray[np.float64]) -> float:
    """Mean of MAE and RMSE of ``[n]`` predictions, (hbar/e) S/cm, by which epochs and settings are chosen."""
    scores = score(predicted, label)
    return 0.5 * (scores.mae + scores.rmse)
