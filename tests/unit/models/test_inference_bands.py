"""Predictions that rest on bands and pictures, and the tensor."""

from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from shc.featurize.errors import ExitCode, ShcError
from shc.featurize.store import FeatureBatch, FeatureFile
from shc.models.inference import Predictor
from shc.models.modalities import SUBSETS
from shc.models.tensor import turned

if TYPE_CHECKING:
    from shc.models.prediction import Prediction

DATA = Path(__file__).parents[2] / "data"
TINY: dict[str, Any] = runpy.run_path(str(DATA / "tiny_model.py"))
TOY: dict[str, Any] = runpy.run_path(str(DATA / "toy_crystals.py"))
N = 8
HAS = [3, 1, 2, 0] * 2


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(TINY["tiny_ensemble"](7, 9, model=TINY["FUSED"]), tensor=True)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    written: Path = TOY["write_features"](tmp_path_factory.mktemp("file") / "f.h5", TOY["mixed"](N))
    return written


def features(path: Path, subset: int = 3) -> FeatureBatch:
    """Crystals with what the file holds of a subset."""
    file, rows = FeatureFile.open(path), np.arange(N)
    bands = file.bands(rows) if subset & 1 else None
    return replace(file.read(rows), bands=bands, pictures=file.pictures(rows) if subset & 2 else None)


def values(rows: list[Prediction]) -> list[float]:
    return [row.shc_max_abs for row in rows]


def test_predictions_say_what_they_rest_on(predictor: Predictor, path: Path) -> None:
    for subset in range(4):
        rows = predictor.predict(features(path, subset))
        assert [row.modalities for row in rows] == [SUBSETS[has & subset] for has in HAS]
        assert all(row.shc_lower <= row.shc_max_abs <= row.shc_upper for row in rows)


def test_crystals_without_bands_do_not_notice_those_with(predictor: Predictor, path: Path) -> None:
    found = {subset: values(predictor.predict(features(path, subset))) for subset in range(4)}
    for place, has in enumerate(HAS):
        for subset in (1, 2, 3):
            same = found[subset][place] == pytest.approx(found[0][place], rel=1e-6)
            assert same == (has & subset == 0), (place, subset)
    assert found[3][0] != pytest.approx(found[1][0], rel=1e-6)
    assert found[3][0] != pytest.approx(found[2][0], rel=1e-6)


def test_a_batch_of_many_equals_many_batches_of_one(predictor: Predictor, path: Path) -> None:
    records = TOY["mixed"](N)
    whole = features(path)
    assert whole.bands is not None
    assert whole.pictures is not None
    alone = [
        predictor.predict(replace(FeatureBatch.from_records([record]), bands=[bands], pictures=[pictures]))[0]
        for record, bands, pictures in zip(records, whole.bands, whole.pictures, strict=True)
    ]
    # Units for bfloat16 round pictures otherwise in batches of other sizes.
    np.testing.assert_allclose(values(alone), values(predictor.predict(whole)), rtol=0.01)


def test_a_stream_reads_what_the_file_holds(predictor: Predictor, path: Path) -> None:
    def streamed(*, stored_bands: bool) -> list[Prediction]:
        parts = predictor.iter_feature_file(path, window=3, stored_bands=stored_bands)
        return [row for part in parts for row in part.predictions]

    assert [row.modalities for row in streamed(stored_bands=True)] == [SUBSETS[has] for has in HAS]
    np.testing.assert_allclose(
        values(streamed(stored_bands=True)), values(predictor.predict(features(path))), rtol=0.01
    )
    assert {row.modalities for row in streamed(stored_bands=False)} == {"structure"}


def test_a_picture_that_deserves_a_look_is_flagged(predictor: Predictor, path: Path) -> None:
    whole = features(path)
    assert whole.pictures is not None
    for confidence, flagged in ((0.5, True), (0.9, False)):
        pictures = [tuple(replace(p, confidence=confidence) for p in found) for found in whole.pictures]
        found = predictor.predict_batch(replace(whole, pictures=pictures)).predictions
        assert {"doubtful_picture" in row.flags for row in found if "picture" in row.modalities} == {flagged}
        assert all("doubtful" not in row.flags for row in found if "picture" not in row.modalities)


def test_doubtful_pictures_are_named_and_not_used(predictor: Predictor, path: Path) -> None:
    whole = features(path)
    assert whole.pictures is not None
    doubtful = [tuple(replace(p, confidence=0.1) for p in found) for found in whole.pictures]
    predicted = predictor.predict_batch(replace(whole, pictures=doubtful))
    assert [row.modalities for row in predicted.predictions] == [SUBSETS[has & 1] for has in HAS]
    assert [failure.path for failure in predicted.failures] == [
        "m00: standard",
        "m00: 0",
        "m02: 2.png",
        "m04: standard",
        "m04: 0",
        "m06: 6.png",
    ]
    assert {failure.stage for failure in predicted.failures} == {"picture"}


def test_the_tensor_is_computed_where_it_can_be_and_learned_elsewhere(predictor: Predictor, path: Path) -> None:
    whole = features(path)
    rows = predictor.predict(whole)
    assert [row.tb_shc_source for row in rows] == ["computed" if has & 1 else "learned" for has in HAS]
    assert rows[1].tb_shc == pytest.approx(TOY["electronic"](1).shc_tensor.ravel().tolist(), abs=1.0)
    blind = predictor.predict(features(path, 0))
    assert {row.tb_shc_source for row in blind} == {"learned"}
    assert blind[2].tb_shc == pytest.approx(rows[2].tb_shc)
    assert blind[1].tb_shc != pytest.approx(rows[1].tb_shc)


def test_the_learned_tensor_turns_with_the_crystal(predictor: Predictor, path: Path) -> None:
    plain = features(path, 0)
    assert plain.standard_rotation is not None
    turns = np.linalg.qr(np.random.default_rng(0).normal(size=(N, 3, 3)))[0]
    other = plain.standard_rotation @ turns.transpose(0, 2, 1)
    before, after = (
        np.array([row.tb_shc for row in predictor.predict(replace(plain, standard_rotation=q))]).reshape(-1, 3, 3, 3)
        for q in (plain.standard_rotation, other.astype(np.float32))
    )
    np.testing.assert_allclose(after, turned(before, turns), atol=1e-4 * np.abs(before).max())


def test_a_tensor_that_cannot_be_had_is_refused(predictor: Predictor, path: Path) -> None:
    with pytest.raises(ShcError, match="predicts no tensor") as caught:
        Predictor(TINY["tiny_ensemble"](7, 9), tensor=True)
    assert caught.value.exit_code is ExitCode.BAD_FILE
    old = replace(features(path), standard_rotation=None)
    with pytest.raises(ShcError, match="lie in space"):
        predictor.predict(old)
    plain = Predictor(predictor.ensemble).predict(old)
    assert {(row.tb_shc, row.tb_shc_source) for row in plain} == {(None, "")}
