"""How published pictures of bands look: a style is a set of choices, made at random or as a known program does."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from shc.featurize.band_image.style_choices import (
    BAND_COLOURS,
    COLOUR_MAPS,
    CYCLE,
    DARK_INKS,
    ENERGY_NAMES,
    FAMILIES,
    KNOWN,
    LIGHT_BAND_COLOURS,
    NOTES,
    PATH_NAMES,
    TINTS,
    TITLES,
    WINDOWS,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Colours = tuple[str, ...]

T = TypeVar("T")

MOST_PIXELS: Final = 1.8e6
"""Larger drawings are made coarser: they would take too long."""
LEAST_SIDE: Final = 280
"""Smaller drawings are made finer, pixels: nobody could read their labels."""
LARGEST_LETTER: Final = 3.6
"""Size of letters, points for each inch of the figure's shorter side."""
SMALLEST_LETTER: Final = 11.0
"""Size of letters, pixels: digits are about 8 high."""
KNOWN_SHARE: Final = 0.45
"""Share of the styles that follow a known program."""


@dataclass(frozen=True, slots=True)
class Strokes:
    """How bands are drawn."""

    paint: str
    """``one`` colour, ``cycle`` per band, ``valence`` against conduction bands, ``spin``: a second equal copy in
    another colour, ``coupling``: bands without spin-orbit coupling in another colour on top, ``gradient``: a colour
    map along the bands, ``circles`` of varying size, ``outlined``: wide pale lines under thin ones."""
    colours: Colours
    colour_map: str
    """Used by ``gradient``."""
    width: float
    """Points."""
    line: str
    """``-``, ``--``, ``:``, ``-.``, ``.`` for dots alone, ``.-`` for dots joined by a line."""
    alpha: float


@dataclass(frozen=True, slots=True)
class Frame:
    """The box around the panel, its ticks and what lies behind the bands."""

    sides: str
    """``all``, ``left_bottom`` or ``none``."""
    width: float
    """Points."""
    ticks: str
    """``in``, ``out`` or ``inout``."""
    tick_length: float
    """Points; 0 for labels without ticks."""
    mirrored: bool
    minor: bool
    grid: str
    """``both``, ``y`` or empty."""
    grid_colour: str
    grid_line: str
    verticals: str
    """Line through high-symmetry points; empty for none."""
    vertical_colour: str
    vertical_width: float
    zero: str
    """Line at the Fermi level; empty for none."""
    zero_colour: str
    zero_width: float


@dataclass(frozen=True, slots=True)
class Lettering:
    """Text of the figure."""

    family: str
    """Family of fonts, or ``latex`` for the letters of TeX."""
    size: float
    """Points."""
    bold: bool
    energy: str
    """Name of the energy axis; may be empty."""
    step: float
    """Distance of the tick labels, eV."""
    decimals: int
    """Digits behind the point; -1 for as many as needed."""
    path: str
    """Name of the other axis; may be empty."""
    points: bool
    """Whether high-symmetry points are named."""
    title: str
    note: str
    """Text inside the panel."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What is on the figure and how large it is."""

    width: float
    """Inch."""
    height: float
    dpi: int
    margin: float
    """Share of the panel's width left empty at both ends of the path."""
    beside: str
    """``dos``, ``filled``: a density of states with the same energy axis; ``pair``: a second panel with the same bands
    without spin-orbit coupling; ``bar``: a colour bar; empty for nothing."""
    legend: str
    """``inside``, ``right``, ``below`` or empty."""
    inset: bool
    outside: str
    """Colour around the panel."""
    inside: str
    """Colour of the panel."""
    ink: str
    """Colour of frame and text."""


@dataclass(frozen=True, slots=True)
class Output:
    """From the drawing to the file."""

    jpeg: int
    """Quality of a JPEG; 0 for a PNG."""
    scale: float
    """Size of the file's picture as a share of the drawing's."""
    blur: float
    """Pixels."""
    noise: float
    """Standard deviation, of 255 grey levels."""
    transparent: bool
    """A PNG whose background is not painted."""


