"""Figure for people: bands, density of states and spin Hall conductivity side by side. It needs matplotlib."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from shc.featurize.electronic.record import BAND_RANGE, DOS_GRID, SHC_GRID
from shc.featurize.errors import ExitCode, ShcError
from shc.featurize.writing import whole_file

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from shc.featurize.electronic.record import ElectronicRecord

    Floats = NDArray[np.float32]

FORMATS: Final = {
    ".pdf": {"CreationDate": None},
    ".png": {"Software": None},
    ".svg": {"Date": None},
}
"""File types by suffix, with the metadata left out so that equal records give equal files."""
MAX_CURVES: Final = 6
"""Components of the conductivity that are drawn, at most."""
_COLUMNS: Final = 3
"""Columns of the legend."""
_SAME: Final = 2e-3
"""Components that differ by less than this share of the largest one are equal; below it, zero."""
_ZERO: Final = 1e-3
"""Components that stay below this are zero, (hbar/e) S/cm."""
_GREEK: Final = {"GAMMA": "\u0393", "DELTA": "\u0394", "LAMBDA": "\u039b", "SIGMA": "\u03a3"}
_INK: Final = "#1b3a6b"
_FAINT: Final = "0.6"
# Colours of M. Okabe and K. Ito that the colour-blind can tell apart; the dashes tell them apart in grey.
_CURVES: Final = (
    ("#0072b2", "-"),
    ("#d55e00", "--"),
    ("#009e73", "-."),
    ("#cc79a7", (0, (1, 1.2))),
    ("#e69f00", (0, (5, 1, 1, 1, 1, 1))),
    ("#000000", (0, (7, 2))),
)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the panels lie, millimetres, and how large the letters are, points."""

    wide: bool
    """Whether there is room for two columns of a journal."""
    width: float
    height: float
    bottom: float
    top: float
    bands: tuple[float, float]
    """Left edge and width."""
    dos: tuple[float, float]
    shc: tuple[float, float]
    font: float


def plot_bands(record: ElectronicRecord, title: str, path: Path, *, width_mm: float = 180.0) -> None:
    """Draw bands, density of states, and the distinct components of the conductivity against the Fermi level.

    Args:
        record: What is drawn.
        title: Text above the bands; shortened where it does not fit.
        path: File to write, or to replace: PNG (300 dpi), PDF or SVG by its suffix.
        width_mm: Width of the figure, 80 to 250 mm; letters keep their size. Two columns of a journal are about 180
            mm, one is about 86 mm.

    Raises:
        ShcError: matplotlib is not installed, the suffix or the width is none of the above, or the file cannot be
            written.
    """
    if path.suffix.lower() not in FORMATS:
        raise ShcError(f"{path.name}: unknown type of figure", f"name a file with {', '.join(FORMATS)}", ExitCode.USAGE)
    if not 80.0 <= width_mm <= 250.0:
        raise ShcError(f"a figure {width_mm:g} mm wide cannot be drawn", "choose 80 to 250 mm", ExitCode.USAGE)
    try:
        from matplotlib import rc_context  # noqa: PLC0415  # optional, and slow to import
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise ShcError("figures need matplotlib", "pip install 'shc-predict[plot]'", ExitCode.NO_BACKEND) from error
    curves = distinct_components(record.shc)
    layout = _arrange(width_mm, len(curves))
    with rc_context({**_style(layout.font), "svg.hashsalt": "shc", "pdf.fonttype": 42}):
        figure = Figure(figsize=(layout.width / 25.4, layout.height / 25.4))
        bands, dos, shc = (_panel(figure, layout, *span) for span in (layout.bands, layout.dos, layout.shc))
        _draw_bands(bands, record, layout)
        _draw_dos(dos, record, layout)
        _draw_shc(shc, curves, layout)
        _write_title(figure, title, layout)
        data = BytesIO()
        kind = path.suffix.lower()
        figure.savefig(data, dpi=300, format=kind[1:], metadata=FORMATS[kind])
    with whole_file(path) as temporary:
        temporary.write_bytes(data.getvalue())


