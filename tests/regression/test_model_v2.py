"""A model of format 2 is read for ever, and predicts what it always did."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

from shc.models.modalities import PICTURE, SUBSETS

HERE = Path(__file__).parent
FOSSIL = HERE / "model_v2"
NUMBERS = ("shc_max_abs", "shc_lower", "shc_upper", "shc_std", "p_finite", "tb_shc")


@pytest.mark.parametrize("subset", SUBSETS)
def test_the_fossil_predicts_what_it_always_did(subset: str) -> None:
    expected = json.loads((FOSSIL / "expected.json").read_text(encoding="utf-8"))[subset]
    rows = runpy.run_path(str(HERE / "make_model_v2.py"))["predictions"](FOSSIL)[subset]
    assert len(rows) == len(expected) == 3
    for row, past in zip(rows, expected, strict=True):
        now = {name: row[name] for name in past}
        # Pictures are encoded in bfloat16 where the processor has units for it, and with folded normalisations.
        tolerance = 3e-3 if PICTURE in now["modalities"] else 1e-4
        for name in NUMBERS:
            assert now.pop(name) == pytest.approx(past.pop(name), rel=tolerance), name
        assert now == past


def test_the_predictions_of_the_fossil_differ() -> None:
    expected = json.loads((FOSSIL / "expected.json").read_text(encoding="utf-8"))
    first = [expected[subset][0]["shc_max_abs"] for subset in SUBSETS]
    assert len({round(value, 1) for value in first}) == 4
    assert [expected[subset][0]["modalities"] for subset in SUBSETS] == list(SUBSETS)
    sources = [row["tb_shc_source"] for row in expected[SUBSETS[3]]]
    assert sources == ["computed", "learned", "learned"]
