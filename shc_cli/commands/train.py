"""``shc train``: a model from a feature file and a table of labels."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shc.cli.console import say
from shc.cli.options import ConfigOption, Device, OverwriteOption, QuietOption, WorkersOption
from shc.cli.resumable import resumable
from shc.cli.run_config import write_run_yaml
from shc.models.config import ModelConfig, TrainConfig

if TYPE_CHECKING:
    from shc.models.metrics import Scores
    from shc.models.training import TrainSummary

_DEFAULTS = TrainConfig()


def train(
    ctx: typer.Context,
    features: Annotated[Path, typer.Argument(metavar="FEATURES.H5", help="Feature file, written by `shc featurize`.")],
    *,
    labels: Annotated[
        Path,
        typer.Option(
            "--labels",
            metavar="FILE",
            help="CSV with columns material_id and shc_max_abs, or CGCNN's id_prop.csv; (hbar/e) S/cm.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder to write or to continue.")
    ] = Path("runs/train"),
    splits: Annotated[
        Path | None,
        typer.Option("--splits", metavar="FILE", help="splits.json; all crystals train if not given."),
    ] = None,
    split: Annotated[str, typer.Option("--split", help="Which split of the file.")] = "random",
    fold: Annotated[
        int | None, typer.Option("--fold", min=0, help="Fold that scores, if the split is a cross-validation.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of every random choice.")] = _DEFAULTS.seed,
    members: Annotated[int, typer.Option("--members", min=1, help="Networks in the ensemble.")] = _DEFAULTS.n_members,
    epochs: Annotated[
        int, typer.Option("--epochs", min=1, help="Passes over the training rows at most.")
    ] = _DEFAULTS.epochs,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Crystals per step.")] = _DEFAULTS.batch_size,
    learning_rate: Annotated[
        float, typer.Option("--learning-rate", min=0.0, help="Highest learning rate.")
    ] = _DEFAULTS.learning_rate,
    structure_only: Annotated[
        bool,
        typer.Option("--structure-only", help="A model that reads no bands and no pictures even if the file has some."),
    ] = False,
    device: Annotated[Device, typer.Option("--device", help="Where to train.")] = Device.AUTO,
    workers: WorkersOption = None,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
    config: ConfigOption = None,  # noqa: ARG001  # its callback acts
) -> None:
    """Train a model on a feature file and a table of labels.

    The folder receives the weights (model.safetensors, card.json), metrics.csv, learning_curve.png, run.yaml,
    splits.json, oof.csv and, if the split keeps rows for scoring, predictions.csv. The same command continues
    a run that was stopped. Bands and pictures that the feature file holds are read and learned from; the model
    still predicts crystals without them.
    """
    from dataclasses import replace

    from shc.models.training import train as train_ensemble

    settings = replace(
        _DEFAULTS,
        seed=seed,
        n_members=members,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
    )
    with resumable("train", quiet=quiet) as (progress, stop):

        def begin(n_epochs: int) -> None:
            progress.expect(n_epochs)
            # `overwrite` is left out: repeating a run must not start it afresh.
            kept = {name: value for name, value in ctx.params.items() if name != "overwrite"}
            write_run_yaml(output / "run.yaml", "train", kept)

        summary = train_ensemble(
            features,
            labels,
            output,
            ModelConfig(),
            settings,
            splits=splits,
            split=split,
            fold=fold,
            device=device,
            workers=workers,
            overwrite=overwrite,
            structure_only=structure_only,
            on_start=begin,
            on_epoch=progress.advance,
            stop=stop,
        )
    if not quiet:
        _report(summary)


def _report(summary: "TrainSummary") -> None:
    if summary.n_without_label:
        say(f"{summary.n_without_label} crystals without a label were left out")
    if summary.n_without_features:
        say(f"{summary.n_without_features} labels have no crystal in the feature file")
    for name, scores in summary.out_of_fold.items():
        say(_line(f"out of fold, one member a crystal, {name}", scores))
    for name, scores in summary.test.items():
        say(_line(f"test rows, never trained on, {name}", scores))
    if summary.learning_curve is None:
        say("no learning curve was drawn: pip install matplotlib")
    say(f"model written to {summary.output}")


def _line(name: str, scores: "Scores") -> str:
    return (
        f"{name}: n {scores.n}, R2 {scores.r2:.3f}, MAE {scores.mae:.1f} (hbar/e) S/cm, "
        f"AUC(200) {scores.auc:.3f}, Spearman {scores.spearman:.3f}"
    )
