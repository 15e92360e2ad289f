"""``shc evaluate``: predictions against labels, or the model against published values."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shc.cli.console import print_json, results, say
from shc.cli.options import Backend, ConfigOption, QuietOption
from shc.cli.pictures import bands_choice
from shc.featurize.errors import ExitCode, ShcError, counted
from shc.featurize.writing import writing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shc.models.prediction_table import Joined
    from shc.models.score_table import Scored


class Bands(StrEnum):
    """Whether predictions rest on computed bands."""

    AUTO = "auto"
    NONE = "none"


def evaluate(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PREDICTIONS.CSV LABELS.CSV",
            help="Predictions: a CSV with columns material_id and shc_max_abs, as `shc predict` writes it, or others. "
            "Labels: as for `shc train`. With --references: the folder of published values, if it is another one "
            "than benchmarks/ of the checkout.",
            show_default=False,
        ),
    ] = None,
    *,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            metavar="FILE",
            help="The labels. With --references: with columns formula and space_group; tells which crystals were "
            "trained on.",
        ),
    ] = None,
    splits: Annotated[
        Path | None,
        typer.Option("--splits", metavar="FILE", help="splits.json; all crystals with a label score if not given."),
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="Which split of the file; its held-out rows score.")
    ] = None,
    fold: Annotated[
        int | None, typer.Option("--fold", min=0, help="Fold that scores, if the split is a cross-validation.")
    ] = None,
    compare: Annotated[
        list[Path] | None,
        typer.Option(
            "--compare", metavar="FILE", help="Other predictions, to be compared crystal by crystal. May be repeated."
        ),
    ] = None,
    column: Annotated[
        str | None, typer.Option("--column", help="Column of the values, in those files of predictions that have it.")
    ] = None,
    plot: Annotated[Path | None, typer.Option("--plot", metavar="FILE.PNG", help="Parity plot to draw.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE.CSV", help="Also write all numbers to a CSV file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON in place of tables.")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the bootstrap.")] = 0,
    references: Annotated[
        bool, typer.Option("--references", help="Compare the model with published values of known crystals.")
    ] = False,
    bands: Annotated[
        Bands | None,
        typer.Option("--bands", help="With --references: auto computes the bands; else the structure alone counts."),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model", metavar="FOLDER", help="With --references: trained model; the shipped one if not given."
        ),
    ] = None,
    backend: Annotated[
        Backend | None, typer.Option("--backend", help="With --references: what runs the networks; auto if not given.")
    ] = None,
    quiet: QuietOption = False,
    config: ConfigOption = None,  # noqa: ARG001  # its callback acts
) -> None:
    """Score predictions against labels, or the model against published values.

    Scores have 95 % bootstrap intervals over crystals. --compare says of each score whether the first file differs
    from another one on the same crystals. Crystals that lack a label or a prediction are counted on stderr.
    """
    given = files or []
    say_counts = _ignore if quiet else say
    if references:
        _refuse("go with --references", compare=compare, column=column, plot=plot)
        if len(given) > 1:
            raise ShcError("--references needs one folder at most", "give labels by --labels", ExitCode.USAGE)
        from shc.cli.reference_run import Known, compare_published, report_published

        if labels is None:
            _refuse("work without --labels", splits=splits, split=split, fold=fold)
        known = None if labels is None else Known(labels, splits, split, fold)
        choice = bands_choice([] if bands is None else [bands.value])
        rows, card = compare_published(
            given[0] if given else None, known, choice.output(), model, (backend or Backend.AUTO).value, say_counts
        )
        report_published(rows, card, output, as_json=as_json)
        return
    _refuse("work without --references", bands=bands, model=model, backend=backend)
    if len(given) + (labels is not None) != 2 or not given:
        raise ShcError(
            "one file of predictions and one of labels are needed",
            "as in `shc evaluate predictions.csv labels.csv`; other predictions are named by --compare",
            ExitCode.USAGE,
        )
    _check_outputs(output, plot, [*given, *(compare or []), *([labels] if labels else [])])
    if splits is None:
        say_counts("all labelled crystals are scored, also such as a model may have been trained on; see --splits")
    from shc.models.labelled import read_labelled
    from shc.models.score_table import score_files

    labelled = read_labelled(labels or given[1], splits, split, fold)
    scored = score_files(given[0], compare or [], labelled, column, seed=seed)
    for note in scored.notes:
        say_counts(note)
    _report_scores(scored, output, as_json=as_json)
    if plot is not None:
        _draw(scored.sets, given[0], plot, say_counts)


def _check_outputs(output: Path | None, plot: Path | None, inputs: "Sequence[Path]") -> None:
    """Refuse to write over what is read, and a plot that is no PNG."""
    read = {path.resolve() for path in inputs}
    for path in (output, plot):
        if path is not None and path.resolve() in read:
            raise ShcError(f"{path} is read and would be overwritten", "write to another file", ExitCode.USAGE)
    if plot is not None and plot.suffix.lower() != ".png":
        raise ShcError(f"--plot {plot}: a PNG is drawn", "let its name end in .png", ExitCode.USAGE)


def _ignore(message: str) -> None:
    """Say nothing."""


def _report_scores(scored: "Scored", output: Path | None, *, as_json: bool) -> None:
    from shc.cli.score_tables import print_differences, print_scores
    from shc.models.score_table import as_record, write_scores

    if as_json:
        print_json(as_record(scored))
    else:
        print_scores(scored.scores, sys.stdout)
        if scored.differences:
            print_differences(scored.differences, sys.stdout)
    if output is not None:
        with results(output) as out:
            write_scores(out, scored)


def _refuse(why: str, **options: object) -> None:
    """Raise an error of usage for an option that would have no effect."""
    for name, value in options.items():
        if value not in (None, []):
            raise ShcError(f"--{name} does not {why}", "leave it out", ExitCode.USAGE)


def _draw(sets: "Sequence[Joined]", source: Path, plot: Path, say_counts: "Callable[[str], None]") -> None:
    """Draw one parity plot for each set of predictions; what they rest on goes into the name if there are several."""
    from shc.models.plots import parity_plot

    with writing(plot.parent):
        plot.parent.mkdir(parents=True, exist_ok=True)
    for found in sets:
        target = plot if len(sets) == 1 else plot.with_stem(f"{plot.stem}_{found.modalities.replace('+', '_')}")
        if n_negative := int((found.value < 0.0).sum()):
            say_counts(f"{counted(n_negative, 'prediction')} below zero drawn at zero")
        title = f"{source.name}, {found.modalities}" if found.modalities else source.name
        if parity_plot(found.label, found.value.clip(min=0.0), target, title=title) is None:
            say("no parity plot was drawn: pip install matplotlib")
            return
        say_counts(f"parity plot: {target}")
