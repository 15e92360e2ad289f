from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from shc.featurize.store import FeatureBatch
from shc.kernels.neighbours import TIE_TOLERANCE, full_list
from shc.models.baselines.atom_graphs import AtomGraphs, lattice_representation

if TYPE_CHECKING:
    from collections.abc import Callable

    from shc.featurize.types import CrystalRecord

GENERIC = np.array([[3.1, 0.2, 0.4], [-0.7, 4.2, 0.3], [0.5, 0.9, 5.3]])


@pytest.fixture
def features(record_factory: Callable[..., CrystalRecord]) -> FeatureBatch:
    return FeatureBatch.from_records([record_factory(f"m{i}", n_atoms=2 + i, n_nodes=2) for i in range(5)])


def simple_cubic(record_factory: Callable[..., CrystalRecord]) -> FeatureBatch:
    record = record_factory(n_atoms=1, n_nodes=1)
    return FeatureBatch.from_records([replace(record, lattice=3.0 * np.eye(3))])


def test_the_representation_does_not_depend_on_the_cell() -> None:
    expected = lattice_representation(GENERIC)
    for change in ([[1, 1, 0], [0, 1, 0], [0, -2, 1]], [[0, -1, 0], [-1, 0, 0], [0, 0, 1]], -np.eye(3)):
        assert np.allclose(lattice_representation(np.array(change) @ GENERIC), expected)


def test_the_representation_turns_with_the_lattice() -> None:
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    rotation *= np.linalg.det(rotation)
    assert np.allclose(lattice_representation(GENERIC @ rotation), lattice_representation(GENERIC) @ rotation)


def test_the_representation_is_short_right_handed_and_acute_to_the_first() -> None:
    rng = np.random.default_rng(2)
    for _ in range(20):
        found = lattice_representation(rng.normal(size=(3, 3)) + 3.0 * np.eye(3))
        assert np.linalg.det(found) > 0.0
        assert np.all(np.diff(np.linalg.norm(found, axis=1)) > -1e-9)
        assert np.all(found[1:] @ found[0] > -1e-2)


def test_the_last_shell_is_whole(record_factory: Callable[..., CrystalRecord]) -> None:
    assert len(AtomGraphs(simple_cubic(record_factory), max_neighbours=4).distance) == 6
    assert len(AtomGraphs(simple_cubic(record_factory), max_neighbours=6).distance) == 6
    assert len(AtomGraphs(simple_cubic(record_factory), max_neighbours=10).distance) == 18


def test_fewer_neighbours_than_wanted_are_all_kept(record_factory: Callable[..., CrystalRecord]) -> None:
    assert len(AtomGraphs(simple_cubic(record_factory), max_neighbours=12, cutoff=3.1).distance) == 6


def test_edges_are_the_shortest_of_all_pairs(features: FeatureBatch) -> None:
    graphs = AtomGraphs(features, max_neighbours=12)
    pairs = full_list(features.lattice, features.frac, features.atom_offsets, 8.0)
    for crystal in range(len(graphs)):
        graph = graphs.batch(np.array([crystal]))
        these = slice(pairs.pair_offsets[crystal], pairs.pair_offsets[crystal + 1])
        for atom in range(graphs.n_nodes[crystal]):
            mine = pairs.i[these] == atom
            distance = pairs.distance[these][mine]
            nearest = distance <= np.sort(distance)[11] + TIE_TOLERANCE
            edges = graph.centre == atom
            assert np.allclose(np.sort(graph.distance[edges]), np.sort(distance[nearest]), atol=1e-5)
            assert sorted(graph.neighbour[edges].tolist()) == sorted(pairs.j[these][mine][nearest].tolist())


def test_vectors_have_their_lengths_and_join_equal_sublattices(features: FeatureBatch) -> None:
    graphs = AtomGraphs(features)
    graph = graphs.batch(np.arange(5))
    assert torch.allclose(torch.linalg.vector_norm(graph.vector, dim=1), graph.distance, atol=1e-5)
    position = torch.tensor(np.einsum("ni,nij->nj", features.frac, features.lattice[graph.crystal.numpy()]))
    image = graph.vector + position[graph.centre] - position[graph.neighbour]
    cells = torch.linalg.solve(graph.lattice.double()[graph.crystal[graph.centre]].mT, image)
    assert torch.allclose(cells, cells.round(), atol=1e-4)


def test_a_batch_is_its_crystals_one_after_the_other(features: FeatureBatch) -> None:
    graphs = AtomGraphs(features)
    rows = np.array([3, 0, 4])
    graph = graphs.batch(rows)
    assert graph.n_crystals == 3
    assert torch.equal(torch.bincount(graph.crystal), torch.tensor(graphs.n_nodes[rows]))
    assert torch.all(graph.centre.diff() >= 0)
    for place, row in enumerate(rows):
        alone = graphs.batch(np.array([row]))
        nodes = graph.crystal == place
        edges = nodes[graph.centre]
        assert torch.equal(graph.z[nodes], alone.z)
        assert torch.equal(graph.vector[edges], alone.vector)
        assert torch.equal(graph.neighbour[edges] - torch.nonzero(nodes)[0], alone.neighbour)
        assert graph.weight[nodes].sum() == pytest.approx(1.0)
