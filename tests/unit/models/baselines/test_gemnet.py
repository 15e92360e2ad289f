"""GemNet-T and the folded graphs that it reads."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from shc.featurize.store import FeatureBatch
from shc.models.baselines.gemnet import GemNet, GemNetConfig
from shc.models.baselines.gemnet_blocks import Bases, TripletInteraction
from shc.models.baselines.gemnet_folding import bond_pairs_and_cosines, fold, symmetric_edges
from shc.models.baselines.gemnet_graphs import GemNetBatch, GemNetGraphs
from shc.models.baselines.graphs import GraphBatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tests.conftest import RecordFactory

SMALL = GemNetConfig(atom_width=16, edge_width=16, triplet_width=8, n_blocks=2)
FCC = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
STRUCTURES: tuple[tuple[NDArray[np.float64], list[int], list[list[float]]], ...] = (
    (3.6 * FCC, [29], [[0, 0, 0]]),
    (5.6 * FCC, [11, 17], [[0, 0, 0], [0.5, 0.5, 0.5]]),
    (5.4 * FCC, [30, 16], [[0, 0, 0], [0.25, 0.25, 0.25]]),
    (3.9 * np.eye(3), [38, 22, 8, 8, 8], [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]),
    (
        np.array([[3.2, 0, 0], [-1.6, 1.6 * 3**0.5, 0], [0, 0, 5.2]]),
        [12, 12],
        [[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]],
    ),
)
"""Copper, rock salt, zinc blende, perovskite, hexagonal close packing."""


@pytest.fixture
def features(record_factory: RecordFactory) -> FeatureBatch:
    """Five structures of high symmetry and three of none."""
    records = [
        replace(
            record_factory(f"s{i}", n_atoms=len(z), n_nodes=1),
            lattice=lattice,
            atomic_number=np.array(z, dtype=np.uint8),
            frac=np.array(frac, dtype=np.float64),
        )
        for i, (lattice, z, frac) in enumerate(STRUCTURES)
    ]
    grid = np.array([[0, 0, 0], [0.5, 0, 0.5], [0, 0.5, 0.5], [0.5, 0.5, 0]])
    for seed in range(3):
        loose = grid + np.random.default_rng(seed).uniform(-0.1, 0.1, grid.shape)
        made = record_factory(f"r{seed}", n_atoms=4, n_nodes=4, seed=seed)
        records.append(replace(made, frac=loose, lattice=made.lattice / 4.0 + 4.0 * np.eye(3)))
    return FeatureBatch.from_records(records)


@pytest.fixture
def network() -> GemNet:
    """A small network whose factors are fitted."""
    torch.manual_seed(0)
    return GemNet(SMALL)


def fitted(network: GemNet, batch: GemNetBatch) -> GemNet:
    network.train()(batch)
    return network.eval()


def rows(*numbers: int) -> NDArray[np.int64]:
    return np.array(numbers, dtype=np.int64)


def whole(features: FeatureBatch) -> GemNetBatch:
    """The graphs of all atoms, nothing folded."""
    lattice = features.lattice
    edges = symmetric_edges(lattice, features.frac, features.atom_offsets, 12, 6.5)
    target, source, cosine = bond_pairs_and_cosines(edges)
    n_atoms = np.diff(features.atom_offsets)
    vector = torch.from_numpy(edges.vector).float()
    return GemNetBatch(
        graph=GraphBatch(
            z=torch.from_numpy(features.atomic_number.astype(np.int64)),
            weight=torch.from_numpy(np.repeat(1.0 / n_atoms, n_atoms)).float(),
            crystal=torch.from_numpy(np.repeat(np.arange(len(n_atoms)), n_atoms)),
            centre=torch.from_numpy(edges.centre),
            neighbour=torch.from_numpy(edges.neighbour),
            vector=vector,
            distance=vector.norm(dim=1),
            lattice=torch.from_numpy(lattice).float(),
        ),
        reverse=torch.from_numpy(edges.reverse),
        multiplicity=torch.ones(len(vector)),
        target=torch.from_numpy(target),
        source=torch.from_numpy(source),
        cosine=torch.from_numpy(cosine).float(),
        repeats=torch.ones(len(target)),
    )


def test_folding_changes_no_output(features: FeatureBatch, network: GemNet) -> None:
    folded, full = GemNetGraphs(features).batch(np.arange(8)), whole(features)
    assert len(folded.target) < len(full.target) / 2
    fitted(network, full)
    torch.testing.assert_close(network(folded), network(full), rtol=1e-4, atol=1e-5)


def test_copper_is_one_edge_and_four_pairs(features: FeatureBatch) -> None:
    batch = GemNetGraphs(features).batch(rows(0))
    assert batch.graph.z.tolist() == [29]
    assert batch.multiplicity.tolist() == [12.0]
    assert batch.reverse.tolist() == [0]
    order = batch.cosine.argsort()
    torch.testing.assert_close(batch.cosine[order], torch.tensor([-1.0, -0.5, 0.0, 0.5]))
    assert batch.repeats[order].tolist() == [1.0, 4.0, 2.0, 4.0]


def test_atoms_are_counted(features: FeatureBatch) -> None:
    batch = GemNetGraphs(features).batch(np.arange(8))
    total = torch.zeros(8).index_add(0, batch.graph.crystal, batch.graph.weight)
    torch.testing.assert_close(total, torch.ones(8))
    assert sorted(batch.graph.weight[batch.graph.crystal == 3].tolist()) == pytest.approx([0.2, 0.2, 0.6])
    torch.testing.assert_close(batch.graph.vector.norm(dim=1), batch.graph.distance)


def test_every_edge_has_its_reverse_and_shells_are_whole(features: FeatureBatch) -> None:
    edges = symmetric_edges(features.lattice, features.frac, features.atom_offsets, 8, 8.0)
    np.testing.assert_allclose(edges.vector[edges.reverse], -edges.vector, atol=1e-12)
    np.testing.assert_array_equal(edges.centre[edges.reverse], edges.neighbour)
    np.testing.assert_array_equal(edges.neighbour[edges.reverse], edges.centre)
    assert np.bincount(edges.centre)[0] == 12, "a shell of copper is 12 atoms"
    assert np.bincount(edges.centre)[1] == 18, "rock salt: 6 and 12"


def test_pairs_and_their_counts_are_those_of_a_loop(features: FeatureBatch) -> None:
    edges = symmetric_edges(features.lattice, features.frac, features.atom_offsets, 6, 8.0)
    target, source, cosine = bond_pairs_and_cosines(edges)
    expected = [(e, other) for e, other in permutations(range(200), 2) if edges.centre[e] == edges.centre[other]]
    inside = (target < 200) & (source < 200)
    assert list(zip(target[inside].tolist(), source[inside].tolist(), strict=True)) == expected
    for t in range(0, len(target), 97):
        a, b = edges.vector[target[t]], edges.vector[source[t]]
        assert cosine[t] == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_atoms_of_different_kinds_stay_apart(features: FeatureBatch) -> None:
    edges = symmetric_edges(features.lattice[:1], features.frac[:1], rows(0, 1), 12, 8.0)
    two = symmetric_edges(np.repeat(features.lattice[:1], 2, 0), np.zeros((2, 3)), rows(0, 1, 2), 12, 8.0)
    assert len(fold(edges, rows(0)).atom) == 1
    assert fold(two, rows(0, 0)).n_atoms.tolist() == [2]
    assert fold(two, rows(0, 1)).n_atoms.tolist() == [1, 1]


def test_the_sum_over_pairs_is_that_of_a_loop() -> None:
    torch.manual_seed(1)
    batch = graph_of([[2.0, 0, 0], [0, 2.5, 0], [0, 0.5, 2.2]])
    layer = TripletInteraction(SMALL)
    message, angular = torch.randn(3, 8), torch.randn(6, 7)
    circular = torch.randn(3, 16, 7)
    none = torch.zeros(0)
    bases = Bases(none, none, none, circular, angular)
    expected = torch.zeros(3, 16, 8)
    for t, (e, other) in enumerate(permutations(range(3), 2)):
        for c in range(16):
            expected[e, c] += (circular[e, c] * angular[t]).sum() * message[other]
    torch.testing.assert_close(layer.summed(message, bases, batch), expected.flatten(1), rtol=1e-4, atol=1e-5)


def test_a_message_reaches_the_reverse_edge() -> None:
    torch.manual_seed(1)
    batch = graph_of([[2.0, 0, 0], [0, 2.5, 0], [0, 0.5, 2.2]])
    swapped = batch._replace(reverse=torch.tensor([1, 0, 2]))
    layer = TripletInteraction(SMALL)
    edges, narrow = torch.randn(3, 16), torch.randn(3, 16)
    bases = Bases(narrow, narrow, narrow, torch.randn(3, 16, 7), torch.randn(6, 7))
    with torch.no_grad():
        layer.up.linear.weight.zero_()
    assert not torch.allclose(layer(edges, bases, batch)[0], layer(edges, bases, batch)[1])
    torch.testing.assert_close(layer(edges, bases, swapped), layer(edges, bases, batch)[swapped.reverse])


def test_a_lone_atom_has_an_output(features: FeatureBatch, network: GemNet, record_factory: RecordFactory) -> None:
    fitted(network, GemNetGraphs(features).batch(np.arange(8)))
    lone = replace(record_factory("lone", n_atoms=1, n_nodes=1), lattice=20.0 * np.eye(3))
    graphs = GemNetGraphs(FeatureBatch.from_records([lone]))
    batch = graphs.batch(rows(0))
    assert batch.graph.weight.tolist() == [1.0]
    assert len(batch.graph.centre) == 0
    assert network(batch).isfinite().all()


def test_rotation_and_order_of_atoms_do_not_matter(features: FeatureBatch, network: GemNet) -> None:
    batch = GemNetGraphs(features).batch(np.arange(8))
    expected = fitted(network, batch)(batch)
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    order = np.concatenate([np.arange(b - 1, a - 1, -1) for a, b in zip(*offsets(features), strict=True)])
    turned = replace(
        features,
        lattice=features.lattice @ turn,
        frac=features.frac[order] + 0.3,
        atomic_number=features.atomic_number[order],
    )
    torch.testing.assert_close(network(GemNetGraphs(turned).batch(np.arange(8))), expected, rtol=1e-4, atol=1e-5)


def offsets(features: FeatureBatch) -> tuple[Sequence[int], Sequence[int]]:
    return features.atom_offsets[:-1].tolist(), features.atom_offsets[1:].tolist()


def test_a_supercell_gives_the_same(features: FeatureBatch, network: GemNet, record_factory: RecordFactory) -> None:
    batch = GemNetGraphs(features).batch(np.arange(8))
    double = replace(
        record_factory("double", n_atoms=4, n_nodes=1),
        lattice=STRUCTURES[2][0] * np.array([[2.0], [1.0], [1.0]]),
        atomic_number=np.array([30, 16, 30, 16], dtype=np.uint8),
        frac=np.array([[0, 0, 0], [0.125, 0.25, 0.25], [0.5, 0, 0], [0.625, 0.25, 0.25]]),
    )
    graphs = GemNetGraphs(FeatureBatch.from_records([double]))
    assert graphs.n_nodes.tolist() == [2]
    fitted(network, batch)
    torch.testing.assert_close(network(graphs.batch(rows(0)))[0], network(batch)[2], rtol=1e-4, atol=1e-5)


def test_a_crystal_is_the_same_alone_and_in_any_batch(features: FeatureBatch, network: GemNet) -> None:
    graphs = GemNetGraphs(features)
    together = fitted(network, graphs.batch(np.arange(8)))(graphs.batch(rows(5, 3, 0, 3, 7)))
    alone = torch.cat([network(graphs.batch(rows(i))) for i in (5, 3, 0, 3, 7)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    assert len(set(together.tolist())) >= 4


def graph_of(vectors: list[list[float]]) -> GemNetBatch:
    """One atom with some edges, each of which is its own reverse."""
    vector = torch.tensor(vectors)
    n = len(vectors)
    target, source = (torch.tensor(part) for part in zip(*permutations(range(n), 2), strict=True))
    unit = vector / vector.norm(dim=1, keepdim=True)
    zeros = torch.zeros(n, dtype=torch.long)
    return GemNetBatch(
        graph=GraphBatch(
            z=torch.tensor([14]),
            weight=torch.ones(1),
            crystal=torch.zeros(1, dtype=torch.long),
            centre=zeros,
            neighbour=zeros,
            vector=vector,
            distance=vector.norm(dim=1),
            lattice=torch.eye(3)[None],
        ),
        reverse=torch.arange(n),
        multiplicity=torch.ones(n),
        target=target,
        source=source,
        cosine=(unit[target] * unit[source]).sum(1),
        repeats=torch.ones(len(target)),
    )


def test_angles_count_at_equal_distances(features: FeatureBatch, network: GemNet) -> None:
    fitted(network, GemNetGraphs(features).batch(np.arange(8)))
    right, narrow = graph_of([[2.0, 0, 0], [0, 2.0, 0]]), graph_of([[2.0, 0, 0], [1.0, 3.0**0.5, 0]])
    assert (network(right) - network(narrow)).abs().item() > 1e-3


def test_an_edge_beyond_the_cutoff_is_not_seen(features: FeatureBatch, network: GemNet) -> None:
    fitted(network, GemNetGraphs(features).batch(np.arange(8)))
    near = [[2.0, 0, 0], [0, 2.0, 0]]
    far = [network(graph_of([*near, [0, 0, length]])) for length in (6.5001, 9.0)]
    torch.testing.assert_close(*far)
    assert (far[0] - network(graph_of([*near, [0, 0, 5.0]]))).abs().item() > 1e-4


def test_factors_are_set_once_and_kept_in_the_weights(features: FeatureBatch, network: GemNet) -> None:
    graphs = GemNetGraphs(features)
    network.eval()(graphs.batch(rows(0, 1)))
    assert not any(bool(value) for name, value in network.state_dict().items() if name.endswith("fitted"))
    network.train()(graphs.batch(np.arange(8)))
    first = {name: value.clone() for name, value in network.state_dict().items() if name.endswith("factor")}
    assert all(float(value) not in {0.0, 1.0} for value in first.values())
    network(graphs.batch(rows(0, 1)))
    assert all(torch.equal(network.state_dict()[name], value) for name, value in first.items())


def test_gradient_reaches_every_parameter(features: FeatureBatch, network: GemNet) -> None:
    network.train()(GemNetGraphs(features).batch(np.arange(8))).square().sum().backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not without


def test_it_fits_a_few_crystals(features: FeatureBatch, network: GemNet) -> None:
    batch = GemNetGraphs(features).batch(np.arange(8))
    wanted = torch.linspace(-1.5, 1.5, 8)[torch.randperm(8, generator=torch.Generator().manual_seed(2))]
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    network.train()
    for _ in range(80):
        optimiser.zero_grad()
        loss = (network(batch) - wanted).square().mean()
        loss.backward()
        optimiser.step()
    assert (network.eval()(batch) - wanted).square().mean().item() < 0.01
