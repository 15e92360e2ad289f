from __future__ import annotations

import math

import numpy as np
import pytest

from shc.models.bonds import SAME_LENGTH, merge


def test_equivalent_neighbours_are_one_bond() -> None:
    neighbours = np.array([[1, 2, 2, 1, 2, 0], [0, 0, 0, 0, 0, 0], [3, 3, 3, 3, 3, 3]])
    distance = np.array([[2.0, 2.5, 2.5, 2.0, 3.5, 0.0], [0.0] * 6, [2.8] * 6], dtype=np.float32)
    bonds = merge(neighbours, distance)
    assert bonds.n_bonds.tolist() == [3, 0, 1]
    assert bonds.neighbours.tolist() == [[1, 2, 2], [0, 0, 0], [3, 0, 0]]
    np.testing.assert_allclose(bonds.distance, [[2.0, 2.5, 3.5], [0.0, 0.0, 0.0], [2.8, 0.0, 0.0]], rtol=1e-6)
    np.testing.assert_allclose(bonds.weight * math.sqrt(6), [[2, 2, 1], [0, 0, 0], [6, 0, 0]], rtol=1e-6)


@pytest.mark.parametrize(("gap", "n_bonds"), [(0.5 * SAME_LENGTH, 1), (3.0 * SAME_LENGTH, 2)])
def test_how_different_lengths_may_be(gap: float, n_bonds: int) -> None:
    bonds = merge(np.array([[1, 1]]), np.array([[2.0, 2.0 + gap]], dtype=np.float32))
    assert bonds.n_bonds.tolist() == [n_bonds]
    assert bonds.distance[0, 0] == pytest.approx(2.0 + (gap / 2 if n_bonds == 1 else 0.0), abs=1e-6)


def test_weights_of_a_node_add_up_to_its_neighbours() -> None:
    rng = np.random.default_rng(0)
    neighbours = rng.integers(0, 3, size=(50, 12))
    distance = np.round(rng.uniform(2.0, 3.0, size=(50, 12)), 1).astype(np.float32)
    bonds = merge(neighbours, distance)
    np.testing.assert_allclose(bonds.weight.sum(1) * math.sqrt(12), (neighbours > 0).sum(1), rtol=1e-5)
    assert ((bonds.neighbours > 0).sum(1) == bonds.n_bonds).all()
    assert bonds.n_bonds.max() < 12


def test_no_nodes() -> None:
    assert merge(np.zeros((0, 12), np.int64), np.zeros((0, 12), np.float32)).neighbours.shape == (0, 1)
