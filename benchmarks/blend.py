r"""What a mean of our networks and gradient boosting would bring, on training rows that neither learned from.

    shc benchmark --data bands.h5 --labels L --splits S --split cv5_chemical_system --fold 0 \
        --models shc,boosting_bands -o runs/fold0
    python benchmarks/blend.py runs/fold0 --data bands.h5 --labels L --splits S --split cv5_chemical_system --fold 0

Of each crystal: the one network and the one fit of boosting that held its chemical system out. No row that scores is
looked at.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from shc.models.baselines.boosting import BoostingConfig
from shc.models.benchmark import Crystals, Task, read_crystals
from shc.models.checkpoint import load_tensors
from shc.models.labels import read_rows
from shc.models.metrics import score
from shc.models.splits import held_out_parts
from shc.models.training_files import OOF_FILE

WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Share of our networks in the mean."""


def boosting_held_out(folder: Path, crystals: Crystals) -> dict[str, float]:
    """SHC of every training crystal by the fit that did not learn from it, (hbar/e) S/cm: mean of both targets."""
    config = BoostingConfig()
    parts = held_out_parts(crystals.train, crystals.systems, config.n_members, config.seed)
    said: dict[str, float] = {}
    for number, part in enumerate(part for part in parts if len(part)):
        files = (folder / "members" / f"{number:02d}_{target}.safetensors" for target in ("raw", "sqrt"))
        answers = np.mean([load_tensors(file)[0]["answers"].numpy()[: len(part)] for file in files], axis=0)
        said |= {
            crystals.features.material_id[row]: value
            for row, value in zip(part.tolist(), answers.tolist(), strict=True)
        }
    return said


def main() -> None:
    """Print scores of the mean for several weights, for each thing that our predictions rest on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    for option in ("--data", "--labels", "--splits"):
        parser.add_argument(option, type=Path, required=True)
    parser.add_argument("--split", default="random")
    parser.add_argument("--fold", type=int)
    options = parser.parse_args()
    task = Task(options.data, options.labels, options.splits, options.split, options.fold, 1)
    boosting = boosting_held_out(options.run / "boosting_bands", read_crystals(task))
    header, *rows = read_rows(options.run / "shc" / OOF_FILE, "predictions")
    columns = ("material_id", "label", "shc_max_abs", "modalities")
    name, label, value, rests_on = [header.index(column) for column in columns]
    print("| our predictions rest on | n | share of ours | R2 | MAE | AUC(200) |\n|---|---|---|---|---|---|")
    for kind in dict.fromkeys(row[rests_on] for row in rows):
        some = [row for row in rows if row[rests_on] == kind]
        labels = np.array([float(row[label]) for row in some])
        ours = np.array([float(row[value]) for row in some])
        theirs = np.array([boosting[row[name]] for row in some])
        for weight in WEIGHTS:
            found = score(weight * ours + (1.0 - weight) * theirs, labels)
            print(f"| {kind} | {found.n} | {weight:.2f} | {found.r2:.4f} | {found.mae:.2f} | {found.auc:.4f} |")


if __name__ == "__main__":
    main()
