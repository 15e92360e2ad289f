from __future__ import annotations

import csv
import os
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from shc.featurize.band_image import run as run_module
from shc.featurize.band_image.codec import NO_STAMP, BadPicture, decode
from shc.featurize.band_image.listing import Picture, list_pictures
from shc.featurize.band_image.run import (
    RunPictures,
    failures_of,
    featurize_with_pictures,
    match_files,
    match_formulas,
    read_pictures,
    stamp,
)
from shc.featurize.band_image.sidecar import energy_window
from shc.featurize.band_image.types import BandPicture, EnergyWindow
from shc.featurize.batch import featurize_batch
from shc.featurize.config import FeaturizeConfig
from shc.featurize.errors import ExitCode, ShcError
from shc.featurize.pipeline import FeaturizeSummary, Progress, featurize_sources
from shc.featurize.stop import StopRequest
from shc.featurize.store import FeatureFile

if TYPE_CHECKING:
    from collections.abc import Sequence

EXAMPLES = Path(__file__).parents[3] / "examples"
NAMES = ("Au", "GaAs", "Pt")
CONFIG = FeaturizeConfig()
WITH = FeaturizeConfig(pictures=True)


def understood(path: Path, window: EnergyWindow | None) -> BandPicture:
    """A stand-in for the normaliser: the first byte of a file is a row of ink, an empty file has no axis."""
    data = path.read_bytes()
    if data.startswith(b"broken"):
        raise ShcError(f"{path.name}: a broken picture", "save it again")
    if data.startswith(b"defect"):
        raise ZeroDivisionError("a defect")
    image = np.zeros((1, 224, 224), dtype=np.float32)
    if data:
        image[0, data[0]] = 1.0
    window = window or EnergyWindow(-3.0, 3.0)
    reasons = () if data else ("no energy axis was found",)
    confidence = 0.8 if data else 0.0
    return BandPicture(image, window.e_min_ev, window.e_max_ev, confidence, reasons, None, None, (300, 400))


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the pictures that were read, in this process."""
    names: list[str] = []

    def read(path: Path, window: EnergyWindow | None = None) -> BandPicture:
        names.append(path.name)
        return understood(path, window)

    monkeypatch.setattr("shc.featurize.band_image.read.read_bands_picture", read)
    return names


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with three crystals in ./cifs and an empty folder ./imgs."""
    monkeypatch.chdir(tmp_path)
    for folder in ("cifs", "imgs"):
        Path(folder).mkdir()
    for name in NAMES:
        shutil.copy(EXAMPLES / f"{name}.cif", "cifs")
    return tmp_path


def cifs() -> list[Path]:
    return sorted(Path("cifs").iterdir())


def draw(name: str, data: bytes = b"\x10") -> Path:
    path = Path("imgs", name)
    path.write_bytes(data)
    return path


def matched(window: EnergyWindow | None = None, *folders: str) -> RunPictures:
    return match_files([Path(name) for name in folders or ("imgs",)], window, cifs(), CONFIG)


def featurize(
    pictures: RunPictures | None = None, *, config: FeaturizeConfig = WITH, stop: StopRequest | None = None
) -> FeaturizeSummary:
    found = matched() if pictures is None else pictures
    return featurize_sources(["cifs"], Path("f.h5"), config, pictures=found, batch_size=1, stop=stop)


def listed() -> list[tuple[str, str, str]]:
    with Path("f.failures.csv").open(encoding="utf-8") as stream:
        return [(row["path"], row["stage"], row["error"]) for row in csv.DictReader(stream)]


def stored(name: str = "f.h5") -> dict[str, list[str]]:
    file = FeatureFile.open(name)
    found = file.pictures(slice(None))
    return {key: [p.source for p in value] for key, value in zip(file.material_ids, found, strict=True)}


def rows_of_ink(name: str) -> list[int]:
    file = FeatureFile.open("f.h5")
    [found] = file.pictures(np.array([file.material_ids.index(name)]))
    return [int(np.flatnonzero(picture.image[0, :, 0])[0]) for picture in found]


def test_pictures_are_read_and_what_is_wrong_with_others_is_kept(place: Path) -> None:
    names = ("a.png", "b.png", "c.png", "d.png")
    pictures = [Picture(Path("imgs", name), EnergyWindow(-1.0, 2.0)) for name in names]
    for name, data in zip(names, (b"\x07", b"", b"broken", b"defect"), strict=True):
        draw(name, data)
    found = read_pictures(pictures)
    [good] = found.pictures
    assert (good.source, good.kind, good.e_min_ev, good.e_max_ev, good.confidence) == ("a.png", "file", -1.0, 2.0, 0.8)
    assert [bad.error for bad in found.failures] == [
        "b.png: no energy axis was found",
        "c.png: a broken picture",
        "unexpected ZeroDivisionError: a defect",
    ]
    assert all(bad.hint for bad in found.failures)
    failures = failures_of(pictures, found.failures)
    assert [(failure.path, failure.stage) for failure in failures] == [(f"imgs/{n}", "picture") for n in names[1:]]
    assert place.is_dir()


