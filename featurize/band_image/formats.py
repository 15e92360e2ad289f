"""What a file is, judged by its first bytes and not by its name."""

from __future__ import annotations

import re
from typing import Final

PILLOW_FORMATS: Final = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF")
"""The formats that are read, as Pillow calls them. None of them starts another program."""
SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".gif", ".bmp", ".webp"})
"""Endings of files that are read."""
REFUSED_SUFFIXES: Final = frozenset(
    {".pdf", ".svg", ".svgz", ".eps", ".ps", ".emf", ".wmf", ".jp2", ".heic", ".avif", ".psd"}
)
"""Endings of pictures that are not read and not passed over in silence either."""
HEAD_BYTES: Final = 2048
"""How much of a file is enough to tell what it is."""
EXPORT_HINT: Final = "save the figure itself as PNG, about 1000 pixels wide or more"

_FORMATS: Final = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
)
_OTHERS: Final = (
    (b"%!PS", "an EPS or PostScript file"),
    (b"\xc5\xd0\xd3\xc6", "an EPS file"),
    (b"\x01\0\0\0", "an EMF file"),
    (b"\xd7\xcd\xc6\x9a", "a WMF file"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (b"8BPS", "a Photoshop file"),
    (b"gimp xcf", "a GIMP file"),
    (b"\0\0\x01\0", "an icon file"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"\xd0\xcf\x11\xe0", "an office document"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"version https://git-lfs", "a Git LFS pointer, whose content was not downloaded"),
)


def picture_format(head: bytes) -> str | None:
    """Name the format of a picture that can be read, None for everything else.

    Args:
        head: First ``HEAD_BYTES`` bytes of the file.
    """
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    return next((name for magic, name in _FORMATS if head.startswith(magic)), None)


def describe(head: bytes) -> str:
    """Say what a file is that is no picture that can be read, for example ``a PDF file``.

    Args:
        head: First ``HEAD_BYTES`` bytes of the file.
    """
    if b"%PDF-" in head[:1024]:
        return "a PDF file"
    if head[4:8] == b"ftyp":
        return "a HEIC or AVIF picture, or a video"
    if not head.strip(b"\0"):
        return "a file of zeros, as a broken download leaves it"
    return next((name for magic, name in _OTHERS if head.startswith(magic)), None) or _describe_text(head)


def _describe_text(head: bytes) -> str:
    text = head.decode("utf-16" if head[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8", errors="replace")
    start = text.removeprefix("\ufeff").lstrip().lower()
    if re.match(r"<!doctype html|<html|<head|<body", start):
        return "a web page, perhaps an error message saved under the name of a picture"
    if "<svg" in start:
        return "an SVG file"
    # A letter may be cut at the end of the head, or be of another encoding.
    if "\0" not in text and 20 * text.count("\ufffd") <= len(text):
        return "a text file"
    return "no picture of a known format"
