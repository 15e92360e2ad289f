"""``shc predict``: crystals or a feature file into a table of spin Hall conductivities."""

import glob
import os
import sys
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple, TextIO

import typer

from shc.cli.console import Progress, results, say
from shc.cli.options import (
    AllowHydrogenOption,
    Backend,
    BackendOption,
    ConfigOption,
    Device,
    DeviceOption,
    EnergyWindowOption,
    MaxAtomsOption,
    ModelOption,
    OutputOption,
    QuietOption,
    ShardOption,
    StrictOption,
    WorkersOption,
)
from shc.cli.pictures import bands_choice
from shc.cli.ranking import print_ranking
from shc.cli.shards import Shard, inputs_of_shard, parse_shard
from shc.cli.stored import FEATURE_SUFFIXES, check_store, featurize_into
from shc.featurize.band_image.listing import STAGE as PICTURE
from shc.featurize.config import BANDS_NONE, FeaturizeConfig
from shc.featurize.errors import ExitCode, ShcError, counted, nothing_usable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shc.featurize.band_image.run import RunPictures
    from shc.featurize.stop import StopRequest
    from shc.models.card import ModelCard
    from shc.models.inference import Predictor
    from shc.models.prediction import Predicted
    from shc.models.report import FailureFile, Ranking, Writer

_FEATURES = Path("features.h5")
_TABLE_ROWS = 20
_INPUT, _BANDS = "input", "bands"
_PARTIAL = {PICTURE, _BANDS}
"""Stages of failures that cost a crystal a part of what it is predicted from, but not its prediction."""


class PredictFormat(StrEnum):
    """How predictions are written."""

    AUTO = "auto"
    CSV = "csv"
    JSONL = "jsonl"
    TABLE = "table"


def predict(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SOURCES...]",
            help="Feature files (.h5), or structure files, folders, glob patterns, lists of paths (.txt, .lst), "
            "- for paths on stdin; features.h5 of the working folder if nothing is given.",
            show_default=False,
        ),
    ] = None,
    *,
    bands: Annotated[
        list[str] | None,
        typer.Option(
            "--bands",
            metavar="FOLDER|auto|none",
            help="Folder of band pictures, matched to crystals by name or formula; auto computes the bands, about a "
            "second a crystal; none leaves all bands out. By default those that a feature file holds are used. May "
            "be repeated.",
        ),
    ] = None,
    energy_window: EnergyWindowOption = None,
    output: OutputOption = None,
    output_format: Annotated[
        PredictFormat,
        typer.Option("--format", help="auto: by the ending of --output; a table on a terminal; else CSV."),
    ] = PredictFormat.AUTO,
    top: Annotated[
        int | None, typer.Option("--top", min=1, help="Only the N largest predictions, largest first.")
    ] = None,
    model: ModelOption = None,
    device: DeviceOption = Device.AUTO,
    backend: BackendOption = Backend.AUTO,
    workers: WorkersOption = None,
    shard: ShardOption = None,
    store: Annotated[
        Path | None,
        typer.Option(
            "--store",
            metavar="FEATURES.H5",
            help="Keep the features in this file: a crystal that it holds and whose file has not changed is not "
            "featurised again, and a run that was stopped goes on.",
        ),
    ] = None,
    tensor: Annotated[
        bool,
        typer.Option(
            "--tensor",
            help="Add the 27 components of the built-in electronic structure's tensor, computed with --bands auto, "
            "else as the model has learned them.",
        ),
    ] = False,
    strict: StrictOption = False,
    quiet: QuietOption = False,
    max_atoms: MaxAtomsOption = FeaturizeConfig().max_atoms,
    allow_hydrogen: AllowHydrogenOption = False,
    config: ConfigOption = None,  # noqa: ARG001  # its callback acts
) -> None:
    """Predict the spin Hall conductivity of crystals or of a feature file.

    Predictions go to stdout or --output in the order of the input, in (hbar/e) S/cm. On a terminal a table of
    the largest ones takes the place of the CSV. Inputs that cannot be used are listed in
    OUTPUT-STEM.failures.csv, or shc.failures.csv if the predictions go to stdout.
    """
    choice = bands_choice(bands or [], energy_window)
    files = _feature_files(sources or [str(_FEATURES)], given=bool(sources))
    if store is not None:
        if files:
            raise ShcError("--store keeps features of structures", "name structures, or leave it out", ExitCode.USAGE)
        check_store(store, output)
    part = None if shard is None else parse_shard(shard, os.environ)
    target = output if output is None or part is None else part.file_name(output)
    form = _resolve(output_format, target)

    from shc.featurize.stop import StopRequest

    with StopRequest() as stop:
        from shc.models.inference import load_predictor

        predictor = load_predictor(
            model, device.value, backend=backend.value, tensor=tensor, tell=None if quiet else say, warn=say
        )
        settings = predictor.feature_config(
            max_atoms, allow_hydrogen=allow_hydrogen, bands=choice.computed, pictures=bool(choice.folders)
        )
        pictures = None
        if files:
            if choice.folders:
                pictures = choice.of_feature_files(files)
            rows = slice(None) if part is None else slice(part.number - 1, None, part.total)
            stream: Iterable[Predicted] = (
                batch
                for file in files
                for batch in predictor.iter_feature_file(
                    file, rows=rows, workers=workers, pictures=pictures, stored_bands=bands != [BANDS_NONE]
                )
            )
        elif store is not None:
            kept, inputs = featurize_into(store, list(sources or []), settings, choice, part, workers, quiet=quiet)
            stream = predictor.iter_store(kept, inputs, workers=workers)
        else:
            paths = list(sources or [])
            if choice.folders:
                # What stdin holds is needed twice, and pictures are matched with the inputs of all shards.
                paths = inputs_of_shard(paths, Shard(1, 1), sys.stdin)
                pictures = choice.of_files(paths, settings)
            if part is not None:
                paths = inputs_of_shard(paths, part, sys.stdin)
            stream = predictor.iter_sources(
                paths,
                max_atoms=max_atoms,
                allow_hydrogen=allow_hydrogen,
                workers=workers,
                pictures=pictures,
                bands=choice.output(),
                stdin=sys.stdin,
                stop=stop,
            )
        request = _Request(
            target,
            part,
            form,
            top,
            pictures,
            computed=choice.computed,
            hint=not bands and not files,
            stored=store is not None,
            quiet=quiet,
        )
        n_failed = _write(stream, predictor, stop, request)
    if strict and n_failed:
        raise typer.Exit(ExitCode.SOME_FAILED)


