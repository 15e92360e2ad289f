from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from shc.featurize.store import FeatureFile
from shc.models.electronic_numbers import N_NUMBERS
from shc.models.encoders.picture import ROWS
from shc.models.training_data import fitting, read_training_data, write_tokens

if TYPE_CHECKING:
    from shc.models.config import ModelConfig

DATA = Path(__file__).parents[2] / "data"
TOY: dict[str, Any] = runpy.run_path(str(DATA / "toy_crystals.py"))
TINY: dict[str, Any] = runpy.run_path(str(DATA / "tiny_model.py"))
N = 8
BOTH, CURVES, PICTURE, NOTHING = (np.arange(first, N, 4) for first in range(4))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> FeatureFile:
    """Crystals with both (and two pictures), curves, a picture and nothing in turn."""
    return FeatureFile.open(TOY["write_features"](tmp_path_factory.mktemp("file") / "f.h5", TOY["mixed"](N)))


def fitted(file: FeatureFile, rows: np.ndarray[Any, np.dtype[np.int64]]) -> ModelConfig:
    return fitting(TINY["SIZES"], TINY["PICTURE"], file, rows)


def reads(model: ModelConfig) -> tuple[int, int, int, int]:
    return model.n_curves, model.n_tensor, model.n_picture_tokens, model.picture_width


def test_a_network_reads_what_the_crystals_have(file: FeatureFile) -> None:
    assert reads(fitted(file, np.arange(N))) == (N_NUMBERS, 27, ROWS, 8)
    assert reads(fitted(file, np.concatenate([CURVES, NOTHING]))) == (N_NUMBERS, 27, 0, 0)
    assert reads(fitted(file, NOTHING)) == (0, 0, 0, 0)
    # Nothing says how to read pictures of crystals whose bands are not known.
    assert reads(fitted(file, np.concatenate([PICTURE, NOTHING]))) == (0, 0, 0, 0)
    assert reads(fitted(file, np.concatenate([PICTURE, CURVES]))) == (N_NUMBERS, 27, 0, 0)
    assert fitted(file, NOTHING) == TINY["SIZES"]


def test_an_older_file_has_no_frame_for_a_tensor(tmp_path: Path) -> None:
    header = replace(TOY["HEADER"], frame_version=0)
    old = FeatureFile.open(TOY["write_features"](tmp_path / "f.h5", TOY["mixed"](4), header))
    assert reads(fitted(old, np.arange(4))) == (N_NUMBERS, 0, ROWS, 8)


def test_a_training_reads_crystals_targets_and_tokens(file: FeatureFile, tmp_path: Path) -> None:
    rows = np.array([6, 1, 0, 3])  # a picture, curves, both, nothing
    write_tokens(tmp_path / "tokens", TINY["tiny_encoder"](), file, rows, torch.device("cpu"))
    data = read_training_data(file, rows, np.arange(4), TINY["FUSED"], tmp_path / "tokens")
    assert data.arrays.bands is not None
    assert data.arrays.bands.subset().tolist() == [2, 1, 3, 0]
    assert data.arrays.bands.counts.tolist() == [1, 0, 2, 0]
    assert data.targets.known.tolist() == [False, True, True, False]
    assert data.tensors is not None
    assert data.tensors.known.tolist() == data.targets.known.tolist()
    plain = read_training_data(file, rows, np.arange(4), TINY["SIZES"], tmp_path / "absent")
    assert (plain.arrays.bands, plain.tensors) == (None, None)
    assert plain.targets.known.tolist() == data.targets.known.tolist(), "bands teach a network that reads none"
    curves = replace(TINY["FUSED"], n_picture_tokens=0, picture_width=0)
    without = read_training_data(file, rows, np.arange(4), curves, tmp_path / "absent").arrays.bands
    assert without is not None
    assert without.subset().tolist() == [0, 1, 1, 0]
