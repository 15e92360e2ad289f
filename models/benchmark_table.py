"""What a benchmark has found: scores, differences from our model, cost; as CSV, Markdown and a figure."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import TYPE_CHECKING, Final, NamedTuple

from shc.featurize.writing import write_whole
from shc.models.benchmark import RECORD_FILE
from shc.models.card import UNIT
from shc.models.evaluation import LEVEL, METRICS, N_RESAMPLES, Estimated, evaluate, paired_difference
from shc.models.plots import parity_panels
from shc.models.prediction_table import Joined, common, join, read_predictions
from shc.models.training_files import PREDICTIONS_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

SCORES_FILE: Final = "scores.csv"
TABLE_FILE: Final = "table.md"
PARITY_FILE: Final = "parity.png"
HEADS: Final = ("model", "R2", "MAE", "RMSE", "AUC(200)", "Spearman", "weights", "core minutes")


class Entry(NamedTuple):
    """A set of predictions."""

    name: str
    """Folder of the contestant."""
    title: str
    """Its title, and what the predictions rest on if it says so."""
    found: Joined
    scores: dict[str, Estimated]
    n_parameters: int | None
    core_seconds: float
    """Processor time of all its trainings, s."""


class Difference(NamedTuple):
    """Scores of one of our sets minus those of a rival, on the same crystals."""

    ours: str
    rival: str
    scores: dict[str, Estimated]


def read_entries(output: Path, names: Sequence[str], labels: Mapping[str, float]) -> list[Entry]:
    """Read the predictions of those contestants that are done.

    Args:
        output: Folder of the run.
        names: Folders of contestants, in the order of the table.
        labels: Labels of the crystals that score.

    Raises:
        ShcError: A file is damaged, or predicts none of these crystals.
    """
    entries = []
    for name in names:
        folder = output / name
        if not (folder / RECORD_FILE).is_file():
            continue
        record = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
        for part in read_predictions(folder / PREDICTIONS_FILE):
            found = join(part, labels, list(labels), str(folder / PREDICTIONS_FILE))
            title = f"{record['title']}, {part.modalities}" if part.modalities else record["title"]
            scores = evaluate(found.label, found.value)
            entries.append(Entry(name, title, found, scores, record["n_parameters"], record["core_seconds"]))
    return entries


def differences(entries: Sequence[Entry], ours: str) -> list[Difference]:
    """Every set of ours against every rival.

    Args:
        entries: From ``read_entries``.
        ours: Folder of our model.
    """
    found = []
    for one in (entry for entry in entries if entry.name == ours):
        for other in (entry for entry in entries if entry.name != ours):
            first, second = common(one.found, other.found)
            scores = paired_difference(first.label, first.value, second.value)
            found.append(Difference(one.title, other.title, scores))
    return found


def table_rows(entries: Sequence[Entry]) -> list[tuple[str, ...]]:
    """Cells of the table, under ``HEADS``."""
    rows = []
    for entry in entries:
        numbers = [f"{entry.scores[m].value:.{1 if m in {'mae', 'rmse'} else 3}f}" for m in METRICS]
        weights = "" if entry.n_parameters is None else f"{entry.n_parameters / 1e6:.2f} M"
        rows.append((entry.title, *numbers, weights, f"{entry.core_seconds / 60.0:.0f}"))
    return rows


def difference_rows(found: Sequence[Difference]) -> list[tuple[str, str, str, str]]:
    """Cells: our set, rival, difference of R2 and of MAE with their intervals."""
    return [(d.ours, d.rival, _signed(d.scores["r2"], 3), _signed(d.scores["mae"], 1)) for d in found]


def _signed(score: Estimated, digits: int) -> str:
    value, lower, upper = (f"{number:+.{digits}f}" for number in score)
    if not score.has_interval:
        return value
    return f"{value} ({lower} to {upper}){'' if score.excludes_zero else ' *'}"


def write_report(output: Path, entries: Sequence[Entry], found: Sequence[Difference], title: str) -> list[Path]:
    """Write the table, the scores with intervals, and the figure.

    Args:
        output: Folder of the run.
        entries: From ``read_entries``, at least one.
        found: From ``differences``.
        title: What was predicted.

    Returns:
        The files written; without the figure where matplotlib is not installed.
    """
    write_whole(output / TABLE_FILE, _markdown(entries, found, title).encode())
    write_whole(output / SCORES_FILE, _csv(entries, found).encode())
    panels = {entry.title: (entry.found.label, entry.found.value) for entry in entries}
    figure = parity_panels(panels, output / PARITY_FILE)
    return [output / TABLE_FILE, output / SCORES_FILE, *([figure] if figure else [])]


def _markdown(entries: Sequence[Entry], found: Sequence[Difference], title: str) -> str:
    lines = [f"{title}; MAE and RMSE in {UNIT}.", "", *_grid(HEADS, table_rows(entries))]
    if found:
        note = f"Differences with {100 * LEVEL:g} % intervals of {N_RESAMPLES} paired resamples of the crystals"
        heads = ("ours", "rival", "R2, ours minus rival", "MAE, ours minus rival")
        lines += ["", f"{note}; `*`: zero lies inside.", "", *_grid(heads, difference_rows(found))]
    return "\n".join(lines) + "\n"


def _grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)]


def _csv(entries: Sequence[Entry], found: Sequence[Difference]) -> str:
    stream = io.StringIO()
    stream.write(f"# mae and rmse in {UNIT}; lower to upper: {100 * LEVEL:g} % bootstrap interval over crystals; with ")
    stream.write("against: score of model minus that of against, on the same crystals\n")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("model", "against", "metric", "value", "lower", "upper"))
    sets = [(entry.title, "", entry.scores) for entry in entries] + [(d.ours, d.rival, d.scores) for d in found]
    for model, against, scores in sets:
        for metric, score in scores.items():
            numbers = [f"{number:.6g}" if math.isfinite(number) else "" for number in score]
            writer.writerow((model, against, metric, *numbers))
    return stream.getvalue()
