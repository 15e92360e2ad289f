"""Write ``features_v3.h5``, the fossil of feature files of schema version 3.

Three of the example crystals with made-up bands and pictures, the last one without any. Once files of this version
have been released the fossil stays as it is: later programs must read it. Run as ``python
tests/data/make_features_v3.py``.
"""

from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path

from shc.featurize.band_image.codec import BadPicture, PictureSet, StoredPicture, encode
from shc.featurize.config import BANDS_AUTO, FeaturizeConfig
from shc.featurize.electronic import engine
from shc.featurize.electronic.codec import decode
from shc.featurize.electronic.picture import band_image
from shc.featurize.electronic.run import BandsOutput, featurize_with_bands
from shc.featurize.pipeline import current_header
from shc.featurize.store_writer import FeatureWriter

DATA = Path(__file__).parent
NAMES = ("Pt", "GaAs", "Si")


def main() -> None:
    """Featurise and write."""
    engine.compute_bands = runpy.run_path(str(DATA / "stand_in.py"))["compute_bands"]
    config = FeaturizeConfig(bands=BANDS_AUTO, bands_budget=2.0, pictures=True, styles=1)
    paths = [DATA.parents[1] / "examples" / f"{name}.cif" for name in NAMES]
    (platinum, arsenide, silicon), failures = featurize_with_bands(paths, config, BandsOutput(cache=None))
    if failures:
        raise SystemExit(str(failures))
    image = band_image(decode(platinum.bands))
    two = (
        StoredPicture(image, -3.0, 3.0, 1.0, "Pt.png"),
        StoredPicture(image[:, ::-1].copy(), -2.5, 1.5, 0.625, "0", "styled"),
    )
    one = (StoredPicture(band_image(decode(arsenide.bands)), -1.0, 3.0, 0.5, "1", "styled_scalar"),)
    bad = (BadPicture(0, "a.png: no energy axis was found", "give --energy-window"),)
    with FeatureWriter(DATA / "features_v3.h5", current_header(config), overwrite=True) as writer:
        writer.append(
            [
                replace(platinum, pictures=encode(PictureSet(two, (), bytes(range(32))))),
                replace(arsenide, pictures=encode(PictureSet(one, bad, bytes(range(32, 64))))),
                replace(silicon, bands=b""),
            ]
        )
        writer.finish()


if __name__ == "__main__":
    main()
