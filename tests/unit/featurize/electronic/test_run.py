from __future__ import annotations

import csv
import io
import runpy
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from shc.featurize.config import BANDS_AUTO, FeaturizeConfig
from shc.featurize.electronic import engine
from shc.featurize.electronic.codec import decode
from shc.featurize.electronic.record import ENGINE_VERSION, BandsConfig
from shc.featurize.electronic.run import (
    SUMMARY_COLUMNS,
    BandsOutput,
    bands_config,
    featurize_with_bands,
    file_timeout,
    write_summary,
)
from shc.featurize.errors import ExitCode, ShcError
from shc.featurize.pipeline import Progress, current_header, featurize_sources, iter_featurized
from shc.featurize.store import FeatureFile

if TYPE_CHECKING:
    from shc.featurize.electronic.record import ElectronicRecord
    from shc.featurize.symmetry import PrimitiveCrystal

ROOT = Path(__file__).parents[4]
STAND_IN: dict[str, Any] = runpy.run_path(str(ROOT / "tests" / "data" / "stand_in.py"))
CONFIG = FeaturizeConfig(bands=BANDS_AUTO)
RUBIDIUM = "RbCl\n4.0\n1 0 0\n0 1 0\n0 0 1\nRb Cl\n1 1\nDirect\n0 0 0\n0.5 0.5 0.5\n"
NAMES = ["Au", "GaAs", "Pt"]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Number of atoms of each crystal that is computed."""
    made: list[int] = []

    def counted(crystal: PrimitiveCrystal, config: BandsConfig) -> ElectronicRecord:
        made.append(len(crystal.frac))
        record: ElectronicRecord = STAND_IN["compute_bands"](crystal, config)
        return record

    monkeypatch.setattr(engine, "compute_bands", counted)
    # In this process, where the stand-in is.
    monkeypatch.setattr("shc.featurize.pipeline.BANDS_IN_PROCESS_BELOW", 100)
    return made


@pytest.fixture
def cifs(tmp_path: Path) -> Path:
    """Three crystals, and one of rubidium, which has no bands, before the last."""
    folder = tmp_path / "cifs"
    folder.mkdir()
    for name in NAMES:
        shutil.copy(ROOT / "examples" / f"{name}.cif", folder)
    (folder / "H_RbCl.vasp").write_text(RUBIDIUM)
    return folder


def test_records_carry_their_bands(cifs: Path, calls: list[int], tmp_path: Path) -> None:
    output = BandsOutput(cache=tmp_path / "cache")
    records, [failure] = featurize_with_bands(sorted(cifs.iterdir()), CONFIG, output)
    assert [record.material_id for record in records] == ["Au", "GaAs", "H_RbCl", "Pt"]
    assert [bool(record.bands) for record in records] == [True, True, False, True]
    assert (failure.path, failure.stage) == (str(cifs / "H_RbCl.vasp"), "bands")
    assert "Rb" in failure.error
    assert failure.hint
    assert decode(records[0].bands).k_mesh == (8, 8, 6)
    again, _ = featurize_with_bands(sorted(cifs.iterdir()), CONFIG, output)
    assert [record.bands for record in again] == [record.bands for record in records]
    assert len(calls) == 5
    required, failures = featurize_with_bands(sorted(cifs.iterdir()), CONFIG, replace(output, required=True))
    assert [record.material_id for record in required] == NAMES
    assert len(failures) == 1


def test_unexpected_errors_cost_the_bands_only(cifs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(crystal: PrimitiveCrystal, config: BandsConfig) -> ElectronicRecord:
        raise ZeroDivisionError(f"{len(crystal.frac)} {config.budget}")

    monkeypatch.setattr(engine, "compute_bands", broken)
    records, failures = featurize_with_bands([cifs / "Au.cif"], CONFIG, BandsOutput(cache=None))
    assert [record.bands for record in records] == [b""]
    assert "unexpected ZeroDivisionError" in failures[0].error


@pytest.mark.usefixtures("calls")
@pytest.mark.parametrize("code", [ExitCode.USAGE, ExitCode.NO_BACKEND])
def test_what_no_crystal_can_help_ends_the_run(
    cifs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: ExitCode
) -> None:
    def refuse(*_: object) -> None:
        raise ShcError("cannot draw", exit_code=code)

    monkeypatch.setattr("shc.featurize.electronic.plot.plot_bands", refuse)
    bands = BandsOutput(cache=None, plots=tmp_path / "plots", required=True)
    with pytest.raises(ShcError, match="cannot draw") as caught:
        featurize_sources([str(cifs)], tmp_path / "f.h5", CONFIG, bands=bands)
    assert caught.value.exit_code == code
    assert not (tmp_path / "f.h5").exists()


def test_a_file_with_bands(cifs: Path, calls: list[int], tmp_path: Path) -> None:
    path, bands = tmp_path / "f.h5", BandsOutput(cache=None)
    seen: list[Progress] = []
    summary = featurize_sources([str(cifs)], path, CONFIG, bands=bands, on_progress=seen.append)
    assert (summary.n_done, summary.n_failed, summary.n_without_bands, summary.n_skipped) == (4, 0, 1, 0)
    assert seen[-1] == Progress(4, 0, 0)
    file = FeatureFile.open(path)
    assert [record is None for record in file.bands(slice(None))] == [False, False, True, False]
    assert file.header.bands_version == ENGINE_VERSION
    with summary.failures.open() as stream:
        assert [(row["path"], row["stage"]) for row in csv.DictReader(stream)] == [(str(cifs / "H_RbCl.vasp"), "bands")]
    # A crystal that is in the file without bands is done.
    summary = featurize_sources([str(cifs)], path, CONFIG, bands=bands)
    assert (summary.n_done, summary.n_skipped) == (0, 4)
    assert len(calls) == 4


def test_required_bands_that_fail_are_failures(cifs: Path, calls: list[int], tmp_path: Path) -> None:
    bands = BandsOutput(cache=None, required=True)
    for n_done in (3, 0):
        summary = featurize_sources([str(cifs)], tmp_path / "f.h5", CONFIG, bands=bands)
        assert (summary.n_done, summary.n_failed, summary.n_without_bands) == (n_done, 1, 0)
    assert len(calls) == 5
    assert FeatureFile.open(tmp_path / "f.h5").material_ids == NAMES


def test_missing_pictures_are_drawn_again(cifs: Path, calls: list[int], tmp_path: Path) -> None:
    bands = BandsOutput(cache=tmp_path / "cache", pictures=tmp_path / "out", required=True)
    (cifs / "H_RbCl.vasp").unlink()
    assert featurize_sources([str(cifs)], tmp_path / "f.h5", CONFIG, bands=bands).n_done == 3
    assert sorted(path.name for path in bands.pictures.iterdir()) == [f"{name}.png" for name in NAMES]  # type: ignore[union-attr]
    (tmp_path / "out" / "GaAs.png").unlink()
    summary = featurize_sources([str(cifs)], tmp_path / "f.h5", CONFIG, bands=bands)
    assert (summary.n_done, summary.n_skipped) == (1, 2)
    assert (tmp_path / "out" / "GaAs.png").read_bytes().startswith(b"\x89PNG")
    assert len(calls) == 3


def test_a_crystal_that_cannot_be_drawn_again_keeps_its_row(
    cifs: Path, calls: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bands = BandsOutput(cache=tmp_path / "cache", pictures=tmp_path / "out", required=True)
    featurize_sources([str(cifs)], tmp_path / "f.h5", CONFIG, bands=bands)
    (tmp_path / "out" / "Pt.png").unlink()
    monkeypatch.setattr("shc.featurize.electronic.picture.band_image", None)
    summary = featurize_sources([str(cifs)], tmp_path / "f.h5", CONFIG, bands=bands)
    assert (summary.n_skipped, summary.n_failed, summary.n_dropped) == (2, 2, 0)
    assert FeatureFile.open(tmp_path / "f.h5").material_ids == NAMES
    assert len(calls) == 5


def test_a_stream_with_bands_goes_file_by_file(cifs: Path, calls: list[int], tmp_path: Path) -> None:
    stream = iter_featurized([str(cifs)], CONFIG, bands=BandsOutput(cache=tmp_path / "cache"))
    sizes = [len(records) for records, _ in stream]
    assert [size for size in sizes if size] == [1, 1, 1, 1]
    assert len(calls) == 4


def test_a_wrong_word_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(ShcError, match="'yes' are unknown") as caught:
        featurize_sources([str(tmp_path)], tmp_path / "f.h5", FeaturizeConfig(bands="yes"))
    assert caught.value.exit_code == ExitCode.USAGE
    assert list(tmp_path.iterdir()) == []


def test_large_budgets_have_large_limits() -> None:
    assert file_timeout(CONFIG) >= 600.0
    assert file_timeout(replace(CONFIG, bands_budget=60.0)) > 3600.0


@pytest.mark.usefixtures("calls")
def test_the_summary_has_a_row_for_each_crystal_with_bands(cifs: Path, tmp_path: Path) -> None:
    featurize_sources([str(cifs)], tmp_path / "f.h5", CONFIG, bands=BandsOutput(cache=None))
    file = FeatureFile.open(tmp_path / "f.h5")
    stream = io.StringIO()
    write_summary(file, stream)
    comment, *rest = stream.getvalue().splitlines(keepends=True)
    assert comment.startswith("# units: ")
    assert "(hbar/e) S/cm" in comment
    rows = list(csv.DictReader(rest))
    assert tuple(rows[0]) == SUMMARY_COLUMNS
    assert [row["material_id"] for row in rows] == NAMES
    for row, record in zip(rows, (r for r in file.bands(slice(None)) if r is not None), strict=True):
        assert float(row["shc_max_abs_tb"]) == pytest.approx(record.shc_max_abs, abs=0.06)
        assert float(row["dos_fermi"]) == pytest.approx(record.dos_fermi, abs=6e-4)
        assert (row["k_mesh"], row["flags"], row["seconds"]) == ("8x8x6", ";".join(record.flags), "0.25")


def test_the_header_of_a_file_without_bands_names_no_engine() -> None:
    assert current_header(FeaturizeConfig()).bands_version == 0


def test_default_settings_are_those_of_the_engine() -> None:
    assert bands_config(FeaturizeConfig()) == BandsConfig()