def distinct_components(shc: Floats) -> list[tuple[tuple[int, int, int], Floats]]:
    """Pick one of each set of components that are equal or opposite at every Fermi level, and drop those that vanish.

    Args:
        shc: ``[n_energies, 3, 3, 3]`` index order current, field, spin.

    Returns:
        Indices and ``[n_energies]`` curve of at most ``MAX_CURVES`` components, the largest absolute value first. The
        cyclic ones, xy^z first, stand for their sets.
    """
    near = max(_SAME * float(np.abs(shc).max(initial=0.0)), _ZERO)
    cyclic = ((0, 1, 2), (1, 2, 0), (2, 0, 1))
    order = (*cyclic, *(ijk for ijk in np.ndindex(3, 3, 3) if ijk not in cyclic))
    kept: list[tuple[tuple[int, int, int], Floats]] = []
    for i, j, k in order:
        curve = shc[:, i, j, k]
        known = [other for _, other in kept]
        if any(min(np.abs(curve - o).max(), np.abs(curve + o).max()) <= near for o in known):
            continue
        if np.abs(curve).max(initial=0.0) > near:
            kept.append(((i, j, k), curve))
    kept.sort(key=lambda entry: -float(np.abs(entry[1]).max()))
    return kept[:MAX_CURVES]


def point_name(name: str) -> str:
    """Write the name of a high-symmetry point: Greek letters as such, what follows ``_`` as a subscript."""
    letter, _, index = name.partition("_")
    letter = _GREEK.get(letter, letter)
    return f"{letter}$_{{{index}}}$" if index else letter


def _style(font: float) -> dict[str, Any]:
    return {
        "axes.labelsize": font,
        "axes.linewidth": 0.6,
        "font.size": font,
        "legend.fontsize": font,
        "xtick.direction": "in",
        "xtick.labelsize": font,
        "xtick.major.size": 2.5,
        "xtick.major.width": 0.6,
        "ytick.direction": "in",
        "ytick.labelsize": font,
        "ytick.major.size": 2.5,
        "ytick.major.width": 0.6,
    }


