"""Crystals reduced by symmetry: primitive cell, operations, orbits, space group; spglib is the judge."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import spglib

from shc.featurize.errors import ShcError
from shc.featurize.prompt import OPERATION_KINDS, SCREW_ORDERS, TYPE_SIZES, SpaceGroupFacts, space_group_facts
from shc.featurize.spglib_calls import quiet_spglib
from shc.featurize.tensor_symmetry import TYPES, component_expressions, component_relations, standard_projector
from shc.kernels.lattice import reduce_lattice
from shc.kernels.symmetry import CLEAR, find_symmetry, order_orbits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shc.featurize.config import FeaturizeConfig
    from shc.featurize.types import Crystal

ANGLE_TOLERANCE: Final = 5.0
"""Angle tolerance of spglib's search, degree: the value pymatgen's SpacegroupAnalyzer uses."""

# spglib before 2.7 knows no SpglibError: a failed call returns None there.
_SPGLIB_ERROR: Final = getattr(spglib, "SpglibError", RuntimeError)
_STEPS: Final = 12000
"""Translations are rounded to 1/12000 of a cell edge to recognise the same set of operations again."""


@dataclass(frozen=True, slots=True)
class PrimitiveCrystal:
    """A crystal in its Minkowski-reduced primitive cell, atoms sorted by orbit."""

    lattice: NDArray[np.float64]
    """``[3, 3]`` lattice vectors as rows, right-handed, Angstrom; orientation as in the input."""
    frac: NDArray[np.float64]
    """``[n_atoms, 3]`` fractional positions in [0, 1)."""
    atomic_number: NDArray[np.int64]
    """``[n_atoms]`` atomic numbers."""
    orbit: NDArray[np.uint16]
    """``[n_atoms]`` orbit of each atom, non-decreasing from 0; ordered by atomic number, size, first atom."""
    space_group_number: int
    """1 to 230."""
    rotations: NDArray[np.int32]
    """``[n_ops, 3, 3]``; a position ``x`` (column of fractional coordinates) goes to ``R @ x + t``."""
    translations: NDArray[np.float64]
    """``[n_ops, 3]``."""
    judged_by_spglib: bool
    """Whether the fast search was ambiguous, so that spglib's search decided."""


@lru_cache(maxsize=8192)
def _space_group_of(rotations: bytes, steps: bytes) -> int:
    """Identify operations of a primitive cell: the space-group number, or 0 when spglib knows none.

    Few distinct sets of operations occur among many crystals, so the answer is kept. The lattice handed to
    spglib serves as a measure only: one whose metric the rotations leave invariant, so that equal operations
    get equal answers.
    """
    matrices = np.frombuffer(rotations, dtype=np.int32).reshape(-1, 3, 3)
    shifts = np.frombuffer(steps, dtype=np.int32).reshape(-1, 3) / _STEPS
    metric = np.einsum("nki,nkj->ij", matrices, matrices) / len(matrices)
    try:
        with quiet_spglib():
            kind = spglib.get_spacegroup_type_from_symmetry(
                matrices, shifts, lattice=np.linalg.cholesky(metric), symprec=5e-3
            )
    except _SPGLIB_ERROR:
        return 0
    return 0 if kind is None else int(kind.number)


def _dataset(crystal: Crystal, config: FeaturizeConfig) -> Any:  # noqa: ANN401 (spglib is untyped here)
    """Run spglib's full search.

    Raises:
        ShcError: spglib finds no symmetry, as for atoms that coincide.
    """
    cell = (crystal.lattice, crystal.frac, crystal.atomic_number)
    try:
        with quiet_spglib():
            found = spglib.get_symmetry_dataset(cell, symprec=config.symprec, angle_tolerance=ANGLE_TOLERANCE)
    except _SPGLIB_ERROR:
        found = None
    if found is None:
        raise ShcError(
            f"{crystal.source or crystal.material_id}: no symmetry found within {config.symprec} Angstrom",
            "look for atoms closer to each other than that",
        )
    return found


def _reduce_with_spglib(crystal: Crystal, config: FeaturizeConfig) -> PrimitiveCrystal:
    """Reduce by spglib's full search, the judge of ambiguous crystals."""
    found = _dataset(crystal, config)
    _, kept = np.unique(found.mapping_to_primitive, return_index=True)
    lattice = reduce_lattice(np.array(found.primitive_lattice, dtype=np.float64))
    to_primitive = crystal.lattice @ np.linalg.inv(lattice)  # acts on rows of coordinates
    rotations = to_primitive.T @ found.rotations @ np.linalg.inv(to_primitive.T)
    rotations, first = np.unique(np.rint(rotations).astype(np.int32), axis=0, return_index=True)
    translations = found.translations[first] @ to_primitive
    # One row of images suffices to tell the orbits: each atom goes to the first of its orbit.
    _, first, inverse = np.unique(found.crystallographic_orbits[kept], return_index=True, return_inverse=True)
    order, orbit_of = order_orbits(first[inverse][None, :].astype(np.int64), crystal.atomic_number[kept])
    frac = (crystal.frac[kept] @ to_primitive)[order]
    return PrimitiveCrystal(
        lattice=lattice,
        frac=_into_cell(frac),
        atomic_number=crystal.atomic_number[kept][order],
        orbit=orbit_of.astype(np.uint16),
        space_group_number=int(found.number),
        rotations=rotations,
        translations=_into_cell(translations),
        judged_by_spglib=True,
    )


