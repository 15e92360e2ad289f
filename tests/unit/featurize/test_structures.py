"""Readers, symmetry expansion and sources on small files whose content is known."""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import os
import runpy
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import gemmi
import numpy as np
import pytest
import spglib
from hypothesis import given, settings
from hypothesis import strategies as st

from shc.featurize.config import FeaturizeConfig
from shc.featurize.errors import Failure, ShcError
from shc.featurize.formula import check_formula, formula_counts
from shc.featurize.operations import expand, parse_operations
from shc.featurize.sites import (
    Sites,
    check_distances,
    element_number,
    lattice_from_parameters,
    plane_spacings,
    wrap,
)
from shc.featurize.space_groups import operations_of_group, operations_of_hall
from shc.featurize.structures import (
    content_hash,
    is_structure_file,
    iter_paths,
    material_id,
    read_crystal,
    read_with_hash,
)

if TYPE_CHECKING:
    from shc.featurize.types import Crystal

TEXTS = runpy.run_path(str(Path(__file__).parents[2] / "data" / "bad_files.py"))
GOOD: str = TEXTS["GOOD"]
POSCAR: str = TEXTS["POSCAR"]
EXTXYZ: str = TEXTS["EXTXYZ"]
EXAMPLES = Path(__file__).parents[3] / "examples"
CONFIG = FeaturizeConfig()


def read_text(folder: Path, text: str | bytes, name: str = "x.cif", config: FeaturizeConfig = CONFIG) -> Crystal:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_crystal(path, config)


def changed(*changes: tuple[str, str], text: str = GOOD) -> str:
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


def space_group(crystal: Crystal) -> int:
    cell = (crystal.lattice, crystal.frac, crystal.atomic_number)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # spglib announces another way to report errors
        return int(spglib.get_symmetry_dataset(cell, symprec=0.01).number)


# --- CIF ---------------------------------------------------------------------------------------------------


def test_rock_salt(tmp_path: Path) -> None:
    crystal = read_text(tmp_path, GOOD, "NaCl.cif")
    assert crystal.material_id == "NaCl"
    assert crystal.source == str(tmp_path / "NaCl.cif")
    assert np.bincount(crystal.atomic_number).nonzero()[0].tolist() == [11, 17]
    assert len(crystal.frac) == 8
    np.testing.assert_allclose(crystal.lattice, 5.64 * np.eye(3), atol=1e-12)
    assert space_group(crystal) == 225


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", "\r"),
        "\ufeff" + GOOD,
        "# caf\u00e9, 25 \u00b0C\n" + GOOD,
        changed(("5.64", "5.640(3)"), ("0.5 0.5 0.5", "0.5000(12) 0.5(1) .5")),
        changed(("0.5 0.5 0.5", "0.5(3 0.5 0.5")),
        changed(("Na1 Na 0 0 0 1", "Na1 Na . . . ."), ("0.5 1", "0.5 ?")),
        changed(("Na1 Na", "Na1 Na1+"), ("Cl1 Cl", "Cl1 Cl-")),
        changed(("Na1 Na", "'Na 1' NA")),
        changed(("_atom_site_type_symbol\n", ""), ("Na1 Na", "NaM1"), ("Cl1 Cl", "CL1")),
        changed(("_atom_site_occupancy\n", ""), ("0 1\n", "0\n"), ("0.5 1\n", "0.5\n")),
        changed(("0.5 1\n", "0.5 0.9999\n")),
        changed(("'F m -3 m'", "Fm-3m"), ("_symmetry_Int_Tables_number 225\n", "")),
        changed(("_symmetry_space_group_name_H-M 'F m -3 m'\n", "")),
        changed(("_symmetry_space_group_name_H-M 'F m -3 m'", "_symmetry_space_group_name_Hall '-F 4 2 3'")),
        changed(("_symmetry_space_group_name_H-M", "_space_group_name_H-M_alt")),
        changed(("_cell_length_a", "_CELL_LENGTH_A")),
        changed(("'Na1 Cl1'", "'(Na1 Cl1)x'")),
        changed(("'Na1 Cl1'", "?")),
        changed(("'Na1 Cl1'", "'Na1 Cl1")),
        "data_empty\n_a 1\n" + GOOD,
        "data_text\n_publ_section_title 'A magnetic moment'\n" + GOOD,
        GOOD + "X1 Xx 0.25 0.25 0.25 0\n",
    ],
)
def test_spellings_of_the_same_crystal(text: str, tmp_path: Path) -> None:
    crystal = read_text(tmp_path, text)
    assert sorted(crystal.atomic_number.tolist()) == [11] * 4 + [17] * 4
    assert space_group(crystal) == 225
    np.testing.assert_allclose(np.linalg.det(crystal.lattice), 5.64**3)


