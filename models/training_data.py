"""What a training reads from its feature file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from shc.models.auxiliary import AuxiliaryTargets
from shc.models.bands_data import BandsArrays
from shc.models.checkpoint import load_tensors, save_tensors
from shc.models.data import CrystalArrays
from shc.models.electronic_numbers import N_NUMBERS, numbers_of
from shc.models.encoders.fast_picture import FastEncoder
from shc.models.encoders.picture import ROWS
from shc.models.pictures import READ_AT_ONCE, encode_pictures, read_usable, usable_counts
from shc.models.tensor import N_COMPONENTS, TensorTargets

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from shc.featurize.store import FeatureFile
    from shc.models.config import ModelConfig, PictureConfig
    from shc.models.encoders.picture import PictureEncoder


class TrainingData(NamedTuple):
    """Crystals of a training."""

    arrays: CrystalArrays
    targets: AuxiliaryTargets
    """Of every crystal; known where it has an electronic record."""
    tensors: TensorTargets | None
    """Likewise; None if the network says no tensor."""


def fitting(model: ModelConfig, picture: PictureConfig, file: FeatureFile, rows: NDArray[np.int64]) -> ModelConfig:
    """Sizes of a network that reads all that a feature file holds of some crystals.

    Args:
        model: Other sizes.
        picture: Sizes of the encoder of pictures.
        file: Feature file.
        rows: ``[n]`` rows of it.
    """
    with_bands = rows[file.has_bands(rows)]
    curves = len(with_bands) > 0
    # The encoder learns to read a picture from crystals whose bands are known.
    pictures = bool(usable_counts(file, with_bands).any())
    return replace(
        model,
        n_curves=N_NUMBERS if curves else 0,
        n_tensor=N_COMPONENTS if curves and file.header.has_frames else 0,
        n_picture_tokens=ROWS if pictures else 0,
        picture_width=picture.channels[-1] if pictures else 0,
    )


def read_training_data(
    file: FeatureFile,
    file_rows: NDArray[np.int64],
    learned: NDArray[np.int64],
    model: ModelConfig,
    tokens: Path,
) -> TrainingData:
    """Read crystals and what is known of their bands.

    Args:
        file: Feature file.
        file_rows: ``[n]`` rows of it.
        learned: Indices into ``file_rows`` that set the scale of the targets.
        model: Says what the network reads.
        tokens: File of ``write_tokens``; opened if the network reads pictures.
    """
    batch, records = file.read(file_rows), file.bands(file_rows)
    numbers, known = numbers_of(records, batch.lattice)
    targets, tensors = AuxiliaryTargets(numbers, known, learned), None
    if model.n_tensor and batch.standard_rotation is not None:
        tensors = TensorTargets(records, batch.space_group_number, batch.standard_rotation)
    if not model.reads_bands:
        return TrainingData(CrystalArrays(batch), targets, tensors)
    if model.n_picture_tokens:
        stored, _ = load_tensors(tokens)
        pictures, counts = stored["tokens"], stored["counts"].numpy()
    else:
        pictures, counts = torch.zeros(0, 0, 0), np.zeros(len(file_rows), dtype=np.int64)
    return TrainingData(CrystalArrays(batch, BandsArrays(numbers, known, pictures, counts)), targets, tensors)


def write_tokens(
    path: Path, encoder: PictureEncoder, file: FeatureFile, file_rows: NDArray[np.int64], device: torch.device
) -> None:
    """Encode all usable pictures of some crystals once, for all members.

    Args:
        path: File to write.
        encoder: In evaluation mode, on ``device``.
        file: Feature file.
        file_rows: ``[n]`` rows of it.
        device: Where to encode.
    """
    encode = FastEncoder(encoder, device)
    parts, counts = [], []
    for start in range(0, len(file_rows), READ_AT_ONCE):
        found = list(read_usable(file, file_rows[start : start + READ_AT_ONCE]))
        counts += [len(pictures) for pictures in found]
        parts.append(encode_pictures(encode, [picture for pictures in found for picture in pictures]))
    save_tensors(path, {"tokens": torch.cat(parts), "counts": torch.tensor(counts, dtype=torch.int64)}, {})
