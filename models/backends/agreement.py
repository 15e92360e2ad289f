"""Whether a compiled back end says what the networks say: real crystals, predicted by both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from shc.featurize.errors import counted
from shc.featurize.store import FeatureFile, bad_file
from shc.models.distributions import distributions
from shc.models.metrics import score

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from shc.featurize.store import FeatureBatch
    from shc.models.backends.base import Backend
    from shc.models.ensemble import Ensemble

EXAMPLES: Final = Path(__file__).parents[1] / "pretrained" / "examples.h5"
"""Features, bands and pictures of some crystals that come with the program."""
SHARE: Final = 0.01
"""A value agrees within this share of itself, or within ``LEAST``."""
LEAST: Final = 1.0
"""(hbar/e) S/cm."""
WITHIN: Final = 0.99
"""Share of the values that must agree."""
RANKING: Final = 0.9995
"""Rank correlation wanted."""
FEWEST: Final = 8
"""Crystals to compare, if they are others than ``EXAMPLES``."""


class Agreement(NamedTuple):
    """How well two back ends agree."""

    n: int
    """Predictions compared: each crystal once for each thing that it may be predicted from."""
    within: float
    """Share of the values within the larger of 1 % and 1 (hbar/e) S/cm."""
    largest: float
    """Largest difference of values, (hbar/e) S/cm."""
    ranking: float
    """Rank correlation of the values."""

    @property
    def good(self) -> bool:
        """Whether that is enough."""
        return self.within >= WITHIN and self.ranking >= RANKING

    def __str__(self) -> str:
        """For people."""
        return (
            f"{100.0 * self.within:.1f} % of {self.n} values within 1 % or 1 (hbar/e) S/cm, largest difference "
            f"{self.largest:.2g}, rank correlation {self.ranking:.5f}"
        )


def read_examples(ensemble: Ensemble, path: Path = EXAMPLES) -> FeatureBatch:
    """Crystals with all that the networks read of their bands.

    Args:
        ensemble: The networks.
        path: A feature file.

    Raises:
        ShcError: The features do not fit the networks (``BAD_FILE``).
    """
    file = FeatureFile.open(path)
    ensemble.check_features(file.header, str(path))
    rows = np.arange(len(file))
    return replace(
        file.read(rows),
        bands=file.bands(rows) if ensemble.card.model.reads_bands else None,
        pictures=file.pictures(rows) if ensemble.card.reads_pictures else None,
    )


def check_examples(ensemble: Ensemble, path: Path) -> None:
    """Make sure that crystals show whether two back ends agree, in all that the networks read.

    Args:
        ensemble: The networks.
        path: A feature file.

    Raises:
        ShcError: They are too few, or none has bands or pictures although the networks read them (``BAD_FILE``).
    """
    file = FeatureFile.open(path)
    if len(file) < FEWEST:
        raise bad_file(
            f"{path} holds {counted(len(file), 'crystal')}, too few to compare back ends", f"give at least {FEWEST}"
        )
    everything = slice(None)
    if ensemble.card.model.reads_bands and not file.has_bands(everything).any():
        raise bad_file(f"{path} holds no bands, which the model reads", "featurise the crystals with --bands auto")
    if ensemble.card.reads_pictures and not any(each.n_pictures for each in file.picture_counts(everything)):
        hint = "featurise the crystals with --bands auto --styles 1"
        raise bad_file(f"{path} holds no pictures of bands, which the model reads", hint)


def compare(ensemble: Ensemble, backend: Backend, reference: Backend, examples: FeatureBatch) -> Agreement:
    """Predict crystals by two back ends, in two batches of different size and shape, from all that each may rest on."""
    found, expected = (
        np.concatenate([_values(ensemble, each, shown) for shown in _shown(examples)]) for each in (backend, reference)
    )
    return agreement(found, expected)


def agreement(found: NDArray[np.float64], expected: NDArray[np.float64]) -> Agreement:
    """How well ``[n]`` values agree with others, (hbar/e) S/cm."""
    difference = np.abs(found - expected)
    within = difference <= np.maximum(LEAST, SHARE * np.abs(expected))
    return Agreement(len(found), float(within.mean()), float(difference.max()), score(found, expected).spearman)


def _shown(examples: FeatureBatch) -> Iterator[FeatureBatch]:
    """The crystals with all that is known of them, and with less."""
    yield replace(examples, bands=None, pictures=None)
    if examples.bands is not None:
        yield replace(examples, pictures=None)
    if examples.pictures is not None:
        yield replace(examples, bands=None)
    if examples.bands is not None and examples.pictures is not None:
        yield examples


def _values(ensemble: Ensemble, backend: Backend, features: FeatureBatch) -> NDArray[np.float64]:
    """``[n]`` calibrated values, (hbar/e) S/cm."""
    raw = distributions(ensemble, backend, features, max_batch=(2 * len(features)) // 3)
    values: NDArray[np.float64] = ensemble.estimate(raw, np.arange(len(features))).value
    return values