class _Request(NamedTuple):
    """What is to be written, and where."""

    target: Path | None
    shard: Shard | None
    form: PredictFormat
    top: int | None
    pictures: "RunPictures | None"
    computed: bool
    """Whether bands are to be computed."""
    hint: bool
    """Whether to say what computed bands would bring."""
    stored: bool
    """Whether features are kept."""
    quiet: bool


def _write(stream: "Iterable[Predicted]", predictor: "Predictor", stop: "StopRequest", request: _Request) -> int:
    """Write the predictions of a stream; returns the number of inputs and pictures that failed."""
    from shc.models.report import FailureFile, Ranking, failures_path

    card = predictor.ensemble.card
    listing = failures_path(request.target)
    if request.target is None and request.shard is not None:
        listing = request.shard.file_name(listing)
    # A bar would run across rows that appear on the same terminal.
    rows_on_terminal = request.target is None and sys.stdout.isatty() and request.form != PredictFormat.TABLE
    with (
        results(request.target) as out,
        FailureFile(listing, keep_old=_belongs_to_featurize(listing)) as failures,
        Progress("predict", quiet=request.quiet or rows_on_terminal) as progress,
    ):
        table = request.form == PredictFormat.TABLE
        top = request.top or (_TABLE_ROWS if table else None)
        ranking = None if top is None else Ranking(top)
        writer = None if table else _writer(request.form, out, card)
        n_done = 0
        failed: Counter[str] = Counter()
        for predicted in stream:
            (ranking or writer).write(predicted.predictions)  # type: ignore[union-attr]
            failures.write(predicted.failures)
            failed.update(each.stage if each.stage in _PARTIAL else _INPUT for each in predicted.failures)
            n_done += len(predicted.predictions)
            progress.advance(n_done + failed[_INPUT] - progress.done)
            if stop.requested:
                break
        _check_outcome(n_done, failures, stop, request)
        if request.pictures is not None:
            failures.write(request.pictures.failures())
        if ranking is not None and writer is not None:
            writer.write(ranking.rows())
        elif ranking is not None:
            print_ranking(ranking.rows(), card, out)
    if not request.quiet:
        _report(n_done, failed, ranking, request, failures.path)
        _report_bands(request, failed[PICTURE], failures.path, card)
    return failures.n


