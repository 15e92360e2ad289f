"""``shc bands``: the built-in electronic structure of crystals as numbers, pictures and a table."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from shc.cli.console import results
from shc.cli.featurizing import FeatureRun, shard_of
from shc.cli.options import (
    AllowHydrogenOption,
    BudgetOption,
    ConfigOption,
    MaxAtomsOption,
    NoCacheOption,
    OverwriteOption,
    QuietOption,
    ShardOption,
    SourcesArgument,
    StrictOption,
    WorkersOption,
)
from shc.featurize.config import BANDS_AUTO, FeaturizeConfig
from shc.featurize.errors import ExitCode, ShcError

_DEFAULTS = FeaturizeConfig()
_FEATURE_SUFFIXES = {".h5", ".hdf5"}


def bands(
    ctx: typer.Context,
    sources: SourcesArgument,
    *,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER|FILE.h5",
            help="Folder for pictures, numbers and table, or a feature file for the numbers alone.",
        ),
    ] = Path("bands"),
    budget: BudgetOption = _DEFAULTS.bands_budget,
    plot: Annotated[
        bool, typer.Option("--plot", help="Also draw a plot for people of each crystal, in FOLDER/plots.")
    ] = False,
    no_cache: NoCacheOption = False,
    workers: WorkersOption = None,
    shard: ShardOption = None,
    strict: StrictOption = False,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
    max_atoms: MaxAtomsOption = _DEFAULTS.max_atoms,
    allow_hydrogen: AllowHydrogenOption = _DEFAULTS.allow_hydrogen,
    config: ConfigOption = None,  # noqa: ARG001  # its callback acts
) -> None:
    """Compute bands, density of states and spin Hall conductivity of crystals by tight binding.

    FOLDER gets ID.png, the picture that a model sees, for each crystal; bands.h5, a feature file with the
    numbers; and summary.csv. The same command continues a run that was stopped and skips what is done. Inputs
    that cannot be used are listed in FOLDER/bands.failures.csv.
    """
    run = FeatureRun("bands", shard_of(shard), workers, overwrite, quiet)
    numbers_only = output.suffix.lower() in _FEATURE_SUFFIXES
    _check(output, numbers_only=numbers_only, plot=plot)

    from shc.featurize.electronic.cache import cache_folder
    from shc.featurize.electronic.run import BandsOutput, write_summary
    from shc.featurize.store import FeatureFile

    made = BandsOutput(
        cache=None if no_cache else cache_folder(),
        pictures=None if numbers_only else output,
        plots=output / "plots" if plot else None,
        required=True,
    )
    settings = FeaturizeConfig(
        max_atoms=max_atoms, allow_hydrogen=allow_hydrogen, bands=BANDS_AUTO, bands_budget=budget
    )
    target = run.file(output if numbers_only else output / "bands.h5")
    table = target.with_name(f"{target.stem}.summary.csv") if numbers_only else run.file(output / "summary.csv")
    summary = run.write(sources, target, settings, made)
    with results(table) as stream:
        write_summary(FeatureFile.open(target), stream)
    run.finish(ctx, summary, strict=strict)


def _check(output: Path, *, numbers_only: bool, plot: bool) -> None:
    """Find out what cannot work before the first crystal is computed."""
    if numbers_only and plot:
        raise ShcError(f"--plot needs a folder, and {output} is a file", "give --output FOLDER", ExitCode.USAGE)
    for folder in () if numbers_only else (output, *([output / "plots"] if plot else [])):
        # A link that leads nowhere does not exist and is in the way all the same.
        if (folder.exists() or folder.is_symlink()) and not folder.is_dir():
            raise ShcError(f"{folder} is in the way: no folder", "choose another --output", ExitCode.USAGE)
    if plot and find_spec("matplotlib") is None:
        raise ShcError("--plot needs matplotlib", "pip install 'shc-predict[plot]'", ExitCode.NO_BACKEND)
