"""What each part of the model brings: the same small training with parts left out, scored on rows never trained on.

Usage:
    python benchmarks/ablation.py --features features.h5 [--model FOLDER] [--epochs N] [--seeds N] [--output FILE.csv]
    python benchmarks/ablation.py --features features.h5 --rows [--output FILE.csv]

The first form trains one network per arm and seed: everything; without the symmetry prompt; without spin-orbit strength
and valence configuration in the atoms and descriptors; without the built-in sigma(E); and bands alone, with a structure
that is the same for all crystals. What a network says without bands, from curves or from the picture alone gives the
other rows of the table. The second form trains on growing shares of the training rows, by chemical system. Pictures are
encoded by the encoder of the model, which learned from the training rows of the split only.

Results are appended to the output file, and trainings found there are not repeated. Exit code 3 if data are absent.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from accuracy import NO_DATA, data_path, labelled_rows, print_card, print_provenance

from shc.featurize.elements import FEATURE_NAMES
from shc.featurize.errors import ShcError
from shc.featurize.store import FeatureFile
from shc.models.config import TrainConfig
from shc.models.electronic_numbers import N_SHC
from shc.models.ensemble import load_ensemble, newest_pretrained
from shc.models.heads import moments
from shc.models.member import EVALUATION_BATCH, MemberTraining
from shc.models.metrics import score
from shc.models.modalities import SUBSETS
from shc.models.splits import held_out_parts
from shc.models.training_data import read_training_data, write_tokens

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from shc.models.config import ModelConfig
    from shc.models.data import CrystalArrays
    from shc.models.training_data import TrainingData

HELD_OUT_PARTS = 10
SHARES = (0.125, 0.25, 0.5, 1.0)
ATOM_COLUMNS = [k for k, name in enumerate(FEATURE_NAMES) if name.startswith(("valence", "vacancy", "soc", "has_soc"))]


class Case(NamedTuple):
    """Crystals of the split, ready to train on."""

    data: TrainingData
    labels: NDArray[np.float64]
    descriptor_names: tuple[str, ...]
    learn: NDArray[np.int64]
    """Indices of the rows to learn from."""
    held_out: NDArray[np.int64]
    """Those to stop on."""
    test: NDArray[np.int64]
    """Those that score."""
    model: ModelConfig


def everything(_: Case, __: MemberTraining) -> None:
    """Leave nothing out."""


def no_prompt(_: Case, training: MemberTraining) -> None:
    """The same symmetry prompt for all crystals."""
    training.arrays.prompt[:] = 0.0


def no_coupling(case: Case, training: MemberTraining) -> None:
    """Atoms and descriptors that say nothing of spin-orbit strength and valence configuration."""
    table = training.network.crystal.atom.table
    table[:, ATOM_COLUMNS] = 0.0
    told = [k for k, name in enumerate(case.descriptor_names) if any(w in name for w in ("valence", "vacancy", "soc"))]
    training.arrays.descriptors[:, told] = 0.0


def no_conductivity(_: Case, training: MemberTraining) -> None:
    """Curves of the density of states and the gap alone."""
    if training.arrays.bands is not None:
        training.arrays.bands.curves[:, :N_SHC] = 0.0


def bands_alone(_: Case, training: MemberTraining) -> None:
    """The same structure for all crystals."""
    arrays = training.arrays
    arrays.prompt[:], arrays.descriptors[:] = 0.0, 0.0
    arrays.node_z = np.full_like(arrays.node_z, 6)
    arrays.bonds.neighbours[:], arrays.bonds.weight[:] = 0, 0.0


ARMS: dict[str, Callable[[Case, MemberTraining], None]] = {
    "everything": everything,
    "without the prompt": no_prompt,
    "without spin-orbit and valence": no_coupling,
    "without sigma(E)": no_conductivity,
    "bands alone": bands_alone,
}


def read_case(options: argparse.Namespace) -> Case:
    """Read the crystals of the split, and encode their pictures if no earlier run did."""
    file = FeatureFile.open(data_path(options, options.features, "features.h5"))
    labelled, split, labels = labelled_rows(options, file)
    model_folder = options.model or newest_pretrained()
    print_card(model_folder)
    ensemble = load_ensemble(model_folder)
    if ensemble.card.split.name != options.split:
        raise SystemExit(f"the encoder of pictures was trained on split {ensemble.card.split.name}")
    rows = labelled[np.concatenate([split.train, split.test])]
    tokens = options.output.with_suffix(".tokens")
    if ensemble.picture is not None and not tokens.is_file():
        write_tokens(tokens, ensemble.picture, file, rows, torch.device("cpu"))
    train = np.arange(len(split.train))
    model = ensemble.card.model
    data = read_training_data(file, rows, train, model, tokens)
    held_out = held_out_parts(train, data.arrays.chemical_system()[: len(train)], HELD_OUT_PARTS, 0)[0]
    return Case(
        data,
        np.array([labels[file.material_ids[row]] for row in rows.tolist()]),
        file.header.descriptor_names,
        np.setdiff1d(train, held_out),
        held_out,
        np.arange(len(train), len(rows)),
        model,
    )


def train(case: Case, learn: NDArray[np.int64], arm: str, seed: int, epochs: int) -> MemberTraining:
    """Train one network."""
    config = replace(TrainConfig(), seed=seed, epochs=epochs, patience=epochs)
    torch.set_num_threads(1)
    training = MemberTraining(
        case.data.arrays,
        case.labels,
        learn,
        case.held_out,
        case.model,
        config,
        0,
        torch.device("cpu"),
        case.data.targets,
        case.data.tensors,
    )
    ARMS[arm](case, training)
    while not training.finished():
        training.run_epoch()
    training.network.load_state_dict(training.best)
    training.network.eval()
    return training


@torch.inference_mode()
def predict(training: MemberTraining, rows: NDArray[np.int64], subset: int) -> NDArray[np.float64]:
    """Point values of the network for some rows."""
    value = np.zeros(len(rows))
    place = {row: k for k, row in enumerate(rows.tolist())}
    arrays: CrystalArrays = training.arrays
    for chunk in arrays.by_size(rows, EVALUATION_BATCH):
        output = training.network.predict(arrays.batch(chunk, subset))
        middle = moments(training.grid, output.value_logits.double().softmax(dim=1).numpy())
        value[[place[row] for row in chunk.tolist()]] = 0.5 * (middle.mean + middle.median)
    return value


def share_of(case: Case, share: float, seed: int) -> NDArray[np.int64]:
    """A random share of the rows to learn from, by chemical system."""
    if share == 1.0:
        return case.learn
    systems = [case.data.arrays.chemical_system()[row] for row in case.learn.tolist()]
    return case.learn[held_out_parts(np.arange(len(systems)), systems, round(1.0 / share), seed)[0]]


def scores(case: Case, training: MemberTraining, head: tuple[object, ...]) -> list[tuple[object, ...]]:
    """Rows of the output file: scores by what the predictions rest on."""
    rows = []
    for subset in training.arrays.subsets(case.test):
        s = score(predict(training, case.test, subset), case.labels[case.test])
        rows.append((*head, SUBSETS[subset], f"{s.r2:.4f}", f"{s.mae:.2f}", f"{s.auc:.4f}"))
    return rows


def append(path: Path, rows: list[tuple[object, ...]]) -> None:
    """Add rows to the output file."""
    new = not path.is_file()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(("arm", "share", "seed", "n_rows", "from", "r2", "mae", "auc"))
        writer.writerows(rows)


def run(options: argparse.Namespace) -> None:
    """Train what is not in the output file yet; print the table."""
    done: set[tuple[str, str, str]] = set()
    if options.output.is_file():
        with options.output.open(encoding="utf-8", newline="") as file:
            done = {(row["arm"], row["share"], row["seed"]) for row in csv.DictReader(file)}
    arms = [("everything", share) for share in SHARES] if options.rows else [(arm, 1.0) for arm in ARMS]
    wanted = [(arm, share, seed) for seed in range(options.seeds) for arm, share in arms]
    left = [(arm, share, seed) for arm, share, seed in wanted if (arm, f"{share:g}", str(seed)) not in done]
    for number, (arm, share, seed) in enumerate(left):
        if number % options.parts == options.part:
            case = read_case(options)  # Arms change the arrays in place, so each reads its own.
            learn = share_of(case, share, seed)
            training = train(case, learn, arm, seed, options.epochs)
            append(options.output, scores(case, training, (arm, f"{share:g}", seed, len(learn))))
            print(f"{arm}, {len(learn)} rows, seed {seed}: done", flush=True)
    print_table(options.output)


def print_table(path: Path) -> None:
    """Mean and spread over seeds."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    groups: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    for row in rows:
        groups.setdefault((row["arm"], row["share"], row["from"]), []).append(row)
    print(f"\n{'arm':32}{'rows':>6} {'from':28}{'seeds':>6}{'R2':>16}{'MAE':>16}{'AUC(200)':>16}")
    for (arm, _, source), some in groups.items():
        columns = ""
        for name, digits in (("r2", 3), ("mae", 1), ("auc", 3)):
            values = np.array([float(row[name]) for row in some])
            columns += f"{f'{values.mean():.{digits}f} +- {values.std():.{digits}f}':>16}"
        print(f"{arm:32}{some[0]['n_rows']:>6} {source:28}{len(some):6}{columns}")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    environment = os.environ.get("SHC_DATA")
    parser.add_argument("--data", type=Path, default=Path(environment) if environment else None)
    parser.add_argument("--features", type=Path, required=True, help="feature file with computed bands and pictures")
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--splits", type=Path)
    parser.add_argument("--split", default="random")
    parser.add_argument("--model", type=Path, help="model folder; the shipped weights if not given")
    parser.add_argument("--epochs", type=int, default=18)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="printed only: seeds are 0, 1, ...")
    parser.add_argument("--rows", action="store_true", help="the curve over training rows")
    parser.add_argument("--part", type=int, default=0, help="which share of the trainings this process does")
    parser.add_argument("--parts", type=int, default=1, help="into how many processes they are dealt")
    parser.add_argument("--output", type=Path, default=Path("ablation.csv"))
    options = parser.parse_args()
    print_provenance(options)
    try:
        run(options)
    except ShcError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        sys.exit(NO_DATA if not options.features.is_file() else error.exit_code)


if __name__ == "__main__":
    main()
