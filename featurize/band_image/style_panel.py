"""One panel of bands with matplotlib: strokes, ticks, frame, lines behind the bands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from shc.featurize.band_image.style_bands import smooth_weights
from shc.featurize.electronic.plot import label_places

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shc.featurize.band_image.style_bands import ShownBands
    from shc.featurize.band_image.styles import Lettering, Style
    from shc.featurize.electronic.record import ElectronicRecord

    Floats = NDArray[np.float64]

GREEK: Final = {"\u0393": r"$\Gamma$", "\u0394": r"$\Delta$", "\u039b": r"$\Lambda$", "\u03a3": r"$\Sigma$"}


DENSER: Final = 3
"""Dots drawn for each point of the path."""


def written(text: str, lettering: Lettering) -> str:
    """A text as its family of fonts can show it: the letters of TeX come from formulas."""
    for letter, formula in GREEK.items():
        text = text.replace(letter, formula)
    if lettering.family != "latex" or not text or "$" in text:
        return text
    safe = text.replace("%", r"\%").replace("_", r"\_").replace(" ", r"\ ")
    return rf"$\mathrm{{{safe}}}$"


def draw_strokes(axes: Any, shown: ShownBands, style: Style, rng: np.random.Generator) -> None:  # noqa: ANN401
    """Draw the bands of a panel in the way of the style."""
    strokes = style.strokes
    lines, first, second = shown.lines(shown.energy), strokes.colours[0], strokes.colours[1]
    if strokes.paint == "cycle":
        _lines(axes, lines, style, [strokes.colours[band % len(strokes.colours)] for band in range(len(lines))])
    elif strokes.paint == "valence":
        filled = np.median(shown.energy, axis=0) <= 0.0
        _lines(axes, lines, style, [first if below else second for below in filled])
    elif strokes.paint == "spin":
        _lines(axes, lines, style, first)
        _lines(axes, lines, style, second, line="--")
    elif strokes.paint == "coupling":
        _lines(axes, lines, style, first)
        _lines(axes, shown.lines(shown.other), style, second, line="--" if rng.random() < 0.5 else "-")
    elif strokes.paint == "gradient":
        _gradient(axes, lines, style, rng)
    elif strokes.paint == "circles":
        _circles(axes, shown, style, rng)
    elif strokes.paint == "outlined":
        _lines(axes, lines, style, second, width=strokes.width + 3.0, alpha=0.35)
        _lines(axes, lines, style, first)
    else:
        _lines(axes, lines, style, first)


def _lines(
    axes: Any,  # noqa: ANN401
    lines: Floats,
    style: Style,
    colours: Any,  # noqa: ANN401
    *,
    line: str = "",
    width: float = 0.0,
    alpha: float = 0.0,
) -> None:
    """Lines, or dots at the points, of the colours given; the style decides what is not."""
    from matplotlib.collections import LineCollection  # noqa: PLC0415

    strokes = style.strokes
    kind, thick, opaque = line or strokes.line, width or strokes.width, alpha or strokes.alpha
    if "." in kind and kind != "-.":
        each = [colours] if isinstance(colours, str) else colours
        for band, points in enumerate(_denser(lines)):
            mark = "-" if kind == ".-" else "none"
            axes.plot(
                *points.T,
                ls=mark,
                lw=0.5 * thick,
                marker=".",
                ms=1.5 + 1.5 * thick,
                mew=0.0,
                color=each[band % len(each)],
                alpha=opaque,
                zorder=3,
            )
        return
    axes.add_collection(
        LineCollection(list(lines), colors=colours, linewidths=thick, linestyles=kind, alpha=opaque, zorder=3),
        autolim=False,
    )


def _denser(lines: Floats) -> Floats:
    """More points along each line: dots of published figures stand closer than the points of a record."""
    n_points = lines.shape[1]
    at = np.linspace(0.0, n_points - 1.0, DENSER * (n_points - 1) + 1)
    left = np.minimum(at.astype(np.int64), n_points - 2)
    share = (at - left)[:, None]
    denser: Floats = (1.0 - share) * lines[:, left] + share * lines[:, left + 1]
    return denser


def _gradient(axes: Any, lines: Floats, style: Style, rng: np.random.Generator) -> None:  # noqa: ANN401
    from matplotlib.collections import LineCollection  # noqa: PLC0415

    weights = smooth_weights(len(lines), lines.shape[1], rng)
    pieces = np.stack([lines[:, :-1], lines[:, 1:]], axis=2).reshape(-1, 2, 2)
    axes.add_collection(
        LineCollection(
            list(pieces),
            array=weights[:, :-1].ravel(),
            cmap=style.strokes.colour_map,
            linewidths=style.strokes.width * (1.0 if rng.random() < 0.5 else 0.5 + 1.5 * weights[:, :-1].ravel()),
            zorder=3,
        ),
        autolim=False,
    )


def _circles(axes: Any, shown: ShownBands, style: Style, rng: np.random.Generator) -> None:  # noqa: ANN401
    from matplotlib.colors import to_rgb  # noqa: PLC0415

    points = _denser(shown.lines(shown.energy))
    n_bands, n_points, _ = points.shape
    shares = np.stack([smooth_weights(n_bands, n_points, rng) for _ in range(3)], axis=-1)
    colours = (shares / shares.sum(axis=-1, keepdims=True)) @ np.array([to_rgb(c) for c in style.strokes.colours[:3]])
    if rng.random() < 0.5:
        colours = np.broadcast_to(to_rgb(style.strokes.colours[0]), colours.shape)
    sizes = (1.0 + style.strokes.width * (0.2 + 1.3 * shares[..., 0])) ** 2
    axes.scatter(*points.reshape(-1, 2).T, s=sizes.ravel(), c=colours.reshape(-1, 3), lw=0.0, zorder=3)


def path_ticks(record: ElectronicRecord, between: str) -> list[tuple[float, str]]:
    """Places of the high-symmetry points, the whole path being 1, and their names; names at one place are joined."""
    first, last = float(record.distance[0]), float(record.distance[-1])
    return [((x - first) / (last - first), text) for x, text in label_places(record, between)]


def dress(
    axes: Any,  # noqa: ANN401
    style: Style,
    places: list[tuple[float, str]],
    printed_zero: float,
    rng: np.random.Generator,
) -> None:
    """Draw frame, ticks, labels, grid, verticals and the line at the zero of energy.

    Args:
        axes: The panel; its energies count from the zero.
        style: How it looks.
        places: From `path_ticks`.
        printed_zero: What the axis says at the zero, eV.
        rng: Decides details that the style leaves open.
    """
    frame, text = style.frame, style.lettering
    axes.set_xlim(-style.layout.margin, 1.0 + style.layout.margin)
    axes.set_ylim(style.e_min_ev, style.e_max_ev)
    axes.set_facecolor(style.layout.inside)
    _energy_ticks(axes, style, printed_zero, "-" if rng.random() < 0.2 else "\u2212")
    axes.set_xticks(
        [x for x, _ in places], [written(name, text) if text.points else "" for _, name in places], **font(text)
    )
    colour = style.layout.ink
    axes.tick_params(which="both", direction=frame.ticks, color=colour, labelcolor=colour, width=max(0.5, frame.width))
    axes.tick_params(which="major", length=frame.tick_length)
    axes.tick_params(which="minor", length=0.6 * frame.tick_length)
    axes.tick_params(axis="y", which="both", right=frame.mirrored)
    axes.tick_params(axis="x", which="both", bottom=rng.random() < 0.4, top=False)
    axes.set_ylabel(written(text.energy, text), color=colour, **font(text, 1.1))
    axes.set_xlabel(written(text.path, text), color=colour, **font(text, 1.1))
    kept = {"all": "left right top bottom", "left_bottom": "left bottom", "none": ""}[frame.sides].split()
    for side, spine in axes.spines.items():
        spine.set(visible=side in kept, linewidth=frame.width, color=colour, zorder=5)
    if frame.grid:
        axes.grid(axis=frame.grid, color=frame.grid_colour, ls=frame.grid_line, lw=0.8, zorder=0)
    axes.set_axisbelow(True)
    if frame.verticals:
        for x, _ in places:
            axes.axvline(x, color=frame.vertical_colour, ls=frame.verticals, lw=frame.vertical_width, zorder=2)
    if frame.zero or style.absolute:
        axes.axhline(
            0.0, color=frame.zero_colour, ls=frame.zero or "--", lw=frame.zero_width, zorder=2 + 2 * rng.random()
        )


def font(text: Lettering, scale: float = 1.0) -> dict[str, Any]:
    """Arguments for the font of a text of the figure."""
    family = "DejaVu Serif" if text.family == "latex" else text.family
    return {"fontfamily": family, "fontsize": scale * text.size, "fontweight": "bold" if text.bold else "normal"}


def _energy_ticks(axes: Any, style: Style, printed_zero: float, minus: str) -> None:  # noqa: ANN401
    text = style.lettering
    numbers = _multiples(text.step, style.e_min_ev + printed_zero, style.e_max_ev + printed_zero)
    names = [f"{n:g}" if text.decimals < 0 else f"{n:.{text.decimals}f}" for n in numbers]
    names = [f"${name}$" if text.family == "latex" else name.replace("-", minus) for name in names]
    axes.set_yticks(numbers - printed_zero, names, **font(text))
    if style.frame.minor:
        small = _multiples(text.step / 2.0, style.e_min_ev + printed_zero, style.e_max_ev + printed_zero)
        axes.set_yticks(small - printed_zero, minor=True)


def _multiples(step: float, low: float, high: float) -> Floats:
    """Multiples of a step between two energies, none of them minus zero."""
    return step * np.arange(np.ceil(low / step - 1e-6), np.floor(high / step + 1e-6) + 1.0) + 0.0
