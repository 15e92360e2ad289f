"""Teach the encoder of pictures of a trained model to disregard styles, without training the model anew.

Usage:
    python benchmarks/style_encoder.py --features features.h5 [--model FOLDER] [--output FOLDER] [--epochs N]

The feature file holds crystals that train, with pictures in random styles (`shc featurize --bands auto --styles N`). A
tenth of them, by chemical system, is not learned from; the distance of the tokens of their styled pictures from those
of their standard pictures is printed before and after. With --output the model is written with the new encoder; scores
and calibrations of its card that rest on pictures are those of the old one. `shc train` does the same as part of a
training.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from accuracy import print_card, print_provenance

from shc.featurize.store import FeatureFile
from shc.models.data import CrystalArrays
from shc.models.encoder_training import train_encoder
from shc.models.encoders.fast_picture import FastEncoder
from shc.models.ensemble import load_ensemble, newest_pretrained, save_ensemble
from shc.models.pictures import encode_pictures, read_usable
from shc.models.splits import held_out_parts
from shc.models.style_training import StyleTraining, drawn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shc.models.encoders.picture import PictureEncoder

CPU = torch.device("cpu")
PARTS = 10
LEARNING_RATE = 1e-3
FULL = 2.99
"""A picture that reaches so far up and down, eV, lacks nothing."""


def check(
    name: str, encoder: PictureEncoder, teacher: PictureEncoder, file: FeatureFile, rows: NDArray[np.int64]
) -> None:
    """Print how far tokens are from those that the teacher gives to the standard picture."""
    pairs = [(first, other) for first, *rest in map(drawn, read_usable(file, rows)) if rest for other in rest]
    wanted = encode_pictures(FastEncoder(teacher, CPU), [standard for standard, _ in pairs]).float()
    styled = encode_pictures(FastEncoder(encoder, CPU), [other for _, other in pairs]).float()
    kept = encode_pictures(FastEncoder(encoder, CPU), [standard for standard, _ in pairs]).float()
    away = ((styled - wanted) ** 2).mean((1, 2)).numpy()
    whole = np.array([other.e_min_ev <= -FULL and other.e_max_ev >= FULL for _, other in pairs])
    scalar = np.array([other.kind == "styled_scalar" for _, other in pairs])
    print(f"{name}: mean squared difference of tokens, {len(pairs)} pictures, variance {wanted.var(0).mean():.3f}")
    kinds = {"in styles": ~scalar, "of them with the whole window": ~scalar & whole, "no spin-orbit coupling": scalar}
    for kind, some in kinds.items():
        print(f"  {kind:32}{away[some].mean():.3f}")
    print(f"  {'standard pictures':32}{((kept - wanted) ** 2).mean():.3f}", flush=True)


def main() -> None:
    """Train, check and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=newest_pretrained())
    parser.add_argument("--output", type=Path)
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print_provenance(options)
    print_card(options.model)
    file, ensemble = FeatureFile.open(options.features), load_ensemble(options.model)
    if ensemble.picture is None:
        raise SystemExit("the model reads no pictures")
    rows = np.arange(len(file))
    held_out = held_out_parts(rows, CrystalArrays(file.read(rows)).chemical_system(), PARTS, options.seed)[0]
    config = replace(ensemble.card.picture, style_epochs=options.epochs, learning_rate=LEARNING_RATE)
    teacher = ensemble.picture
    training = StyleTraining(file, rows, np.setdiff1d(rows, held_out), teacher, config, options.seed, CPU)
    print(f"rows     {len(training.learned)} learned from, {len(held_out)} held out")
    check("before", teacher, teacher, file, held_out)
    with tempfile.TemporaryDirectory() as folder:
        encoder = train_encoder(
            training, Path(folder) / "styles", lambda: print(training.epoch, f"{training.losses[-1]:.4f}", flush=True)
        )
    check("after", encoder, teacher, file, held_out)
    if options.output is not None:
        card = replace(ensemble.card, picture=replace(ensemble.card.picture, style_epochs=options.epochs))
        options.output.mkdir(parents=True, exist_ok=True)
        save_ensemble(options.output, replace(ensemble, picture=encoder, card=card))


if __name__ == "__main__":
    main()
