"""How much accuracy is lost when a figure looks other than the pictures of our own.

Usage:
    python benchmarks/picture_styles.py --features features.h5 [--model FOLDER] [--rows N] [--seed S]

The crystals are the rows of the split that the training never saw; the feature file must hold their computed bands.
Each crystal is predicted from its structure and one picture of its bands: the standard one, one in a random style of
the kind that training draws, one in the style of a program that training never drew, and without spin-orbit coupling.
Pictures in a style are drawn as a figure, normalised with the energy axis told, and predicted with whatever the
normaliser made of them; a crystal whose picture was not understood is predicted from its structure, as for a user.

Exit code 3 if data are absent.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from accuracy import HEADER, NO_DATA, Result, data_path, labelled_rows, line, print_card, print_provenance, result_of

from shc.featurize.band_image.codec import StoredPicture
from shc.featurize.band_image.style_choices import UNSEEN
from shc.featurize.band_image.style_pictures import styled_pictures, training_style
from shc.featurize.band_image.styles import random_style
from shc.featurize.electronic.picture import band_image
from shc.featurize.electronic.record import BAND_RANGE
from shc.featurize.errors import ShcError
from shc.featurize.store import FeatureFile
from shc.models.ensemble import newest_pretrained
from shc.models.inference import Predictor, load_predictor

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from shc.featurize.band_image.styles import Style
    from shc.featurize.electronic.record import ElectronicRecord

    Pictures = tuple[StoredPicture, ...]


def unseen_style(rng: np.random.Generator) -> Style:
    """The style of a program that training never drew."""
    style = random_style(rng)
    while style.program not in UNSEEN:
        style = random_style(rng)
    return style


def without_coupling(record: ElectronicRecord) -> ElectronicRecord:
    """The same crystal as a calculation without spin-orbit coupling shows it."""
    return replace(record, energy=record.scalar_energy)


def standard(record: ElectronicRecord, _seed: int) -> Pictures:
    """The picture that `shc bands` draws."""
    return (StoredPicture(band_image(record), -BAND_RANGE, BAND_RANGE, 1.0, "standard"),)


def in_style(
    choose: Callable[[np.random.Generator], Style], *, scalar: bool
) -> Callable[[ElectronicRecord, int], Pictures]:
    """A way to draw one picture in a style, with or without spin-orbit coupling."""

    def chosen(rng: np.random.Generator) -> Style:
        return replace(choose(rng), scalar=scalar, zero_at_valence=False)

    def draw(record: ElectronicRecord, seed: int) -> Pictures:
        found = styled_pictures(record, seed, 1, chosen)
        return tuple(StoredPicture.of(picture, "drawn") for picture, _ in found)

    return draw


KINDS: dict[str, Callable[[ElectronicRecord, int], Pictures]] = {
    "standard picture": standard,
    "random style of the training kind": in_style(training_style, scalar=False),
    f"programs never drawn ({', '.join(UNSEEN)})": in_style(unseen_style, scalar=False),
    "standard picture, no spin-orbit": lambda record, seed: standard(without_coupling(record), seed),
    "random style, no spin-orbit": in_style(training_style, scalar=True),
}


def scored_rows(options: argparse.Namespace, file: FeatureFile) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows of the feature file that only score and have bands, and their labels."""
    labelled, split, labels = labelled_rows(options, file)
    rows = labelled[split.test]
    rows = rows[file.has_bands(rows)][: options.rows]
    return rows, np.array([labels[file.material_ids[row]] for row in rows.tolist()])


def predict(
    predictor: Predictor,
    file: FeatureFile,
    rows: NDArray[np.int64],
    label: NDArray[np.float64],
    pictures: list[Pictures],
) -> tuple[Result, float]:
    """Predictions from structure and pictures, and the share of crystals whose picture was used."""
    found = predictor.predict_batch(replace(file.read(rows), pictures=pictures)).predictions
    used = float(np.mean(["picture" in row.modalities for row in found]))
    return result_of(found, label), used


def compare(options: argparse.Namespace) -> None:
    """Print the scores by kind of picture."""
    file = FeatureFile.open(data_path(options, options.features, "features.h5"))
    folder = options.model or newest_pretrained()
    predictor = load_predictor(folder, "cpu")
    print_card(folder)
    rows, label = scored_rows(options, file)
    records = [record for record in file.bands(rows) if record is not None]
    print(f"rows     {len(rows)} of split {options.split}, none of them trained on\n")
    print(f"{HEADER}{'picture used':>14}")
    result, used = predict(predictor, file, rows, label, [()] * len(rows))
    print(f"{line('no picture', result)}{100 * used:12.1f} %")
    reference = None
    for name, draw in KINDS.items():
        pictures = [draw(record, options.seed + 1_000_000 + number) for number, record in enumerate(records)]
        result, used = predict(predictor, file, rows, label, pictures)
        r2 = result.scores().r2
        reference = r2 if reference is None else reference
        print(f"{line(name[:34], result)}{100 * used:12.1f} %   R2 against standard {r2 - reference:+.3f}", flush=True)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    environment = os.environ.get("SHC_DATA")
    parser.add_argument("--data", type=Path, default=Path(environment) if environment else None)
    parser.add_argument("--features", type=Path, required=True, help="feature file with computed bands")
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--splits", type=Path)
    parser.add_argument("--split", default="random")
    parser.add_argument("--model", type=Path, help="model folder; the shipped weights if not given")
    parser.add_argument("--rows", type=int, help="only so many crystals")
    parser.add_argument("--seed", type=int, default=0, help="seed of the styles")
    options = parser.parse_args()
    print_provenance(options)
    try:
        compare(options)
    except ShcError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        sys.exit(NO_DATA if not options.features.is_file() else error.exit_code)


if __name__ == "__main__":
    main()
