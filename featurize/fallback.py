"""pymatgen as the slow reader and judge; imported only when a file needs it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from shc.featurize.errors import ShcError
from shc.featurize.sites import Sites, check_atom_count, check_element

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymatgen.core import Structure

    from shc.featurize.config import FeaturizeConfig


_OPERATION_TAGS = ("_symmetry_equiv_pos_as_xyz", "_space_group_symop_operation_xyz")
_MAX_IMAGES = 20_000
"""pymatgen compares every image with every other: beyond this number it takes minutes."""


def pymatgen_cif(text: str, doubt: str, hint: str, config: FeaturizeConfig) -> Sites:
    """Read a CIF with pymatgen's tolerant parser: its first structure.

    Args:
        text: Content of the file.
        doubt: Message of the error raised if pymatgen finds no structure either.
        hint: Hint of that error.
        config: Gives ``max_atoms`` and ``allow_hydrogen``.

    Raises:
        ShcError: There is no structure, or it is disordered or otherwise refused.
    """
    from pymatgen.io.cif import CifParser  # noqa: PLC0415 - takes a second, rarely needed

    def parse() -> Structure:
        parser = CifParser.from_str(text)
        for block in parser.as_dict().values():
            n_ops = max(len(block.get(tag, ())) for tag in _OPERATION_TAGS) or 192
            if len(block.get("_atom_site_label", ())) * n_ops > _MAX_IMAGES:
                raise ValueError
        return parser.parse_structures(primitive=False)[0]

    return _sites(_quietly(parse, doubt, hint), config)


def pymatgen_poscar(text: str, config: FeaturizeConfig) -> Sites:
    """Read a POSCAR with pymatgen; the caller has checked symbols and counts.

    Raises:
        ShcError: pymatgen cannot read the file, or a site is refused.
    """
    from pymatgen.io.vasp import Poscar  # noqa: PLC0415 - takes a second, needed for POSCAR only

    def parse() -> Structure:
        return Poscar.from_str(text, read_velocities=False).structure

    return _sites(_quietly(parse, "not a readable POSCAR", "check it against the VASP 5 format"), config)


def _quietly(parse: Callable[[], Structure], message: str, hint: str) -> Structure:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return parse()
        # A tolerant parser fails in any way a broken file leads it to; every way means the same here.
        except Exception as error:
            raise ShcError(message, hint) from error


def _sites(structure: Structure, config: FeaturizeConfig) -> Sites:
    check_atom_count(len(structure), config)
    numbers = []
    for site in structure:
        if not site.is_ordered:
            raise ShcError(
                f"site {site.label} is disordered ({site.species_string})",
                "disordered crystals are not supported: give an ordered model, every site at occupancy 1",
            )
        numbers.append(check_element(site.specie.symbol, site.label, config))
    return Sites(
        np.array(structure.lattice.matrix, dtype=np.float64),
        np.array(structure.frac_coords, dtype=np.float64) % 1.0,
        np.array(numbers, dtype=np.int64),
        [site.label for site in structure],
    )
