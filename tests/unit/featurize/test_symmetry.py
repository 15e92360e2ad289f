from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pytest

from shc.featurize.config import FeaturizeConfig
from shc.featurize.errors import ShcError
from shc.featurize.symmetry import (
    PrimitiveCrystal,
    _reduce_with_spglib,
    format_report,
    reduce_crystal,
    symmetry_report,
)
from shc.featurize.types import Crystal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

CONFIG = FeaturizeConfig()
F_CENTRING = [(0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)]
I_CENTRING = [(0, 0, 0), (0.5, 0.5, 0.5)]


def crystal(
    name: str,
    lattice: NDArray[np.float64],
    sites: Sequence[tuple[int, Sequence[Sequence[float]]]],
    centring: Sequence[Sequence[float]] = ((0, 0, 0),),
) -> Crystal:
    frac = [np.add(p, c) for _, positions in sites for p in positions for c in centring]
    numbers = [z for z, positions in sites for _ in positions for _ in centring]
    return Crystal(name, lattice, np.array(frac, dtype=np.float64) % 1.0, np.array(numbers, dtype=np.int64))


def hexagonal(a: float, c: float) -> NDArray[np.float64]:
    return np.array([[a, 0.0, 0.0], [-a / 2.0, a * np.sqrt(0.75), 0.0], [0.0, 0.0, c]])


NACL = crystal("NaCl", 5.64 * np.eye(3), [(11, [(0, 0, 0)]), (17, [(0.5, 0.5, 0.5)])], F_CENTRING)
DIAMOND = crystal("C", 3.567 * np.eye(3), [(6, [(0, 0, 0), (0.25, 0.25, 0.25)])], F_CENTRING)
TANTALUM = crystal("Ta", 3.3 * np.eye(3), [(73, [(0, 0, 0)])], I_CENTRING)
A15 = crystal(
    "Ta3Sb",
    5.26 * np.eye(3),
    [
        (51, [(0, 0, 0), (0.5, 0.5, 0.5)]),
        (
            73,
            [(0.25, 0, 0.5), (0.75, 0, 0.5), (0.5, 0.25, 0), (0.5, 0.75, 0), (0, 0.5, 0.25), (0, 0.5, 0.75)],
        ),
    ],
)
WURTZITE = crystal(
    "ZnO",
    hexagonal(3.25, 5.21),
    [(30, [(1 / 3, 2 / 3, 0), (2 / 3, 1 / 3, 0.5)]), (8, [(1 / 3, 2 / 3, 0.382), (2 / 3, 1 / 3, 0.882)])],
)
BI2TE3 = crystal(
    "Bi2Te3",
    hexagonal(4.386, 30.497),
    [(83, [(0, 0, 0.4), (0, 0, 0.6)]), (52, [(0, 0, 0), (0, 0, 0.2095), (0, 0, 0.7905)])],
    [(0, 0, 0), (2 / 3, 1 / 3, 1 / 3), (1 / 3, 2 / 3, 2 / 3)],
)
QUARTZ_LIKE = crystal(
    "Te", hexagonal(4.457, 5.929), [(52, [(0.269, 0, 1 / 3), (0, 0.269, 2 / 3), (-0.269, -0.269, 0)])]
)
KNOWN = [
    (NACL, 225, 2, 48),
    (DIAMOND, 227, 2, 48),
    (TANTALUM, 229, 1, 48),
    (A15, 223, 8, 48),
    (WURTZITE, 186, 4, 12),
    (BI2TE3, 166, 5, 12),
    (QUARTZ_LIKE, 152, 3, 6),
]


def check_operations(reduced: PrimitiveCrystal) -> None:
    """Every operation maps the crystal on itself, and orbits are what they reach."""
    n = len(reduced.frac)
    reached = np.zeros((n, n), dtype=bool)
    for rotation, translation in zip(reduced.rotations, reduced.translations, strict=True):
        off = (reduced.frac @ rotation.T + translation)[:, None, :] - reduced.frac[None, :, :]
        off -= np.rint(off)
        distance = np.linalg.norm(off @ reduced.lattice, axis=2)
        assert distance.min(axis=1).max() < 1.5 * CONFIG.symprec
        image = distance.argmin(axis=1)
        np.testing.assert_array_equal(reduced.atomic_number[image], reduced.atomic_number)
        reached[np.arange(n), image] = True
    np.testing.assert_array_equal(reached, reduced.orbit[:, None] == reduced.orbit[None, :])
    assert (np.diff(reduced.orbit.astype(int)) >= 0).all()
    assert (np.diff(reduced.atomic_number) >= 0).all()


@pytest.mark.parametrize(("known", "number", "n_atoms", "n_ops"), KNOWN, ids=[k[0].material_id for k in KNOWN])
def test_known_crystals(known: Crystal, number: int, n_atoms: int, n_ops: int) -> None:
    reduced = reduce_crystal(known, CONFIG)
    assert not reduced.judged_by_spglib
    assert reduced.space_group_number == number
    assert len(reduced.frac) == n_atoms
    assert len(reduced.rotations) == n_ops
    volume = abs(np.linalg.det(known.lattice)) * n_atoms / len(known.frac)
    assert np.linalg.det(reduced.lattice) == pytest.approx(volume)
    check_operations(reduced)


@pytest.mark.parametrize("known", [k[0] for k in KNOWN], ids=[k[0].material_id for k in KNOWN])
def test_fast_path_equals_the_judge(known: Crystal) -> None:
    fast, judge = reduce_crystal(known, CONFIG), _reduce_with_spglib(known, CONFIG)
    assert judge.judged_by_spglib
    assert judge.space_group_number == fast.space_group_number
    assert judge.rotations.shape == fast.rotations.shape
    np.testing.assert_array_equal(judge.atomic_number, fast.atomic_number)
    np.testing.assert_array_equal(judge.orbit, fast.orbit)
    lengths = [np.linalg.norm(r.lattice, axis=1) for r in (judge, fast)]
    np.testing.assert_allclose(lengths[0], lengths[1], atol=1e-3)
    assert judge.orbit.dtype == fast.orbit.dtype == np.uint16
    check_operations(judge)


