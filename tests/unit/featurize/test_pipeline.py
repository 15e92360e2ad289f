from __future__ import annotations

import csv
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from shc.featurize import batch as batch_module
from shc.featurize import graph, symmetry
from shc.featurize.batch import featurize_batch
from shc.featurize.config import FeaturizeConfig
from shc.featurize.errors import ExitCode, Failure, ShcError, counted
from shc.featurize.pipeline import (
    Progress,
    current_header,
    featurize_sources,
    iter_featurized,
)
from shc.featurize.stop import StopRequest
from shc.featurize.store import FeatureBatch, FeatureFile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shc.featurize.symmetry import PrimitiveCrystal
    from shc.featurize.types import Crystal, CrystalRecord

CONFIG = FeaturizeConfig()
CIF = """data_{name}
_cell_length_a {a}
_cell_length_b {a}
_cell_length_c {c}
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 1'
loop_
 _atom_site_label
 _atom_site_type_symbol
 _atom_site_fract_x
 _atom_site_fract_y
 _atom_site_fract_z
 _atom_site_occupancy
 Cs1 Cs 0 0 0 1
 Cl1 Cl 0.5 0.5 {z} 1
"""


def write_cif(folder: Path, name: str, a: float = 4.1, c: float = 4.1, z: float = 0.5) -> Path:
    path = folder / f"{name}.cif"
    path.write_text(CIF.format(name=name, a=a, c=c, z=z))
    return path


@pytest.fixture
def cifs(tmp_path: Path) -> Path:
    folder = tmp_path / "cifs"
    folder.mkdir()
    for i in range(12):
        write_cif(folder, f"m{i:02}", a=4.0 + 0.01 * i, c=4.0 + 0.01 * i * (i % 3), z=0.5 - 0.01 * (i % 4))
    return folder


def assert_equal(first: FeatureBatch, second: FeatureBatch) -> None:
    for field in fields(FeatureBatch):
        np.testing.assert_array_equal(getattr(first, field.name), getattr(second, field.name), field.name)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_record_holds_the_crystal(tmp_path: Path) -> None:
    [record], failures = featurize_batch([write_cif(tmp_path, "CsCl")], CONFIG)
    assert failures == []
    assert (record.material_id, record.formula, record.space_group_number) == ("CsCl", "CsCl", 221)
    assert sorted(record.atomic_number.tolist()) == [17, 55]
    assert record.orbit.tolist() == [0, 1]
    half_diagonal = 4.1 * np.sqrt(3) / 2
    np.testing.assert_allclose(record.neighbour_distance[:, :8], half_diagonal, rtol=1e-6)
    np.testing.assert_allclose(record.neighbour_distance[:, 8:], 4.1, rtol=1e-6)
    assert (record.neighbour_atom[:, :8] == [[1], [0]]).all()
    assert (record.neighbour_atom[:, 8:] == [[0], [1]]).all()
    step = record.frac[record.neighbour_atom] + record.neighbour_shift - record.frac[: len(record.neighbour_atom), None]
    lengths = np.linalg.norm(step @ record.lattice, axis=2)
    np.testing.assert_allclose(lengths, record.neighbour_distance, rtol=1e-6)
    assert record.standard_rotation is not None
    np.testing.assert_allclose(record.standard_rotation @ record.standard_rotation.T, np.eye(3), atol=1e-6)
    assert record.standard_rotation.dtype == np.float32
    header = current_header(CONFIG)
    assert record.symmetry_prompt.shape == (header.prompt_fields[-1][2],)
    assert record.descriptors.shape == (len(header.descriptor_names),)


def test_a_batch_gives_what_its_files_give_alone(cifs: Path) -> None:
    paths = sorted(cifs.iterdir())
    together, _ = featurize_batch(paths, CONFIG)
    alone = [featurize_batch([path], CONFIG)[0][0] for path in paths]
    assert_equal(FeatureBatch.from_records(together), FeatureBatch.from_records(alone))
    assert [record.material_id for record in together] == [path.stem for path in paths]


