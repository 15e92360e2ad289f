"""``shc model``: shipped models, and back ends built for a model ahead of time."""

import sys
import time
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shc.cli.console import say
from shc.cli.options import Backend, ConfigOption, Device, DeviceOption, ModelOption, QuietOption
from shc.featurize.errors import ExitCode, ShcError
from shc.featurize.writing import PLACE_ERRORS

if TYPE_CHECKING:
    from shc.models.backends.agreement import Agreement
    from shc.models.backends.base import Compiler
    from shc.models.card import ModelCard
    from shc.models.ensemble import Ensemble

model = typer.Typer(
    help="List the shipped models, and compile one for this machine.\n\n"
    "What `compile` builds is what `--backend auto` of the other verbs takes from then on.",
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
)


@model.command("compile")
def compile_model(
    *,
    model: ModelOption = None,
    device: DeviceOption = Device.AUTO,
    backend: Annotated[
        Backend, typer.Option("--backend", help="What to build; auto: the fastest that can run here.")
    ] = Backend.AUTO,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="FEATURES.H5",
            help="Crystals to compare with the networks after the build, with all that the model reads; those that "
            "come with the program if not given.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Build anew what was built before.")] = False,
    quiet: QuietOption = False,
    config: ConfigOption = None,  # noqa: ARG001  # its callback acts
) -> None:
    """Build a compiled back end of a model, once for this machine, and compare it with the networks.

    It is kept in the user's cache, from where `shc predict --backend auto` takes it. One that says anything else than
    the networks is not kept.
    """
    from shc.models.backends.agreement import check_examples
    from shc.models.backends.choose import usable_compiler
    from shc.models.backends.store import compiled_folder, read_built, set_aside
    from shc.models.device import choose_device
    from shc.models.ensemble import load_ensemble

    ensemble = load_ensemble(model)
    if data is not None:
        check_examples(ensemble, data)
    where = choose_device(device.value)
    compiler = usable_compiler(backend.value, where)
    folder = compiled_folder(compiler, ensemble, where)
    name = f"{compiler.name} for {ensemble.card.name} {ensemble.card.version}"
    if not overwrite and (found := read_built(folder)) is not None:
        sys.stdout.write(f"{name} is already built: {found.folder} ({found.date[:10]})\n")
        return
    if not quiet:
        say(f"building {compiler.name}; it may take minutes")
    start = time.monotonic()
    with set_aside(folder):
        agreement = _build(compiler, ensemble, device.value, data)
    sys.stdout.write(f"{name} built in {time.monotonic() - start:.0f} s: {folder}\n")
    sys.stdout.write(f"compared with the networks: {agreement}\n")


def _build(compiler: "Compiler", ensemble: "Ensemble", device: str, data: Path | None) -> "Agreement":
    """Build a back end; whatever its compiler raises becomes one line."""
    from shc.models.backends.agreement import EXAMPLES
    from shc.models.backends.base import one_line
    from shc.models.backends.choose import build
    from shc.models.device import choose_device

    try:
        return build(compiler, ensemble, choose_device(device), data or EXAMPLES)
    except ShcError as error:
        if data is None and error.exit_code == ExitCode.BAD_FILE:
            hint = "featurise some crystals with the settings of the model, and name the file with --data"
            raise ShcError(error.message, hint, error.exit_code) from error
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in PLACE_ERRORS:
            raise
        raise ShcError(
            f"{compiler.name} cannot be built: {one_line(error)}",
            "the networks run without a compiler too, as --backend eager; --debug shows more",
            ExitCode.NO_BACKEND,
        ) from error


@model.command("list")
def list_models(*, config: ConfigOption = None) -> None:  # noqa: ARG001  # its callback acts
    """List the models that come with the program, how good they are, and what is built for them on this machine."""
    from shc.cli.plain_table import print_table
    from shc.models.ensemble import PRETRAINED, load_ensemble, pretrained_folders

    rows: list[tuple[str, ...]] = []
    for folder in pretrained_folders():
        ensemble = load_ensemble(folder)
        card = ensemble.card
        columns = (
            [folder.name],
            [card.name],
            [card.version],
            [", ".join(card.reads)],
            _scores(card),
            _built_for(ensemble),
        )
        rows += zip_longest(*columns, fillvalue="")
    heads = ("folder", "model", "version", "reads", "R2 on test crystals", "back ends built")
    print_table(f"models in {PRETRAINED}", heads, rows, sys.stdout)


def _scores(card: "ModelCard") -> list[str]:
    """R2 on crystals never seen, for each thing that predictions rest on."""
    from shc.models.card import TEST, metrics_name
    from shc.models.modalities import SUBSETS

    found = {name: card.metrics.get(metrics_name(TEST, name), {}).get("r2") for name in SUBSETS}
    return [f"{r2:.3f} {name}" for name, r2 in found.items() if r2 is not None] or ["not known"]


def _built_for(ensemble: "Ensemble") -> list[str]:
    """The back ends built for a model, on every device of this machine."""
    from shc.cli.plain_table import size
    from shc.models.backends.survey import survey
    from shc.models.device import devices

    found = [
        f"{state.name} on {device.type}, {state.built.date[:10]}, {size(state.built.n_bytes)}"
        for device in devices()
        for state in survey(ensemble, device)
        if state.built is not None
    ]
    return found or ["none"]