@pytest.mark.usefixtures("place")
def test_a_stamp_tells_content_name_order_and_window() -> None:
    def of(*names: str, window: EnergyWindow | None = None) -> bytes:
        return stamp([Picture(Path("imgs", name), window) for name in names])

    draw("a.png")
    draw("b.png")
    stamps = [of("a.png"), of("b.png"), of("a.png", "b.png"), of("b.png", "a.png"), of("c.png"), NO_STAMP]
    stamps += [of("a.png", window=EnergyWindow(-1, 1)), of("a.png", window=EnergyWindow(-1, 1, 0.5))]
    assert of() == NO_STAMP
    assert len(set(stamps)) == len(stamps)
    assert of("a.png") == stamps[0]
    draw("a.png", b"\x11")
    assert of("a.png") != stamps[0]
    # Opening a pipe would wait for ever.
    os.mkfifo("imgs/c.png")
    assert of("c.png") == stamps[4]


@pytest.mark.usefixtures("place")
def test_formulas_are_read_only_if_a_name_does_not_do(monkeypatch: pytest.MonkeyPatch) -> None:
    for path in cifs():
        path.rename(path.with_stem(f"mp-{path.stem.lower()}"))
    Path("cifs/mp-bad.cif").write_text("no crystal")
    draw("mp-au.png")
    draw("mp-pt_bands.jpg")
    with monkeypatch.context() as patched:
        patched.setattr(run_module, "read_crystal", None)
        by_name = matched()
    assert [picture.path.name for picture in by_name.of("mp-pt")] == ["mp-pt_bands.jpg"]
    assert by_name.failures() == []
    draw("AsGa-bands.png")
    draw("Si.png")
    found = matched()
    assert [picture.path.name for picture in found.of("mp-gaas")] == ["AsGa-bands.png"]
    assert [failure.path for failure in found.failures()] == ["imgs/Si.png"]
    monkeypatch.setattr(run_module, "MAX_FORMULA_PASS", 3)
    many = matched()
    assert many.of("mp-gaas") == []
    assert [failure.path for failure in many.failures()] == ["imgs/AsGa-bands.png", "imgs/Si.png"]
    assert "formulas were not compared, as there are more than 3 structure files" in many.report()[-1]
    complete = match_formulas([Path("imgs")], None, {"x": "GaAs", "mp-au": "Au", "mp-pt": "Pt"})
    assert [picture.path.name for picture in complete.of("x")] == ["AsGa-bands.png"]


@pytest.mark.usefixtures("place")
def test_the_task_of_a_batch_reads_its_pictures_alone(opened: list[str]) -> None:
    pictures = {"Au": [Picture(draw("Au.png"), None)], "W": [Picture(draw("W.png"), None)]}
    records, failures = featurize_with_pictures(cifs(), partial(featurize_batch, config=CONFIG), pictures, 0)
    assert [len(decode(record.pictures).pictures) for record in records] == [1, 0, 0]
    assert (failures, opened) == ([], ["Au.png"])


@pytest.mark.usefixtures("place")
def test_a_run_stores_pictures_and_lists_the_others() -> None:
    for name, data in {
        "Au.png": b"\x10", "Au_2.png": b"\x20", "Pt.png": b"broken", "Pt_2.jpg": b"", "Cu.png": b"\x01",
    }.items():  # fmt: skip
        draw(name, data)
    summary = featurize()
    assert (summary.n_done, summary.n_failed) == (3, 0)
    assert (summary.n_pictures, summary.n_bad_pictures, summary.n_unmatched) == (2, 2, 1)
    assert summary.first_failure is None
    assert stored() == {"Au": ["Au.png", "Au_2.png"], "GaAs": [], "Pt": []}
    assert rows_of_ink("Au") == [16, 32]
    assert listed() == [
        ("imgs/Cu.png", "picture", "no crystal of this run has its name or formula"),
        ("imgs/Pt.png", "picture", "Pt.png: a broken picture"),
        ("imgs/Pt_2.jpg", "picture", "Pt_2.jpg: no energy axis was found"),
    ]


@pytest.mark.usefixtures("place")
def test_the_same_run_again_reads_nothing_and_lists_the_same(opened: list[str]) -> None:
    draw("Au.png")
    draw("Pt.png", b"broken")
    draw("Cu.png")
    featurize()
    first, before = listed(), Path("f.h5").read_bytes()
    opened.clear()
    Path("f.failures.csv").unlink()
    again = featurize()
    assert (again.n_done, again.n_skipped, again.n_failed) == (0, 3, 0)
    assert (again.n_pictures, again.n_bad_pictures, again.n_unmatched) == (0, 1, 1)
    assert (opened, listed()) == ([], first)
    assert Path("f.h5").read_bytes() == before