@dataclass(frozen=True, slots=True)
class Style:
    """All choices for one picture; equal styles give equal pictures of a crystal."""

    seed: int
    """Decides the details that are made up: weights, bands outside the known range, the place of notes."""
    program: str
    """The known program that it follows; empty if none."""
    scalar: bool
    """Draw the bands without spin-orbit coupling."""
    zero_at_valence: bool
    """Energies count from the top of the valence bands where the crystal has a gap that is not too wide."""
    absolute: bool
    """The axis shows the energies of the calculation, with a line at the Fermi level."""
    e_min_ev: float
    """Lower end of the energy axis, from its zero or, if ``absolute``, from the Fermi level."""
    e_max_ev: float
    strokes: Strokes
    frame: Frame
    lettering: Lettering
    layout: Layout
    output: Output


def random_style(rng: np.random.Generator) -> Style:
    """Choose a style; about half of them follow a known program in what it fixes.

    Args:
        rng: Source of the choices: equal states give equal styles.
    """
    program = _pick(rng, tuple(KNOWN)) if rng.random() < KNOWN_SHARE else ""
    known: Mapping[str, Mapping[str, Any]] = KNOWN.get(program, {})
    layout = replace(_layout(rng), **known.get("layout", {}))
    e_min, e_max = _window(rng)
    dark = _is_dark(layout.inside)
    lettering = replace(_lettering(rng, e_max - e_min), **known.get("lettering", {}))
    output = _output(rng, layout)
    absolute = bool(rng.random() < 0.04)
    if absolute:
        lettering = replace(lettering, energy="Energy (eV)")
    strokes = replace(_strokes(rng, dark=dark), **({} if dark else known.get("strokes", {})))
    return Style(
        seed=int(rng.integers(2**31)),
        program=program,
        scalar=bool(rng.random() < 0.25),
        zero_at_valence=bool(rng.random() < 0.25),
        absolute=absolute,
        e_min_ev=e_min,
        e_max_ev=e_max,
        strokes=strokes,
        frame=replace(_frame(rng, layout.ink), **({} if dark else known.get("frame", {}))),
        lettering=_fitting(lettering, layout, output),
        layout=layout,
        output=output,
    )


def _fitting(lettering: Lettering, layout: Layout, output: Output) -> Lettering:
    """Letters neither too large for the figure nor too small to be read in the file."""
    largest = LARGEST_LETTER * min(layout.width, layout.height)
    smallest = SMALLEST_LETTER * 72.0 / (layout.dpi * output.scale)
    return replace(lettering, size=max(smallest, min(largest, lettering.size)))


def _pick(rng: np.random.Generator, choices: Sequence[T]) -> T:
    return choices[int(rng.integers(len(choices)))]


def _is_dark(colour: str) -> bool:
    return colour in {"black", "#111111", "#1e1e2e", "#222222"}


def _window(rng: np.random.Generator) -> tuple[float, float]:
    """One that people choose, or any from 1 to 6 eV on either side."""
    if rng.random() < 0.6:
        low, high = _pick(rng, WINDOWS)
        return float(low), float(high)
    step = _pick(rng, (0.5, 0.1, 0.01))
    low, high = (round(float(rng.uniform(1.0, 6.0)) / step) * step for _ in range(2))
    return -low, high


def _strokes(rng: np.random.Generator, *, dark: bool) -> Strokes:
    paints = ("one",) * 6 + ("cycle", "valence", "valence", "spin", "coupling", "gradient", "circles", "outlined")
    return Strokes(
        paint=_pick(rng, paints),
        colours=_pick(rng, LIGHT_BAND_COLOURS if dark else BAND_COLOURS) + CYCLE[2:],
        colour_map=_pick(rng, COLOUR_MAPS),
        width=float(np.exp(rng.uniform(np.log(0.4), np.log(4.0)))),
        line=_pick(rng, ("-",) * 14 + ("--", ":", "-.", ".", ".", ".-")),
        alpha=float(_pick(rng, (1.0, 1.0, 1.0, 0.85, 0.7))),
    )


