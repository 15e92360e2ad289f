from __future__ import annotations

from functools import cache
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pytest

from shc.featurize.electronic.mesh import MAX_DIVISIONS, divisions, irreducible_mesh, reciprocal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LATTICES = {
    "cubic": np.eye(3) * 4.0,
    "face-centred cubic": 2.0 * np.array([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]]),
    "hexagonal": np.array([[3.0, 0, 0], [-1.5, 1.5 * 3**0.5, 0], [0, 0, 5.1]]),
    "body-centred tetragonal": np.array([[-1.5, 1.5, 3.7], [1.5, -1.5, 3.7], [1.5, 1.5, -3.7]]),
    "rhombohedral": np.array([[2.0, 0.3, 0.3], [0.3, 2.0, 0.3], [0.3, 0.3, 2.0]]) * 2.0,
    "monoclinic": np.array([[4.0, 0, 0], [0, 5.3, 0], [-1.7, 0, 6.1]]),
    "base-centred monoclinic": np.array([[2.0, 2.6, 0], [-2.0, 2.6, 0], [-1.7, 0, 6.1]]),
    "triclinic": np.array([[4.1, 0.2, -0.4], [0.9, 4.6, 0.3], [-0.5, 0.7, 5.2]]),
}
ORDERS = dict(zip(LATTICES, (48, 48, 24, 16, 12, 4, 4, 2), strict=True))


@cache
def _rotations(name: str) -> NDArray[np.int32]:
    """Point group of the lattice, by trying every small matrix."""
    metric = LATTICES[name] @ LATTICES[name].T
    trial = np.array(list(product((-1, 0, 1), repeat=9)), dtype=np.int32).reshape(-1, 3, 3)
    kept = np.abs(trial.transpose(0, 2, 1) @ metric @ trial - metric).max(axis=(1, 2)) < 1e-6
    rotations = np.ascontiguousarray(trial[kept])
    assert len(rotations) == ORDERS[name]
    return rotations


def _polar_rotations(name: str) -> NDArray[np.int32]:
    """Proper rotations only: time reversal then does what inversion did."""
    rotations = _rotations(name)
    proper: NDArray[np.int32] = rotations[np.linalg.det(rotations) > 0]
    return proper


@pytest.mark.parametrize("proper", [False, True])
@pytest.mark.parametrize("name", LATTICES)
def test_weighted_average_equals_the_average_over_the_whole_mesh(name: str, proper: bool) -> None:
    lattice = LATTICES[name]
    rotations = _polar_rotations(name) if proper else _rotations(name)
    n = divisions(lattice, rotations, 17.0)
    mesh = irreducible_mesh(lattice, rotations, n)
    rng = np.random.default_rng(7)
    # Any function of Bloch waves, made symmetric by summing over the rotated lattice vectors and over -k.
    stars = np.concatenate([rotations @ r for r in rng.integers(-6, 7, (12, 3))])
    amplitude = np.repeat(rng.normal(size=12), len(rotations))

    def function(k: Floats) -> Floats:
        return np.asarray(np.exp(amplitude @ np.cos((stars @ lattice) @ k.T) / 8.0))

    grid = np.array(list(product(*(range(m) for m in n)))) / np.array(n)
    assert mesh.weight.sum() == pytest.approx(1.0, abs=1e-12)
    assert len(mesh.k) < len(grid)
    whole = function(grid @ reciprocal(lattice)).mean()
    assert function(mesh.k) @ mesh.weight == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize("name", LATTICES)
def test_one_point_stands_for_each_star_of_wave_vectors(name: str) -> None:
    rotations = _polar_rotations(name)
    n = np.array(divisions(LATTICES[name], rotations, 13.0))
    mesh = irreducible_mesh(LATTICES[name], rotations, (int(n[0]), int(n[1]), int(n[2])))
    turns = np.concatenate([rotations, -rotations]).transpose(0, 2, 1)
    stars = set()
    for point in product(*map(range, n)):
        star = np.round(turns @ (np.array(point) / n) * n).astype(int) % n
        stars.add(min(map(tuple, star.tolist())))
    assert len(mesh.k) == len(stars)
    whole = np.round(mesh.weight * n.prod())
    np.testing.assert_allclose(mesh.weight * n.prod(), whole, atol=1e-9)


@pytest.mark.parametrize("name", LATTICES)
@pytest.mark.parametrize("length", [5.0, 11.0, 23.0])
def test_rotations_map_the_mesh_onto_itself(name: str, length: float) -> None:
    rotations = _rotations(name)
    n = np.array(divisions(LATTICES[name], rotations, length))
    # Wave vectors turn with the transposed inverse; the group holds both.
    for rotation in rotations:
        moved = rotation.T * n[:, None] / n[None, :]
        np.testing.assert_allclose(moved, np.round(moved), atol=1e-12)


@pytest.mark.parametrize("name", LATTICES)
def test_mesh_is_at_least_as_dense_as_asked(name: str) -> None:
    lattice = LATTICES[name]
    n = np.array(divisions(lattice, _rotations(name), 20.0))
    edges = np.linalg.norm(reciprocal(lattice), axis=1)
    assert (edges / n <= 2.0 * np.pi / 20.0 + 1e-6).all()
    mesh = irreducible_mesh(lattice, _rotations(name), (int(n[0]), int(n[1]), int(n[2])))
    assert mesh.step == pytest.approx(np.mean(edges / n))


def test_divisions_are_bounded() -> None:
    lattice = np.diag([0.5, 4.0, 4000.0])
    rotations = np.eye(3, dtype=np.int32)[None]
    assert divisions(lattice, rotations, 100.0) == (MAX_DIVISIONS, 25, 1)


def test_reciprocal_vectors_are_dual() -> None:
    lattice = LATTICES["triclinic"]
    np.testing.assert_allclose(reciprocal(lattice) @ lattice.T, 2.0 * np.pi * np.eye(3), atol=1e-12)
