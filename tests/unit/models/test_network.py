from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor

from shc.featurize.store import FeatureBatch
from shc.models.config import ModelConfig
from shc.models.data import CrystalArrays, CrystalBatch
from shc.models.heads import Output
from shc.models.network import SHCTransformer

if TYPE_CHECKING:
    from collections.abc import Callable

    from shc.featurize.types import CrystalRecord

CONFIG = ModelConfig(d_model=16, n_heads=2, hidden=32, n_values=8, n_distance=8, n_descriptor_tokens=2)
SIZES = [(5, 3), (1, 1), (8, 2), (4, 4), (12, 6)]
N_DESCRIPTORS, N_PROMPT = 9, 7


@pytest.fixture
def records(record_factory: Callable[..., CrystalRecord]) -> list[CrystalRecord]:
    return [record_factory(f"m{i}", n_atoms=a, n_nodes=n, seed=i) for i, (a, n) in enumerate(SIZES)]


@pytest.fixture
def batch(records: list[CrystalRecord]) -> CrystalBatch:
    return CrystalArrays(FeatureBatch.from_records(records)).batch(np.arange(len(records)))


@pytest.fixture
def network(batch: CrystalBatch) -> SHCTransformer:
    torch.manual_seed(0)
    made = SHCTransformer(CONFIG, N_DESCRIPTORS, N_PROMPT)
    made.fit_scales(batch.descriptors.numpy(), batch.prompt.numpy())
    return made.eval()


def assert_same(a: Output, b: Output, tolerance: float = 1e-5) -> None:
    for name, left, right in zip(Output._fields, a, b, strict=True):
        assert left.shape == right.shape
        torch.testing.assert_close(left, right, atol=tolerance, rtol=0.0, msg=name)


def pad(tensor: Tensor, nodes: int, neighbours: int = 0) -> Tensor:
    widths = [0, nodes] if tensor.ndim == 2 else [0, neighbours, 0, nodes]
    return torch.nn.functional.pad(tensor, widths)


def test_shapes_and_finite_values(network: SHCTransformer, batch: CrystalBatch) -> None:
    output = network.predict(batch)
    assert output.value_logits.shape == (5, 8)
    assert output.finite_logit.shape == (5,)
    assert output.embedding.shape == (5, network.embedding_width)
    assert output.tensor.shape == (5, 0)
    assert all(torch.isfinite(tensor).all() for tensor in output)
    assert output.value_logits.std(0).min() > 1e-3, "crystals must be told apart"


def test_padded_nodes_change_nothing(network: SHCTransformer, batch: CrystalBatch) -> None:
    wide = batch._replace(
        atoms=pad(batch.atoms, 5),
        weight=pad(batch.weight, 5),
        neighbours=pad(batch.neighbours, 5),
        distance=pad(batch.distance, 5),
        bond_weight=pad(batch.bond_weight, 5),
    )
    assert_same(network.predict(wide), network.predict(batch))


def test_what_stands_in_padding_changes_nothing(network: SHCTransformer, batch: CrystalBatch) -> None:
    empty = batch.weight == 0
    dirty = batch._replace(
        atoms=batch.atoms.masked_fill(empty, 78), distance=batch.distance.masked_fill(empty[..., None], 3.0)
    )
    assert_same(network.predict(dirty), network.predict(batch))


def test_missing_neighbours_change_nothing_whatever_their_distance(
    network: SHCTransformer, batch: CrystalBatch
) -> None:
    gone = torch.zeros_like(batch.neighbours, dtype=torch.bool)
    gone[:, :, 9:] = True
    cut = batch._replace(
        neighbours=batch.neighbours.masked_fill(gone, 0),
        distance=batch.distance.masked_fill(gone, 0),
        bond_weight=batch.bond_weight.masked_fill(gone, 0),
    )
    other = cut._replace(distance=cut.distance.masked_fill(gone, 2.5))
    assert_same(network.predict(cut), network.predict(other))
    assert not torch.allclose(network.predict(cut).value_logits, network.predict(batch).value_logits, atol=1e-4)


def test_a_crystal_alone_and_in_a_batch(network: SHCTransformer, records: list[CrystalRecord]) -> None:
    arrays = CrystalArrays(FeatureBatch.from_records(records))
    together = network.predict(arrays.batch(np.arange(5)))
    alone = [network.predict(arrays.batch(np.array([row]))) for row in range(5)]
    joined = Output(*(torch.cat(parts) for parts in zip(*alone, strict=True)))
    assert_same(together, joined)


