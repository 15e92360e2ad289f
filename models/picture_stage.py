"""The stage of a training before the members: the encoder of pictures, and the tokens of all pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from shc.featurize.store import FeatureFile
from shc.models.auxiliary import AuxiliaryTargets
from shc.models.electronic_numbers import numbers_of
from shc.models.encoder_training import EncoderTraining, train_encoder
from shc.models.picture_training import PictureTraining
from shc.models.style_training import StyleTraining
from shc.models.training_data import write_tokens
from shc.models.training_files import (
    CHECKPOINT,
    PICTURE_METRICS_FILE,
    STYLE_CHECKPOINT,
    STYLE_METRICS_FILE,
    number,
    write_table,
)
from shc.models.training_workers import Stopped, stopped_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from shc.featurize.stop import StopRequest
    from shc.models.config import PictureConfig
    from shc.models.encoders.picture import PictureEncoder
    from shc.models.training_workers import MemberTask


def read_pictures_first(
    task: MemberTask,
    config: PictureConfig,
    device: torch.device,
    on_epoch: Callable[[], None] | None,
    stop: StopRequest,
) -> PictureEncoder:
    """Train the encoder on the crystals of a training and encode all their pictures.

    Args:
        task: Any of the members: they share their crystals. The encoder learns from all of them but the common
            ones; it is shown no label.
        config: Sizes and settings.
        device: Where to train.
        on_epoch: Called after every epoch.
        stop: Looked at between epochs.

    Raises:
        ShcError: The stop was requested (``RESUMABLE``).
    """
    file, folder = FeatureFile.open(task.features), task.tokens.parent
    folder.mkdir(parents=True, exist_ok=True)
    numbers, known = numbers_of(file.bands(task.file_rows), file.read(task.file_rows).lattice)
    learned = np.setdiff1d(np.arange(len(task.file_rows)), task.common)
    targets = AuxiliaryTargets(numbers, known, learned)
    with torch.random.fork_rng(devices=[]):
        reading = PictureTraining(file, task.file_rows, learned, targets, config, task.config.seed, device)
        encoder = _finish(reading, folder / CHECKPOINT, PICTURE_METRICS_FILE, on_epoch, stop)
        styles = StyleTraining(file, task.file_rows, learned, encoder, config, task.config.seed, device)
        if len(styles.learned):
            encoder = _finish(styles, folder / STYLE_CHECKPOINT, STYLE_METRICS_FILE, on_epoch, stop)
    if not task.tokens.is_file():
        write_tokens(task.tokens, encoder, file, task.file_rows, device)
    return encoder


def _finish(
    training: EncoderTraining, checkpoint: Path, metrics: str, on_epoch: Callable[[], None] | None, stop: StopRequest
) -> PictureEncoder:
    """Train to the end; the losses of all epochs go to a file beside the folder of the checkpoint."""
    folder = checkpoint.parent.parent

    def after() -> None:
        rows = ((epoch, number(loss)) for epoch, loss in enumerate(training.losses, 1))
        write_table(folder / metrics, f"# {training.loss_is}", ("epoch", "train_loss"), rows)
        if on_epoch is not None:
            on_epoch()
        if stop.requested:
            raise Stopped

    try:
        return train_encoder(training, checkpoint, after)
    except Stopped as error:
        raise stopped_error(folder, stop.reason) from error
