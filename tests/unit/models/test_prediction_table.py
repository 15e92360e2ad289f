from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shc.featurize.errors import ShcError
from shc.models.prediction_table import common, join, read_predictions

if TYPE_CHECKING:
    from pathlib import Path

LABELS = {"a": 100.0, "b": 200.0, "c": 300.0}


def write(folder: Path, text: str) -> Path:
    path = folder / "predictions.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("material_id,shc_max_abs\na,1\nb,2\n", None),
        ("# unit\nformula,shc_max_abs,material_id\nPt,1,a\nW,2,b\n", None),
        ("shc_max_abs,id\n1, a\n\n2,b\n2,b\n", None),
        ("name,shc_max_abs\na,1\nb,2\n", "pred"),
        ("name,target,pred\na,7,1\nb,8,2\n", "pred"),
        ("material_id,shc_max_abs,pred\na,7,1\nb,8,2\n", "pred"),
        ("\ufeffmaterial_id;shc_max_abs\na;1\nb;2\n", None),
    ],
    ids=[
        "plain",
        "comment, other order",
        "id, spaces, repeated row",
        "no such column",
        "first column",
        "both",
        "semicolons, mark of UTF-8",
    ],
)
def test_ids_and_values_are_found(tmp_path: Path, text: str, column: str | None) -> None:
    (found,) = read_predictions(write(tmp_path, text), column)
    assert dict(zip(found.row, found.value.tolist(), strict=True)) == {"a": 1.0, "b": 2.0}
    assert (found.bounds, found.modalities) == (None, "")


def test_intervals_belong_to_shc_max_abs(tmp_path: Path) -> None:
    path = write(tmp_path, "material_id,shc_max_abs,shc_lower,shc_upper,other\na,1,0,5,9\nb,2,1,6,9\n")
    (found,) = read_predictions(path)
    assert found.bounds is not None
    assert [each.tolist() for each in found.bounds] == [[0.0, 1.0], [5.0, 6.0]]
    assert read_predictions(path, "other")[0].bounds is None


def test_several_predictions_of_a_crystal_are_sets_of_their_own(tmp_path: Path) -> None:
    rows = "a,1,structure\nb,2,structure\na,3,structure+curves\n"
    found = read_predictions(write(tmp_path, f"material_id,shc_max_abs,modalities\n{rows}"))
    assert [(each.modalities, each.value.tolist()) for each in found] == [
        ("structure", [1.0, 2.0]),
        ("structure+curves", [3.0]),
    ]


def test_one_prediction_of_each_crystal_is_one_set_whatever_it_rests_on(tmp_path: Path) -> None:
    (found,) = read_predictions(
        write(tmp_path, "material_id,shc_max_abs,modalities\na,1,structure\nb,2,structure+curves\n")
    )
    assert (found.modalities, list(found.row)) == ("mixed", ["a", "b"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no predictions"),
        ("material_id,shc_max_abs\n", "holds no predictions"),
        ("a,1\nb,2\n", "has no column shc_max_abs"),
        ("material_id,shc_max_abs\na,much\n", "no number in row 'a,much'"),
        ("material_id,shc_max_abs\na,\n", "no number in row 'a,'"),
        ("material_id,shc_max_abs\na\n", "no number in row 'a'"),
        ("material_id,shc_max_abs\na,nan\n", "a is not finite"),
        ("material_id,shc_max_abs\na,1\na,2\n", "a has two predictions"),
        ("material_id,shc_max_abs,shc_lower,shc_upper\na,1,0,\n", "no number in row 'a,1,0,'"),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ShcError, match=message) as caught:
        read_predictions(write(tmp_path, text))
    assert caught.value.hint
    assert caught.value.exit_code == 3


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ShcError, match="cannot read predictions"):
        read_predictions(tmp_path / "absent.csv")


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    (found,) = read_predictions(write(tmp_path, "id,shc_max_abs\nx,1\nc,3\nb,2\n"))
    joined = join(found, LABELS, ["a", "b"], "mine")
    assert (joined.material_id, joined.label.tolist(), joined.value.tolist()) == (["b"], [200.0], [2.0])
    assert joined.gaps == (
        "mine: 1 crystal without a prediction, not scored (a)",
        "mine: 1 crystal predicted, but without a label (x)",
        "mine: 1 crystal predicted, but not among the rows of the split that score (c)",
    )
    assert join(found, LABELS | {"x": 0.0}, ["x", "b", "c"], "mine").gaps == ()
    with pytest.raises(ShcError, match="no crystal that scores has a prediction") as caught:
        join(found, LABELS, ["a"], "mine")
    assert "x, c, b" in caught.value.hint


def test_common_crystals_are_in_one_order(tmp_path: Path) -> None:
    (first,) = read_predictions(write(tmp_path, "id,shc_max_abs\na,1\nb,2\n"))
    (second,) = read_predictions(write(tmp_path, "id,shc_max_abs\nc,30\nb,20\n"))
    (third,) = read_predictions(write(tmp_path, "id,shc_max_abs\nc,3\n"))
    one, two, three = (join(each, LABELS, list(LABELS), "") for each in (first, second, third))
    assert [each.value.tolist() for each in common(one, two)] == [[2.0], [20.0]]
    assert [each.label.tolist() for each in common(one, two)] == [[200.0], [200.0]]
    with pytest.raises(ShcError, match="no labelled crystal in common"):
        common(one, three)
