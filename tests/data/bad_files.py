"""Writes one broken structure file of every known kind.

Tests load it with ``runpy.run_path``: test files are no package.
"""

from __future__ import annotations

import gzip
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """\
data_NaCl
_chemical_formula_sum 'Na1 Cl1'
_cell_length_a 5.64
_cell_length_b 5.64
_cell_length_c 5.64
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'F m -3 m'
_symmetry_Int_Tables_number 225
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Na1 Na 0 0 0 1
Cl1 Cl 0.5 0.5 0.5 1
"""
"""A CIF that reads well; most broken files differ from it in one place."""

POSCAR = """\
CsCl
1.0
4.11 0 0
0 4.11 0
0 0 4.11
Cs Cl
1 1
Direct
0 0 0
0.5 0.5 0.5
"""
"""A POSCAR that reads well."""

EXTXYZ = """\
2
Lattice="4.11 0.0 0.0 0.0 4.11 0.0 0.0 0.0 4.11" Properties=species:S:1:pos:R:3 pbc="T T T"
Cs 0.0 0.0 0.0
Cl 2.055 2.055 2.055
"""
"""An extended XYZ file that reads well."""

_OPERATIONS = "loop_\n_symmetry_equiv_pos_as_xyz\n"


def _changed(*changes: tuple[str, str], text: str = GOOD) -> str:
    for old, new in changes:
        if old not in text:
            raise ValueError(old)
        text = text.replace(old, new)
    return text


def _operations(*triplets: str) -> str:
    symbol = "_symmetry_space_group_name_H-M 'F m -3 m'\n_symmetry_Int_Tables_number 225\n"
    return _changed((symbol, _OPERATIONS + "".join(f"'{triplet}'\n" for triplet in triplets)))


