"""The ranking of predictions as a table for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from shc.cli.console import use_colour

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shc.models.card import ModelCard
    from shc.models.prediction import Prediction

_WIDTH_OF_FILES = 120


def print_ranking(rows: Sequence[Prediction], card: ModelCard, stream: TextIO) -> None:
    """Print predictions as a table, in the order given.

    Args:
        rows: Predictions, largest first.
        card: Card of the model.
        stream: Where to print; colours and the width of the window are used on a terminal only.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = stream.isatty()
    table = Table(
        title=f"Predicted largest |spin Hall conductivity|, {card.unit}",
        caption=f"{100.0 * card.calibration.coverage:g} % intervals; model {card.name} {card.version}",
    )
    for name in ("#", "SHC", "interval", "std", "P(finite)", "group"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("material_id", "formula", "in domain", "flags"):
        table.add_column(name, overflow="fold")
    for place, row in enumerate(rows, start=1):
        # Names come from files: as plain text they cannot be taken for markup.
        names = (row.material_id, row.formula, "yes" if row.in_domain else "no", row.flags.replace(";", " "))
        table.add_row(
            str(place),
            f"{row.shc_max_abs:.0f}",
            f"{row.shc_lower:.0f} - {row.shc_upper:.0f}",
            f"{row.shc_std:.0f}",
            f"{row.p_finite:.2f}",
            str(row.space_group_number),
            *(Text(name) for name in names),
            style=None if row.in_domain else "dim",
        )
    console = Console(file=stream, no_color=not use_colour(stream), width=None if terminal else _WIDTH_OF_FILES)
    console.print(table)
