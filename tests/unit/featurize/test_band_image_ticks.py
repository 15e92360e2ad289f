from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from shc.featurize.band_image.ticks import read_axis
from shc.featurize.band_image.types import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray

Colour = tuple[int, int, int]
PANEL = Box(101, 41, 420, 441)
"""400 rows from +5 eV to -5 eV in the figures below."""
ZERO = 241.0
EVEN = {241.0 - 40.0 * value: str(value) for value in (-4, -2, 0, 2, 4)}


def figure(
    labels: dict[float, str],
    *,
    ink: Colour = (0, 0, 0),
    page: Colour = (255, 255, 255),
    size: float = 18,
    side: str = "left",
    ticks: bool = True,
    title: bool = True,
    shift: float = 0.0,
) -> NDArray[np.uint8]:
    """A panel with labels at row coordinates, drawn four times as large and shrunk."""
    scale = 4
    image = Image.new("RGB", (520 * scale, 480 * scale), page)
    pen = ImageDraw.Draw(image)
    frame = [scale * v for v in (PANEL.left - 1, PANEL.top - 1, PANEL.right + 1, PANEL.bottom + 1)]
    pen.rectangle((frame[0], frame[1], frame[2] - 1, frame[3] - 1), outline=ink, width=scale)
    font = ImageFont.load_default(size * scale)
    for row, text in labels.items():
        box = pen.textbbox((0, 0), text.replace("-", ""), font=font)
        y = scale * (row + shift) - 0.5 * (box[1] + box[3])
        x = PANEL.left - 10 if side == "left" else PANEL.right + 10
        pen.text((scale * x, y), text, fill=ink, font=font, anchor="ra" if side == "left" else "la")
        if ticks:
            x = PANEL.left - 6 if side == "left" else PANEL.right
            pen.rectangle((scale * x, scale * row - 2, scale * (x + 6) - 1, scale * row + 1), fill=ink)
    if title:
        word = Image.new("RGB", (160 * scale, 30 * scale), page)
        ImageDraw.Draw(word).text((0, 0), "Energy (eV)", fill=ink, font=font)
        image.paste(word.rotate(90, expand=True), (15 * scale, 150 * scale))
    pen.line((scale * 102, scale * 100, scale * 418, scale * 300), fill=(200, 30, 30), width=2 * scale)
    return np.asarray(image.resize((520, 480), Image.Resampling.BOX))


def assert_right(rgb: NDArray[np.uint8], zero: float = ZERO, ev_per_pixel: float = 1 / 40, within: float = 0.3) -> None:
    reading = read_axis(rgb, PANEL)
    assert reading.axis is not None
    assert reading.axis.fermi_row == pytest.approx(zero, abs=within)
    assert reading.axis.ev_per_pixel == pytest.approx(ev_per_pixel, rel=4e-3)
    assert reading.confidence > 0.5


def test_reads_a_plain_axis_to_a_part_of_a_pixel() -> None:
    rgb = figure(EVEN)
    assert_right(rgb, within=0.15)
    reading = read_axis(rgb, PANEL)
    assert reading.n_labels == 5
    assert reading.reason == ""
    assert reading.fermi_label_row is None


def test_rows_between_pixels_are_found() -> None:
    assert_right(figure({row + 0.5: text for row, text in EVEN.items()}), zero=ZERO + 0.5, within=0.15)


def test_tick_marks_count_more_than_labels() -> None:
    assert_right(figure(EVEN, shift=2.5), within=0.2)


def test_without_tick_marks_the_middle_of_a_label_counts() -> None:
    assert_right(figure(EVEN, ticks=False), within=0.7)


@pytest.mark.parametrize(
    ("ink", "page"),
    [
        ((240, 240, 240), (20, 20, 30)),
        ((42, 63, 95), (255, 255, 255)),
        ((130, 130, 130), (255, 255, 255)),
        ((180, 0, 0), (255, 250, 220)),
    ],
)
def test_reads_dark_pages_and_coloured_ink(ink: Colour, page: Colour) -> None:
    assert_right(figure(EVEN, ink=ink, page=page))


@pytest.mark.parametrize("size", [12, 30])
def test_reads_small_and_large_labels(size: int) -> None:
    assert_right(figure(EVEN, size=size, title=False))


