"""Pictures of bands on the command line: what ``--bands`` and ``--energy-window`` name, and what became of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from shc.featurize.config import BANDS_AUTO, BANDS_NONE
from shc.featurize.errors import ExitCode, ShcError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shc.featurize.band_image.run import RunPictures
    from shc.featurize.band_image.types import EnergyWindow
    from shc.featurize.config import FeaturizeConfig
    from shc.featurize.electronic.run import BandsOutput


class BandsChoice(NamedTuple):
    """What a person says about bands."""

    computed: bool
    """Whether the built-in electronic structure is computed."""
    folders: tuple[Path, ...]
    """Folders of pictures, in the order given."""
    window: EnergyWindow | None
    """Energy axis of the pictures of which ``bands.csv`` does not say it."""

    def of_files(self, paths: Sequence[str], config: FeaturizeConfig) -> RunPictures:
        """Match the pictures with the structure files of a run, of all its shards.

        Raises:
            ShcError: A folder does not exist, or its ``bands.csv`` makes no sense (``USAGE``).
        """
        from shc.featurize.band_image.run import match_files

        return match_files(self.folders, self.window, map(Path, paths), config)

    def of_feature_files(self, paths: Sequence[Path]) -> RunPictures:
        """Match the pictures with the crystals of feature files.

        Raises:
            ShcError: A folder does not exist, or its ``bands.csv`` makes no sense (``USAGE``); a feature file cannot
                be read.
        """
        from shc.featurize.band_image.run import match_formulas
        from shc.featurize.store import FeatureFile

        formulas: dict[str, str] = {}
        for file in map(FeatureFile.open, paths):
            formulas |= zip(file.material_ids, file.formulas, strict=True)
        return match_formulas(self.folders, self.window, formulas)

    def output(self) -> BandsOutput | None:
        """Where computed bands are kept: in the user's cache; None if none are computed."""
        if not self.computed:
            return None
        from shc.featurize.electronic.cache import cache_folder
        from shc.featurize.electronic.run import BandsOutput

        return BandsOutput(cache=cache_folder())


def bands_choice(values: Sequence[str], window: tuple[float, float] | None = None) -> BandsChoice:
    """The values of ``--bands``: two words are reserved, everything else names a folder of pictures.

    Args:
        values: What was given, maybe nothing.
        window: Value of ``--energy-window``.

    Raises:
        ShcError: ``none`` was given beside something else, a folder does not exist, or the window makes no sense or
            has nothing to belong to (``USAGE``).
    """
    if BANDS_NONE in values and set(values) != {BANDS_NONE}:
        raise ShcError("--bands none excludes every other --bands", "give the one or the other", ExitCode.USAGE)
    folders = tuple(dict.fromkeys(Path(value) for value in values if value not in {BANDS_AUTO, BANDS_NONE}))
    for folder in folders:
        if not folder.is_dir():
            hint = f"give a folder of pictures, {BANDS_AUTO} or {BANDS_NONE}"
            raise ShcError(f"--bands {folder}: there is no such folder", hint, ExitCode.USAGE)
    if window is None:
        return BandsChoice(BANDS_AUTO in values, folders, None)
    if not folders:
        raise ShcError("--energy-window needs pictures", "give a folder of them by --bands", ExitCode.USAGE)
    from shc.featurize.band_image.sidecar import energy_window

    return BandsChoice(BANDS_AUTO in values, folders, energy_window(*window))
