"""``shc featurize``: crystal structures into a feature file."""

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

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
from shc.featurize.config import BANDS_AUTO, BANDS_NONE, FeaturizeConfig

_DEFAULTS = FeaturizeConfig()


class BandsChoice(StrEnum):
    """Whether the electronic structure is computed."""

    NONE = BANDS_NONE
    AUTO = BANDS_AUTO


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
        BandsChoice,
        typer.Option("--bands", help="auto: compute and store the electronic structure, about a second a crystal."),
    ] = BandsChoice.NONE,
    budget: BudgetOption = _DEFAULTS.bands_budget,
    no_cache: NoCacheOption = False,
    config: ConfigOption = None,  # noqa: ARG001  # its callback acts
) -> None:
    """Turn crystal structures into a feature file (HDF5).

    The same command continues a run that was stopped and skips what is done. Inputs that cannot be used are
    listed in OUTPUT-STEM.failures.csv, as are crystals whose bands failed; such a crystal keeps its features.
    The options of the run are in OUTPUT-STEM.run.yaml. With --shard the
    number of the shard is put into the names: features.003-of-008.h5; `shc merge` joins the shards.
    """
    run = FeatureRun("featurize", shard_of(shard), workers, overwrite, quiet)
    settings = FeaturizeConfig(cutoff, max_neighbours, symprec, max_atoms, allow_hydrogen)
    output_of_bands = None
    if bands == BandsChoice.AUTO:
        from shc.featurize.electronic.cache import cache_folder
        from shc.featurize.electronic.run import BandsOutput

        settings = replace(settings, bands=BANDS_AUTO, bands_budget=budget)
        output_of_bands = BandsOutput(cache=None if no_cache else cache_folder())
    run.finish(ctx, run.write(sources, run.file(output), settings, output_of_bands), strict=strict)
