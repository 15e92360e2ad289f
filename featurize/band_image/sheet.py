"""Contact sheets: pictures of bands beside what was understood of them, for people."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Final

from PIL import Image

from shc.featurize.band_image.card import CARD_SIZE, LEGEND_HEIGHT, draw_card, draw_legend
from shc.featurize.band_image.sheet_page import html_page
from shc.featurize.writing import whole_file, writing

if TYPE_CHECKING:
    from pathlib import Path

    from shc.featurize.band_image.checking import Checked

CARDS_A_PAGE: Final = 20
"""Pictures on one page."""
_COLUMNS: Final = 2
_GAP: Final = 12
_PAPER: Final = (226, 229, 233)


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a picture stands on the contact sheet."""

    checked: Checked
    """The picture, without its pixels."""
    page: str
    """File name of the page."""
    left: int
    """First column of its card on the page."""
    top: int
    """First row of its card."""


class ContactSheet:
    """Writes ``check-bands.png``, further pages ``check-bands-2.png`` and so on, and ``check-bands.html``.

    One page is kept in memory, whatever the number of pictures. `close` writes the last one and the HTML page.

    Args:
        folder: Where the files go; made if it does not exist.

    Raises:
        ShcError: A file cannot be written (``USAGE``).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.placed: list[Placed] = []
        self._cards: list[Image.Image] = []
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)

    @property
    def n_pages(self) -> int:
        """Pages begun so far."""
        return -(-len(self.placed) // CARDS_A_PAGE)

    def add(self, checked: Checked) -> None:
        """Draw a picture; write the page when it is full."""
        place = len(self.placed) % CARDS_A_PAGE
        left, top = _corner(place)
        self._cards.append(draw_card(checked))
        number = len(self.placed) // CARDS_A_PAGE + 1
        self.placed.append(Placed(checked.without_pixels(), page_name(number), left, top))
        if place == CARDS_A_PAGE - 1:
            self._write_page(number)

    def close(self) -> None:
        """Write what is left, and take away pages of an earlier, longer sheet."""
        if self._cards:
            self._write_page(self.n_pages)
        page = self.folder / "check-bands.html"
        with whole_file(page) as temporary:
            temporary.write_text(html_page(self.placed), encoding="utf-8")
        number = self.n_pages + 1
        with writing(self.folder):
            while (old := self.folder / page_name(number)).is_file():
                old.unlink()
                number += 1

    def _write_page(self, number: int) -> None:
        n_rows = -(-len(self._cards) // _COLUMNS)
        n_columns = min(_COLUMNS, len(self._cards))
        left, top = _corner(n_columns - 1)[0], _corner((n_rows - 1) * _COLUMNS)[1]
        page = Image.new("RGB", (left + CARD_SIZE[0] + _GAP, top + CARD_SIZE[1] + _GAP), _PAPER)
        page.paste(draw_legend(_PAPER), (_GAP, _GAP))
        for place, card in enumerate(self._cards):
            page.paste(card, _corner(place))
        self._cards.clear()
        data = BytesIO()
        page.save(data, format="PNG")
        with whole_file(self.folder / page_name(number)) as temporary:
            temporary.write_bytes(data.getvalue())


def page_name(number: int) -> str:
    """File name of a page, counted from 1."""
    return "check-bands.png" if number == 1 else f"check-bands-{number}.png"


def _corner(place: int) -> tuple[int, int]:
    row, column = divmod(place, _COLUMNS)
    top = _GAP + LEGEND_HEIGHT + _GAP
    return _GAP + column * (CARD_SIZE[0] + _GAP), top + row * (CARD_SIZE[1] + _GAP)
