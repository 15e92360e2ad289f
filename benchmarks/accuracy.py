"""Accuracy on labelled crystals that the model has not been trained on.

Usage:
    python benchmarks/accuracy.py [--features features.h5] [--model FOLDER] [--coverage] [--plot parity.png]
    python benchmarks/accuracy.py --cv RUNS_FOLDER

Labels, splits and crystals are taken from the folder that --data or SHC_DATA names (shc_dev_labels.csv,
splits.json, shc_dev_cifs.zip) unless --labels, --splits and --features say otherwise. The first form scores the
shipped weights on the rows of a split that its training never saw, for all that a prediction may rest on and the
feature file holds; without --features the crystals are featurised with their bands. The second pools the
predictions.csv of the fold runs that `shc train --split cv5_chemical_system --fold k` wrote into folders below
RUNS_FOLDER. Beside the parity plots the first form draws the residuals by crystal system, heaviest element and size.

Exit code 3 if data or runs are absent.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import platform
import shlex
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from shc.featurize.errors import ShcError
from shc.featurize.store import FeatureFile
from shc.models.assembly import showing
from shc.models.card import read_card
from shc.models.ensemble import CARD_FILE, newest_pretrained
from shc.models.inference import Predictor, load_predictor
from shc.models.labels import read_labels
from shc.models.metrics import Scores, covered, score
from shc.models.modalities import SUBSETS
from shc.models.plots import parity_plot, residual_plot
from shc.models.splits import Split, read_split
from shc.models.training_files import PREDICTIONS_FILE
from shc.models.uncertainty import fit_calibration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from shc.featurize.store import FeatureBatch
    from shc.models.prediction import Prediction

NO_DATA = 3
N_SPLITS = 20
SYSTEMS = ("1 tri", "2 mono", "3 ortho", "4 tetra", "5 trig", "6 hex", "7 cubic")
FIRST_GROUP = (1, 3, 16, 75, 143, 168, 195)
"""First space group of each crystal system."""
PERIODS = ("period 2", "period 3", "period 4", "period 5", "period 6+")
FIRST_OF_PERIOD = (1, 11, 19, 37, 55)
SIZES = ("1: < 10", "2: < 100", "3: < 300", "4: < 1000", "5: more")
FIRST_OF_SIZE = (0.0, 10.0, 100.0, 300.0, 1000.0)
"""Least label of each group, (hbar/e) S/cm."""


class Result(NamedTuple):
    """Labels and predictions of n crystals, (hbar/e) S/cm."""

    label: NDArray[np.float64]
    value: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    magnetic: NDArray[np.bool_]
    """Whether the crystal holds Cr, Mn, Fe, Co or Ni."""

    def take(self, rows: NDArray[np.bool_]) -> Result:
        """Some of the crystals."""
        return Result(self.label[rows], self.value[rows], self.lower[rows], self.upper[rows], self.magnetic[rows])

    def scores(self) -> Scores:
        """Scores of the point values."""
        return score(self.value, self.label)

    def coverage(self) -> float:
        """Share of labels inside the intervals."""
        return covered(self.lower, self.upper, self.label)


def join(parts: Sequence[Result]) -> Result:
    """All crystals of several results."""
    return Result(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


HEADER = f"{'':34}{'n':>6}{'R2':>8}{'MAE':>8}{'RMSE':>8}{'AUC(200)':>10}{'Spearman':>10}{'cover 90 %':>12}"


def line(name: str, result: Result) -> str:
    """One row of the table of scores."""
    s = result.scores()
    return (
        f"{name:34}{s.n:6}{s.r2:8.3f}{s.mae:8.1f}{s.rmse:8.1f}{s.auc:10.3f}{s.spearman:10.3f}"
        f"{100 * result.coverage():11.1f}%"
    )


def print_table(result: Result) -> None:
    """Print the scores of all crystals, and of those with and without magnetic elements."""
    print(HEADER)
    print(line("all", result))
    for name, rows in (("without", ~result.magnetic), ("with", result.magnetic)):
        if rows.any():
            print(line(f"{name} Cr, Mn, Fe, Co or Ni", result.take(rows)))


def print_provenance(options: argparse.Namespace) -> None:
    """Print what is needed to repeat the run."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("shc-predict", "torch", "numpy"))
    print(f"command  python {shlex.join(sys.argv)}")
    print(f"date     {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, seed {options.seed}")
    print(f"versions Python {platform.python_version()}, {packages}, {platform.machine()}")