def test_latin_1_comment_is_harmless(tmp_path: Path) -> None:
    assert len(read_text(tmp_path, b"# caf\xe9\n" + GOOD.encode()).frac) == 8


@pytest.mark.parametrize("missing", ["symmetry", "operation"])
def test_without_symmetry_the_sites_are_the_cell(missing: str, tmp_path: Path) -> None:
    symbol = "_symmetry_space_group_name_H-M 'F m -3 m'\n_symmetry_Int_Tables_number 225\n"
    text = changed((symbol, "" if missing == "symmetry" else "_symmetry_equiv_pos_as_xyz x,y,z\n"))
    assert read_text(tmp_path, text).atomic_number.tolist() == [11, 17]


@pytest.mark.parametrize("digits", [2, 3, 4, 5, 8])
def test_rounded_thirds_become_special_positions(digits: int, tmp_path: Path) -> None:
    # Mo and S of MoS2 lie on threefold axes; 0.33 of 1/3 must not triple them.
    text = (EXAMPLES / "MoS2.cif").read_text()
    text = text.replace("0.33333", f"{1 / 3:.{digits}f}").replace("0.66667", f"{2 / 3:.{digits}f}")
    crystal = read_text(tmp_path, text)
    assert np.bincount(crystal.atomic_number)[[16, 42]].tolist() == [4, 2]
    thirds = crystal.frac[:, :2] * 3
    np.testing.assert_allclose(thirds, np.rint(thirds), atol=1e-9)


def test_site_a_little_off_its_axis_is_refused(tmp_path: Path) -> None:
    text = (EXAMPLES / "MoS2.cif").read_text().replace("S1 S 0.33333", "S1 S 0.36")
    with pytest.raises(ShcError, match="own symmetry image"):
        read_text(tmp_path, text)


@pytest.mark.parametrize(("position", "origin"), [("0 0 0", 1), ("0.125 0.125 0.125", 2)])
def test_formula_units_decide_the_origin(position: str, origin: int, tmp_path: Path) -> None:
    text = changed(
        ("'Na1 Cl1'", "Si\n_cell_formula_units_Z 8"),
        ("F m -3 m", "F d -3 m"),
        (" 225", " 227"),
        ("Na1 Na 0 0 0 1\n", ""),
        ("Cl1 Cl 0.5 0.5 0.5", f"Si1 Si {position}"),
    )
    crystal = read_text(tmp_path, text)
    assert len(crystal.frac) == 8
    assert space_group(crystal) == 227
    named = read_text(tmp_path, text.replace("F d -3 m", f"F d -3 m :{origin}"), "named.cif")
    np.testing.assert_allclose(named.frac, crystal.frac)


def test_open_origin_goes_to_the_judge(tmp_path: Path) -> None:
    text = changed(
        ("_chemical_formula_sum 'Na1 Cl1'\n", ""),
        ("F m -3 m", "F d -3 m"),
        (" 225", " 227"),
        ("Na1 Na 0 0 0 1\n", ""),
        ("Cl1 Cl 0.5 0.5 0.5", "Si1 Si 0.125 0.125 0.125"),
    )
    from pymatgen.core import Structure

    crystal = read_text(tmp_path, text)
    with pytest.warns(UserWarning, match="Spacegroup"):
        expected = Structure.from_file(tmp_path / "x.cif")
    assert len(crystal.frac) == len(expected)


