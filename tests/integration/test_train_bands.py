"""Training end to end on made-up crystals with bands and pictures: results, resuming, the released model."""

from __future__ import annotations

import json
import runpy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from shc.featurize.errors import ExitCode, ShcError
from shc.featurize.stop import StopRequest
from shc.featurize.store import FeatureFile
from shc.models.card import metrics_name, read_card
from shc.models.config import TrainConfig
from shc.models.ensemble import load_ensemble
from shc.models.inference import Predictor
from shc.models.modalities import SUBSETS

if TYPE_CHECKING:
    from shc.models.config import ModelConfig, PictureConfig
    from shc.models.training import TrainSummary

DATA = Path(__file__).parents[1] / "data"
TOY: dict[str, Any] = runpy.run_path(str(DATA / "toy_crystals.py"))
TINY: dict[str, Any] = runpy.run_path(str(DATA / "tiny_model.py"))
SIZES: ModelConfig = replace(TINY["SIZES"], n_curve_tokens=2, bands_hidden=8)
PICTURE: PictureConfig = TINY["PICTURE"]
TRAININGS: dict[str, Any] = runpy.run_path(str(DATA / "trainings.py"))
table, assert_same_outcome = TRAININGS["table"], TRAININGS["assert_same_outcome"]
CONFIG = TrainConfig(n_members=2, held_out=0.5, epochs=2, patience=2, batch_size=8)
N, N_TEST = 32, 8
HAS = np.array([3, 1, 2, 0] * (N // 4))
"""Places in ``SUBSETS`` of what the crystals have."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features, labels and splits of crystals with both, bands, a picture and nothing in turn."""
    folder, records = tmp_path_factory.mktemp("data"), TOY["mixed"](N)
    TOY["write_features"](folder / "features.h5", records)
    TOY["write_labels"](folder, records, N_TEST)
    return folder


def run(folder: Path, output: Path, *, config: TrainConfig = CONFIG, **options: Any) -> TrainSummary:  # noqa: ANN401
    """A training with small sizes; the options are those of `train`."""
    summary: TrainSummary = TRAININGS["run_training"](folder, output, SIZES, config, **{"picture": PICTURE} | options)
    return summary


@pytest.fixture(scope="module")
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainSummary:
    """A training that nobody interrupted."""
    return run(folder, tmp_path_factory.mktemp("whole") / "run")


def showing(subset: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Crystals that have all that a subset names."""
    return np.flatnonzero(HAS & subset == subset)


def test_what_a_training_leaves(whole: TrainSummary) -> None:
    names = {path.name for path in whole.output.iterdir()}
    assert names == {
        "card.json", "learning_curve.png", "members", "metrics.csv", "model.safetensors", "oof.csv", "picture",
        "picture_metrics.csv", "predictions.csv", "splits.json", "style_metrics.csv", "training.json",
    }  # fmt: skip
    assert [row["epoch"] for row in table(whole.output / "picture_metrics.csv")] == ["1", "2"]
    assert all(float(row["train_loss"]) > 0.0 for row in table(whole.output / "picture_metrics.csv"))


@pytest.mark.parametrize(("name", "test"), [("oof.csv", False), ("predictions.csv", True)])
def test_tables_tell_what_each_row_rests_on(whole: TrainSummary, name: str, test: bool) -> None:
    found: dict[str, set[str]] = {subset: set() for subset in SUBSETS}
    rows = table(whole.output / name)
    for row in rows:
        found[row["modalities"]].add(row["material_id"])
        assert 0 <= float(row["shc_lower"]) <= float(row["shc_max_abs"]) <= float(row["shc_upper"])
    for subset, ids in enumerate(found.values()):
        assert ids == {f"m{i:02}" for i in showing(subset).tolist() if (i < N_TEST) == test}
    assert len(rows) == sum(map(len, found.values())), "each crystal once for each subset"


def test_the_card_knows_all_subsets(whole: TrainSummary) -> None:
    card = read_card(whole.output / "card.json")
    assert (card.format, card.name, card.reads_pictures, card.picture) == (2, "shc-fused", True, PICTURE)
    assert list(card.calibrations) == list(SUBSETS[1:])
    assert (card.model.n_tensor, card.features.bands, card.features.pictures) == (27, "none", False)
    n_train = {name: int((showing(subset) >= N_TEST).sum()) for subset, name in enumerate(SUBSETS)}
    summaries = {SUBSETS[0]: card.calibration, **card.calibrations}
    assert {name: each.n_rows for name, each in summaries.items()} == n_train
    for subset, name in enumerate(SUBSETS):
        assert card.metrics[metrics_name("out_of_fold", name)]["n"] == n_train[name]
        assert card.metrics[metrics_name("test", name)]["n"] == (showing(subset) < N_TEST).sum()
    assert whole.out_of_fold.keys() == whole.test.keys() == set(SUBSETS)
    assert {name: scores.n for name, scores in whole.out_of_fold.items()} == n_train


def test_the_released_model_predicts_with_all_and_with_nothing(whole: TrainSummary, folder: Path) -> None:
    predictor, file = Predictor(load_ensemble(whole.output), tensor=True), FeatureFile.open(folder / "features.h5")
    rows = np.arange(N_TEST)
    bands, pictures = file.bands(rows), file.pictures(rows)
    found = []
    for subset in range(4):
        shown = replace(file.read(rows), bands=bands if subset & 1 else None, pictures=pictures if subset & 2 else None)
        found.append(predictor.predict(shown))
        assert [row.modalities for row in found[-1]] == [SUBSETS[has & subset] for has in HAS[:N_TEST]]
        assert all(row.tb_shc is not None and np.isfinite(row.tb_shc).all() for row in found[-1])
    assert found[3][3].shc_max_abs == pytest.approx(found[0][3].shc_max_abs), "a crystal without bands among others"
    assert len({round(rows[0].shc_max_abs, 3) for rows in found}) == 4


def test_the_tables_are_those_of_the_written_model(whole: TrainSummary, folder: Path) -> None:
    predictor, file = Predictor(load_ensemble(whole.output)), FeatureFile.open(folder / "features.h5")
    rows = showing(3)[showing(3) < N_TEST]
    again = predictor.predict(replace(file.read(rows), bands=file.bands(rows), pictures=file.pictures(rows)))
    written = {r["material_id"]: r for r in table(whole.output / "predictions.csv") if r["modalities"] == SUBSETS[3]}
    assert [float(written[row.material_id]["shc_max_abs"]) for row in again] == pytest.approx(
        [row.shc_max_abs for row in again], rel=1e-4
    )


def test_a_stopped_run_goes_on_from_any_stage(whole: TrainSummary, folder: Path, tmp_path: Path) -> None:
    """Twice two epochs of the encoder and two of each of two members; stopped after one, three and five of them."""
    expected, seen = list[int](), list[int]()
    for last in (1, 3, 5):
        stop = StopRequest()

        def note(last: int = last, stop: StopRequest = stop) -> None:
            seen.append(len(seen) + 1)
            if len(seen) == last:
                stop.request("test")

        with pytest.raises(ShcError, match="stopped by test") as caught:
            run(folder, tmp_path / "run", on_start=expected.append, on_epoch=note, stop=stop)
        assert caught.value.exit_code is ExitCode.RESUMABLE
        assert not (tmp_path / "run" / "card.json").exists()
    summary = run(folder, tmp_path / "run", on_epoch=lambda: seen.append(len(seen) + 1))
    assert (expected, len(seen)) == ([8, 8, 8], 8)
    assert summary.resumed
    assert_same_outcome(summary.output, whole.output)
    epochs: list[None] = []
    done = run(folder, tmp_path / "run", on_epoch=lambda: epochs.append(None))
    assert epochs == []
    assert done.test.keys() == summary.test.keys()
    for name, scores in done.test.items():
        assert scores == pytest.approx(summary.test[name], nan_ok=True)


def test_processes_give_the_same(whole: TrainSummary, folder: Path, tmp_path: Path) -> None:
    assert_same_outcome(run(folder, tmp_path / "run", workers=2).output, whole.output)


def test_the_random_numbers_of_the_caller_are_left_alone(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    run(folder, tmp_path / "run", config=replace(CONFIG, epochs=1), picture=replace(PICTURE, epochs=1))
    assert torch.equal(torch.get_rng_state(), before)


def test_other_settings_of_the_encoder_need_another_folder(whole: TrainSummary, folder: Path) -> None:
    with pytest.raises(ShcError, match="epochs: 2 then, 3 now") as caught:
        run(folder, whole.output, picture=replace(PICTURE, epochs=3))
    assert caught.value.exit_code is ExitCode.USAGE
    with pytest.raises(ShcError, match="n_curves"):
        run(folder, whole.output, structure_only=True)


def test_a_model_of_structures_from_the_same_file(folder: Path, tmp_path: Path) -> None:
    summary = run(folder, tmp_path / "run", structure_only=True)
    card = json.loads((summary.output / "card.json").read_text())
    assert (card["name"], card["reads_pictures"], card["calibrations"]) == ("shc-structure", False, {})
    assert summary.out_of_fold.keys() == summary.test.keys() == {"structure"}
    assert not (summary.output / "picture").exists()
    assert {row["modalities"] for row in table(summary.output / "oof.csv")} == {"structure"}
    file, rows = FeatureFile.open(folder / "features.h5"), np.arange(4)
    full = replace(file.read(rows), bands=file.bands(rows), pictures=file.pictures(rows))
    assert {row.modalities for row in Predictor(load_ensemble(summary.output)).predict(full)} == {"structure"}


def test_a_file_of_curves_gives_a_model_of_curves(folder: Path, tmp_path: Path) -> None:
    records = [replace(record, pictures=b"") for record in TOY["mixed"](N)]
    TOY["write_features"](tmp_path / "features.h5", records)
    for name in ("labels.csv", "splits.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    summary = run(tmp_path, tmp_path / "run")
    card = read_card(summary.output / "card.json")
    assert (card.reads_pictures, list(card.calibrations)) == (False, [SUBSETS[1]])
    assert not (summary.output / "picture_metrics.csv").exists()
    file, rows = FeatureFile.open(folder / "features.h5"), np.arange(4)
    full = replace(file.read(rows), bands=file.bands(rows), pictures=file.pictures(rows))
    said = [row.modalities for row in Predictor(load_ensemble(summary.output)).predict(full)]
    assert said == [SUBSETS[has & 1] for has in HAS[:4]]
