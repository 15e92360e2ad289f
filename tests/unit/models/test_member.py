from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from shc.featurize.store import FeatureBatch
from shc.models.config import ModelConfig, TrainConfig
from shc.models.data import CrystalArrays
from shc.models.heads import Output, ValueGrid, moments
from shc.models.member import Averaged, MemberTraining, Objective, train_member

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from shc.featurize.types import CrystalRecord
    from shc.models.member import EpochLog

MODEL = ModelConfig(
    d_model=16,
    n_heads=2,
    hidden=32,
    n_values=8,
    n_distance=8,
    n_descriptor_tokens=2,
    n_convolutions=1,
    n_blocks=1,
)
CONFIG = TrainConfig(epochs=6, batch_size=8, patience=6)
CPU = torch.device("cpu")
NO_MORE = torch.zeros(4, 0), torch.zeros(4, 1)
"""No tensor, and an embedding."""


@pytest.fixture
def arrays(record_factory: Callable[..., CrystalRecord]) -> CrystalArrays:
    records = [record_factory(f"m{i}", n_atoms=2 + i % 5, n_nodes=1 + i % 2, seed=i) for i in range(40)]
    return CrystalArrays(FeatureBatch.from_records(records))


def start(arrays: CrystalArrays, config: TrainConfig = CONFIG, member: int = 0) -> MemberTraining:
    labels = 300.0 * np.exp(arrays.descriptors[:, 0].astype(np.float64))
    return MemberTraining(arrays, labels, np.arange(32), np.arange(32, 40), MODEL, config, member, CPU)


def test_loss_falls_and_the_best_weights_are_kept(arrays: CrystalArrays) -> None:
    training = start(arrays)
    while not training.finished():
        training.run_epoch()
    held_out = [row.held_out_error for row in training.log]
    assert len(held_out) == 6
    assert training.log[-1].train_loss < training.log[0].train_loss
    assert training.best_error == min(held_out)
    assert training.best_epoch == 1 + int(np.argmin(held_out))


def test_equal_seeds_give_equal_weights_and_members_differ(arrays: CrystalArrays) -> None:
    def trained(member: int, seed: int) -> torch.Tensor:
        training = start(arrays, TrainConfig(seed=seed, epochs=1, batch_size=8), member)
        training.run_epoch()
        weights: torch.Tensor = training.averaged.weights["heads.value.weight"]
        return weights

    first = trained(0, 0)
    assert torch.equal(first, trained(0, 0))
    assert not torch.equal(first, trained(1, 0))
    assert not torch.equal(first, trained(0, 1))


def test_resumed_after_any_epoch_gives_the_same(arrays: CrystalArrays, tmp_path: Path) -> None:
    whole = start(arrays)
    for epoch in range(6):
        whole.run_epoch()
        whole.save(tmp_path / f"{epoch}")
    for epoch in (0, 3):
        resumed = start(arrays)
        resumed.resume(tmp_path / f"{epoch}")
        while not resumed.finished():
            resumed.run_epoch()
        assert resumed.log == whole.log
        for name, value in whole.averaged.weights.items():
            assert torch.equal(resumed.averaged.weights[name], value), name
        for name, value in whole.best.items():
            assert torch.equal(resumed.best[name], value), name


def test_training_saves_before_it_tells(arrays: CrystalArrays, tmp_path: Path) -> None:
    path, seen = tmp_path / "checkpoint.safetensors", list[int]()

    def look(row: EpochLog) -> None:
        other = start(arrays)
        other.resume(path)
        seen.append(other.epoch)
        assert other.log[-1] == row

    train_member(start(arrays), path, look)
    assert seen == [1, 2, 3, 4, 5, 6]
    train_member(start(arrays), path, look)
    assert seen == [1, 2, 3, 4, 5, 6], "a finished member has nothing left to do"


def test_looking_at_the_held_out_rows_leaves_the_weights_alone(arrays: CrystalArrays) -> None:
    training = start(arrays)
    training.run_epoch()
    before = {name: value.clone() for name, value in training.network.state_dict().items()}
    last = training.log[-1]
    assert training.held_out_scores() == training.held_out_scores() == (last.held_out_loss, last.held_out_error)
    assert all(torch.equal(value, before[name]) for name, value in training.network.state_dict().items())


