from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from shc.models.baselines.graphs import GraphArrays, mean_over_atoms

if TYPE_CHECKING:
    from shc.featurize.store import FeatureBatch


def test_vectors_are_as_long_as_the_distances(crystals: FeatureBatch) -> None:
    graph = GraphArrays(crystals).batch(np.arange(len(crystals)))
    assert graph.distance.min() > 1.0
    torch.testing.assert_close(graph.vector.norm(dim=1), graph.distance, atol=1e-4, rtol=0.0)


def test_vectors_point_from_the_representative_to_an_atom_of_the_neighbour(crystals: FeatureBatch) -> None:
    for crystal in range(len(crystals)):
        graph = GraphArrays(crystals).batch(np.array([crystal]))
        atoms = slice(*crystals.atom_offsets[crystal : crystal + 2])
        frac, orbit = crystals.frac[atoms], crystals.orbit[atoms]
        first = np.array([np.flatnonzero(orbit == node)[0] for node in range(len(graph.z))])
        moved = frac[first][graph.centre] + graph.vector.numpy() @ np.linalg.inv(crystals.lattice[crystal])
        gap = moved[:, None] - frac[None]
        there = (np.abs(gap - np.round(gap)) < 1e-4).all(axis=2)
        assert (there.sum(axis=1) == 1).all()
        np.testing.assert_array_equal(orbit[there.argmax(axis=1)], graph.neighbour)


def test_weights_are_the_shares_of_the_orbits(crystals: FeatureBatch) -> None:
    graph = GraphArrays(crystals).batch(np.arange(len(crystals)))
    total = torch.zeros(len(crystals)).index_add(0, graph.crystal, graph.weight)
    torch.testing.assert_close(total, torch.ones(len(crystals)))
    alone = GraphArrays(crystals).batch(np.array([10]))
    shares = {int(z): float(w) for z, w in zip(alone.z, alone.weight, strict=True)}
    assert shares == pytest.approx({38: 0.2, 22: 0.2, 8: 0.6}), "SrTiO3"
    mean = mean_over_atoms(alone.z[:, None].float(), alone)
    assert float(mean) == pytest.approx((38 + 22 + 3 * 8) / 5)


def test_a_crystal_is_the_same_alone_and_in_a_batch(crystals: FeatureBatch) -> None:
    arrays = GraphArrays(crystals)
    rows = np.array([20, 3, 12])
    graph = arrays.batch(rows)
    assert graph.n_crystals == 3
    for place, row in enumerate(rows.tolist()):
        alone = arrays.batch(np.array([row]))
        nodes = graph.crystal == place
        edges = nodes[graph.centre]
        first = int(nodes.nonzero()[0])
        assert torch.equal(graph.z[nodes], alone.z)
        assert torch.equal(graph.weight[nodes], alone.weight)
        assert torch.equal(graph.centre[edges] - first, alone.centre)
        assert torch.equal(graph.neighbour[edges] - first, alone.neighbour)
        assert torch.equal(graph.vector[edges], alone.vector)
        assert torch.equal(graph.distance[edges], alone.distance)
        assert torch.equal(graph.lattice[place], alone.lattice[0])


def test_nodes_and_edges_are_in_ascending_order(crystals: FeatureBatch) -> None:
    graph = GraphArrays(crystals).batch(np.array([5, 1, 22]))
    assert (graph.crystal.diff() >= 0).all()
    assert (graph.centre.diff() >= 0).all()
    assert torch.equal(graph.crystal[graph.centre], graph.crystal[graph.neighbour])


def test_the_longest_edges_are_left_out(crystals: FeatureBatch) -> None:
    rows = np.arange(len(crystals))
    whole, few = GraphArrays(crystals).batch(rows), GraphArrays(crystals, max_neighbours=5).batch(rows)
    n_nodes = len(whole.z)
    assert torch.equal(torch.bincount(few.centre), torch.full((n_nodes,), 5))
    for node in range(n_nodes):
        kept, every = few.distance[few.centre == node], whole.distance[whole.centre == node]
        torch.testing.assert_close(kept.sort().values, every.sort().values[:5], atol=1e-3, rtol=0.0)
    near = GraphArrays(crystals, cutoff=3.3).batch(rows)
    assert torch.equal(near.distance, whole.distance[whole.distance <= 3.3])
    assert 0 < len(near.distance) < len(whole.distance)
