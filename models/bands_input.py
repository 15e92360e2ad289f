"""From what a batch of crystals says of their bands to what the networks read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from shc.models.bands_data import BandsArrays
from shc.models.electronic_numbers import numbers_of
from shc.models.pictures import encode_pictures, usable

if TYPE_CHECKING:
    from shc.featurize.store import FeatureBatch
    from shc.models.config import ModelConfig
    from shc.models.pictures import Encode


def bands_of(features: FeatureBatch, model: ModelConfig, encode: Encode | None) -> BandsArrays | None:
    """What is known of the bands of a batch; None if the networks know no bands.

    Args:
        features: The crystals; ``bands`` and ``pictures`` are used where they are not None.
        model: Sizes of the networks.
        encode: Encodes pictures; None if the networks read none.
    """
    if not model.reads_bands:
        return None
    records = features.bands or [None] * len(features)
    numbers, known = numbers_of(records, features.lattice)
    if encode is None:
        return BandsArrays(numbers, known, torch.zeros(0, 0, 0), np.zeros(len(features), dtype=np.int64))
    pictures = [usable(found) for found in features.pictures or [()] * len(features)]
    tokens = encode_pictures(encode, [picture for found in pictures for picture in found])
    return BandsArrays(numbers, known, tokens, np.array([len(found) for found in pictures], dtype=np.int64))
