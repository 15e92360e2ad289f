"""Which labelled crystals score, which were trained on, and which are magnetic."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from shc.featurize.elements import MAGNETIC
from shc.featurize.errors import ExitCode, ShcError
from shc.featurize.formula import expand_groups, formula_counts
from shc.models.labels import read_column, read_labels
from shc.models.splits import read_split

if TYPE_CHECKING:
    from pathlib import Path


class Labelled(NamedTuple):
    """Labelled crystals, by material id."""

    labels: dict[str, float]
    """(hbar/e) S/cm."""
    scored: list[str]
    """Those that a split keeps for scoring; all if there is no split."""
    trained: list[str]
    """Those that it trains on; all if there is no split."""
    magnetic: dict[str, bool]
    """Whether they hold Cr, Mn, Fe, Co or Ni, where the table has a formula and it is plain."""


def read_labelled(
    path: Path, splits: Path | None = None, split: str | None = None, fold: int | None = None
) -> Labelled:
    """Read labels and a split of their crystals.

    Args:
        path: Table of labels, with or without a column ``formula``.
        splits: File of splits.
        split: Name of one of them.
        fold: Fold that scores, if it is a cross-validation.

    Raises:
        ShcError: A file cannot be read; the split keeps no crystal for scoring; ``splits`` and ``split`` are not given
            together, or a fold without them (``USAGE``).
    """
    if (splits is None) != (split is None) or (fold is not None and split is None):
        raise ShcError("--splits, --split and --fold belong together", "name the file and the split", ExitCode.USAGE)
    labels = read_labels(path)
    scored = trained = ids = list(labels)
    if splits is not None and split is not None:
        parts = read_split(splits, split, fold, ids)
        scored, trained = ([ids[row] for row in part.tolist()] for part in (parts.test, parts.train))
        if not scored:
            raise ShcError(f"split {split!r} keeps no labelled crystal for scoring", "check the ids in the split file")
    counts = {key: formula_counts(expand_groups(text)) for key, text in read_column(path, "formula").items()}
    magnetic = {key: not MAGNETIC.isdisjoint(found) for key, found in counts.items() if found}
    return Labelled(labels, scored, trained, magnetic)
