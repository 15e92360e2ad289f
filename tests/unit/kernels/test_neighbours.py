from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shc.kernels import neighbours, neighbours_full, neighbours_nearest, reference

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shc.kernels.neighbours import FullList, Nearest

Batch = tuple["NDArray[np.float64]", "NDArray[np.float64]", "NDArray[np.int64]"]

PAIR_COLUMNS = ("i", "j", "shift", "distance")
FCC = 4.0 * np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])


def _cell(rng: np.random.Generator, kind: str) -> NDArray[np.float64]:
    if kind == "random":
        while True:
            cell = rng.normal(size=(3, 3)) * 3.0 + np.eye(3) * 2.0
            if abs(np.linalg.det(cell)) > 8.0:
                return cell
    cell = np.diag(rng.uniform(2.0, 5.0, 3))
    if kind == "skewed":
        cell[1] += cell[0] * rng.uniform(-5.0, 5.0)
        cell[2] += cell[1] * rng.uniform(-1.5, 1.5) + cell[0] * rng.uniform(-5.0, 5.0)
        return cell[rng.permutation(3)]
    if kind == "elongated":
        return np.diag(rng.permutation([1.6, 2.9, 23.0]))
    return cell * 0.45  # tiny: many images within the cutoff


def _batch(seed: int, kind: str, n_crystals: int = 3, n_max: int = 5) -> Batch:
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, n_max + 1, n_crystals)
    cells = np.array([_cell(rng, kind) for _ in counts])
    frac = rng.uniform(-2.0, 3.0, (int(counts.sum()), 3))
    # Special positions: zeros, cell borders and whole numbers of cells away.
    special = rng.random(frac.shape) < 0.3
    frac[special] = rng.choice([0.0, 0.5, 1.0, -1.0, -1e-17], int(special.sum()))
    return cells, frac, np.concatenate([[0], np.cumsum(counts)])


def _assert_equal(ours: FullList | Nearest, theirs: FullList | Nearest) -> None:
    assert ours._fields == theirs._fields
    for name in ours._fields:
        mine, other = getattr(ours, name), getattr(theirs, name)
        assert mine.dtype == other.dtype
        assert mine.shape == other.shape
        if mine.dtype.kind == "f":
            np.testing.assert_allclose(mine, other, rtol=0.0, atol=1e-9)
        else:
            np.testing.assert_array_equal(mine, other)


def _large(kind: str, n: int, seed: int = 1) -> Batch:
    rng = np.random.default_rng(seed)
    cell = _cell(rng, kind)
    cell *= (n * 18.0 / abs(np.linalg.det(cell))) ** (1.0 / 3.0)
    return cell[None], rng.uniform(-1.0, 2.0, (n, 3)), np.array([0, n])


KINDS = st.sampled_from(["random", "skewed", "elongated", "tiny"])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31), kind=KINDS, cutoff=st.sampled_from([0.7, 2.0, 4.3]))
def test_full_list_equals_twin(seed: int, kind: str, cutoff: float) -> None:
    batch = _batch(seed, kind)
    _assert_equal(neighbours.full_list(*batch, cutoff), reference.full_list(*batch, cutoff))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31), kind=KINDS, cutoff=st.sampled_from([0.7, 2.0, 4.3]), k=st.integers(1, 30))
def test_k_nearest_equals_twin(seed: int, kind: str, cutoff: float, k: int) -> None:
    batch = _batch(seed, kind)
    _assert_equal(neighbours.k_nearest(*batch, cutoff, k), reference.k_nearest(*batch, cutoff, k))


@pytest.mark.parametrize("kind", ["random", "skewed", "elongated", "tiny"])
def test_bins_equal_twin(kind: str) -> None:
    batch = _large(kind, neighbours.BIN_THRESHOLD + 60)
    ours = neighbours.full_list(*batch, 4.5)
    assert ours.i.size > 1000
    _assert_equal(ours, reference.full_list(*batch, 4.5))
    _assert_equal(neighbours.k_nearest(*batch, 4.5, 9), reference.k_nearest(*batch, 4.5, 9))