def test_rhombohedral_and_hexagonal_axes(tmp_path: Path) -> None:
    hexagonal = (EXAMPLES / "Bi.cif").read_text().replace("R -3 m :H", "R -3 m")
    # The same crystal in its primitive cell: a_r = sqrt(a^2 / 3 + c^2 / 9).
    length = math.sqrt(4.546**2 / 3 + 11.862**2 / 9)
    angle = 2 * math.degrees(math.asin(4.546 / (2 * length)))
    rhombohedral = hexagonal.replace("units_Z 6", "units_Z 2").replace("0 0 0.2339", "0.2339 0.2339 0.2339")
    for name, value in zip("abc", ("4.546", "4.546", "11.862"), strict=True):
        rhombohedral = rhombohedral.replace(f"_cell_length_{name} {value}", f"_cell_length_{name} {length:.8f}")
    for name, value in zip(("alpha", "beta", "gamma"), ("90", "90", "120"), strict=True):
        rhombohedral = rhombohedral.replace(f"angle_{name} {value}", f"angle_{name} {angle:.8f}")
    large, small = read_text(tmp_path, hexagonal, "h.cif"), read_text(tmp_path, rhombohedral, "r.cif")
    assert (len(large.frac), len(small.frac)) == (6, 2)
    assert space_group(large) == space_group(small) == 166
    np.testing.assert_allclose(np.linalg.det(large.lattice), 3 * np.linalg.det(small.lattice), rtol=1e-6)


def test_pymatgen_reads_what_gemmi_cannot(tmp_path: Path) -> None:
    doubled = changed(("_cell_length_a 5.64\n", "_cell_length_a 5.64\n_cell_length_a 5.64\n"))
    with pytest.raises(RuntimeError, match="duplicate tag"):
        gemmi.cif.read_string(doubled)
    assert space_group(read_text(tmp_path, doubled)) == 225


def test_magnetic_cif_gives_the_crystal_without_moments(tmp_path: Path) -> None:
    text = changed(
        ("_symmetry_space_group_name_H-M 'F m -3 m'\n_symmetry_Int_Tables_number 225\n", ""),
        ("loop_\n_atom", "loop_\n_space_group_symop_magn_operation.xyz\nx,y,z,+1\nloop_\n_atom"),
        (
            "0.5 0.5 0.5 1\n",
            (
                "0.5 0.5 0.5 1\nloop_\n_atom_site_moment_label\n_atom_site_moment_crystalaxis_x\n"
                "_atom_site_moment_crystalaxis_y\n_atom_site_moment_crystalaxis_z\nNa1 0 0 1\n"
            ),
        ),
    )
    assert sorted(read_text(tmp_path, text, "x.mcif").atomic_number.tolist()) == [11, 17]


@pytest.mark.parametrize("symbol", ["H", "D", "T"])
def test_hydrogen_only_if_allowed(symbol: str, tmp_path: Path) -> None:
    text = changed(("Cl1 Cl", f"{symbol}1 {symbol}"), ("'Na1 Cl1'", f"'Na1 {symbol}1'"))
    with pytest.raises(ShcError) as caught:
        read_text(tmp_path, text)
    assert "--allow-hydrogen" in caught.value.hint
    crystal = read_text(tmp_path, text, config=FeaturizeConfig(allow_hydrogen=True))
    assert sorted(crystal.atomic_number.tolist()) == [1] * 4 + [11] * 4


def test_atom_limit_is_exact(tmp_path: Path) -> None:
    assert len(read_text(tmp_path, GOOD, config=FeaturizeConfig(max_atoms=8)).frac) == 8
    with pytest.raises(ShcError, match="more than 7 atoms"):
        read_text(tmp_path, GOOD, config=FeaturizeConfig(max_atoms=7))


