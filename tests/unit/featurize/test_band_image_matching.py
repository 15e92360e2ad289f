"""Pictures find their crystals: by ``bands.csv``, by name, by formula, and never by chance."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shc.featurize.band_image.listing import Picture, find_pictures, list_pictures
from shc.featurize.band_image.matching import MatchedBy, Matches, match_pictures
from shc.featurize.band_image.types import EnergyWindow
from shc.featurize.errors import ExitCode, Failure, ShcError

CRYSTALS = {
    "mp-14": "Si",
    "mp-149": "GaAs",
    "mp-149-2": "W",
    "Pt_fcc": "Pt",
    "1234": "Bi2Te3",
    "a1": "FeO",
    "a2": "FeO",
    "odd": "",
}


def folder(path: Path, *names: str, sidecar: str = "") -> Path:
    for name in names:
        (path / name).touch()
    if sidecar:
        (path / "bands.csv").write_text(sidecar)
    return path


def matched(path: Path) -> Matches:
    return match_pictures(list_pictures(path), CRYSTALS)


@pytest.mark.parametrize(
    ("name", "owner", "by"),
    [
        ("mp-149.png", "mp-149", MatchedBy.NAME),
        ("mp-149.PNG", "mp-149", MatchedBy.NAME),
        ("mp-149_bands.png", "mp-149", MatchedBy.NAME),
        ("mp-149-1.png", "mp-149", MatchedBy.NAME),
        ("mp-149-2.png", "mp-149-2", MatchedBy.NAME),
        ("mp-149-2-soc.png", "mp-149-2", MatchedBy.NAME),
        ("mp-149.hse.png", "mp-149", MatchedBy.NAME),
        ("mp-149 (2).jpeg", "mp-149", MatchedBy.NAME),
        ("mp-14.webp", "mp-14", MatchedBy.NAME),
        ("mp-14_GaAs.png", "mp-14", MatchedBy.NAME),
        ("Pt_fcc_hse.tif", "Pt_fcc", MatchedBy.NAME),
        ("1234.bmp", "1234", MatchedBy.NAME),
        ("GaAs.png", "mp-149", MatchedBy.FORMULA),
        ("AsGa.png", "mp-149", MatchedBy.FORMULA),
        ("Ga2As2_bands.png", "mp-149", MatchedBy.FORMULA),
        ("Bi2Te3_bands.png", "1234", MatchedBy.FORMULA),
        ("Pt.gif", "Pt_fcc", MatchedBy.FORMULA),
        ("Te3Bi2-soc.png", "1234", MatchedBy.FORMULA),
    ],
)
def test_a_picture_finds_its_crystal(name: str, owner: str, by: MatchedBy, tmp_path: Path) -> None:
    matches = matched(folder(tmp_path, name))
    assert {key: [(m.picture.path.name, m.by) for m in found] for key, found in matches.by_crystal.items()} == {
        owner: [(name, by)]
    }
    assert [picture.path.name for picture in matches.pictures_of(owner)] == [name]
    assert matches.failures() == []


@pytest.mark.parametrize(
    "name",
    [
        "mp-1490",
        "mp-1",
        "mp",
        "xmp-149",
        "mp-149a",
        "Mp-149",
        "12345",
        "FeO",
        "FeO_bands",
        "GaAsP",
        "Si2O",
        "bi2te3",
        "_",
    ],
)
def test_no_picture_is_given_to_a_crystal_by_chance(name: str, tmp_path: Path) -> None:
    matches = matched(folder(tmp_path, f"{name}.png"))
    assert matches.by_crystal == {}
    (failure,) = matches.failures()
    assert (failure.path, failure.stage) == (str(tmp_path / f"{name}.png"), "picture")
    assert failure.hint
    assert ("the formula of 2 crystals (a1, a2)" in failure.error) is name.startswith("FeO")


def test_the_shorter_id_waits_for_its_own_picture(tmp_path: Path) -> None:
    names = ["mp-149.png", "mp-14.png", "mp-149-2.png", "mp-149-10.png", "mp-149-9.png"]
    matches = matched(folder(tmp_path, *names))
    assert {key: [p.path.name for p in matches.pictures_of(key)] for key in CRYSTALS if matches.pictures_of(key)} == {
        "mp-14": ["mp-14.png"],
        "mp-149": ["mp-149-9.png", "mp-149-10.png", "mp-149.png"],
        "mp-149-2": ["mp-149-2.png"],
    }


def test_bands_csv_decides_before_names_do(tmp_path: Path) -> None:
    rows = "file,material_id,e_min_ev,e_max_ev\nmp-149.png,mp-14,,\nfig 3,a2,-2,2\nGaAs.png,,-4,4\nW.png,mp-9,,\n"
    rows += "gone.png,mp-14,,\n"
    folder(tmp_path, "mp-149.png", "fig 3", "GaAs.png", "W.png", sidecar=rows)
    matches = match_pictures(list_pictures(tmp_path, EnergyWindow(-9.0, 9.0)), CRYSTALS)
    found = {
        key: [(match.picture.path.name, match.by, match.picture.window) for match in value]
        for key, value in matches.by_crystal.items()
    }
    assert found == {
        "mp-14": [("mp-149.png", MatchedBy.SIDECAR, EnergyWindow(-9.0, 9.0))],
        "a2": [("fig 3", MatchedBy.SIDECAR, EnergyWindow(-2.0, 2.0))],
        "mp-149": [("GaAs.png", MatchedBy.FORMULA, EnergyWindow(-4.0, 4.0))],
    }
    assert [(failure.path, failure.error) for failure in matches.failures()] == [
        (str(tmp_path / "W.png"), "line 5 of bands.csv names mp-9, which is no crystal of this run"),
        (str(tmp_path / "bands.csv"), "line 6: there is no picture gone.png"),
    ]


def test_the_report_counts_everything(tmp_path: Path) -> None:
    names = ["mp-149.png", "GaAs.png", "FeO.png", "u1.png", "u2.png", "u3.png"]
    report = matched(folder(tmp_path, *names, sidecar="file\ngone.png\n")).report()
    assert report == (
        f"6 pictures in {tmp_path}: 2 belong to 1 crystal (1 by file name, 1 by formula); "
        "4 without a crystal (FeO.png, u1.png, u2.png, ...); 1 line of bands.csv without a picture"
    )


def test_an_empty_folder_and_a_folder_of_strangers(tmp_path: Path) -> None:
    assert matched(tmp_path).report() == f"{tmp_path} holds no pictures"
    report = matched(folder(tmp_path, "x\ny.png")).report()
    assert report == f"1 picture in {tmp_path}: none belongs to a crystal; 1 without a crystal (x\\ny.png)"


def test_what_is_listed(tmp_path: Path) -> None:
    names = ["b.png", "a.JPG", "c.pdf", "d.svg", ".hidden.png", "notes.txt", "x.cif", "plain", "e10.gif", "e9.gif"]
    folder(tmp_path, *names, "check-bands.png", "check-bands-2.png", "check-bands-x.png", sidecar="file\nplain\n")
    (tmp_path / "sub.png").mkdir()
    (tmp_path / "link.png").symlink_to("nowhere")
    listed = [picture.path.name for picture in list_pictures(tmp_path).pictures]
    assert listed == [
        "a.JPG", "b.png", "c.pdf", "check-bands-x.png", "d.svg", "e9.gif", "e10.gif", "link.png", "plain",
    ]  # fmt: skip


def test_a_folder_that_cannot_be_listed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "none", tmp_path / "file"):
        with pytest.raises(ShcError, match="there is no such folder") as caught:
            list_pictures(path)
        assert caught.value.exit_code is ExitCode.USAGE


def test_a_thousand_crystals_and_pictures_are_matched_at_once(tmp_path: Path) -> None:
    names = [f"m-{i}" for i in range(1000)]
    matches = match_pictures(list_pictures(folder(tmp_path, *(f"{n}_x.png" for n in names))), dict.fromkeys(names, ""))
    assert all([p.path.name for p in matches.pictures_of(name)] == [f"{name}_x.png"] for name in names)


def test_sources_of_a_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "empty", "[odd]"):
        (tmp_path / name).mkdir()
    folder(tmp_path / "a", "1.png", "2.png", "n.txt", sidecar="file,e_min_ev,e_max_ev\n2.png,-1,1\n")
    folder(tmp_path / "b", "3.png", "4.dat")
    folder(tmp_path / "[odd]", "5.png")
    found = find_pictures(["a/2.png", "a", "*/*.png", "b/4.dat", "[odd]", "none", "*.gif", "empty"])
    pictures = [str(entry.path) for entry in found if isinstance(entry, Picture)]
    assert pictures == ["a/2.png", "a/1.png", "[odd]/5.png", "b/3.png", "b/4.dat"]
    assert isinstance(found[0], Picture)
    assert found[0].window == EnergyWindow(-1.0, 1.0)
    failures = [(entry.path, entry.error) for entry in found if isinstance(entry, Failure)]
    assert failures == [
        ("none", "no such file or folder"),
        ("*.gif", "no such file or folder"),
        ("empty", "the folder holds no pictures"),
    ]


def test_names_of_other_encodings_are_listed_and_told(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xe4nder.png")).touch()
    matches = matched(tmp_path)
    assert "b\\udce4nder.png" in matches.report()
