"""What the styles of pictures are chosen from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

FAMILIES: Final = (
    "DejaVu Sans",
    "DejaVu Serif",
    "STIXGeneral",
    "latex",
    "Arial",
    "Helvetica",
    "Liberation Sans",
    "Times New Roman",
    "Nimbus Sans",
)
"""The first four come with matplotlib; the others are used where the system has them."""
ENERGY_NAMES: Final = (
    "Energy (eV)",
    "Energy [eV]",
    "E (eV)",
    r"$E - E_\mathrm{F}$ (eV)",
    r"$E - E_F$ [eV]",
    r"$E-E_{f}$ / eV",
    r"$\mathrm{E - E_{VBM}}$ (eV)",
    "Energies (eV)",
    r"$\varepsilon - \varepsilon_\mathrm{F}$ (eV)",
    "E \u2212 EF (eV)",
    "Energy (in eV)",
    "",
)
PATH_NAMES: Final = (
    "",
    "",
    "",
    "Wave vector",
    "Wave Vector",
    "k-path",
    "K-points",
    r"$\mathbf{k}$",
    "High symmetry points",
)
TITLES: Final = (
    "",
    "",
    "",
    "Band structure",
    "Electronic bands",
    "PBE",
    "HSE06 + SOC",
    "(a)",
    "Bulk, GGA+U",
    "mp-1234",
)
NOTES: Final = ("", "", "", "", "", r"$E_g$ = 1.12 eV", "(b)", "SOC", "metal", "PBE", r"$E_\mathrm{F}$")
DARK_INKS: Final = ("black", "black", "#222222", "#333333", "navy")
BAND_COLOURS: Final = (
    ("black", "red"),
    ("#1f77b4", "#ff7f0e"),
    ("#3953a4", "#faa316"),
    ("blue", "red"),
    ("red", "blue"),
    ("#444444", "#d62728"),
    ("darkgreen", "purple"),
    ("#0072b2", "#d55e00"),
    ("royalblue", "crimson"),
    ("teal", "orange"),
    ("#7f7f7f", "#2ca02c"),
    ("deepskyblue", "gold"),
)
LIGHT_BAND_COLOURS: Final = (("white", "yellow"), ("cyan", "magenta"), ("#8dd3c7", "#feffb3"), ("gold", "tomato"))
"""For dark backgrounds."""
CYCLE: Final = (
    "#1f77b4",
    "#ff7f0e",
    "#2ca02c",
    "#d62728",
    "#9467bd",
    "#8c564b",
    "#e377c2",
    "#7f7f7f",
    "#bcbd22",
    "#17becf",
)
COLOUR_MAPS: Final = ("jet", "viridis", "plasma", "coolwarm", "brg", "RdBu", "rainbow", "winter")
WINDOWS: Final = (
    (-1, 1),
    (-1.5, 1.5),
    (-2, 2),
    (-2, 2),
    (-3, 3),
    (-3, 3),
    (-4, 4),
    (-5, 5),
    (-6, 6),
    (-4, 6),
    (-10, 10),
)
"""Energy windows that people choose, eV."""
TINTS: Final = ("#e5ecf6", "#eaeaf2", "#f5f5dc", "#f0f0f0", "#fff8e7", "#eef5ff")

KNOWN: Final[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
    "sumo": {
        "strokes": {"paint": "valence", "colours": ("#3953a4", "#faa316"), "line": "-", "width": 2.0},
        "frame": {
            "sides": "all",
            "ticks": "in",
            "minor": True,
            "mirrored": False,
            "verticals": "-",
            "grid": "",
            "vertical_colour": "black",
            "zero": "",
            "width": 1.5,
            "tick_length": 8.0,
        },
        "lettering": {"energy": "Energy (eV)", "size": 16.0, "path": "", "title": ""},
    },
    "pymatgen": {
        "strokes": {"paint": "one", "colours": ("#1f77b4", "red"), "line": "-", "width": 1.0},
        "frame": {
            "sides": "all",
            "ticks": "out",
            "minor": False,
            "grid": "",
            "verticals": "-",
            "zero": "",
            "vertical_colour": "black",
            "vertical_width": 1.0,
        },
        "lettering": {"energy": r"$\mathrm{E\ -\ E_f\ (eV)}$", "size": 20.0, "path": r"$\mathrm{Wave\ Vector}$"},
    },
    "vaspvis": {
        "strokes": {"paint": "circles", "colours": ("red", "blue", "green"), "line": "-", "width": 2.0},
        "frame": {
            "sides": "all",
            "ticks": "out",
            "verticals": "-",
            "vertical_colour": "#7f7f7f",
            "zero": "",
            "width": 1.2,
            "grid": "",
        },
        "lettering": {"energy": r"$E - E_{F}$ $(eV)$", "size": 10.0},
    },
    "pyprocar": {
        "strokes": {"paint": "gradient", "colour_map": "jet", "line": "-", "width": 2.0},
        "frame": {
            "sides": "all",
            "ticks": "in",
            "minor": True,
            "mirrored": True,
            "verticals": "-",
            "zero": "--",
            "zero_colour": "blue",
            "zero_width": 1.0,
            "tick_length": 6.0,
        },
        "lettering": {"energy": r"$E - E_F$ (eV)", "size": 14.0},
        "layout": {"beside": "bar"},
    },
    "gnuplot": {
        "strokes": {"paint": "one", "colours": ("#9400d3", "#009e73"), "line": "-", "width": 1.2},
        "frame": {
            "sides": "all",
            "ticks": "in",
            "mirrored": True,
            "minor": False,
            "grid": "",
            "verticals": "-",
            "vertical_colour": "black",
            "zero": ":",
            "zero_colour": "black",
            "width": 2.0,
        },
        "lettering": {"energy": "Energy (eV)", "size": 14.0, "family": "Helvetica"},
    },
    "Origin": {
        "strokes": {"paint": "one", "colours": ("black", "red"), "line": "-", "width": 1.8},
        "frame": {
            "sides": "all",
            "ticks": "in",
            "minor": True,
            "mirrored": False,
            "grid": "",
            "verticals": "--",
            "vertical_colour": "#7f7f7f",
            "zero": "--",
            "width": 2.5,
            "tick_length": 7.0,
        },
        "lettering": {"energy": "Energy (eV)", "size": 20.0, "bold": True, "family": "Arial"},
    },
    "plotly": {
        "strokes": {"paint": "cycle", "line": "-", "width": 1.5},
        "frame": {
            "sides": "none",
            "ticks": "out",
            "tick_length": 0.0,
            "minor": False,
            "grid": "both",
            "grid_colour": "white",
            "grid_line": "-",
            "verticals": "-",
            "vertical_colour": "white",
        },
        "lettering": {"size": 10.0, "family": "DejaVu Sans"},
        "layout": {"inside": "#e5ecf6", "outside": "white", "ink": "#2a3f5f", "legend": "right"},
    },
    "Materials Project": {
        "strokes": {"paint": "one", "colours": ("#1f77b4", "red"), "line": "-", "width": 1.6},
        "frame": {
            "sides": "all",
            "ticks": "in",
            "tick_length": 5.0,
            "mirrored": True,
            "grid": "",
            "width": 1.5,
            "verticals": "-",
            "vertical_colour": "black",
            "zero": ":",
            "zero_colour": "#666666",
        },
        "layout": {"beside": "filled"},
    },
    "ASE": {
        "strokes": {"paint": "one", "colours": ("#2ca02c", "#1f77b4"), "line": "-", "width": 1.5},
        "frame": {
            "sides": "all",
            "ticks": "out",
            "minor": False,
            "grid": "",
            "verticals": "-",
            "zero": ":",
            "vertical_colour": "#808080",
            "vertical_width": 0.8,
            "zero_colour": "black",
            "width": 0.8,
        },
        "lettering": {"energy": "energies [eV]", "size": 10.0},
    },
    "Quantum ESPRESSO": {
        "strokes": {"paint": "one", "colours": ("black", "red"), "line": "-", "width": 0.8},
        "frame": {
            "sides": "all",
            "ticks": "in",
            "mirrored": True,
            "minor": True,
            "verticals": "-",
            "zero": ":",
            "vertical_colour": "black",
            "vertical_width": 0.5,
            "width": 0.6,
            "grid": "",
        },
        "lettering": {"family": "STIXGeneral", "decimals": 1, "energy": "E (eV)"},
    },
    "FLEUR": {
        "strokes": {"paint": "one", "line": ".", "colours": ("black", "blue"), "width": 1.6},
        "frame": {
            "sides": "all",
            "ticks": "in",
            "verticals": "--",
            "vertical_colour": "black",
            "zero": "--",
            "zero_colour": "black",
            "vertical_width": 0.8,
            "zero_width": 0.8,
            "tick_length": 5.0,
            "grid": "",
        },
        "lettering": {"energy": r"$E-E_F$ [eV]", "size": 12.0},
    },
}
"""What a known program does: it takes the place of the random choices of the same name."""
UNSEEN: Final = ("plotly", "Materials Project", "FLEUR")
"""Programs whose style is kept from training, so that figures of an unseen style can be measured."""