@pytest.mark.usefixtures("place")
def test_new_changed_and_lost_pictures_are_noticed(opened: list[str]) -> None:
    draw("Au.png", b"\x10")
    draw("Pt.png", b"\x20")
    featurize()

    def redone(pictures: RunPictures | None = None) -> list[str]:
        opened.clear()
        summary = featurize(pictures)
        assert summary.n_done + summary.n_skipped == 3
        assert summary.n_done == len(FeatureFile.open("f.h5")) - summary.n_skipped
        return opened

    assert redone() == []
    draw("Au.png", b"\x30")
    assert redone() == ["Au.png"]
    assert rows_of_ink("Au") == [0x30]
    draw("GaAs.png")
    assert redone() == ["GaAs.png"]
    draw("Au_b.png", b"\x31")
    assert redone() == ["Au.png", "Au_b.png"]
    assert rows_of_ink("Au") == [0x30, 0x31]
    Path("imgs/Pt.png").unlink()
    assert redone() == []
    assert stored() == {"GaAs": ["GaAs.png"], "Au": ["Au.png", "Au_b.png"], "Pt": []}
    Path("imgs/bands.csv").write_text("file,e_min_ev,e_max_ev\nGaAs.png,-2,2\n")
    assert redone() == ["GaAs.png"]
    # What a person says of all pictures holds where bands.csv says nothing.
    assert redone(matched(energy_window(-1.0, 1.5))) == ["Au.png", "Au_b.png"]
    file = FeatureFile.open("f.h5")
    windows = {p.source: (p.e_min_ev, p.e_max_ev) for found in file.pictures(slice(None)) for p in found}
    assert windows == {"GaAs.png": (-2.0, 2.0), "Au.png": (-1.0, 1.5), "Au_b.png": (-1.0, 1.5)}


@pytest.mark.usefixtures("place")
def test_a_stopped_run_goes_on_and_reads_no_picture_twice(opened: list[str]) -> None:
    for name in NAMES:
        draw(f"{name}.png", name.encode())
    draw("Au_bad.png", b"broken")
    featurize()
    whole, failures = stored(), listed()
    Path("f.h5").unlink()
    opened.clear()
    stop = StopRequest()

    def on_progress(progress: Progress) -> None:
        if progress.n_done == 2:
            stop.request("SIGTERM")

    with pytest.raises(ShcError, match="after 2 crystals") as caught:
        featurize_sources(
            ["cifs"], Path("f.h5"), WITH, pictures=matched(), batch_size=1, stop=stop, on_progress=on_progress
        )
    assert caught.value.exit_code == ExitCode.RESUMABLE
    summary = featurize()
    assert (summary.n_done, summary.n_skipped, summary.n_bad_pictures) == (1, 2, 1)
    assert opened == ["Au.png", "Au_bad.png", "GaAs.png", "Pt.png"]
    assert (stored(), listed()) == (whole, failures)


@pytest.mark.usefixtures("place")
def test_two_folders_count_together() -> None:
    draw("Pt.png", b"\x10")
    Path("more").mkdir()
    Path("more/Pt.png").write_bytes(b"\x20")
    Path("more/Au.png").write_bytes(b"broken")
    summary = featurize(matched(None, "imgs", "more"))
    assert (summary.n_pictures, summary.n_bad_pictures) == (2, 1)
    assert rows_of_ink("Pt") == [16, 32]
    assert listed() == [("more/Au.png", "picture", "Au.png: a broken picture")]


@pytest.mark.usefixtures("place")
def test_a_structure_that_fails_is_explained_whatever_its_pictures() -> None:
    draw("Au.png")
    draw("Cu.png")
    for path in cifs():
        path.write_text("no crystal")
    with pytest.raises(ShcError, match="none of the 3 inputs"):
        featurize()
    for path in cifs()[1:]:
        path.unlink()
    with pytest.raises(ShcError, match=r"Au\.cif: not a CIF"):
        featurize()
    assert [stage for _, stage, _ in listed()] == ["picture", "read"]


@pytest.mark.usefixtures("place")
def test_an_empty_folder_and_one_of_broken_pictures_stop_nothing() -> None:
    summary = featurize()
    assert (summary.n_done, summary.n_pictures, summary.n_bad_pictures, listed()) == (3, 0, 0, [])
    assert matched().report() == ["imgs holds no pictures"]
    for name in NAMES:
        draw(f"{name}.png", b"broken")
    summary = featurize()
    assert (summary.n_done, summary.n_failed, summary.n_pictures, summary.n_bad_pictures) == (3, 0, 0, 3)
    assert stored() == {name: [] for name in NAMES}


def test_a_folder_that_is_none_is_refused(place: Path) -> None:
    with pytest.raises(ShcError, match="there is no such folder") as caught:
        matched(None, "pictures")
    assert caught.value.exit_code == ExitCode.USAGE
    assert list_pictures(place / "imgs").pictures == ()


def test_failures_are_found_by_their_place() -> None:
    pictures: Sequence[Picture] = [Picture(Path("x/Pt.png"), None), Picture(Path("y/Pt.png"), None)]
    [failure] = failures_of(pictures, [BadPicture(1, "e", "h")])
    assert failure == ("y/Pt.png", "picture", "e", "h")
