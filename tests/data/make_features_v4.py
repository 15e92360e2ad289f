"""Write ``features_v4.h5``, the fossil of feature files of schema version 4.

Three of the example crystals with their standard frames, the first one with made-up bands and a picture. Once files of
this version have been released the fossil stays as it is: later programs must read it. Run as ``python
tests/data/make_features_v4.py``.
"""

from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path

from shc.featurize.band_image.codec import PictureSet, StoredPicture, encode
from shc.featurize.config import BANDS_AUTO, FeaturizeConfig
from shc.featurize.electronic import engine
from shc.featurize.electronic.codec import decode
from shc.featurize.electronic.picture import band_image
from shc.featurize.electronic.run import BandsOutput, featurize_with_bands
from shc.featurize.pipeline import current_header
from shc.featurize.store_writer import FeatureWriter

DATA = Path(__file__).parent
NAMES = ("Pt", "Bi2Te3", "WTe2")


def main() -> None:
    """Featurise and write."""
    engine.compute_bands = runpy.run_path(str(DATA / "stand_in.py"))["compute_bands"]
    config = FeaturizeConfig(bands=BANDS_AUTO, bands_budget=2.0, pictures=True)
    paths = [DATA.parents[1] / "examples" / f"{name}.cif" for name in NAMES]
    (first, *others), failures = featurize_with_bands(paths, config, BandsOutput(cache=None))
    if failures:
        raise SystemExit(str(failures))
    picture = StoredPicture(band_image(decode(first.bands)), -3.0, 3.0, 1.0, "Pt.png")
    with FeatureWriter(DATA / "features_v4.h5", current_header(config), overwrite=True) as writer:
        writer.append([replace(first, pictures=encode(PictureSet((picture,), (), bytes(range(32)))))])
        writer.append([replace(record, bands=b"") for record in others])
        writer.finish()


if __name__ == "__main__":
    main()
