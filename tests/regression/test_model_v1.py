"""A model of format 1 is read for ever, and predicts what it always did."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shc.featurize.store import FeatureFile
from shc.models.card import CARD_FORMAT
from shc.models.inference import load_predictor

TESTS = Path(__file__).parents[1]
FOSSIL = TESTS / "regression" / "model_v1"
NUMBERS = ("shc_max_abs", "shc_lower", "shc_upper", "shc_std", "p_finite")


def test_the_fossil_predicts_what_it_always_did() -> None:
    expected = json.loads((FOSSIL / "expected.json").read_text(encoding="utf-8"))
    features = FeatureFile.open(TESTS / "data" / "features_v1.h5").load_all()
    rows = load_predictor(FOSSIL, "cpu").predict(features)
    assert len(rows) == len(expected) == 12
    for row, past in zip(rows, expected, strict=True):
        now = row._asdict()
        for name in NUMBERS:
            assert now.pop(name) == pytest.approx(past.pop(name), rel=1e-4)
        assert {name: now[name] for name in past} == past


def test_the_predictions_of_the_fossil_differ_between_crystals() -> None:
    expected = json.loads((FOSSIL / "expected.json").read_text(encoding="utf-8"))
    values = [row["shc_max_abs"] for row in expected]
    assert max(values) > 1.05 * min(values)
    assert {row["in_domain"] for row in expected} == {True, False}


def test_every_format_has_a_fossil() -> None:
    found = {path.name for path in (TESTS / "regression").glob("model_v*")}
    assert found == {f"model_v{number}" for number in range(1, CARD_FORMAT + 1)}
