from __future__ import annotations

import subprocess
import sys
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from shc.featurize.store import FeatureBatch
from shc.models.config import ModelConfig
from shc.models.data import CrystalArrays
from shc.models.encoders.crystal import CrystalEncoder
from shc.models.graph_exchange import node_states, to_pyg

if TYPE_CHECKING:
    from collections.abc import Callable

    from shc.featurize.types import CrystalRecord

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch_geometric.data import Batch
    from torch_geometric.nn import MessagePassing


@pytest.fixture
def features(record_factory: Callable[..., CrystalRecord]) -> FeatureBatch:
    """Crystals of several sizes; one lacks neighbours, one node has none at all, one has equivalent neighbours."""
    records = [record_factory(f"c{i}", n_atoms=2 + 3 * i, n_nodes=1 + i) for i in range(5)]
    atom = records[2].neighbour_atom.copy()
    distance, shift = records[2].neighbour_distance.copy(), records[2].neighbour_shift.copy()
    for node, start in ((0, 0), (1, 7)):
        atom[node, start:], distance[node, start:], shift[node, start:] = -1, 0.0, 0
    records[2] = replace(records[2], neighbour_atom=atom, neighbour_distance=distance, neighbour_shift=shift)
    atom, distance = records[4].neighbour_atom.copy(), records[4].neighbour_distance.copy()
    atom[:, 1:5], distance[:, 1:5] = atom[:, :1], distance[:, :1]
    records[4] = replace(records[4], neighbour_atom=atom, neighbour_distance=distance)
    return FeatureBatch.from_records(records)


@pytest.fixture
def encoder() -> CrystalEncoder:
    torch.manual_seed(0)
    return CrystalEncoder(ModelConfig(d_model=16, n_convolutions=3)).eval()


@torch.no_grad()
def test_edge_lists_give_the_node_states_of_the_dense_layout(features: FeatureBatch, encoder: CrystalEncoder) -> None:
    arrays = CrystalArrays(features)
    dense = arrays.batch(np.arange(len(arrays)))
    assert arrays.n_bonds[4] == 8 < arrays.n_bonds[3]
    expected = encoder(dense.atoms, dense.weight, dense.neighbours, dense.distance, dense.bond_weight)
    for index in range(len(features)):
        data = to_pyg(features, index)
        got = node_states(
            encoder, data.atomic_number, data.node_weight, data.edge_index, data.edge_length, data.max_neighbours
        )
        assert got.abs().max() > 0.1
        torch.testing.assert_close(got, expected[index, : data.num_nodes], atol=1e-5, rtol=0.0)


@torch.no_grad()
def test_a_batch_of_torch_geometric_gives_the_same(features: FeatureBatch, encoder: CrystalEncoder) -> None:
    batch = Batch.from_data_list([to_pyg(features, i) for i in range(len(features))])
    arrays = CrystalArrays(features)
    dense = arrays.batch(np.arange(len(arrays)))
    expected = encoder(dense.atoms, dense.weight, dense.neighbours, dense.distance, dense.bond_weight)[dense.weight > 0]
    got = node_states(encoder, batch.atomic_number, batch.node_weight, batch.edge_index, batch.edge_length, 12)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0.0)
    assert batch.descriptors.shape == (5, 9)
    assert batch.lattice.shape == (5, 3, 3)
    assert batch.space_group_number.tolist() == features.space_group_number.tolist()


class _Sum(MessagePassing):  # type: ignore[misc]
    """Sum over the messages of a layer, as torch-geometric does it."""

    def __init__(self) -> None:
        super().__init__(aggr="sum", flow="target_to_source")

    def forward(self, edge_index: torch.Tensor, message: torch.Tensor, n: int) -> torch.Tensor:
        total: torch.Tensor = self.propagate(edge_index, edge_message=message, size=(n, n))
        return total

    def message(self, edge_message: torch.Tensor) -> torch.Tensor:
        return edge_message


def test_messages_flow_from_target_to_source(features: FeatureBatch) -> None:
    data = to_pyg(features, 2)
    ones = torch.ones(data.edge_index.shape[1], 1)
    degree = _Sum()(data.edge_index, ones, data.num_nodes)
    assert degree[:, 0].tolist() == [0.0, 7.0, 12.0]


def test_edges_carry_shift_vector_and_length() -> None:
    # Simple cubic CsCl-like cell: 8 neighbours at half the body diagonal.
    corner = np.array([[i, j, k] for i in (-1, 0) for j in (-1, 0) for k in (-1, 0)])
    a = 4.0
    features = FeatureBatch(
        material_id=["CsCl"],
        formula=["CsCl"],
        content_hash=["00" * 32],
        space_group_number=np.array([221]),
        lattice=a * np.eye(3)[None],
        symmetry_prompt=np.zeros((1, 7), np.float32),
        descriptors=np.zeros((1, 9), np.float32),
        atom_offsets=np.array([0, 2]),
        node_offsets=np.array([0, 2]),
        atomic_number=np.array([55, 17], np.uint8),
        frac=np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]),
        orbit=np.array([0, 1], np.uint16),
        neighbour_atom=np.repeat([[1], [0]], 8, axis=1).astype(np.int32),
        neighbour_shift=np.stack([corner, corner + 1]).astype(np.int16),
        neighbour_distance=np.full((2, 8), a * np.sqrt(0.75), np.float32),
    )
    data = to_pyg(features, 0)
    assert data.atomic_number.tolist() == [55, 17]
    assert data.edge_index.tolist() == [[0] * 8 + [1] * 8, [1] * 8 + [0] * 8]
    torch.testing.assert_close(data.edge_vector.norm(dim=1), data.edge_length)
    assert data.edge_shift[:8].tolist() == corner.tolist()
    torch.testing.assert_close(data.edge_vector.sum(dim=0), torch.zeros(3), atol=1e-6, rtol=0.0)
    assert data.node_weight.tolist() == [0.5, 0.5]


def test_node_weights_count_atoms(features: FeatureBatch) -> None:
    data = to_pyg(features, 3)
    assert float(data.node_weight.sum()) == pytest.approx(1.0)
    assert data.edge_index.max() < data.num_nodes
    assert data.edge_atom.max() < 11


def test_a_crystal_that_is_not_there_is_refused(features: FeatureBatch) -> None:
    for index in (-1, 5):
        with pytest.raises(IndexError):
            to_pyg(features, index)


def test_importing_the_module_does_not_import_torch_geometric() -> None:
    code = "import sys, shc.models.graph_exchange; sys.exit('torch_geometric' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
