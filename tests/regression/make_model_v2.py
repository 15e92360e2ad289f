"""Write ``model_v2/``, the fossil of model format 2: networks that read curves and pictures and say a tensor.

Once a model of this format has been released the fossil stays as it is: later programs must read it and predict
the same. Run it from the root of the project: ``python tests/regression/make_model_v2.py``.
"""

from __future__ import annotations

import json
import runpy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shc.featurize.store import FeatureFile
from shc.models.ensemble import load_ensemble, save_ensemble
from shc.models.inference import Predictor
from shc.models.modalities import CURVES, PICTURE, SUBSETS

if TYPE_CHECKING:
    from shc.featurize.store import FeatureBatch

HERE = Path(__file__).parent
FOSSIL = HERE / "model_v2"
DATA = HERE.parent / "data"


def showing(file: FeatureFile, subset: str) -> FeatureBatch:
    """The crystals of a file with what a name of ``SUBSETS`` allows."""
    rows = slice(None)
    return replace(
        file.read(rows),
        bands=file.bands(rows) if CURVES in subset else None,
        pictures=file.pictures(rows) if PICTURE in subset else None,
    )


def predictions(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """What a model says of the fossil of feature files, by what it is shown."""
    file, predictor = FeatureFile.open(DATA / "features_v4.h5"), Predictor(load_ensemble(folder), tensor=True)
    return {name: [row._asdict() for row in predictor.predict(showing(file, name))] for name in SUBSETS}


def main() -> None:
    """Write weights, card and what they predict for the fossil of the feature file."""
    tiny = runpy.run_path(str(DATA / "tiny_model.py"))
    header = FeatureFile.open(DATA / "features_v4.h5").header
    sizes = header.prompt_fields[-1][2], len(header.descriptor_names)
    save_ensemble(FOSSIL, tiny["tiny_ensemble"](*sizes, seed=12, model=tiny["FUSED"]))
    (FOSSIL / "expected.json").write_text(json.dumps(predictions(FOSSIL)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