def _check_outcome(n_done: int, failures: "FailureFile", stop: "StopRequest", request: _Request) -> None:
    if stop.requested:
        where = "what was written stands" if request.target is None else f"{request.target} was not written"
        raise ShcError(
            f"stopped by {stop.reason} after {counted(n_done, 'prediction')}; {where}",
            "run the same command again; the features are kept"
            if request.stored
            else "run the same command again; it starts afresh, and --shard splits long lists",
            ExitCode.RESUMABLE,
        )
    if n_done == 0:
        if failures.first is None:
            raise ShcError("there is no crystal to predict", "name a folder or file with crystals")
        raise nothing_usable(failures.n, failures.first, failures.path)


def _report(n_done: int, failed: "Counter[str]", ranking: "Ranking | None", request: _Request, listing: Path) -> None:
    where = "" if request.target is None else f" in {request.target}"
    shown = f", the largest {ranking.n} shown" if ranking is not None and ranking.n < n_done else ""
    say(f"{counted(n_done, 'crystal')} predicted{where}{shown}")
    if failed[_INPUT]:
        say(f"{counted(failed[_INPUT], 'input')} failed: see {listing}")
    if failed[_BANDS]:
        say(f"{counted(failed[_BANDS], 'crystal')} predicted without bands, which failed: see {listing}")


def _report_bands(request: _Request, n_bad: int, listing: Path, card: "ModelCard") -> None:
    """What became of computed bands and of pictures, a line for each folder, or what they would bring."""
    if request.computed and not card.model.reads_bands:
        say("no bands were computed: this model sees the structure only")
    if request.hint and (gain := _gain_of_bands(card)):
        say(gain)
    if request.pictures is None:
        return
    *lines, last = request.pictures.report()
    if request.pictures.any_found and not card.reads_pictures:
        last += "; pictures are not used, nor opened, for this model sees the structure only"
    if n_bad:
        last += f"; {n_bad} cannot be used"
    if n_bad or request.pictures.failures():
        last += f"; see {listing}"
    for line in (*lines, last):
        say(line)


def _gain_of_bands(card: "ModelCard") -> str:
    """What the card says of predictions with computed bands; empty if nothing."""
    from shc.models.card import OUT_OF_FOLD, TEST, metrics_name
    from shc.models.modalities import SUBSETS

    for rows, what in ((TEST, "crystals never seen"), (OUT_OF_FOLD, "held-out crystals")):
        without, with_bands = (card.metrics.get(metrics_name(rows, name), {}).get("r2") for name in SUBSETS[:2])
        if without is not None and with_bands is not None:
            return (
                "predicted from the structure alone; --bands auto computes the bands too, about a second a crystal "
                f"and core, and raises R2 on {what} from {without:.2f} to {with_bands:.2f}"
            )
    return ""


def _writer(form: PredictFormat, out: TextIO, card: "ModelCard") -> "Writer":
    from shc.models.report import CsvWriter, JsonLinesWriter

    return JsonLinesWriter(out, card) if form == PredictFormat.JSONL else CsvWriter(out, card)


def _belongs_to_featurize(listing: Path) -> bool:
    """Whether a list of failures bears the name that `shc featurize` gave to its own."""
    return listing.with_name(listing.name.removesuffix(".failures.csv") + ".h5").exists()


def _resolve(form: PredictFormat, target: Path | None) -> PredictFormat:
    if form != PredictFormat.AUTO:
        return form
    if target is None:
        return PredictFormat.TABLE if sys.stdout.isatty() else PredictFormat.CSV
    return PredictFormat.JSONL if target.suffix.lower() in {".jsonl", ".ndjson"} else PredictFormat.CSV


def _feature_files(sources: list[str], *, given: bool) -> list[Path]:
    """The feature files among the sources; empty if the sources are structures."""
    named = [source for source in sources if Path(source).suffix.lower() in FEATURE_SUFFIXES]
    if not named:
        return []
    if len(named) < len(sources):
        raise ShcError(
            "feature files and structures cannot be predicted in one run", "predict them one by one", ExitCode.USAGE
        )
    if not given and not _FEATURES.exists() and not Path(f"{_FEATURES}.part").exists():
        raise ShcError(
            f"there is no {_FEATURES} in the working folder",
            "name crystals, as in `shc predict ./cifs`, or write it with `shc featurize ./cifs`",
        )
    expanded = [[Path(source)] if Path(source).exists() else _matches(source) for source in named]
    return [path for paths in expanded for path in paths]


def _matches(pattern: str) -> list[Path]:
    # What matches nothing stays, so that opening it tells what is wrong.
    return [Path(name) for name in sorted(glob.glob(pattern))] or [Path(pattern)]  # noqa: PTH207
