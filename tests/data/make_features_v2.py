"""Write ``features_v2.h5``, the fossil of feature files of schema version 2.

Three of the example crystals with made-up bands, the last one without any. Once files of this version have been
released the fossil stays as it is: later programs must read it. Run as ``python tests/data/make_features_v2.py``.
"""

from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path

from shc.featurize.config import BANDS_AUTO, FeaturizeConfig
from shc.featurize.electronic import engine
from shc.featurize.electronic.run import BandsOutput, featurize_with_bands
from shc.featurize.pipeline import current_header
from shc.featurize.store_writer import FeatureWriter

DATA = Path(__file__).parent
NAMES = ("Pt", "GaAs", "Si")


def main() -> None:
    """Featurise and write."""
    engine.compute_bands = runpy.run_path(str(DATA / "stand_in.py"))["compute_bands"]
    config = FeaturizeConfig(bands=BANDS_AUTO, bands_budget=2.0)
    paths = [DATA.parents[1] / "examples" / f"{name}.cif" for name in NAMES]
    records, failures = featurize_with_bands(paths, config, BandsOutput(cache=None))
    if failures:
        raise SystemExit(str(failures))
    with FeatureWriter(DATA / "features_v2.h5", current_header(config), overwrite=True) as writer:
        writer.append([*records[:2], replace(records[2], bands=b"")])
        writer.finish()


if __name__ == "__main__":
    main()
