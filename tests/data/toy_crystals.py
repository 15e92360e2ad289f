"""Made-up crystals with bands and pictures, and a feature file, labels and splits of them."""

from __future__ import annotations

import json
import runpy
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shc.featurize.band_image.codec import STANDARD, PictureSet, StoredPicture
from shc.featurize.band_image.codec import encode as pack_pictures
from shc.featurize.config import BANDS_AUTO, FeaturizeConfig
from shc.featurize.electronic.codec import encode as pack_bands
from shc.featurize.electronic.picture import band_image
from shc.featurize.store import FeatureHeader
from shc.featurize.store_writer import FeatureWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shc.featurize.electronic.record import ElectronicRecord
    from shc.featurize.types import CrystalRecord

DATA = Path(__file__).parent
STAND_IN: dict[str, Any] = runpy.run_path(str(DATA / "stand_in.py"))
MAKE_RECORD = runpy.run_path(str(DATA.parent / "conftest.py"))["make_record"]
HEADER = FeatureHeader(
    FeaturizeConfig(bands=BANDS_AUTO, pictures=True),
    1,
    (("all", 0, 7),),
    1,
    tuple("abcdefghi"),
    frame_version=1,
    bands_version=1,
    pictures_version=1,
)


@cache
def electronic(seed: int) -> ElectronicRecord:
    """Made-up bands."""
    made: ElectronicRecord = STAND_IN["electronic_record"](seed)
    return made


@cache
def picture(seed: int, *, confidence: float = 1.0) -> StoredPicture:
    """A drawing of made-up bands."""
    return StoredPicture(band_image(electronic(seed)), -3.0, 3.0, confidence, f"{seed}.png")


def crystal(number: int, *, bands: bool, n_pictures: int, confidence: float = 1.0) -> CrystalRecord:
    """A crystal with or without bands and pictures; those of another number are other bands.

    Of several pictures the first is the standard one of computed bands and the others are drawn in some style.
    """
    record: CrystalRecord = MAKE_RECORD(f"m{number:02}", n_atoms=2 + number % 7, n_nodes=1 + number % 2, seed=number)
    pictures = tuple(picture(number + 100 * k, confidence=confidence) for k in range(n_pictures))
    if n_pictures > 1:
        sources = (STANDARD, *map(str, range(n_pictures - 1)))
        pictures = tuple(replace(p, source=s, kind="styled") for p, s in zip(pictures, sources, strict=True))
    return replace(
        record,
        bands=pack_bands(electronic(number)) if bands else b"",
        pictures=pack_pictures(PictureSet(pictures)),
    )


def mixed(n: int) -> list[CrystalRecord]:
    """Crystals with both, bands, a picture and nothing: of four in turn, the first one has two pictures."""
    return [crystal(i, bands=i % 4 in {0, 1}, n_pictures=(2, 0, 1, 0)[i % 4]) for i in range(n)]


def write_features(path: Path, records: Sequence[CrystalRecord], header: FeatureHeader = HEADER) -> Path:
    """Write a feature file."""
    with FeatureWriter(path, header) as writer:
        writer.append(list(records))
        return writer.finish()


def write_labels(folder: Path, records: Sequence[CrystalRecord], n_test: int) -> None:
    """Write labels that follow from a descriptor, a split whose first crystals score, and three folds."""
    lines = [f"{r.material_id},{300.0 * float(np.exp(r.descriptors[0]))!r}" for r in records]
    (folder / "labels.csv").write_text("\n".join(["material_id,shc_max_abs", *lines]) + "\n", encoding="utf-8")
    ids = [record.material_id for record in records]
    splits = {
        "random": {"train": ids[n_test:], "val": ids[:n_test]},
        "cv": {material_id: i % 3 for i, material_id in enumerate(ids)},
    }
    (folder / "splits.json").write_text(json.dumps(splits), encoding="utf-8")
