"""Contact sheets: what was understood is seen at its place, on pages of bounded size."""

from __future__ import annotations

import re
import tracemalloc
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from shc.featurize.band_image.card import CARD_SIZE, FIGURE_SIZE, FIGURES_WIDTH, draw_card
from shc.featurize.band_image.checking import TABLE_COLUMNS, Checked
from shc.featurize.band_image.listing import Picture
from shc.featurize.band_image.sheet import CARDS_A_PAGE, ContactSheet, page_name
from shc.featurize.band_image.sidecar import SidecarRow
from shc.featurize.band_image.types import BandPicture, Box, EnergyAxis
from shc.featurize.errors import ExitCode, ShcError

if TYPE_CHECKING:
    from numpy.typing import NDArray

PANEL, AXIS = Box(50, 20, 350, 200), EnergyAxis(110.0, 0.05)
GREEN, RED, BLUE = (22, 140, 70), (208, 32, 44), (30, 100, 220)
TINT = (250, 226, 186)


def understood(
    name: str = "a.png",
    *,
    size: tuple[int, int] = (224, 400),
    panel: Box | None = PANEL,
    axis: EnergyAxis | None = AXIS,
    confidence: float = 0.9,
    reasons: tuple[str, ...] = (),
    window: tuple[float, float] = (-3.0, 3.0),
) -> Checked:
    """A grey figure, its panel and its axis; no scaling on the card unless the size says so."""
    image = np.zeros((1, 224, 224), np.float32)
    image[0, 60] = 1.0
    result = BandPicture(image, *window, confidence, reasons, panel, axis, size)
    row = SidecarRow(name, "mp-7", None, 2)
    return Checked(Picture(Path("in") / name, None, row), np.full((*size, 3), 128, np.uint8), result)


def pixels(checked: Checked) -> NDArray[np.int64]:
    return np.asarray(draw_card(checked)).astype(int)


def rows_of(card: NDArray[np.int64], colour: tuple[int, int, int], column: int) -> list[int]:
    return [int(row) for row in np.flatnonzero((card[:, column] == colour).all(axis=1))]


def test_panel_fermi_level_and_window_are_drawn_where_they_are() -> None:
    card = pixels(understood())
    assert card.shape == (CARD_SIZE[1], CARD_SIZE[0], 3)
    x = 12 + (FIGURE_SIZE[0] - 400) // 2 + 200
    assert rows_of(card, GREEN, x) == [20 + 18, 20 + 19, 20 + 200, 20 + 201]
    assert rows_of(card, RED, x) == [20 + 110]
    assert rows_of(card, BLUE, x) == [20 + 50, 20 + 170]
    # The part that is used has its own colour, everything else is pale.
    assert card[20 + 100, x].tolist() == [128] * 3
    for row, column in ((20 + 30, x), (20 + 190, x), (20 + 100, x + 170), (20 + 5, x)):
        assert card[row, column].min() > 180


def test_large_figures_are_drawn_to_scale() -> None:
    card = pixels(understood(size=(1120, 2000), panel=Box(250, 100, 1750, 1000), axis=EnergyAxis(550.0, 0.01)))
    x = 12 + (FIGURE_SIZE[0] - 400) // 2 + 200
    assert rows_of(card, RED, x) == [20 + 110]
    assert rows_of(card, BLUE, x) == [20 + 50, 20 + 170]


def test_what_is_not_known_is_not_drawn() -> None:
    x = 12 + (FIGURE_SIZE[0] - 400) // 2 + 200
    card = pixels(understood(axis=None, confidence=0.0))
    assert rows_of(card, RED, x) == rows_of(card, BLUE, x) == []
    assert len(rows_of(card, GREEN, x)) == 4
    assert rows_of(pixels(understood(panel=None, axis=None)), GREEN, x) == []
    outside = pixels(understood(axis=EnergyAxis(900.0, 0.01)))
    assert rows_of(outside, RED, x) == []


def test_the_normalised_picture_stands_beside_it_and_unknown_energies_are_tinted() -> None:
    card = pixels(understood(window=(-3.0, 0.0)))
    x = FIGURES_WIDTH - 12 - 100
    assert card[20 + 60, x].tolist() == [0, 0, 0]
    assert card[20 + 200, x].tolist() == [255] * 3
    assert card[20 + 30, x].tolist() == [250, 226, 186]
    assert {tuple(c) for c in card[20 + 112, FIGURES_WIDTH - 12 - 224 - 6 : FIGURES_WIDTH - 12 - 224 - 1]} == {RED}


def test_the_legend_of_a_page_shows_the_colours_of_its_cards(tmp_path: Path) -> None:
    sheet = ContactSheet(tmp_path)
    sheet.add(understood(window=(-3.0, 0.0)))
    sheet.close()
    page = np.asarray(Image.open(tmp_path / page_name(1)).convert("RGB"))
    legend, card = page[: sheet.placed[0].top], page[sheet.placed[0].top :]
    assert len(legend) < 60
    for colour in (GREEN, RED, BLUE, TINT):
        for part in (legend, card):
            assert (part == colour).all(axis=2).sum() > 20, colour
    ends = [np.flatnonzero((legend == colour).all(axis=2).any(axis=0)).max() for colour in (GREEN, RED, BLUE, TINT)]
    assert ends == sorted(ends), "left to right"
    written = np.flatnonzero((legend < 60).all(axis=2).any(axis=0))
    assert written.max() < page.shape[1] - 12, "the text fits on the narrowest page"


