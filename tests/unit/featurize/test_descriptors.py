from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest

from shc.featurize.descriptors import descriptor_names, descriptors
from shc.featurize.electron_count import charge_imbalance
from shc.featurize.elements import FEATURE_NAMES, element_table, oxidation_states
from shc.featurize.errors import ShcError
from shc.kernels.neighbours import k_nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

# Two whole shells of rock salt, 6 and 12: a shell cut by K has directions that depend on the cell.
WHOLE_SHELLS = 18


class Cell(NamedTuple):
    lattice: np.ndarray
    frac: np.ndarray
    atomic_number: np.ndarray
    orbit: np.ndarray
    neighbour_atom: np.ndarray
    neighbour_shift: np.ndarray
    neighbour_distance: np.ndarray


def batched(cells: Sequence[Cell]) -> np.ndarray:
    lattices, *flat = zip(*cells, strict=True)
    return descriptors(
        np.stack(lattices),
        np.cumsum([0, *(len(cell.atomic_number) for cell in cells)]),
        np.cumsum([0, *(len(cell.neighbour_atom) for cell in cells)]),
        *(np.concatenate(parts) for parts in flat),
    )


def random_cell(rng: np.random.Generator) -> Cell:
    n_atoms = int(rng.integers(1, 9))
    n_nodes = int(rng.integers(1, n_atoms + 1))
    orbit = np.sort(np.append(np.arange(n_nodes), rng.integers(0, n_nodes, n_atoms - n_nodes)))
    z = rng.choice([1, 8, 11, 17, 26, 57, 78, 83, 103], n_nodes)[orbit]
    atom = rng.integers(0, n_atoms, (n_nodes, 12))
    shift = rng.integers(-2, 3, (n_nodes, 12, 3))
    distance = np.sort(rng.uniform(1.5, 5.0, (n_nodes, 12)), axis=1)
    padding = np.arange(12) >= rng.integers(0, 13, (n_nodes, 1))
    atom[padding], shift[padding], distance[padding] = -1, 0, 0.0
    lattice = np.eye(3) * rng.uniform(3, 8) + rng.uniform(-1, 1, (3, 3))
    return Cell(lattice, rng.random((n_atoms, 3)), z, orbit, atom, shift, distance)


def describe(lattice: np.ndarray, frac: np.ndarray, z: list[int], orbit: list[int]) -> dict[str, float]:
    first = np.unique(orbit, return_index=True)[1]
    near = k_nearest(
        lattice[None],
        frac,
        np.array([0, len(z)]),
        8.0,
        WHOLE_SHELLS,
        centres=first,
        centre_offsets=np.array([0, len(first)]),
    )
    cell = Cell(lattice, frac, np.array(z), np.array(orbit), near.atom, near.shift, near.distance)
    return dict(zip(descriptor_names(), batched([cell])[0].tolist(), strict=True))


@pytest.fixture
def rock_salt() -> dict[str, float]:
    lattice = 5.64 / 2 * np.array([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]])
    return describe(lattice, np.array([[0.0, 0, 0], [0.5, 0.5, 0.5]]), [11, 17], [0, 1])


def test_composition_statistics(rock_salt: dict[str, float]) -> None:
    x = element_table()[:, FEATURE_NAMES.index("electronegativity")]
    assert rock_salt["mean_electronegativity"] == pytest.approx((x[11] + x[17]) / 2, rel=1e-5)
    assert rock_salt["max_electronegativity"] == pytest.approx(x[17], rel=1e-5)
    assert rock_salt["heaviest_atomic_number"] == 17
    assert rock_salt["electrons_per_cell"] == 8
    assert rock_salt["mixing_entropy"] == pytest.approx(np.log(2), rel=1e-5)


def test_cell_and_bonds_of_rock_salt(rock_salt: dict[str, float]) -> None:
    assert rock_salt["density"] == pytest.approx(2.16, abs=0.02)  # g/cm^3, NaCl
    assert rock_salt["volume_per_atom"] == pytest.approx(5.64**3 / 8, rel=1e-5)
    assert rock_salt["distance_first_mean"] == pytest.approx(2.82, rel=1e-5)
    # Six neighbours at 1.052 radii sums, and twelve in the next shell: Na-Na at 1.201, Cl-Cl at 1.955.
    next_shell = [np.exp(-6.0 * (r / 1.0522 - 1.0)) for r in (1.2012, 1.9549)]
    assert rock_salt["coordination_mean"] == pytest.approx(6.0 + 12.0 * np.mean(next_shell), abs=0.01)
    assert rock_salt["anisotropy_max"] < 1e-4
    assert rock_salt["asymmetry_max"] < 1e-4


