"""What groups of features are worth to the trees: composition, spin-orbit coupling, structure, symmetry.

Usage:
    python benchmarks/importance.py --features features.h5 [--cache matminer.npz] [--plot importance.png]

The forest reads matminer's features, gradient boosting those of the feature file. Both are fitted to the rows that
train; each of these rows is predicted by the one member that did not learn from it, and the features of a group are
permuted together. The rows of the split that only score are not touched.

Exit code 3 if data are absent.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from accuracy import NO_DATA, data_path, labelled_rows, print_provenance

from shc.featurize.errors import ShcError
from shc.featurize.store import FeatureFile
from shc.models.baselines.boosting import BoostingConfig, train_boosting
from shc.models.baselines.forest import ForestConfig, train_forest
from shc.models.baselines.importance import group_importance
from shc.models.baselines.matminer_features import matminer_table
from shc.models.baselines.table import feature_table
from shc.models.data import CrystalArrays
from shc.models.plots import importance_plot

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shc.models.baselines.cross_fit import CrossFit
    from shc.models.baselines.table import FeatureTable

MEMBERS = 5
PERMUTATIONS = 5


def silent(_count: int) -> None:
    """Report nothing."""


def show(
    name: str, fitted: CrossFit, table: FeatureTable, labels: NDArray[np.float64], options: argparse.Namespace
) -> None:
    """Print what each group is worth, and draw it."""
    found = group_importance(fitted, table, labels, PERMUTATIONS, options.seed)
    print(f"\n{name}, {MEMBERS} members, {PERMUTATIONS} permutations")
    print(f"{'group':16}{'features':>9}{'rise of RMSE':>18}{'drop of R2':>18}")
    for each in found:
        rise, drop = each.rmse_rise, each.r2_drop
        rises, drops = f"{rise.mean():.1f} +- {rise.std():.1f}", f"{drop.mean():.3f} +- {drop.std():.3f}"
        print(f"{each.group:16}{each.n_features:9}{rises:>18}{drops:>18}")
    target = options.plot.with_stem(f"{options.plot.stem}_{name.split(maxsplit=1)[0]}")
    drawn = importance_plot([each.group for each in found], [each.rmse_rise for each in found], target, title=name)
    print(f"plot: {drawn or 'not drawn, matplotlib is not installed'}")


def measure(options: argparse.Namespace) -> None:
    """Fit both and print the importance of their groups."""
    file = FeatureFile.open(data_path(options, options.features, "features.h5"))
    rows, split, by_id = labelled_rows(options, file)
    train = rows[split.train]
    features = file.read(train)
    labels = np.array([by_id[name] for name in features.material_id])
    systems, every = CrystalArrays(features).chemical_system(), np.arange(len(train))
    print(f"rows     {len(train)} that train, of split {options.split}")
    table = matminer_table(features, options.cache, silent)
    forest = train_forest(table, labels, every, systems, ForestConfig(n_members=MEMBERS), silent)
    show("forest on matminer's features", forest, table, labels, options)
    table = feature_table(features, file.header)
    boosting = train_boosting(table, labels, every, systems, BoostingConfig(n_members=MEMBERS), silent)
    show("boosting on the features of the file", boosting, table, labels, options)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    environment = os.environ.get("SHC_DATA")
    parser.add_argument("--data", type=Path, default=Path(environment) if environment else None)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--splits", type=Path)
    parser.add_argument("--split", default="random")
    parser.add_argument("--cache", type=Path, default=Path("matminer.npz"), help="keeps matminer's features")
    parser.add_argument("--plot", type=Path, default=Path("importance.png"))
    parser.add_argument("--seed", type=int, default=0, help="seed of the permutations")
    options = parser.parse_args()
    print_provenance(options)
    try:
        measure(options)
    except ShcError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        sys.exit(NO_DATA if not options.features.is_file() else error.exit_code)


if __name__ == "__main__":
    main()
