"""Gaps and band widths of well-known solids: the built-in electronic structure beside published numbers, as Markdown.

Usage: python benchmarks/bands_gaps.py [--budget 0.6] [--doc docs/electronic_structure.md]
       python benchmarks/bands_gaps.py --plots docs/images

Crystals come from ``examples/`` where it has them; the others are built here from lattice constants of the
literature. ``--plots FOLDER`` draws bands, density of states and spin Hall conductivity of seven of them as
``FOLDER/bands_<name>.png`` and prints no table. ``--doc FILE`` puts the tables into FILE between its comments
``<!-- begin gaps -->`` and ``<!-- end gaps -->``. Published DFT gaps are without spin-orbit coupling; ours are with it,
which narrows them by a third of the splitting of the valence band where that is made of p orbitals.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from PIL import Image

from shc.featurize.config import FeaturizeConfig
from shc.featurize.electronic import conductivity, engine
from shc.featurize.electronic.charges import converge_charges
from shc.featurize.electronic.engine import COARSE_LENGTH, compute_bands
from shc.featurize.electronic.hamiltonian import CUTOFF, build_hamiltonian
from shc.featurize.electronic.mesh import divisions, irreducible_mesh
from shc.featurize.electronic.plot import plot_bands
from shc.featurize.electronic.record import BandsConfig
from shc.featurize.electronic.solver import solve_scalar
from shc.featurize.electronic.tables import element_basis, tabulated_integrals
from shc.featurize.structures import read_crystal
from shc.featurize.symmetry import reduce_crystal
from shc.featurize.types import Crystal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from shc.featurize.electronic.hamiltonian import Hamiltonian
    from shc.featurize.symmetry import PrimitiveCrystal

    Floats = NDArray[np.float64]

EXAMPLES: Final = Path(__file__).parents[1] / "examples"
PLOTTED: Final = ("Pt", "W", "Bi2Se3", "TaAs", "GaAs", "MoS2", "NaCl")
WIDTH_MM: Final = 180.0
COLOURS: Final = 96
FCC: Final = ((0.0, 0.0, 0.0), (0.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0))

# Sources. TB: F. Tran, P. Blaha, Phys. Rev. Lett. 102, 226401 (2009), Table I (LDA and the experiments it collects).
# BFB: M. Betzinger, C. Friedrich, S. Bluegel, Phys. Rev. B 81, 195117 (2010) (PBE, all-electron).
# Heyd: J. Heyd, J. E. Peralta, G. E. Scuseria, R. L. Martin, J. Chem. Phys. 123, 174101 (2005).
# Madelung: O. Madelung, Semiconductors: Data Handbook, 3rd edition, Springer (2004), low temperature.
# Poole: R. T. Poole, J. Liesegang, R. C. G. Leckey, J. G. Jenkin, Phys. Rev. B 11, 5179 (1975).
# Bruneval: F. Bruneval et al., Phys. Rev. Lett. 97, 267601 (2006), and the experiment it quotes.
# Zhang: H. Zhang et al., Nature Phys. 5, 438 (2009) (PBE with spin-orbit coupling).
# Xia: Y. Xia et al., Nature Phys. 5, 398 (2009) (photoemission).
# Kam: K. K. Kam, B. A. Parkinson, J. Phys. Chem. 86, 463 (1982).
# Pascual: J. Pascual, J. Camassel, H. Mathieu, Phys. Rev. B 18, 5606 (1978).
# Benthem: K. van Benthem, C. Elsaesser, R. H. French, J. Appl. Phys. 90, 6156 (2001) (indirect gap).
# HL: M. S. Hybertsen, S. G. Louie, Phys. Rev. B 34, 5390 (1986) (LDA, and the experiment it quotes).
# Jimenez: I. Jimenez et al., Phys. Rev. B 56, 7215 (1997).
# Marini: A. Marini, G. Onida, R. Del Sole, Phys. Rev. Lett. 88, 016403 (2002) (LDA, and the experiment it quotes).
# Levinson: H. J. Levinson, F. Greuter, E. W. Plummer, Phys. Rev. B 27, 727 (1983).


class Solid(NamedTuple):
    """A crystal and what is published about its gap."""

    name: str
    structure: str
    """``example``, or a prototype known to ``_build``."""
    constants: tuple[float, ...] = ()
    """Lattice constants, Angstrom, and an internal coordinate."""
    elements: tuple[int, ...] = ()
    dft: float | None = None
    """eV."""
    dft_source: str = ""
    experiment: float | None = None
    """eV."""
    experiment_source: str = ""


# Lattice constants at room temperature: Madelung for semiconductors; R. W. G. Wyckoff, Crystal Structures, 2nd edition
# (1963) for the others.
SOLIDS: Final = (
    Solid("C", "zincblende", (3.567,), (6, 6), 4.11, "LDA, TB", 5.48, "TB"),
    Solid("Si", "example", dft=0.47, dft_source="LDA, TB", experiment=1.17, experiment_source="TB"),
    Solid("Ge", "zincblende", (5.658,), (32, 32), 0.00, "LDA, TB", 0.74, "TB"),
    Solid("SiC", "zincblende", (4.360,), (14, 6), 1.35, "LDA, TB", 2.40, "TB"),
    Solid("BN", "zincblende", (3.616,), (5, 7), 4.39, "LDA, TB", 6.25, "TB"),
    Solid("AlN", "wurtzite", (3.111, 4.979, 0.382), (13, 7), 4.17, "LDA, TB", 6.28, "TB"),
    Solid("AlP", "zincblende", (5.464,), (13, 15), 1.46, "LDA, TB", 2.45, "TB"),
    Solid("GaAs", "example", dft=0.30, dft_source="LDA, TB", experiment=1.52, experiment_source="TB"),
    Solid("InP", "zincblende", (5.869,), (49, 15), None, "", 1.42, "Madelung"),
    Solid("InSb", "zincblende", (6.479,), (49, 51), 0.00, "PBE, Heyd", 0.23, "Heyd"),
    Solid("ZnO", "wurtzite", (3.250, 5.207, 0.382), (30, 8), 0.75, "LDA, TB", 3.44, "TB"),
    Solid("ZnS", "zincblende", (5.409,), (30, 16), 1.84, "LDA, TB", 3.91, "TB"),
    Solid("CdTe", "zincblende", (6.482,), (48, 52), None, "", 1.61, "Madelung"),
    Solid("PbTe", "rocksalt", (6.462,), (82, 52), None, "", 0.19, "Madelung"),
    Solid("Bi2Te3", "example", experiment=0.13, experiment_source="Madelung"),
    Solid("Bi2Se3", "example", dft=0.3, dft_source="PBE + SOC, Zhang", experiment=0.3, experiment_source="Xia"),
    Solid("MoS2", "example", experiment=1.23, experiment_source="Kam"),
    Solid("TiO2", "rutile", (4.594, 2.959, 0.305), (22, 8), None, "", 3.03, "Pascual"),
    Solid("SrTiO3", "example", experiment=3.25, experiment_source="Benthem"),
    Solid("Cu2O", "cuprite", (4.270,), (29, 8), 0.54, "LDA, Bruneval", 2.17, "Bruneval"),
    Solid("MgO", "rocksalt", (4.211,), (12, 8), 4.84, "PBE, BFB", 7.83, "TB"),
    Solid("NaCl", "example", dft=5.08, dft_source="PBE, BFB", experiment=8.5, experiment_source="Poole"),
    Solid("LiCl", "rocksalt", (5.130,), (3, 17), 6.06, "LDA, TB", 9.40, "TB"),
    Solid("LiF", "rocksalt", (4.027,), (3, 9), 8.94, "LDA, TB", 14.20, "TB"),
)
OTHERS: Final = (
    Solid("Cu", "example"),
    Solid("Al", "fcc", (4.050,), (13,)),
)


class Level(NamedTuple):
    """A difference of two levels and what is published about it."""

    solid: str
    what: str
    upper: tuple[str, int] | None
    """Point and band from 0, the lowest valence band; None for the Fermi level."""
    lower: tuple[str, int]
    dft: float | None = None
    """eV."""
    dft_source: str = ""
    experiment: float | None = None
    """eV."""
    experiment_source: str = ""


TOP: Final = ("GAMMA", 3)
"""Top of the valence band of the semiconductors below."""
LEVELS: Final = (
    Level("Si", "Gamma to Gamma", ("GAMMA", 4), TOP, 2.56, "PBE, BFB"),
    Level("Si", "Gamma to X", ("X", 4), TOP, 0.71, "PBE, BFB"),
    Level("Si", "Gamma to L", ("L", 4), TOP, 1.54, "PBE, BFB"),
    Level("Si", "valence-band width", TOP, ("GAMMA", 0), 11.93, "LDA, HL", 12.5, "HL"),
    Level("C", "Gamma to Gamma", ("GAMMA", 4), TOP, 5.64, "PBE, BFB"),
    Level("C", "Gamma to X", ("X", 4), TOP, 4.79, "PBE, BFB"),
    Level("C", "Gamma to L", ("L", 4), TOP, 8.58, "PBE, BFB"),
    Level("C", "valence-band width", TOP, ("GAMMA", 0), None, "", 23.0, "Jimenez"),
    Level("GaAs", "Gamma to Gamma", ("GAMMA", 4), TOP, 0.55, "PBE, BFB"),
    Level("GaAs", "Gamma to X", ("X", 4), TOP, 1.47, "PBE, BFB"),
    Level("GaAs", "Gamma to L", ("L", 4), TOP, 1.02, "PBE, BFB"),
    Level("MgO", "Gamma to Gamma", ("GAMMA", 4), TOP, 4.84, "PBE, BFB"),
    Level("MgO", "Gamma to X", ("X", 4), TOP, 9.15, "PBE, BFB"),
    Level("MgO", "Gamma to L", ("L", 4), TOP, 8.01, "PBE, BFB"),
    Level("NaCl", "Gamma to Gamma", ("GAMMA", 4), TOP, 5.08, "PBE, BFB"),
    Level("NaCl", "Gamma to X", ("X", 4), TOP, 7.39, "PBE, BFB"),
    Level("NaCl", "Gamma to L", ("L", 4), TOP, 7.29, "PBE, BFB"),
    Level("Cu", "Fermi level to upper d level at Gamma", None, ("GAMMA", 5), 2.27, "LDA, Marini", 2.78, "Marini"),
    Level("Cu", "Fermi level to top of the d bands at X", None, ("X", 4), 1.40, "LDA, Marini", 2.01, "Marini"),
    Level("Al", "Fermi level to bottom of the band", None, ("GAMMA", 0), None, "", 10.6, "Levinson"),
)
POINTS: Final = {"GAMMA": (0.0, 0.0, 0.0), "X": (0.0, 0.0, 1.0), "L": (0.5, 0.5, 0.5)}
"""Of the face-centred cubic lattice, 2 pi over the lattice constant."""


def build(solid: Solid) -> Crystal:
    """The crystal in its conventional cell."""
    if solid.structure == "example":
        return read_crystal(EXAMPLES / f"{solid.name}.cif", FeaturizeConfig())
    a = solid.constants[0]
    x = solid.constants[-1]
    lattice = a * np.eye(3)
    sites: list[tuple[tuple[float, ...], int]] = []
    face = tuple(solid.elements) * 2
    if solid.structure in {"fcc", "rocksalt", "zincblende"}:
        second = {"rocksalt": 0.5, "zincblende": 0.25}.get(solid.structure)
        sites = [(point, face[0]) for point in FCC]
        if second is not None:
            sites += [(tuple(value + second for value in point), face[1]) for point in FCC]
    elif solid.structure == "wurtzite":
        lattice = np.array([[a, 0.0, 0.0], [-0.5 * a, 0.75**0.5 * a, 0.0], [0.0, 0.0, solid.constants[1]]])
        for u, z in ((0.0, face[0]), (x, face[1])):
            sites += [((1 / 3, 2 / 3, u), z), ((2 / 3, 1 / 3, u + 0.5), z)]
    elif solid.structure == "rutile":
        lattice[2, 2] = solid.constants[1]
        sites = [
            ((0.0, 0.0, 0.0), face[0]),
            ((0.5, 0.5, 0.5), face[0]),
            ((x, x, 0.0), face[1]),
            ((-x, -x, 0.0), face[1]),
        ]
        sites += [((0.5 + x, 0.5 - x, 0.5), face[1]), ((0.5 - x, 0.5 + x, 0.5), face[1])]
    else:
        sites = [((0.0, 0.0, 0.0), face[1]), ((0.5, 0.5, 0.5), face[1])]
        corners = ((0.25, 0.25, 0.25), (0.25, 0.75, 0.75), (0.75, 0.25, 0.75), (0.75, 0.75, 0.25))
        sites += [(point, face[0]) for point in corners]
    frac = np.array([point for point, _ in sites]) % 1.0
    return Crystal(solid.name, lattice, frac, np.array([z for _, z in sites], dtype=np.int64))


def primitive(solid: Solid) -> PrimitiveCrystal:
    """The crystal as the electronic structure takes it."""
    return reduce_crystal(build(solid), FeaturizeConfig())


def scalar_hamiltonian(crystal: PrimitiveCrystal) -> Hamiltonian:
    """The charge-self-consistent Hamiltonian without spin-orbit coupling."""
    bases = [element_basis(z) for z in crystal.atomic_number.tolist()]
    hamiltonian = build_hamiltonian(crystal.lattice, crystal.frac, bases, tabulated_integrals)
    n = divisions(crystal.lattice, crystal.rotations, COARSE_LENGTH)
    mesh = irreducible_mesh(crystal.lattice, crystal.rotations, n)
    converge_charges(hamiltonian, mesh, crystal.orbit.astype(np.int64), crystal.frac)
    return hamiltonian


@cache
def scalar_levels(name: str) -> dict[str, Floats]:
    """Levels without spin-orbit coupling at the points of a face-centred cubic crystal, eV."""
    solid = next(solid for solid in (*SOLIDS, *OTHERS) if solid.name == name)
    side = float(np.linalg.norm(build(solid).lattice[0]))
    hamiltonian = scalar_hamiltonian(primitive(solid))
    return {
        point: solve_scalar(*hamiltonian.matrices(2.0 * np.pi / side * np.array(k)))[0] for point, k in POINTS.items()
    }


@cache
def fermi_ev(name: str, budget: float) -> float:
    """Fermi level on the scale of the Hamiltonian."""
    solid = next(solid for solid in (*SOLIDS, *OTHERS) if solid.name == name)
    return compute_bands(primitive(solid), BandsConfig(budget=budget)).fermi_ev


def number(value: float | None, source: str = "") -> str:
    """A cell of the table."""
    if value is None:
        return ""
    return f"{value:.2f}" + (f" ({source})" if source else "")


def gap_table(solids: Sequence[Solid], config: BandsConfig) -> list[str]:
    """The table of gaps and what it says on the whole, as lines of Markdown."""
    lines = ["| solid | ours | published DFT | experiment |", "|---|---|---|---|"]
    ours: list[float] = []
    for solid in solids:
        record = compute_bands(primitive(solid), config)
        ours.append(record.gap_ev)
        flags = f" ({', '.join(record.flags)})" if record.flags else ""
        lines.append(
            f"| {solid.name}{flags} | {record.gap_ev:.2f} | {number(solid.dft, solid.dft_source)} | "
            f"{number(solid.experiment, solid.experiment_source)} |"
        )
    for label, values in (
        ("published DFT", [solid.dft for solid in solids]),
        ("experiment", [solid.experiment for solid in solids]),
    ):
        error = np.array([mine - other for mine, other in zip(ours, values, strict=True) if other is not None])
        lines += [
            "",
            (
                f"Ours minus {label}, {len(error)} solids: mean {error.mean():+.2f} eV, mean absolute value "
                f"{np.abs(error).mean():.2f} eV, median absolute value {np.median(np.abs(error)):.2f} eV, from "
                f"{error.min():+.2f} to {error.max():+.2f} eV."
            ),
        ]
    return lines


def level_table(levels: Sequence[Level], config: BandsConfig) -> list[str]:
    """The table of transitions and band widths, as lines of Markdown."""
    lines = [
        "| solid | levels (without spin-orbit coupling) | ours | published DFT | experiment |",
        "|---|---|---|---|---|",
    ]
    for level in levels:
        at = scalar_levels(level.solid)
        high = fermi_ev(level.solid, config.budget) if level.upper is None else at[level.upper[0]][level.upper[1]]
        mine = float(high - at[level.lower[0]][level.lower[1]])
        lines.append(
            f"| {level.solid} | {level.what} | {mine:.2f} | {number(level.dft, level.dft_source)} | "
            f"{number(level.experiment, level.experiment_source)} |"
        )
    return lines


def settings_table(config: BandsConfig) -> list[str]:
    """The settings in force, as lines of Markdown."""
    adaptive, wider, widest = conductivity.ADAPTIVE, conductivity.DOS_ADAPTIVE, conductivity.WIDEST
    rows = (
        ("budget", f"{config.budget:g} s"),
        ("length L of the mesh", f"{engine.LENGTHS[0]:g} to {engine.LENGTHS[-1]:g} Angstrom"),
        ("`coarsened` below", f"{engine.COARSE_BELOW:g} Angstrom"),
        ("mesh of charge self-consistency", f"{COARSE_LENGTH:g} Angstrom"),
        ("occupations", f"w = {adaptive:g} abs(v_n) dk, {conductivity.WIDTH:g} to {widest:g} eV"),
        ("density of states", f"w = {wider:g} abs(v_n) dk, {conductivity.WIDTH:g} to {widest:g} eV"),
        ("energy denominators", f"eta = {adaptive:g} abs(v_n - v_m) dk, {conductivity.ETA:g} to {widest:g} eV"),
        ("window of the second variation", f"{conductivity.WINDOW:g} eV from the Fermi level"),
        ("points on the path", f"{config.path_points} or more"),
        ("longest bond", f"{CUTOFF:g} Angstrom"),
    )
    return ["| setting | value |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]


def rewrite(document: Path, blocks: dict[str, list[str]]) -> None:
    """Put tables into a Markdown file, each between its two comment lines."""
    text = document.read_text(encoding="utf-8")
    for name, lines in blocks.items():
        before, begin, rest = text.partition(f"<!-- begin {name} -->\n")
        _, end, after = rest.partition(f"<!-- end {name} -->\n")
        if not begin or not end:
            sys.exit(f"{document} has no place for {name}")
        text = before + begin + "\n".join(lines) + "\n" + end + after
    document.write_text(text, encoding="utf-8")


def shrink(path: Path) -> None:
    """Rewrite a picture with few colours: a third of the size and no visible difference."""
    with Image.open(path) as picture:
        few = picture.convert("RGB").quantize(colors=COLOURS)
    few.save(path, optimize=True)


def draw(folder: Path, config: BandsConfig) -> None:
    """Draw the examples of the documentation."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in PLOTTED:
        crystal = reduce_crystal(read_crystal(EXAMPLES / f"{name}.cif", FeaturizeConfig()), FeaturizeConfig())
        record = compute_bands(crystal, config)
        path = folder / f"bands_{name}.png"
        plot_bands(record, name, path, width_mm=WIDTH_MM)
        shrink(path)
        print(
            f"{path.name:20} gap {record.gap_ev:.2f} eV, largest component {record.shc_max_abs:.0f} (hbar/e) S/cm, "
            f"mesh {'x'.join(map(str, record.k_mesh))}, {path.stat().st_size / 1024:.0f} kB"
        )


def main() -> None:
    """Print the tables or draw the figures, in a process whose libraries use one thread each."""
    if os.environ.get("OMP_NUM_THREADS") != "1":
        one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        sys.exit(subprocess.run([sys.executable, *sys.argv], env={**os.environ, **one}, check=False).returncode)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=float, default=BandsConfig().budget, help="seconds per crystal")
    parser.add_argument("--plots", type=Path, help="draw the figures into this folder and print no table")
    parser.add_argument("--doc", type=Path, help="also put the tables into this Markdown file")
    options = parser.parse_args()
    config = BandsConfig(budget=options.budget)
    if options.plots is not None:
        draw(options.plots, config)
        return
    blocks = {
        "settings": settings_table(config),
        "gaps": gap_table(SOLIDS, config),
        "levels": level_table(LEVELS, config),
    }
    for lines in blocks.values():
        print("\n".join(lines), end="\n\n")
    if options.doc is not None:
        rewrite(options.doc, blocks)


if __name__ == "__main__":
    main()
