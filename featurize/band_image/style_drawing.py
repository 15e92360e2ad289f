"""Pictures of bands in many styles, with the truth about each of them. Drawing needs matplotlib."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image, ImageFilter

from shc.featurize.band_image.style_bands import shown_bands, shown_dos
from shc.featurize.band_image.style_panel import draw_strokes, dress, font, path_ticks, written
from shc.featurize.band_image.types import Box, EnergyAxis
from shc.featurize.errors import ExitCode, ShcError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shc.featurize.band_image.style_bands import ShownBands
    from shc.featurize.band_image.styles import Style
    from shc.featurize.electronic.record import ElectronicRecord

CORNERS: Final = ("upper right", "upper left", "lower right", "lower left", "center right")
"""Places of a legend inside the panel."""


@dataclass(frozen=True, slots=True)
class StyledPanel:
    """The truth about one panel."""

    box: Box
    """The inside of its frame, pixels of the picture."""
    axis: EnergyAxis
    """From the zero of the axis; if the style is ``absolute``, from the Fermi level."""
    e_min_ev: float
    """Energy at the lower edge of the box, eV."""
    e_max_ev: float
    """Energy at the upper edge of the box, eV."""
    scalar: bool
    """Whether the bands lack spin-orbit coupling."""
    ideal: NDArray[np.float32]
    """``[1, 224, 224]`` what the normaliser should make of it."""


@dataclass(frozen=True, slots=True)
class StyledPicture:
    """A picture and the truth about it."""

    data: bytes
    """A PNG or JPEG file."""
    panels: tuple[StyledPanel, ...]
    """The panels with bands, the main one first; each is a right answer."""
    printed_zero_ev: float
    """What the energy axis says where the truth says 0, eV."""


def draw_styled(record: ElectronicRecord, style: Style) -> StyledPicture:
    """Draw the bands of a crystal in a style.

    Args:
        record: The bands.
        style: How the picture looks; bands beyond the range of the record are made up.

    Raises:
        ShcError: matplotlib is not installed (``NO_BACKEND``).
    """
    try:
        from matplotlib import rc_context  # noqa: PLC0415  # optional, and slow to import
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise ShcError(
            "drawn pictures need matplotlib", "pip install 'shc-predict[plot]'", ExitCode.NO_BACKEND
        ) from error
    rng = np.random.default_rng(style.seed)
    style = _with_known_font(style)
    window = (style.e_min_ev, style.e_max_ev)
    shown = shown_bands(record, window, rng, scalar=style.scalar, at_valence=style.zero_at_valence)
    printed_zero = round(float(rng.uniform(-3.0, 9.0)), 4) if style.absolute else 0.0
    layout = style.layout
    with rc_context({"mathtext.fontset": "cm" if style.lettering.family == "latex" else "dejavusans"}):
        size = (round(layout.width * layout.dpi) / layout.dpi, round(layout.height * layout.dpi) / layout.dpi)
        figure = Figure(figsize=size, dpi=layout.dpi, facecolor=layout.outside)
        canvas = FigureCanvasAgg(figure)
        panels = _compose(figure, record, shown, style, printed_zero, rng)
        if style.output.transparent:
            figure.patch.set_alpha(0.0)
            panels[0][0].patch.set_alpha(0.0)
        canvas.draw()
        rgba = np.asarray(canvas.buffer_rgba()).copy()
    truth = tuple(_truth(axes, bands, style, scalar=scalar) for axes, bands, scalar in panels)
    return StyledPicture(_encode(rgba, style, rng), truth, printed_zero)


def _with_known_font(style: Style) -> Style:
    """The style, with a font that comes with matplotlib where the system lacks the one asked for."""
    from dataclasses import replace  # noqa: PLC0415

    from matplotlib.font_manager import fontManager  # noqa: PLC0415

    family = style.lettering.family
    if family == "latex" or family in fontManager.get_font_names():
        return style
    return replace(style, lettering=replace(style.lettering, family="DejaVu Sans"))


def _compose(
    figure: Any,  # noqa: ANN401
    record: ElectronicRecord,
    shown: ShownBands,
    style: Style,
    printed_zero: float,
    rng: np.random.Generator,
) -> list[tuple[Any, ShownBands, bool]]:
    """Place and draw everything.

    Returns:
        The panels with bands: matplotlib's axes, what they show, whether it lacks spin-orbit coupling.
    """
    layout, text = style.layout, style.lettering
    left, bottom, width, height = _room(style)
    shares = {"dos": 0.72, "filled": 0.72, "pair": 0.44, "bar": 0.9}
    axes = figure.add_axes((left, bottom, width * shares.get(layout.beside, 1.0), height))
    places = path_ticks(record, "|" if rng.random() < 0.7 else ",")
    draw_strokes(axes, shown, style, rng)
    dress(axes, style, places, printed_zero, rng)
    panels = [(axes, shown, style.scalar)]
    if layout.beside in {"dos", "filled"}:
        beside = figure.add_axes((left + 0.74 * width, bottom, 0.26 * width, height))
        _density(beside, record, shown, style, rng)
    elif layout.beside == "pair":
        beside = figure.add_axes((left + 0.56 * width, bottom, 0.44 * width, height))
        swapped = type(shown)(shown.other, shown.energy, shown.distance, shown.breaks, shown.zero_ev)
        draw_strokes(beside, swapped, style, rng)
        dress(beside, style, places, printed_zero, rng)
        beside.set_ylabel("")
        panels.append((beside, swapped, not style.scalar))
    elif layout.beside == "bar":
        _colour_bar(figure, (left + 0.93 * width, bottom, 0.03 * width, height), style)
    if text.title:
        axes.set_title(written(text.title, text), color=layout.ink, **font(text, 1.15))
    _legend(axes, style, rng)
    if text.note:
        box = {"color": layout.inside, "pad": 1.5} if rng.random() < 0.5 else None
        at = (rng.uniform(0.03, 0.6), rng.uniform(0.05, 0.9))
        axes.text(
            *at, written(text.note, text), transform=axes.transAxes, color=layout.ink, bbox=box, zorder=6, **font(text)
        )
    if layout.inset:
        inset = axes.inset_axes((rng.uniform(0.05, 0.6), rng.uniform(0.55, 0.65), 0.32, 0.3), zorder=7)
        inset.plot(np.linspace(0.0, 1.0, 40), np.cumsum(rng.normal(size=40)), color=style.strokes.colours[1])
        inset.set(xticks=[], yticks=[])
    return panels


def _room(style: Style) -> tuple[float, float, float, float]:
    """Left and lower edge, width and height of the space for panels, shares of the figure."""
    layout, text = style.layout, style.lettering
    letter = text.size / 72.0
    digits = 3.2 + 0.5 * max(text.decimals, 0) + (1.5 if style.absolute else 0.0)
    left = letter * (digits + (1.9 if text.energy else 0.0)) + (style.frame.tick_length + 6.0) / 72.0
    right = letter * {"right": 6.5}.get(layout.legend, 1.0) + letter * (3.0 if layout.beside == "bar" else 0.0)
    bottom = letter * (1.9 + (1.6 if text.path else 0.0) + (2.2 if layout.legend == "below" else 0.0))
    top = letter * (2.2 if text.title else 0.9)
    across, along = min(1.0, 0.5 * layout.width / (left + right)), min(1.0, 0.45 * layout.height / (bottom + top))
    left, right, bottom, top = left * across, right * across, bottom * along, top * along
    return (
        left / layout.width,
        bottom / layout.height,
        1.0 - (left + right) / layout.width,
        1.0 - (bottom + top) / layout.height,
    )


def _density(axes: Any, record: ElectronicRecord, shown: ShownBands, style: Style, rng: np.random.Generator) -> None:  # noqa: ANN401
    energies = np.linspace(style.e_min_ev, style.e_max_ev, 300)
    total = shown_dos(record, energies, shown.zero_ev, rng)
    partial = total * (0.5 + 0.4 * np.sin(energies * rng.uniform(0.5, 2.0) + rng.uniform(0.0, 6.0)))
    first, second = style.strokes.colours[:2]
    if style.layout.beside == "filled":
        axes.fill_betweenx(energies, 0.0, total, color="#999999", alpha=0.6, lw=0.0)
        axes.fill_betweenx(energies, 0.0, partial, color=first, alpha=0.4, lw=0.0)
    axes.plot(total, energies, color=style.layout.ink, lw=1.0)
    axes.plot(partial, energies, color=second, lw=1.0)
    axes.set(xlim=(0.0, 1.1 * max(float(total.max()), 1e-3)), ylim=(style.e_min_ev, style.e_max_ev))
    axes.set_facecolor(style.layout.inside)
    axes.tick_params(labelleft=False, direction=style.frame.ticks, color=style.layout.ink)
    axes.set_xticks([])
    if style.frame.zero:
        axes.axhline(0.0, color=style.frame.zero_colour, ls=style.frame.zero, lw=style.frame.zero_width)
    for spine in axes.spines.values():
        spine.set(linewidth=style.frame.width, color=style.layout.ink)
    axes.set_xlabel(written("DOS", style.lettering), color=style.layout.ink, **font(style.lettering))


def _colour_bar(figure: Any, place: tuple[float, float, float, float], style: Style) -> None:  # noqa: ANN401
    axes = figure.add_axes(place)
    axes.imshow(np.linspace(1.0, 0.0, 128)[:, None], aspect="auto", cmap=style.strokes.colour_map)
    axes.set_xticks([])
    axes.yaxis.tick_right()
    axes.set_yticks([0, 64, 127], ["1.0", "0.5", "0.0"], color=style.layout.ink, **font(style.lettering, 0.9))


def _legend(axes: Any, style: Style, rng: np.random.Generator) -> None:  # noqa: ANN401
    from matplotlib.lines import Line2D  # noqa: PLC0415

    if not style.layout.legend:
        return
    names = [("up", "down"), ("s", "p", "d"), ("PBE", "PBE+SOC"), ("bands",), ("Te", "Bi")][int(rng.integers(5))]
    colours = style.strokes.colours
    dots = style.strokes.paint == "circles" or style.strokes.line == "."
    handles = [
        Line2D([], [], color=colours[i % len(colours)], ls="none" if dots else "-", marker="o" if dots else None)
        for i in range(len(names))
    ]
    places: dict[str, dict[str, Any]] = {
        "inside": {"loc": CORNERS[int(rng.integers(len(CORNERS)))]},
        "right": {"loc": "upper left", "bbox_to_anchor": (1.4 if "dos" in style.layout.beside else 1.0, 1.0)},
        "below": {
            "loc": "lower center",
            "bbox_to_anchor": (0.5, 0.0),
            "bbox_transform": axes.figure.transFigure,
            "ncols": len(names),
            "borderaxespad": 0.1,
        },
    }
    family = font(style.lettering)["fontfamily"]
    legend = axes.legend(
        handles,
        names,
        frameon=bool(rng.random() < 0.6),
        labelcolor=style.layout.ink,
        facecolor=style.layout.inside,
        prop={"family": family, "size": 0.8 * style.lettering.size},
        **places[style.layout.legend],
    )
    legend.set_zorder(6)


def _truth(axes: Any, shown: ShownBands, style: Style, *, scalar: bool) -> StyledPanel:  # noqa: ANN401
    scale = style.output.scale
    rows = axes.figure.canvas.get_width_height()[1]
    bounds = axes.get_window_extent()
    inset = 0.5 * style.frame.width * style.layout.dpi / 72.0 if style.frame.sides == "all" else 0.0
    edges = (bounds.x0 + inset, rows - bounds.y1 + inset, bounds.x1 - inset, rows - bounds.y0 - inset)
    box = Box(*(round(scale * edge) for edge in edges))
    ev_per_pixel = (style.e_max_ev - style.e_min_ev) / bounds.height / scale
    zero = float(scale * (rows - axes.transData.transform((0.0, 0.0))[1]))
    axis = EnergyAxis(zero, ev_per_pixel)
    e_min, e_max = axis.energy(box.bottom), axis.energy(box.top)
    ideal = shown.ideal(e_min, e_max, both=style.strokes.paint == "coupling")
    return StyledPanel(box, axis, e_min, e_max, scalar, ideal)


def _encode(rgba: NDArray[np.uint8], style: Style, rng: np.random.Generator) -> bytes:
    """The file of a drawing, after what happens to pictures on their way."""
    output = style.output
    image = Image.fromarray(rgba)
    if not output.transparent:
        image = image.convert("RGB")
    if output.scale != 1.0:
        size = (max(1, round(image.width * output.scale)), max(1, round(image.height * output.scale)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    if output.blur > 0.0:
        image = image.filter(ImageFilter.GaussianBlur(output.blur))
    if output.noise > 0.0:
        grey = np.asarray(image).astype(np.float32)
        grey[..., :3] += rng.normal(0.0, output.noise, (*grey.shape[:2], 1)).astype(np.float32)
        image = Image.fromarray(np.clip(grey, 0.0, 255.0).astype(np.uint8))
    data = BytesIO()
    if output.jpeg:
        image.save(data, format="JPEG", quality=output.jpeg)
    else:
        image.save(data, format="PNG", compress_level=1)
    return data.getvalue()
