from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shc.featurize.errors import ShcError
from shc.models.labels import read_column, read_labels

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "labels.csv"
    path.write_text(text, encoding=encoding)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "material_id,formula,shc_max_abs\na,Pt,2180\nb,W,820.5\n",
        "# unit: (hbar/e) S/cm\nshc_max_abs,material_id\n2180,a\n820.5,b\n",
        "a,2180\nb,820.5\n",
        "a, 2180\n\nb ,820.5\nb,820.5",
        "\ufeffmaterial_id,shc_max_abs\r\na,2180\r\nb,820.5\r\n",
        "\ufeffmaterial_id;note, if any;shc_max_abs\r\na;x,y;2180\r\nb;;820.5\r\n",
        "material_id\tshc_max_abs\na\t2180\nb\t820.5\n",
        "material_id,note;tab\t,shc_max_abs\na,;,2180\nb,1;2,820.5\n",
    ],
    ids=[
        "header",
        "comment, other order",
        "id_prop",
        "spaces, blank line, repeated row",
        "Excel",
        "semicolons",
        "tabs",
        "semicolons within cells",
    ],
)
def test_both_forms_are_read(tmp_path: Path, text: str) -> None:
    assert read_labels(write(tmp_path, text)) == {"a": 2180.0, "b": 820.5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no labels"),
        ("# only a comment\n", "holds no labels"),
        ("id,shc_max_abs\na,1\n", "no column material_id"),
        ("a,much\n", "no label in row 'a,much'"),
        ("material_id,shc_max_abs\na\n", "no label in row 'a'"),
        ("a,nan\n", "has label nan"),
        ("a,inf\n", "has label inf"),
        ("a,-1\n", "has label -1"),
        ("a,1\na,2\n", "a has two labels"),
        ("shc_max_abs,material_id\n1\n", "no label in row '1'"),
        ("material_id;shc_max_abs\na;12\nb; 2,5\n", "no label in row 'b, 2,5'"),
        ("a;2,5\n", "no label in row 'a,2,5'"),
    ],
)
def test_wrong_labels_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ShcError, match=message) as caught:
        read_labels(write(tmp_path, text))
    assert caught.value.hint


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ShcError, match="cannot read labels"):
        read_labels(tmp_path / "absent.csv")
    with pytest.raises(ShcError, match=r"cannot read labels from .*: Is a directory"):
        read_labels(tmp_path)
    for encoding, kind in (("latin-1", "no UTF-8 text"), ("utf-16", "UTF-16 text"), ("utf-16-be", "no UTF-8 text")):
        with pytest.raises(ShcError, match=f"cannot read labels from .*: it is {kind}") as caught:
            read_labels(write(tmp_path, "material_id,shc_max_abs\n\u00e9,1\n", encoding))
        assert caught.value.hint == "save it as CSV in UTF-8"
    with pytest.raises(ShcError, match="cannot read labels"):
        read_labels(write(tmp_path, f"material_id,shc_max_abs\n{'x' * 200_000},1\n"))


def test_another_column_is_read_as_text(tmp_path: Path) -> None:
    path = write(tmp_path, "material_id,formula,shc_max_abs\na, Pt,2180\nb,,820.5\n")
    assert read_column(path, "formula") == {"a": "Pt", "b": ""}
    assert read_column(path, "space_group") == {}
    assert read_column(write(tmp_path, "a,2180\nb,820.5\n"), "formula") == {}
