"""The contact sheet as a page for a browser: text beside the cards, without scripts and without a network."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from shc.featurize.band_image.card import CARD_SIZE, FIGURES_WIDTH, confidence_colour
from shc.featurize.band_image.types import SURE
from shc.featurize.electronic.record import BAND_RANGE
from shc.featurize.errors import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shc.featurize.band_image.sheet import Placed

_STYLE: Final = f"""
body {{ font: 15px/1.4 sans-serif; color: #1c2026; background: #e2e5e9; margin: 1.5em; }}
section {{ background: #fff; margin: 0.8em 0; display: flex; gap: 1em; border-left: 6px solid; max-width: 1200px; }}
.card {{ width: {FIGURES_WIDTH}px; height: {CARD_SIZE[1]}px; flex: none; }}
.text {{ padding: 0.8em 1em; overflow-wrap: anywhere; }}
.text h2 {{ font-size: 1em; margin: 0 0 0.3em; }}
.text p, .text ul {{ margin: 0.2em 0; }}
.text p {{ color: #5e6670; }}
ul {{ padding-left: 1.2em; }}
"""


def html_page(placed: Sequence[Placed]) -> str:
    """Write the page; the pictures on it are parts of the PNG files that lie beside it.

    Args:
        placed: The pictures in order.

    Returns:
        HTML.
    """
    sections = "\n".join(_section(number, place) for number, place in enumerate(placed, start=1))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>shc check-bands</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{counted(len(placed), "picture")} of bands</h1>
<p>Left: the figure. Green is the panel that was found, red the Fermi level, blue {BAND_RANGE:g} eV above and below it;
what is pale is not used. Right: what the model reads; energies that are not known are tinted.</p>
{_doubtful(placed)}
{sections}
</body>
</html>
"""


def _doubtful(placed: Sequence[Placed]) -> str:
    """Links to the pictures that a person should look at, the worst first."""
    poor = [(place.checked.confidence, number) for number, place in enumerate(placed, start=1)]
    poor = sorted(item for item in poor if item[0] < SURE)
    if not poor:
        return "<p>All of them were understood well.</p>"
    links = ", ".join(
        f'<a href="#p{number}">{escape(placed[number - 1].checked.name)}</a> ({confidence:.2f})'
        for confidence, number in poor
    )
    return f"<p>To be looked at, confidence below {SURE:g}: {links}</p>"


def _section(number: int, place: Placed) -> str:
    checked = place.checked
    red, green, blue = confidence_colour(checked.confidence)
    name = escape(checked.name)
    facts = "".join(f"<p>{escape(fact)}</p>" for fact in checked.facts())
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in checked.reasons)
    return (
        f'<section id="p{number}" style="border-color: rgb({red}, {green}, {blue})">'
        f'<div class="card" role="img" aria-label="{name}" '
        f'style="background: url({quote(place.page)}) -{place.left}px -{place.top}px no-repeat"></div>'
        f'<div class="text"><h2>{name}</h2><p>{checked.verdict}</p>{facts}<ul>{reasons}</ul></div></section>'
    )
