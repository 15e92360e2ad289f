from __future__ import annotations

import csv
import io
import json
import runpy
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from shc.featurize.errors import Failure
from shc.models.prediction import COLUMNS, Prediction
from shc.models.report import CsvWriter, FailureFile, JsonLinesWriter, Ranking, failures_path, unit_line

if TYPE_CHECKING:
    from shc.models.card import ModelCard

CARD: ModelCard = runpy.run_path(str(Path(__file__).parents[2] / "data" / "tiny_model.py"))["tiny_card"](7, 9)
FAILURE = Failure("a, b.cif", "read", "no 'cell'", "")


def row(name: str = "Pt", value: float = 2180.06, *, in_domain: bool = True, flags: str = "") -> Prediction:
    return Prediction(name, "Pt", 225, value, 1500.01, 2600.99, 312.3456, 0.98765, in_domain, "structure", flags)


def test_csv_names_the_unit_then_the_columns_then_rows() -> None:
    stream = io.StringIO()
    CsvWriter(stream, CARD).write([row(), row("a,b", 0.04, in_domain=False, flags="magnetic;no_soc")])
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("# unit: (hbar/e) S/cm ")
    assert "covers 90 %" in lines[0]
    assert lines[1] == ",".join(COLUMNS)
    assert lines[2] == "Pt,Pt,225,2180.1,1500.0,2601.0,312.3,0.988,true,structure,"
    rows = list(csv.DictReader(lines[1:]))
    assert rows[1]["material_id"] == "a,b"
    assert (rows[1]["shc_max_abs"], rows[1]["in_domain"], rows[1]["flags"]) == ("0.0", "false", "magnetic;no_soc")


def with_tensor(source: str) -> Prediction:
    return row()._replace(tb_shc=tuple(-13.04 + i for i in range(27)), tb_shc_source=source)


def test_a_tensor_stands_at_the_end_of_a_row() -> None:
    stream = io.StringIO()
    CsvWriter(stream, CARD).write([with_tensor("learned"), with_tensor("computed")])
    comment, *lines = stream.getvalue().splitlines()
    assert "tb_shc_ijk: tensor of the built-in electronic structure" in comment
    rows = list(csv.DictReader(lines))
    assert list(rows[0])[: len(COLUMNS)] == list(COLUMNS)
    assert [found["tb_source"] for found in rows] == ["learned", "computed"]
    assert (rows[0]["tb_shc_xxx"], rows[0]["tb_shc_xxy"], rows[0]["tb_shc_zzz"]) == ("-13.0", "-12.0", "13.0")
    stream = io.StringIO()
    JsonLinesWriter(stream, CARD).write([with_tensor("learned")])
    line = json.loads(stream.getvalue())
    assert (line["tb_source"], line["tb_shc_xyz"]) == ("learned", -8.0)


def test_csv_appears_batch_by_batch() -> None:
    stream = io.StringIO()
    writer = CsvWriter(stream, CARD)
    assert stream.getvalue() == ""
    for n in (1, 2):
        writer.write([row()])
        assert len(stream.getvalue().splitlines()) == 2 + n


def test_json_lines_each_carry_the_unit() -> None:
    stream = io.StringIO()
    JsonLinesWriter(stream, CARD).write([row("µ-1"), row(in_domain=False)])
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first["material_id"] == "µ-1"
    assert (first["unit"], second["unit"]) == ("(hbar/e) S/cm", "(hbar/e) S/cm")
    assert (first["shc_max_abs"], first["p_finite"], first["coverage"]) == (2180.1, 0.988, 0.9)
    assert (first["in_domain"], second["in_domain"]) == (True, False)
    assert set(first) == {*COLUMNS, "unit", "coverage", "model"}


def test_the_unit_line_is_one_line() -> None:
    assert unit_line(CARD).count("\n") == 0


@pytest.mark.parametrize("n", [1, 7, 50, 500])
def test_the_ranking_equals_a_stable_sort(n: int) -> None:
    values = np.random.default_rng(n).integers(0, 40, 200).tolist()
    rows = [row(f"c{i}", float(value)) for i, value in enumerate(values)]
    ranking = Ranking(n)
    for start in range(0, 200, 30):
        ranking.write(rows[start : start + 30])
    assert ranking.rows() == sorted(rows, key=lambda r: -r.shc_max_abs)[:n]
    assert ranking.n_seen == 200


def test_the_ranking_needs_no_memory_for_what_it_drops() -> None:
    ranking = Ranking(5)
    ranking.write(row(f"c{i}", float(i)) for i in range(1000))
    tracemalloc.start()
    ranking.write(row(f"c{i}", float(i)) for i in range(20000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50_000


def test_failures_are_listed_beside_the_output() -> None:
    assert failures_path(Path("out/result.csv")) == Path("out/result.failures.csv")
    assert failures_path(None) == Path("shc.failures.csv")


def test_a_list_of_failures_exists_only_if_there_are_any(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "x.failures.csv"
    with FailureFile(path) as failures:
        failures.write([])
    assert not path.parent.exists()
    with FailureFile(path) as failures:
        failures.write([FAILURE])
        assert list(csv.reader(path.read_text(encoding="utf-8").splitlines())) == [[*Failure._fields], [*FAILURE]]
        failures.write([FAILURE])
    assert failures.n == 2
    assert len(path.read_text(encoding="utf-8").splitlines()) == 3


def test_a_stale_list_is_removed_by_a_complete_run_only(tmp_path: Path) -> None:
    path = tmp_path / "x.failures.csv"
    with FailureFile(path) as failures:
        failures.write([FAILURE])
    with pytest.raises(RuntimeError), FailureFile(path):
        raise RuntimeError
    assert path.exists()
    with FailureFile(path, keep_old=True):
        pass
    assert path.exists()
    with FailureFile(path):
        pass
    assert not path.exists()


def test_a_file_that_is_no_list_of_failures_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.failures.csv"
    path.write_text("my notes\n", encoding="utf-8")
    with FailureFile(path):
        pass
    assert path.read_text(encoding="utf-8") == "my notes\n"


def test_names_that_are_no_text_are_escaped(tmp_path: Path) -> None:
    with FailureFile(tmp_path / "f.csv") as failures:
        failures.write([FAILURE._replace(path="a\udcff.cif")])
    assert "a\\udcff.cif" in (tmp_path / "f.csv").read_text(encoding="utf-8")