def test_ordinary_files_do_not_import_pymatgen(tmp_path: Path) -> None:
    import subprocess

    (tmp_path / "a.cif").write_text(GOOD)
    (tmp_path / "a.xyz").write_text(EXTXYZ)
    code = (
        "import sys; from pathlib import Path; from shc.featurize.config import FeaturizeConfig;"
        "from shc.featurize.structures import read_crystal;"
        "[read_crystal(Path(p), FeaturizeConfig()) for p in sys.argv[1:]];"
        "assert 'pymatgen' not in sys.modules and 'scipy' not in sys.modules"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.cif"), str(tmp_path / "a.xyz")]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0


# --- POSCAR and extended XYZ -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        POSCAR,
        changed(("Direct\n0 0 0\n0.5 0.5 0.5", "Cartesian\n0 0 0\n2.055 2.055 2.055"), text=POSCAR),
        changed(("1.0\n", "-69.426531\n"), text=POSCAR),
        changed(("Cs Cl", "Cs_sv Cl"), text=POSCAR),
        changed(
            ("Direct\n0 0 0\n0.5 0.5 0.5", "Selective dynamics\nDirect\n0 0 0 T T F\n0.5 0.5 0.5 F F F"),
            text=POSCAR,
        ),
    ],
)
def test_poscar(text: str, tmp_path: Path) -> None:
    crystal = read_text(tmp_path, text, "CsCl.vasp")
    assert crystal.atomic_number.tolist() == [55, 17]
    np.testing.assert_allclose(crystal.frac, np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]), atol=1e-9)
    np.testing.assert_allclose(crystal.lattice, 4.11 * np.eye(3), atol=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        EXTXYZ,
        EXTXYZ.replace(' pbc="T T T"', ""),
        EXTXYZ.replace(" Properties=species:S:1:pos:R:3", ""),
        EXTXYZ.replace("Lattice", "energy=-3.2 comment='a = b' lattice").replace("2.055\n", "2.055\n\n"),
        (
            '2\nProperties=forces:R:3:species:S:1:pos:R:3 Lattice="4.11 0 0 0 4.11 0 0 0 4.11"\n'
            "0 0 0.1 Cs 0 0 0\n0 0 -0.1 Cl 2.055 2.055 -2.055\n"
        ),
    ],
)
def test_extended_xyz(text: str, tmp_path: Path) -> None:
    crystal = read_text(tmp_path, text, "CsCl.extxyz")
    assert crystal.atomic_number.tolist() == [55, 17]
    np.testing.assert_allclose(crystal.frac, np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]), atol=1e-9)


def test_formats_agree_with_ase(tmp_path: Path) -> None:
    import ase.io

    source = read_crystal(EXAMPLES / "WTe2.cif", CONFIG)
    atoms = ase.Atoms(numbers=source.atomic_number, cell=source.lattice, scaled_positions=source.frac, pbc=True)
    for name, kind in (("a.extxyz", "extxyz"), ("POSCAR", "vasp"), ("a.cif", "cif")):
        ase.io.write(tmp_path / name, atoms, format=kind)
        crystal = read_crystal(tmp_path / name, CONFIG)
        assert crystal.atomic_number.tolist() == source.atomic_number.tolist()
        delta = crystal.frac - source.frac
        np.testing.assert_allclose(delta, np.rint(delta), atol=1e-6)


# --- names, hashes, compression --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("runs/a.b.cif", "a.b"),
        ("runs/Pt.CIF", "Pt"),
        ("runs/Pt.cif.gz", "Pt"),
        ("runs/mp-12/POSCAR", "mp-12"),
        ("runs/mp-12/CONTCAR.gz", "mp-12"),
        ("runs/mp-12/POSCAR.vasp", "mp-12"),
        ("runs/POSCAR_Pt", "POSCAR_Pt"),
        ("runs/Pt.extxyz", "Pt"),
    ],
)
def test_material_id(name: str, expected: str) -> None:
    assert material_id(Path(name)) == expected
    assert is_structure_file(Path(name).name)


