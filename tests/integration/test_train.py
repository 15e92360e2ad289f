"""Training end to end on synthetic crystals: results, resuming, what is refused."""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner, Result

from shc.cli.main import app
from shc.featurize.config import FeaturizeConfig
from shc.featurize.errors import ExitCode, ShcError
from shc.featurize.stop import StopRequest
from shc.featurize.store import FeatureFile, FeatureHeader
from shc.models.checkpoint import load_tensors
from shc.models.data import CrystalArrays
from shc.models.ensemble import load_ensemble
from shc.models.inference import Predictor
from shc.models.splits import read_split
from shc.models.training import train

if TYPE_CHECKING:
    from shc.models.config import ModelConfig, TrainConfig
    from shc.models.training import TrainSummary

DATA = Path(__file__).parents[1] / "data"
SCRIPT = DATA / "run_train.py"
TOY: dict[str, Any] = runpy.run_path(str(DATA / "toy_crystals.py"))
TRAININGS: dict[str, Any] = runpy.run_path(str(DATA / "trainings.py"))
table, assert_same_outcome = TRAININGS["table"], TRAININGS["assert_same_outcome"]
TINY: ModelConfig = runpy.run_path(str(SCRIPT))["TINY"]
CONFIG: TrainConfig = runpy.run_path(str(SCRIPT))["CONFIG"]
LONG = replace(CONFIG, epochs=40, patience=40)
N_CRYSTALS, N_TEST = 72, 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features, labels and splits of crystals whose label follows from a descriptor."""
    folder = tmp_path_factory.mktemp("data")
    records = [TOY["crystal"](i, bands=False, n_pictures=0) for i in range(N_CRYSTALS)]
    header = FeatureHeader(FeaturizeConfig(), 1, (("all", 0, 7),), 1, tuple("abcdefghi"))
    TOY["write_features"](folder / "features.h5", records, header)
    TOY["write_labels"](folder, records, N_TEST)
    return folder


def write_labels(path: Path, labels: dict[str, float]) -> None:
    lines = ["material_id,shc_max_abs", *(f"{k},{v!r}" for k, v in labels.items())]
    path.write_text("\n".join(lines) + "\n")


def run(folder: Path, output: Path, config: TrainConfig = CONFIG, **options: Any) -> TrainSummary:  # noqa: ANN401
    """A training with small sizes; the options are those of `run_training`."""
    summary: TrainSummary = TRAININGS["run_training"](folder, output, TINY, config, **options)
    return summary


@pytest.fixture(scope="module")
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainSummary:
    """A training that nobody interrupted."""
    return run(folder, tmp_path_factory.mktemp("whole") / "run")


def test_what_a_training_leaves(whole: TrainSummary, folder: Path) -> None:
    output = whole.output
    names = {path.name for path in output.iterdir()}
    assert names == {
        "card.json", "learning_curve.png", "members", "metrics.csv", "model.safetensors", "oof.csv",
        "predictions.csv", "splits.json", "training.json",
    }  # fmt: skip
    assert (whole.n_train, whole.n_test) == (N_CRYSTALS - N_TEST, N_TEST)
    assert (output / "learning_curve.png").read_bytes()[:4] == b"\x89PNG"
    metrics = table(output / "metrics.csv")
    assert [(row["member"], row["epoch"]) for row in metrics] == [
        (str(m), str(e)) for m in (0, 1) for e in range(1, 11)
    ]
    assert "(hbar/e) S/cm" in (output / "metrics.csv").read_text().splitlines()[0]
    for member in "01":
        losses = [float(row["train_loss"]) for row in metrics if row["member"] == member]
        assert losses[-1] < losses[0]
    oof = table(output / "oof.csv")
    split = read_split(folder / "splits.json", "random", None, FeatureFile.open(folder / "features.h5").material_ids)
    assert sorted(row["material_id"] for row in oof) == [f"m{i:02}" for i in split.train]
    assert all(0 <= float(row["shc_lower"]) <= float(row["shc_max_abs"]) <= float(row["shc_upper"]) for row in oof)
    card = json.loads((output / "card.json").read_text())
    assert card["metrics"]["test"]["n"] == N_TEST
    assert 0.0 <= card["metrics"]["test"]["coverage"] <= 1.0
    assert card["split"] == {"name": "random", "fold": None, "n_train": N_CRYSTALS - N_TEST, "n_test": N_TEST}


def test_the_predictions_are_those_of_the_written_model(whole: TrainSummary, folder: Path) -> None:
    file = FeatureFile.open(folder / "features.h5")
    again = Predictor(load_ensemble(whole.output)).predict(file.read(np.arange(N_TEST)))
    rows = table(whole.output / "predictions.csv")
    assert [row["material_id"] for row in rows] == [row.material_id for row in again]
    np.testing.assert_allclose([float(row["shc_max_abs"]) for row in rows], [r.shc_max_abs for r in again], rtol=1e-5)


def test_a_batch_of_five_is_five_of_one(whole: TrainSummary, folder: Path) -> None:
    ensemble = load_ensemble(whole.output)
    arrays = CrystalArrays(FeatureFile.open(folder / "features.h5").load_all())
    together = ensemble.distribution(arrays.batch(np.arange(5)))
    for row in range(5):
        alone = ensemble.distribution(arrays.batch(np.array([row])))
        for name in together._fields:
            np.testing.assert_allclose(getattr(together, name)[row], getattr(alone, name)[0], atol=1e-5)


def test_who_was_held_out_can_be_read_as_a_split(whole: TrainSummary) -> None:
    ids = [f"m{i:02}" for i in range(N_CRYSTALS)]
    held = [read_split(whole.output / "splits.json", "held_out", member, ids).test for member in (0, 1)]
    train_rows = read_split(whole.output / "splits.json", "train_test", None, ids).train
    assert sorted(np.concatenate(held).tolist()) == train_rows.tolist()
    by_member = {row["material_id"]: int(row["member"]) for row in table(whole.output / "oof.csv")}
    assert all(by_member[ids[row]] == member for member in (0, 1) for row in held[member].tolist())


def test_labels_of_test_rows_change_nothing_but_scores(whole: TrainSummary, folder: Path, tmp_path: Path) -> None:
    labels = {row["material_id"]: float(row["shc_max_abs"]) for row in table(folder / "labels.csv")}
    write_labels(tmp_path / "labels.csv", {k: 5.0 if int(k[1:]) < N_TEST else v for k, v in labels.items()})
    other = run(folder, tmp_path / "run", labels=tmp_path / "labels.csv")
    ours, theirs = (load_tensors(o / "model.safetensors")[0] for o in (whole.output, other.output))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert other.test["structure"].mae != whole.test["structure"].mae


def test_five_epochs_and_five_are_ten(whole: TrainSummary, folder: Path, tmp_path: Path) -> None:
    for _ in range(3):
        stop, seen = StopRequest(), list[int]()

        def after_five(seen: list[int] = seen, stop: StopRequest = stop) -> None:
            seen.append(len(seen))
            if len(seen) == 5:
                stop.request("test")

        with pytest.raises(ShcError, match="stopped by test") as caught:
            run(folder, tmp_path / "run", on_epoch=after_five, stop=stop)
        assert caught.value.exit_code is ExitCode.RESUMABLE
        assert not (tmp_path / "run" / "card.json").exists()
    summary = run(folder, tmp_path / "run")
    assert summary.resumed
    assert_same_outcome(summary.output, whole.output)


@pytest.fixture(scope="module")
def long_run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainSummary:
    """A training that nobody interrupted, long enough for a signal to come in time."""
    return run(folder, tmp_path_factory.mktemp("long") / "run", LONG)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_of_two_processes_that_was_signalled_goes_on(
    number: signal.Signals, long_run: TrainSummary, folder: Path, tmp_path: Path
) -> None:
    command = [sys.executable, str(SCRIPT), str(folder), str(tmp_path / "run"), "2", str(LONG.epochs)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        first = [process.stdout.readline() for _ in range(3)]
        process.send_signal(number)
        process.stdout.read()
    assert all(first)
    assert process.returncode != 0
    assert not (tmp_path / "run" / "card.json").exists()
    summary = run(folder, tmp_path / "run", LONG)
    assert summary.resumed
    assert_same_outcome(summary.output, long_run.output)


def test_a_finished_run_is_not_scored_again(whole: TrainSummary, folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (whole.output / "card.json", whole.output / "predictions.csv")}
    epochs: list[None] = []
    again = run(folder, whole.output, on_epoch=lambda: epochs.append(None))
    assert epochs == []
    assert {path: path.stat().st_mtime_ns for path in before} == before
    for ours, theirs in ((again.test, whole.test), (again.out_of_fold, whole.out_of_fold)):
        assert ours.keys() == theirs.keys() == {"structure"}
        assert ours["structure"] == pytest.approx(theirs["structure"])


def test_other_settings_need_another_folder(whole: TrainSummary, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ShcError, match="seed: 0 then, 1 now") as caught:
        run(folder, whole.output, replace(CONFIG, seed=1))
    assert caught.value.exit_code is ExitCode.USAGE
    with pytest.raises(ShcError, match="train_rows"):
        run(folder, whole.output, split=False)
    own = tmp_path / "run"
    short = replace(CONFIG, epochs=1)
    assert run(folder, own, short).n_test == N_TEST
    (own / "notes.txt").write_text("mine")
    fresh = run(folder, own, replace(short, seed=1), split=False, overwrite=True)
    assert (fresh.resumed, fresh.test, fresh.n_train) == (False, {}, N_CRYSTALS)
    assert (own / "notes.txt").exists()
    assert not (own / "predictions.csv").exists()


def test_early_stopping(folder: Path, tmp_path: Path) -> None:
    summary = run(folder, tmp_path / "run", replace(CONFIG, epochs=400, patience=2, learning_rate=0.05))
    epochs = [int(row["epoch"]) for row in table(summary.output / "metrics.csv")]
    assert max(epochs) < 100


def test_a_single_member_holds_a_share_out(folder: Path, tmp_path: Path) -> None:
    summary = run(folder, tmp_path / "run", replace(CONFIG, n_members=1, held_out=0.1, epochs=2))
    assert 4 <= summary.out_of_fold["structure"].n <= 10


def test_members_hold_out_no_more_than_the_share(folder: Path, tmp_path: Path) -> None:
    summary = run(folder, tmp_path / "run", replace(CONFIG, held_out=0.2, epochs=1))
    held = Counter(row["member"] for row in table(summary.output / "oof.csv"))
    assert set(held) == {"0", "1"}
    assert all(10 <= n <= 14 for n in held.values()), "a fifth of 60 rows, up to the size of a chemical system"
    assert summary.out_of_fold["structure"].n == sum(held.values())


def test_a_common_part_moves_intervals_and_nothing_else(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shc.models.training.ROWS_PER_GROUP", 5)
    config = replace(CONFIG, held_out=0.4, epochs=3)
    first = run(folder, tmp_path / "first", config).output
    ids = [f"m{i:02}" for i in range(N_CRYSTALS)]
    common = read_split(first / "splits.json", "common", None, ids)
    held = [read_split(first / "splits.json", "held_out", member, ids).test for member in (0, 1)]
    assert 10 <= len(common.test) <= 14, "a fifth of 60 rows, up to the size of a chemical system"
    assert set(common.test.tolist()).isdisjoint(np.concatenate(held).tolist())
    card = json.loads((first / "card.json").read_text())["calibration"]
    assert (card["n_rows"], card["n_common"]) == (len(np.concatenate(held)), len(common.test))
    labels = {row["material_id"]: float(row["shc_max_abs"]) for row in table(folder / "labels.csv")}
    write_labels(tmp_path / "labels.csv", labels | {ids[row]: 3000.0 for row in common.test.tolist()})
    second = run(folder, tmp_path / "second", config, labels=tmp_path / "labels.csv").output
    for name in ("metrics.csv", "oof.csv", "splits.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), "no member sees the common rows"
    before, after = (load_tensors(output / "model.safetensors")[0] for output in (first, second))
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"calibration.offset"}


def test_rows_without_a_partner_are_counted(folder: Path, tmp_path: Path) -> None:
    labels = {f"m{i:02}": 10.0 * i for i in range(4, N_CRYSTALS)} | {"unknown": 1.0}
    write_labels(tmp_path / "labels.csv", labels)
    summary = run(folder, tmp_path / "run", replace(CONFIG, epochs=1), labels=tmp_path / "labels.csv")
    assert (summary.n_without_label, summary.n_without_features) == (4, 1)
    assert (summary.n_train, summary.n_test) == (N_CRYSTALS - N_TEST, N_TEST - 4)


def test_what_is_refused(folder: Path, tmp_path: Path) -> None:
    write_labels(tmp_path / "labels.csv", {"x": 1.0})
    with pytest.raises(ShcError, match="no crystal of"):
        run(folder, tmp_path / "run", labels=tmp_path / "labels.csv")
    write_labels(tmp_path / "labels.csv", {"m20": 1.0, "m30": 2.0})
    with pytest.raises(ShcError, match="chemical systems cannot be dealt"):
        run(folder, tmp_path / "run", replace(CONFIG, n_members=3), labels=tmp_path / "labels.csv")
    assert not (tmp_path / "run").exists()


def shc(*args: str | Path) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


def test_the_command(folder: Path, tmp_path: Path) -> None:
    lines = [",".join(row.values()) for row in table(folder / "labels.csv")]
    (tmp_path / "id_prop.csv").write_text("\n".join(lines))
    options: list[str | Path] = ["--labels", tmp_path / "id_prop.csv"]
    options += ["--splits", folder / "splits.json", "--split", "cv", "--fold", "1"]
    options += ["--members", "2", "--epochs", "1", "--workers", "1", "--device", "cpu"]
    result = shc("train", folder / "features.h5", *options, "-o", tmp_path / "run")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    assert "out of fold" in result.stderr
    assert f"test rows, never trained on, structure: n {N_CRYSTALS // 3}" in result.stderr
    section = yaml.safe_load((tmp_path / "run" / "run.yaml").read_text())["train"]
    assert (section["fold"], section["split"], section["members"]) == (1, "cv", 2)
    again = shc("train", "--config", tmp_path / "run" / "run.yaml", "--quiet")
    assert (again.exit_code, again.stderr) == (0, "")
    other = shc("train", "--config", tmp_path / "run" / "run.yaml", "--epochs", "2")
    assert other.exit_code == 2
    assert "epochs: 1 then, 2 now" in other.stderr


def test_the_command_says_what_is_wrong(folder: Path, tmp_path: Path) -> None:
    assert shc("train", folder / "features.h5").exit_code == 2
    absent = shc("train", tmp_path / "absent.h5", "--labels", folder / "labels.csv", "-o", tmp_path / "run")
    assert absent.exit_code == 3
    if not torch.cuda.is_available():
        options: list[str | Path] = ["--labels", folder / "labels.csv", "-o", tmp_path / "run", "--device", "cuda"]
        assert shc("train", folder / "features.h5", *options).exit_code == 6


BLOCKED = (
    "gemmi",
    "matplotlib",
    "numba",
    "pandas",
    "pymatgen",
    "scipy",
    "sklearn",
    "spglib",
    "torch_geometric",
    "yaml",
)
BARE = f"""
import runpy
import sys
import time
sys.modules |= dict.fromkeys({BLOCKED!r})
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_training_needs_torch_numpy_h5py_and_safetensors_only(
    whole: TrainSummary, folder: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", BARE, str(SCRIPT), str(folder), str(tmp_path / "run"), "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "run" / "learning_curve.png").exists()
    assert_same_outcome(tmp_path / "run", whole.output)


