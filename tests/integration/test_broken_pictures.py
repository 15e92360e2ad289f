"""Broken, hostile and odd pictures: each has its clear message, and none takes much memory or time."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import struct
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
from PIL import Image, ImageDraw

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAX_SECONDS = 20.0
MAX_MEGABYTES = 700
"""Beside the program itself, for the worst of all pictures."""

READER = """
import json, sys, time
from pathlib import Path
from shc.featurize.band_image.read import read_bands_picture
from shc.featurize.errors import ShcError

def megabytes():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024

good = Path(sys.argv[1]) / "good.png"
read_bands_picture(good)
before = megabytes()
for name in sys.argv[2:]:
    start = time.monotonic()
    try:
        result = read_bands_picture(Path(sys.argv[1]) / name)
        told = {"confidence": result.confidence, "reasons": result.reasons, "ink": float(result.image.sum())}
    except ShcError as error:
        told = {"error": error.message, "hint": error.hint}
    print(json.dumps({"name": name, "seconds": time.monotonic() - start, "peak": megabytes() - before} | told))
"""


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, format=kind, **options)
    return stream.getvalue()


def figure(size: tuple[int, int] = (400, 300)) -> Image.Image:
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((size[0] // 8, 10, size[0] - 10, size[1] - 30), outline="black")
    for i in range(6):
        draw.line((size[0] // 8, 30 + 40 * i, size[0] - 10, 270 - 40 * i), "blue", 2)
    return picture


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, data: bytes, *extra: bytes, depth: int = 8, colour: int = 2) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def zeros(n: int) -> bytes:
    """So many zeros, packed."""
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(n >> 20)) + packer.flush()


def tiff(width: int, height: int) -> bytes:
    """A TIFF whose header promises a large picture and whose strip holds a few bytes."""
    fields = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 200), (277, 1), (278, height), (279, 99)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in fields)
    return b"II*\0" + struct.pack("<IH", 8, len(fields)) + entries + b"\0" * 300


def scans(n: int) -> bytes:
    data = encoded(figure(), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * n + data[-2:]


def flipped(data: bytes, start: int, n: int) -> bytes:
    return data[:start] + bytes(byte ^ 0xFF for byte in data[start : start + n]) + data[start + n :]


class Broken(NamedTuple):
    make: Callable[[], bytes]
    error: str


BROKEN = {
    "empty.png": Broken(lambda: b"", "the file is empty"),
    "byte.png": Broken(lambda: b"\x89", "no picture of a known format"),
    "signature.png": Broken(lambda: b"\x89PNG\r\n\x1a\n", "damaged or cut off PNG"),
    "pixel.png": Broken(lambda: encoded(Image.new("RGB", (1, 1))), "1 x 1 pixels are too few"),
    "tiny.gif": Broken(lambda: encoded(Image.new("L", (63, 500)), "GIF"), "63 x 500 pixels are too few"),
    "strip.png": Broken(lambda: encoded(Image.new("L", (5000, 100))), "are a strip"),
    "no-width.png": Broken(lambda: png(0, 100, zlib.compress(b"")), "0 x 100 pixels|damaged or cut off PNG"),
    "cut.png": Broken(lambda: encoded(figure())[:-600], "damaged or cut off PNG"),
    "cut.jpg": Broken(lambda: encoded(figure(), "JPEG")[:6000], "damaged or cut off JPEG"),
    "cut-progressive.jpg": Broken(lambda: encoded(figure(), "JPEG", progressive=True)[:6000], "cut off JPEG"),
    "cut.gif": Broken(lambda: encoded(figure(), "GIF")[:1500], "damaged or cut off GIF"),
    "cut.bmp": Broken(lambda: encoded(figure(), "BMP")[:90_000], "damaged or cut off BMP"),
    "cut.webp": Broken(lambda: encoded(figure(), "WEBP")[:900], "damaged or cut off WEBP"),
    "cut.tif": Broken(lambda: encoded(figure(), "TIFF")[:90_000], "damaged or cut off TIFF"),
    "cut-lzw.tif": Broken(lambda: encoded(figure(), "TIFF", compression="tiff_lzw")[:2000], "damaged or cut off TIFF"),
    "flipped.png": Broken(lambda: flipped(encoded(figure()), 300, 40), "damaged or cut off PNG"),
    "bomb.png": Broken(lambda: png(30_000, 30_000, zeros(1 << 26)), "million"),
    "bomb-small-header.png": Broken(lambda: png(7000, 7000, zeros(1 << 27)), "7000 x 7000 pixels are more than 40"),
    "bomb-2-31.png": Broken(lambda: png(2**31 - 1, 2**31 - 1, b""), "million"),
    "bomb-text.png": Broken(
        lambda: png(400, 300, b"", chunk(b"zTXt", b"a\0\0" + zeros(1 << 27))), "damaged or cut off PNG"
    ),
    "bomb.tif": Broken(lambda: tiff(60_000, 60_000), "million"),
    "promise.tif": Broken(lambda: tiff(6000, 6000), "damaged or cut off TIFF"),
    "bomb.gif": Broken(lambda: b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b";", "million|cut off GIF"),
    "bomb.bmp": Broken(
        lambda: b"BM" + struct.pack("<IIIIiiHHIIiiII", 99, 0, 54, 40, 50_000, 50_000, 1, 24, 0, 0, 0, 0, 0, 0),
        "million",
    ),
    "bomb.webp": Broken(
        lambda: (
            b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + b"\2\0\0\0" + b"\xff\xff\xff" * 2
        ),
        "damaged or cut off WEBP|million|memory",
    ),
    "scans.jpg": Broken(lambda: scans(500), "scans would take too long"),
    "animated.gif": Broken(
        lambda: encoded(figure(), "GIF", save_all=True, append_images=[figure().rotate(90)]), "is animated"
    ),
    "animated.png": Broken(
        lambda: encoded(figure(), "PNG", save_all=True, append_images=[figure().rotate(9)]), "is animated"
    ),
    "animated.webp": Broken(
        lambda: encoded(figure(), "WEBP", save_all=True, append_images=[figure().rotate(9)]), "is animated"
    ),
    "pages.tif": Broken(
        lambda: encoded(figure(), "TIFF", save_all=True, append_images=[figure()] * 50), "has several pages"
    ),
    "float.tif": Broken(lambda: encoded(Image.fromarray(np.ones((99, 99), np.float32)), "TIFF"), "kind F"),
    "paper.png": Broken(lambda: b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n", "is a PDF file"),
    "figure.eps": Broken(lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is an EPS"),
    "script.png": Broken(lambda: b"%!PS\n(/tmp/shc-broken) (w) file closefile\n", "is an EPS or PostScript file"),
    "figure.svg": Broken(lambda: b"<?xml version='1.0'?><svg></svg>", "is an SVG file"),
    "figure.svgz": Broken(lambda: gzip.compress(b"<svg></svg>"), "is a gzip file"),
    "404.png": Broken(lambda: b"\n<!DOCTYPE html><html><title>404</title>", "is a web page"),
    "text.jpg": Broken(lambda: b"see the figure in the supplement\n", "is a text file"),
    "utf16.jpg": Broken(lambda: "see the figure".encode("utf-16"), "is a text file"),
    "zeros.png": Broken(lambda: bytes(5000), "is a file of zeros"),
    "noise.png": Broken(lambda: np.random.default_rng(0).bytes(5000), "no picture of a known format"),
    "photo.heic": Broken(lambda: b"\0\0\0\x18ftypheic" + bytes(99), "HEIC"),
    "archive.png": Broken(lambda: b"PK\x03\x04" + bytes(99), "ZIP"),
    "pointer.png": Broken(lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
    "psd.png": Broken(lambda: b"8BPS\0\1" + bytes(99), "Photoshop"),
}


def gradient() -> Image.Image:
    y, x = np.mgrid[0:600, 0:800]
    return Image.fromarray(np.stack([x * 255 // 800, y * 255 // 600, (x + y) % 256], axis=-1).astype(np.uint8))


def noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (500, 700, 3), dtype=np.uint8))


def stripes() -> Image.Image:
    return Image.fromarray(np.where(np.arange(600) % 2, 255, 0).astype(np.uint8)[:, None].repeat(800, axis=1))


# Pictures that are whole and show no bands; and pictures of many pixels.
ODD: dict[str, Callable[[], bytes]] = {
    "white.png": lambda: encoded(Image.new("RGB", (800, 600), "white")),
    "black.png": lambda: encoded(Image.new("L", (800, 600), 0)),
    "nothing.png": lambda: encoded(Image.new("RGBA", (800, 600), (0, 0, 0, 0))),
    "smallest.png": lambda: encoded(Image.new("1", (64, 64), 1)),
    "gradient.png": lambda: encoded(gradient()),
    "noise.jpg": lambda: encoded(noise(), "JPEG"),
    "stripes.png": lambda: encoded(stripes()),
    "large.jpg": lambda: encoded(figure((6320, 6320)), "JPEG"),
    "large.webp": lambda: encoded(figure((6320, 6320)), "WEBP", lossless=True, quality=0, method=0),
    "large-noise.png": lambda: encoded(noise().resize((3900, 2000)), compress_level=1),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """What one process says of all pictures, one after the other."""
    folder: Path = tmp_path_factory.mktemp("broken")
    (folder / "good.png").write_bytes(encoded(figure()))
    for name, broken in BROKEN.items():
        (folder / name).write_bytes(broken.make())
    for name, make in ODD.items():
        (folder / name).write_bytes(make())
    os.mkfifo(folder / "pipe.png")
    (folder / "folder.png").mkdir()
    (folder / "device.png").symlink_to("/dev/zero")
    names = [*BROKEN, *ODD, "pipe.png", "folder.png", "device.png"]
    done = subprocess.run(
        [sys.executable, "-c", READER, str(folder), *names], capture_output=True, text=True, check=True, timeout=280
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["name"]: line for line in lines}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_picture_has_a_clear_message(name: str, told: dict[str, dict[str, object]]) -> None:
    line = told[name]
    assert "error" in line, line
    assert re.search(BROKEN[name].error, str(line["error"])), line
    assert str(line["error"]).startswith(f"{name}: ")
    assert line["hint"]
    assert "object at 0x" not in str(line["error"])


@pytest.mark.parametrize(
    ("name", "error"), [("pipe.png", "no regular file"), ("device.png", "no regular file"), ("folder.png", "a folder")]
)
def test_what_is_no_file_is_not_opened(name: str, error: str, told: dict[str, dict[str, object]]) -> None:
    assert error in str(told[name]["error"])


@pytest.mark.parametrize("name", ODD)
def test_an_odd_picture_gets_a_result(name: str, told: dict[str, dict[str, object]]) -> None:
    line = told[name]
    assert "error" not in line, line
    assert 0.0 <= float(str(line["confidence"])) <= 1.0
    if name in {"white.png", "black.png", "nothing.png", "smallest.png", "gradient.png", "noise.jpg"}:
        assert line["confidence"] == 0.0
        assert line["reasons"]
        assert line["ink"] == 0.0


def test_time_and_memory_are_bounded(told: dict[str, dict[str, object]]) -> None:
    assert len(told) == len(BROKEN) + len(ODD) + 3
    slowest = max(told.values(), key=lambda line: float(str(line["seconds"])))
    assert float(str(slowest["seconds"])) < MAX_SECONDS, slowest
    assert max(float(str(line["peak"])) for line in told.values()) < MAX_MEGABYTES
    before_large = [line for name, line in told.items() if name in BROKEN]
    assert max(float(str(line["peak"])) for line in before_large) < 200


def test_no_script_was_run(told: dict[str, dict[str, object]]) -> None:
    assert told["script.png"]["error"]
    assert not os.path.lexists("/tmp/shc-broken")  # noqa: S108  what the script would write
