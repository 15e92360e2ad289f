"""What the verbs that write feature files do alike: run, report, note the options, choose the exit code."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from shc.cli.console import say
from shc.cli.resumable import resumable
from shc.cli.run_config import run_yaml_path, write_run_yaml
from shc.cli.shards import Shard, inputs_of_shard, parse_shard
from shc.featurize.errors import ExitCode, ShcError, counted, nothing_usable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from shc.cli.pictures import BandsChoice
    from shc.featurize.band_image.run import RunPictures
    from shc.featurize.config import FeaturizeConfig
    from shc.featurize.electronic.run import BandsOutput
    from shc.featurize.pipeline import FeaturizeSummary
    from shc.featurize.pipeline import Progress as Counts


@dataclass(frozen=True, slots=True)
class FeatureRun:
    """How a verb that writes a feature file is run."""

    verb: str
    """Name of the verb."""
    part: Shard | None
    """Part of the inputs to do; None for all of them."""
    workers: int | None
    """Worker processes."""
    overwrite: bool
    """Whether an existing feature file is replaced."""
    quiet: bool
    """Whether nothing but errors is shown."""
    again: str = "--overwrite tries again"
    """What a user is told about bands that failed."""

    def file(self, path: Path) -> Path:
        """The name of a file that this part of the inputs writes."""
        return path if self.part is None else self.part.file_name(path)

    def write(
        self,
        sources: Sequence[str],
        target: Path,
        settings: FeaturizeConfig,
        bands: BandsOutput | None = None,
        choice: BandsChoice | None = None,
    ) -> FeaturizeSummary:
        """Write or extend a feature file.

        Args:
            sources: Files, folders, glob patterns, list files, ``-``.
            target: The feature file.
            settings: Parameters.
            bands: Cache of the bands and what to draw of them.
            choice: Folders of pictures.

        Raises:
            ShcError: No input is usable, the existing file does not fit, the output cannot be written, a folder of
                pictures makes no sense, or the run was stopped or interrupted.
        """
        from shc.featurize.pipeline import NO_PICTURES, featurize_sources

        pictures = NO_PICTURES
        if choice is not None and choice.folders:
            # Pictures are matched with the inputs of all shards, and what stdin holds is needed twice.
            sources = inputs_of_shard(sources, Shard(1, 1), sys.stdin)
            pictures = choice.of_files(sources, settings)
        with resumable(self.verb, quiet=self.quiet) as (progress, stop):

            def count(counts: Counts) -> None:
                progress.advance(counts.n_done + counts.n_skipped + counts.n_failed - progress.done)

            summary = featurize_sources(
                sources if self.part is None else inputs_of_shard(sources, self.part, sys.stdin),
                target,
                settings,
                overwrite=self.overwrite,
                workers=self.workers,
                bands=bands,
                pictures=pictures,
                stdin=sys.stdin,
                stop=stop,
                on_progress=count,
            )
        if not self.quiet:
            self._report(summary, pictures)
        return summary

    def _report(self, summary: FeaturizeSummary, pictures: RunPictures) -> None:
        skipped = f", {summary.n_skipped} done before and unchanged" if summary.n_skipped else ""
        say(f"{counted(summary.n_done, 'crystal')} written to {summary.output} in {summary.seconds:.1f} s{skipped}")
        if summary.n_failed:
            say(f"{counted(summary.n_failed, 'input')} failed: see {summary.failures}")
        if summary.n_dropped:
            gone = counted(summary.n_dropped, "crystal")
            say(f"{gone} taken out of {summary.output}: the input has changed and cannot be used any more")
        if summary.n_without_bands:
            have = "crystal has" if summary.n_without_bands == 1 else "crystals have"
            say(f"{summary.n_without_bands} {have} no bands: see {summary.failures}; {self.again}")
        for line in pictures.report():
            say(line)
        if summary.n_pictures + summary.n_bad_pictures + summary.n_unmatched:
            bad = f", {summary.n_bad_pictures} cannot be used" if summary.n_bad_pictures else ""
            see = f": see {summary.failures}" if summary.n_bad_pictures + summary.n_unmatched else ""
            say(f"{counted(summary.n_pictures, 'picture')} stored{bad}{see}")

    def finish(self, ctx: typer.Context, summary: FeaturizeSummary, *, strict: bool) -> None:
        """Note the options of a run beside its feature file and leave with its exit code.

        Args:
            ctx: Context of the verb.
            summary: What the run did.
            strict: Whether failed inputs, crystals without the bands asked for and unused pictures are an error.

        Raises:
            ShcError: No input could be used.
            typer.Exit: Some inputs failed and this is an error.
        """
        if summary.n_done + summary.n_skipped == 0:
            error = nothing_usable(summary.n_failed, summary.first_failure, summary.failures)
            raise ShcError(error.message, f"{error.hint}; {summary.output} is as it was")
        # `overwrite` is left out: repeating a run must not start it afresh.
        kept = {name: value for name, value in ctx.params.items() if name != "overwrite"}
        if self.part is not None:
            kept["shard"] = f"{self.part.number}/{self.part.total}"
        write_run_yaml(run_yaml_path(summary.output), self.verb, kept)
        if strict and summary.n_failed + summary.n_without_bands + summary.n_bad_pictures + summary.n_unmatched:
            raise typer.Exit(ExitCode.SOME_FAILED)


def shard_of(text: str | None) -> Shard | None:
    """The value of ``--shard``; None means all inputs."""
    return None if text is None else parse_shard(text, os.environ)