def test_the_order_of_nodes_and_neighbours_does_not_matter(network: SHCTransformer, batch: CrystalBatch) -> None:
    rng = np.random.default_rng(0)
    n_batch, n_nodes = batch.atoms.shape
    place = torch.from_numpy(np.stack([rng.permutation(n_nodes) for _ in range(n_batch)]))
    inverse = place.argsort(1)
    lookup = torch.cat([torch.zeros(n_batch, 1, dtype=torch.int64), inverse + 1], dim=1)
    renamed = lookup.gather(1, batch.neighbours.flatten(1)).reshape(batch.neighbours.shape)
    turn = torch.from_numpy(rng.permutation(batch.neighbours.shape[2]))

    def moved(tensor: Tensor) -> Tensor:
        return torch.stack([row[order] for row, order in zip(tensor, place, strict=True)])

    mixed = batch._replace(
        atoms=moved(batch.atoms),
        weight=moved(batch.weight),
        neighbours=moved(renamed)[:, :, turn],
        distance=moved(batch.distance)[:, :, turn],
        bond_weight=moved(batch.bond_weight)[:, :, turn],
    )
    assert_same(network.predict(mixed), network.predict(batch))


def unmerged(record: CrystalRecord) -> CrystalRecord:
    """The same crystal with a node per atom; an atom has the neighbours of the node it belongs to."""
    return replace(
        record,
        orbit=np.arange(len(record.orbit), dtype=np.uint16),
        neighbour_atom=record.neighbour_atom[record.orbit],
        neighbour_shift=record.neighbour_shift[record.orbit],
        neighbour_distance=record.neighbour_distance[record.orbit],
    )


def one_element_per_orbit(record: CrystalRecord) -> CrystalRecord:
    _, first = np.unique(record.orbit, return_index=True)
    return replace(record, atomic_number=record.atomic_number[first][record.orbit])


def test_equivalent_atoms_as_one_node_or_as_many(network: SHCTransformer, records: list[CrystalRecord]) -> None:
    """The share of a node enters its tokens, so it is set to the merged one; all else follows by symmetry."""
    merged = [one_element_per_orbit(record) for record in records]
    few = CrystalArrays(FeatureBatch.from_records(merged)).batch(np.arange(5))
    many = CrystalArrays(FeatureBatch.from_records([unmerged(record) for record in merged])).batch(np.arange(5))
    assert many.atoms.shape[1] > few.atoms.shape[1]
    with torch.no_grad():
        network.crystal.weight.weight.zero_()
    assert_same(network.predict(few), network.predict(many), 2e-5)


def test_the_share_of_a_node_is_seen(network: SHCTransformer, batch: CrystalBatch) -> None:
    other = batch.weight.clone()
    other[0, :3] = torch.tensor([0.8, 0.1, 0.1])
    assert not torch.allclose(
        network.predict(batch._replace(weight=other)).value_logits[0], network.predict(batch).value_logits[0], atol=1e-4
    )


@pytest.mark.parametrize("field", ["atoms", "distance", "descriptors", "prompt"])
def test_every_input_matters(network: SHCTransformer, batch: CrystalBatch, field: str) -> None:
    value = getattr(batch, field)
    real = {"atoms": batch.weight > 0, "distance": batch.neighbours > 0}.get(field)
    other = value % 90 + 1 if not value.is_floating_point() else value * 1.3 + 0.2
    replaced: dict[str, Any] = {field: other if real is None else torch.where(real, other, value)}
    changed = network.predict(batch._replace(**replaced))
    difference = (changed.value_logits - network.predict(batch).value_logits).abs().amax(1)
    assert (difference > 1e-5).all()


def test_every_parameter_learns_but_the_token_of_absent_bands(network: SHCTransformer, batch: CrystalBatch) -> None:
    """The band token is masked in every crystal, so its gradient is exactly zero."""
    network.train()
    output = network.predict(batch)
    (output.value_logits.square().sum() + output.finite_logit.square().sum()).backward()  # type: ignore[no-untyped-call]
    gradients = {name: parameter.grad for name, parameter in network.named_parameters()}
    assert all(gradient is not None and torch.isfinite(gradient).all() for gradient in gradients.values())
    idle = {name for name, gradient in gradients.items() if gradient is not None and not gradient.any()}
    # The bias of the keys shifts all attention logits of a query alike: softmax does not see it.
    assert {name for name in idle if not name.endswith("key.bias")} == {"no_bands"}


def test_training_is_noisy_and_evaluation_is_not(network: SHCTransformer, batch: CrystalBatch) -> None:
    assert torch.equal(network.predict(batch).value_logits, network.predict(batch).value_logits)
    network.train()
    assert not torch.equal(network.predict(batch).value_logits, network.predict(batch).value_logits)
