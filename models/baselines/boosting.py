"""Gradient boosting of trees (Friedman, doi:10.1214/aos/1013203451) on the features of our own feature file.

Trees of binned features as in LightGBM (Ke et al., Advances in Neural Information Processing Systems 30, 2017). A
feature may be unknown, so one model serves crystals with and without electronic structure.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from shc.models.baselines.cross_fit import Rows, cross_fit, ensembles, to_shc, to_target
from shc.models.metrics import held_out_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from shc.models.baselines.cross_fit import CrossFit, Predict
    from shc.models.baselines.kept_fits import Keep
    from shc.models.baselines.table import FeatureTable


@dataclass(frozen=True, slots=True)
class BoostingConfig:
    """Settings, chosen on training rows held out by chemical system."""

    seed: int = 0
    """Seed of which rows are held out and of the features that a tree may look at."""
    n_members: int = 20
    """Models that are averaged; each leaves out one part of the training rows, so few would learn from too little."""
    n_trees: int = 600
    """Trees at most; as many are kept as predict the held-out rows best."""
    learning_rate: float = 0.1
    """Share of each tree's answer that is added."""
    n_leaves: int = 31
    """Leaves of a tree at most."""
    leaf_size: int = 20
    """Crystals of a leaf at least."""
    feature_share: float = 0.3
    """Share of the features among which a division is chosen."""


def train_boosting(
    table: FeatureTable,
    labels: NDArray[np.float64],
    train_rows: NDArray[np.int64],
    systems: Sequence[tuple[int, ...]],
    config: BoostingConfig,
    on_member: Callable[[int], None],
    keep: Keep | None = None,
) -> CrossFit:
    """Fit the models.

    Args:
        table: Features of all crystals, see ``feature_table``.
        labels: ``[n]`` SHC of every crystal, (hbar/e) S/cm; only training rows are looked at.
        train_rows: Rows to learn from and to stop on.
        systems: ``[n]`` chemical system of every crystal.
        config: Settings.
        on_member: Called with the number of models done; may raise to stop.
        keep: See ``cross_fit``.

    Raises:
        ShcError: scikit-learn is not installed (``NO_BACKEND``), or the training rows hold fewer than two chemical
            systems.
    """
    make = ensembles().HistGradientBoostingRegressor

    def fit(learned: Rows, held_out: Rows, target: str, seed: int) -> Predict:
        model = make(
            learning_rate=config.learning_rate,
            max_iter=config.n_trees,
            max_leaf_nodes=config.n_leaves,
            min_samples_leaf=config.leaf_size,
            max_features=config.feature_share,
            early_stopping=False,
            random_state=seed,
        )
        known = ~np.isnan(learned.values).all(axis=0)  # scikit-learn cannot divide a column without a value
        model.fit(learned.values[:, known], to_target(learned.labels, target))
        outputs = model.staged_predict(held_out.values[:, known])
        n_trees = int(np.argmin([held_out_error(to_shc(output, target), held_out.labels) for output in outputs]))

        def predict(values: NDArray[np.float32]) -> NDArray[np.float64]:
            return to_shc(next(islice(model.staged_predict(values[:, known]), n_trees, None)), target)

        return predict

    return cross_fit(fit, table.values, labels, train_rows, systems, config.n_members, config.seed, on_member, keep)