def accuracy(*args: str | Path) -> subprocess.CompletedProcess[str]:
    script = Path(__file__).parents[2] / "benchmarks" / "accuracy.py"
    env = {name: value for name, value in os.environ.items() if name != "SHC_DATA"}
    command = [sys.executable, str(script), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env)


def test_the_accuracy_benchmark_scores_a_model(whole: TrainSummary, folder: Path, tmp_path: Path) -> None:
    options: list[str | Path] = ["--features", folder / "features.h5", "--labels", folder / "labels.csv"]
    options += ["--splits", folder / "splits.json", "--model", whole.output, "--plot", tmp_path / "parity.png"]
    done = accuracy(*options, "--coverage")
    assert done.returncode == 0, done.stderr
    score = whole.test["structure"]
    row = next(line.split() for line in done.stdout.splitlines() if line.startswith("all "))
    assert row[1:4] == [str(N_TEST), f"{score.r2:.3f}", f"{score.mae:.1f}"]
    assert "20 random halves" in done.stdout
    assert (tmp_path / "parity_structure.png").exists()
    other = accuracy(*options, "--split", "cv", "--fold", "1")
    assert other.returncode == 1
    assert "trained on split random" in other.stderr


def test_the_accuracy_benchmark_without_data_says_so(tmp_path: Path) -> None:
    done = accuracy("--cv", tmp_path)
    assert done.returncode == 3
    assert "nothing was measured" in done.stderr


