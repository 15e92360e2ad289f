"""Tables of text: drawn on a terminal, aligned plainly elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from shc.cli.console import use_colour

if TYPE_CHECKING:
    from collections.abc import Sequence


def print_table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], stream: TextIO) -> None:
    """Print rows of text below a title.

    Args:
        title: Title of the table.
        heads: Heads of the columns; none if the first column names what the others say.
        rows: Cells, as many in each row.
        stream: Where to print.
    """
    if stream.isatty():
        _draw(title, heads, rows, stream)
        return
    lines = [heads, *rows] if heads else rows
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    stream.write(f"{title}\n")
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        stream.write(f"  {'  '.join(cells)}".rstrip() + "\n")


def _draw(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], stream: TextIO) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left", show_header=bool(heads))
    for place in range(len(rows[0]) if rows else len(heads)):
        table.add_column(heads[place] if heads else "", overflow="fold")
    for row in rows:
        # Paths and messages are no markup.
        table.add_row(*map(Text, row))
    Console(file=stream, no_color=not use_colour(stream)).print(table)


def size(n_bytes: float) -> str:
    """A number of bytes for people."""
    for unit in ("B", "kB", "MB"):
        if n_bytes < 1000.0:
            return f"{n_bytes:.0f} {unit}"
        n_bytes /= 1000.0
    return f"{n_bytes:.1f} GB"