def test_bins_equal_enumeration_on_a_supercell_with_ties() -> None:
    grid = np.stack(np.meshgrid(*[np.arange(6)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    supercell = neighbours.full_list((6.0 * FCC)[None], grid / 6.0, [0, 216], 5.7)
    primitive = neighbours.full_list(FCC[None], np.zeros((1, 3)), [0, 1], 5.7)
    assert grid.shape[0] > neighbours.BIN_THRESHOLD
    np.testing.assert_array_equal(np.bincount(supercell.i), primitive.i.size)
    np.testing.assert_allclose(
        np.sort(supercell.distance.reshape(216, -1)),
        np.broadcast_to(np.sort(primitive.distance), (216, primitive.i.size)),
        atol=1e-12,
    )


def test_mixed_batch_equals_single_crystals() -> None:
    parts = [_batch(3, "skewed"), _large("random", 230), _batch(4, "tiny")]
    sizes = np.concatenate([np.diff(part[2]) for part in parts])
    batch = (
        np.concatenate([part[0] for part in parts]),
        np.concatenate([part[1] for part in parts]),
        np.concatenate([[0], np.cumsum(sizes)]),
    )
    together, nearest = neighbours.full_list(*batch, 4.0), neighbours.k_nearest(*batch, 4.0, 6)
    for b in range(sizes.size):
        atoms = slice(batch[2][b], batch[2][b + 1])
        one = (batch[0][b : b + 1], batch[1][atoms], np.array([0, sizes[b]]))
        pairs = slice(together.pair_offsets[b], together.pair_offsets[b + 1])
        alone = neighbours.full_list(*one, 4.0)
        for column in PAIR_COLUMNS:
            np.testing.assert_array_equal(getattr(together, column)[pairs], getattr(alone, column))
        near = neighbours.k_nearest(*one, 4.0, 6)
        for column in near._fields:
            np.testing.assert_array_equal(getattr(nearest, column)[atoms], getattr(near, column))


@pytest.mark.parametrize("batch", [_batch(11, "random"), _batch(12, "skewed"), _large("random", 300)])
def test_pairs_come_in_both_directions_with_the_same_distance(batch: Batch) -> None:
    pairs = neighbours.full_list(*batch, 4.0)
    for b in range(batch[0].shape[0]):
        part = slice(pairs.pair_offsets[b], pairs.pair_offsets[b + 1])
        i, j, shift, distance = pairs.i[part], pairs.j[part], pairs.shift[part], pairs.distance[part]
        forward = dict(zip(zip(i, j, *shift.T, strict=True), distance, strict=True))
        assert len(forward) == i.size
        for (p, q, s0, s1, s2), value in forward.items():
            assert forward[(q, p, -s0, -s1, -s2)] == value
        frac = batch[1][batch[2][b] : batch[2][b + 1]]
        separation = (frac[j] + shift - frac[i]) @ batch[0][b]
        np.testing.assert_allclose(np.linalg.norm(separation, axis=1), distance, rtol=0.0, atol=1e-9)


@pytest.mark.parametrize("n", [6, 300])
def test_result_does_not_depend_on_choice_of_cell_or_origin(n: int) -> None:
    lattice, frac, offsets = _large("random", n)
    change = np.array([[1, 4, -2], [0, 1, 7], [0, 0, 1]])
    skewed = (change @ lattice, frac @ np.linalg.inv(change) + 0.37, offsets)
    straight, other = neighbours.full_list(lattice, frac, offsets, 5.0), neighbours.full_list(*skewed, 5.0)
    np.testing.assert_array_equal(straight.i, other.i)
    np.testing.assert_array_equal(straight.j, other.j)
    np.testing.assert_allclose(np.sort(straight.distance), np.sort(other.distance), atol=1e-9)
    near, also = neighbours.k_nearest(lattice, frac, offsets, 5.0, 8), neighbours.k_nearest(*skewed, 5.0, 8)
    np.testing.assert_array_equal(near.atom, also.atom)
    np.testing.assert_array_equal(near.shift, also.shift @ change)


def test_extremely_skewed_cell() -> None:
    cell = np.diag([3.0, 3.1, 3.2])
    cell[2] += 4000.0 * cell[0] - 3000.0 * cell[1]
    cell[1] += 500.0 * cell[0]
    straight = neighbours.full_list(np.diag([3.0, 3.1, 3.2])[None], np.zeros((1, 3)), [0, 1], 8.0)
    skewed = neighbours.full_list(cell[None], np.zeros((1, 3)), [0, 1], 8.0)
    np.testing.assert_allclose(np.sort(straight.distance), np.sort(skewed.distance), atol=1e-8)


def test_pair_at_the_cutoff_is_kept_and_beyond_the_slack_is_not() -> None:
    cube = np.eye(3)[None] * 2.5
    for cutoff, count in ((2.5, 6), (2.5 - 0.9e-8, 6), (2.5 - 1.1e-8, 0), (2.5 * 2**0.5, 18)):
        assert neighbours.full_list(cube, np.zeros((1, 3)), [0, 1], cutoff).i.size == count
        assert np.count_nonzero(neighbours.k_nearest(cube, np.zeros((1, 3)), [0, 1], cutoff, 30).atom == 0) == count


def test_ties_are_ordered_by_atom_then_translation() -> None:
    cube = np.eye(3)[None] * 4.0
    frac = np.array([[0.0, 0.0, 0.0], [0.5, 0.0, 0.0], [0.0, 0.5, 0.0]])
    # 2.0 A to atoms 1 and 2 in both directions; atom 2 is nearer by less than a shell, atom 1 still comes
    # first.
    frac[2, 1] -= 0.0001
    found = neighbours.k_nearest(cube, frac, [0, 3], 3.0, 4, centres=[0], centre_offsets=[0, 1])
    assert found.atom.tolist() == [[1, 1, 2, 2]]
    assert found.shift[0].tolist() == [[-1, 0, 0], [0, 0, 0], [0, -1, 0], [0, 0, 0]]
    strict = neighbours.k_nearest(cube, frac, [0, 3], 3.0, 4, centres=[0], centre_offsets=[0, 1], tie_tolerance=1e-6)
    assert strict.atom.tolist() == [[2, 1, 1, 2]]


def test_k_cuts_a_shell_at_the_same_place_whatever_the_rounding() -> None:
    # 4.0005 lies on the border of two shells: equal distances that differ in the last bit must not be parted.
    cell = 4.0005 * np.eye(3)
    rotated = cell @ np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0]
    straight = neighbours.k_nearest(cell[None], np.zeros((1, 3)), [0, 1], 8.0, 4)
    turned = neighbours.k_nearest(rotated[None], np.full((1, 3), 0.3333333333333333), [0, 1], 8.0, 4)
    np.testing.assert_array_equal(straight.shift, turned.shift)
    assert straight.shift[0].tolist() == [[-1, 0, 0], [0, -1, 0], [0, 0, -1], [0, 0, 1]]


PATHS = [("random", 1), ("random", 20), ("skewed", 60), ("elongated", 128), ("skewed", 129), ("random", 300)]
OPTIONS = [(4.0, 12, 1e-3), (5.0, 90, 1e-3), (3.0, 5, 0.3), (4.0, 9, 1e-12)]


@pytest.mark.parametrize(("kind", "n"), PATHS)
@pytest.mark.parametrize(("cutoff", "k", "tie_tolerance"), OPTIONS)
def test_every_path_of_k_nearest_equals_twin(kind: str, n: int, cutoff: float, k: int, tie_tolerance: float) -> None:
    batch = _large(kind, n, seed=n)
    expected = reference.k_nearest(*batch, cutoff, k, tie_tolerance=tie_tolerance)
    _assert_equal(neighbours.k_nearest(*batch, cutoff, k, tie_tolerance=tie_tolerance), expected)


def test_uneven_density_equals_twin() -> None:
    # A dense cluster and lone atoms in a large cell: the first guess of the radius fits neither.
    rng = np.random.default_rng(8)
    frac = np.concatenate([rng.normal(0.5, 0.03, (45, 3)), rng.random((6, 3)), [[0.0, 0.0, 0.0]] * 2])
    batch = (np.diag([24.0, 21.0, 19.0])[None], frac, np.array([0, len(frac)]))
    for k in (1, 12, 40):
        _assert_equal(neighbours.k_nearest(*batch, 9.0, k), reference.k_nearest(*batch, 9.0, k))


def test_order_holds_for_large_translations_and_narrow_shells() -> None:
    cells, frac, offsets = _batch(41, "random", n_crystals=4, n_max=8)
    far = frac.copy()
    far[::2] += [5000.0, -3000.0, 100_000.0]
    far[1::2] -= [1.0, 7000.0, 0.0]
    _assert_equal(neighbours.k_nearest(cells, far, offsets, 4.0, 7), reference.k_nearest(cells, far, offsets, 4.0, 7))
    fine = reference.k_nearest(cells, frac, offsets, 4.0, 7, tie_tolerance=1e-7)
    _assert_equal(neighbours.k_nearest(cells, frac, offsets, 4.0, 7, tie_tolerance=1e-7), fine)


def test_padding_where_neighbours_are_too_few() -> None:
    found = neighbours.k_nearest(np.eye(3)[None] * 5.0, np.zeros((1, 3)), [0, 1], 6.0, 8)
    assert found.atom.tolist() == [[0] * 6 + [-1] * 2]
    assert not found.shift[0, 6:].any()
    assert found.distance[0].tolist() == [5.0] * 6 + [0.0] * 2
    lonely = neighbours.k_nearest(np.eye(3)[None] * 50.0, np.zeros((1, 3)), [0, 1], 6.0, 8)
    assert (lonely.atom == -1).all()
    assert neighbours.full_list(np.eye(3)[None] * 50.0, np.zeros((1, 3)), [0, 1], 6.0).i.size == 0


def test_atoms_on_one_site_are_neighbours_at_distance_zero() -> None:
    pairs = neighbours.full_list(np.eye(3)[None] * 9.0, np.zeros((2, 3)), [0, 2], 3.0)
    assert pairs.i.tolist() == [0, 1]
    assert pairs.j.tolist() == [1, 0]
    assert pairs.distance.tolist() == [0.0, 0.0]


def test_chosen_centres_equal_rows_of_all_centres() -> None:
    batch = _batch(21, "random", n_crystals=4, n_max=6)
    every = neighbours.k_nearest(*batch, 4.0, 12)
    first = batch[2][:-1]
    chosen = neighbours.k_nearest(*batch, 4.0, 12, centres=first, centre_offsets=np.arange(5))
    for column in every._fields:
        np.testing.assert_array_equal(getattr(chosen, column), getattr(every, column)[first])
    some = neighbours.k_nearest(*batch, 4.0, 12, centres=first[:1], centre_offsets=[0, 1, 1, 1, 1])
    np.testing.assert_array_equal(some.atom, every.atom[:1])


def test_empty_batch_and_empty_crystal() -> None:
    nothing = neighbours.full_list(np.empty((0, 3, 3)), np.empty((0, 3)), [0], 5.0)
    assert nothing.i.size == 0
    assert nothing.pair_offsets.tolist() == [0]
    assert neighbours.k_nearest(np.empty((0, 3, 3)), np.empty((0, 3)), [0], 5.0, 4).atom.shape == (0, 4)
    hollow = neighbours.full_list(np.stack([FCC, FCC]), np.zeros((1, 3)), [0, 0, 1], 3.0)
    assert hollow.pair_offsets.tolist() == [0, 0, 12]


def test_one_compiled_version_serves_every_layout() -> None:
    batch = _batch(31, "random")
    frozen = (batch[0].copy(), batch[1].copy(), batch[2].copy())
    for array in frozen:
        array.flags.writeable = False
    fortran = (np.asfortranarray(batch[0]), np.asfortranarray(batch[1]), batch[2].astype(np.int32))
    expected = neighbours.full_list(*batch, 3.0)
    layouts: list[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.integer[Any]]]] = [frozen, fortran]
    for other in layouts:
        _assert_equal(neighbours.full_list(*other, 3), expected)
        neighbours.k_nearest(*other, 3, 5)
    assert len(neighbours_full.full_list.signatures) == 1
    assert len(neighbours_nearest.k_nearest.signatures) == 1