def _into_cell(frac: NDArray[np.float64]) -> NDArray[np.float64]:
    """Wrap into [0, 1); values a rounding error below 1 become 0."""
    wrapped = frac - np.floor(frac)
    wrapped[wrapped > 1.0 - 1e-9] = 0.0
    return wrapped


def reduce_crystal(crystal: Crystal, config: FeaturizeConfig) -> PrimitiveCrystal:
    """Reduce a crystal to its primitive cell and find its symmetry.

    A compiled search finds pure translations, lattice symmetries and operations within ``config.symprec``;
    where one of its decisions lies near the tolerance, spglib's full search decides instead.

    Args:
        crystal: The crystal as read.
        config: ``symprec`` is used, Angstrom.

    Returns:
        The primitive crystal. Positions are those of the first atom of each set of translated copies.

    Raises:
        ShcError: The cell is flat, a number is not finite, or atoms coincide.

    Source: the steps follow R. W. Grosse-Kunstleve, Acta Cryst. A55, 383 (1999) and A. Togo, K. Shinohara,
    I. Tanaka, Sci. Technol. Adv. Mater. Meth. 4, 2384822 (2024); lattice symmetries are sought in the reduced
    cell as by Y. Le Page, J. Appl. Cryst. 15, 255 (1982).
    """
    try:
        search = find_symmetry(crystal.lattice, crystal.frac, crystal.atomic_number, config.symprec)
    except ValueError as error:
        raise ShcError(
            f"{crystal.source or crystal.material_id}: {error}", "check the cell and the positions"
        ) from error
    number = 0
    if search.status == CLEAR:
        steps = np.rint(search.translations * _STEPS).astype(np.int32) % np.int32(_STEPS)
        number = _space_group_of(search.rotations.tobytes(), steps.tobytes())
    if number == 0:
        return _reduce_with_spglib(crystal, config)
    return PrimitiveCrystal(
        lattice=search.lattice,
        frac=search.frac,
        atomic_number=crystal.atomic_number[search.atom],
        orbit=search.orbit.astype(np.uint16),
        space_group_number=number,
        rotations=search.rotations,
        translations=search.translations,
        judged_by_spglib=False,
    )


@dataclass(frozen=True, slots=True)
class Site:
    """One orbit of atoms, seen in the standardised conventional cell."""

    element: str
    """Chemical symbol."""
    wyckoff_letter: str
    """Letter of the Wyckoff position."""
    multiplicity: int
    """Atoms of the orbit in the conventional cell."""
    site_symmetry: str
    """Site-symmetry group, Hermann-Mauguin, oriented as in the International Tables."""
    position: tuple[float, float, float]
    """Fractional position of one of its atoms in the conventional cell."""


@dataclass(frozen=True, slots=True)
class SymmetryReport:
    """Everything symmetry says about one crystal."""

    material_id: str
    """File stem."""
    facts: SpaceGroupFacts
    """What the space group implies."""
    n_atoms: int
    """Atoms in the cell as read."""
    n_atoms_primitive: int
    """Atoms in the primitive cell."""
    lengths: tuple[float, float, float]
    """Edges of the standardised conventional cell, Angstrom."""
    angles: tuple[float, float, float]
    """Angles alpha, beta, gamma of the standardised conventional cell, degree."""
    sites: tuple[Site, ...]
    """One entry per orbit."""
    components: tuple[str, ...]
    """27 expressions of ``shc[i, j, k]`` in C order: ``0``, ``a``, ``-a`` ..."""
    relations: tuple[str, ...]
    """What is equal or opposite: ``a = yz^x = -zy^x`` ..."""


def _sites(crystal: Crystal, found: Any) -> tuple[Site, ...]:  # noqa: ANN401 (spglib is untyped here)
    """List the orbits by Wyckoff letter, in the standardised cell."""
    from gemmi import Element  # noqa: PLC0415 (only the report needs it)

    _, first = np.unique(found.mapping_to_primitive, return_index=True)
    orbit_of_primitive = found.crystallographic_orbits[first]
    in_standard = orbit_of_primitive[found.std_mapping_to_primitive]
    sites = []
    for orbit in np.unique(orbit_of_primitive):
        atom = first[np.flatnonzero(orbit_of_primitive == orbit)[0]]
        members = np.flatnonzero(in_standard == orbit)
        position = _into_cell(found.std_positions[members[0]])
        sites.append(
            Site(
                element=Element(int(crystal.atomic_number[atom])).name,
                wyckoff_letter=found.wyckoffs[atom],
                multiplicity=len(members),
                site_symmetry=found.site_symmetry_symbols[atom],
                position=(float(position[0]), float(position[1]), float(position[2])),
            )
        )
    return tuple(sorted(sites, key=lambda site: (site.wyckoff_letter, site.element, site.position)))


