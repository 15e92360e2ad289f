"""Published values beside predictions as a table for people."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, TextIO

from shc.cli.score_tables import console_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shc.models.card import ModelCard
    from shc.models.references import Agreement, Compared

_SIGNS: Final = {"maximum": "", "at least": ">= ", "at most": "<= "}
_TRAINED: Final = {True: "yes", False: "no", None: ""}


def print_references(rows: Sequence[Compared], card: ModelCard, stream: TextIO) -> None:
    """Print published values beside predictions.

    Args:
        rows: Values and predictions, one crystal after the other.
        card: Card of the model.
        stream: Where to print.
    """
    from rich.table import Table
    from rich.text import Text

    kinds = {row.prediction.modalities for row in rows}
    known = ("trained on",) if any(row.trained is not None for row in rows) else ()
    table = Table(
        title=f"Published values and predictions from {', '.join(sorted(kinds))}, {card.unit}",
        caption=f">=: a single component, or a lower bound: the largest component, which is predicted, is as large or "
        f"larger. <=: an upper bound. {100.0 * card.calibration.coverage:g} % intervals; model {card.name} "
        f"{card.version}",
    )
    for name in ("crystal", "kind", "component"):
        table.add_column(name, overflow="fold")
    for name in ("T (K)", "published", "predicted", "interval", "ratio", *known):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        one, two = row.published, row.prediction
        table.add_row(
            *map(Text, (one.material, one.kind, one.component)),
            f"{one.temperature_k:g}" if math.isfinite(one.temperature_k) else "",
            f"{_SIGNS[one.meaning]}{one.value:g}",
            f"{two.shc_max_abs:.0f}",
            f"{two.shc_lower:.0f} - {two.shc_upper:.0f}",
            f"{row.ratio:.2f}",
            *(_TRAINED[row.trained] for _ in known),
            style="dim" if row.trained else None,
        )
    console_for(stream).print(table)


def agreement_line(what: str, found: Agreement) -> str:
    """One line about the agreement with published values.

    Args:
        what: Which values.
        found: How predictions agree with them.
    """
    if found.n == 0:
        return f"{what}: none"
    spearman = f"{found.spearman:.2f}" if math.isfinite(found.spearman) else "undefined"
    return (
        f"{what}: n {found.n}, Spearman {spearman}, median |log10 ratio| {found.log_ratio:.2f} "
        f"(a factor of {10**found.log_ratio:.2f})"
    )