def _frame(rng: np.random.Generator, ink: str) -> Frame:
    grey = ("#808080", "#b0b0b0", "#404040")
    return Frame(
        sides=_pick(rng, ("all",) * 24 + ("left_bottom", "left_bottom", "none")),
        width=float(_pick(rng, (0.5, 0.8, 0.8, 1.0, 1.5, 2.0, 3.0))),
        ticks=_pick(rng, ("in", "in", "out", "out", "inout")),
        tick_length=float(_pick(rng, (0.0, 2.0, 3.5, 3.5, 5.0, 8.0))),
        mirrored=bool(rng.random() < 0.35),
        minor=bool(rng.random() < 0.35),
        grid=_pick(rng, ("",) * 7 + ("both", "y", "both")),
        grid_colour=_pick(rng, ("#b0b0b0", "#dddddd", "#cccccc", "#e8e8e8")),
        grid_line=_pick(rng, ("-", "-", "--", ":")),
        verticals=_pick(rng, ("-", "-", "-", "--", ":", "")),
        vertical_colour=_pick(rng, (ink, ink, *grey)),
        vertical_width=float(rng.uniform(0.4, 1.6)),
        zero=_pick(rng, ("", "", "--", "--", "--", ":", "-", "-.")),
        zero_colour=_pick(rng, (ink, ink, *grey, "red", "blue", "green")),
        zero_width=float(rng.uniform(0.4, 1.8)),
    )


def _lettering(rng: np.random.Generator, span: float) -> Lettering:
    steps = [step for step in (0.2, 0.25, 0.5, 1.0, 1.0, 2.0, 2.0, 2.5, 5.0) if 1.9 <= span / step <= 14.0]
    return Lettering(
        family=_pick(rng, FAMILIES),
        size=float(rng.uniform(7.0, 20.0)),
        bold=bool(rng.random() < 0.12),
        energy=_pick(rng, ENERGY_NAMES),
        step=_pick(rng, steps),
        decimals=_pick(rng, (-1, -1, -1, 1, 2)),
        path=_pick(rng, PATH_NAMES),
        points=bool(rng.random() < 0.95),
        title=_pick(rng, TITLES),
        note=_pick(rng, NOTES),
    )


def _layout(rng: np.random.Generator) -> Layout:
    theme = rng.random()
    outside, inside, ink = "white", "white", _pick(rng, DARK_INKS)
    if theme < 0.06:
        inside = _pick(rng, ("black", "#111111", "#1e1e2e", "#222222"))
        outside, ink = inside, _pick(rng, ("white", "#dddddd"))
    elif theme < 0.14:
        inside = _pick(rng, TINTS)
        outside = _pick(rng, (inside, "white"))
    height = float(rng.uniform(2.8, 6.0))
    width = height * float(np.exp(rng.uniform(np.log(0.5), np.log(2.5))))
    sharpest = math.sqrt(MOST_PIXELS / (width * height))
    coarsest = LEAST_SIDE / min(width, height)
    beside = _pick(rng, ("",) * 13 + ("dos", "filled", "filled", "pair", "bar"))
    return Layout(
        width=max(width, 1.6 * height) if beside == "pair" else width,
        height=height,
        dpi=int(np.clip(rng.integers(60, 301), coarsest, sharpest)),
        margin=float(_pick(rng, (0.0,) * 14 + (0.02, 0.05))),
        beside=beside,
        legend=_pick(rng, ("",) * 7 + ("inside", "right", "below")),
        inset=bool(rng.random() < 0.02),
        outside=outside,
        inside=inside,
        ink=ink,
    )


def _output(rng: np.random.Generator, layout: Layout) -> Output:
    lossy = rng.random() < 0.3
    return Output(
        jpeg=int(rng.integers(30, 96)) if lossy else 0,
        scale=float(rng.uniform(0.5, 0.95)) if rng.random() < 0.15 else 1.0,
        blur=float(rng.uniform(0.3, 0.9)) if rng.random() < 0.1 else 0.0,
        noise=float(rng.uniform(1.0, 6.0)) if rng.random() < 0.1 else 0.0,
        transparent=not lossy and not _is_dark(layout.outside) and bool(rng.random() < 0.08),
    )
