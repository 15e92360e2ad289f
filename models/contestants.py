"""Who takes part in the benchmark: our model, graph networks of the literature, forests and boosting."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
from safetensors import safe_open

from shc.models.baselines.boosting import BoostingConfig, train_boosting
from shc.models.baselines.forest import ForestConfig, train_forest
from shc.models.baselines.kept_fits import Keep
from shc.models.baselines.matminer_features import matminer_table
from shc.models.baselines.networks import NETWORKS
from shc.models.baselines.table import feature_table
from shc.models.baselines.training import train_baseline
from shc.models.benchmark import Contestant, Fitted, settings_of
from shc.models.config import ModelConfig, TrainConfig
from shc.models.training import train
from shc.models.training_files import MEMBERS_FOLDER, RELEASE_FILES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from shc.models.baselines.networks import Network
    from shc.models.baselines.table import FeatureTable
    from shc.models.benchmark import Crystals, Steps, Task

OURS: Final = "shc"
"""Name of our own model."""
MATMINER_CACHE: Final = "matminer.npz"
"""Features of the forest, in the folder of the run."""


def contestants(*, with_bands: bool) -> dict[str, Contestant]:
    """All that can take part, by the name of their folder, ours first.

    Args:
        with_bands: Whether the feature file holds bands; without, boosting on electronic structure is left out.
    """
    found = {OURS: Contestant("SHCTransformer", {"train": settings_of(TrainConfig())}, _ours)}
    found["boosting"] = _trees("Gradient boosting", BoostingConfig(), _boosting)
    if with_bands:
        found["boosting_bands"] = _trees("Gradient boosting + built-in sigma(E)", BoostingConfig(), _boosting_bands)
    found["forest"] = _trees("Matminer + extremely randomised trees", ForestConfig(), _forest)
    return found | {name: _network(network) for name, network in NETWORKS.items()}


def _trees(title: str, config: object, fit: Callable[[Task, Crystals, Path, Steps], Fitted]) -> Contestant:
    return Contestant(title, {"train": settings_of(config)}, fit)


def _network(network: Network) -> Contestant:
    def fit(task: Task, crystals: Crystals, folder: Path, steps: Steps) -> Fitted:
        graphs = network.graphs(crystals.features)
        values = [
            train_baseline(
                network.build,
                graphs,
                crystals.labels,
                crystals.train,
                crystals.systems,
                replace(network.config, seed=seed),
                folder / f"seed{seed}",
                crystals.test,
                lambda _: steps.advance(),
            )
            for seed in range(task.seeds)
        ]
        return Fitted(np.mean(values, axis=0), task.seeds * network.n_parameters)

    return Contestant(network.title, {"train": settings_of(network.config)}, fit)


def _ours(task: Task, _crystals: Crystals, folder: Path, steps: Steps) -> Fitted:
    train(
        task.features,
        task.labels,
        folder,
        ModelConfig(),
        TrainConfig(),
        splits=task.splits,
        split=task.split,
        fold=task.fold,
        on_epoch=steps.note,
        stop=steps.stop,
    )
    with safe_open(folder / RELEASE_FILES[0], framework="np") as file:
        n_parameters = sum(int(np.prod(file.get_slice(name).get_shape())) for name in file.keys())  # noqa: SIM118
    return Fitted(None, n_parameters)


def _boosting(_task: Task, crystals: Crystals, folder: Path, steps: Steps) -> Fitted:
    return _boosted(feature_table(crystals.features, crystals.data.file.header), crystals, folder, steps)


def _boosting_bands(_task: Task, crystals: Crystals, folder: Path, steps: Steps) -> Fitted:
    records = crystals.data.file.bands(crystals.file_rows)
    return _boosted(feature_table(crystals.features, crystals.data.file.header, records), crystals, folder, steps)


def _boosted(table: FeatureTable, crystals: Crystals, folder: Path, steps: Steps) -> Fitted:
    fitted = train_boosting(
        table,
        crystals.labels,
        crystals.train,
        crystals.systems,
        BoostingConfig(),
        lambda _: steps.advance(),
        Keep(folder / MEMBERS_FOLDER, crystals.test),
    )
    return Fitted(fitted.predict(table.values[crystals.test]), None)


def _forest(_task: Task, crystals: Crystals, folder: Path, steps: Steps) -> Fitted:
    cache = folder.parent / MATMINER_CACHE
    table = matminer_table(crystals.features, cache, lambda _: steps.advance())
    fitted = train_forest(
        table,
        crystals.labels,
        crystals.train,
        crystals.systems,
        ForestConfig(),
        lambda _: steps.advance(),
        Keep(folder / MEMBERS_FOLDER, crystals.test),
    )
    return Fitted(fitted.predict(table.values[crystals.test]), None)