def test_hash_is_that_of_the_file(tmp_path: Path) -> None:
    data = gzip.compress(GOOD.encode())
    path = tmp_path / "NaCl.cif.gz"
    path.write_bytes(data)
    crystal, digest = read_with_hash(path, CONFIG)
    assert crystal.material_id == "NaCl"
    assert digest == content_hash(path) == hashlib.sha256(data).hexdigest()


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "x.cif").write_text(GOOD)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ShcError, match=r"x\.cif: permission denied"):
        read_crystal(tmp_path / "x.cif", CONFIG)


# --- sources ---------------------------------------------------------------------------------------------


def names(sources: list[str], stdin: str = "") -> list[str]:
    found = iter_paths(sources, io.StringIO(stdin))
    return [f"! {item.path}" if isinstance(item, Failure) else item.name for item in found]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (
        "b.cif",
        "a.cif",
        "c.txt",
        "sub/d.vasp",
        "sub/POSCAR",
        ".hidden/e.cif",
        ".f.cif",
        "empty/readme.md",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_folder_is_sorted_and_searched_below(tree: Path) -> None:
    assert names([str(tree)]) == ["a.cif", "b.cif", "POSCAR", "d.vasp"]


def test_folder_that_contains_itself_ends(tree: Path) -> None:
    (tree / "sub" / "loop").symlink_to(tree)
    assert names([str(tree)]) == ["a.cif", "b.cif", "POSCAR", "d.vasp"]


def test_files_globs_and_order_are_kept(tree: Path) -> None:
    assert names(["b.cif", "*.cif", "sub"]) == ["b.cif", "a.cif", "b.cif", "POSCAR", "d.vasp"]
    assert names([f"{tree}/**/*.vasp"]) == ["d.vasp"]
    assert names(["s?b"]) == ["POSCAR", "d.vasp"]


def test_what_is_missing_or_empty_is_a_failure(tree: Path) -> None:  # noqa: ARG001 - sets the working folder
    assert names(["no.cif", "a.cif", "*.xyz", "empty", "", "nul\0.cif"]) == [
        "! no.cif",
        "a.cif",
        "! *.xyz",
        "! empty",
        "! ",
        "! nul\0.cif",
    ]
    failure = next(iter_paths(["no.cif"]))
    assert isinstance(failure, Failure)
    assert failure.stage == "read"
    assert failure.hint


def test_file_name_with_brackets_is_no_pattern(tree: Path) -> None:
    (tree / "Pt[1].cif").touch()
    assert names(["Pt[1].cif"]) == ["Pt[1].cif"]


def test_list_file_and_stdin(tree: Path) -> None:
    (tree / "sub" / "list.lst").write_text("# comment\n\nb.cif\nd.vasp\nmissing.cif\nsub\n", encoding="utf-8-sig")
    expected = ["b.cif", "d.vasp", "! missing.cif", "POSCAR", "d.vasp"]
    assert names(["sub/list.lst"]) == expected
    assert names(["-"], "b.cif\nsub/d.vasp\nmissing.cif\n sub \n") == expected


def test_stdin_is_streamed() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as lines, os.fdopen(writing, "w") as feed:
        feed.write("no.cif\n" * 3)
        feed.flush()
        # The pipe is still open: whoever waited for its end would never return.
        found = iter_paths(["-"], lines)
        assert [next(found) for _ in range(3)] == [next(iter_paths(["no.cif"]))] * 3


# --- parts -----------------------------------------------------------------------------------------------


@given(
    lengths=st.lists(st.floats(1, 50), min_size=3, max_size=3),
    angles=st.lists(st.floats(20, 160), min_size=3, max_size=3),
)
def test_lattice_has_the_given_parameters(lengths: list[float], angles: list[float]) -> None:
    try:
        lattice = lattice_from_parameters(lengths, angles)
    except ShcError:
        cosines = [math.cos(math.radians(angle)) for angle in angles]
        assert 1 - sum(c * c for c in cosines) + 2 * math.prod(cosines) < 1e-7
        return
    assert np.linalg.det(lattice) > 0
    np.testing.assert_allclose(np.linalg.norm(lattice, axis=1), lengths, rtol=1e-9)
    unit = lattice / np.linalg.norm(lattice, axis=1)[:, None]
    found = [unit[1] @ unit[2], unit[0] @ unit[2], unit[0] @ unit[1]]
    np.testing.assert_allclose(found, np.cos(np.radians(angles)), atol=1e-6)


@given(st.lists(st.floats(-9, 9, allow_subnormal=False), min_size=9, max_size=9))
def test_plane_spacings_are_inverse_reciprocal_lengths(numbers: list[float]) -> None:
    lattice = np.array(numbers).reshape(3, 3)
    if abs(np.linalg.det(lattice)) < 1:
        return
    expected = 1 / np.linalg.norm(np.linalg.inv(lattice), axis=0)
    np.testing.assert_allclose(plane_spacings(lattice), expected, rtol=1e-6)


@pytest.mark.parametrize("number", range(1, 231))
def test_expansion_of_every_space_group(number: int) -> None:
    group = gemmi.find_spacegroup_by_number(number)
    triplets = operations_of_group(group.xhm(), number, 90.0, 120.0)
    assert len(triplets) == 1
    operations = parse_operations(triplets[0])
    n_ops = len(operations.rotation)
    assert n_ops == len(list(group.operations()))
    # A metric every operation keeps: the average over the group.
    metric = np.einsum("nji,jk,nkl->il", operations.rotation, np.diag([6e3, 7e3, 8e3]), operations.rotation)
    lattice = np.linalg.cholesky(metric / n_ops).T.copy().T
    frac = np.array([[0.137, 0.059, 0.283], [0.0, 0.0, 0.0]])
    config = FeaturizeConfig(max_atoms=500)
    atoms, site = expand(operations, lattice, frac, ["general", "origin"], config)
    assert (site == 0).sum() == n_ops
    assert n_ops % (site == 1).sum() == 0
    # Every operation maps the set of atoms onto itself.
    for rotation, translation in zip(operations.rotation[:8], operations.translation[:8], strict=True):
        delta = (atoms @ rotation.T + translation)[:, None] - atoms[None]
        distance = np.abs(delta - np.rint(delta)).max(axis=2)
        assert (distance.min(axis=1) < 1e-9).all()
        assert (site[distance.argmin(axis=1)] == site).all()


def test_product_table_is_composition() -> None:
    operations = parse_operations(operations_of_hall('-R 3 2"'))
    for a in range(0, len(operations.product), 5):
        for b in range(0, len(operations.product), 7):
            index = operations.product[a, b]
            rotation = operations.rotation[a] @ operations.rotation[b]
            shift = operations.rotation[a] @ operations.translation[b] + operations.translation[a]
            np.testing.assert_array_equal(operations.rotation[index], rotation)
            delta = shift - operations.translation[index]
            np.testing.assert_allclose(delta, np.rint(delta), atol=1e-12)


def test_decimal_translations_and_repeated_operations() -> None:
    exact = parse_operations(("x,y,z", "-y,x-y,z+1/3", "-x+y,-x,z+2/3"))
    decimal = parse_operations(("x,y,z", "x,y,z", "-y,x-y,z+0.33333", "-x+y,-x,z+0.66667"))
    np.testing.assert_array_equal(exact.translation, decimal.translation)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    shear=st.lists(st.integers(-4, 4), min_size=3, max_size=3),
    distance=st.sampled_from([0.05, 0.2, 0.29, 0.31, 0.5]),
)
def test_close_pairs_are_found_in_skewed_cells(seed: int, shear: list[int], distance: float) -> None:
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=3)
    offset = distance * direction / np.linalg.norm(direction)
    skew = np.array([[1, 0, 0], [shear[0], 1, 0], [shear[1], shear[2], 1]], dtype=float)
    lattice = skew @ np.diag([3.0, 3.5, 4.0])
    cartesian = np.array([np.zeros(3), offset]) + rng.normal(size=3)
    frac = wrap(cartesian @ np.linalg.inv(lattice))
    sites = Sites(lattice, frac, np.array([78, 78]), ["A", "B"])
    if distance < 0.3:
        with pytest.raises(ShcError, match=r"atoms [AB] and [AB]"):
            check_distances(sites)
    else:
        check_distances(sites)


