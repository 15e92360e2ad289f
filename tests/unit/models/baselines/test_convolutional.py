"""What holds for both convolutional networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from shc.models.baselines.cgcnn import CGCNN, CGCNNConfig
from shc.models.baselines.graphs import GraphArrays
from shc.models.baselines.res_cgcnn import ResCGCNN, ResCGCNNConfig

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shc.featurize.store import FeatureBatch


@pytest.fixture(params=["cgcnn", "res_cgcnn"])
def network(request: pytest.FixtureRequest) -> CGCNN | ResCGCNN:
    torch.manual_seed(0)
    if request.param == "cgcnn":
        return CGCNN(CGCNNConfig(width=16, hidden=16))
    return ResCGCNN(ResCGCNNConfig(width=16, hidden=16))


@torch.no_grad()
def test_a_crystal_is_predicted_alike_alone_and_in_any_batch(crystals: FeatureBatch, network: CGCNN | ResCGCNN) -> None:
    arrays = GraphArrays(crystals)
    rows = np.arange(len(crystals))
    network(arrays.batch(rows))  # moves the batch norms off their start
    network.eval()
    together = network(arrays.batch(rows))
    assert together.shape == (len(crystals),)
    assert together.std() > 1e-3
    torch.testing.assert_close(network(arrays.batch(rows[::-1].copy())).flip(0), together, atol=1e-5, rtol=1e-5)
    alone = torch.cat([network(arrays.batch(rows[i : i + 1])) for i in rows])
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_only_elements_distances_and_bonds_count(crystals: FeatureBatch, network: CGCNN | ResCGCNN) -> None:
    graph = GraphArrays(crystals).batch(np.arange(len(crystals)))
    network.eval()
    before = network(graph)
    turned = graph._replace(vector=graph.vector @ torch.linalg.qr(torch.randn(3, 3)).Q, lattice=2.0 * graph.lattice)
    assert torch.equal(network(turned), before)
    longer = graph._replace(distance=graph.distance + 0.1)
    assert ((network(longer) - before).abs() > 1e-5).all()
    other = graph._replace(z=graph.z + 1)
    assert ((network(other) - before).abs() > 1e-5).all()
    swapped = graph._replace(neighbour=graph.centre)
    assert ((network(swapped) - before).abs() > 1e-5).any()


def test_gradient_reaches_every_parameter(crystals: FeatureBatch, network: CGCNN | ResCGCNN) -> None:
    network(GraphArrays(crystals).batch(np.arange(len(crystals)))).square().sum().backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_it_fits_a_few_crystals(crystals: FeatureBatch, shc: NDArray[np.float64], network: CGCNN | ResCGCNN) -> None:
    rows = np.arange(16)
    graph = GraphArrays(crystals).batch(rows)
    target = torch.from_numpy((shc[rows] - shc[rows].mean()) / shc[rows].std()).float()
    optimiser = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(150):
        loss = torch.nn.functional.mse_loss(network(graph), target)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert loss.item() < 0.01
