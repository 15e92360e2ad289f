from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from shc.featurize.store import FeatureFile
from shc.models.auxiliary import AuxiliaryTargets
from shc.models.checkpoint import load_tensors
from shc.models.electronic_numbers import numbers_of
from shc.models.encoder_training import augmented, train_encoder
from shc.models.encoders.fast_picture import FastEncoder
from shc.models.encoders.picture import SIDE, UNKNOWN
from shc.models.picture_training import PictureTraining
from shc.models.pictures import ROW_EV, encode_pictures
from shc.models.training_data import write_tokens

if TYPE_CHECKING:
    from shc.models.config import PictureConfig

DATA = Path(__file__).parents[2] / "data"
TOY: dict[str, Any] = runpy.run_path(str(DATA / "toy_crystals.py"))
CONFIG: PictureConfig = replace(
    runpy.run_path(str(DATA / "tiny_model.py"))["PICTURE"], epochs=3, batch_size=4, learning_rate=0.01
)
CPU = torch.device("cpu")
N = 12
ROWS, LEARNED = np.arange(N)[::-1].copy(), np.arange(8)
"""Of crystals 11 to 4, those with both are 8 and 4; the two of them alone can be learned from."""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> FeatureFile:
    """Crystals with both (and two pictures), curves, a picture and nothing in turn."""
    return FeatureFile.open(TOY["write_features"](tmp_path_factory.mktemp("file") / "f.h5", TOY["mixed"](N)))


def start(
    file: FeatureFile, config: PictureConfig = CONFIG, seed: int = 0, *, learned: np.ndarray[Any, Any] = LEARNED
) -> PictureTraining:
    numbers, known = numbers_of(file.bands(ROWS), file.read(ROWS).lattice)
    return PictureTraining(file, ROWS, learned, AuxiliaryTargets(numbers, known, learned), config, seed, CPU)


def weights(training: PictureTraining) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = training.trained.state_dict()
    return {name: value.clone() for name, value in state.items()}


def test_only_crystals_to_learn_from_with_both_are_looked_at(
    file: FeatureFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = start(file)
    assert ROWS[training.learned].tolist() == [8, 4]
    looked_at: list[int] = []
    pictures = FeatureFile.pictures

    def noted(self: FeatureFile, indices: np.ndarray[Any, Any]) -> object:
        looked_at.extend(indices.tolist())
        return pictures(self, indices)

    monkeypatch.setattr(FeatureFile, "pictures", noted)
    for _ in range(2):
        training.run_epoch()
    assert sorted(looked_at) == [4, 4, 8, 8], "one picture of each crystal in each epoch"


def test_the_loss_falls(file: FeatureFile) -> None:
    training = start(file, replace(CONFIG, epochs=12, batch_size=1), learned=np.arange(N))
    while not training.finished():
        training.run_epoch()
    assert len(training.losses) == 12
    assert np.mean(training.losses[-3:]) < 0.8 * np.mean(training.losses[:2])


def test_equal_seeds_give_equal_weights(file: FeatureFile) -> None:
    found = []
    for seed in (0, 0, 1):
        training = start(file, seed=seed)
        training.run_epoch()
        found.append(weights(training)["encoder.energy"])
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_resumed_after_an_epoch_gives_the_same(file: FeatureFile, tmp_path: Path) -> None:
    whole, seen = start(file), list[int]()

    def note() -> None:
        seen.append(whole.epoch)
        (tmp_path / f"{whole.epoch}").write_bytes((tmp_path / "whole").read_bytes())

    encoder = train_encoder(whole, tmp_path / "whole", note)
    assert seen == [1, 2, 3]
    assert len(whole.losses) == 3
    assert not encoder.training
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    for epoch in (1, 3):
        resumed = start(file)
        seen.clear()
        train_encoder(resumed, tmp_path / f"{epoch}", lambda: seen.append(0))
        assert len(seen) == 3 - epoch
        assert resumed.losses == whole.losses
        expected = weights(whole)
        assert all(torch.equal(value, expected[name]) for name, value in weights(resumed).items())


def test_tokens_of_all_pictures_are_written(file: FeatureFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = start(file).encoder.eval()
    monkeypatch.setattr("shc.models.training_data.READ_AT_ONCE", 5)
    write_tokens(tmp_path / "tokens", encoder, file, ROWS, CPU)
    stored, _ = load_tensors(tmp_path / "tokens")
    assert stored["counts"].tolist() == [len(found) for found in file.pictures(ROWS)]
    in_order = [picture for found in file.pictures(ROWS) for picture in found]
    expected = encode_pictures(FastEncoder(encoder, CPU), in_order)
    torch.testing.assert_close(stored["tokens"], expected, atol=0.03, rtol=0.0)


class Lot:
    """Draws what it is told, then numbers in the middle of their range."""

    def __init__(self, *lots: float) -> None:
        self.lots = list(lots)

    def random(self) -> float:
        return self.lots.pop(0)

    def uniform(self, low: float, high: float, size: int = 1) -> np.ndarray[Any, Any]:
        return np.full(size, 0.5 * (low + high))


@pytest.fixture
def picture() -> np.ndarray[Any, Any]:
    made = np.random.default_rng(0).random((SIDE, SIDE)).astype(np.float32)
    made[:20] = UNKNOWN
    return made


def test_a_picture_may_be_walked_backwards(picture: np.ndarray[Any, Any]) -> None:
    np.testing.assert_array_equal(augmented(picture, Lot(0.4, 1.0, 1.0))[0], picture[:, ::-1])  # type: ignore[arg-type]
    np.testing.assert_array_equal(augmented(picture, Lot(0.6, 1.0, 1.0))[0], picture)  # type: ignore[arg-type]


def test_ink_may_fade_and_stays_ink(picture: np.ndarray[Any, Any]) -> None:
    faded = augmented(picture, Lot(1.0, 0.2, 1.0))[0]  # type: ignore[arg-type]
    np.testing.assert_allclose(faded[20:], picture[20:] ** 1.1, rtol=1e-5)
    np.testing.assert_array_equal(faded[:20], UNKNOWN)
    assert faded.dtype == np.float32


def test_the_picture_that_is_the_model_changes_alike_but_keeps_its_strokes(picture: np.ndarray[Any, Any]) -> None:
    model = np.full((SIDE, SIDE), 0.5, np.float32)
    model[:, 0] = 1.0
    changed, beside = augmented(picture, Lot(0.4, 0.2, 0.3), model)  # type: ignore[arg-type]
    shown = changed[:, 0] != UNKNOWN
    assert 0 < shown.sum() < SIDE - 20
    np.testing.assert_array_equal(beside[shown], model[shown][:, ::-1])
    assert (beside[~shown] == UNKNOWN).all()


def test_energies_may_be_cut(picture: np.ndarray[Any, Any]) -> None:
    cut = augmented(picture, Lot(1.0, 1.0, 0.3))[0]  # type: ignore[arg-type]
    shown = np.abs(ROW_EV) <= 2.15
    shown[:20] = False
    np.testing.assert_array_equal(cut[shown], picture[shown])
    assert (cut[~shown] == UNKNOWN).all()
    assert 0.5 < shown.mean() < 0.8