@pytest.mark.parametrize("n", [5, 9])
def test_close_pairs_in_large_and_small_cells(n: int) -> None:
    # 125 atoms are compared pair by pair, 729 by a tree.
    grid = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), axis=-1).reshape(-1, 3) / n
    labels = [f"Pt{row}" for row in range(len(grid))]
    sites = Sites(2.5 * n * np.eye(3), grid, np.full(len(grid), 78), labels)
    check_distances(sites)
    near = grid.copy()
    near[5] = wrap(near[0] - 0.2 / (2.5 * n) / math.sqrt(3))  # across the cell's corner
    with pytest.raises(ShcError, match=r"Pt[05] and Pt[05] are 0\.200 Angstrom"):
        check_distances(sites._replace(frac=near))


def test_elements() -> None:
    assert [element_number(s) for s in ("H", "D", "T", "Fe", "FE", "Og", "La")] == [1, 1, 1, 26, 26, 118, 57]
    assert [element_number(s) for s in ("", "X", "Xx", "Uue", "Va", "Vac", "1", "F\u00e9")] == [0] * 8


def test_formula() -> None:
    assert formula_counts("Na1 Cl1") == {11: 1, 17: 1}
    assert formula_counts("Bi2Te2.5 Se.5") == {83: 2, 52: 2.5, 34: 0.5}
    assert formula_counts("C H4 D2") == {6: 1, 1: 6}
    for unknown in ("?", "", "(Na Cl)2", "Na(1-x) Cl", "Xx2", "Na+ Cl-"):
        assert formula_counts(unknown) == {}
    check_formula("Bi2 Te3", np.array([83] * 4 + [52] * 6))
    with pytest.raises(ShcError, match="cell holds Te6 Bi2"):
        check_formula("Bi2 Te3", np.array([83] * 2 + [52] * 6))
    with pytest.raises(ShcError, match="formula"):
        check_formula("Bi2 Te3", np.array([83] * 4 + [52] * 6), units=3.0)


