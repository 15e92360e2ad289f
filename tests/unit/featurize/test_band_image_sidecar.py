"""``bands.csv``: what is tolerated, what is refused, and that the line is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shc.featurize.band_image.sidecar import SidecarRow, energy_window, read_sidecar
from shc.featurize.band_image.types import EnergyWindow
from shc.featurize.errors import ExitCode, ShcError

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "file,material_id,e_min_ev,e_max_ev,fermi_ev\n"


def read(folder: Path, content: str | bytes) -> dict[str, SidecarRow]:
    (folder / "bands.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_sidecar(folder)


def test_rows_say_crystal_and_window(tmp_path: Path) -> None:
    rows = read(tmp_path, HEADER + "a.png,mp-1,-4,4,0.5\nb.png,,,,\nc.png,mp-2,,,\nd.png,,-2.5,1e0,\n")
    assert rows == {
        "a.png": SidecarRow("a.png", "mp-1", EnergyWindow(-4.0, 4.0, 0.5), 2),
        "b.png": SidecarRow("b.png", "", None, 3),
        "c.png": SidecarRow("c.png", "mp-2", None, 4),
        "d.png": SidecarRow("d.png", "", EnergyWindow(-2.5, 1.0, 0.0), 5),
    }


def test_without_a_file_nothing_is_said(tmp_path: Path) -> None:
    assert read_sidecar(tmp_path) == {}


@pytest.mark.parametrize(
    "content",
    [
        "e_max_ev,file,e_min_ev\n4,a.png,-4\n",
        "\ufefffile,e_min_ev,e_max_ev\r\na.png,-4,4\r\n",
        "sep=;\nfile;e_min_ev;e_max_ev\na.png;-4,0;4,0\n",
        "file\te_min_ev\te_max_ev\na.png\t-4\t4",
        "# from the supplement\n\nFile , E_min_eV, E_MAX_EV\n./a.png , -4 , 4\n\n,,\n# end\n",
        '"file","e_min_ev","e_max_ev"\n"a.png","-4.0","4.0"\n',
        "file,e_min_ev,e_max_ev,,\na.png,\u22124,4,,\n",
        "file,e_min_ev,e_max_ev\ra.png,-4,4\r",
        "file,e_min_ev,e_max_ev\na.png,-4,4\n".encode("utf-16"),
    ],
)
def test_what_spreadsheets_write_is_read(content: str | bytes, tmp_path: Path) -> None:
    (row,) = read(tmp_path, content).values()
    assert (row.file, row.window) == ("a.png", EnergyWindow(-4.0, 4.0, 0.0))


def test_names_in_an_old_encoding_are_read(tmp_path: Path) -> None:
    assert list(read(tmp_path, "file\nB\xe4nder.png\n".encode("latin-1"))) == ["B\xe4nder.png"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "the file is empty"),
        ("\n\n# nothing\n", "the file is empty"),
        ("name,material_id\na,b\n", "line 1: there is no column `file`"),
        ("file,window\na,b\n", "line 1: unknown column `window`"),
        ("file,file\na,b\n", "line 1: a column is named twice"),
        (HEADER + "a.png,mp-1,-4,four,\n", "line 2: e_max_ev is no number: four"),
        (HEADER + "a.png,mp-1,-4.0.0,4,\n", "line 2: e_min_ev is no number"),
        (HEADER + "\na.png,mp-1,4,-4,\n", "line 3: the window 4 to -4 eV is upside down or empty"),
        (HEADER + "a.png,mp-1,4,4,\n", "line 2: the window 4 to 4 eV is upside down or empty"),
        (HEADER + "a.png,mp-1,nan,4,\n", "line 2: an energy is no number from -1000 to 1000 eV"),
        (HEADER + "a.png,mp-1,-inf,4,\n", "line 2: an energy is no number"),
        (HEADER + "a.png,mp-1,-4,4,1e5\n", "line 2: an energy is no number"),
        (HEADER + "a.png,mp-1,-4,,\n", "line 2: e_min_ev and e_max_ev are both needed"),
        (HEADER + "a.png,mp-1,,,0.3\n", "line 2: e_min_ev and e_max_ev are both needed"),
        (HEADER + ",mp-1,-4,4,\n", "line 2: the cell `file` is empty"),
        (HEADER + "a.png,,,,\nb.png,,,,\na.png,,,,\n", "line 4: a.png is named a second time, after line 2"),
        (HEADER + "a.png,mp-1,-4,4,0,extra\n", "line 2: there are more cells than columns"),
        (HEADER + "a.png," + "x" * 200_000 + "\n", "line 2: field larger"),
        (b"file\0,\xff\0\x80\n", "the file is binary"),
    ],
)
def test_what_makes_no_sense_is_refused_by_line(content: str | bytes, text: str, tmp_path: Path) -> None:
    with pytest.raises(ShcError) as caught:
        read(tmp_path, content)
    assert caught.value.message.startswith(f"{tmp_path / 'bands.csv'}: ")
    assert text in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_code is ExitCode.USAGE


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "bands.csv").open("wb") as stream:
        stream.truncate(17 * 2**20)
    with pytest.raises(ShcError, match="larger than 16 MB"):
        read_sidecar(tmp_path)


def test_a_window_is_checked() -> None:
    assert energy_window(-4, 4) == EnergyWindow(-4, 4, 0.0)
    for window in ((1.0, 1.0, 0.0), (3.0, -3.0, 0.0), (float("nan"), 1.0, 0.0), (-1.0, 1.0, 2000.0)):
        with pytest.raises(ShcError):
            energy_window(*window)