def print_card(folder: Path) -> None:
    """Print which weights are scored."""
    card = read_card(folder / CARD_FILE)
    sha = hashlib.sha256((folder / CARD_FILE).read_bytes()).hexdigest()
    fold = "" if card.split.fold is None else f" fold {card.split.fold}"
    print(f"weights  {card.name} {card.version}, {card.created}, card sha256 {sha[:16]}")
    print(f"trained  on {card.split.n_train} rows of split {card.split.name}{fold}, seed {card.train.seed}")


def give_up(message: str) -> SystemExit:
    """Say what is missing; leave with code 3."""
    print(f"{message}; nothing was measured", file=sys.stderr)
    return SystemExit(NO_DATA)


def data_path(options: argparse.Namespace, given: Path | None, name: str) -> Path:
    """A file of the data: as given, else from the data folder."""
    if given is None and options.data is None:
        raise give_up(f"no {name}: give --data or set SHC_DATA")
    path: Path = given if given is not None else options.data / name
    if not path.is_file():
        raise give_up(f"{path} does not exist")
    return path


def open_features(options: argparse.Namespace, wanted: Sequence[str], folder: Path) -> FeatureFile:
    """Open the feature file, or featurise the wanted crystals, with their bands, into a temporary one."""
    if options.features is not None:
        return FeatureFile.open(data_path(options, options.features, "features.h5"))
    from shc.featurize.config import BANDS_AUTO, FeaturizeConfig
    from shc.featurize.electronic.cache import cache_folder
    from shc.featurize.electronic.run import BandsOutput
    from shc.featurize.pipeline import featurize_sources

    archive = data_path(options, None, "shc_dev_cifs.zip")
    with zipfile.ZipFile(archive) as content:
        content.extractall(folder / "cifs")
    paths = {path.stem: path for path in (folder / "cifs").rglob("*.cif")}
    listing = folder / "cifs.txt"
    listing.write_text("\n".join(str(paths[name]) for name in wanted if name in paths))
    bands, config = BandsOutput(cache=cache_folder()), FeaturizeConfig(bands=BANDS_AUTO)
    summary = featurize_sources([str(listing)], folder / "features.h5", config, bands=bands)
    print(f"featurised {summary.n_done} crystals with their bands, {summary.n_failed} failed")
    return FeatureFile.open(folder / "features.h5")


@dataclass(frozen=True, slots=True)
class Rows:
    """Labelled crystals that the training never saw."""

    file: FeatureFile
    file_rows: NDArray[np.int64]
    label: NDArray[np.float64]


def scored_rows(options: argparse.Namespace, folder: Path) -> Rows:
    """The rows of the split that only score."""
    labels = read_labels(data_path(options, options.labels, "shc_dev_labels.csv"))
    splits = data_path(options, options.splits, "splits.json")
    every = list(labels)
    wanted = [every[row] for row in read_split(splits, options.split, options.fold, every).test.tolist()]
    file = open_features(options, wanted, folder)
    place = {name: row for row, name in enumerate(file.material_ids)}
    names = [name for name in wanted if name in place]
    print(f"rows     {len(names)} of split {options.split}, none of them trained on")
    return Rows(file, np.array([place[name] for name in names]), np.array([labels[name] for name in names]))


def labelled_rows(options: argparse.Namespace, file: FeatureFile) -> tuple[NDArray[np.int64], Split, dict[str, float]]:
    """Rows of a feature file that have a label, the split of them, and all labels by material id.

    The file may hold only those crystals of the split that train, or only those that score.
    """
    labels = read_labels(data_path(options, options.labels, "shc_dev_labels.csv"))
    rows = [row for row, name in enumerate(file.material_ids) if name in labels]
    place = {file.material_ids[row]: index for index, row in enumerate(rows)}
    every = list(labels)
    whole = read_split(data_path(options, options.splits, "splits.json"), options.split, None, every)
    parts = ([place[every[k]] for k in part.tolist() if every[k] in place] for part in (whole.train, whole.test))
    return np.array(rows), Split(*(np.array(sorted(part), dtype=np.int64) for part in parts)), labels