def test_the_held_out_error_is_mean_of_mae_and_rmse_over_all_batches(
    arrays: CrystalArrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = start(arrays)
    training.network.eval()
    with torch.no_grad():
        output = training.network.predict(arrays.batch(training.held_out_rows))
        expected = moments(training.grid, output.value_logits.softmax(dim=1).double().numpy())
        monkeypatch.setattr("shc.models.member.EVALUATION_BATCH", 3)
        _, error = training._scores(0)
    residual = 0.5 * (expected.mean + expected.median) - training.labels[training.held_out_rows]
    assert error == pytest.approx(0.5 * (np.abs(residual).mean() + np.sqrt((residual**2).mean())), rel=1e-5)


def test_one_cycle_schedule(arrays: CrystalArrays) -> None:
    training = start(arrays, TrainConfig(epochs=25, batch_size=8, learning_rate=0.01))
    total = 25 * training.n_batches
    rates = []
    for training.step in range(total):
        rates.append(training.learning_rate())
    top = int(np.argmax(rates))
    assert max(rates) == pytest.approx(0.01, rel=1e-3)
    assert abs(top - total // 10) <= 1
    assert (np.diff(rates[: top + 1]) > 0).all()
    assert (np.diff(rates[top:]) <= 0).all()
    assert 0 < rates[-1] < 1e-4


def test_patience_ends_the_training(arrays: CrystalArrays) -> None:
    training = start(arrays, TrainConfig(epochs=100, patience=3, batch_size=8))
    training.epoch, training.best_epoch = 12, 10
    assert not training.finished()
    training.epoch = 13
    assert training.finished()


def test_the_loss_is_least_at_the_truth() -> None:
    labels = np.array([0.0, 5.0, 300.0, 1500.0])
    objective = Objective(labels, MODEL, CONFIG)
    rows = np.arange(4)
    truth = ValueGrid(MODEL).soft_target(torch.from_numpy(labels)).clamp_min(1e-12).log()
    finite = torch.tensor([-20.0, -20.0, 20.0, 20.0])
    best = objective(Output(truth, finite, *NO_MORE), rows)
    wrong = objective(Output(truth, -finite, *NO_MORE), rows)
    entropy = float(-(truth.exp() * truth).sum(1).mean())
    # At the truth the ranked probability score is 0, and the cross-entropy is the entropy.
    assert float(best) == pytest.approx(CONFIG.cross_entropy * entropy, abs=1e-4)
    assert float(wrong) == pytest.approx(CONFIG.cross_entropy * entropy + CONFIG.finite_weight * 20.0, rel=1e-4)
    noise = torch.Generator().manual_seed(0)
    for _ in range(20):
        near = truth + 0.1 * torch.randn(truth.shape, generator=noise)
        assert float(objective(Output(near, finite, *NO_MORE), rows)) > float(best)


def test_the_loss_is_the_ranked_probability_score_and_a_little_cross_entropy() -> None:
    labels = np.array([0.0, 5.0, 300.0, 1500.0])
    grid = ValueGrid(MODEL)
    truth = grid.soft_target(torch.from_numpy(labels)).double().numpy()
    width = np.diff(grid.edges) ** 0.25
    gap = np.cumsum(np.full(8, 1.0 / 8.0) - truth, axis=1)
    ranked = np.mean([np.sum(width / width.mean() * row**2) for row in gap])
    finite = torch.tensor([-20.0, -20.0, 20.0, 20.0])
    flat = Objective(labels, MODEL, CONFIG)(Output(torch.zeros(4, 8), finite, *NO_MORE), np.arange(4))
    assert float(flat) == pytest.approx(ranked + CONFIG.cross_entropy * np.log(8.0), rel=1e-5)


def test_the_loss_counts_some_rows_only() -> None:
    objective = Objective(np.array([0.0, 5.0, 300.0, 1500.0]), MODEL, CONFIG)
    noise = torch.Generator().manual_seed(0)
    output = Output(torch.randn(4, 8, generator=noise), torch.randn(4, generator=noise), *NO_MORE)
    apart = [float(objective(Output(*(t[[i]] for t in output)), np.array([i]))) for i in range(4)]
    assert float(objective(output, np.arange(4))) == pytest.approx(np.mean(apart), rel=1e-5)
    some = objective(output, np.arange(4), torch.tensor([0.0, 1.0, 0.0, 1.0]))
    assert float(some) == pytest.approx((apart[1] + apart[3]) / 2, rel=1e-5)
    assert float(objective(output, np.arange(4), torch.zeros(4))) == 0.0


def test_the_average_follows_the_weights() -> None:
    module = torch.nn.Linear(1, 1, bias=False)
    module.weight.data.fill_(0.0)
    averaged = Averaged(module, 0.9)
    module.weight.data.fill_(1.0)
    expected = 0.0
    for step in range(1, 200):
        averaged.update(module)
        expected += (1.0 - min(0.9, (1 + step) / (10 + step))) * (1.0 - expected)
        assert float(averaged.weights["weight"]) == pytest.approx(expected, abs=1e-5)
    assert expected > 0.99
