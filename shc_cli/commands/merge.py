"""``shc merge``: several feature files into one."""

from pathlib import Path
from typing import Annotated

import typer

from shc.cli.console import say
from shc.cli.options import ConfigOption, QuietOption


def merge(
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUTS...", help="Feature files.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Feature file to write.")],
    *,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")] = False,
    quiet: QuietOption = False,
    config: ConfigOption = None,  # noqa: ARG001  # its callback acts
) -> None:
    """Join feature files, for example the shards of an array job.

    The order of the inputs is kept. A crystal that appears again with the same input file is kept once. Files
    written with different parameters or versions are refused.
    """
    from shc.featurize.store_merge import merge_feature_files

    summary = merge_feature_files(inputs, output, overwrite=overwrite)
    if not quiet:
        dropped = f", {summary.n_duplicates} duplicates dropped" if summary.n_duplicates else ""
        say(f"{summary.n_crystals} crystals from {summary.n_files} files in {output}{dropped}")