def predict(predictor: Predictor, rows: Rows, name: str) -> tuple[FeatureBatch, Result]:
    """Predictions of the model as a user gets them, where they rest on one of ``SUBSETS``."""
    predictor.ensemble.check_features(rows.file.header, str(rows.file.path))
    features, some = showing(rows.file, rows.file_rows, name)
    return features, result_of(predictor.predict(features), rows.label[some])


def result_of(found: Sequence[Prediction], label: NDArray[np.float64]) -> Result:
    """Predictions of crystals beside their labels."""
    value, lower, upper = (
        np.array([getattr(row, column) for row in found]) for column in ("shc_max_abs", "shc_lower", "shc_upper")
    )
    magnetic = np.array(["magnetic" in row.flags.split(";") for row in found], dtype=np.bool_)
    return Result(label, value, lower, upper, magnetic)


def print_coverage(predictor: Predictor, features: FeatureBatch, result: Result, seed: int) -> None:
    """Calibrate on one random half of the rows, look at the other; and the same halves with shipped intervals."""
    raw = predictor.distributions(features)
    ensemble, rng = predictor.ensemble, np.random.default_rng(seed)
    level, threshold = ensemble.card.calibration.coverage, ensemble.card.train.finite_threshold
    fresh, shipped, width = [], [], []
    for _ in range(N_SPLITS):
        order = rng.permutation(len(result.label))
        fit, look = order[: len(order) // 2], order[len(order) // 2 :]
        calibration = fit_calibration(
            ensemble.grid,
            raw.probability[fit],
            raw.p_finite[fit],
            result.label[fit],
            coverage=level,
            finite_threshold=threshold,
        )
        estimate = calibration.apply(ensemble.grid, raw.probability[look], raw.p_finite[look])
        fresh.append(covered(estimate.lower, estimate.upper, result.label[look]))
        width.append(float((estimate.upper - estimate.lower).mean()))
        shipped.append(covered(result.lower[look], result.upper[look], result.label[look]))
    print(f"\ncoverage of {100 * level:g} % intervals, {N_SPLITS} random halves of {len(result.label)} rows")
    for name, shares, mean_width in (
        ("calibrated on the other half", fresh, float(np.mean(width))),
        ("shipped calibration", shipped, float((result.upper - result.lower).mean())),
    ):
        print(
            f"{name:34}{100 * np.mean(shares):6.1f} % +- {100 * np.std(shares):.1f} %, "
            f"mean width {mean_width:.0f} (hbar/e) S/cm"
        )


def read_predictions(path: Path, name: str) -> tuple[list[str], Result]:
    """Ids and predictions of one fold run, where they rest on one of ``SUBSETS``."""
    with path.open(encoding="utf-8", newline="") as file:
        every = csv.DictReader(row for row in file if not row.startswith("#"))
        table = [row for row in every if row["modalities"] == name]
    label, value, lower, upper = (
        np.array([float(row[name]) for row in table]) for name in ("label", "shc_max_abs", "shc_lower", "shc_upper")
    )
    magnetic = np.array(["magnetic" in row["flags"].split(";") for row in table], dtype=np.bool_)
    return [row["material_id"] for row in table], Result(label, value, lower, upper, magnetic)


def score_folds(options: argparse.Namespace) -> None:
    """Pool the predictions of the fold runs; print them and the spread over the folds."""
    paths = sorted(options.cv.glob(f"*/{PREDICTIONS_FILE}"))
    if not paths:
        raise give_up(f"no {PREDICTIONS_FILE} in folders below {options.cv}")
    numbers = []
    for path in paths:
        numbers.append(read_card(path.parent / CARD_FILE).split.fold)
        print_card(path.parent)
    if None in numbers or len(set(numbers)) < len(numbers):
        raise SystemExit(f"folds {numbers}: a folder is no fold, or the fold of another one")
    for name in SUBSETS:
        folds = [read_predictions(path, name) for path in paths]
        if all(ids for ids, _ in folds):
            ids = [material_id for found, _ in folds for material_id in found]
            if len(set(ids)) < len(ids):
                raise SystemExit("a crystal lies in two folds")
            score_pooled(options, name, [path.parent.name for path in paths], [result for _, result in folds])


def score_pooled(options: argparse.Namespace, name: str, labels: Sequence[str], folds: Sequence[Result]) -> None:
    """Print the scores of folds, their spread and their pool."""
    print(f"\nfrom {name}\n{HEADER}")
    for label, fold in zip(labels, folds, strict=True):
        print(line(label, fold))
    table = np.array([fold.scores() for fold in folds])
    names = ("R2", "MAE", "RMSE", "AUC(200)", "Spearman")
    spread = [f"{n} {m:.3g} +- {s:.2g}" for n, m, s in zip(names, table.mean(0)[1:], table.std(0)[1:], strict=True)]
    print(f"\nmean +- standard deviation over {len(folds)} folds: {', '.join(spread)}")
    print("\npooled over folds")
    pooled = join(folds)
    print_table(pooled)
    draw(options, pooled, name, f"{len(pooled.label)} crystals, each predicted by models of the other folds")


def draw(options: argparse.Namespace, result: Result, name: str, title: str) -> None:
    """Write the parity plot."""
    s = result.scores()
    target: Path = options.plot.with_stem(f"{options.plot.stem}_{name.replace('+', '_')}")
    heading = f"{title}, from {name.replace('+', ' + ')}\nR2 {s.r2:.3f}, MAE {s.mae:.1f}"
    path = parity_plot(result.label, result.value, target, title=heading)
    print(f"\nparity plot: {path or 'not drawn, matplotlib is not installed'}")


def group_of(value: float, first: Sequence[float], names: Sequence[str]) -> str:
    """The group that a value lies in, by the least value of each."""
    return names[int(np.searchsorted(first, value, side="right")) - 1]


def draw_residuals(options: argparse.Namespace, features: FeatureBatch, result: Result, name: str) -> None:
    """Write the plot of the residuals by group."""
    atoms = np.split(features.atomic_number, features.atom_offsets[1:-1])
    heaviest = np.array([part.max() for part in atoms])
    groups = {
        "crystal system": [group_of(n, FIRST_GROUP, SYSTEMS) for n in features.space_group_number],
        "heaviest element": [group_of(z, FIRST_OF_PERIOD, PERIODS) for z in heaviest],
        "label": [group_of(y, FIRST_OF_SIZE, SIZES) for y in result.label],
    }
    target: Path = options.plot.with_stem(f"{options.plot.stem}_residuals_{name.replace('+', '_')}")
    path = residual_plot(result.value - result.label, groups, target, title=f"from {name.replace('+', ' + ')}")
    print(f"residuals: {path or 'not drawn, matplotlib is not installed'}")


def score_weights(options: argparse.Namespace) -> None:
    """Score a model on rows it was not trained on."""
    # Missing data are told before minutes go into featurising.
    data_path(options, options.labels, "shc_dev_labels.csv")
    data_path(options, options.splits, "splits.json")
    folder = options.model or newest_pretrained()
    predictor = load_predictor(folder, options.device)
    print_card(folder)
    split = predictor.ensemble.card.split
    if (split.name, split.fold) != (options.split, options.fold):
        raise SystemExit(f"the weights were trained on split {split.name}: its rows may be among those to score")
    with tempfile.TemporaryDirectory() as temporary:
        rows = scored_rows(options, Path(temporary))
        for name in predictor.ensemble.calibrations:
            features, result = predict(predictor, rows, name)
            if len(features) == 0:
                continue
            print(f"\nfrom {name}")
            print_table(result)
            if options.coverage:
                print_coverage(predictor, features, result, options.seed)
            draw(options, result, name, f"{len(result.label)} crystals never trained on")
            draw_residuals(options, features, result, name)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    environment = os.environ.get("SHC_DATA")
    parser.add_argument("--data", type=Path, default=Path(environment) if environment else None)
    parser.add_argument("--features", type=Path, help="feature file; made from the CIFs of --data if not given")
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--splits", type=Path)
    parser.add_argument("--split", default="random")
    parser.add_argument("--fold", type=int)
    parser.add_argument("--model", type=Path, help="model folder; the shipped weights if not given")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--coverage", action="store_true", help="check the intervals on random halves")
    parser.add_argument("--cv", type=Path, help="folder of fold runs to pool")
    parser.add_argument("--plot", type=Path, default=Path("parity.png"), help="parity plot to write")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random halves")
    options = parser.parse_args()
    print_provenance(options)
    try:
        if options.cv is not None:
            score_folds(options)
        else:
            score_weights(options)
    except ShcError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
