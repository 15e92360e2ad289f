from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from shc.featurize.errors import ShcError
from shc.featurize.store import FeatureBatch, FeatureFile
from shc.models.ensemble import save_ensemble
from shc.models.inference import Predictor, load_predictor

if TYPE_CHECKING:
    from collections.abc import Callable

    from shc.featurize.types import CrystalRecord
    from shc.models.ensemble import Ensemble
    from shc.models.prediction import Prediction

DATA = Path(__file__).parents[2] / "data"
tiny_ensemble: Callable[..., Ensemble] = runpy.run_path(str(DATA / "tiny_model.py"))["tiny_ensemble"]


@pytest.fixture
def predictor() -> Predictor:
    return Predictor(tiny_ensemble(7, 9))


@pytest.fixture
def records(record_factory: Callable[..., CrystalRecord]) -> list[CrystalRecord]:
    return [record_factory(f"c{i}", n_atoms=4 + (7 * i) % 13, n_nodes=1 + (5 * i) % 4) for i in range(23)]


def with_elements(record: CrystalRecord, *elements: int) -> CrystalRecord:
    """The record with its atoms replaced by some elements in turn."""
    return replace(record, atomic_number=np.resize(np.array(elements, np.uint8), len(record.atomic_number)))


def numbers(rows: list[Prediction]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.array([row[3:8] for row in rows])


def test_rows_come_in_input_order_with_their_facts(predictor: Predictor, records: list[CrystalRecord]) -> None:
    rows = predictor.predict(FeatureBatch.from_records(records))
    assert [row.material_id for row in rows] == [r.material_id for r in records]
    assert [row.formula for row in rows] == [r.formula for r in records]
    assert [row.space_group_number for row in rows] == [r.space_group_number for r in records]
    assert {row.modalities for row in rows} == {"structure"}
    values = numbers(rows)
    assert (values[:, 1] <= values[:, 0]).all()
    assert (values[:, 0] <= values[:, 2]).all()
    assert ((values[:, 4] > 0) & (values[:, 4] < 1)).all()
    assert np.ptp(values[:, 0]) > 1.0


def test_a_batch_of_many_equals_many_batches_of_one(predictor: Predictor, records: list[CrystalRecord]) -> None:
    together = numbers(predictor.predict(FeatureBatch.from_records(records)))
    alone = [predictor.predict(FeatureBatch.from_records([record]))[0] for record in records]
    np.testing.assert_allclose(together, numbers(alone), rtol=1e-5)


def test_an_order_of_the_input_changes_nothing_but_the_order(
    predictor: Predictor, records: list[CrystalRecord]
) -> None:
    forward = predictor.predict(FeatureBatch.from_records(records))
    backward = predictor.predict(FeatureBatch.from_records(records[::-1]))
    np.testing.assert_allclose(numbers(forward), numbers(backward[::-1]), rtol=1e-5)


@pytest.mark.parametrize(
    ("elements", "flags", "in_domain"),
    [
        ((11, 17), "", True),
        ((26, 8), "magnetic", True),
        ((24,), "magnetic", True),
        ((28, 64), "magnetic;no_soc", False),
        ((43, 1), "unseen_element:H;unseen_element:Tc", False),
        ((92, 43), "no_soc;unseen_element:Tc", False),
    ],
)
def test_flags_tell_of_elements(
    predictor: Predictor,
    records: list[CrystalRecord],
    elements: tuple[int, ...],
    flags: str,
    in_domain: bool,
) -> None:
    crystal = with_elements(records[0], *elements)
    row = predictor.predict(FeatureBatch.from_records([crystal]))[0]
    assert (row.flags, row.in_domain) == (flags, in_domain)


def test_a_crystal_far_from_the_landmarks_is_outside_the_domain(records: list[CrystalRecord]) -> None:
    ensemble = tiny_ensemble(7, 9)
    ensemble.domain = replace(ensemble.domain, threshold=1e-3)
    row = Predictor(ensemble).predict(FeatureBatch.from_records([with_elements(records[0], 29)]))[0]
    assert (row.in_domain, row.flags) == (False, "")


def test_features_that_are_not_finite_fail_alone(predictor: Predictor, records: list[CrystalRecord]) -> None:
    descriptors = records[3].descriptors.copy()
    descriptors[2] = np.nan
    records[3] = replace(records[3], descriptors=descriptors)
    features = FeatureBatch.from_records(records)
    predicted = predictor.predict_batch(features)
    assert [failure.path for failure in predicted.failures] == ["c3"]
    assert [row.material_id for row in predicted.predictions] == [f"c{i}" for i in range(23) if i != 3]
    with pytest.raises(ShcError, match="c3"):
        predictor.predict(features)


def test_nothing_gives_nothing(predictor: Predictor) -> None:
    assert predictor.predict(FeatureBatch.from_records([])) == []


def test_a_feature_file_streams_in_windows(predictor: Predictor) -> None:
    path = DATA / "features_v1.h5"
    whole = predictor.predict(FeatureFile.open(path).load_all())
    parts = [part.predictions for part in predictor.iter_feature_file(path, window=5)]
    assert [len(part) for part in parts] == [5, 5, 2]
    rows = [row for part in parts for row in part]
    assert [row.material_id for row in rows] == [row.material_id for row in whole]
    np.testing.assert_allclose(numbers(rows), numbers(whole), rtol=1e-5)
    third = [r for part in predictor.iter_feature_file(path, rows=slice(1, None, 3)) for r in part.predictions]
    assert [row.material_id for row in third] == [row.material_id for row in whole[1::3]]


def test_a_feature_file_of_another_kind_is_refused() -> None:
    with pytest.raises(ShcError, match="does not fit") as caught:
        next(Predictor(tiny_ensemble(8, 9)).iter_feature_file(DATA / "features_v1.h5"))
    assert caught.value.exit_code == 5


def test_structures_featurised_otherwise_than_in_training_are_refused() -> None:
    with pytest.raises(ShcError, match="prompt size") as caught:
        next(Predictor(tiny_ensemble(7, 9)).iter_sources(["nowhere"]))
    assert caught.value.exit_code == 5


def test_a_predictor_is_loaded_from_a_folder(tmp_path: Path, records: list[CrystalRecord]) -> None:
    save_ensemble(tmp_path, tiny_ensemble(7, 9))
    predictor = load_predictor(tmp_path, "cpu")
    assert predictor.backend.name == "eager"
    assert len(predictor.predict(FeatureBatch.from_records(records))) == 23
