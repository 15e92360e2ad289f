from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from shc.featurize.store import FeatureBatch
from shc.models.baselines.atom_graphs import AtomGraphs
from shc.models.baselines.crystal_transformer import CrystalTransformer, CrystalTransformerConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from shc.featurize.types import CrystalRecord
    from shc.models.baselines.graphs import GraphBatch

CONFIG = CrystalTransformerConfig(width=24, n_layers=2, n_distance=16, n_angle=8)
TURN = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
TURN *= np.linalg.det(TURN)


@pytest.fixture
def records(record_factory: Callable[..., CrystalRecord]) -> list[CrystalRecord]:
    return [record_factory(f"m{i}", n_atoms=2 + i % 4, n_nodes=2, seed=i) for i in range(16)]


@pytest.fixture
def network(records: list[CrystalRecord]) -> CrystalTransformer:
    """With statistics of batches that are not those of its start."""
    torch.manual_seed(0)
    network, graph = CrystalTransformer(CONFIG), graph_of(records)
    for _ in range(20):
        network(graph)
    return network.eval()


def graph_of(records: list[CrystalRecord], rows: NDArray[np.int64] | None = None) -> GraphBatch:
    graphs = AtomGraphs(FeatureBatch.from_records(records))
    return graphs.batch(np.arange(len(records)) if rows is None else rows)


def predict(network: CrystalTransformer, graph: GraphBatch) -> Tensor:
    with torch.no_grad():
        prediction: Tensor = network(graph)
    return prediction


def assert_same(a: Tensor, b: Tensor) -> None:
    assert torch.allclose(a, b, atol=1e-4, rtol=1e-4)
    assert a.std() > 1e-2


def test_turned_vectors_change_nothing(network: CrystalTransformer, records: list[CrystalRecord]) -> None:
    graph, turn = graph_of(records), torch.tensor(TURN, dtype=torch.float32)
    turned = graph._replace(vector=graph.vector @ turn, lattice=graph.lattice @ turn)
    assert_same(predict(network, graph), predict(network, turned))


def test_a_turned_crystal_changes_nothing(network: CrystalTransformer, records: list[CrystalRecord]) -> None:
    turned = [replace(record, lattice=record.lattice @ TURN) for record in records]
    assert_same(predict(network, graph_of(records)), predict(network, graph_of(turned)))


def test_another_cell_and_order_of_atoms_change_nothing(
    network: CrystalTransformer, records: list[CrystalRecord]
) -> None:
    change = np.array([[1, 0, 0], [1, 1, 0], [0, -1, 1]])
    other = [
        replace(
            record,
            lattice=change @ record.lattice,
            frac=((record.frac + 0.3) @ np.linalg.inv(change))[::-1],
            atomic_number=record.atomic_number[::-1],
        )
        for record in records
    ]
    assert_same(predict(network, graph_of(records)), predict(network, graph_of(other)))


def test_a_crystal_alone_and_in_a_batch(network: CrystalTransformer, records: list[CrystalRecord]) -> None:
    together = predict(network, graph_of(records))
    backwards = predict(network, graph_of(records, np.arange(16)[::-1].copy()))
    alone = torch.cat([predict(network, graph_of([record])) for record in records])
    assert_same(together, alone)
    assert_same(together, backwards.flip(0))


def test_other_angles_at_equal_distances_matter(network: CrystalTransformer, records: list[CrystalRecord]) -> None:
    graph = graph_of(records)
    bent = graph._replace(vector=graph.vector[:, [1, 2, 0]])
    assert torch.all((predict(network, graph) - predict(network, bent)).abs() > 1e-4)


def test_a_mirror_image_is_another_crystal(network: CrystalTransformer, records: list[CrystalRecord]) -> None:
    mirrored = [replace(record, lattice=record.lattice * np.array([1.0, 1.0, -1.0])) for record in records]
    difference = predict(network, graph_of(records)) - predict(network, graph_of(mirrored))
    assert torch.all(difference.abs() > 1e-5)


def test_the_readout_is_a_mean(network: CrystalTransformer, record_factory: Callable[..., CrystalRecord]) -> None:
    graph = graph_of([record_factory(n_atoms=1, n_nodes=1)])
    twice = graph._replace(
        z=graph.z.repeat(2),
        weight=graph.weight.repeat(2) / 2.0,
        crystal=graph.crystal.repeat(2),
        centre=torch.cat([graph.centre, graph.centre + 1]),
        neighbour=torch.cat([graph.neighbour, graph.neighbour + 1]),
        vector=graph.vector.repeat(2, 1),
        distance=graph.distance.repeat(2),
    )
    assert torch.allclose(predict(network, graph), predict(network, twice), atol=1e-5)


def test_a_gradient_reaches_every_parameter(records: list[CrystalRecord]) -> None:
    torch.manual_seed(0)
    network = CrystalTransformer(CONFIG)
    network(graph_of(records)).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0.0, name


def test_it_fits_a_few_crystals(records: list[CrystalRecord]) -> None:
    torch.manual_seed(0)
    network, graph = CrystalTransformer(CONFIG), graph_of(records)
    target = torch.randn(16, generator=torch.Generator().manual_seed(1))
    optimiser = torch.optim.Adam(network.parameters(), 5e-3)
    for _ in range(40):
        optimiser.zero_grad()
        loss = (network(graph) - target).square().mean()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.02
