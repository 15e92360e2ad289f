"""CIF text -> the atoms of one cell: gemmi reads the syntax, pymatgen is the judge in doubtful cases."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import gemmi
import numpy as np

from shc.featurize.errors import ShcError
from shc.featurize.fallback import pymatgen_cif
from shc.featurize.formula import check_formula, formula_counts, formula_in_text
from shc.featurize.operations import expand, parse_operations
from shc.featurize.sites import (
    Sites,
    check_atom_count,
    check_distances,
    check_element,
    check_lattice,
    element_number,
    lattice_from_parameters,
)
from shc.featurize.space_groups import operations_of_group, operations_of_hall

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from shc.featurize.config import FeaturizeConfig

OCCUPANCY_TOLERANCE = 1e-3
"""Occupancies this close to one count as one."""
_LARGEST_COORDINATE = 1e6
_FALLBACK_LIMIT = 1_000_000
_AXES = ("x", "y", "z")
_OPERATION_TAGS = (
    "_symmetry_equiv_pos_as_xyz",
    "_space_group_symop_operation_xyz",
    "_space_group_symop.operation_xyz",
)
_HALL_TAGS = ("_space_group_name_Hall", "_symmetry_space_group_name_Hall", "_space_group.name_Hall")
_SYMBOL_TAGS = (
    "_symmetry_space_group_name_H-M",
    "_space_group_name_H-M_alt",
    "_space_group_name_H-M_ref",
    "_space_group.name_H-M_alt",
)
_NUMBER_TAGS = ("_symmetry_Int_Tables_number", "_space_group_IT_number", "_space_group.IT_number")
_FORMULA_TAGS = ("_chemical_formula_sum", "_chemical_formula.sum")
_MAGNETIC = re.compile(r"^[ \t]*(?:_atom_site_moment|_space_group_(?:symop_)?magn)", re.MULTILINE | re.IGNORECASE)


class _Listed(NamedTuple):
    """The sites as listed, before symmetry: labels, atomic numbers, positions."""

    label: list[str]
    number: NDArray[np.int64]
    frac: NDArray[np.float64]


def read_cif(text: str, config: FeaturizeConfig) -> Sites:
    """Read the first data block of a CIF that holds a structure.

    Items left at ``.`` take the default of the CIF core dictionary (coordinate 0, occupancy 1).

    Args:
        text: Content of the file, ASCII, newlines as line feeds.
        config: Gives ``max_atoms`` and ``allow_hydrogen``.

    Returns:
        All atoms of the cell as the file gives it; not checked for close pairs.

    Raises:
        ShcError: The file is no CIF, or it describes no fully ordered crystal.
    """
    if not re.search(r"^[ \t]*data_", text, re.IGNORECASE | re.MULTILINE):
        raise ShcError("not a CIF: no data_ block", "give a CIF, POSCAR or extended XYZ file")
    try:
        document = gemmi.cif.read_string(text)
    except (RuntimeError, ValueError) as error:
        reason = str(error).removeprefix("string:")[:150]
        sites = _judge(text, f"not a readable CIF (line {reason})", config)
        check_formula(formula_in_text(text), sites.atomic_number)
        return sites
    block = _first_structure(document)
    formula = _value(block, _FORMULA_TAGS)
    if ("_moment" in text or "_magn" in text) and _MAGNETIC.search(text):
        sites = _judge(text, "the magnetic CIF is not readable", config)
    else:
        sites = _read_block(block, text, config)
    try:
        check_formula(formula, sites.atomic_number)
    except ShcError:
        check_distances(sites)  # atoms listed twice explain a wrong formula better
        raise
    return sites


def _first_structure(document: gemmi.cif.Document) -> gemmi.cif.Block:
    """Return the first block with a site and a cell; say what is missing if there is none."""
    has_sites = False
    for block in document:
        if len(_column(block, "_atom_site_fract_x")) > 0:
            has_sites = True
            if block.find_value("_cell_length_a") is not None:
                return block
    if has_sites:
        raise ShcError("the CIF gives no unit cell", "add the _cell_length_ and _cell_angle_ items")
    for block in document:
        if len(_column(block, "_atom_site_Cartn_x")) > 0:
            raise ShcError("the CIF gives no fractional positions", "convert it to _atom_site_fract_ items")
    raise ShcError("the CIF lists no atoms", "add an _atom_site_ loop with fractional positions")


def _read_block(block: gemmi.cif.Block, text: str, config: FeaturizeConfig) -> Sites:
    lattice = _lattice(block)
    listed = _listed_sites(block, config)
    triplets = _listed_operations(block)
    if triplets:
        return _expanded(triplets, lattice, listed, config)
    choices = _named_operations(block)
    if not choices:
        return Sites(lattice, listed.frac % 1.0, listed.number, listed.label)
    if len(choices) == 1:
        return _expanded(choices[0], lattice, listed, config)
    fitting = [sites for choice in choices if (sites := _try(choice, lattice, listed, block, config))]
    if len(fitting) == 1:
        return fitting[0]
    # Two origins are possible and neither distances nor formula decide.
    return _judge(text, "the origin of the space group is ambiguous", config)


def _expanded(
    triplets: tuple[str, ...], lattice: NDArray[np.float64], listed: _Listed, config: FeaturizeConfig
) -> Sites:
    frac, source = expand(parse_operations(triplets), lattice, listed.frac, listed.label, config)
    return Sites(lattice, frac, listed.number[source], [listed.label[site] for site in source])


def _try(
    triplets: tuple[str, ...],
    lattice: NDArray[np.float64],
    listed: _Listed,
    block: gemmi.cif.Block,
    config: FeaturizeConfig,
) -> Sites | None:
    """Return the expanded sites if distances, formula and formula units agree with this choice."""
    try:
        sites = _expanded(triplets, lattice, listed, config)
        check_distances(sites)
        units = float(gemmi.cif.as_number(_value(block, ("_cell_formula_units_Z",)) or "?"))
        check_formula(_value(block, _FORMULA_TAGS), sites.atomic_number, units)
    except ShcError:
        return None
    return sites


def _judge(text: str, doubt: str, config: FeaturizeConfig) -> Sites:
    """Let pymatgen read what gemmi could not decide; small files only, for it is slow."""
    hint = "check the file with a CIF validator"
    if len(text) > _FALLBACK_LIMIT:
        raise ShcError(doubt, hint)
    return pymatgen_cif(text, doubt, hint, config)


def _column(block: gemmi.cif.Block, tag: str) -> list[str]:
    return list(block.find_values(tag))


def _value(block: gemmi.cif.Block, tags: Sequence[str]) -> str:
    """Return the first value present among the tags, unquoted; empty where it is missing, . or ?."""
    for tag in tags:
        for raw in block.find_values(tag):
            value = gemmi.cif.as_string(raw).strip()
            if value:
                return str(value)
    return ""


def _number(raw: str, what: str) -> float:
    """Return a CIF number without its standard uncertainty, or refuse it."""
    value = float(gemmi.cif.as_number(raw))
    if value == value:  # not NaN  # noqa: PLR0124
        return value
    # An uncertainty cut off at the end, as in 0.25(3, is the one defect that leaves the value certain.
    match = re.fullmatch(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\(\d*\)?", raw.strip("'\""))
    if match:
        return float(match.group(1))
    reason = "is missing" if raw in {"?", "."} else f"is no number: {raw[:40]!r}"
    raise ShcError(f"{what} {reason}", "complete or correct the file")


def _lattice(block: gemmi.cif.Block) -> NDArray[np.float64]:
    values = []
    for name in ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma"):
        raw = block.find_value(f"_cell_{name}")
        if raw is None:
            raise ShcError(f"_cell_{name} is missing", "complete the unit cell")
        values.append(_number(raw, f"_cell_{name}"))
    lattice = lattice_from_parameters(values[:3], values[3:])
    check_lattice(lattice)
    return lattice


def _listed_sites(block: gemmi.cif.Block, config: FeaturizeConfig) -> _Listed:
    """Return the ordered sites of a block; dummy sites and sites of occupancy zero are left out."""
    columns = [_column(block, f"_atom_site_fract_{axis}") for axis in _AXES]
    n_sites = len(columns[0])
    check_atom_count(n_sites, config)
    labels = [str(gemmi.cif.as_string(raw)) for raw in _column(block, "_atom_site_label")]
    symbols = [str(gemmi.cif.as_string(raw)) for raw in _column(block, "_atom_site_type_symbol")]
    occupancies = _column(block, "_atom_site_occupancy")
    flags = _column(block, "_atom_site_calc_flag")
    for column in (*columns, labels, symbols, occupancies, flags):
        if column and len(column) != n_sites:
            raise ShcError("the _atom_site_ columns differ in length", "put all of them into one loop")
    if not (columns[1] and columns[2]):
        raise ShcError("the sites lack the coordinate y or z", "complete the _atom_site_fract_ columns")
    if not (labels or symbols):
        raise ShcError("the sites carry no element", "add _atom_site_type_symbol or _atom_site_label")
    names = [label[:40].replace("\n", " ") or f"{row + 1}" for row, label in enumerate(labels or symbols)]
    rows = [
        row
        for row in range(n_sites)
        if not (flags and flags[row] == "dum") and _occupied(occupancies[row] if occupancies else ".", names[row])
    ]
    check_atom_count(len(rows), config)
    formula = frozenset(formula_counts(_value(block, _FORMULA_TAGS)))
    number = [
        check_element(_symbol(symbols[row] if symbols else "", names[row], formula), names[row], config) for row in rows
    ]
    frac = [[_coordinate(columns[axis][row], names[row], axis) for axis in range(3)] for row in rows]
    positions = np.array(frac)
    if not (np.abs(positions) < _LARGEST_COORDINATE).all():
        raise ShcError("a fractional coordinate is far too large", "positions are in units of the cell")
    return _Listed([names[row] for row in rows], np.array(number, dtype=np.int64), positions)


def _coordinate(raw: str, name: str, axis: int) -> float:
    value = float(gemmi.cif.as_number(raw))
    if value == value:  # not NaN  # noqa: PLR0124
        return value
    return 0.0 if raw == "." else _number(raw, f"coordinate {_AXES[axis]} of site {name}")


def _occupied(raw: str, name: str) -> bool:
    """Return False for an empty site; refuse a site that is partially occupied."""
    if raw in {".", "?", "1", "1.0"}:
        return True
    value = _number(raw, f"occupancy of site {name}")
    if value == 0:
        return False
    if abs(value - 1) > OCCUPANCY_TOLERANCE:
        raise ShcError(
            f"site {name} has occupancy {value:g}",
            "disordered crystals are not supported: give an ordered model, every site at occupancy 1",
        )
    return True


@lru_cache(maxsize=4096)
def _symbol(type_symbol: str, label: str, formula: frozenset[int]) -> str:
    """Return the element symbol of a site, from its type symbol or else from its label.

    A type symbol is an element with an optional charge (``Fe3+``). A label starts with the element; where
    ``CA1`` could be C or Ca, the one in the formula counts, then the longer one.
    """
    if type_symbol:
        match = re.fullmatch(r"([A-Za-z]{1,2})(?:[\d.]*[+-]?\d*)", type_symbol)
        return match.group(1) if match else type_symbol
    match = re.match(r"[A-Z][a-z]*|[a-z]+", label)
    if match is None:
        return label
    if label[:2] in {"OH", "Wa", "Hw", "Ow", "O-"}:  # water and hydroxyl of mineral databases
        return "H"
    letters = match.group()
    longer = label[:2].title()
    if len(letters) == 1 and element_number(longer) and (not formula or element_number(longer) in formula):
        return longer
    return letters


def _listed_operations(block: gemmi.cif.Block) -> tuple[str, ...]:
    """Return the triplets a block lists; empty if it lists none."""
    for tag in _OPERATION_TAGS:
        raw = tuple(block.find_values(tag))
        if raw and raw[0] not in {"?", "."}:
            return _unquoted(raw)
    return ()


@lru_cache(maxsize=1024)
def _unquoted(raw: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(str(gemmi.cif.as_string(value)) for value in raw)


def _named_operations(block: gemmi.cif.Block) -> list[tuple[str, ...]]:
    """Return the operations of the named space group: one list, two if the origin is open, or none."""
    hall = operations_of_hall(_value(block, _HALL_TAGS))
    if hall:
        return [hall]
    symbol, number = _value(block, _SYMBOL_TAGS), _value(block, _NUMBER_TAGS)
    if not (symbol or number):
        return []
    alpha, gamma = (_number(block.find_value(f"_cell_angle_{name}"), name) for name in ("alpha", "gamma"))
    return operations_of_group(symbol, int(number) if number.isdecimal() else 0, alpha, gamma)
