"""M3GNet on made-up graphs: symmetries, angles, cutoffs, the sums against plain loops, learning."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from shc.models.baselines.bases import polynomial_cutoff, zonal_harmonics
from shc.models.baselines.graphs import GraphBatch
from shc.models.baselines.m3gnet import M3GNet, M3GNetConfig, ThreeBody

CONFIG = M3GNetConfig(width=16, n_blocks=2)


def toy_graph(seed: int, n_nodes: int = 3, n_bonds: int = 5) -> GraphBatch:
    """One crystal with bonds of random direction and of 1.5 to 5.5 Angstrom."""
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=(n_nodes * n_bonds, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    distance = rng.uniform(1.5, 5.5, n_nodes * n_bonds)
    return GraphBatch(
        z=torch.from_numpy(rng.integers(1, 100, n_nodes)),
        weight=torch.from_numpy(rng.dirichlet(np.ones(n_nodes))).float(),
        crystal=torch.zeros(n_nodes, dtype=torch.int64),
        centre=torch.arange(n_nodes).repeat_interleave(n_bonds),
        neighbour=torch.from_numpy(rng.integers(0, n_nodes, n_nodes * n_bonds)),
        vector=torch.from_numpy(direction * distance[:, None]).float(),
        distance=torch.from_numpy(distance).float(),
        lattice=torch.from_numpy(rng.normal(size=(1, 3, 3))).float(),
    )


def join(graphs: list[GraphBatch]) -> GraphBatch:
    """One batch of several crystals."""
    first_node = np.cumsum([0] + [len(g.z) for g in graphs]).tolist()
    shifted = [
        g._replace(crystal=g.crystal + k, centre=g.centre + first_node[k], neighbour=g.neighbour + first_node[k])
        for k, g in enumerate(graphs)
    ]
    return GraphBatch(*(torch.cat(parts) for parts in zip(*shifted, strict=True)))


def three_bonds(angle: float, length: float = 2.0) -> GraphBatch:
    """An atom with two bonds at an angle, degrees, and a third one at right angles to both."""
    x = math.radians(angle)
    direction = torch.tensor([[1.0, 0.0, 0.0], [math.cos(x), math.sin(x), 0.0], [0.0, 0.0, 1.0]])
    return toy_graph(0, n_nodes=1, n_bonds=3)._replace(vector=length * direction, distance=torch.full((3,), length))


@pytest.fixture
def model() -> M3GNet:
    """A small network."""
    torch.manual_seed(0)
    return M3GNet(CONFIG)


@pytest.fixture
def graphs() -> list[GraphBatch]:
    """Crystals of several sizes."""
    return [toy_graph(seed, n_nodes=1 + seed % 4) for seed in range(6)]


@torch.no_grad()
def predict(model: M3GNet, graph: GraphBatch) -> Tensor:
    """Outputs without gradients."""
    out: Tensor = model(graph)
    return out


def test_rotation_and_reflection_change_nothing(model: M3GNet, graphs: list[GraphBatch]) -> None:
    """Any orthogonal matrix turns all vectors and lattices."""
    batch = join(graphs)
    turn = torch.from_numpy(np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]).float()
    turned = batch._replace(vector=batch.vector @ turn, lattice=batch.lattice @ turn)
    torch.testing.assert_close(predict(model, turned), predict(model, batch))


def test_a_crystal_is_the_same_alone_and_in_any_batch(model: M3GNet, graphs: list[GraphBatch]) -> None:
    """Also when the batch is in reverse order."""
    alone = torch.cat([predict(model, graph) for graph in graphs])
    assert alone.shape == (6,)
    assert alone.std() > 1e-3
    torch.testing.assert_close(predict(model, join(graphs)), alone)
    torch.testing.assert_close(predict(model, join(graphs[::-1])).flip(0), alone)


def test_order_of_bonds_changes_nothing(model: M3GNet) -> None:
    """Bonds of one atom are a set."""
    graph = toy_graph(1)
    order = torch.tensor([3, 1, 4, 0, 2, 9, 8, 7, 6, 5, 11, 10, 12, 14, 13])
    fields = {name: getattr(graph, name)[order] for name in ("centre", "neighbour", "vector", "distance")}
    torch.testing.assert_close(predict(model, graph._replace(**fields)), predict(model, graph))


def test_an_orbit_of_equivalent_atoms_is_one_node(model: M3GNet) -> None:
    """Two equal atoms as two nodes give what one node with both weights gives."""
    one = toy_graph(2, n_nodes=1)
    half = torch.full((2,), 0.5)
    two = join([one, one])._replace(crystal=torch.zeros(2, dtype=torch.int64), weight=half, lattice=one.lattice)
    torch.testing.assert_close(predict(model, two), predict(model, one))


def test_angles_matter(model: M3GNet) -> None:
    """Equal distances and other angles give other outputs."""
    outputs = torch.cat([predict(model, three_bonds(angle)) for angle in (60.0, 90.0, 109.5, 180.0)])
    assert outputs.diff().abs().min() > 1e-6


def test_angles_beyond_the_three_body_cutoff_do_not_matter(model: M3GNet) -> None:
    """Bonds of 4.2 Angstrom are seen, their angles are not."""
    torch.testing.assert_close(predict(model, three_bonds(60.0, 4.2)), predict(model, three_bonds(90.0, 4.2)))
    assert not torch.allclose(predict(model, three_bonds(60.0, 4.2)), predict(model, three_bonds(60.0, 4.4)))


def test_bonds_fade_out_at_the_cutoff(model: M3GNet) -> None:
    """A bond at the cutoff is as good as none, as are all bonds beyond it."""
    no_bond = predict(model, three_bonds(60.0, 7.0))
    torch.testing.assert_close(predict(model, three_bonds(60.0, 4.9999)), no_bond)


def test_three_body_sum_equals_plain_loops(model: M3GNet) -> None:
    """The paper's sum over pairs of bonds, written out."""
    batch = join([toy_graph(seed) for seed in (3, 4)])
    bonds = model.features(batch)
    layer = ThreeBody(CONFIG)
    atom = torch.randn(len(batch.z), CONFIG.width)
    gate = layer.atom(atom).sigmoid()
    expected = torch.zeros(len(bonds.centre), CONFIG.width)
    kept = (batch.distance < CONFIG.cutoff).nonzero()[:, 0].tolist()
    for row, j in enumerate(kept):
        total = torch.zeros(CONFIG.n_orders, CONFIG.n_radial)
        for k in kept:
            pair = batch.distance[[j, k]]
            if j == k or batch.centre[j] != batch.centre[k] or pair.max() >= CONFIG.three_body_cutoff:
                continue
            cosine = (batch.vector[j] @ batch.vector[k] / pair.prod())[None]
            radial = model.features.bessel(pair[1:])[0] * CONFIG.cutoff**1.5
            basis = radial * zonal_harmonics(cosine, CONFIG.n_orders)[0][:, None]
            envelope = polynomial_cutoff(pair, CONFIG.three_body_cutoff, 3).prod()
            total += basis * gate[batch.neighbour[k]].view_as(total) * envelope
        seen = total.flatten()
        expected[row] = torch.nn.functional.silu(layer.value(seen)) * layer.gate(seen).sigmoid()
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(layer(atom, torch.zeros_like(expected), bonds), expected)


def test_gradient_reaches_every_parameter(model: M3GNet, graphs: list[GraphBatch]) -> None:
    """None is left out of the sum."""
    model(join(graphs)).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_it_learns_sixteen_crystals(model: M3GNet) -> None:
    """Random targets of unit variance."""
    batch = join([toy_graph(seed) for seed in range(16)])
    target = torch.randn(16)
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(120):
        loss = (model(batch) - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.02
