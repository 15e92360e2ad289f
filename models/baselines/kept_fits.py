"""Regressors whose answers are kept on disk: a run that was stopped does not fit them again."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from shc.models.checkpoint import load_tensors, save_tensors

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from shc.models.baselines.cross_fit import Fit, Predict, Rows


class Keep(NamedTuple):
    """Where answers are kept, and to what."""

    folder: Path
    """Folder of regressors of one table, of the same labels and settings."""
    rows: NDArray[np.int64]
    """Rows of the table that will be asked for, beside those that a member holds out."""


def kept(fit: Fit, folder: Path, asked: NDArray[np.float32]) -> Fit:
    """Make a fit that is done once: later it answers from the file that the first time has left.

    Trees have no form on disk that is safe to read, but what they say of the rows in question is all that counts.

    Args:
        fit: Fits one regressor.
        folder: Folder for a file for each regressor.
        asked: ``[m, F]`` rows that will be asked for, beside the held-out ones; the regressors know no others.
    """

    def fit_once(learned: Rows, held_out: Rows, target: str, seed: int) -> Predict:
        path = folder / f"{seed:02d}_{target}.safetensors"
        known = np.concatenate([held_out.values, asked])
        if not path.is_file():
            answers = fit(learned, held_out, target, seed)(known)
            save_tensors(path, {"answers": torch.from_numpy(answers)}, {})
        stored: NDArray[np.float64] = load_tensors(path)[0]["answers"].numpy()
        found = {row.tobytes(): answer for row, answer in zip(known, stored.tolist(), strict=True)}
        return lambda values: np.array([found[row.tobytes()] for row in values])

    return fit_once
