from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest
import torch

from shc.featurize.errors import ShcError
from shc.models.baselines.cgcnn import CGCNN, CGCNNConfig
from shc.models.baselines.graphs import GraphArrays
from shc.models.baselines.settings import BaselineConfig
from shc.models.baselines.training import GraphTraining, TargetScale, train_baseline
from shc.models.data import CrystalArrays

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from shc.featurize.store import FeatureBatch
    from shc.models.baselines.training import BaselineEpoch

CONFIG = BaselineConfig(epochs=6, patience=6, batch_size=5, held_out=0.25)
TRAIN, TEST = np.arange(20), np.arange(20, 24)


class Data:
    """What a training gets, but its settings."""

    def __init__(self, crystals: FeatureBatch, shc: NDArray[np.float64]) -> None:
        self.arrays, self.labels = GraphArrays(crystals), shc
        self.systems = CrystalArrays(crystals).chemical_system()

    def start(self, config: BaselineConfig = CONFIG) -> GraphTraining:
        device = torch.device("cpu")
        return GraphTraining(build, self.arrays, self.labels, TRAIN, self.systems, config, device)

    def train(self, folder: Path, config: BaselineConfig = CONFIG) -> tuple[NDArray[np.float64], list[BaselineEpoch]]:
        log: list[BaselineEpoch] = []
        predicted = train_baseline(
            build, self.arrays, self.labels, TRAIN, self.systems, config, folder, TEST, log.append
        )
        return predicted, log


def build() -> CGCNN:
    return CGCNN(CGCNNConfig(width=8, n_convolutions=2, hidden=8))


@pytest.fixture
def data(crystals: FeatureBatch, shc: NDArray[np.float64]) -> Data:
    return Data(crystals, shc)


def test_resumed_after_any_epoch_gives_the_same(data: Data, tmp_path: Path) -> None:
    whole = data.start()
    for epoch in range(6):
        whole.run_epoch()
        whole.save(tmp_path / f"{epoch}")
    for epoch in (0, 3):
        resumed = data.start()
        resumed.resume(tmp_path / f"{epoch}")
        while not resumed.finished():
            resumed.run_epoch()
        assert resumed.log == whole.log
        for kept, other in ((whole.averaged.weights, resumed.averaged.weights), (whole.best, resumed.best)):
            assert kept.keys() == other.keys()
            assert all(torch.equal(value, other[name]) for name, value in kept.items())
        np.testing.assert_array_equal(resumed.predict(TEST), whole.predict(TEST))


def test_a_stopped_training_goes_on_and_a_finished_one_only_predicts(data: Data, tmp_path: Path) -> None:
    whole, log = data.train(tmp_path / "whole")
    assert [row.epoch for row in log] == [1, 2, 3, 4, 5, 6]

    def stop(row: BaselineEpoch) -> None:
        if row.epoch == 2:
            raise KeyboardInterrupt

    common = (build, data.arrays, data.labels, TRAIN, data.systems, CONFIG, tmp_path / "stopped", TEST)
    with pytest.raises(KeyboardInterrupt):
        train_baseline(*common, stop)
    resumed, rest = data.train(tmp_path / "stopped")
    assert rest == log[2:]
    np.testing.assert_array_equal(resumed, whole)
    again, none = data.train(tmp_path / "whole")
    assert none == []
    np.testing.assert_array_equal(again, whole)


def test_equal_seeds_give_equal_predictions(data: Data, tmp_path: Path) -> None:
    state = torch.get_rng_state()
    first, _ = data.train(tmp_path / "a")
    assert torch.equal(torch.get_rng_state(), state), "random numbers of the caller are left alone"
    torch.manual_seed(5)
    second, _ = data.train(tmp_path / "b")
    np.testing.assert_array_equal(first, second)
    other, _ = data.train(tmp_path / "c", replace(CONFIG, seed=1))
    assert (first != other).all()


def test_labels_of_other_rows_are_never_looked_at(data: Data, tmp_path: Path) -> None:
    expected, _ = data.train(tmp_path / "a")
    data.labels = data.labels.copy()
    data.labels[TEST] = np.nan
    hidden, _ = data.train(tmp_path / "b")
    np.testing.assert_array_equal(hidden, expected)


