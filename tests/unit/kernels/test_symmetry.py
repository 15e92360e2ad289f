from __future__ import annotations

import time
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from shc.kernels.lattice import BAND, lattice_rotations, reduce_lattice
from shc.kernels.symmetry import AMBIGUOUS, CLEAR, find_symmetry
from shc.kernels.symmetry_reference import (
    find_operations_reference,
    lattice_rotations_reference,
    reduce_lattice_reference,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOLERANCE = 0.01
ANGLE = np.radians(6.0)

HEXAGONAL = np.array([[3.0, 0.0, 0.0], [-1.5, 1.5 * np.sqrt(3.0), 0.0], [0.0, 0.0, 5.1]])
FCC = 2.0 * np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
BCC = 1.6 * np.array([[-1.0, 1.0, 1.0], [1.0, -1.0, 1.0], [1.0, 1.0, -1.0]])
BRAVAIS: list[tuple[str, NDArray[np.float64], int]] = [
    ("aP", np.array([[3.0, 0.2, 0.1], [0.3, 4.1, 0.5], [0.7, 0.4, 5.3]]), 2),
    ("mP", np.array([[3.0, 0.0, 0.0], [0.0, 4.1, 0.0], [-1.1, 0.0, 5.3]]), 4),
    ("mC", np.array([[1.5, 2.1, 0.0], [-1.5, 2.1, 0.0], [-1.1, 0.0, 5.3]]), 4),
    ("oP", np.diag([3.0, 4.1, 5.3]), 8),
    ("oC", np.array([[1.5, 2.1, 0.0], [-1.5, 2.1, 0.0], [0.0, 0.0, 5.3]]), 8),
    ("oI", np.array([[-1.5, 2.1, 2.6], [1.5, -2.1, 2.6], [1.5, 2.1, -2.6]]), 8),
    ("oF", np.array([[0.0, 2.1, 2.6], [1.5, 0.0, 2.6], [1.5, 2.1, 0.0]]), 8),
    ("tP", np.diag([3.0, 3.0, 5.3]), 16),
    ("tI", np.array([[-1.5, 1.5, 2.6], [1.5, -1.5, 2.6], [1.5, 1.5, -2.6]]), 16),
    ("hR", np.array([[2.0, 2.0, 0.9], [2.0, 0.9, 2.0], [0.9, 2.0, 2.0]]), 12),
    ("hP", HEXAGONAL, 24),
    ("cP", 3.0 * np.eye(3), 48),
    ("cI", BCC, 48),
    ("cF", FCC, 48),
]

lattices = st.lists(st.floats(-6.0, 6.0), min_size=9, max_size=9).map(lambda v: np.array(v).reshape(3, 3))
unimodular = st.lists(st.integers(-4, 4), min_size=6, max_size=6).map(
    lambda v: (
        np.array([[1, v[0], v[1]], [0, 1, v[2]], [0, 0, 1]]) @ np.array([[1, 0, 0], [v[3], 1, 0], [v[4], v[5], 1]])
    )
)


def as_set(matrices: NDArray[np.integer]) -> set[bytes]:
    return {m.astype(np.int64).tobytes() for m in matrices}


@settings(max_examples=60, deadline=None)
@given(lattice=lattices, change=unimodular)
def test_reduced_lattice_is_shortest_and_spans_the_same(
    lattice: NDArray[np.float64], change: NDArray[np.int64]
) -> None:
    lattice = lattice + 7.0 * np.eye(3)
    if abs(np.linalg.det(lattice)) < 5.0:
        lattice = np.diag([3.0, 4.0, 5.0])
    reduced = reduce_lattice(change @ lattice)
    transform = reduced @ np.linalg.inv(lattice)
    assert np.abs(transform - np.rint(transform)).max() < 1e-6
    assert abs(abs(np.linalg.det(transform)) - 1.0) < 1e-6
    assert np.linalg.det(reduced) > 0.0
    lengths = np.linalg.norm(reduced, axis=1)
    np.testing.assert_allclose(lengths, reduce_lattice_reference(reduced, search=4), rtol=1e-8)


@pytest.mark.parametrize(("name", "lattice", "order"), BRAVAIS, ids=[b[0] for b in BRAVAIS])
def test_lattice_rotations_of_the_bravais_lattices(name: str, lattice: NDArray[np.float64], order: int) -> None:
    reduced = reduce_lattice(np.array([[1, 2, 0], [0, 1, 3], [0, 0, 1]]) @ lattice)
    found, sure = lattice_rotations(reduced, TOLERANCE, ANGLE)
    assert len(found[sure]) == order, name
    assert as_set(found[sure]) == as_set(lattice_rotations_reference(reduced, TOLERANCE))


def test_lattice_rotations_near_the_tolerance_are_not_sure() -> None:
    found, sure = lattice_rotations(np.diag([3.0, 3.01, 5.0]), TOLERANCE, ANGLE)
    assert (len(found), int(sure.sum())) == (16, 8)
    found, sure = lattice_rotations(np.diag([3.0, 3.1, 5.0]), TOLERANCE, ANGLE)
    assert (len(found), int(sure.sum())) == (8, 8)


def is_clear(lattice: NDArray[np.float64], frac: NDArray[np.float64], species: NDArray[np.int64]) -> bool:
    """Whether no operation has a residual near the tolerance; twice the band, as the twin may pin another atom."""
    rotations = lattice_rotations_reference(lattice, TOLERANCE)
    limits = (TOLERANCE / BAND / 2.0, TOLERANCE * BAND * 2.0)
    few, many = (len(find_operations_reference(lattice, frac, species, rotations, limit)[0]) for limit in limits)
    return few == many


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    bravais=st.sampled_from(BRAVAIS),
    size=st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 3)),
    change=unimodular,
)
def test_search_equals_reference_in_any_cell(
    seed: int,
    bravais: tuple[str, NDArray[np.float64], int],
    size: tuple[int, int, int],
    change: NDArray[np.int64],
) -> None:
    rng = np.random.default_rng(seed)
    _, primitive, _ = bravais
    n = int(rng.integers(1, 5))
    frac = rng.integers(0, 4, size=(n, 3)) / 4.0 if seed % 2 else rng.random((n, 3))
    frac = np.unique(frac, axis=0)
    species = rng.integers(1, 3, size=len(frac))
    # Random positions may lie near a special one by chance; those on the grid never do.
    assume(seed % 2 or is_clear(primitive, frac, species))

    cells = np.array(list(product(*(range(s) for s in size))))
    positions = (frac[:, None, :] + cells[None, :, :]).reshape(-1, 3) / np.array(size)
    supercell = np.array(size)[:, None] * primitive
    positions = positions @ np.linalg.inv(change) + rng.random(3)
    order = rng.permutation(len(positions))
    kinds = np.repeat(species, len(cells))
    found = find_symmetry(change @ supercell, positions[order], kinds[order], TOLERANCE)

    assert found.status == CLEAR
    identity = np.eye(3, dtype=np.int64)[None]
    hidden = len(find_operations_reference(primitive, frac, species, identity, TOLERANCE)[0])
    assert len(found.atom) * hidden == len(frac)
    assert abs(np.linalg.det(found.lattice)) * hidden == pytest.approx(abs(np.linalg.det(primitive)))
    kind = kinds[order][found.atom]
    rotations = lattice_rotations_reference(found.lattice, TOLERANCE)
    r, t, image = find_operations_reference(found.lattice, found.frac, kind, rotations, TOLERANCE)
    assert as_set(found.rotations) == as_set(r)
    where = {m.tobytes(): k for k, m in enumerate(r.astype(np.int64))}
    for k, rotation in enumerate(found.rotations.astype(np.int64)):
        twin = where[rotation.tobytes()]
        off = found.translations[k] - t[twin]
        assert np.abs((off - np.rint(off)) @ found.lattice).max() < 1e-6
        np.testing.assert_array_equal(found.image[k], image[twin])
    same = (image[:, :, None] == np.arange(len(kind))).any(axis=0)
    np.testing.assert_array_equal(same, found.orbit[:, None] == found.orbit[None, :])


