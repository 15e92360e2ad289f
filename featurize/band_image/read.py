"""From a file to the picture that the model reads, in one step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shc.featurize.band_image.decode import read_picture
from shc.featurize.band_image.normalise import normalise

if TYPE_CHECKING:
    from pathlib import Path

    from shc.featurize.band_image.types import BandPicture, EnergyWindow


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
    return normalise(read_picture(path), window)