def symmetry_report(crystal: Crystal, config: FeaturizeConfig) -> SymmetryReport:
    """Say everything symmetry says about one crystal, by spglib's full search.

    Args:
        crystal: The crystal as read.
        config: ``symprec`` is used, Angstrom.

    Returns:
        The report. The tensor is given in the frame of spglib's standardised conventional cell: x along a,
        z along c*.

    Raises:
        ShcError: spglib finds no symmetry, as for atoms that coincide.
    """
    found = _dataset(crystal, config)
    number = int(found.number)
    projector = standard_projector(number)
    a, b, c = found.std_lattice
    lengths = [float(np.linalg.norm(v)) for v in (a, b, c)]
    cosines = [float(u @ v / np.linalg.norm(u) / np.linalg.norm(v)) for u, v in ((b, c), (c, a), (a, b))]
    angles = [float(np.degrees(np.arccos(cosine))) for cosine in cosines]
    return SymmetryReport(
        material_id=crystal.material_id,
        facts=space_group_facts(number),
        n_atoms=len(crystal.atomic_number),
        n_atoms_primitive=len(np.unique(found.mapping_to_primitive)),
        lengths=(lengths[0], lengths[1], lengths[2]),
        angles=(angles[0], angles[1], angles[2]),
        sites=_sites(crystal, found),
        components=tuple(component_expressions(projector)),
        relations=tuple(component_relations(projector)),
    )


def _yes(flag: bool) -> str:
    """Write a flag."""
    return "yes" if flag else "no"


def _format_group(facts: SpaceGroupFacts) -> list[str]:
    """Lines about the space group."""
    kinds = [f"{n} x {kind}" for kind, n in zip(OPERATION_KINDS, facts.operations, strict=True) if n]
    screws = [f"{n} x {order}-fold" for order, n in zip(SCREW_ORDERS, facts.screws, strict=True) if n]
    chiral = "no"
    if facts.sohncke:
        chiral = "proper rotations only" + (", one of an enantiomorphic pair" if facts.enantiomorphic else "")
    rows = [
        ("space group", f"{facts.number}  {facts.symbol}"),
        ("point group", facts.point_group),
        ("Laue class", facts.laue_class),
        ("crystal system", facts.crystal_system),
        ("centrosymmetric", _yes(facts.centrosymmetric)),
        ("polar", _yes(facts.polar)),
        ("chiral", chiral),
        ("symmorphic", _yes(facts.symmorphic)),
        ("operations", f"{sum(facts.operations)}: " + ", ".join(kinds)),
        ("only as screw", ", ".join(screws) or "none"),
        ("only as glide", f"{facts.glides} x m" if facts.glides else "none"),
    ]
    return [f"{name:<16} {value}" for name, value in rows]


def _format_tensor(report: SymmetryReport) -> list[str]:
    """Lines about the tensor: three matrices side by side, relations, types."""
    width = max(2, *(len(text) for text in report.components))
    lines = ["   ".join(f"sigma^{spin}".ljust(3 * width + 6) for spin in "xyz").rstrip()]
    for i in range(3):
        rows = []
        for k in range(3):
            cells = [report.components[9 * i + 3 * j + k] for j in range(3)]
            rows.append("[ " + " ".join(("." if c == "0" else c).rjust(width) for c in cells) + " ]")
        lines.append("   ".join(row.ljust(3 * width + 6) for row in rows).rstrip())
    counts = zip(TYPES, report.facts.tensor_types, TYPE_SIZES, strict=True)
    present = [
        f"{name}{' (conventional)' if name == 'I' else ''}: {n} independent of {size}" for name, n, size in counts if n
    ]
    lines += ["", f"independent components: {report.facts.tensor_dimension}", *report.relations]
    return [*lines, "", "types of spin current present", *(f"  {line}" for line in present)]


def format_report(report: SymmetryReport) -> str:
    """Write a report as plain text.

    Args:
        report: From `symmetry_report`.

    Returns:
        Several lines without a trailing newline.
    """
    edges = ", ".join(f"{value:.4f}" for value in report.lengths)
    angles = ", ".join(f"{value:.2f}" for value in report.angles)
    sites = [
        f"  {site.element:<3} {site.multiplicity}{site.wyckoff_letter:<3} {site.site_symmetry:<8} "
        + " ".join(f"{x:9.5f}" for x in site.position)
        for site in report.sites
    ]
    return "\n".join(
        [
            f"{report.material_id}: {report.n_atoms} atoms, {report.n_atoms_primitive} in the primitive cell",
            "",
            *_format_group(report.facts),
            "",
            f"conventional cell  a, b, c = {edges} Angstrom; alpha, beta, gamma = {angles} degree",
            "sites: element, Wyckoff position, site symmetry, fractional position of one atom",
            *sites,
            "",
            "spin Hall conductivity tensor sigma_ij^k: rows i (spin current), columns j (field), spin k",
            "frame: standardised conventional cell, x along a, z along c*, right-handed",
            "",
            *_format_tensor(report),
        ]
    )
