"""Pictures of bands on their way into the network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
import torch

from shc.featurize.band_image.types import LEAST_CONFIDENCE
from shc.featurize.electronic.record import BAND_RANGE
from shc.models.encoders.picture import SIDE, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from shc.featurize.band_image.codec import StoredPicture
    from shc.featurize.store import FeatureFile

ENCODED_AT_ONCE = 128
"""Pictures in memory at a time, 200 kB each."""
ROW_EV = BAND_RANGE * (1.0 - (2.0 * np.arange(SIDE) + 1.0) / SIDE)
"""``[224]`` energy at the middle of each row of a picture, eV from the Fermi level."""


def ink(picture: StoredPicture) -> NDArray[np.float32]:
    """``[224, 224]`` ink of a picture, ``UNKNOWN`` in rows whose energies it does not show."""
    shown = (picture.e_min_ev <= ROW_EV) & (picture.e_max_ev >= ROW_EV)
    return np.where(shown[:, None], picture.image[0], np.float32(UNKNOWN))


READ_AT_ONCE: Final = 512
"""Crystals whose pictures are in memory at a time."""


def usable(pictures: Sequence[StoredPicture]) -> list[StoredPicture]:
    """Those pictures of a crystal that were understood well enough."""
    return [picture for picture in pictures if picture.confidence >= LEAST_CONFIDENCE]


def read_usable(file: FeatureFile, rows: NDArray[np.int64]) -> Iterator[list[StoredPicture]]:
    """The usable pictures of some crystals of a feature file, one crystal after the other."""
    for start in range(0, len(rows), READ_AT_ONCE):
        yield from map(usable, file.pictures(rows[start : start + READ_AT_ONCE]))


def usable_counts(file: FeatureFile, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """``[n]`` number of usable pictures of some crystals of a feature file."""
    if not file.header.has_pictures:
        return np.zeros(len(rows), dtype=np.int64)
    return np.array([len(pictures) for pictures in read_usable(file, rows)], dtype=np.int64)


class Encode(Protocol):
    """Something that encodes pictures."""

    token_shape: tuple[int, int]
    """Tokens of a picture, and their width."""

    def __call__(self, images: Tensor) -> Tensor:
        """``[n, 1, 224, 224]`` pictures on the host to ``[n, T, width]`` tokens anywhere."""


def encode_pictures(encode: Encode, pictures: Sequence[StoredPicture]) -> Tensor:
    """Tokens of pictures.

    Args:
        encode: The encoder.
        pictures: n of them.

    Returns:
        ``[n, T, picture_width]`` on the CPU, 16 bit.
    """
    parts = [torch.zeros(0, *encode.token_shape, dtype=torch.float16)]
    for start in range(0, len(pictures), ENCODED_AT_ONCE):
        images = np.stack([ink(picture) for picture in pictures[start : start + ENCODED_AT_ONCE]])
        parts.append(encode(torch.from_numpy(images)[:, None]).half().cpu())
    return torch.cat(parts)
