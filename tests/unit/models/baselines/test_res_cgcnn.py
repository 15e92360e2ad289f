from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from shc.models.baselines.graphs import GraphArrays
from shc.models.baselines.res_cgcnn import ResCGCNN, ResCGCNNConfig

if TYPE_CHECKING:
    from shc.featurize.store import FeatureBatch

SIZES = ResCGCNNConfig(width=16, hidden=16)


@pytest.fixture
def network() -> ResCGCNN:
    torch.manual_seed(0)
    return ResCGCNN(SIZES)


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
