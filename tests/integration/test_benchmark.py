"""``shc benchmark`` from a feature file to the table, with short trainings."""

from __future__ import annotations

import csv
import json
import runpy
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from shc.cli.console import Progress
from shc.cli.main import app
from shc.models import contestants
from shc.models.baselines.boosting import BoostingConfig
from shc.models.baselines.networks import NETWORKS
from shc.models.config import ModelConfig, TrainConfig

TOY: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[1] / "data" / "toy_crystals.py"))
N, N_TEST = 40, 10


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Toy crystals, half of them with bands, their labels and a split; trainings are short."""
    records = [TOY["crystal"](k, bands=k % 2 == 0, n_pictures=0) for k in range(N)]
    TOY["write_features"](tmp_path / "features.h5", records)
    TOY["write_labels"](tmp_path, records, N_TEST)
    small = ModelConfig(d_model=8, n_convolutions=1, hidden=8, n_values=8, bands_hidden=8)
    monkeypatch.setattr(contestants, "ModelConfig", lambda: small)
    monkeypatch.setattr(contestants, "TrainConfig", partial(TrainConfig, n_members=2, epochs=2))
    monkeypatch.setattr(contestants, "BoostingConfig", partial(BoostingConfig, n_members=2, n_trees=20, leaf_size=2))
    cgcnn = replace(NETWORKS["cgcnn"], config=replace(NETWORKS["cgcnn"].config, epochs=2))
    monkeypatch.setattr(contestants, "NETWORKS", {"cgcnn": cgcnn})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*args: str) -> Result:
    paths = ("--data", "features.h5", "--labels", "labels.csv", "--splits", "splits.json", "-o", "out")
    return CliRunner().invoke(app, ["benchmark", *paths, "--seeds", "2", *args])


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def test_models_are_trained_compared_and_not_trained_again(folder: Path) -> None:
    first = run("--models", "boosting,cgcnn")
    assert first.exit_code == 0, first.stderr
    assert "ours minus rival" not in first.stdout
    predictions = table(folder / "out" / "cgcnn" / "predictions.csv")
    assert [row["material_id"] for row in predictions] == [f"m{k:02}" for k in range(N_TEST)]
    values = np.array([float(row["shc_max_abs"]) for row in predictions])
    assert ((values >= 0.0) & np.isfinite(values)).all()
    trees = {row["shc_max_abs"] for row in table(folder / "out" / "boosting" / "predictions.csv")}
    assert len(trees) > 1
    record = json.loads((folder / "out" / "cgcnn" / "record.json").read_text())
    assert record["title"] == "CGCNN"
    assert record["n_parameters"] == 2 * NETWORKS["cgcnn"].n_parameters
    assert record["core_seconds"] > 0.0
    before = {path: path.stat().st_mtime_ns for path in (folder / "out").glob("*/*")}

    second = run("--models", "shc,boosting,boosting_bands,cgcnn")
    assert second.exit_code == 0, second.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before
    rows = table(folder / "out" / "scores.csv")
    titles = {row["model"] for row in rows if not row["against"]}
    expected = {"Gradient boosting", "Gradient boosting + built-in sigma(E)", "CGCNN"}
    assert titles == expected | {"SHCTransformer, structure", "SHCTransformer, structure+curves"}
    against = {(row["model"], row["against"]) for row in rows if row["against"]}
    assert len(against) == 2 * 3
    markdown = (folder / "out" / "table.md").read_text()
    assert all(f"| {title} |" in markdown for title in titles)
    assert (folder / "out" / "parity.png").read_bytes().startswith(b"\x89PNG")
    assert "ours minus rival" in second.stdout


def test_an_interrupted_run_goes_on_with_the_fits_that_are_left(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("--models", "boosting").exit_code == 0
    whole = (folder / "out" / "boosting" / "predictions.csv").read_bytes()
    shutil.rmtree(folder / "out")
    with monkeypatch.context() as patch:
        patch.setattr(Progress, "advance", interrupt)
        stopped = run("--models", "boosting")
    assert stopped.exit_code == 130
    assert stopped.stderr.splitlines()[-2:] == [
        "error: interrupted; what is done is saved",
        "hint: run the same command again to go on",
    ]
    files = {path: path.stat().st_mtime_ns for path in (folder / "out" / "boosting" / "members").iterdir()}
    assert len(files) == 2, "both regressors of the first of two members"
    assert run("--models", "boosting").exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert (folder / "out" / "boosting" / "predictions.csv").read_bytes() == whole


def interrupt(*_args: object) -> NoReturn:
    raise KeyboardInterrupt


def test_another_split_or_number_of_seeds_is_refused(folder: Path) -> None:
    assert run("--models", "cgcnn").exit_code == 0
    again = run("--models", "cgcnn", "--seeds", "1")
    assert again.exit_code == 2
    assert "seeds" in again.stderr
    (folder / "labels.csv").write_text((folder / "labels.csv").read_text().replace("m20,", "m20,1"))
    assert run("--models", "cgcnn").exit_code == 2


def test_an_unknown_model_is_named_with_those_there_are(folder: Path) -> None:
    result = run("--models", "cgcnn,megnet")
    assert result.exit_code == 2
    assert "megnet" in result.stderr
    assert "cgcnn" in result.stderr
    assert not (folder / "out" / "cgcnn").exists()
