"""Scores of predictions as tables for people."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, TextIO

from shc.cli.console import use_colour

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from shc.models.evaluation import Estimated
    from shc.models.score_table import ScoreRow

_WIDTH_OF_FILES: Final = 120
_HEADS: Final = {
    "r2": "R2",
    "mae": "MAE",
    "rmse": "RMSE",
    "auc": "AUC(200)",
    "spearman": "Spearman",
    "coverage": "in interval",
}
_IN_UNIT: Final = frozenset({"mae", "rmse"})


def console_for(stream: TextIO) -> Console:
    """A console that prints tables; colours and the width of the window are used on a terminal only."""
    from rich.console import Console

    width = None if stream.isatty() else _WIDTH_OF_FILES
    return Console(file=stream, no_color=not use_colour(stream), width=width)


def print_scores(rows: Sequence[ScoreRow], stream: TextIO) -> None:
    """Print scores with their intervals: a table for what predictions rest on, a column for each group of crystals.

    Args:
        rows: Scores of one file.
        stream: Where to print.
    """
    from rich.table import Table
    from rich.text import Text

    from shc.models.card import UNIT
    from shc.models.evaluation import FEWEST, LEVEL, N_RESAMPLES

    for modalities in dict.fromkeys(row.modalities for row in rows):
        groups = [row for row in rows if row.modalities == modalities]
        name = f"{groups[0].file}, {modalities}" if modalities else groups[0].file
        few = f"; none for fewer than {FEWEST} crystals" if any(row.n < FEWEST for row in groups) else ""
        table = Table(
            title=Text(f"{name}: scores, MAE and RMSE in {UNIT}"),
            caption=f"in brackets: {100 * LEVEL:g} % bootstrap intervals over crystals, {N_RESAMPLES} resamples{few}",
        )
        table.add_column("")
        for row in groups:
            table.add_column(row.crystals, justify="right")
        table.add_row("n", *(str(row.n) for row in groups))
        for metric in groups[0].scores:
            table.add_row(_HEADS[metric], *(_cell(metric, row.scores[metric]) for row in groups))
        console_for(stream).print(table)


def print_differences(rows: Sequence[ScoreRow], stream: TextIO) -> None:
    """Print differences of scores between files.

    Args:
        rows: One for each comparison.
        stream: Where to print.
    """
    from rich.table import Table
    from rich.text import Text

    from shc.models.evaluation import LEVEL

    table = Table(
        title=Text(f"{rows[0].file} minus another file, on the same crystals"),
        caption="first is: said where the interval excludes zero",
    )
    for name in ("compared", "n", "score", "difference", f"{100 * LEVEL:g} % interval", "excludes 0", "first is"):
        table.add_column(name, justify="left" if name == "compared" else "right", overflow="fold")
    words = {True: "better", False: "worse", None: ""}
    answers = {True: "yes", False: "no", None: ""}
    for row in rows:
        other = f"{row.against}, {row.against_modalities}" if row.against_modalities else row.against
        name = f"{row.modalities} minus {other}" if row.modalities else f"minus {other}"
        for place, (metric, score) in enumerate(row.scores.items()):
            table.add_row(
                Text(name if place == 0 else ""),
                str(row.n),
                _HEADS[metric],
                _text(metric, score.value, sign="+"),
                _range(metric, score, sign="+"),
                answers[score.excludes_zero],
                words[row.better(metric)],
                end_section=place == len(row.scores) - 1,
            )
    console_for(stream).print(table)


def _cell(metric: str, score: Estimated) -> str:
    interval = _range(metric, score)
    return _text(metric, score.value) + (f" ({interval})" if interval else "")


def _text(metric: str, value: float, sign: str = "") -> str:
    if not math.isfinite(value):
        return "undefined"
    if metric == "coverage":
        return f"{100 * value:.1f} %"
    digits = 1 if metric in _IN_UNIT else 3
    # What rounds to zero has no sign.
    return f"{round(value, digits) + 0.0:{sign}.{digits}f}"


def _range(metric: str, score: Estimated, sign: str = "") -> str:
    if not score.has_interval:
        return ""
    return f"{_text(metric, score.lower, sign)} to {_text(metric, score.upper, sign)}"
