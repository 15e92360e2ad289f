"""Electronic structure of many files: the task of a worker process, and the summary of what it found."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from shc.featurize.batch import featurize_batch
from shc.featurize.electronic.cache import BandsCache, cache_folder, packed_bands
from shc.featurize.electronic.codec import decode
from shc.featurize.electronic.record import BandsConfig
from shc.featurize.writing import writing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import TextIO

    from shc.featurize.config import FeaturizeConfig
    from shc.featurize.electronic.record import ElectronicRecord
    from shc.featurize.pool import BatchResult
    from shc.featurize.store import FeatureFile
    from shc.featurize.symmetry import PrimitiveCrystal

SUMMARY_COLUMNS: Final = (
    "material_id", "shc_max_abs_tb", "gap_ev", "fermi_ev", "dos_fermi", "seconds", "k_mesh", "flags",
)  # fmt: skip
SUMMARY_UNITS: Final = (
    "# units: shc_max_abs_tb (hbar/e) S/cm, gap_ev eV, fermi_ev eV, dos_fermi states/(eV primitive cell), seconds s"
)
_TIMEOUT: Final = 600.0
_TIMEOUT_PER_BUDGET: Final = 60.0
_BLOCK: Final = 256
_PNG_START: Final = b"\x89PNG\r\n\x1a\n"
_PNG_END: Final = b"\x00\x00\x00\x00IEND\xaeB`\x82"


@dataclass(frozen=True, slots=True)
class BandsOutput:
    """What a run with bands uses and leaves beside the feature file."""

    cache: Path | None = field(default_factory=cache_folder)
    """Where finished records are kept; None for nowhere."""
    pictures: Path | None = None
    """Folder that gets the picture of each crystal, as the model sees it, ``<material_id>.png``."""
    plots: Path | None = None
    """Folder that gets a plot for people of each crystal, ``<material_id>.png``."""
    required: bool = False
    """Whether a crystal without bands is left out of the feature file."""

    def drawings(self, material_id: str) -> list[Path]:
        """Files that belong to a crystal."""
        return [folder / f"{material_id}.png" for folder in (self.pictures, self.plots) if folder is not None]

    def is_drawn(self, material_id: str) -> bool:
        """Whether all of these files are there and complete."""
        return all(_is_whole_png(path) for path in self.drawings(material_id))


def _is_whole_png(path: Path) -> bool:
    """Tell from both ends of a file whether it is a picture that was written to its end."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_PNG_START))
            file.seek(-len(_PNG_END), os.SEEK_END)
            return start == _PNG_START and file.read() == _PNG_END
    except OSError:
        return False


def bands_config(config: FeaturizeConfig) -> BandsConfig:
    """Settings of the electronic structure that belong to parameters of featurisation."""
    return BandsConfig(budget=config.bands_budget, symprec=config.symprec)


def file_timeout(config: FeaturizeConfig) -> float:
    """Seconds after which a file is given up; generous, as large cells take minutes."""
    return _TIMEOUT + _TIMEOUT_PER_BUDGET * config.bands_budget


def featurize_with_bands(paths: Sequence[Path], config: FeaturizeConfig, output: BandsOutput) -> BatchResult:
    """Featurise some files with their electronic structure, in this process.

    Args:
        paths: Structure files.
        config: Parameters.
        output: Cache, and what to draw.

    Returns:
        As `featurize_batch`; without the crystals that have no bands if these are required.

    Raises:
        ShcError: A picture cannot be written, or matplotlib is missing.
    """
    records, failures = featurize_batch(paths, config, partial(_bands, bands_config(config), output))
    if output.required:
        records = [record for record in records if record.bands]
    return records, failures


def _bands(config: BandsConfig, output: BandsOutput, material_id: str, crystal: PrimitiveCrystal) -> bytes:
    cache = None if output.cache is None else BandsCache(output.cache)
    packed = packed_bands(crystal, config, cache)
    if output.pictures is not None or output.plots is not None:
        _draw(decode(packed), output, material_id)
    return packed


def _draw(record: ElectronicRecord, output: BandsOutput, material_id: str) -> None:
    """Draw what is wanted; a file with the name of a crystal is complete."""
    for folder in (output.pictures, output.plots):
        if folder is not None:
            with writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
    if output.pictures is not None:
        from shc.featurize.electronic.picture import band_image, save_png  # noqa: PLC0415  only here it is needed

        save_png(band_image(record), output.pictures / f"{material_id}.png")
    if output.plots is not None:
        from shc.featurize.electronic.plot import plot_bands  # noqa: PLC0415  takes a second to load

        plot_bands(record, material_id, output.plots / f"{material_id}.png")


def write_summary(file: FeatureFile, stream: TextIO) -> None:
    """Write a CSV table with a row for each crystal of a feature file that has bands.

    Args:
        file: The feature file.
        stream: Where the table goes; its first line is a comment with the units.
    """
    stream.write(SUMMARY_UNITS + "\n")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(SUMMARY_COLUMNS)
    for start in range(0, len(file), _BLOCK):
        rows = slice(start, start + _BLOCK)
        for material_id, record in zip(file.material_ids[rows], file.bands(rows), strict=True):
            if record is not None:
                writer.writerow((material_id, *_summary(record)))


def _summary(record: ElectronicRecord) -> tuple[str, ...]:
    return (
        f"{record.shc_max_abs:.1f}",
        f"{record.gap_ev:.3f}",
        f"{record.fermi_ev:.3f}",
        f"{record.dos_fermi:.3f}",
        f"{record.seconds:.2f}",
        "x".join(map(str, record.k_mesh)),
        ";".join(record.flags),
    )
