from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from shc.featurize.errors import ExitCode, ShcError
from shc.models.baselines.boosting import BoostingConfig, train_boosting
from shc.models.baselines.cross_fit import Rows, cross_fit, to_shc, to_target
from shc.models.baselines.forest import ForestConfig, train_forest
from shc.models.baselines.kept_fits import Keep
from shc.models.baselines.table import FeatureTable
from shc.models.metrics import score

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from shc.models.baselines.cross_fit import CrossFit, Predict

N = 240
SYSTEMS = [(i % 40,) for i in range(N)]
TRAIN = np.arange(200)
TEST = np.arange(200, N)
BOOSTING = BoostingConfig(n_members=3, n_trees=30, learning_rate=0.3, leaf_size=5, feature_share=1.0)
FOREST = ForestConfig(n_members=3, n_trees=10, feature_share=1.0)
RANDOM_FOREST = replace(FOREST, kind="random")
TRAINERS: list[Callable[[FeatureTable, NDArray[np.float64]], CrossFit]] = [
    lambda table, labels: train_boosting(table, labels, TRAIN, SYSTEMS, BOOSTING, lambda _: None),
    lambda table, labels: train_forest(table, labels, TRAIN, SYSTEMS, FOREST, lambda _: None),
    lambda table, labels: train_forest(table, labels, TRAIN, SYSTEMS, RANDOM_FOREST, lambda _: None),
]


def made_up(seed: int = 0) -> tuple[FeatureTable, NDArray[np.float64]]:
    values = np.random.default_rng(seed).uniform(size=(N, 4)).astype(np.float32)
    labels = 400.0 * values[:, 0].astype(np.float64) ** 2 * (1.0 + values[:, 1])
    return FeatureTable(("a", "b", "c", "d"), ("spin-orbit", "structure", "symmetry", "symmetry"), values), labels


def constant(learned: Rows, held_out: Rows, target: str, seed: int) -> Predict:
    """Says the mean of what it learned, or 0 for the root."""
    assert seed >= 7
    assert len(held_out.labels) > 0
    answer = float(learned.labels.mean()) if target == "raw" else 0.0
    return lambda values: np.full(len(values), answer)


@pytest.mark.parametrize("train", TRAINERS)
def test_learns_and_repeats(train: Callable[[FeatureTable, NDArray[np.float64]], CrossFit]) -> None:
    table, labels = made_up()
    fitted = train(table, labels)
    predicted = fitted.predict(table.values[TEST])
    assert score(predicted, labels[TEST]).r2 > 0.8
    np.testing.assert_array_equal(train(table, labels).predict(table.values[TEST]), predicted)


@pytest.mark.parametrize("train", TRAINERS)
def test_rows_that_only_score_do_not_matter(train: Callable[[FeatureTable, NDArray[np.float64]], CrossFit]) -> None:
    table, labels = made_up()
    spoiled = labels.copy()
    spoiled[TEST] = np.nan
    first, second = (train(table, each).predict(table.values[TEST]) for each in (labels, spoiled))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("train", TRAINERS)
def test_unknown_features_are_allowed(train: Callable[[FeatureTable, NDArray[np.float64]], CrossFit]) -> None:
    table, labels = made_up()
    values = table.values.copy()
    values[::3, 1] = np.nan
    values[:, 3] = np.nan
    predicted = train(table._replace(values=values), labels).predict(values[TEST])
    assert score(predicted, labels[TEST]).r2 > 0.6


def test_no_member_learns_from_systems_that_it_holds_out() -> None:
    table, labels = made_up()
    seen: list[int] = []
    fitted = cross_fit(constant, table.values, labels, TRAIN, SYSTEMS, 5, 7, seen.append)
    assert seen == [1, 2, 3, 4, 5]
    np.testing.assert_array_equal(np.sort(fitted.held_out_rows), TRAIN)
    parts = [{SYSTEMS[row] for row in member.held_out.tolist()} for member in fitted.members]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 40


def test_held_out_predictions_come_from_the_member_that_did_not_learn() -> None:
    table, labels = made_up()
    fitted = cross_fit(constant, table.values, labels, TRAIN, SYSTEMS, 4, 7, lambda _: None)
    assert fitted.root_share == 0.0  # 0 is a bad answer
    expected = [labels[np.setdiff1d(TRAIN, member.held_out)].mean() for member in fitted.members]
    sizes = [len(member.held_out) for member in fitted.members]
    np.testing.assert_allclose(fitted.predict_held_out(table.values), np.repeat(expected, sizes))
    np.testing.assert_allclose(fitted.predict(table.values[:2]), np.mean(expected))


@pytest.mark.parametrize(("train", "config"), [(train_boosting, BOOSTING), (train_forest, FOREST)])
def test_a_stopped_run_fits_only_what_is_missing(
    train: Callable[..., CrossFit], config: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, labels = made_up()
    whole = train(table, labels, TRAIN, SYSTEMS, config, lambda _: None)
    done: list[int] = []

    def note(n: int) -> None:
        done.append(n)
        if len(done) == 2:
            raise KeyboardInterrupt

    for _ in range(2):
        with suppress(KeyboardInterrupt):
            fitted = train(table, labels, TRAIN, SYSTEMS, config, note, Keep(tmp_path / "kept", TEST))
    assert done == [1, 2, 1, 2, 3]
    for values in (table.values[TEST], table.values[TEST[::-3]]):
        np.testing.assert_array_equal(fitted.predict(values), whole.predict(values))
    np.testing.assert_array_equal(fitted.predict_held_out(table.values), whole.predict_held_out(table.values))
    assert fitted.root_share == whole.root_share
    assert len(list((tmp_path / "kept").iterdir())) == 2 * 3
    # All is there: nothing is left that could fit.
    nothing = SimpleNamespace(HistGradientBoostingRegressor=None, ExtraTreesRegressor=None)
    monkeypatch.setattr(sys.modules[train.__module__], "ensembles", lambda: nothing)
    again = train(table, labels, TRAIN, SYSTEMS, config, lambda _: None, Keep(tmp_path / "kept", TEST))
    np.testing.assert_array_equal(again.predict(table.values[TEST]), whole.predict(table.values[TEST]))


def test_targets() -> None:
    labels = np.array([0.0, 9.0, 400.0])
    for target in ("raw", "sqrt"):
        np.testing.assert_allclose(to_shc(to_target(labels, target), target), labels)
        np.testing.assert_array_equal(to_shc(np.array([-3.0]), target), [0.0])


def test_one_chemical_system_is_refused() -> None:
    table, labels = made_up()
    with pytest.raises(ShcError, match="fewer than two chemical systems"):
        cross_fit(constant, table.values, labels, TRAIN, [(1,)] * N, 5, 7, lambda _: None)


@pytest.mark.parametrize("train", TRAINERS)
def test_without_scikit_learn(
    train: Callable[[FeatureTable, NDArray[np.float64]], CrossFit], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ShcError, match="scikit-learn") as caught:
        train(*made_up())
    assert caught.value.exit_code == ExitCode.NO_BACKEND
