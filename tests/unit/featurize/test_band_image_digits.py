from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from shc.featurize.band_image.digits import GLYPHS, ROWS, Line, read_lines, scaled_line
from shc.featurize.band_image.tick_values import NUMBER

NUMBERS = ("-4", "0", "2.5", "-0.25", "10", "-15", "7.5", "-3", "6", "8.0", "9")


def read(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, blur: float = 0.0) -> Line:
    canvas = Image.new("L", (600, 160))
    ImageDraw.Draw(canvas).text((40, 40), text, fill=255, font=font)
    picture = canvas.filter(ImageFilter.GaussianBlur(blur)) if blur else canvas
    box = picture.point(lambda value: 255 * (value > 90)).getbbox()
    assert box is not None
    return read_lines(np.asarray(picture, np.float32) / 255.0, [box])[0]


def dejavu(name: str, size: int) -> ImageFont.FreeTypeFont:
    mpl = pytest.importorskip("matplotlib", reason="its fonts are read")
    return ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / name), size)


@pytest.mark.parametrize("size", [12, 16, 30, 60])
def test_reads_numbers_of_all_sizes(size: int) -> None:
    font = ImageFont.load_default(size)  # a typeface that was not in the training
    assert [read(text, font).text for text in NUMBERS] == list(NUMBERS)


@pytest.mark.parametrize(
    "name", ["DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSerif.ttf", "DejaVuSansMono-Oblique.ttf"]
)
def test_reads_numbers_in_the_fonts_of_matplotlib(name: str) -> None:
    font = dejavu(name, 18)
    assert [read(text.replace("-", "\u2212"), font).text for text in NUMBERS] == list(NUMBERS)


def test_reads_blurred_numbers_that_touch() -> None:
    font = dejavu("DejaVuSans.ttf", 22)
    assert [read(text, font, blur=1.3).text for text in ("-10", "25", "0.5")] == ["-10", "25", "0.5"]


def test_a_comma_is_a_point() -> None:
    assert read("-2,5", dejavu("DejaVuSans.ttf", 24)).text == "-2.5"


@pytest.mark.parametrize("word", ["\u0393", "X", "Energy", "(eV)", "K", "DOS", "total"])
def test_letters_are_no_numbers(word: str) -> None:
    assert NUMBER.fullmatch(read(word, dejavu("DejaVuSans.ttf", 24)).text) is None


def test_reads_the_fermi_level() -> None:
    font, index = dejavu("DejaVuSans-Oblique.ttf", 30), dejavu("DejaVuSans-Oblique.ttf", 21)
    canvas = Image.new("L", (120, 80))
    pen = ImageDraw.Draw(canvas)
    pen.text((20, 10), "E", fill=255, font=font)
    pen.text((20 + font.getlength("E"), 22), "F", fill=255, font=index)
    box = canvas.getbbox()
    assert box is not None
    assert read_lines(np.asarray(canvas, np.float32) / 255.0, [box])[0].text == "EF"


def test_what_was_read_is_likelier_than_other_texts() -> None:
    line = read("-2.5", ImageFont.load_default(20))
    assert line.log_likelihood == pytest.approx(line.likelihood("-2.5"))
    assert np.exp(line.log_likelihood) > 0.5
    assert all(line.likelihood(text) < line.log_likelihood - 1.0 for text in ("2.5", "-25", "-2.6", "#"))
    np.testing.assert_allclose(np.exp(line.log_probability).sum(axis=1), 1.0, rtol=1e-5)
    assert line.log_probability.shape[1] == 1 + len(GLYPHS)


def test_the_bound_of_a_likelihood_holds() -> None:
    line = read("-2.5", ImageFont.load_default(20))
    texts = ("-2.5", "2.5", "-25", "-2.6", "#", "", "EF", "-2.55", "88888")
    assert all(line.likelihood(text) <= line.at_most(text) for text in texts)
    assert line.at_most("88888") < line.log_likelihood - 2.0


def test_reading_does_not_depend_on_the_other_lines() -> None:
    canvas = Image.new("L", (200, 120))
    pen = ImageDraw.Draw(canvas)
    pen.text((10, 10), "-1.25", fill=255, font=ImageFont.load_default(24))
    pen.text((10, 70), "3", fill=255, font=ImageFont.load_default(24))
    ink = np.asarray(canvas, np.float32) / 255.0
    boxes = []
    for top in (0, 60):
        box = canvas.crop((0, top, 200, top + 60)).getbbox()
        assert box is not None
        boxes.append((box[0], box[1] + top, box[2], box[3] + top))
    together = read_lines(ink, boxes)
    for line, box in zip(together, boxes, strict=True):
        alone = read_lines(ink, [box])[0]
        assert line.text == alone.text
        np.testing.assert_allclose(line.log_probability, alone.log_probability, atol=1e-4)
    assert read_lines(ink, []) == []


def test_lines_at_the_edge_of_the_picture_are_scaled_alike() -> None:
    canvas = Image.new("L", (90, 60))
    ImageDraw.Draw(canvas).text((20, 15), "-7", fill=255, font=ImageFont.load_default(24))
    box = canvas.getbbox()
    assert box is not None
    middle = scaled_line(np.asarray(canvas, np.float32) / 255.0, box)
    tight = np.asarray(canvas.crop(box), np.float32) / 255.0
    np.testing.assert_allclose(scaled_line(tight, (0, 0, tight.shape[1], tight.shape[0])), middle, atol=1e-6)
    assert middle.shape[1] == ROWS
    assert middle.max() == pytest.approx(1.0)
