"""``shc featurize``: crystal structures into a feature file."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shc.cli.console import Progress, say
from shc.cli.options import (
    AllowHydrogenOption,
    ConfigOption,
    MaxAtomsOption,
    OverwriteOption,
    QuietOption,
    ShardOption,
    SourcesArgument,
    StrictOption,
    WorkersOption,
)
from shc.cli.run_config import run_yaml_path, write_run_yaml
from shc.cli.shards import inputs_of_shard, parse_shard
from shc.featurize.config import FeaturizeConfig
from shc.featurize.errors import ExitCode, ShcError

if TYPE_CHECKING:
    from shc.featurize.pipeline import FeaturizeSummary
    from shc.featurize.pipeline import Progress as Counts

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
    config: ConfigOption = None,  # noqa: ARG001  # its callback acts
) -> None:
    """Turn crystal structures into a feature file (HDF5).

    The same command continues a run that was stopped and skips what is done. Inputs that cannot be used are
    listed in OUTPUT-STEM.failures.csv, the options of the run in OUTPUT-STEM.run.yaml. With --shard the
    number of the shard is put into the names: features.003-of-008.h5; `shc merge` joins the shards.
    """
    from shc.featurize.pipeline import featurize_sources
    from shc.featurize.stop import StopRequest

    settings = FeaturizeConfig(cutoff, max_neighbours, symprec, max_atoms, allow_hydrogen)
    part = None if shard is None else parse_shard(shard, os.environ)
    target = output if part is None else part.file_name(output)
    with Progress("featurize", quiet=quiet) as progress, StopRequest() as stop:

        def count(counts: "Counts") -> None:
            progress.advance(counts.n_done + counts.n_skipped + counts.n_failed - progress.done)

        summary = featurize_sources(
            sources if part is None else inputs_of_shard(sources, part, sys.stdin),
            target,
            settings,
            overwrite=overwrite,
            workers=workers,
            stdin=sys.stdin,
            stop=stop,
            on_progress=count,
        )
    if not quiet:
        _report(summary)
    if summary.n_done + summary.n_skipped == 0:
        raise ShcError("no input could be used", f"see {summary.failures}; {target} is as it was")
    # `overwrite` is left out: repeating a run must not start it afresh.
    kept = {name: value for name, value in ctx.params.items() if name != "overwrite"}
    if part is not None:
        kept["shard"] = f"{part.number}/{part.total}"
    write_run_yaml(run_yaml_path(target), "featurize", kept)
    if strict and summary.n_failed:
        raise typer.Exit(ExitCode.SOME_FAILED)


def _report(summary: "FeaturizeSummary") -> None:
    skipped = f", {summary.n_skipped} done before and unchanged" if summary.n_skipped else ""
    say(f"{summary.n_done} crystals written to {summary.output} in {summary.seconds:.1f} s{skipped}")
    if summary.n_failed:
        say(f"{summary.n_failed} inputs failed: see {summary.failures}")