def test_orbits_are_ordered_by_species_then_size() -> None:
    frac = np.array([[0.5, 0.5, 0.0], [0.5, 0.0, 0.5], [0.0, 0.5, 0.5], [0.5, 0.5, 0.5], [0.0, 0.0, 0.0]])
    found = find_symmetry(4.0 * np.eye(3), frac, np.array([8, 8, 8, 22, 56]), TOLERANCE)
    assert found.status == CLEAR
    assert len(found.rotations) == 48
    assert found.orbit.tolist() == [0, 0, 0, 1, 2]
    assert found.atom.tolist() == [0, 1, 2, 3, 4]
    swapped = find_symmetry(4.0 * np.eye(3), frac, np.array([8, 8, 8, 8, 56]), TOLERANCE)
    assert swapped.atom.tolist() == [3, 0, 1, 2, 4]


@pytest.mark.parametrize(
    ("shift", "status", "n_ops"),
    [(1e-4, CLEAR, 48), (0.008, AMBIGUOUS, 0), (0.02, AMBIGUOUS, 0), (0.2, CLEAR, 8)],
)
def test_displacement_near_the_tolerance_is_ambiguous(shift: float, status: int, n_ops: int) -> None:
    frac = np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5 + shift / 4.0]])
    found = find_symmetry(4.0 * np.eye(3), frac, np.array([55, 17]), TOLERANCE)
    assert found.status == status
    assert status == AMBIGUOUS or len(found.rotations) == n_ops


