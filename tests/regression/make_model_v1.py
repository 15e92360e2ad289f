"""Write ``model_v1/``, the fossil of model format 1.

Once a model of this format has been released the fossil stays as it is: later programs must read it and predict
the same. Run it from the root of the project: ``python tests/regression/make_model_v1.py``.
"""

from __future__ import annotations

import json
import runpy
from pathlib import Path

from shc.featurize.store import FeatureFile
from shc.models.ensemble import load_ensemble, save_ensemble
from shc.models.inference import Predictor

HERE = Path(__file__).parent
DATA = HERE.parent / "data"


def main() -> None:
    """Write weights, card and what they predict for the fossil of the feature file."""
    folder = HERE / "model_v1"
    tiny = runpy.run_path(str(DATA / "tiny_model.py"))
    save_ensemble(folder, tiny["tiny_ensemble"](7, 9, seed=11))
    features = FeatureFile.open(DATA / "features_v1.h5").load_all()
    rows = Predictor(load_ensemble(folder)).predict(features)
    text = json.dumps([row._asdict() for row in rows], indent=1)
    (folder / "expected.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
