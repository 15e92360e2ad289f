"""Forest of trees on features of matminer, the baseline of the literature.

Either a random forest (Breiman, doi:10.1023/A:1010933404324), or extremely randomised trees (Geurts, Ernst and
Wehenkel, doi:10.1007/s10994-006-6226-1), which see all rows and draw the thresholds of divisions at random.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from shc.models.baselines.cross_fit import Rows, cross_fit, ensembles, to_shc, to_target

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from shc.models.baselines.cross_fit import CrossFit, Predict
    from shc.models.baselines.kept_fits import Keep
    from shc.models.baselines.table import FeatureTable


@dataclass(frozen=True, slots=True)
class ForestConfig:
    """Settings, chosen on training rows held out by chemical system."""

    seed: int = 0
    """Seed of which rows are held out and of the trees."""
    kind: Literal["random", "extra"] = "extra"
    """Random forest or extremely randomised trees."""
    n_members: int = 20
    """Forests that are averaged; each leaves out one part of the training rows, so few would learn from too little."""
    n_trees: int = 50
    """Trees of a forest."""
    leaf_size: int = 1
    """Crystals of a leaf at least."""
    feature_share: float = 1.0
    """Share of the features among which a division is chosen."""


def train_forest(
    table: FeatureTable,
    labels: NDArray[np.float64],
    train_rows: NDArray[np.int64],
    systems: Sequence[tuple[int, ...]],
    config: ForestConfig,
    on_member: Callable[[int], None],
    keep: Keep | None = None,
) -> CrossFit:
    """Fit the forests.

    Args:
        table: Features of all crystals, see ``matminer_table``.
        labels: ``[n]`` SHC of every crystal, (hbar/e) S/cm; only training rows are looked at.
        train_rows: Rows to learn from.
        systems: ``[n]`` chemical system of every crystal.
        config: Settings.
        on_member: Called with the number of forests done; may raise to stop.
        keep: See ``cross_fit``.

    Raises:
        ShcError: scikit-learn is not installed (``NO_BACKEND``), or the training rows hold fewer than two chemical
            systems.
    """
    library = ensembles()
    make = library.ExtraTreesRegressor if config.kind == "extra" else library.RandomForestRegressor

    def fit(learned: Rows, held_out: Rows, target: str, seed: int) -> Predict:  # noqa: ARG001  # forests need no stop
        forest = make(
            n_estimators=config.n_trees,
            min_samples_leaf=config.leaf_size,
            max_features=config.feature_share,
            random_state=seed,
        )
        forest.fit(learned.values, to_target(learned.labels, target))

        def predict(values: NDArray[np.float32]) -> NDArray[np.float64]:
            return to_shc(np.asarray(forest.predict(values)), target)

        return predict

    return cross_fit(fit, table.values, labels, train_rows, systems, config.n_members, config.seed, on_member, keep)
