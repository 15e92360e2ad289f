"""A member that reads bands: what it learns from, how it is judged, how it resumes."""

from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from shc.featurize.store import FeatureBatch
from shc.models.auxiliary import AuxiliaryTargets
from shc.models.bands_data import BandsArrays
from shc.models.config import TrainConfig
from shc.models.data import CrystalArrays
from shc.models.electronic_numbers import numbers_of
from shc.models.member import MemberTraining
from shc.models.tensor import TensorTargets, tensor_from_output

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from shc.featurize.electronic.record import ElectronicRecord
    from shc.featurize.types import CrystalRecord
    from shc.models.config import ModelConfig

DATA = Path(__file__).parents[2] / "data"
FUSED: ModelConfig = runpy.run_path(str(DATA / "tiny_model.py"))["FUSED"]
STAND_IN: dict[str, Any] = runpy.run_path(str(DATA / "stand_in.py"))
CONFIG = TrainConfig(epochs=4, batch_size=8, patience=9)
N, HELD_OUT = 40, np.arange(32, 40)
CPU = torch.device("cpu")


@pytest.fixture
def features(record_factory: Callable[..., CrystalRecord]) -> FeatureBatch:
    records = [record_factory(f"m{i}", n_atoms=2 + i % 5, n_nodes=1 + i % 2, seed=i) for i in range(N)]
    bands = [STAND_IN["electronic_record"](i) if i % 4 < 2 else None for i in range(N)]
    return replace(FeatureBatch.from_records(records), bands=bands)


def arrays_of(features: FeatureBatch) -> CrystalArrays:
    """Crystals with both, curves, a picture and nothing in turn; the tokens tell the label."""
    numbers, known = numbers_of(features.bands or [], features.lattice)
    counts = np.array([1 if i % 4 in {0, 2} else 0 for i in range(N)])
    rows = np.flatnonzero(counts)
    noise = torch.randn(len(rows), FUSED.n_picture_tokens, FUSED.picture_width, generator=torch.Generator())
    tokens = 0.1 * noise + torch.from_numpy(features.descriptors[rows, :1])[:, None]
    return CrystalArrays(features, BandsArrays(numbers, known, tokens.half(), counts))


def start(features: FeatureBatch, config: TrainConfig = CONFIG, other_labels: int | None = None) -> MemberTraining:
    """A fresh training; the labels of one crystal in four may be others."""
    arrays = arrays_of(features)
    labels = 300.0 * np.exp(arrays.descriptors[:, 0].astype(np.float64))
    if other_labels is not None:
        labels[other_labels::4] = 1234.0
    rows = np.arange(32)
    assert features.standard_rotation is not None
    numbers, known = numbers_of(features.bands or [], features.lattice)
    return MemberTraining(
        arrays,
        labels,
        rows,
        HELD_OUT,
        FUSED,
        config,
        0,
        CPU,
        AuxiliaryTargets(numbers, known, rows),
        TensorTargets(features.bands or [], features.space_group_number, features.standard_rotation),
    )


