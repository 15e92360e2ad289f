"""``shc evaluate --references``: predict crystals of published values, and report both."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from shc.cli.console import print_json, report_error, results, say
from shc.featurize.errors import ExitCode, ShcError, counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from shc.featurize.electronic.run import BandsOutput
    from shc.models.card import ModelCard, SplitInfo
    from shc.models.references import Agreement, Compared, Site

_KINDS: Final = {
    "largest": "ab-initio maxima at 0 K",
    "with_lower_bounds": "the same and lower bounds of other crystals",
}
_GROUPS: Final = {
    "unseen": "crystals not trained on",
    "trained": "crystals trained on",
    "all": "all crystals",
}


class Known(NamedTuple):
    """What is said about the crystals that the model was trained on."""

    labels: Path
    splits: Path | None
    split: str | None
    fold: int | None

    def sites(self, trained_with: SplitInfo, say_counts: Callable[[str], None]) -> set[Site]:
        """Formulas and space groups of the training rows; all labelled crystals if no split is named.

        Raises:
            ShcError: A file cannot be read, or the model was trained with another split (``USAGE``).
        """
        from shc.models.labelled import read_labelled
        from shc.models.references import training_sites

        if self.split is not None and (self.split, self.fold) != (trained_with.name, trained_with.fold):
            wrong = f"the model was not trained with {_options(self.split, self.fold)}, which would mark wrong crystals"
            right = f"its card says {_options(trained_with.name, trained_with.fold)}"
            if not trained_with.n_test:
                right = "its card says that no crystals were kept for scoring: leave --splits and --split out"
            raise ShcError(wrong, right, ExitCode.USAGE)
        ids = read_labelled(*self).trained
        if self.split is None and trained_with.n_test:
            crystals = counted(len(ids), "labelled crystal")
            say_counts(f"all {crystals} are taken as trained on; --splits and --split say which are")
        return training_sites(self.labels, ids)


def _options(split: str, fold: int | None) -> str:
    return f"--split {split}" if fold is None else f"--split {split} --fold {fold}"


def compare_published(
    folder: Path | None,
    known: Known | None,
    bands: BandsOutput | None,
    model: Path | None,
    backend: str,
    say_counts: Callable[[str], None],
) -> tuple[list[Compared], ModelCard]:
    """Predict the crystals of published values; those that fail are told on stderr.

    Args:
        folder: Folder of the values; that of the checkout if None.
        known: Which crystals were trained on; None if nothing is said.
        bands: Where to keep computed bands; None to predict from the structure.
        model: Folder of the model; the shipped one if None.
        backend: What runs the networks.
        say_counts: Writes a line to stderr.

    Raises:
        ShcError: A file cannot be used, or no crystal can be predicted.
    """
    from shc.models.inference import load_predictor
    from shc.models.references import compare, read_published

    published = read_published(folder)
    predictor = load_predictor(model, backend=backend, tell=say_counts, warn=say)
    card = predictor.ensemble.card
    trained = None if known is None else known.sites(card.split, say_counts)
    rows, failures = compare(predictor, published, folder, bands=bands, trained=trained)
    for failure in failures:
        report_error(f"{failure.path}: {failure.error}", failure.hint)
    if not rows:
        raise ShcError("no crystal of the published values could be predicted")
    return rows, card


def report_published(rows: Sequence[Compared], card: ModelCard, output: Path | None, *, as_json: bool) -> None:
    """Print published values beside predictions, and how they agree.

    Args:
        rows: Values and predictions.
        card: Card of the model.
        output: CSV file to write as well.
        as_json: JSON in place of a table.
    """
    from shc.cli.reference_table import agreement_line, print_references
    from shc.models.references import NOT_KNOWN, agreement, by_training, write_references

    groups = by_training(rows)
    found = {
        name: {kind: agreement(part, lower_bounds=kind != "largest") for kind in _KINDS}
        for name, part in groups.items()
    }
    note = _not_known(card.split) if NOT_KNOWN in groups else ""
    if as_json:
        print_json(_record(rows, card, found, note))
    else:
        print_references(rows, card, sys.stdout)
        for kind, what in _KINDS.items():
            for name, of_kind in found.items():
                sys.stdout.write(agreement_line(f"{what}, {_GROUPS[name]}", of_kind[kind]) + "\n")
        if note:
            sys.stdout.write(note + "\n")
    if output is not None:
        with results(output) as out:
            write_references(out, rows)


def _not_known(trained_with: SplitInfo) -> str:
    """What to keep in mind where it is not known which crystals were trained on."""
    more = f" --splits FILE {_options(trained_with.name, trained_with.fold)}" if trained_with.n_test else ""
    return (
        f"some of these may be among the {trained_with.n_train} crystals that the model was trained on, which makes it "
        f"look better than it is: --labels FILE{more} tells them apart"
    )


def _record(
    rows: Sequence[Compared], card: ModelCard, found: dict[str, dict[str, Agreement]], note: str
) -> dict[str, Any]:
    """Everything in the form of JSON; undefined scores are null."""
    from shc.models.references import reference_record

    return {
        "unit": card.unit,
        "model": f"{card.name} {card.version}",
        "rows": [reference_record(row) for row in rows],
        "agreement": {
            name: {
                kind: {k: v if math.isfinite(v) else None for k, v in one._asdict().items()}
                for kind, one in of_kind.items()
            }
            for name, of_kind in found.items()
        },
        **({"note": note} if note else {}),
    }