def test_the_accuracy_benchmark_pools_folds(folder: Path, tmp_path: Path) -> None:
    for fold in range(3):
        train(
            folder / "features.h5",
            folder / "labels.csv",
            tmp_path / f"fold{fold}",
            TINY,
            replace(CONFIG, epochs=1),
            splits=folder / "splits.json",
            split="cv",
            fold=fold,
            device="cpu",
            workers=1,
        )
    done = accuracy("--cv", tmp_path, "--plot", tmp_path / "parity.png")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith(("fold", "all "))]
    assert [row[:2] for row in rows] == [["fold0", "24"], ["fold1", "24"], ["fold2", "24"], ["all", str(N_CRYSTALS)]]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_the_command_stops_with_75_when_a_batch_system_asks(
    number: signal.Signals, folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    command = [sys.executable, "-c", "from shc.cli.main import main; main()", "train", str(folder / "features.h5")]
    command += ["--labels", str(folder / "labels.csv"), "-o", str(output), "--members", "2", "--epochs", "500"]
    command += ["--workers", "1", "--device", "cpu"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not (output / "metrics.csv").exists() and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(number)
        assert process.stderr is not None
        said = process.stderr.read()
    assert process.returncode == 75, said
    assert f"stopped by {number.name}" in said
    assert "the same command resumes" in said
    assert (output / "members" / "00" / "checkpoint.safetensors").exists()