def test_cost_is_linear_in_the_number_of_atoms() -> None:
    def seconds(n: int) -> float:
        batch = _large("random", n)
        best = float("inf")
        for _ in range(4):
            start = time.process_time()
            neighbours.full_list(*batch, 6.0)
            neighbours.k_nearest(*batch, 6.0, 12)
            best = min(best, time.process_time() - start)
        return best

    seconds(300)
    # Quadratic cost would give 16; 8 leaves room for caches and a busy machine.
    assert seconds(10_000) / seconds(2_500) < 8.0


@pytest.mark.parametrize(
    ("cell", "frac", "offsets", "cutoff", "message"),
    [
        (np.zeros((1, 3, 3)), np.zeros((1, 3)), [0, 1], 5.0, "crystal 0 has no volume"),
        (
            np.array([FCC, [[1, 0, 0], [0, 1, 0], [1, 1, 0]]]),
            np.zeros((2, 3)),
            [0, 1, 2],
            5.0,
            "crystal 1 has no volume",
        ),
        (np.full((1, 3, 3), np.nan), np.zeros((1, 3)), [0, 1], 5.0, "not finite"),
        (
            np.array([FCC, FCC]),
            np.array([[0, 0, 0], [0, np.inf, 0]]),
            [0, 1, 2],
            5.0,
            "position 0 of crystal 1",
        ),
        (FCC[None], np.zeros((1, 3)), [0, 1], 0.0, "cutoff must be positive"),
        (FCC[None], np.zeros((1, 3)), [0, 1], np.nan, "cutoff must be positive"),
        (FCC, np.zeros((1, 3)), [0, 1], 5.0, "lattice must be"),
        (FCC[None], np.zeros((2, 3)), [0, 1], 5.0, "frac must be"),
        (FCC[None], np.zeros((1, 3)), [1, 1], 5.0, "start at 0"),
        (FCC[None] * 1e-3, np.zeros((1, 3)), [0, 1], 8.0, "pairs"),
    ],
)
def test_bad_input_is_refused(
    cell: NDArray[np.float64], frac: NDArray[np.float64], offsets: list[int], cutoff: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        neighbours.full_list(cell, frac, offsets, cutoff)


def test_bad_options_of_k_nearest_are_refused() -> None:
    one = (FCC[None], np.zeros((1, 3)), [0, 1], 5.0)
    with pytest.raises(ValueError, match="k must be"):
        neighbours.k_nearest(*one, 0)
    with pytest.raises(ValueError, match="tie_tolerance"):
        neighbours.k_nearest(*one, 3, tie_tolerance=0.0)
    with pytest.raises(ValueError, match="belong together"):
        neighbours.k_nearest(*one, 3, centres=[0])
    with pytest.raises(ValueError, match="outside its crystal"):
        neighbours.k_nearest(*one, 3, centres=[1], centre_offsets=[0, 1])
    with pytest.raises(ValueError, match="centre_offsets"):
        neighbours.k_nearest(*one, 3, centres=[0], centre_offsets=[0, 2])
