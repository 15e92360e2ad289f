"""The pictures of bands of one crystal as some kilobytes.

Layout: ``SHCP``, one byte of version, the length of the content in 4 bytes, its CRC-32, the stamp in 32 bytes, and
the numbers of pictures and of failures in 2 bytes each (all little-endian), then the content packed as raw deflate. The
content is the length of a JSON object in 4 bytes, the object, and the images one after the other. An image is kept in
``LEVELS`` steps of ink, 4 bits each: a byte holds a pixel of an even row and, in its high bits, the one below.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from struct import Struct
from struct import error as struct_error
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, cast, get_args

import numpy as np

from shc.featurize.errors import ExitCode, ShcError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shc.featurize.band_image.types import BandPicture

MAGIC: Final = b"SHCP"
CODEC_VERSION: Final = 1
SMALLEST: Final = 9
"""Level of compression of files: some 5 ms a picture."""
FASTEST: Final = 1
"""Level of compression that takes a tenth of that."""
SIDE: Final = 224
"""Height and width of an image, pixels."""
LEVELS: Final = 15
"""Full ink as a whole number: what is stored differs by up to half a step, 0.033."""
STAMP_SIZE: Final = 32
NO_STAMP: Final = bytes(STAMP_SIZE)
"""The stamp of a crystal that no file of a picture belongs to."""
_HEAD: Final = Struct(f"<4sBII{STAMP_SIZE}sHH")
_LENGTH: Final = Struct("<I")
_IMAGE_BYTES: Final = SIDE * SIDE // 2
_MAX_CONTENT: Final = 1 << 30
_MAX_COUNT: Final = 0xFFFF
_INK: Final = (np.arange(LEVELS + 1) / LEVELS).astype(np.float32)

Kind = Literal["file", "styled", "styled_scalar"]
"""Where a picture comes from: a file, or the computed bands with or without spin-orbit coupling drawn in some style."""


STANDARD: Final = "standard"
"""Source of the picture of computed bands that the model is given where it computes them."""


@dataclass(frozen=True, slots=True)
class StoredPicture:
    """A normalised picture of bands as a feature file holds it."""

    image: NDArray[np.float32]
    """``[1, 224, 224]`` ink from 0 to 1, see ``BandPicture``."""
    e_min_ev: float
    """Lower end of the energies that the picture shows, from the Fermi level, eV."""
    e_max_ev: float
    """Upper end of them, eV."""
    confidence: float
    """From 0 to 1, never 0."""
    source: str
    """Name of the file; of a drawn picture the number of its style."""
    kind: Kind = "file"
    """Where it comes from."""

    @classmethod
    def of(cls, picture: BandPicture, source: str, kind: Kind = "file") -> StoredPicture:
        """What is kept of a normalised picture."""
        return cls(picture.image, picture.e_min_ev, picture.e_max_ev, picture.confidence, source, kind)


class BadPicture(NamedTuple):
    """A file that belongs to a crystal and gave no picture."""

    number: int
    """Place of the file among those of the crystal, from 0."""
    error: str
    """What is wrong."""
    hint: str
    """What to do about it."""


class PictureSet(NamedTuple):
    """All pictures of one crystal."""

    pictures: tuple[StoredPicture, ...] = ()
    failures: tuple[BadPicture, ...] = ()
    stamp: bytes = NO_STAMP
    """What the files were: two runs with the same files and windows give the same 32 bytes."""


class PictureCounts(NamedTuple):
    """What a packed set says about itself without being unpacked."""

    stamp: bytes
    n_pictures: int
    n_failures: int


def encode(pictures: PictureSet, level: int = SMALLEST) -> bytes:
    """Pack the pictures of a crystal; what `decode` makes of them is packed without further loss.

    Args:
        pictures: Pictures of ``[1, 224, 224]``.
        level: ``SMALLEST``, or ``FASTEST`` for what is unpacked again at once.

    Returns:
        About 8 kB a picture; nothing if there is nothing to keep.

    Raises:
        ValueError: An image has another shape or values outside [0, 1], or there are too many pictures.
    """
    if pictures == PictureSet():
        return b""
    if max(len(pictures.pictures), len(pictures.failures)) > _MAX_COUNT:
        raise ValueError(f"a crystal can have {_MAX_COUNT} pictures at most")
    head = {
        "pictures": [
            [p.kind, p.source, float(p.e_min_ev), float(p.e_max_ev), float(p.confidence)] for p in pictures.pictures
        ],
        "failures": pictures.failures,
    }
    text = json.dumps(head, separators=(",", ":"), allow_nan=False).encode()
    content = b"".join([_LENGTH.pack(len(text)), text, *(_pack(p.image) for p in pictures.pictures)])
    engine = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL)
    packed = engine.compress(content) + engine.flush()
    counts = (len(pictures.pictures), len(pictures.failures))
    return _HEAD.pack(MAGIC, CODEC_VERSION, len(content), zlib.crc32(content), pictures.stamp, *counts) + packed


def counts(data: bytes) -> PictureCounts:
    """What a packed set holds, without unpacking it; `decode` finds out whether that is true.

    Args:
        data: From `encode`.

    Raises:
        ShcError: These are no pictures, or of a newer version (``BAD_FILE``).
    """
    if not data:
        return PictureCounts(NO_STAMP, 0, 0)
    try:
        magic, version, _, _, stamp, n_pictures, n_failures = _HEAD.unpack_from(data)
    except struct_error as error:
        raise _damaged() from error
    if magic != MAGIC:
        raise _damaged()
    if version > CODEC_VERSION:
        raise ShcError(
            f"stored pictures have version {version}, this program reads up to {CODEC_VERSION}",
            "install a newer version of shc-predict",
            ExitCode.BAD_FILE,
        )
    return PictureCounts(stamp, n_pictures, n_failures)


def decode(data: bytes) -> PictureSet:
    """Unpack the pictures of a crystal.

    Args:
        data: From `encode`.

    Raises:
        ShcError: The data are damaged, truncated or of a newer version (``BAD_FILE``).
    """
    if not data:
        return PictureSet()
    stated = counts(data)
    _, _, length, checksum, *_ = _HEAD.unpack_from(data)
    content = _unpack(data[_HEAD.size :], length, checksum)
    try:
        (size,) = _LENGTH.unpack_from(content)
        head = json.loads(content[_LENGTH.size : _LENGTH.size + size])
        found = PictureSet(
            _pictures(head["pictures"], content[_LENGTH.size + size :]),
            tuple(BadPicture(int(number), str(error), str(hint)) for number, error, hint in head["failures"]),
            stated.stamp,
        )
    except (struct_error, KeyError, ValueError, TypeError) as error:
        raise _damaged() from error
    if (len(found.pictures), len(found.failures)) != stated[1:]:
        raise _damaged()
    return found


def _damaged() -> ShcError:
    return ShcError("stored pictures are damaged or truncated", "featurise the crystal again", ExitCode.BAD_FILE)


def _unpack(packed: bytes, length: int, checksum: int) -> bytes:
    """The content, checked."""
    if length > _MAX_CONTENT:
        raise _damaged()
    engine = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        content = engine.decompress(packed, length + 1)
    except zlib.error as error:
        raise _damaged() from error
    if len(content) != length or not engine.eof or zlib.crc32(content) != checksum:
        raise _damaged()
    return content


def _pictures(head: list[Any], images: bytes) -> tuple[StoredPicture, ...]:
    if len(images) != len(head) * _IMAGE_BYTES:
        raise ValueError("the images have another length")
    pictures = []
    for number, (kind, source, e_min_ev, e_max_ev, confidence) in enumerate(head):
        if kind not in get_args(Kind):
            raise ValueError(f"unknown kind {kind}")
        image = _image(images[number * _IMAGE_BYTES : (number + 1) * _IMAGE_BYTES])
        place = (float(e_min_ev), float(e_max_ev), float(confidence))
        pictures.append(StoredPicture(image, *place, str(source), cast("Kind", kind)))
    return tuple(pictures)


def _pack(image: NDArray[np.float32]) -> bytes:
    if image.shape != (1, SIDE, SIDE) or not np.all((image >= 0.0) & (image <= 1.0)):
        raise ValueError(f"image must be [1, {SIDE}, {SIDE}] with values from 0 to 1, not {list(image.shape)}")
    levels = np.rint(LEVELS * image[0]).astype(np.uint8)
    pairs: NDArray[np.uint8] = levels[0::2] | (levels[1::2] << 4)
    return pairs.tobytes()


def _image(data: bytes) -> NDArray[np.float32]:
    pairs = np.frombuffer(data, dtype=np.uint8).reshape(SIDE // 2, SIDE)
    image = np.empty((1, SIDE, SIDE), dtype=np.float32)
    image[0, 0::2] = _INK[pairs & 15]
    image[0, 1::2] = _INK[pairs >> 4]
    return image