def test_held_out_rows_share_no_chemical_system_and_teach_nothing(data: Data) -> None:
    training = data.start()
    held_out, learned = training.held_out_rows, training.learned_rows
    assert sorted([*held_out, *learned]) == TRAIN.tolist()
    assert len(held_out) == 5
    assert not {data.systems[i] for i in held_out} & {data.systems[i] for i in learned}
    training.run_epoch()
    data.labels = data.labels.copy()
    data.labels[held_out] += 100.0
    other = data.start()
    other.run_epoch()
    assert all(torch.equal(v, other.averaged.weights[k]) for k, v in training.averaged.weights.items())
    assert other.log[0].held_out_error != training.log[0].held_out_error


def test_one_chemical_system_is_too_few(data: Data) -> None:
    with pytest.raises(ShcError, match="two chemical systems"):
        GraphTraining(build, data.arrays, data.labels, TRAIN[:1], data.systems, CONFIG, torch.device("cpu"))


def test_the_epoch_with_the_smallest_held_out_error_counts(data: Data) -> None:
    training = data.start(replace(CONFIG, epochs=12, patience=12, learning_rate=0.05, averaging=0.0))
    predictions = []
    while not training.finished():
        training.run_epoch()
        predictions.append(training._predict(training.averaged.weights, TEST))
    errors = [row.held_out_error for row in training.log]
    best = int(np.argmin(errors))
    assert best < len(errors) - 1, "a later epoch is worse, so that the test can fail"
    assert (training.best_error, training.best_epoch) == (errors[best], best + 1)
    np.testing.assert_array_equal(training.predict(TEST), predictions[best])
    residual = training.predict(training.held_out_rows) - data.labels[training.held_out_rows]
    expected = 0.5 * (np.abs(residual).mean() + np.sqrt((residual**2).mean()))
    assert training.best_error == pytest.approx(expected)


def test_patience_ends_the_training(data: Data) -> None:
    training = data.start(replace(CONFIG, epochs=100, patience=3))
    training.epoch, training.best_epoch = 12, 10
    assert not training.finished()
    training.epoch = 13
    assert training.finished()


def test_looking_at_rows_leaves_the_training_alone(data: Data) -> None:
    training, other = data.start(), data.start()
    training.run_epoch()
    training.predict(TEST)
    training.run_epoch()
    for _ in range(2):
        other.run_epoch()
    assert training.log == other.log


@pytest.mark.parametrize("loss", ["mse", "l1"])
@pytest.mark.parametrize("target", ["sqrt", "raw"])
def test_the_loss_falls(data: Data, loss: Literal["mse", "l1"], target: Literal["sqrt", "raw"]) -> None:
    training = data.start(BaselineConfig(epochs=15, batch_size=5, learning_rate=0.02, loss=loss, target=target))
    while not training.finished():
        training.run_epoch()
    assert training.log[-1].train_loss < 0.5 * training.log[0].train_loss


@pytest.mark.parametrize("target", ["sqrt", "raw"])
def test_targets_are_standardised_and_come_back(target: str) -> None:
    labels = np.random.default_rng(0).exponential(200.0, 500)
    scale = TargetScale(labels, target)
    standardised = scale.standardised(labels)
    assert standardised.mean() == pytest.approx(0.0, abs=1e-5)
    assert standardised.std() == pytest.approx(1.0, abs=1e-5)
    np.testing.assert_allclose(scale.shc(standardised), labels, rtol=1e-4, atol=1e-2)
    far = np.array([-50.0, 50.0], dtype=np.float32)
    assert scale.shc(far).tolist() == pytest.approx([0.0, labels.max()])


def test_the_square_root_is_what_is_standardised() -> None:
    scale = TargetScale(np.array([0.0, 400.0]), "sqrt")
    assert scale.standardised(np.array([0.0, 100.0, 400.0])).tolist() == pytest.approx([-1.0, 0.0, 1.0])
    assert scale.shc(np.array([0.5], dtype=np.float32)).tolist() == pytest.approx([225.0])