def test_a_picture_that_cannot_be_read_says_so() -> None:
    error = ShcError("a.png: is a PDF file", "export it")
    checked = Checked(Picture(Path("in/a.png"), None), None, None, error)
    card = pixels(checked)
    assert (card == RED).all(axis=2).sum() > 500
    assert (checked.verdict, checked.confidence) == ("cannot be read", 0.0)
    assert checked.reasons == ("a.png: is a PDF file", "export it")
    row = dict(zip(TABLE_COLUMNS, checked.table_row(), strict=True))
    assert (row["file"], row["confidence"], row["panel_left"]) == ("in/a.png", "0.000", "")


def test_the_table_holds_what_is_drawn() -> None:
    row = dict(zip(TABLE_COLUMNS, understood(reasons=("a", "b")).table_row(), strict=True))
    assert row == {
        "file": "in/a.png", "material_id": "mp-7", "confidence": "0.900", "e_min_ev": "-4.500", "e_max_ev": "4.500",
        "used_min_ev": "-3.000", "used_max_ev": "3.000",
        "fermi_row": "110.00", "panel_left": "50", "panel_top": "20", "panel_right": "350", "panel_bottom": "200",
        "reasons": "a | b",
    }  # fmt: skip


@pytest.mark.parametrize(
    "name", ["a" * 250 + ".png", "x y " * 60 + ".png", "Γ→X 带.png", "a\nb.png", "\udce4.png", "$_^.png"]
)
def test_any_name_and_any_reason_finds_its_place(name: str) -> None:
    plain = pixels(understood("x.png"))
    card = pixels(understood(name, reasons=("reason " * 200, "w" * 3000, "", "last")))
    np.testing.assert_array_equal(card[:, : FIGURES_WIDTH - 4], plain[:, : FIGURES_WIDTH - 4])
    assert card[:, -8:].min() == 255


def test_pages_are_filled_one_by_one_and_old_ones_go(tmp_path: Path) -> None:
    n = 2 * CARDS_A_PAGE + 1
    sheet = ContactSheet(tmp_path / "new")
    for i in range(n):
        sheet.add(understood(f"{i}.png"))
    sheet.close()
    folder = tmp_path / "new"
    names = ["check-bands-2.png", "check-bands-3.png", "check-bands.html", "check-bands.png"]
    assert sorted(path.name for path in folder.iterdir()) == names
    with Image.open(folder / page_name(1)) as full, Image.open(folder / page_name(3)) as last:
        assert full.size[0] > 2 * CARD_SIZE[0]
        assert full.size[1] < 3000
        assert last.size[0] < 1.1 * CARD_SIZE[0]
        for place in sheet.placed[:CARDS_A_PAGE]:
            card = full.crop((place.left, place.top, place.left + CARD_SIZE[0], place.top + CARD_SIZE[1]))
            assert card.getpixel((0, 0)) == GREEN
    (folder / "check-bands-note.png").touch()
    again = ContactSheet(folder)
    again.add(understood())
    again.close()
    assert sorted(path.name for path in folder.iterdir()) == [
        "check-bands-note.png", "check-bands.html", "check-bands.png",
    ]  # fmt: skip


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text: list[str] = []
        self.styles: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.styles += [value or "" for name, value in attrs if name == "style"]
        assert not any(name.startswith("on") or name in {"src", "srcset"} for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_for_browsers_is_plain_and_names_are_escaped(tmp_path: Path) -> None:
    sheet = ContactSheet(tmp_path)
    names = ["<script>alert(1)<script>.png", 'a"b&amp;.png', "ok.png"]
    for name, confidence in zip(names, (0.1, 0.5, 0.9), strict=True):
        sheet.add(understood(name, confidence=confidence, reasons=("<b>why</b>",)))
    sheet.close()
    content = (tmp_path / "check-bands.html").read_text(encoding="utf-8")
    page = _Page()
    page.feed(content)
    text = "".join(page.text)
    assert not {"script", "link", "iframe", "b", "img"} & set(page.tags)
    assert "http" not in content
    for name in (*names, "<b>why</b>", "mp-7"):
        assert name in text
    assert [re.findall(r"url\((.*?)\)", style) for style in page.styles if "url" in style] == [["check-bands.png"]] * 3
    doubtful = text[text.index("To be looked at") :]
    assert doubtful.index(names[0]) < doubtful.index(names[1])


def test_memory_does_not_grow_with_the_number_of_pictures(tmp_path: Path) -> None:
    def held(n: int) -> int:
        tracemalloc.start()
        sheet = ContactSheet(tmp_path)
        for i in range(n):
            sheet.add(understood(f"{i}.png"))
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return size

    few, many = held(2), held(42)
    assert many - few < 40 * 10_000


def test_a_folder_that_cannot_be_written_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ShcError) as caught:
        ContactSheet(tmp_path / "file")
    assert caught.value.exit_code is ExitCode.USAGE
