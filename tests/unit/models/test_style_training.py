from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from shc.featurize.band_image.codec import STANDARD, PictureSet, encode
from shc.featurize.store import FeatureFile
from shc.models.encoder_training import train_encoder
from shc.models.encoders.fast_picture import FastEncoder
from shc.models.pictures import encode_pictures
from shc.models.style_training import StyleTraining, drawn

if TYPE_CHECKING:
    from shc.models.config import PictureConfig

DATA = Path(__file__).parents[2] / "data"
TOY: dict[str, Any] = runpy.run_path(str(DATA / "toy_crystals.py"))
TINY: dict[str, Any] = runpy.run_path(str(DATA / "tiny_model.py"))
CONFIG = replace(TINY["PICTURE"], style_epochs=20, batch_size=4, learning_rate=0.01)
CPU = torch.device("cpu")
N = 12


def styled(number: int) -> Any:  # noqa: ANN401  a record
    """A crystal with its standard picture and the same with thick, pale strokes."""
    standard = replace(TOY["picture"](number), source=STANDARD, kind="styled")
    image = standard.image
    thick = np.maximum.reduce([np.roll(image, by, axis=1) for by in range(-2, 3)])
    other = replace(standard, image=(0.6 * thick).astype(np.float32), source="0")
    record = TOY["crystal"](number, bands=False, n_pictures=0)
    return replace(record, pictures=encode(PictureSet((other, standard))))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> FeatureFile:
    """Crystals with two pictures each, then two with one picture from a file each."""
    records = [styled(number) for number in range(N)]
    records += [TOY["crystal"](number, bands=True, n_pictures=1) for number in (N, N + 1)]
    return FeatureFile.open(TOY["write_features"](tmp_path_factory.mktemp("styles") / "f.h5", records))


def start(file: FeatureFile, config: PictureConfig = CONFIG) -> StyleTraining:
    rows = np.arange(len(file))
    return StyleTraining(file, rows, rows, TINY["tiny_encoder"](config), config, 0, CPU)


def test_only_crystals_with_a_standard_and_another_picture_are_learned_from(file: FeatureFile) -> None:
    assert start(file).learned.tolist() == list(range(N))


def test_the_standard_picture_comes_first_and_files_do_not_count(file: FeatureFile) -> None:
    first, one = file.pictures(np.array([0, N]))
    assert [picture.source for picture in first] == ["0", STANDARD]
    assert [picture.source for picture in drawn(first)] == [STANDARD, "0"]
    assert drawn(one) == []
    assert drawn(first[:1]) == []


def test_styled_pictures_get_the_tokens_of_the_standard_ones(file: FeatureFile, tmp_path: Path) -> None:
    torch.manual_seed(0)
    training = start(file)
    pictures = [drawn(found) for found in file.pictures(np.arange(N))]
    standard = encode_pictures(FastEncoder(training.teacher, CPU), [one for one, _ in pictures])

    def apart(encoder: Any) -> float:  # noqa: ANN401  an encoder
        tokens = encode_pictures(FastEncoder(encoder, CPU), [other for _, other in pictures])
        return float(((tokens - standard).float() ** 2).mean())

    before = apart(training.teacher)
    kept = {name: value.clone() for name, value in training.teacher.state_dict().items()}
    learned = train_encoder(training, tmp_path / "styles", lambda: None)
    assert apart(learned) < 0.7 * before
    assert np.mean(training.losses[-2:]) < 0.8 * training.losses[0]
    assert all(torch.equal(value, kept[name]) for name, value in training.teacher.state_dict().items())


def test_resumed_after_an_epoch_gives_the_same(file: FeatureFile, tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = start(file, replace(CONFIG, style_epochs=4))

    def keep() -> None:
        (tmp_path / f"{whole.epoch}").write_bytes((tmp_path / "whole").read_bytes())

    train_encoder(whole, tmp_path / "whole", keep)
    torch.manual_seed(0)
    resumed = start(file, replace(CONFIG, style_epochs=4))
    train_encoder(resumed, tmp_path / "2", lambda: None)
    assert resumed.losses == whole.losses
    expected = whole.trained.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.trained.state_dict().items())
