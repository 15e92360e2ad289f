"""``shc predict --store``: features are kept, so that a crystal that is known is not featurised again."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from shc.cli.featurizing import FeatureRun
from shc.cli.shards import Shard, inputs_of_shard

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from shc.cli.pictures import BandsChoice
    from shc.featurize.config import FeaturizeConfig


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
    run = FeatureRun("featurize", part, workers, overwrite=False, quiet=quiet)
    target = run.file(store)
    run.write(paths, target, settings, choice.output(), choice)
    return target, paths if part is None else inputs_of_shard(paths, part, sys.stdin)
