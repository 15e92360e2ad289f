"""From a file to the picture that the model reads, in one step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from shc.featurize.band_image.decode import read_picture
from shc.featurize.band_image.normalise import normalise
from shc.featurize.band_image.types import BandPicture, Box, EnergyAxis
from shc.featurize.electronic.picture import IMAGE_SIZE, is_band_image
from shc.featurize.electronic.record import BAND_RANGE

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from shc.featurize.band_image.types import EnergyWindow


def read_bands_picture(path: Path, window: EnergyWindow | None = None) -> BandPicture:
    """Decode a picture and normalise it.

    Time and memory are bounded by the limits on files and pixels in ``decode``. Called alike in the main process and
    in workers.

    Args:
        path: The file.
        window: What is known of the energy axis; read from the picture if None.

    Returns:
        What was understood; a confidence of 0 if the picture shows no bands that can be used.

    Raises:
        ShcError: The file cannot be decoded; see ``decode.read_picture``.
    """
    return understand(path, read_picture(path), window)


def understand(path: Path, rgb: NDArray[np.uint8], window: EnergyWindow | None) -> BandPicture:
    """Normalise a decoded picture; one that this program has drawn for the model is taken as it is.

    Args:
        path: The file.
        rgb: ``[H, W, 3]`` its pixels, from ``decode.read_picture``.
        window: What is known of the energy axis; our own pictures need none.

    Returns:
        As ``read_bands_picture``.
    """
    if rgb.shape[:2] != (IMAGE_SIZE, IMAGE_SIZE) or not is_band_image(path):
        return normalise(rgb, window)
    image = (1.0 - rgb[None, :, :, 0] / 255.0).astype(np.float32)
    axis = EnergyAxis(0.5 * IMAGE_SIZE, 2.0 * BAND_RANGE / IMAGE_SIZE)
    return BandPicture(
        image, -BAND_RANGE, BAND_RANGE, 1.0, (), Box(0, 0, IMAGE_SIZE, IMAGE_SIZE), axis, (IMAGE_SIZE, IMAGE_SIZE)
    )
