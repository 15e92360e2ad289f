"""Scores of files of predictions, as rows: scores of each file, and differences between files."""

from __future__ import annotations

import csv
import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from shc.featurize.errors import ExitCode, ShcError, counted
from shc.models.card import UNIT
from shc.models.evaluation import LEVEL, N_RESAMPLES, Estimated, evaluate, paired_difference
from shc.models.labels import LABEL
from shc.models.prediction_table import Joined, common, join, read_predictions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import TextIO

    from shc.models.labelled import Labelled

ALL: Final = "all"
WITHOUT: Final = "without Cr, Mn, Fe, Co, Ni"
WITH: Final = "with Cr, Mn, Fe, Co, Ni"
_LARGER_IS_BETTER: Final = {"r2": True, "mae": False, "rmse": False, "auc": True, "spearman": True}


class ScoreRow(NamedTuple):
    """Scores of some crystals, or differences of scores between two files."""

    file: str
    modalities: str
    """What the predictions rest on, as far as the file says."""
    crystals: str
    """``ALL``, ``WITHOUT`` or ``WITH``."""
    n: int
    scores: dict[str, Estimated]
    against: str = ""
    """The file whose scores are subtracted, of the same crystals; empty if none is."""
    against_modalities: str = ""

    def better(self, metric: str) -> bool | None:
        """Whether a difference speaks for the first file; None if its interval holds zero, or if it has none."""
        difference = self.scores[metric]
        return (difference.value > 0.0) is _LARGER_IS_BETTER[metric] if difference.excludes_zero else None


class Scored(NamedTuple):
    """What there is to say of files of predictions."""

    sets: list[Joined]
    """Predictions of the first file beside labels."""
    scores: list[ScoreRow]
    differences: list[ScoreRow]
    notes: list[str]
    """What was left out, and what was scored apart: a line each."""


def score_files(
    path: Path, others: Sequence[Path], labelled: Labelled, column: str | None = None, *, seed: int = 0
) -> Scored:
    """Score a file of predictions, and compare it with others.

    Args:
        path: The file.
        others: Files to compare it with, on the crystals that both hold.
        labelled: Crystals that score.
        column: Name of the column of values, in those files that have it; the others, and all by default, have
            ``shc_max_abs``.
        seed: Seed of the bootstrap.

    Raises:
        ShcError: A file cannot be used.
    """
    read = {each: read_predictions(each, column) for each in dict.fromkeys((path, *others))}
    if column is not None and all(found.column != column for each in read.values() for found in each):
        raise ShcError(f"no file has a column {column}", "name one of the columns", ExitCode.USAGE)
    sets = {
        each: [join(part, labelled.labels, labelled.scored, str(each)) for part in found]
        for each, found in read.items()
    }
    first = sets[path]
    notes = [note for found in sets.values() for each in found for note in each.gaps]
    if len(first) > 1:
        notes.append(f"{path}: crystals have several predictions, scored apart: {_names(first)}")
    if labelled.magnetic and (unknown := sum(key not in labelled.magnetic for key in labelled.scored)):
        notes.append(f"{counted(unknown, 'formula')} not understood: neither with nor without Cr, Mn, Fe, Co, Ni")
    scores = [row for each in first for row in _score(str(path), each, labelled.magnetic, seed)]
    differences = []
    for other in others:
        pairs = _pairs(first, sets[other])
        if not pairs:
            notes.append(f"{other}: not compared, it rests on {_names(sets[other])} only")
        for one, two in pairs:
            row, note = _compare(str(path), one, str(other), two, seed)
            differences.append(row)
            notes += note
    return Scored(first, scores, differences, notes)


def _names(sets: Sequence[Joined]) -> str:
    return ", ".join(each.modalities or "no modalities" for each in sets)


def _pairs(first: Sequence[Joined], second: Sequence[Joined]) -> list[tuple[Joined, Joined]]:
    """Which sets to compare: if both files have several, those that rest on the same; else each with each."""
    both = len(first) > 1 and len(second) > 1
    return [(one, two) for one in first for two in second if not both or one.modalities == two.modalities]


def _score(name: str, found: Joined, magnetic: Mapping[str, bool], seed: int) -> list[ScoreRow]:
    """Scores of all crystals, and of those with and without magnetic elements if there are both."""
    groups = {ALL: list(range(len(found.label)))}
    if len({magnetic.get(key) for key in found.material_id} - {None}) == 2:
        for group, holds in ((WITHOUT, False), (WITH, True)):
            groups[group] = [k for k, key in enumerate(found.material_id) if magnetic.get(key) is holds]
    rows = []
    for group, places in groups.items():
        some = found.take(places)
        scores = evaluate(some.label, some.value, some.bounds, seed=seed)
        rows.append(ScoreRow(name, found.modalities, group, len(places), scores))
    return rows


def _compare(name: str, first: Joined, other: str, second: Joined, seed: int) -> tuple[ScoreRow, list[str]]:
    one, two = common(first, second)
    n, notes = len(one.label), []
    if n < max(len(first.label), len(second.label)):
        left = (len(first.label) - n, len(second.label) - n)
        notes.append(
            f"compared on the {counted(n, 'crystal')} that both files predict; {left[0]} only in {name}, "
            f"{left[1]} only in {other}"
        )
    scores = paired_difference(one.label, one.value, two.value, seed=seed)
    return ScoreRow(name, first.modalities, ALL, n, scores, other, second.modalities), notes


def write_scores(stream: TextIO, scored: Scored) -> None:
    """Write scores and differences as CSV: a comment line, the header, one row for each score."""
    stream.write(
        f"# mae and rmse in {UNIT}; lower to upper: {100 * LEVEL:g} % bootstrap interval over crystals, {N_RESAMPLES} "
        "resamples; with against: score of file minus that of against, on the same crystals\n"
    )
    writer = csv.writer(stream, lineterminator="\n")
    names = ("file", "modalities", "against", "against_modalities", "crystals", "n")
    writer.writerow((*names, "metric", "value", "lower", "upper", "excludes_zero"))
    for row in (*scored.scores, *scored.differences):
        for metric, score in row.scores.items():
            numbers = [f"{number:.6g}" if math.isfinite(number) else "" for number in score]
            excludes = str(score.excludes_zero).lower() if row.against and score.has_interval else ""
            writer.writerow([*(getattr(row, name) for name in names), metric, *numbers, excludes])


def as_record(scored: Scored) -> dict[str, Any]:
    """Scores, differences and notes in the form of JSON; undefined scores are null."""

    def record(row: ScoreRow) -> dict[str, Any]:
        scores = {}
        for metric, score in row.scores.items():
            scores[metric] = {k: v if math.isfinite(v) else None for k, v in score._asdict().items()}
            if row.against:
                scores[metric]["excludes_zero"] = score.excludes_zero
        about = {name: getattr(row, name) for name in ("file", "modalities", "crystals", "n")}
        other = {"against": row.against, "against_modalities": row.against_modalities} if row.against else {}
        return {**about, **other, "scores": scores}

    return {
        "unit": UNIT,
        "label": LABEL,
        "interval": LEVEL,
        "resamples": N_RESAMPLES,
        "scores": [record(row) for row in scored.scores],
        "differences": [record(row) for row in scored.differences],
        "notes": scored.notes,
    }
