"""Files of pictures -> upright RGB pixels, in bounded memory and time."""

from __future__ import annotations

import stat
import warnings
from math import ceil, sqrt
from typing import TYPE_CHECKING, BinaryIO, Final

from PIL import Image, UnidentifiedImageError

from shc.featurize.allocator import keep_freed_memory
from shc.featurize.band_image.formats import EXPORT_HINT, HEAD_BYTES, PILLOW_FORMATS, describe, picture_format
from shc.featurize.band_image.pixels import to_rgb
from shc.featurize.errors import ShcError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

MAX_BYTES: Final = 128 * 1024 * 1024
"""Larger files are refused."""
MAX_PIXELS: Final = 40_000_000
"""Larger pictures are refused before anything of them is decoded; a page at 600 dots per inch has 35 million."""
MIN_SIDE: Final = 64
"""Pictures with fewer rows or columns are refused: no bands can be read from them."""
MAX_ASPECT: Final = 16
"""Strips that are longer than this many times their width are refused."""
FULL_PIXELS: Final = 8_000_000
"""Pictures with more pixels are made smaller by a whole factor."""

_MAX_SCANS: Final = 100
_TOO_LARGE_HINT: Final = "save the figure with fewer pixels: 1000 to 4000 on a side are enough"
_DAMAGED_HINT: Final = "save or download the picture again"


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Decode a picture: PNG, JPEG, TIFF, WebP, BMP or GIF, whatever its name says.

    Transparent pictures are put on white, or on dark if it is their ink that is light; pictures that a camera
    turned are turned upright; 16-bit grey is scaled to 8 bits; pictures of more than ``FULL_PIXELS`` are made smaller
    by a whole factor. Not meant for several threads at a time, for Python has one set of warning filters.

    Args:
        path: The file.

    Returns:
        ``[H, W, 3]`` red, green, blue, row 0 at the top.

    Raises:
        ShcError: The file is no picture of these formats, is damaged, cut off, animated or of several pages, or is
            too large or too small.
    """
    keep_freed_memory()
    try:
        _check_file(path)
        with path.open("rb") as stream:
            return _decode(stream, _kind(stream))
    except ShcError as error:
        raise ShcError(f"{path.name}: {error.message}", error.hint, error.exit_code) from error
    except MemoryError as error:
        raise ShcError(f"{path.name}: there is not enough memory for it", _TOO_LARGE_HINT) from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ShcError(
            f"{path.name}: cannot be read ({why})", "check the path, its permissions and the disk"
        ) from error


def _check_file(path: Path) -> None:
    """Refuse what is no file of a sensible size; a pipe or device, which could block for ever, is not opened."""
    try:
        status = path.stat()
    except FileNotFoundError as error:
        message = "the link leads to a file that does not exist" if path.is_symlink() else "no such file"
        raise ShcError(message, "check the path") from error
    if stat.S_ISDIR(status.st_mode):
        raise ShcError("is a folder, not a picture", "name the pictures in it")
    if not stat.S_ISREG(status.st_mode):
        raise ShcError("is no regular file", "give a file on disk")
    if status.st_size == 0:
        raise ShcError("the file is empty", _DAMAGED_HINT)
    if status.st_size > MAX_BYTES:
        raise ShcError(f"larger than {MAX_BYTES // 2**20} MB", _TOO_LARGE_HINT)


def _kind(stream: BinaryIO) -> str:
    head = stream.read(HEAD_BYTES)
    kind = picture_format(head)
    if kind is None:
        raise ShcError(f"is {describe(head)}", EXPORT_HINT)
    if kind == "JPEG":
        _check_scans(stream)
    stream.seek(0)
    return kind


def _check_scans(stream: BinaryIO) -> None:
    """Refuse a JPEG that repaints itself so often that decoding would take for ever; 10 scans are usual."""
    scans, end = 0, b""
    stream.seek(0)
    while block := stream.read(1 << 20):
        scans += (end + block).count(b"\xff\xda")
        end = block[-1:]
    if scans > _MAX_SCANS:
        raise ShcError(f"a JPEG of {scans} scans would take too long to decode", EXPORT_HINT)


def _decode(stream: BinaryIO, kind: str) -> NDArray[np.uint8]:
    with warnings.catch_warnings():
        # Pillow also warns of odd metadata, which say nothing of the pixels.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(stream, formats=PILLOW_FORMATS) as picture:
                _check_shape(picture)
                factor = ceil(sqrt(picture.width * picture.height / FULL_PIXELS))
                if factor > 1:
                    # A JPEG can leave out what the smaller picture does not need.
                    picture.draft(None, (picture.width // factor, picture.height // factor))
                picture.load()
                return to_rgb(picture, ceil(sqrt(picture.width * picture.height / FULL_PIXELS)))
        except (ShcError, MemoryError):
            raise
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise ShcError(f"more than {MAX_PIXELS // 10**6} million pixels", _TOO_LARGE_HINT) from error
        except UnidentifiedImageError as error:
            raise ShcError(f"a damaged or cut off {kind} picture", _DAMAGED_HINT) from error
        except Exception as error:
            # What Pillow raises on damaged files is not a closed list.
            raise ShcError(f"a damaged or cut off {kind} picture ({error})", _DAMAGED_HINT) from error


def _check_shape(picture: Image.Image) -> None:
    """Refuse by what the header says, before any pixel is decoded."""
    width, height = picture.size
    if width * height > MAX_PIXELS:
        text = f"{width} x {height} pixels are more than {MAX_PIXELS // 10**6} million"
        raise ShcError(text, _TOO_LARGE_HINT)
    if min(width, height) < MIN_SIDE:
        raise ShcError(f"{width} x {height} pixels are too few to show bands", EXPORT_HINT)
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ShcError(f"{width} x {height} pixels are a strip, not a figure", "cut the figure out")
    # A photograph may carry a preview or a second view behind itself.
    if picture.format != "MPO" and getattr(picture, "is_animated", False):
        what, hint = ("has several pages", "page") if picture.format == "TIFF" else ("is animated", "frame")
        raise ShcError(what, f"save the {hint} that shows the bands as PNG")
