from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from shc.models.baselines.cross_fit import CrossFit, Member
from shc.models.baselines.importance import group_importance
from shc.models.baselines.table import FeatureTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

N = 300


@pytest.fixture(scope="module")
def table() -> FeatureTable:
    values = np.random.default_rng(1).uniform(size=(N, 4)).astype(np.float32)
    return FeatureTable(("a", "b", "c", "d"), ("structure", "spin-orbit", "structure", "symmetry"), values)


def labels_of(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Large with features b, little with a - c, not at all with d."""
    return np.asarray(300.0 * values[:, 1] + 40.0 * np.abs(values[:, 0] - values[:, 2]), dtype=np.float64)


@pytest.fixture(scope="module")
def fitted() -> CrossFit:
    parts = np.array_split(np.arange(200), 2)
    return CrossFit(tuple(Member(part, labels_of, labels_of) for part in parts), 0.5)


def test_order_and_size(table: FeatureTable, fitted: CrossFit) -> None:
    found = group_importance(fitted, table, labels_of(table.values), 8)
    assert [(entry.group, entry.n_features) for entry in found] == [
        ("spin-orbit", 1),
        ("structure", 2),
        ("symmetry", 1),
    ]
    # Two independent values of variance 300^2 / 12 differ by 300 / sqrt(6) in the mean.
    assert found[0].rmse_rise.mean() == pytest.approx(300.0 / np.sqrt(6.0), rel=0.08)
    assert found[0].rmse_rise.std() > 0.0
    assert found[0].r2_drop.mean() == pytest.approx(2.0, rel=0.15)
    np.testing.assert_array_equal(found[2].rmse_rise, 0.0)


def test_columns_of_a_group_move_together() -> None:
    values = np.random.default_rng(2).uniform(size=(N, 1)).astype(np.float32).repeat(2, axis=1)
    table = FeatureTable(("a", "b"), ("structure", "structure"), values)

    def difference(rows: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.asarray(np.abs(rows[:, 0] - rows[:, 1]), dtype=np.float64)

    fitted = CrossFit((Member(np.arange(N), difference, difference),), 1.0)
    assert group_importance(fitted, table, np.linspace(0.0, 1.0, N), 3)[0].rmse_rise.tolist() == [0.0] * 3


def test_only_training_rows_are_looked_at(table: FeatureTable, fitted: CrossFit) -> None:
    labels = labels_of(table.values)
    labels[200:] = np.nan
    values = table.values.copy()
    values[200:] = np.nan
    for entry in group_importance(fitted, table._replace(values=values), labels, 2):
        assert np.isfinite(entry.rmse_rise).all()


def test_repeats_with_its_seed(table: FeatureTable, fitted: CrossFit) -> None:
    labels = labels_of(table.values)
    first, again, other = (group_importance(fitted, table, labels, 2, seed)[0].rmse_rise for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()
