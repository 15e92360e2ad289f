"""One picture of bands beside what was understood of it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from shc.featurize.band_image.types import LEAST_CONFIDENCE, SURE
from shc.featurize.electronic.record import BAND_RANGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from shc.featurize.band_image.checking import Checked
    from shc.featurize.band_image.types import BandPicture, Box

CARD_SIZE: Final = (1010, 264)
"""Width and height of a card, pixels."""
FIGURE_SIZE: Final = (420, 224)
"""Largest width and height of the picture on the card, which comes first from the left; then the normalised one."""
MARGIN: Final = 12
"""Pixels between the parts of a card."""
LEGEND_HEIGHT: Final = 22
"""Height of the legend, pixels; it is as wide as a card."""

_Colour = tuple[int, int, int]
_INK: Final = (28, 32, 38)
_GREY: Final = (110, 118, 128)
_GREEN: Final = (22, 140, 70)
_AMBER: Final = (196, 120, 0)
_RED: Final = (208, 32, 44)
_BLUE: Final = (30, 100, 220)
_NOT_KNOWN: Final = (250, 226, 186)
_PALE: Final = (164, 166, 168)
"""What is left of ink where a figure is not used."""
_SCALE_WIDTH: Final = 34
FIGURES_WIDTH: Final = MARGIN + FIGURE_SIZE[0] + MARGIN + _SCALE_WIDTH + 224 + MARGIN
"""What the pictures take of the width of a card; the rest is text."""
_TOP: Final = 20
_MOST_LETTERS: Final = 400


def draw_card(checked: Checked) -> Image.Image:
    """Draw a picture with the panel, the Fermi level and the energies used, beside the normalised picture.

    Args:
        checked: The picture with its pixels.

    Returns:
        RGB of ``CARD_SIZE``.
    """
    card = Image.new("RGB", CARD_SIZE, (255, 255, 255))
    if checked.rgb is not None and checked.result is not None:
        figure = _figure(checked.rgb, checked.result)
        x = MARGIN + (FIGURE_SIZE[0] - figure.width) // 2
        card.paste(figure, (x, _TOP + (FIGURE_SIZE[1] - figure.height) // 2))
        _paste_normalised(card, checked.result)
    else:
        box = (MARGIN, _TOP, FIGURES_WIDTH - MARGIN, _TOP + FIGURE_SIZE[1])
        draw = ImageDraw.Draw(card)
        draw.rectangle(box, fill=(246, 240, 240), outline=_RED)
        text = "cannot be read"
        draw.text((FIGURES_WIDTH // 2 - draw.textlength(text, _font(20)) / 2, 120), text, _RED, _font(20))
    _write(card, checked)
    return card


def draw_legend(paper: _Colour) -> Image.Image:
    """Say what the colours on cards mean.

    Args:
        paper: Colour of the page.

    Returns:
        RGB, as wide as a card and ``LEGEND_HEIGHT`` high.
    """
    legend = Image.new("RGB", (CARD_SIZE[0], LEGEND_HEIGHT), paper)
    draw = ImageDraw.Draw(legend)
    x, middle = 0, LEGEND_HEIGHT // 2
    for half_height, colour, fill, text in (
        (6, _GREEN, paper, "panel that was found"),
        (0, _RED, _RED, "Fermi level"),
        (0, _BLUE, _BLUE, f"{BAND_RANGE:g} eV above and below it"),
        (6, _PALE, _PALE, "pale: not used"),
        (6, _NOT_KNOWN, _NOT_KNOWN, "energies that are not known"),
    ):
        draw.rectangle((x, middle - half_height, x + 20, middle + half_height + 1), fill, colour, 2)
        draw.text((x + 28, middle), text, _INK, _font(13), anchor="lm")
        x += 28 + round(draw.textlength(text, _font(13))) + 2 * MARGIN
    return legend


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


def _figure(rgb: NDArray[np.uint8], result: BandPicture) -> Image.Image:
    """The picture made small; what is not used of it is pale."""
    image = Image.fromarray(rgb)
    scale = min(FIGURE_SIZE[0] / image.width, FIGURE_SIZE[1] / image.height, 1.0)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    small = image.resize(size, Image.Resampling.BOX, reducing_gap=2.0)
    pale = Image.blend(small, Image.new("RGB", size, (255, 255, 255)), 0.6)
    draw = ImageDraw.Draw(pale)
    if result.panel is not None:
        used = _used(result, result.panel)
        if used[1] < used[3]:
            box = [round(value * scale) for value in used]
            pale.paste(small.crop((box[0], box[1], box[2], box[3])), (box[0], box[1]))
        _draw_axis(draw, result, result.panel, scale)
    draw.rectangle((0, 0, size[0] - 1, size[1] - 1), outline=(200, 204, 210))
    return pale


def _used(result: BandPicture, panel: Box) -> tuple[float, float, float, float]:
    """The part of the panel within ``BAND_RANGE`` of the Fermi level."""
    top, bottom = float(panel.top), float(panel.bottom)
    if result.axis is not None:
        top, bottom = max(top, result.axis.row(BAND_RANGE)), min(bottom, result.axis.row(-BAND_RANGE))
    return panel.left, top, panel.right, bottom


def _draw_axis(draw: ImageDraw.ImageDraw, result: BandPicture, panel: Box, scale: float) -> None:
    left, right = panel.left * scale, panel.right * scale
    # Around the panel, so that what lies at its edge is seen.
    draw.rectangle((left - 2, panel.top * scale - 2, right + 1, panel.bottom * scale + 1), outline=_GREEN, width=2)
    if result.axis is None:
        return
    for energy, colour in ((BAND_RANGE, _BLUE), (-BAND_RANGE, _BLUE), (0.0, _RED)):
        row = result.axis.row(energy)
        if panel.top <= row <= panel.bottom:
            y = round(row * scale)
            draw.line((left - 8, y, right + 8, y), colour, 1)


def _paste_normalised(card: Image.Image, result: BandPicture) -> None:
    """What the model reads: dark ink on white; energies that are not known in another colour; a scale in eV."""
    ink = result.image[0]
    rows = BAND_RANGE * (1.0 - 2.0 * (np.arange(len(ink)) + 0.5) / len(ink))
    known = (rows >= result.e_min_ev) & (rows <= result.e_max_ev)
    paper = np.where(known[:, None], np.uint8(255), np.array(_NOT_KNOWN, np.uint8)[None, :])
    pixels = np.rint(paper[:, None, :] * (1.0 - ink[..., None])).astype(np.uint8)
    picture = Image.fromarray(pixels)
    left = FIGURES_WIDTH - MARGIN - picture.width
    card.paste(picture, (left, _TOP))
    draw = ImageDraw.Draw(card)
    draw.rectangle((left - 1, _TOP - 1, left + picture.width, _TOP + picture.height), outline=_GREY)
    for energy, colour in ((BAND_RANGE, _BLUE), (0.0, _RED), (-BAND_RANGE, _BLUE)):
        y = _TOP + round(picture.height * (0.5 - energy / (2.0 * BAND_RANGE)))
        draw.line((left - 6, y, left - 1, y), colour, 1)
        text = "E_F" if energy == 0 else f"{energy:+g}"
        draw.text((left - 8, y), text, colour, _font(12), anchor="rm")


def _write(card: Image.Image, checked: Checked) -> None:
    draw = ImageDraw.Draw(card)
    width = CARD_SIZE[0] - FIGURES_WIDTH - MARGIN
    bar = confidence_colour(checked.confidence)
    draw.rectangle((0, 0, 5, CARD_SIZE[1]), bar)
    y = _TOP - 4
    for line in _wrapped(draw, checked.name, width, 16, most=2):
        draw.text((FIGURES_WIDTH, y), line, _INK, _font(16))
        y += 20
    draw.text((FIGURES_WIDTH, y), checked.verdict, bar, _font(16))
    y += 24
    for line in checked.facts():
        for part in _wrapped(draw, line, width, 13, most=2):
            draw.text((FIGURES_WIDTH, y), part, _GREY, _font(13))
            y += 16
    y += 4
    for reason in checked.reasons:
        for part in _wrapped(draw, f"- {reason}", width, 13, most=5):
            if y > CARD_SIZE[1] - 18:
                return
            draw.text((FIGURES_WIDTH, y), part, _INK, _font(13))
            y += 16


def confidence_colour(confidence: float) -> _Colour:
    """Green for pictures that were understood well, amber for doubtful and red for useless ones."""
    if confidence >= SURE:
        return _GREEN
    return _AMBER if confidence >= LEAST_CONFIDENCE else _RED


def _wrapped(draw: ImageDraw.ImageDraw, text: str, width: int, size: int, most: int) -> Sequence[str]:
    """Break a text into lines; a word that is too long is broken anywhere, what is too much is left out."""
    lines = [""]
    for word in text[:_MOST_LETTERS].split():
        for part in _pieces(draw, word, width, size):
            longer = f"{lines[-1]} {part}" if lines[-1] else part
            if draw.textlength(longer, _font(size)) <= width:
                lines[-1] = longer
            else:
                lines.append(part)
    lines = [line for line in lines if line]
    if len(lines) > most:
        lines = lines[:most]
        lines[-1] = lines[-1][:-3] + "..."
    return lines


def _pieces(draw: ImageDraw.ImageDraw, word: str, width: int, size: int) -> list[str]:
    """Break a word into pieces that fit into a line."""
    pieces = [""]
    for letter in word:
        if draw.textlength(pieces[-1] + letter, _font(size)) > width:
            pieces.append("")
        pieces[-1] += letter
    return pieces