def test_supercell_in_another_basis_gives_the_same() -> None:
    cells = np.array(list(product(range(2), range(3), range(2))))
    frac = (A15.frac[:, None, :] + cells[None, :, :]).reshape(-1, 3) / np.array([2, 3, 2])
    change = np.array([[1, 2, 0], [0, 1, 0], [-1, 3, 1]])
    lattice = change @ (np.array([[2.0], [3.0], [2.0]]) * A15.lattice)
    order = np.random.default_rng(0).permutation(len(frac))
    big = Crystal(
        "big", lattice, (frac @ np.linalg.inv(change) + 0.123)[order], np.repeat(A15.atomic_number, 12)[order]
    )
    reduced = reduce_crystal(big, CONFIG)
    assert (reduced.space_group_number, len(reduced.frac)) == (223, 8)
    assert reduced.orbit.tolist() == [0, 0, 1, 1, 1, 1, 1, 1]
    check_operations(reduced)


@pytest.mark.parametrize(("shift", "judged"), [(1e-5, False), (0.004, True), (0.02, True), (0.1, False)])
def test_spglib_decides_near_the_tolerance(shift: float, judged: bool) -> None:
    frac = np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5 + shift / 4.0]])
    moved = Crystal("CsCl", 4.0 * np.eye(3), frac, np.array([55, 17]))
    reduced = reduce_crystal(moved, CONFIG)
    assert reduced.judged_by_spglib is judged
    assert reduced.space_group_number == (221 if shift < 0.01 else 99)
    check_operations(reduced)


def test_nearly_cubic_lattice_is_left_to_spglib() -> None:
    stretched = Crystal("Po", np.diag([3.36, 3.36, 3.368]), np.zeros((1, 3)), np.array([84]))
    assert reduce_crystal(stretched, CONFIG).judged_by_spglib
    tetragonal = Crystal("Po", np.diag([3.36, 3.36, 3.46]), np.zeros((1, 3)), np.array([84]))
    reduced = reduce_crystal(tetragonal, CONFIG)
    assert (reduced.space_group_number, reduced.judged_by_spglib) == (123, False)


def test_coinciding_atoms_are_an_error() -> None:
    double = Crystal("x", 4.0 * np.eye(3), np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1e-4]]), np.array([29, 29]))
    with pytest.raises(ShcError, match="x: no symmetry found") as caught:
        reduce_crystal(double, CONFIG)
    assert "atoms closer" in caught.value.hint
    with pytest.raises(ShcError, match="no symmetry found"):
        symmetry_report(double, CONFIG)


def test_flat_cell_is_an_error() -> None:
    flat = Crystal("flat", np.ones((3, 3)), np.zeros((1, 3)), np.array([29]), source="a/flat.cif")
    with pytest.raises(ShcError, match=r"a/flat\.cif: the lattice vectors lie in one plane"):
        reduce_crystal(flat, CONFIG)


def test_report_of_the_a15_structure() -> None:
    report = symmetry_report(A15, CONFIG)
    assert report.facts.symbol == "Pm-3n"
    assert (report.n_atoms, report.n_atoms_primitive) == (8, 8)
    assert report.lengths == pytest.approx((5.26, 5.26, 5.26))
    assert report.angles == pytest.approx((90.0, 90.0, 90.0))
    sites = [(s.element, s.wyckoff_letter, s.multiplicity, s.site_symmetry) for s in report.sites]
    assert sites[0] == ("Sb", "a", 2, "m-3.")
    assert sites[1][0] == "Ta"
    assert sites[1][1] in "cd"
    assert sites[1][2] == 6
    assert report.relations == ("a = yz^x = -zy^x = -xz^y = zx^y = xy^z = -yx^z",)


def test_report_counts_sites_in_the_conventional_cell() -> None:
    primitive = reduce_crystal(NACL, CONFIG)
    small = Crystal("NaCl", primitive.lattice, primitive.frac, primitive.atomic_number)
    sites = symmetry_report(small, CONFIG).sites
    assert {(s.element, s.multiplicity, s.site_symmetry) for s in sites} == {
        ("Na", 4, "m-3m"),
        ("Cl", 4, "m-3m"),
    }
    assert {s.wyckoff_letter for s in sites} == {"a", "b"}
    layers = symmetry_report(BI2TE3, CONFIG).sites
    assert sorted((s.element, s.multiplicity, s.site_symmetry) for s in layers) == [
        ("Bi", 6, "3m"),
        ("Te", 3, "-3m"),
        ("Te", 6, "3m"),
    ]


def test_formatted_report_reads_well() -> None:
    text = format_report(symmetry_report(BI2TE3, CONFIG))
    assert "space group      166  R-3m" in text
    assert "centrosymmetric  yes" in text
    assert "independent components: 4" in text
    assert "a = xx^x = -yy^x = -xy^y = -yx^y" in text
    assert "[  a  .  . ]   [  . -a -b ]   [  .  d  . ]" in text
    assert "III: 1 independent of 6" in text
    assert "x along a, z along c*" in text
    polar = format_report(symmetry_report(WURTZITE, CONFIG))
    assert "polar            yes" in polar
    assert "only as screw    1 x 2-fold, 2 x 6-fold" in polar
    chiral = format_report(symmetry_report(QUARTZ_LIKE, CONFIG))
    assert "chiral           proper rotations only, one of an enantiomorphic pair" in chiral
