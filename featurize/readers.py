"""POSCAR and extended XYZ text -> the atoms of one cell."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import numpy as np

from shc.featurize.errors import ShcError
from shc.featurize.fallback import pymatgen_poscar
from shc.featurize.sites import Sites, check_atom_count, check_element, check_lattice

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shc.featurize.config import FeaturizeConfig

_POSCAR_HINT = "use the VASP 5 format: comment, scale, three vectors, element symbols, counts, positions"
_XYZ_HINT = 'use the extended XYZ format: atom count, then Lattice="..." Properties=species:S:1:pos:R:3'


def read_poscar(text: str, config: FeaturizeConfig) -> Sites:
    """Read a POSCAR or CONTCAR of VASP 5 and later (the line of element symbols is required).

    Args:
        text: Content of the file.
        config: Gives ``max_atoms`` and ``allow_hydrogen``.

    Returns:
        All atoms of the cell; not checked for close pairs.

    Raises:
        ShcError: The file is no POSCAR, names no elements, or a site is refused.
    """
    lines = text.splitlines()
    if len(lines) < 8:
        raise ShcError("not a POSCAR: fewer than 8 lines", _POSCAR_HINT)
    for number, line in enumerate(lines[2:5], start=3):
        _floats(line.split()[:3], 3, f"lattice vector in line {number}", _POSCAR_HINT)
    symbols, counts = lines[5].split(), lines[6].split()
    if not symbols or symbols[0].isdecimal():
        raise ShcError("the POSCAR names no elements in line 6", _POSCAR_HINT)
    if len(counts) < len(symbols) or not all(count.isdecimal() for count in counts[: len(symbols)]):
        raise ShcError("line 7 of the POSCAR does not give one count for each element", _POSCAR_HINT)
    n_atoms = sum(int(count) for count in counts[: len(symbols)])
    check_atom_count(n_atoms, config)
    for symbol in symbols:
        # VASP writes names of its potentials here, as in Fe_pv or Fe/0a1b2c.
        check_element(re.split(r"[_/.]", symbol)[0], f"{symbol} of line 6", config)
    if len(lines) < 8 + n_atoms:
        raise ShcError(f"the POSCAR ends before its {n_atoms} positions", _POSCAR_HINT)
    start = 9 if lines[7].strip()[:1] in {"S", "s"} else 8
    for number, line in enumerate(lines[start : start + n_atoms], start=start + 1):
        _floats(line.split()[:3], 3, f"position in line {number}", _POSCAR_HINT)
    sites = pymatgen_poscar(text, config)
    check_lattice(sites.lattice)
    return sites


def read_extxyz(text: str, config: FeaturizeConfig) -> Sites:
    """Read an extended XYZ file with one frame that is periodic in three dimensions.

    Args:
        text: Content of the file.
        config: Gives ``max_atoms`` and ``allow_hydrogen``.

    Returns:
        All atoms of the cell; not checked for close pairs.

    Raises:
        ShcError: The file has no lattice, more than one frame, or a line cannot be read.
    """
    lines = text.splitlines()
    first = lines[0].strip() if lines else ""
    if not first.isdecimal() or len(lines) < 2:
        raise ShcError("not an XYZ file: the first line is no atom count", _XYZ_HINT)
    n_atoms = int(first)
    check_atom_count(n_atoms, config)
    if len(lines) < 2 + n_atoms:
        raise ShcError(f"the XYZ file ends before its {n_atoms} atoms", _XYZ_HINT)
    if any(line.strip() for line in lines[2 + n_atoms :]):
        raise ShcError("the XYZ file holds more than one frame or extra lines", "write one structure a file")
    header = _header(lines[1])
    if "lattice" not in header:
        raise ShcError("the XYZ file has no Lattice: a molecule, not a crystal", _XYZ_HINT)
    if not set(header.get("pbc", "T T T").split()) <= {"T", "True", "true", "1"}:
        raise ShcError("the crystal is not periodic in three dimensions (pbc)", "give a bulk crystal")
    lattice = np.array(_floats(header["lattice"].split(), 9, "Lattice", _XYZ_HINT)).reshape(3, 3)
    check_lattice(lattice)
    species_column, position_column, width = _columns(header.get("properties", "species:S:1:pos:R:3"))
    numbers, positions, labels = [], [], []
    for number, line in enumerate(lines[2 : 2 + n_atoms], start=3):
        fields = line.split()
        if len(fields) < width:
            raise ShcError(f"line {number} of the XYZ file has fewer than {width} columns", _XYZ_HINT)
        labels.append(f"{fields[species_column]} of line {number}")
        numbers.append(check_element(fields[species_column], labels[-1], config))
        where = f"position in line {number}"
        positions.append(_floats(fields[position_column : position_column + 3], 3, where, _XYZ_HINT))
    frac: NDArray[np.float64] = np.array(positions) @ np.linalg.inv(lattice)
    return Sites(lattice, frac % 1.0, np.array(numbers, dtype=np.int64), labels)


def _header(line: str) -> dict[str, str]:
    """Return the key=value pairs of an extended XYZ comment line, keys in lower case."""
    pairs = re.findall(r"""([\w-]+)\s*=\s*("[^"]*"|'[^']*'|\{[^}]*\}|\[[^\]]*\]|\S+)""", line)
    return {key.lower(): value.strip("\"'{}[]") for key, value in pairs}


def _columns(properties: str) -> tuple[int, int, int]:
    """Return the columns of the species and of the first coordinate, and the least number of columns."""
    parts = properties.split(":")
    starts: dict[str, int] = {}
    column = 0
    for name, kind, count in zip(parts[::3], parts[1::3], parts[2::3], strict=False):
        if not count.isdecimal():
            break
        starts[f"{name}:{kind}:{count}"] = column
        column += int(count)
    if "species:S:1" not in starts or "pos:R:3" not in starts:
        raise ShcError(f"the XYZ columns {properties!r} lack species:S:1 or pos:R:3", _XYZ_HINT)
    return starts["species:S:1"], starts["pos:R:3"], column


def _floats(fields: list[str], count: int, what: str, hint: str) -> list[float]:
    """Return ``count`` finite numbers, or say which item is no such list."""
    try:
        values = [float(field) for field in fields]
    except ValueError:
        values = []
    if len(values) != count or not all(math.isfinite(value) for value in values):
        raise ShcError(f"{what} is not {count} numbers: {' '.join(fields)[:60]!r}", hint)
    return values
