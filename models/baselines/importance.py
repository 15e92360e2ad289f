"""What groups of features are worth to a fitted model: permutation importance on held-out rows.

A group is permuted as a whole (Gregorutti, Michel and Saint-Pierre, doi:10.1016/j.csda.2015.04.002, after Breiman,
doi:10.1023/A:1010933404324), so features that say the same cannot stand in for each other within it. Across groups
they can: the worth of a group is what no other group tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from shc.models.metrics import score

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shc.models.baselines.cross_fit import CrossFit
    from shc.models.baselines.table import FeatureTable, Group


class GroupImportance(NamedTuple):
    """What is lost without one group of features, over n permutations."""

    group: Group
    n_features: int
    rmse_rise: NDArray[np.float64]
    """``[n]``, (hbar/e) S/cm."""
    r2_drop: NDArray[np.float64]
    """``[n]``."""


def group_importance(
    fitted: CrossFit, table: FeatureTable, labels: NDArray[np.float64], n_permutations: int = 10, seed: int = 0
) -> list[GroupImportance]:
    """Importance of each group of features for the rows that each member did not learn from.

    Args:
        fitted: The model.
        table: What it was fitted on.
        labels: ``[n]`` SHC of every crystal, (hbar/e) S/cm; only training rows are looked at.
        n_permutations: Permutations of each group.
        seed: Seed of the permutations.

    Returns:
        One entry a group, largest mean rise of RMSE first.
    """
    rows = fitted.held_out_rows
    reference = score(fitted.predict_held_out(table.values), labels[rows])
    found: list[GroupImportance] = []
    for group in dict.fromkeys(table.groups):
        columns = np.array([i for i, name in enumerate(table.groups) if name == group])
        rng = np.random.default_rng(seed)
        rises, drops = np.zeros(n_permutations), np.zeros(n_permutations)
        for k in range(n_permutations):
            values = table.values.copy()
            values[np.ix_(rows, columns)] = table.values[np.ix_(rng.permutation(rows), columns)]
            scores = score(fitted.predict_held_out(values), labels[rows])
            rises[k], drops[k] = scores.rmse - reference.rmse, reference.r2 - scores.r2
        found.append(GroupImportance(group, len(columns), rises, drops))
    return sorted(found, key=lambda entry: -entry.rmse_rise.mean())
