"""``shc featurize``: crystal structures into a feature file."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from shc.cli.featurizing import FeatureRun, shard_of
from shc.cli.options import (
    AllowHydrogenOption,
    BudgetOption,
    ConfigOption,
    EnergyWindowOption,
    MaxAtomsOption,
    NoCacheOption,
    OverwriteOption,
    QuietOption,
    ShardOption,
    SourcesArgument,
    StrictOption,
    WorkersOption,
)
from shc.cli.pictures import bands_choice
from shc.featurize.config import BANDS_AUTO, FeaturizeConfig
from shc.featurize.errors import ExitCode, ShcError

_DEFAULTS = FeaturizeConfig()


def featurize(
    ctx: typer.Context,
    sources: SourcesArgument,
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Feature file to write or extend.")
    ] = Path("features.h5"),
    workers: WorkersOption = None,
    shard: ShardOption = None,
    strict: StrictOption = False,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
    max_atoms: MaxAtomsOption = _DEFAULTS.max_atoms,
    allow_hydrogen: AllowHydrogenOption = _DEFAULTS.allow_hydrogen,
    cutoff: Annotated[
        float, typer.Option("--cutoff", min=1.0, help="Radius for neighbours, Angstrom.")
    ] = _DEFAULTS.cutoff,
    max_neighbours: Annotated[
        int, typer.Option("--max-neighbours", min=1, help="Nearest neighbours kept per node.")
    ] = _DEFAULTS.max_neighbours,
    symprec: Annotated[
        float, typer.Option("--symprec", min=1e-6, help="Tolerance of the symmetry search, Angstrom.")
    ] = _DEFAULTS.symprec,
    bands: Annotated[
        list[str] | None,
        typer.Option(
            "--bands",
            metavar="FOLDER|auto|none",
            help="Folder of band pictures to normalise and store; auto: compute and store the electronic structure, "
            "about a second a crystal. May be repeated.",
        ),
    ] = None,
    energy_window: EnergyWindowOption = None,
    styles: Annotated[
        int,
        typer.Option("--styles", min=0, help="With --bands auto: draw N pictures of each crystal in random styles."),
    ] = _DEFAULTS.styles,
    budget: BudgetOption = _DEFAULTS.bands_budget,
    no_cache: NoCacheOption = False,
    config: ConfigOption = None,  # noqa: ARG001  # its callback acts
) -> None:
    """Turn crystal structures into a feature file (HDF5).

    The same command continues a run that was stopped and skips what is done. Inputs that cannot be used are
    listed in OUTPUT-STEM.failures.csv, as are crystals whose bands failed, which keep their features, and
    pictures that cannot be used or show no crystal. The options of the run are in OUTPUT-STEM.run.yaml. With
    --shard the number of the shard is put into the names: features.003-of-008.h5; `shc merge` joins the shards.
    """
    run = FeatureRun("featurize", shard_of(shard), workers, overwrite, quiet)
    choice = bands_choice(bands or [], energy_window)
    if styles and not choice.computed:
        raise ShcError("--styles draws computed bands", "add --bands auto", ExitCode.USAGE)
    settings = FeaturizeConfig(cutoff, max_neighbours, symprec, max_atoms, allow_hydrogen)
    settings = replace(settings, pictures=bool(choice.folders) or styles > 0, styles=styles)
    output_of_bands = None
    if choice.computed:
        from shc.featurize.electronic.cache import cache_folder
        from shc.featurize.electronic.run import BandsOutput

        settings = replace(settings, bands=BANDS_AUTO, bands_budget=budget)
        output_of_bands = BandsOutput(cache=None if no_cache else cache_folder())
    run.finish(ctx, run.write(sources, run.file(output), settings, output_of_bands, choice), strict=strict)