def test_descriptors_do_not_depend_on_the_choice_of_cell(rock_salt: dict[str, float]) -> None:
    lattice = 5.64 / 2 * np.array([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]])
    skew = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]])
    frac = np.array([[0.0, 0, 0], [0.5, 0.5, 0.5]]) @ np.linalg.inv(skew)
    other = describe(skew @ lattice, frac, [11, 17], [0, 1])
    shape = {"length_ratio_min", "length_ratio_max", "angle_min", "angle_max", "angle_spread"}
    for name, value in rock_salt.items():
        if name not in shape:
            assert other[name] == pytest.approx(value, rel=1e-4, abs=1e-4), name


def test_a_lonely_atom_has_finite_descriptors() -> None:
    values = describe(np.eye(3) * 20.0, np.zeros((1, 3)), [54], [0])
    assert np.isfinite(list(values.values())).all()
    assert values["distance_first_mean"] == 8.0


def test_many_crystals_give_what_each_gives_alone() -> None:
    rng = np.random.default_rng(3)
    cells = [random_cell(rng) for _ in range(80)]
    together = batched(cells)
    assert np.isfinite(together).all()
    alone = np.concatenate([batched([cell]) for cell in cells])
    np.testing.assert_array_equal(together, alone)
    assert batched(cells[5:9]).tolist() == alone[5:9].tolist()


def test_no_crystals_have_no_descriptors() -> None:
    empty = np.zeros((0, 3))
    none, start = np.zeros(0, np.int64), np.zeros(1, np.int64)
    values = descriptors(empty.reshape(0, 3, 3), start, start, empty, none, none, none, none, none)
    assert values.shape == (0, len(descriptor_names()))


@pytest.mark.parametrize("z", [0, 104])
def test_elements_outside_the_table_are_refused(z: int) -> None:
    cell = random_cell(np.random.default_rng(0))
    cell.atomic_number[-1] = z
    with pytest.raises(ShcError, match="1 to 103"):
        batched([cell])


def test_crystals_without_atoms_are_refused() -> None:
    cell = random_cell(np.random.default_rng(0))
    flat = (cell.frac, cell.atomic_number, cell.orbit, *cell[4:])
    n_atoms, n_nodes = len(cell.frac), len(cell.neighbour_atom)
    with pytest.raises(ValueError, match="needs an atom"):
        descriptors(np.stack([np.eye(3)] * 2), np.array([0, n_atoms, n_atoms]), np.array([0, n_nodes, n_nodes]), *flat)


def test_equal_elements_are_decided_by_the_first_atom() -> None:
    # Neither lithium nor the two helium atoms have spin-orbit coupling in open shells: the first atom stands.
    near = np.array([[1], [0]]), np.zeros((2, 1, 3), np.int64), np.full((2, 1), 2.0)
    name = descriptor_names().index("fraction_strongest_soc")
    for z, orbit, expected in (([3, 2, 2], [0, 1, 1], 1 / 3), ([2, 2, 3], [0, 0, 1], 2 / 3)):
        cell = Cell(np.eye(3) * 4, np.arange(9.0).reshape(3, 3) / 9, np.array(z), np.array(orbit), *near)
        assert batched([cell])[0, name] == pytest.approx(expected)


@pytest.mark.parametrize("common", [True, False])
def test_charge_imbalance_is_the_smallest_of_all_assignments(common: bool) -> None:
    states = oxidation_states(common=common)
    rng = np.random.default_rng(7)
    for size in [1, 2, 3, 4] * 25:
        composition = tuple(
            (int(z), int(rng.integers(1, 30))) for z in sorted(rng.choice(103, size, replace=False) + 1)
        )
        totals = [
            abs(sum(count * charge for (_, count), charge in zip(composition, charges, strict=True)))
            for charges in product(*(states[z].tolist() for z, _ in composition))
        ]
        expected = min(totals) / sum(count for _, count in composition)
        assert charge_imbalance(composition, common=common) == expected, composition
