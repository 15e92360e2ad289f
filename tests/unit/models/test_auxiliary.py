from __future__ import annotations

import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from shc.featurize.store import FeatureBatch
from shc.models.auxiliary import AuxiliaryLoss, AuxiliaryTargets
from shc.models.config import ModelConfig, TrainConfig
from shc.models.data import CrystalArrays
from shc.models.electronic_numbers import N_NUMBERS, electronic_numbers
from shc.models.member import MemberTraining

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from shc.featurize.types import CrystalRecord

STAND_IN: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[2] / "data" / "stand_in.py"))
MODEL = ModelConfig(d_model=16, n_heads=2, hidden=32, n_values=8, n_distance=8, n_convolutions=1, n_blocks=1)


def some_targets(n: int) -> NDArray[np.float32]:
    return np.stack([electronic_numbers(STAND_IN["electronic_record"](seed), 50.0 + seed) for seed in range(n)])


def all_but(n: int, *unknown: int) -> NDArray[np.bool_]:
    return ~np.isin(np.arange(n), unknown)


def test_learned_rows_alone_set_the_scale() -> None:
    values = some_targets(8)
    values[6] = 1e6
    values[3] = 1e6
    learned = np.array([0, 1, 2, 3, 4])
    targets = AuxiliaryTargets(values, all_but(8, 3), learned)
    assert targets.known.tolist() == [True, True, True, False, True, True, True, True]
    sample = targets.values[[0, 1, 2, 4]]
    moving = torch.from_numpy(values[[0, 1, 2, 4]].std(axis=0) > 1e-3)
    torch.testing.assert_close(sample.mean(0), torch.zeros(N_NUMBERS), atol=1e-3, rtol=0)
    torch.testing.assert_close(sample[:, moving].std(0, correction=0), torch.ones(int(moving.sum())), atol=1e-2, rtol=0)
    assert targets.values[3].tolist() == [0.0] * N_NUMBERS


def test_crystals_without_a_record_do_not_count() -> None:
    values = some_targets(4)
    loss = AuxiliaryLoss(6, AuxiliaryTargets(values, all_but(4, 1), np.arange(4))).eval()
    embedding = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    apart = [loss(embedding[[i]], np.array([i])) for i in range(4)]
    assert apart[1].item() == 0.0
    assert min(apart[i].item() for i in (0, 2, 3)) > 0.0
    together = loss(embedding, np.arange(4))
    torch.testing.assert_close(together, (apart[0] + apart[2] + apart[3]) / 3)


def test_nothing_known_gives_no_loss_and_no_scale() -> None:
    targets = AuxiliaryTargets(some_targets(3), np.zeros(3, dtype=np.bool_), np.arange(3))
    assert not targets.values.any()
    read = torch.ones(3, N_NUMBERS, requires_grad=True)
    loss = targets.loss(read, torch.arange(3))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0.0
    assert read.grad is not None
    assert not read.grad.any()


@pytest.fixture
def arrays(record_factory: Callable[..., CrystalRecord]) -> CrystalArrays:
    records = [record_factory(f"m{i}", n_atoms=2 + i % 3, n_nodes=1 + i % 2, seed=i) for i in range(40)]
    return CrystalArrays(FeatureBatch.from_records(records))


def start(arrays: CrystalArrays, targets: AuxiliaryTargets | None = None, epochs: int = 4) -> MemberTraining:
    config = TrainConfig(epochs=epochs, batch_size=8, patience=epochs)
    labels = 300.0 * np.exp(arrays.descriptors[:, 0].astype(np.float64))
    rows = np.arange(40)
    return MemberTraining(arrays, labels, rows[:32], rows[32:], MODEL, config, 0, torch.device("cpu"), targets)


def test_the_network_learns_them_and_stays_as_it_was(arrays: CrystalArrays) -> None:
    values = np.repeat(arrays.descriptors[:, [0]], N_NUMBERS, axis=1)
    targets = AuxiliaryTargets(values, all_but(40), np.arange(32))

    def missed(training: MemberTraining) -> float:
        training.trained.eval()
        with torch.no_grad():
            output = training.network.predict(arrays.batch(np.arange(32)))
            return float(training.trained["auxiliary"](output.embedding, np.arange(32)))

    training = start(arrays, targets, epochs=40)
    before = missed(training)
    while not training.finished():
        training.run_epoch()
    assert missed(training) < 0.7 * before
    assert training.best.keys() == start(arrays).best.keys()


def test_a_member_with_targets_resumes_to_the_same(arrays: CrystalArrays, tmp_path: Path) -> None:
    def fresh() -> MemberTraining:
        return start(arrays, AuxiliaryTargets(some_targets(40), all_but(40), np.arange(32)))

    whole = fresh()
    whole.run_epoch()
    whole.save(tmp_path / "checkpoint")
    while not whole.finished():
        whole.run_epoch()
    resumed = fresh()
    resumed.resume(tmp_path / "checkpoint")
    while not resumed.finished():
        resumed.run_epoch()
    assert resumed.log == whole.log
    for name, value in whole.trained.state_dict().items():
        assert torch.equal(resumed.trained.state_dict()[name], value), name
