from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from shc.models.baselines.cgcnn import CGCNN, CGCNNConfig, GaussianDistance, element_groups
from shc.models.baselines.graphs import GraphArrays

if TYPE_CHECKING:
    from shc.featurize.store import FeatureBatch

SIZES = CGCNNConfig(width=16, hidden=16)


@pytest.fixture
def network() -> CGCNN:
    torch.manual_seed(0)
    return CGCNN(SIZES)


@torch.no_grad()
def test_a_message_reads_its_neighbour_and_lands_at_its_centre(crystals: FeatureBatch, network: CGCNN) -> None:
    graph = GraphArrays(crystals).batch(np.array([10]))  # SrTiO3
    network.eval()
    edges = torch.stack([graph.neighbour, graph.centre])[:, :1]
    nodes, bond = network.embed(graph.z), network.distance(graph.distance)[:1]
    convolve: Any = network.convolutions[0].convolve
    moved = convolve(nodes, edges, bond) - nodes
    pair = torch.cat([nodes[graph.centre[0]], nodes[graph.neighbour[0]], bond[0]])
    message = convolve.lin_f(pair).sigmoid() * torch.nn.functional.softplus(convolve.lin_s(pair))
    expected = torch.zeros_like(nodes)
    expected[graph.centre[0]] = message
    torch.testing.assert_close(moved, expected / (1.0 + convolve.bn.eps) ** 0.5, atol=1e-6, rtol=0.0)


def test_distances_are_expanded_in_gaussians() -> None:
    expand = GaussianDistance(8.0, 0.2)
    values = expand(torch.tensor([0.0, 2.0, 2.1]))
    assert values.shape == (3, 41)
    assert float(values[0, 0]) == pytest.approx(1.0)
    assert values.argmax(1).tolist()[1] == 10
    assert float(values[1, 10]) == pytest.approx(1.0)
    assert float(values[2, 10]) == pytest.approx(float(values[2, 11]), rel=1e-4)
    assert float(values[1, 11]) == pytest.approx(np.exp(-1.0), rel=1e-4)


def test_every_element_has_one_value_of_each_property() -> None:
    groups = element_groups()
    assert set(np.unique(groups)) == {0.0, 1.0}
    assert (groups[1:].sum(axis=1) == 9).all(), "period, group, valence, five of ten bins, block"
    assert len(np.unique(groups[1:], axis=0)) > 95, "nearly every element differs from all others"
    assert (groups[1:].sum(axis=0) > 0).mean() > 0.95
