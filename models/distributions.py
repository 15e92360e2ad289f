"""From features to what an ensemble says of them, through a back end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from shc.models.bands_input import bands_of
from shc.models.batching import MAX_BATCH, dense_batches
from shc.models.data import CrystalArrays
from shc.models.ensemble import Distributions, shown

if TYPE_CHECKING:
    from shc.featurize.store import FeatureBatch
    from shc.models.backends.base import Backend
    from shc.models.ensemble import Ensemble


def distributions(
    ensemble: Ensemble, backend: Backend, features: FeatureBatch, max_batch: int = MAX_BATCH
) -> Distributions:
    """What an ensemble says about crystals, in their order; dense batches are made by size.

    Args:
        ensemble: The ensemble.
        backend: Runs its networks.
        features: At least one crystal; ``bands`` and ``pictures`` are used where they are not None.
        max_batch: Crystals in a dense batch at most.
    """
    arrays = CrystalArrays(features, bands_of(features, ensemble.card.model, backend.encode))
    batches = list(dense_batches(arrays.n_nodes, arrays.n_bonds, max_batch))
    parts: list[Distributions] = []
    running = None
    for rows in batches:
        batch = arrays.batch(rows)
        begun = (backend.say(batch), shown(batch))
        # A GPU works on this batch while the one before is brought home.
        if running is not None:
            parts.append(Distributions.of(*running))
        running = begun
    if running is not None:
        parts.append(Distributions.of(*running))
    order = np.argsort(np.concatenate(batches))
    return Distributions(*(np.concatenate(column)[order] for column in zip(*parts, strict=True)))