def _arrange(width: float, n_curves: int) -> _Layout:
    """Share out the width; the legend above the conductivity decides how much room is left at the top."""
    wide = width >= 120.0
    font = 8.0 if wide else 6.5
    left, gap, axis, right = (12.0, 2.5, 17.0, 4.0) if wide else (9.0, 2.5, 12.5, 2.0)
    inner = width - left - gap - axis - right
    shares = (0.54, 0.13, 0.33) if wide else (0.50, 0.16, 0.34)
    bands, dos, shc = (share * inner for share in shares)
    rows = max(1, -(-n_curves // _COLUMNS))
    return _Layout(
        wide=wide,
        width=width,
        height=72.0 if wide else 62.0,
        bottom=12.0 if wide else 12.5,
        top=2.6 + 0.353 * 1.8 * font * rows,
        bands=(left, bands),
        dos=(left + bands + gap, dos),
        shc=(left + bands + gap + dos + axis, shc),
        font=font,
    )


def _panel(figure: Any, layout: _Layout, left: float, width: float) -> Any:  # noqa: ANN401  # matplotlib is untyped here
    tall = 1.0 - (layout.bottom + layout.top) / layout.height
    return figure.add_axes((left / layout.width, layout.bottom / layout.height, width / layout.width, tall))


def _draw_bands(axes: Any, record: ElectronicRecord, layout: _Layout) -> None:  # noqa: ANN401
    places = label_places(record, "|")
    for x, _ in places:
        axes.axvline(x, color=_FAINT, lw=0.4, zorder=1)
    axes.axhline(0.0, color="0.25", lw=0.6, ls=(0, (4, 2)), zorder=2)
    edges = [0, *record.breaks, len(record.distance)]
    for start, end in pairwise(edges):
        axes.plot(record.distance[start:end], record.energy[start:end], color=_INK, lw=layout.font / 10.0, zorder=3)
    axes.set_xlim(float(record.distance[0]), float(record.distance[-1]))
    axes.set_ylim(-BAND_RANGE, BAND_RANGE)
    axes.set_xticks([x for x, _ in places], _stagger(places, record, layout))
    axes.tick_params(axis="x", length=0.0, pad=2.5)
    axes.set_ylabel(r"$E - E_\mathrm{F}$ (eV)", labelpad=1.5)


def label_places(record: ElectronicRecord, between: str) -> list[tuple[float, str]]:
    """Places of the high-symmetry points along the path, 1/Angstrom, and their names; those at one place are joined."""
    near = 1e-4 * float(record.distance[-1] - record.distance[0])
    places: list[tuple[float, list[str]]] = []
    for index, name in record.labels:
        x, text = float(record.distance[index]), point_name(name)
        if not places or x - places[-1][0] > near:
            places.append((x, [text]))
        elif text not in places[-1][1]:
            places[-1][1].append(text)
    return [(x, between.join(names)) for x, names in places]


def _stagger(places: list[tuple[float, str]], record: ElectronicRecord, layout: _Layout) -> list[str]:
    """Move labels that would touch the one before to a lower line."""
    scale = layout.bands[1] / float(record.distance[-1] - record.distance[0])
    free = [-1e9, -1e9, -1e9]
    out = []
    for x, text in places:
        half = 0.5 * _text_width(text, layout.font)
        centre = x * scale
        lines = [line for line, edge in enumerate(free) if centre - half > edge]
        line = lines[0] if lines else int(np.argmin(free))
        free[line] = centre + half + 0.08 * layout.font
        out.append("\n" * line + text)
    return out


def _text_width(text: str, font: float) -> float:
    """Width of a text, mm, from the mean width of letters; subscripts are smaller."""
    small = sum(len(part) - 3 for part in text.split("$")[1::2])
    large = sum(len(part) for part in text.split("$")[::2])
    narrow = text.count("|")
    return 0.353 * font * (0.66 * (large - narrow) + 0.34 * narrow + 0.46 * small)


def _draw_dos(axes: Any, record: ElectronicRecord, layout: _Layout) -> None:  # noqa: ANN401
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    axes.fill_betweenx(DOS_GRID, 0.0, record.dos, where=DOS_GRID <= 0.0, color=_INK, alpha=0.25, lw=0.0)
    axes.plot(record.dos, DOS_GRID, color=_INK, lw=0.8)
    axes.axhline(0.0, color="0.25", lw=0.6, ls=(0, (4, 2)))
    axes.set_xlim(0.0, 1.08 * max(float(record.dos.max()), 1e-3))
    axes.set_ylim(-BAND_RANGE, BAND_RANGE)
    axes.xaxis.set_major_locator(MaxNLocator(3 if layout.wide else 2, steps=[1, 2, 2.5, 5, 10], prune="lower"))
    axes.tick_params(labelleft=False, pad=2.5)
    unit = "(states/eV/cell)" if layout.wide else "(states/\neV/cell)"
    axes.set_xlabel(f"DOS\n{unit}", labelpad=1.0, linespacing=1.0)


def _draw_shc(axes: Any, curves: list[tuple[tuple[int, int, int], Floats]], layout: _Layout) -> None:  # noqa: ANN401
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    axes.axhline(0.0, color=_FAINT, lw=0.5, zorder=1)
    axes.axvline(0.0, color="0.25", lw=0.6, ls=(0, (4, 2)), zorder=1)
    for ((i, j, k), curve), (colour, dashes) in zip(curves, _CURVES, strict=False):
        label = rf"$\sigma_{{{'xyz'[i]}{'xyz'[j]}}}^{{\,{'xyz'[k]}}}$"
        axes.plot(SHC_GRID, curve, color=colour, ls=dashes, lw=1.0, label=label, zorder=3)
    if curves:
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
        axes.legend(
            loc="lower right",
            bbox_to_anchor=(1.0, 1.0),
            ncols=_COLUMNS,
            frameon=False,
            borderaxespad=0.7,
            borderpad=0.2,
            handlelength=2.4 if layout.wide else 1.8,
            handletextpad=0.4,
            columnspacing=1.2 if layout.wide else 0.7,
            labelspacing=0.4,
        )
    else:
        axes.set_ylim(-1.0, 1.0)
        axes.set_yticks([0.0])
        axes.text(
            0.5,
            0.75,
            "all components\nvanish",
            transform=axes.transAxes,
            ha="center",
            bbox={"color": "white", "pad": 1.0},
        )
    axes.set_xlim(float(SHC_GRID[0]), float(SHC_GRID[-1]))
    axes.xaxis.set_major_locator(MaxNLocator(4 if layout.wide else 2))
    axes.tick_params(pad=2.5)
    axes.set_xlabel(r"$E - E_\mathrm{F}$ (eV)", labelpad=1.0)
    axes.set_ylabel(r"$\sigma_{ij}^{\,k}$  [($\hbar/e$) S/cm]", labelpad=1.5)


def _write_title(figure: Any, title: str, layout: _Layout) -> None:  # noqa: ANN401
    """Write over bands and density of states, so that the legend beside keeps its place."""
    room = layout.dos[0] + layout.dos[1] - layout.bands[0]
    fits = int(room / (0.353 * 0.57 * (layout.font + 1.0)))
    figure.text(
        layout.bands[0] / layout.width,
        1.0 - (layout.top - 1.2) / layout.height,
        title if len(title) <= fits else title[: fits - 1] + "\u2026",
        fontsize=layout.font + 1.0,
        va="bottom",
        parse_math=False,
    )