def with_tensor(record: ElectronicRecord | None, tensor: NDArray[np.float64]) -> ElectronicRecord | None:
    """The record with another tensor at the Fermi level."""
    if record is None:
        return None
    shc = record.shc.copy()
    shc[len(shc) // 2] = tensor
    return replace(record, shc=shc)


def finish(training: MemberTraining) -> MemberTraining:
    while not training.finished():
        training.run_epoch()
    return training


def test_resumed_after_an_epoch_gives_the_same(features: FeatureBatch, tmp_path: Path) -> None:
    whole = start(features)
    whole.run_epoch()
    whole.save(tmp_path / "checkpoint")
    finish(whole)
    resumed = start(features)
    resumed.resume(tmp_path / "checkpoint")
    finish(resumed)
    assert resumed.log == whole.log
    for name, value in whole.trained.state_dict().items():
        assert torch.equal(resumed.trained.state_dict()[name], value), name
    assert any(name.startswith("bands.") for name in whole.best)


@pytest.mark.parametrize(("other_labels", "same"), [(3, True), (2, False)])
def test_crystals_without_bands_teach_the_structure_alone(
    features: FeatureBatch, other_labels: int, same: bool
) -> None:
    def stepped(other_labels: int | None = None) -> MemberTraining:
        training = start(features, other_labels=other_labels)
        training.trained.train()
        training._train_step(np.arange(32))
        return training

    first, second = stepped(), stepped(other_labels)
    ours, theirs = ([p.grad for p in training.halves[1]] for training in (first, second))
    assert all(a is not None and b is not None for a, b in zip(ours, theirs, strict=True))
    equal = [torch.equal(a, b) for a, b in zip(ours, theirs, strict=True) if a is not None and b is not None]
    assert all(equal) == same
    alone, other = (training.network.heads.value.weight.grad for training in (first, second))
    assert alone is not None
    assert other is not None
    assert not torch.equal(alone, other)


def test_both_halves_learn_the_electronic_structure(features: FeatureBatch) -> None:
    rows = np.array([0, 1, 4, 5, 8, 9])

    def missed(training: MemberTraining) -> list[float]:
        training.trained.eval()
        with torch.no_grad():
            alone, joined = training.network.both(training.arrays.batch(rows))
            assert joined is not None
            halves = (("auxiliary", alone), ("auxiliary_bands", joined))
            return [float(training.trained[name](output.embedding, rows)) for name, output in halves]

    training = start(features, replace(CONFIG, epochs=25, patience=99))
    before = missed(training)
    after = missed(finish(training))
    assert all(late < 0.95 * early for early, late in zip(before, after, strict=True))
    assert training.best.keys() == training.network.state_dict().keys(), "the readings are not shipped"


def test_both_halves_learn_the_label(features: FeatureBatch) -> None:
    def missed(training: MemberTraining) -> list[float]:
        training.trained.eval()
        rows = np.arange(0, 32, 4)
        with torch.no_grad():
            alone, joined = training.network.both(training.arrays.batch(rows))
            assert joined is not None
            return [float(training.objective(output, rows)) for output in (alone, joined)]

    training = start(features, replace(CONFIG, epochs=25, patience=99))
    before = missed(training)
    after = missed(finish(training))
    assert all(late < 0.8 * early for early, late in zip(before, after, strict=True))


def test_the_tensor_is_learned_and_keeps_its_symmetry(features: FeatureBatch) -> None:
    """Of crystals with one tensor in the standard frame; it is told in the frame of each of them."""
    rows, group = np.arange(32), np.full(N, 194)
    assert features.standard_rotation is not None
    tensors = tensor_from_output(np.tile(np.linspace(-3.0, 1.0, 27), (N, 1)), group, features.standard_rotation)
    bands = [with_tensor(record, tensor) for record, tensor in zip(features.bands or [], tensors, strict=True)]
    features = replace(features, bands=bands, space_group_number=group)

    def missed(training: MemberTraining) -> float:
        training.trained.eval()
        with torch.no_grad():
            said = training.network.predict(training.arrays.batch(rows)).tensor.numpy()
        told = tensor_from_output(said, group[rows], features.standard_rotation[rows])  # type: ignore[index]
        return float(np.abs(told - tensors[rows]).mean() / np.abs(tensors[rows]).mean())

    training = start(features, replace(CONFIG, epochs=25, patience=99, learning_rate=0.03))
    assert missed(training) > 0.9
    assert missed(finish(training)) < 0.5


def test_the_held_out_error_is_the_mean_over_what_may_be_known(
    features: FeatureBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = start(features)
    training.run_epoch()
    asked: list[int] = []
    scores = {0: (1.0, 10.0), 1: (2.0, 20.0), 2: (3.0, 60.0), 3: (6.0, 30.0)}

    def scored(subset: int) -> tuple[float, float]:
        asked.append(subset)
        return scores[subset]

    monkeypatch.setattr(training, "_scores", scored)
    assert training.held_out_scores() == (3.0, 30.0)
    assert asked == [0, 1, 2, 3]
    # Of the last crystals only those with curves alone or nothing.
    training.held_out_rows = np.array([33, 35, 37, 39])
    assert training.held_out_scores() == (1.5, 15.0)


def test_what_is_hidden_is_not_looked_at_in_scoring(features: FeatureBatch) -> None:
    training = start(features)
    training.run_epoch()
    training.network.load_state_dict(training.averaged.weights)
    training.network.eval()
    with torch.no_grad():
        found = [training._scores(subset) for subset in range(4)]
        assert len(set(found)) == 4
        bands = training.arrays.bands
        assert bands is not None
        bands.tokens = torch.randn(bands.tokens.shape, generator=torch.Generator().manual_seed(5)).half()
        again = [training._scores(subset) for subset in range(4)]
    assert [a == b for a, b in zip(found, again, strict=True)] == [True, True, False, False]


def test_arrays_know_which_crystals_show_what(features: FeatureBatch) -> None:
    arrays, some = arrays_of(features), np.array([4, 5, 6, 7, 9])
    assert [arrays.showing(some, subset).tolist() for subset in range(4)] == [
        [4, 5, 6, 7, 9],
        [4, 5, 9],
        [4, 6],
        [4],
    ]
    assert arrays.subsets(some) == [0, 1, 2, 3]
    assert arrays.subsets(np.array([7, 9])) == [0, 1]
    plain = CrystalArrays(features)
    assert plain.subsets(some) == [0]
    assert plain.batch(some).bands is plain.sample(some, np.random.default_rng(0)).bands is None