def test_bad_files_become_failures_and_stop_nothing(cifs: Path) -> None:
    bad = cifs / "m03.cif"
    bad.write_text("not a crystal")
    missing = cifs / "gone.cif"
    records, failures = featurize_batch([missing, *sorted(cifs.iterdir())], CONFIG)
    assert len(records) == 11
    assert {failure.path for failure in failures} == {str(bad), str(missing)}
    assert all(failure.stage == "read" and failure.error and failure.hint for failure in failures)


def test_unexpected_errors_are_failures_that_ask_for_a_report(cifs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def reduce_crystal(crystal: Crystal, config: FeaturizeConfig) -> PrimitiveCrystal:
        if crystal.material_id == "m02":
            raise ZeroDivisionError("a defect")
        return symmetry.reduce_crystal(crystal, config)

    def build_graphs(cells: Sequence[PrimitiveCrystal], config: FeaturizeConfig) -> list[graph.Graph]:
        if any(abs(abs(np.linalg.det(cell.lattice)) - 4.04**2 * 4.04) < 1e-6 for cell in cells):
            raise ValueError("a bad cell")
        return graph.build_graphs(cells, config)

    def reduced_formula(_atomic_number: object) -> str:
        raise KeyError(17)

    monkeypatch.setattr(batch_module, "reduce_crystal", reduce_crystal)
    monkeypatch.setattr(batch_module, "build_graphs", build_graphs)
    records, failures = featurize_batch(sorted(cifs.iterdir()), CONFIG)
    assert [(Path(f.path).stem, f.stage, f.error) for f in failures] == [
        ("m02", "symmetry", "unexpected ZeroDivisionError: a defect"),
        ("m04", "graph", "unexpected ValueError: a bad cell"),
    ]
    assert all("report" in failure.hint for failure in failures)
    assert len(records) == 10
    monkeypatch.setattr(batch_module, "reduced_formula", reduced_formula)
    assert {f.stage for f in featurize_batch([cifs / "m00.cif"], CONFIG)[1]} == {"descriptors"}


def test_stream_keeps_order_and_names_second_owners_of_an_id(cifs: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(cifs / "m05.cif", other / "m05.cif")
    sources = [str(cifs), str(cifs / "m01.cif"), str(other), str(tmp_path / "nothing.cif")]
    records: list[CrystalRecord] = []
    failures: list[Failure] = []
    for done, failed in iter_featurized(sources, CONFIG, batch_size=5):
        records += done
        failures += failed
    assert [record.material_id for record in records] == [f"m{i:02}" for i in range(12)]
    assert [(failure.path, failure.stage) for failure in failures] == [
        (str(other / "m05.cif"), "id"),
        (str(tmp_path / "nothing.cif"), failures[1].stage),
    ]
    assert str(cifs / "m05") in failures[0].error


def test_names_that_are_no_text_are_refused(cifs: Path) -> None:
    shutil.copy(cifs / "m00.cif", os.fsdecode(os.fsencode(cifs) + b"/bad\xff.cif"))
    output = cifs.parent / "f.h5"
    summary = featurize_sources([str(cifs)], output, CONFIG)
    assert (summary.n_done, summary.n_failed) == (12, 1)
    assert [row["stage"] for row in rows_of(summary.failures)] == ["id"]


def test_run_again_skips_redoes_and_adds(cifs: Path, tmp_path: Path) -> None:
    output = tmp_path / "features.h5"
    (cifs / "bad.cif").write_text("no crystal")
    seen: list[Progress] = []
    summary = featurize_sources([str(cifs)], output, CONFIG, batch_size=5, on_progress=seen.append)
    assert (summary.n_done, summary.n_skipped, summary.n_failed) == (12, 0, 1)
    assert (summary.output, summary.failures) == (output, tmp_path / "features.failures.csv")
    assert seen[-1] == Progress(12, 0, 1)
    assert [row["path"] for row in rows_of(summary.failures)] == [str(cifs / "bad.cif")]
    assert FeatureFile.open(output).header.differences(current_header(CONFIG)) == []
    assert FeatureFile.open(output).load_all().standard_rotation is not None

    before = output.stat().st_mtime_ns
    again = featurize_sources([str(cifs)], output, CONFIG)
    assert (again.n_done, again.n_skipped, again.n_failed) == (0, 12, 1)
    assert output.stat().st_mtime_ns == before

    write_cif(cifs, "m04", a=5.0)
    write_cif(cifs, "bad", a=5.1)
    write_cif(cifs, "new")
    third = featurize_sources([str(cifs)], output, CONFIG)
    assert (third.n_done, third.n_skipped, third.n_failed) == (3, 11, 0)
    assert rows_of(third.failures) == []
    file = FeatureFile.open(output)
    assert sorted(file.material_ids) == sorted(path.stem for path in cifs.iterdir())
    changed = file.read(np.array([file.material_ids.index("m04")]))
    assert changed.lattice.max() == pytest.approx(5.0)


def test_rows_do_not_depend_on_executor_or_workers(cifs: Path, tmp_path: Path) -> None:
    (cifs / "m07.cif").write_text("broken")
    (cifs / "m07b.vasp").write_text("broken")
    written, failed = [], []
    for n_threads, batch_size in ((0, 64), (0, 3), (1, 2), (3, 1)):
        output = tmp_path / f"{n_threads}-{batch_size}.h5"
        if n_threads:
            with ThreadPoolExecutor(n_threads) as executor:
                featurize_sources([str(cifs)], output, CONFIG, executor=executor, batch_size=batch_size)
        else:
            featurize_sources([str(cifs)], output, CONFIG, batch_size=batch_size)
        written.append(FeatureFile.open(output).load_all())
        failed.append(rows_of(output.with_name(f"{output.stem}.failures.csv")))
    for other, failures in zip(written[1:], failed[1:], strict=True):
        assert_equal(written[0], other)
        assert failures == failed[0]


@pytest.mark.parametrize("n_threads", [0, 2])
def test_stopped_run_says_so_and_goes_on(cifs: Path, tmp_path: Path, n_threads: int) -> None:
    output = tmp_path / "f.h5"
    featurize_sources([str(cifs)], tmp_path / "whole.h5", CONFIG)
    stop = StopRequest()
    reported: list[int] = []

    def on_progress(progress: Progress) -> None:
        reported.append(progress.n_done)
        stop.request("SIGTERM")

    with ThreadPoolExecutor(n_threads or 1) as threads, pytest.raises(ShcError, match="SIGTERM") as caught:
        featurize_sources(
            [str(cifs)],
            output,
            CONFIG,
            batch_size=1,
            stop=stop,
            on_progress=on_progress,
            executor=threads if n_threads else None,
            workers=1,
        )
    assert caught.value.exit_code == ExitCode.RESUMABLE
    assert f"after {counted(reported[-1], 'crystal')}" in caught.value.message
    assert not output.exists()
    assert 1 <= reported[-1] < 12
    summary = featurize_sources([str(cifs)], output, CONFIG)
    assert (summary.n_skipped, summary.n_done) == (reported[-1], 12 - reported[-1])
    assert_equal(FeatureFile.open(output).load_all(), FeatureFile.open(tmp_path / "whole.h5").load_all())


def test_other_parameters_need_overwrite(cifs: Path, tmp_path: Path) -> None:
    output = tmp_path / "f.h5"
    featurize_sources([str(cifs)], output, CONFIG)
    other = FeaturizeConfig(cutoff=5.0, max_neighbours=6)
    with pytest.raises(ShcError, match="max_neighbours: 12 and 6") as caught:
        featurize_sources([str(cifs)], output, other)
    assert caught.value.exit_code == ExitCode.BAD_FILE
    featurize_sources([str(cifs)], output, other, overwrite=True)
    assert FeatureFile.open(output).load_all().neighbour_atom.shape[1] == 6


def test_no_usable_input(tmp_path: Path) -> None:
    (tmp_path / "bad.cif").write_text("no crystal")
    output = tmp_path / "f.h5"
    with pytest.raises(ShcError, match=r"bad\.cif: not a CIF") as caught:
        featurize_sources([str(tmp_path / "bad.cif")], output, CONFIG)
    assert caught.value.exit_code == ExitCode.NO_INPUT
    assert len(rows_of(tmp_path / "f.failures.csv")) == 1
    with pytest.raises(ShcError, match="no structure file"):
        featurize_sources([], output, CONFIG)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.cif", "f.failures.csv"]
