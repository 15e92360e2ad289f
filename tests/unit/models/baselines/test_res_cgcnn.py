from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from shc.models.baselines.graphs import GraphArrays
from shc.models.baselines.res_cgcnn import ResCGCNN, ResCGCNNConfig

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shc.featurize.store import FeatureBatch

SIZES = ResCGCNNConfig(width=16, hidden=16)


@pytest.fixture
def network() -> ResCGCNN:
    torch.manual_seed(0)
    return ResCGCNN(SIZES)


@torch.no_grad()
def test_a_crystal_is_predicted_alike_alone_and_in_any_batch(crystals: FeatureBatch, network: ResCGCNN) -> None:
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
def test_only_elements_distances_and_bonds_count(crystals: FeatureBatch, network: ResCGCNN) -> None:
    graph = GraphArrays(crystals).batch(np.arange(len(crystals)))
    network.eval()
    before = network(graph)
    turned = graph._replace(vector=graph.vector @ torch.linalg.qr(torch.randn(3, 3)).Q, lattice=2.0 * graph.lattice)
    assert torch.equal(network(turned), before)
    assert ((network(graph._replace(distance=graph.distance + 0.1)) - before).abs() > 1e-5).all()
    assert ((network(graph._replace(z=graph.z + 1)) - before).abs() > 1e-5).all()


@torch.no_grad()
@pytest.mark.parametrize("part", ["convolutions", "blocks", "hidden"])
@pytest.mark.parametrize("place", [0, -1])
def test_every_layer_acts(crystals: FeatureBatch, part: str, place: int) -> None:
    torch.manual_seed(0)
    network = ResCGCNN(ResCGCNNConfig(width=16, hidden=16, n_hidden=3)).eval()
    graph = GraphArrays(crystals).batch(np.arange(len(crystals)))
    before = network(graph)
    layers: Any = network.get_submodule(part)
    for parameter in layers[place].parameters():
        parameter.mul_(1.5)
    assert ((network(graph) - before).abs() > 1e-5).all()


@torch.no_grad()
def test_blocks_and_hidden_layers_hand_their_input_on(crystals: FeatureBatch, network: ResCGCNN) -> None:
    graph = GraphArrays(crystals).batch(np.arange(len(crystals)))
    network.eval()
    seen: dict[str, list[torch.Tensor]] = {"blocks": [], "widen": []}
    for block in network.blocks:
        block.register_forward_hook(lambda _, inputs, out: seen["blocks"].extend([inputs[0], out]))
    network.widen.register_forward_hook(lambda _, inputs, out: seen["widen"].extend([inputs[0], out]))
    whole = network(graph)
    first_in, first_out, second_in = seen["blocks"][:3]
    torch.testing.assert_close(second_in, torch.nn.functional.softplus(first_in + first_out))
    crystal = torch.nn.functional.softplus(seen["widen"][1])
    crystal = crystal + torch.nn.functional.softplus(network.hidden[0](crystal))
    torch.testing.assert_close(whole, network.out(crystal)[:, 0])


def test_gradient_reaches_every_parameter(crystals: FeatureBatch, network: ResCGCNN) -> None:
    network(GraphArrays(crystals).batch(np.arange(len(crystals)))).square().sum().backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_it_fits_a_few_crystals(crystals: FeatureBatch, shc: NDArray[np.float64], network: ResCGCNN) -> None:
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