def test_translation_near_the_tolerance_is_ambiguous() -> None:
    frac = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.5], [0.5, 0.5, 0.0], [0.5, 0.501, 0.5]])
    assert find_symmetry(np.diag([5.0, 5.0, 6.0]), frac, np.array([1, 1, 2, 2]), TOLERANCE).status == AMBIGUOUS


def test_coinciding_atoms_are_ambiguous() -> None:
    frac = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.001], [0.5, 0.5, 0.5]])
    assert find_symmetry(4.0 * np.eye(3), frac, np.array([29, 29, 30]), TOLERANCE).status == AMBIGUOUS


@pytest.mark.parametrize("vacancy", [False, True])
def test_thousand_atoms_in_reasonable_time(vacancy: bool) -> None:
    frac = np.array(list(product(range(10), repeat=3)))[int(vacancy) :] / 10.0
    find_symmetry(10.0 * FCC, frac[:2], np.ones(2, np.int64), TOLERANCE)
    start = time.process_time()
    found = find_symmetry(10.0 * FCC, frac, np.ones(len(frac), np.int64), TOLERANCE)
    assert time.process_time() - start < 10.0
    assert found.status == CLEAR
    assert len(found.rotations) == 48
    assert len(found.atom) == (999 if vacancy else 1)


@pytest.mark.parametrize(
    ("lattice", "frac", "species", "tolerance", "message"),
    [
        (np.eye(2), np.zeros((1, 3)), [1], 0.01, "need lattice"),
        (np.eye(3), np.zeros((2, 3)), [1], 0.01, "need lattice"),
        (np.eye(3), np.zeros((0, 3)), [], 0.01, "need lattice"),
        (np.eye(3), np.full((1, 3), np.nan), [1], 0.01, "not finite"),
        (np.ones((3, 3)), np.zeros((1, 3)), [1], 0.01, "one plane"),
        (np.eye(3), np.zeros((1, 3)), [1], 0.0, "positive"),
    ],
)
def test_bad_arrays_are_refused(
    lattice: NDArray[np.float64],
    frac: NDArray[np.float64],
    species: list[int],
    tolerance: float,
    message: str,
) -> None:
    with pytest.raises(ValueError, match=message):
        find_symmetry(lattice, frac, np.array(species, dtype=np.int64), tolerance)
