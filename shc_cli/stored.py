"""``shc predict --store``: features are kept, so that a crystal that is known is not featurised again."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from shc.cli.featurizing import FeatureRun
from shc.cli.shards import Shard, inputs_of_shard
from shc.featurize.errors import ExitCode, ShcError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from shc.cli.pictures import BandsChoice
    from shc.featurize.config import FeaturizeConfig

FEATURE_SUFFIXES: Final = (".h5", ".hdf5")
"""How names of feature files end."""


def check_store(store: Path, output: Path | None) -> None:
    """Make sure that a store can be one.

    Raises:
        ShcError: It is a folder, no name of a feature file, or the output (``USAGE``).
    """
    wrong = "is a folder" if store.is_dir() else "must end in .h5 or .hdf5"
    if store.is_dir() or store.suffix.lower() not in FEATURE_SUFFIXES:
        raise ShcError(f"--store {store}: a store is a feature file, and {wrong}", "name another file", ExitCode.USAGE)
    if output is not None and store.resolve() == output.resolve():
        raise ShcError("--store and --output are the same file", "predictions need a file of their own", ExitCode.USAGE)


def featurize_into(
    store: Path,
    sources: Sequence[str],
    settings: FeaturizeConfig,
    choice: BandsChoice,
    part: Shard | None,
    workers: int | None,
    *,
    quiet: bool,
) -> tuple[Path, list[str]]:
    """Bring a feature file up to date with some structures.

    Args:
        store: The feature file; made if it does not exist, extended if it does.
        sources: Files, folders, glob patterns, list files, ``-``.
        settings: How structures become features.
        choice: What is to become of bands and pictures.
        part: Part of the inputs to do, with a file of its own; None for all of them.
        workers: Worker processes.
        quiet: Whether nothing but errors is shown.

    Returns:
        The file, and the inputs in their order.

    Raises:
        ShcError: See ``FeatureRun.write``.
    """
    # What stdin holds is needed twice.
    paths = inputs_of_shard(sources, Shard(1, 1), sys.stdin)
    run = FeatureRun("featurize", part, workers, overwrite=False, quiet=quiet, again="another --store tries again")
    target = run.file(store)
    try:
        run.write(paths, target, settings, choice.output(), choice)
    except ShcError as error:
        if error.exit_code != ExitCode.BAD_FILE:
            raise
        hint = "wait if another run writes it; else give the options that it was made with, or another --store"
        raise ShcError(error.message, hint, error.exit_code) from error
    return target, paths if part is None else inputs_of_shard(paths, part, sys.stdin)
