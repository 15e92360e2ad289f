"""Decoding: every kind of pixel gives the colours a person sees."""

from __future__ import annotations

import io
import os
import struct
import time
import warnings
import zlib
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from shc.featurize.band_image import decode
from shc.featurize.band_image.decode import FULL_PIXELS, MAX_PIXELS, read_picture
from shc.featurize.band_image.formats import HEAD_BYTES, describe, picture_format
from shc.featurize.errors import ShcError

if TYPE_CHECKING:
    from pathlib import Path

SIZE = (120, 90)


def figure(
    paper: tuple[int, ...] = (255, 255, 255), ink: tuple[int, ...] = (0, 0, 0), mode: str = "RGB"
) -> Image.Image:
    """A frame with a few lines in it."""
    picture = Image.new(mode, SIZE, paper)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((20, 10, 110, 80), outline=ink)
    for y in (25, 40, 41, 66):
        draw.line((20, y, 110, 90 - y), ink)
    return picture


def saved(path: Path, picture: Image.Image, kind: str = "PNG", **options: object) -> Path:
    picture.save(path, format=kind, **options)
    return path


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *extra: bytes) -> bytes:
    """A PNG written by hand."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + data + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("GIF", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("TIFF", {"compression": "tiff_adobe_deflate"}, 0),
        ("TIFF", {"compression": "packbits"}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("WEBP", {"quality": 95}, 6),
        ("JPEG", {"quality": 95}, 6),
        ("JPEG", {"quality": 95, "progressive": True}, 6),
    ],
)
def test_every_format_gives_the_same_picture_whatever_its_name(
    kind: str, options: dict[str, Any], tolerance: float, tmp_path: Path
) -> None:
    rgb = read_picture(saved(tmp_path / "a.jpg", figure(ink=(200, 30, 30)), kind, **options))
    assert (rgb.shape, str(rgb.dtype), rgb.flags.c_contiguous) == ((90, 120, 3), "uint8", True)
    expected = np.asarray(figure(ink=(200, 30, 30))).astype(int)
    assert np.abs(rgb - expected).mean() <= tolerance


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
def test_modes_of_png(mode: str, tmp_path: Path) -> None:
    grey = figure().convert("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    picture = deep if mode == "I;16" else grey.convert(mode)
    assert picture.mode == mode
    rgb = read_picture(saved(tmp_path / "a.png", picture))
    np.testing.assert_array_equal(rgb, np.asarray(figure()))


@pytest.mark.parametrize(
    ("kind", "mode"), [("TIFF", "CMYK"), ("JPEG", "CMYK"), ("JPEG", "L"), ("TIFF", "1"), ("TIFF", "RGBA")]
)
def test_modes_of_other_formats(kind: str, mode: str, tmp_path: Path) -> None:
    rgb = read_picture(saved(tmp_path / "a", figure().convert(mode), kind)).astype(int)
    assert np.abs(rgb - np.asarray(figure())).mean() < 6.0


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_deep_grey_is_scaled_by_the_bits_it_uses(bits: int, tmp_path: Path) -> None:
    white = 2**bits - 1
    values = np.full((80, 80), white, np.uint16)
    values[20:60, 30] = 0
    values[20:60, 40] = white // 2
    rgb = read_picture(saved(tmp_path / "a.tif", Image.fromarray(values), "TIFF"))
    assert rgb[0, 0].tolist() == [255] * 3
    assert rgb[30, 30].tolist() == [0] * 3
    assert abs(int(rgb[30, 40, 0]) - 127) <= 1


def test_16_bit_colour_and_16_bit_grey_of_either_byte_order(tmp_path: Path) -> None:
    row = b"\0" + struct.pack(">HHH", 65535, 32768, 0) * 80
    (tmp_path / "a.png").write_bytes(png(80, 80, 16, 2, row * 80))
    assert read_picture(tmp_path / "a.png")[5, 5].tolist() == [255, 128, 0]
    values = np.full((80, 80), 65535, ">u2")
    values[:, 7] = 13107
    rgb = read_picture(saved(tmp_path / "b.tif", Image.fromarray(values), "TIFF"))
    assert rgb[3, 6:9, 0].tolist() == [255, 51, 255]


def test_floating_point_pixels_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.tif", Image.fromarray(np.zeros((80, 80), np.float32)), "TIFF")
    with pytest.raises(ShcError, match="pixels of the kind F"):
        read_picture(path)


def transparent(ink: int, *, card: int | None = None) -> Image.Image:
    """Lines on nothing; or in an opaque panel, with letters outside."""
    picture = figure((ink, ink, ink, 0), (ink, ink, ink, 255), "RGBA")
    draw = ImageDraw.Draw(picture)
    if card is not None:
        draw.rectangle((20, 10, 110, 80), fill=(card,) * 3 + (255,))
        draw.line((20, 25, 110, 70), (200, 40, 40, 255))
    draw.line((5, 20, 12, 20), (ink,) * 3 + (255,))
    return picture


@pytest.mark.parametrize(
    ("ink", "card", "light"),
    [(0, None, True), (255, None, False), (60, None, True), (200, None, False), (0, 255, True), (255, 20, False)],
)
def test_a_transparent_figure_is_put_where_its_ink_is_seen(
    ink: int, card: int | None, light: bool, tmp_path: Path
) -> None:
    rgb = read_picture(saved(tmp_path / "a.png", transparent(ink, card=card))).astype(int)
    paper = rgb[2, 2]
    assert bool(paper.min() > 200) is light
    assert abs(rgb[20, 8, 0] - paper[0]) > 100
    assert rgb[20, 8].tolist() == [ink] * 3


@pytest.mark.parametrize(("ink", "grid", "light"), [(0, 190, True), (255, 130, False), (40, 235, True)])
def test_letters_and_not_a_grid_tell_where_a_transparent_figure_is_put(
    ink: int, grid: int, light: bool, tmp_path: Path
) -> None:
    picture = transparent(ink)
    draw = ImageDraw.Draw(picture)
    for column in range(30, 90, 6):
        draw.line((column, 10, column, 20 if grid > 220 else 70), (grid,) * 3 + (255,))
    rgb = read_picture(saved(tmp_path / "a.png", picture))
    assert bool(rgb[2, 2].min() > 200) is light


def test_transparency_of_palettes_greys_and_colours(tmp_path: Path) -> None:
    palette = figure().quantize(8)
    paper = palette.getpixel((0, 0))
    cases = {
        "p.png": saved(tmp_path / "p.png", palette, transparency=paper),
        "pb.png": saved(tmp_path / "pb.png", palette, transparency=bytes(0 if i == paper else 255 for i in range(8))),
        "g.gif": saved(tmp_path / "g.gif", palette, "GIF", transparency=paper),
        "l.png": saved(tmp_path / "l.png", figure().convert("L"), transparency=255),
        "rgb.png": saved(tmp_path / "rgb.png", figure(), transparency=(255, 255, 255)),
        "1.png": saved(tmp_path / "1.png", figure().convert("1"), transparency=1),
    }
    for name, path in cases.items():
        np.testing.assert_array_equal(read_picture(path), np.asarray(figure()), err_msg=name)


def test_half_transparent_ink_is_mixed_with_the_paper(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (80, 80), (0, 0, 0, 0))
    ImageDraw.Draw(picture).line((10, 10, 70, 10), (0, 0, 0, 255))
    ImageDraw.Draw(picture).line((10, 40, 70, 40), (0, 0, 0, 51))
    rgb = read_picture(saved(tmp_path / "a.png", picture))
    assert (rgb[10, 40, 0], rgb[40, 40, 0], rgb[60, 40, 0]) == (0, 204, 255)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(kind: str, orientation: int, tmp_path: Path) -> None:
    notes = Image.Exif()
    notes[0x0112] = orientation
    path = saved(tmp_path / "a", figure(), kind, exif=notes)
    with Image.open(path) as picture:
        expected = np.asarray(ImageOps.exif_transpose(picture))
    rgb = read_picture(path)
    assert rgb.shape == ((120, 90, 3) if orientation >= 5 else (90, 120, 3))
    np.testing.assert_array_equal(rgb, expected)


def test_damaged_notes_of_a_camera_do_not_matter(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", figure(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert read_picture(path).shape == (90, 120, 3)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [*product(["PNG", "GIF", "TIFF"], ["RGB", "L", "RGBA", "P"]), ("JPEG", "RGB"), ("JPEG", "L")],
)
def test_large_pictures_are_made_smaller_by_a_whole_factor(
    kind: str, mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = figure().resize((1200, 900)).convert(mode)
    path = saved(tmp_path / "a", base, kind)
    full = read_picture(path).astype(float)
    monkeypatch.setattr(decode, "FULL_PIXELS", 150_000)
    rgb = read_picture(path)
    # A JPEG is halved by its decoder and once more afterwards.
    factor = 4 if kind == "JPEG" else 3
    mean = full.reshape(900 // factor, factor, 1200 // factor, factor, 3).mean(axis=(1, 3))
    assert rgb.shape == mean.shape
    assert np.abs(rgb - mean).mean() <= (2.0 if kind == "JPEG" else 0.5)


def test_transparent_large_pictures_keep_their_paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "FULL_PIXELS", 300_000)
    picture = transparent(255).resize((2400, 1800), Image.Resampling.NEAREST)
    rgb = read_picture(saved(tmp_path / "a.png", picture))
    assert rgb.shape[0] * rgb.shape[1] <= 300_000
    assert (int(rgb[2, 2].max()), int(rgb.max())) == (24, 255)


def test_the_limit_on_pixels_holds_before_anything_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    side = int(MAX_PIXELS**0.5) + 1
    for width, height in ((side, side), (10_000, 10_000), (50_000, 50_000), (2**31 - 1, 2**31 - 1)):
        path.write_bytes(png(width, height, 8, 2, b""))
        start = time.process_time()
        with pytest.raises(ShcError, match="million"):
            read_picture(path)
        assert time.process_time() - start < 1.0
    assert FULL_PIXELS < MAX_PIXELS


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_several_frames_or_pages_are_refused(kind: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "a", figure(), kind, save_all=True, append_images=[figure(ink=(255, 0, 0))])
    with pytest.raises(ShcError, match="has several pages" if kind == "TIFF" else "is animated"):
        read_picture(path)
    single = saved(tmp_path / "b", figure(), kind, save_all=True)
    assert read_picture(single).shape == (90, 120, 3)


def test_a_photograph_with_a_preview_behind_it_is_read(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", figure(), "MPO", save_all=True, append_images=[figure().resize((64, 64))])
    assert read_picture(path).shape == (90, 120, 3)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"])
def test_what_is_cut_off_is_never_taken_for_less_than_the_whole(kind: str, tmp_path: Path) -> None:
    stream = io.BytesIO()
    figure().save(stream, format=kind)
    data, path = stream.getvalue(), tmp_path / "a"
    path.write_bytes(data)
    whole = read_picture(path)
    n_refused = 0
    for length in sorted({*range(1, len(data), max(1, len(data) // 60)), *range(len(data) - 16, len(data))}):
        path.write_bytes(data[:length])
        try:
            rgb = read_picture(path)
        except ShcError:
            n_refused += 1
        else:
            np.testing.assert_array_equal(rgb, whole)
    assert n_refused > 40


@pytest.mark.parametrize("seed", range(8))
def test_random_damage_raises_nothing_else(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    path = tmp_path / "a"
    for kind in ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"):
        stream = io.BytesIO()
        figure().save(stream, format=kind)
        for _ in range(6):
            data = bytearray(stream.getvalue())
            for where in rng.integers(0, min(len(data), 400 if rng.random() < 0.5 else len(data)), 4):
                data[where] = rng.integers(0, 256)
            path.write_bytes(data)
            try:
                rgb = read_picture(path)
            except ShcError:
                continue
            assert rgb.dtype == np.uint8


def test_a_jpeg_that_repaints_itself_for_ever_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", figure(), "JPEG", progressive=True)
    data = path.read_bytes()
    last = data.rindex(b"\xff\xda")
    path.write_bytes(data[:last] + data[last:-2] * 200 + data[-2:])
    with pytest.raises(ShcError, match=r"scans would take too long"):
        read_picture(path)


def test_warnings_of_pillow_do_not_get_out(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    rows = (b"\0" + b"\x80" * 80) * 80
    path.write_bytes(png(80, 80, 8, 0, rows, chunk(b"acTL", struct.pack(">II", 0, 0))))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_picture(path)[0, 0].tolist() == [128] * 3
        path.write_bytes(png(10_000, 10_000, 8, 0, b""))
        with pytest.raises(ShcError, match="million"):
            read_picture(path)


def test_places_that_are_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "link.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "empty.png").touch()
    os.mkfifo(tmp_path / "pipe.png")
    for name, text in {
        "nothing.png": "no such file",
        "link.png": "the link leads to a file that does not exist",
        "folder.png": "is a folder",
        "empty.png": "the file is empty",
        "pipe.png": "is no regular file",
    }.items():
        with pytest.raises(ShcError, match=text) as caught:
            read_picture(tmp_path / name)
        assert caught.value.message.startswith(f"{name}: ")
        assert caught.value.hint


def test_a_huge_file_is_not_opened(tmp_path: Path) -> None:
    with (tmp_path / "a.png").open("wb") as stream:
        stream.truncate(decode.MAX_BYTES + 1)
    with pytest.raises(ShcError, match="larger than 128 MB"):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"%PDF-1.7\n", "a PDF file"),
        (b"junk\n%PDF-1.4", "a PDF file"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "an EPS or PostScript file"),
        (b"\xc5\xd0\xd3\xc6\x20\0\0\0", "an EPS file"),
        (b'<?xml version="1.0"?>\n<svg xmlns="x">', "an SVG file"),
        (b"\xef\xbb\xbf  <!DOCTYPE html><title>404</title>", "a web page"),
        (b"<HTML><body>Forbidden", "a web page"),
        (b"\0\0\0\x20ftypheic", "HEIC"),
        (b"\0" * 100, "a file of zeros"),
        (b"PK\x03\x04", "ZIP"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"8BPS\0\1", "Photoshop"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
        (b'{"error": "not found"}', "a text file"),
        ("k-Pfad und Bänder".encode("latin-1") + b" in eV", "a text file"),
        ("\ufeff<html>".encode("utf-16-le"), "a web page"),
        (bytes(range(128, 256)) * 4, "no picture of a known format"),
        (b"\x89", "no picture of a known format"),
    ],
)
def test_what_is_no_picture_is_named(head: bytes, what: str) -> None:
    assert picture_format(head[:HEAD_BYTES]) is None
    assert what in describe(head)
