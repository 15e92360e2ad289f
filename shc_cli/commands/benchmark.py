"""``shc benchmark``: our model and its rivals on the same data."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shc.cli.console import say
from shc.cli.options import ConfigOption, QuietOption
from shc.cli.resumable import resumable
from shc.cli.run_config import write_run_yaml
from shc.featurize.writing import writing

if TYPE_CHECKING:
    from shc.models.benchmark_table import Difference, Entry


def benchmark(
    ctx: typer.Context,
    *,
    data: Annotated[
        Path, typer.Option("--data", metavar="FEATURES.H5", help="Feature file, written by `shc featurize`.")
    ],
    labels: Annotated[
        Path, typer.Option("--labels", metavar="FILE", help="CSV with columns material_id and shc_max_abs.")
    ],
    splits: Annotated[Path, typer.Option("--splits", metavar="FILE", help="splits.json.")],
    split: Annotated[str, typer.Option("--split", help="Which split of the file.")] = "random",
    fold: Annotated[
        int | None, typer.Option("--fold", min=0, help="Fold that scores, if the split is a cross-validation.")
    ] = None,
    models: Annotated[str, typer.Option("--models", help="Names with commas between, or all.")] = "all",
    seeds: Annotated[
        int, typer.Option("--seeds", min=1, help="Trainings of each graph network, which are averaged.")
    ] = 3,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder to write or to continue.")
    ] = Path("runs/benchmark"),
    quiet: QuietOption = False,
    config: ConfigOption = None,  # noqa: ARG001  # its callback acts
) -> None:
    """Train our model and its rivals on the same rows, and compare what they say of the rows that only score.

    The folder receives a folder for each model with predictions.csv and record.json, and of all that are done
    table.md, scores.csv and parity.png. The same command continues a run that was stopped; with other --models it adds
    to it. Boosting reads the built-in electronic structure too where the feature file holds it.
    """
    from shc.featurize.store import FeatureFile
    from shc.models.benchmark import Task, choose, run_benchmark
    from shc.models.benchmark_table import differences, read_entries, write_report
    from shc.models.contestants import OURS, contestants
    from shc.models.labelled import read_labelled

    file = FeatureFile.open(data)
    every = contestants(with_bands=bool(file.has_bands(slice(None)).any()))
    chosen = choose(models, list(every))
    scored = read_labelled(labels, splits, split, fold)
    known = set(file.material_ids)
    for ids, what in ((scored.scored, "score"), (scored.trained, "train")):
        n_lacking = sum(name not in known for name in ids)
        if n_lacking:
            say(f"{n_lacking} of the {len(ids)} labelled crystals that {what} are not in {data}, and are left out")
    task = Task(data, labels, splits, split, fold, seeds)
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
    write_run_yaml(output / "run.yaml", "benchmark", ctx.params)
    with resumable("benchmark", quiet=quiet) as (progress, stop):
        run_benchmark(task, {name: every[name] for name in chosen}, output, lambda _: progress.advance(), stop)
    entries = read_entries(output, list(every), {name: scored.labels[name] for name in scored.scored})
    found = differences(entries, OURS)
    where = split if fold is None else f"{split}, fold {fold}"
    n_scored = sum(name in known for name in scored.scored)
    title = f"{n_scored} crystals of split {where} that no model was trained on"
    paths = write_report(output, entries, found, title)
    _print(entries, found, title)
    if not quiet:
        say(f"written: {', '.join(map(str, paths))}")


def _print(entries: "list[Entry]", found: "list[Difference]", title: str) -> None:
    from rich.table import Table

    from shc.cli.score_tables import console_for
    from shc.models.benchmark_table import HEADS, difference_rows, table_rows

    console = console_for(sys.stdout)
    table = Table(*HEADS, title=f"{title}; MAE and RMSE in (hbar/e) S/cm")
    for row in table_rows(entries):
        table.add_row(*row)
    console.print(table)
    if found:
        against = Table("ours", "rival", "R2", "MAE", title="ours minus rival, 95 % intervals; *: zero lies inside")
        for cells in difference_rows(found):
            against.add_row(*cells)
        console.print(against)
