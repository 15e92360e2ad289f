from __future__ import annotations

import sys
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from shc.featurize.electronic import plot
from shc.featurize.electronic.plot import distinct_components, plot_bands, point_name
from shc.featurize.electronic.record import DOS_GRID, SHC_GRID, ElectronicRecord
from shc.featurize.errors import ExitCode, ShcError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LABELS = ((0, "GAMMA"), (30, "X"), (40, "U"), (41, "K"), (80, "GAMMA"), (110, "SIGMA_0"), (119, "H_2"))


def _cubic() -> NDArray[np.float32]:
    """Six components, equal or opposite, as in platinum."""
    shc = np.zeros((41, 3, 3, 3), np.float32)
    curve = 2000.0 * np.exp(-((SHC_GRID / 0.5) ** 2)) - 300.0
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        shc[:, i, j, k] = curve
        shc[:, j, i, k] = -curve
    return shc


def _record() -> ElectronicRecord:
    distance = np.linspace(0.0, 7.0, 120, dtype=np.float32)
    distance[41:] -= distance[41] - distance[40]
    energy = np.linspace(-5.0, 5.0, 12) + np.cos(distance[:, None] * np.linspace(0.5, 2.0, 12))
    return ElectronicRecord(
        energy=energy.astype(np.float32),
        scalar_energy=energy.astype(np.float32),
        distance=distance,
        labels=LABELS,
        breaks=(41,),
        shc=_cubic(),
        dos=np.exp(-((DOS_GRID + 1.0) ** 2)).astype(np.float32),
        fermi_ev=-8.0,
        gap_ev=0.0,
        k_mesh=(12, 12, 12),
        seconds=0.9,
        flags=(),
    )


class Box(NamedTuple):
    """A text that is drawn, and the share of the figure that its letters take."""

    text: str
    left: float
    right: float
    low: float
    high: float


def _texts(
    record: ElectronicRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width_mm: float, title: str = "a title"
) -> list[Box]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    found = []
    save: Any = Figure.savefig

    def spy(figure: Any, *args: object, **kwargs: object) -> None:  # noqa: ANN401  # matplotlib is untyped here
        FigureCanvasAgg(figure).draw()
        for text in figure.findobj(lambda artist: isinstance(artist, Text) and artist.get_visible()):
            if text.get_text().strip():
                box = text.get_window_extent().transformed(figure.transFigure.inverted())
                # Labels on a lower line begin with empty ones.
                lines = text.get_text().split("\n")
                empty = len(lines) - len(text.get_text().lstrip("\n").split("\n"))
                high = box.y1 - empty / len(lines) * box.height
                found.append(Box(text.get_text(), box.x0, box.x1, box.y0, high))
        save(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", spy)
    plot_bands(record, title, tmp_path / "figure.png", width_mm=width_mm)
    return found


@pytest.mark.parametrize("suffix", [".png", ".PDF", ".svg"])
def test_file_type_follows_the_suffix_and_repeats_itself(suffix: str, tmp_path: Path) -> None:
    first, second = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    plot_bands(_record(), "Pt", first)
    plot_bands(_record(), "Pt", second)
    magic = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}[suffix.lower()]
    assert first.read_bytes().startswith(magic)
    assert first.read_bytes() == second.read_bytes()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [first.name, second.name]
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


@pytest.mark.parametrize("width", [86.0, 180.0])
def test_figure_has_the_width_asked_for_and_all_panels_hold_ink(width: float, tmp_path: Path) -> None:
    path = tmp_path / "figure.png"
    plot_bands(_record(), "Pt", path, width_mm=width)
    with Image.open(path) as stored:
        assert stored.size[0] == pytest.approx(width / 25.4 * 300.0, abs=1.0)
        dark = np.asarray(stored.convert("L")) < 160
    thirds = np.array_split(dark, 3, axis=1)
    assert all(third.mean() > 0.01 for third in thirds)
    assert dark.mean() < 0.3