# --- examples --------------------------------------------------------------------------------------------

SPACE_GROUPS = {
    **dict.fromkeys(("Pt", "Pd", "Au", "Ag", "Cu", "Ir", "NaCl"), 225),
    **dict.fromkeys(("W", "Ta", "Mo"), 229),
    **dict.fromkeys(("W_beta", "Ta3Sb"), 223),
    **dict.fromkeys(("Bi", "Bi2Te3", "Bi2Se3", "Sb2Te3"), 166),
    "TaAs": 109,
    "WTe2": 31,
    "MoS2": 194,
    "PtTe2": 164,
    "RhSi": 198,
    "Si": 227,
    "GaAs": 216,
    "SrTiO3": 221,
}
DENSITIES = {
    "Pt": 21.5,
    "Au": 19.3,
    "W": 19.3,
    "Si": 2.33,
    "NaCl": 2.17,
    "Bi2Te3": 7.86,
    "Cu": 8.96,
    "TaAs": 12.4,
}


def test_every_example_is_named() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.cif")} == set(SPACE_GROUPS)


@pytest.mark.parametrize("name", sorted(SPACE_GROUPS))
def test_example(name: str) -> None:
    crystal = read_crystal(EXAMPLES / f"{name}.cif", CONFIG)
    assert space_group(crystal) == SPACE_GROUPS[name]
    shifts = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3), axis=-1).reshape(-1, 3)
    delta = crystal.frac[:, None, None] - crystal.frac[None, :, None] + shifts
    distance = np.linalg.norm(delta @ crystal.lattice, axis=-1)
    assert 1.9 < distance[distance > 1e-6].min() < 3.2
    if name in DENSITIES:
        masses = np.array([gemmi.Element(int(number)).weight for number in crystal.atomic_number])
        density = masses.sum() / np.linalg.det(crystal.lattice) * 1.66053907
        assert density == pytest.approx(DENSITIES[name], rel=0.01)
