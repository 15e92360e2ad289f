"""Bands computed ahead of a prediction, for ``shc predict --bands auto``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shc.cli.console import Progress
from shc.featurize.errors import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shc.featurize.config import FeaturizeConfig
    from shc.featurize.errors import Failure
    from shc.featurize.stop import StopRequest

_NAMED: Final = 5


class ComputedBands:
    """What became of the bands of the crystals that are predicted.

    The present model sees the structure only, so the bands go to the user's cache and nowhere else.
    """

    def __init__(self) -> None:
        """Start with nothing computed."""
        self._line = "--bands auto computes nothing for a feature file, and this model sees the structure only"

    def compute(
        self,
        paths: Sequence[str],
        config: FeaturizeConfig,
        *,
        workers: int | None,
        stop: StopRequest,
        quiet: bool,
    ) -> None:
        """Compute the bands of structure files, or find them in the cache.

        Args:
            paths: Files, folders, glob patterns, list files.
            config: Parameters, with ``bands`` set to ``auto``.
            workers: Worker processes.
            stop: Ends the work early.
            quiet: Whether no progress is shown.
        """
        from shc.featurize.electronic.cache import cache_folder
        from shc.featurize.electronic.run import BandsOutput
        from shc.featurize.pipeline import iter_featurized

        folder = cache_folder()
        n_with = 0
        failed: list[Failure] = []
        with Progress("bands", quiet=quiet) as progress:
            stream = iter_featurized(paths, config, workers=workers, stop=stop, bands=BandsOutput(cache=folder))
            for records, failures in stream:
                n_with += sum(bool(record.bands) for record in records)
                # What else fails, fails in the prediction too and is listed there.
                failed += [failure for failure in failures if failure.stage in {"bands", "worker"}]
                progress.advance(len(records))
        n = counted(n_with, "crystal")
        more = len(failed) - _NAMED
        lines = [f"bands of {n} in {folder} are not used, for this model sees the structure only"]
        lines += [f"no bands of {failure.path}: {failure.error}" for failure in failed[:_NAMED]]
        self._line = "\n".join(lines + ([f"no bands of {counted(more, 'other crystal')}"] if more > 0 else []))

    def report(self) -> str:
        """Say what became of the bands, in one line and one more for each of the first crystals without."""
        return self._line