def _texts() -> dict[str, tuple[str | bytes, str]]:
    """Return content and a part of the expected error for each file name."""
    atoms = GOOD[GOOD.index("loop_") :]
    cell = GOOD[GOOD.index("_cell_length_a") : GOOD.index("_symmetry_space")]
    many = "".join(f"Na{n} Na 0.{n:05d} 0 0 1\n" for n in range(2000))
    return {
        # not a structure file at all
        "empty.cif": ("", "empty"),
        "blank.cif": (" \n\n\t\n", "empty"),
        "prose.cif": ("These are the minutes of the meeting.\n", "not a CIF"),
        "html.cif": ("<!DOCTYPE html>\n<html><body>404 not found</body></html>\n", "not a CIF"),
        "json.cif": ('{"lattice": [1, 2, 3]}\n', "not a CIF"),
        "rubbish.cif": (bytes(range(1, 256)) * 40, "not a CIF"),
        "binary.cif": (bytes(range(256)) * 40, "binary"),
        "utf16.cif": (GOOD.encode("utf-16"), "UTF-16"),
        "utf16_without_mark.cif": (GOOD.encode("utf-16-le"), "binary"),
        "zipped_wrongly.cif.gz": (GOOD, "gzip"),
        "cut_off.cif.gz": (gzip.compress(GOOD.encode())[:-30], "cut off"),
        "notes.pdf": (GOOD, "unknown type"),
        # cut off or missing parts
        "cut_in_row.cif": (GOOD[:-8], "not a readable CIF"),
        "cut_between_rows.cif": (GOOD[: GOOD.index("Cl1 Cl 0.5")], "formula"),
        "cut_before_sites.cif": (GOOD[: GOOD.index("loop_")], "no atoms"),
        "open_text_field.cif": (_changed(("'Na1 Cl1'", "\n;Na1 Cl1")), "not a readable CIF"),
        "no_atoms.cif": ("data_x\n" + cell, "no atoms"),
        "no_cell.cif": ("data_molecule\n" + atoms, "no unit cell"),
        "no_gamma.cif": (_changed(("_cell_angle_gamma 90\n", "")), "_cell_angle_gamma is missing"),
        "no_z.cif": (
            _changed(("_atom_site_fract_z\n", ""), ("0 0 0 1", "0 0 1"), ("5 0.5 1", "5 1")),
            "lack the coordinate",
        ),
        "no_element.cif": (
            _changed(("_atom_site_label\n_atom_site_type_symbol\n", ""), ("Na1 Na ", ""), ("Cl1 Cl ", "")),
            "no element",
        ),
        "cartesian_only.cif": (_changed(("_fract_", "_Cartn_")), "no fractional positions"),
        "unknown_coordinate.cif": (
            _changed(("Cl1 Cl 0.5", "Cl1 Cl ?")),
            "coordinate x of site Cl1 is missing",
        ),
        "missing_hydrogen.cif": (_changed(("'Na1 Cl1'", "'Na1 Cl1 H2'")), "formula"),
        # numbers
        "text_coordinate.cif": (_changed(("Cl1 Cl 0.5", "Cl1 Cl half")), "no number: 'half'"),
        "nan_coordinate.cif": (_changed(("Cl1 Cl 0.5", "Cl1 Cl nan")), "no number: 'nan'"),
        "infinite_coordinate.cif": (_changed(("Cl1 Cl 0.5", "Cl1 Cl 1e400")), "too large|no number"),
        "endless_number.cif": (_changed(("Cl1 Cl 0.5", f"Cl1 Cl '0.5{' ' * 10**6}x'")), "no number"),
        "endless_label.cif": (_changed(("Cl1 Cl 0.5", f"Cl{'1' * 10**5} X{'x' * 10**5} 0.5")), "unknown element"),
        "blank_lines.cif": (" \n" * 10**6 + "x", "not a CIF"),
        "text_cell.cif": (_changed(("length_b 5.64", "length_b long")), "no number: 'long'"),
        "unknown_cell.cif": (_changed(("length_b 5.64", "length_b ?")), "_cell_length_b is missing"),
        "infinite_cell.cif": (_changed(("length_b 5.64", "length_b 1e999")), "_cell_length_b|finite"),
        "zero_length.cif": (_changed(("_cell_length_c 5.64", "_cell_length_c 0")), "lengths"),
        "negative_length.cif": (_changed(("_cell_length_c 5.64", "_cell_length_c -5.64")), "lengths"),
        "huge_cell.cif": (_changed(("_cell_length_c 5.64", "_cell_length_c 5.64e300")), "lengths"),
        "flat_angles.cif": (_changed(("_gamma 90", "_gamma 180")), "angles"),
        "impossible_angles.cif": (
            _changed(("_gamma 90", "_gamma 170"), ("_beta 90", "_beta 20")),
            "span no volume",
        ),
        # sites
        "partial.cif": (_changed(("Cl 0.5 0.5 0.5 1", "Cl 0.5 0.5 0.5 0.5")), "occupancy 0.5"),
        "negative_occupancy.cif": (_changed(("Cl 0.5 0.5 0.5 1", "Cl 0.5 0.5 0.5 -1")), "occupancy -1"),
        "mixed_site.cif": (
            GOOD.replace("Na1 Na 0 0 0 1", "Na1 Na 0 0 0 0.5\nK1 K 0 0 0 0.5"),
            "occupancy 0.5",
        ),
        "mixed_symbol.cif": (_changed(("Na1 Na 0", "Na1 '0.8Na + 0.2K' 0")), "unknown element"),
        "duplicate.cif": (GOOD + "Na2 Na 0 0 0 1\n", "same place"),
        "listed_with_images.cif": (GOOD + "Na2 Na 0.5 0.5 0 1\n", "same place"),
        "too_close.cif": (GOOD + "Na2 Na 0.02 0 0 1\n", "from its own symmetry image|Angstrom apart"),
        "cell_in_nanometre.cif": (_changed(("5.64", "0.564")), "Angstrom apart|thinner"),
        "dummy_element.cif": (_changed(("Cl1 Cl", "X1 Xx")), "unknown element 'Xx'"),
        "element_119.cif": (_changed(("Cl1 Cl", "Uue1 Uue")), "unknown element 'Uue'"),
        "vacancy_label.cif": (
            _changed(("_atom_site_type_symbol\n", ""), ("Na1 Na", "Na1"), ("Cl1 Cl", "Vac1")),
            "unknown element 'Vac'",
        ),
        "hydrogen.cif": (_changed(("Cl1 Cl", "H1 H"), ("Na1 Cl1", "Na1 H1")), "hydrogen"),
        "deuterium.cif": (_changed(("Cl1 Cl", "D1 D"), ("Na1 Cl1", "Na1 D1")), "hydrogen (D)"),
        "tritium.cif": (_changed(("Cl1 Cl", "T1 T"), ("Na1 Cl1", "Na1 T1")), "hydrogen (T)"),
        "many_sites.cif": (_changed(("Na1 Na 0 0 0 1\n", many)), "more than 1000 atoms"),
        "many_images.cif": (
            _changed(("5.64", "56.4")) + "".join(f"Cl{n} Cl 0.{n}1 0.{n}2 0.{n}4 1\n" for n in range(1, 10)),
            "more than 1000 atoms",
        ),
        # symmetry
        "nonsense_operation.cif": (_operations("x,y,z", "x,y,banana"), "not readable"),
        "singular_operation.cif": (_operations("x,y,z", "x,x,z"), "no symmetry operation"),
        "open_group.cif": (_operations("x,y,z", "-y,x,z"), "do not form a group"),
        "wrong_setting.cif": (_operations("x,y,z", "-y,x-y,z", "-x+y,-x,z"), "do not fit the cell"),
        "unknown_group.cif": (
            _changed(("'F m -3 m'", "'Q 7 banana'"), ("_symmetry_Int_Tables_number 225\n", "")),
            "unknown space group",
        ),
        "group_number_231.cif": (
            _changed(("_symmetry_space_group_name_H-M 'F m -3 m'\n", ""), (" 225", " 231")),
            "unknown space group",
        ),
        "contradicting_group.cif": (_changed((" 225", " 194")), "number 225"),
        # other formats
        "molecule.xyz": ("2\nhydrogen chloride\nCl 0 0 0\nNa 1.27 0 0\n", "no Lattice"),
        "two_frames.xyz": (EXTXYZ + EXTXYZ, "more than one frame"),
        "short.xyz": (_changed(("2\nL", "3\nL"), text=EXTXYZ), "ends before"),
        "slab.extxyz": (_changed(("T T T", "T T F"), text=EXTXYZ), "not periodic"),
        "flat.extxyz": (_changed(("0.0 0.0 4.11", "0.0 0.0 0.0"), text=EXTXYZ), "no volume"),
        "nan.extxyz": (_changed(("Cl 2.055", "Cl nan"), text=EXTXYZ), "position in line 4"),
        "prose.xyz": ("nothing here\n", "not an XYZ file"),
        "short.vasp": (POSCAR[:-12], "ends before"),
        "vasp4.vasp": (_changed(("Cs Cl\n1 1\n", "1 1\n0 0 0\n"), text=POSCAR), "names no elements"),
        "left_handed.vasp": (_changed(("0 0 4.11", "0 0 -4.11"), text=POSCAR), "negative volume"),
        "flat.vasp": (_changed(("0 0 4.11", "0 4.11 0"), text=POSCAR), "no volume|not a readable POSCAR"),
        "hydrogen.vasp": (_changed(("Cs Cl\n", "Cs H\n"), text=POSCAR), "hydrogen"),
        "many.vasp": (_changed(("1 1\n", "1 100000000\n"), text=POSCAR), "more than 1000 atoms"),
        "text.vasp": (_changed(("0.5 0.5 0.5", "0.5 half 0.5"), text=POSCAR), "position in line 10"),
    }


def write_bad_inputs(folder: Path) -> dict[str, str]:
    """Write every kind of broken input into a folder.

    Args:
        folder: An existing folder.

    Returns:
        For each file name a regular expression that its error message has to match.
    """
    expected = {}
    for name, (content, error) in _texts().items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        expected[name] = error.replace("(", r"\(").replace(")", r"\)").replace(".", r"\.")
    (folder / "folder.cif").mkdir()
    expected["folder.cif"] = "is a folder"
    (folder / "dangling.cif").symlink_to(folder / "nowhere.cif")
    expected["dangling.cif"] = "link leads to"
    (folder / "loop.cif").symlink_to(folder / "loop.cif")
    expected["loop.cif"] = "cannot be read"
    os.mkfifo(folder / "pipe.cif")
    expected["pipe.cif"] = "no regular file"
    with (folder / "huge.cif").open("wb") as file:
        file.truncate(64 * 2**20 + 1)  # sparse: takes no space
    expected["huge.cif"] = "larger than 64 MB"
    (folder / "bomb.cif.gz").write_bytes(gzip.compress(b"#" * (64 * 2**20 + 1), compresslevel=1))
    expected["bomb.cif.gz"] = "larger than 64 MB"
    return expected