def test_reads_an_axis_on_the_right() -> None:
    assert_right(figure(EVEN, side="right", title=False))


def test_reads_decimals() -> None:
    labels = {241.0 - 40.0 * value: f"{value:.1f}" for value in (-2.5, 0.0, 2.5, 5.0)}
    assert_right(figure(labels))


def test_zero_may_lie_outside_the_panel() -> None:
    labels = {41.0 + 40.0 * k: str(12 - k) for k in range(1, 10, 2)}
    assert_right(figure(labels), zero=521.0, within=0.8)


def test_a_wrong_label_is_outvoted() -> None:
    labels = {**EVEN, 241.0 - 40.0 * 2: "7"}
    rgb = figure(labels)
    assert_right(rgb)
    assert read_axis(rgb, PANEL).n_labels == 4


def test_lost_minus_signs_are_put_back() -> None:
    assert_right(figure({row: text.replace("-", "") for row, text in EVEN.items()}))


def test_two_labels_are_enough() -> None:
    reading = read_axis(figure({141.0: "2.5", 241.0: "0.0"}), PANEL)
    assert reading.axis is not None
    assert reading.axis.fermi_row == pytest.approx(241.0, abs=0.3)
    assert 0.3 < reading.confidence < 0.9


def test_the_label_of_the_fermi_level_is_zero() -> None:
    reading = read_axis(figure({**EVEN, 241.0: "EF"}), PANEL)
    assert reading.axis is not None
    assert reading.axis.fermi_row == pytest.approx(ZERO, abs=0.3)
    assert reading.fermi_label_row == pytest.approx(ZERO, abs=1.0)


def test_compressed_pictures_are_read() -> None:
    data = io.BytesIO()
    Image.fromarray(figure(EVEN)).save(data, "JPEG", quality=50)
    assert_right(np.asarray(Image.open(data)), within=0.5)


def test_no_labels_no_axis() -> None:
    reading = read_axis(figure({}), PANEL)
    assert reading.axis is None
    assert reading.confidence == 0.0
    assert "no numbers" in reading.reason
    assert reading.n_labels == 0


def test_words_are_no_axis() -> None:
    assert read_axis(figure(dict(zip(EVEN, ("K", "M", "up", "X", "W"), strict=True))), PANEL).axis is None


def test_falling_numbers_are_no_axis() -> None:
    labels = {241.0 - 40.0 * value: str(6 - value) for value in (-4, -2, 0, 2, 4)}
    assert read_axis(figure(labels), PANEL).confidence < 0.5


def test_numbers_too_large_for_ev_are_doubted() -> None:
    reading = read_axis(figure({241.0 - 40.0 * value: str(50 * value) for value in (-4, -2, 0, 2, 4)}), PANEL)
    assert reading.confidence < 0.5
    assert "eV" in reading.reason


@pytest.mark.parametrize("seed", range(12))
def test_noise_is_never_an_axis_to_trust(seed: int) -> None:
    rng = np.random.default_rng(seed)
    if seed % 3 == 0:
        rgb = rng.integers(0, 256, (480, 520, 3), dtype=np.uint8)
    else:
        image = Image.new("RGB", (520, 480), (255, 255, 255))
        pen = ImageDraw.Draw(image)
        for _ in range(60):
            x, y = int(rng.integers(0, 100)), int(rng.integers(0, 480))
            dx, dy = rng.integers(1, 14, 2).tolist()
            if seed % 3 == 1:
                pen.rectangle((x, y, x + dx, y + dy), fill=(0, 0, 0))
            else:
                pen.text(
                    (x, y),
                    "".join(rng.choice(list("0123456789-."), 2)),
                    fill=(0, 0, 0),
                    font=ImageFont.load_default(12),
                )
        rgb = np.asarray(image)
    assert read_axis(rgb, PANEL).confidence < 0.5


@pytest.mark.parametrize("panel", [Box(0, 0, 520, 480), Box(2, 0, 518, 8), Box(0, 0, 1, 1)])
def test_panels_without_room_for_labels_have_no_axis(panel: Box) -> None:
    assert read_axis(figure(EVEN), panel).axis is None
