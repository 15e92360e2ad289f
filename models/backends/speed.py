"""How fast the back ends of this machine are: a few seconds of measurement."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from shc.featurize.store import FeatureBatch, FeatureFile
from shc.models.backends.agreement import EXAMPLES
from shc.models.backends.base import one_line
from shc.models.backends.choose import compiler_of
from shc.models.backends.eager import Eager
from shc.models.backends.survey import survey
from shc.models.device import has_bfloat16
from shc.models.distributions import distributions
from shc.models.encoders.fast_picture import FastEncoder
from shc.models.modalities import SUBSETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import torch

    from shc.models.backends.base import Backend
    from shc.models.backends.survey import BackendState
    from shc.models.ensemble import Ensemble

N_CRYSTALS: Final = 256
"""Crystals of a measurement; those of the examples come again and again."""
N_PICTURES: Final = 64
"""The same where every crystal has a picture."""
_SECONDS: Final = 0.5
"""A measurement is repeated until it has taken as long, and at least once."""


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast predictions are, from features in memory to distributions on the host; wall-clock time."""

    backend: str
    rests_on: str
    """What the predictions rest on, a name of ``SUBSETS``; one picture for each crystal."""
    encoder: str
    """Numbers in which pictures are encoded if that was chosen for this measurement; empty if not."""
    crystals_per_second: float | None
    """None if it failed."""
    error: str = ""
    """Why it failed."""


def measure(ensemble: Ensemble, device: torch.device, examples: Path = EXAMPLES) -> list[Speed]:
    """Time the back ends that are ready, on the structure alone and with pictures if the networks read them.

    Args:
        ensemble: The networks.
        device: Where they run.
        examples: Feature file of some crystals.

    Raises:
        ShcError: The crystals do not fit the networks (``BAD_FILE``).
    """
    file = FeatureFile.open(examples)
    ensemble.check_features(file.header, str(examples))
    alone = file.read(np.arange(N_CRYSTALS) % len(file))
    shown = {SUBSETS[0]: alone}
    if ensemble.card.reads_pictures and file.header.has_pictures:
        shown[SUBSETS[2]] = _with_pictures(file)
    found = []
    for state in survey(ensemble, device):
        if not state.ready:
            continue
        for rests_on, features in shown.items():
            for encoder, load in _ways(state, ensemble, device, rests_on):
                found.append(_timed(Speed(state.name, rests_on, encoder, None), ensemble, load, features))
    return found


def _with_pictures(file: FeatureFile) -> FeatureBatch:
    rows = np.arange(N_PICTURES) % len(file)
    pictures = file.pictures(np.arange(len(file)))
    return replace(file.read(rows), pictures=[pictures[row][:1] for row in rows])


def _ways(
    state: BackendState, ensemble: Ensemble, device: torch.device, rests_on: str
) -> Iterator[tuple[str, Callable[[], Backend]]]:
    """A back end, with each of the numbers in which it can encode pictures."""
    if (built := state.built) is not None:
        yield "", lambda: compiler_of(state.name).load(ensemble, device, built.folder)
        return
    if ensemble.picture is None or rests_on == SUBSETS[0] or not has_bfloat16(device):
        yield "", lambda: Eager(ensemble, device)
        return
    encoders = {"bfloat16": FastEncoder(ensemble.picture, device)}
    encoders["float32"] = FastEncoder(ensemble.picture, device, bfloat16=False)
    for numbers, encoder in encoders.items():
        backend = Eager(ensemble, device)
        backend.encode = encoder
        yield numbers, lambda backend=backend: backend  # type: ignore[misc]


def _timed(speed: Speed, ensemble: Ensemble, load: Callable[[], Backend], features: FeatureBatch) -> Speed:
    """The best of some runs; the first one is not counted, for programs are loaded by it."""
    try:
        backend = load()
        distributions(ensemble, backend, features)
        seconds: list[float] = []
        while not seconds or sum(seconds) < _SECONDS:
            start = time.perf_counter()
            distributions(ensemble, backend, features)
            seconds.append(time.perf_counter() - start)
    except Exception as error:  # noqa: BLE001  a damaged build raises anything
        return replace(speed, error=one_line(error))
    return replace(speed, crystals_per_second=len(features) / min(seconds))