@pytest.mark.parametrize("width", [86.0, 180.0])
@pytest.mark.parametrize("size", [0.0, 300.0])
def test_texts_neither_overlap_nor_leave_the_figure(
    width: float, size: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(2)
    many = rng.normal(size=(1, 3, 3, 3)) * size * np.cos(rng.random((1, 3, 3, 3)) * 9.0 * SHC_GRID[:, None, None, None])
    record = replace(_record(), shc=many.astype(np.float32))
    boxes = _texts(record, tmp_path, monkeypatch, width, "Mg12 Al8 Si8 " * 20)
    assert len(boxes) > 20
    for box in boxes:
        assert min(box.left, box.low) >= 0.0, box.text
        assert max(box.right, box.high) <= 1.0, box.text
    for box, other in combinations(boxes, 2):
        across = min(box.right, other.right) - max(box.left, other.left)
        down = min(box.high, other.high) - max(box.low, other.low)
        # Boxes hold some air above and below the letters, which may touch.
        assert across < 0.0 or down < 0.01, f"{box.text!r} overlaps {other.text!r}"


def test_labels_and_units_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [box.text for box in _texts(_record(), tmp_path, monkeypatch, 180.0)]
    stripped = [name.strip() for name in names]
    assert "a title" in stripped
    for expected in ("\u0393", "X", "U|K", "\u03a3$_{0}$", "H$_{2}$", r"$\sigma_{xy}^{\,z}$"):
        assert expected in stripped
    joined = " ".join(names)
    assert joined.count("(eV)") == 2
    assert "states/eV/cell" in joined
    assert r"($\hbar/e$) S/cm" in joined
    assert joined.count(r"\sigma_{x") == 1


def test_names_of_points() -> None:
    assert point_name("GAMMA") == "\u0393"
    assert point_name("LAMBDA_0") == "\u039b$_{0}$"
    assert point_name("X") == "X"


def test_cubic_tensor_has_one_distinct_component() -> None:
    found = distinct_components(_cubic())
    assert [indices for indices, _ in found] == [(0, 1, 2)]
    np.testing.assert_array_equal(found[0][1], _cubic()[:, 0, 1, 2])


def test_distinct_components_are_sorted_and_few() -> None:
    shc = np.zeros((41, 3, 3, 3), np.float32)
    for n in range(9):
        shc.reshape(41, 27)[:, 3 * n] = (10.0 + n) * np.cos(SHC_GRID * (n + 1.0))
    shc[:, 2, 2, 2] = -shc[:, 0, 0, 0]
    shc[:, 1, 1, 1] = 0.01
    found = distinct_components(shc)
    heights = [float(np.abs(curve).max()) for _, curve in found]
    assert heights == pytest.approx([18.0, 17.0, 16.0, 15.0, 14.0, 13.0])
    assert distinct_components(np.zeros((41, 3, 3, 3), np.float32)) == []
    assert distinct_components(np.full((41, 3, 3, 3), 1e-9, np.float32)) == []


def test_empty_panels_are_drawn_too(tmp_path: Path) -> None:
    record = replace(
        _record(),
        energy=np.empty((120, 0), np.float32),
        dos=np.zeros(len(DOS_GRID), np.float32),
        shc=np.zeros((41, 3, 3, 3), np.float32),
        labels=(),
    )
    plot_bands(record, "$ is no formula: " + "long " * 40, tmp_path / "empty.pdf", width_mm=86.0)
    assert (tmp_path / "empty.pdf").stat().st_size > 1000


def test_global_settings_stay_as_they_were(tmp_path: Path) -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    plot_bands(_record(), "Pt", tmp_path / "a.png")
    assert dict(mpl.rcParams) == before


def test_bad_requests_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ShcError, match="unknown type of figure") as caught:
        plot_bands(_record(), "Pt", tmp_path / "figure.bmp")
    assert caught.value.exit_code == ExitCode.USAGE
    assert ".svg" in caught.value.hint
    with pytest.raises(ShcError, match="30 mm wide"):
        plot_bands(_record(), "Pt", tmp_path / "figure.png", width_mm=30.0)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ShcError, match="need matplotlib") as caught:
        plot_bands(_record(), "Pt", tmp_path / "figure.png")
    assert caught.value.exit_code == ExitCode.NO_BACKEND
    assert "pip install" in caught.value.hint
    assert not list(tmp_path.iterdir())


def test_importing_the_module_does_not_import_matplotlib() -> None:
    assert "matplotlib" not in vars(plot)
