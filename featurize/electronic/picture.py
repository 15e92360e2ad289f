"""The picture of the bands that the model reads, and the same as a file for people and other programs."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from shc.featurize.electronic.record import BAND_RANGE
from shc.featurize.writing import write_whole
from shc.kernels.image import draw_bands

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from shc.featurize.electronic.record import ElectronicRecord

IMAGE_SIZE: Final = 224
"""Height and width of the picture, pixels."""
_MARK: Final = ("shc", f"band image, +-{BAND_RANGE:g} eV")
"""Key and text in the PNG files of ``save_png``."""
_HEAD: Final = 256
"""The mark lies within so many bytes of the start."""


def band_image(record: ElectronicRecord) -> NDArray[np.float32]:
    """Draw the bands within ``BAND_RANGE`` of the Fermi level.

    Args:
        record: Bands along the path.

    Returns:
        ``[1, 224, 224]`` ink: 0 is empty, 1 is full. The path takes the full width, row 0 is at ``+BAND_RANGE`` and
        the Fermi level half-way up. All zero where no band comes that near.
    """
    picture = draw_bands(record.distance, record.energy, record.breaks, BAND_RANGE, IMAGE_SIZE)
    return picture[None]


def save_png(image: NDArray[np.float32], path: Path) -> None:
    """Write a picture as PNG, 8 bit grey, dark ink on white; it bears a mark by which ``is_band_image`` knows it.

    Args:
        image: ``[1, H, W]`` ink from 0 to 1.
        path: File to write, or to replace.

    Raises:
        ShcError: The file cannot be written.
        ValueError: The image has another shape or other values.
    """
    if image.ndim != 3 or image.shape[0] != 1 or not np.all((image >= 0.0) & (image <= 1.0)):
        raise ValueError(f"image must be [1, H, W] with values from 0 to 1, not {list(image.shape)}")
    grey = np.rint(255.0 * (1.0 - image[0])).astype(np.uint8)
    mark = PngInfo()
    mark.add_text(*_MARK)
    data = BytesIO()
    Image.fromarray(grey).save(data, format="PNG", optimize=True, pnginfo=mark)
    write_whole(path, data.getvalue())


def is_band_image(path: Path) -> bool:
    """Whether a file was written by ``save_png``: it needs no frame and no numbers to be understood.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        return "\0".join(_MARK).encode() in file.read(_HEAD)
