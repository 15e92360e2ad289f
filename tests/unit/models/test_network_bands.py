"""The network beside bands: what they change, and what they must not."""

from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from shc.featurize.store import FeatureBatch
from shc.models.bands_data import BandsArrays, BandsBatch
from shc.models.data import CrystalArrays, CrystalBatch
from shc.models.network import SHCTransformer

if TYPE_CHECKING:
    from collections.abc import Callable

    from shc.featurize.types import CrystalRecord
    from shc.models.config import ModelConfig
    from shc.models.heads import Output

TINY: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[2] / "data" / "tiny_model.py"))
FUSED: ModelConfig = TINY["FUSED"]
SIZES = [(5, 3), (1, 1), (8, 2), (4, 4), (12, 6)]
HAS_CURVES, N_PICTURES = np.array([1, 0, 0, 1, 0], dtype=np.bool_), np.array([1, 1, 0, 0, 0])
KNOWN = HAS_CURVES | (N_PICTURES > 0)
ALL = np.arange(5)
PREDICTED = ("value_logits", "finite_logit", "tensor")


@pytest.fixture
def arrays(record_factory: Callable[..., CrystalRecord]) -> CrystalArrays:
    """Crystals with both, a picture, nothing, curves, nothing."""
    records = [record_factory(f"m{i}", n_atoms=a, n_nodes=n, seed=i) for i, (a, n) in enumerate(SIZES)]
    rng = np.random.default_rng(0)
    curves = np.abs(rng.normal(size=(5, FUSED.n_curves))).astype(np.float32) * HAS_CURVES[:, None]
    tokens = torch.from_numpy(rng.normal(size=(2, FUSED.n_picture_tokens, FUSED.picture_width)).astype(np.float16))
    return CrystalArrays(FeatureBatch.from_records(records), BandsArrays(curves, HAS_CURVES, tokens, N_PICTURES))


@pytest.fixture
def network(arrays: CrystalArrays) -> SHCTransformer:
    torch.manual_seed(0)
    made = SHCTransformer(FUSED, 9, 7)
    made.fit_scales(arrays.descriptors, arrays.prompt)
    assert made.bands is not None
    curves = np.abs(np.random.default_rng(1).normal(size=(30, FUSED.n_curves))).astype(np.float32)
    made.bands.fit_scales(arrays.descriptors, curves)
    return made.eval()


def bands_in(batch: CrystalBatch) -> BandsBatch:
    assert batch.bands is not None
    return batch.bands


def gap(a: Output, b: Output, name: str) -> Tensor:
    """``[B]`` largest difference of a field."""
    difference: Tensor = (getattr(a, name) - getattr(b, name)).abs().flatten(1 if name != "finite_logit" else 0)
    return difference.amax(dim=1) if difference.ndim > 1 else difference


@torch.no_grad()
def test_crystals_without_bands_are_predicted_as_if_there_were_none(
    network: SHCTransformer, arrays: CrystalArrays
) -> None:
    together, alone = network.predict(arrays.batch(ALL)), network.predict(arrays.batch(ALL, 0))
    for name in PREDICTED:
        assert torch.equal(getattr(together, name)[~KNOWN], getattr(alone, name)[~KNOWN]), name
    assert (gap(together, alone, "value_logits")[KNOWN] > 1e-3).all()
    assert (gap(together, alone, "finite_logit")[KNOWN] > 1e-4).all()
    # The tensor and the embedding are those of the structure, whatever is known.
    assert torch.equal(together.tensor, alone.tensor)
    assert torch.equal(together.embedding, alone.embedding)


@torch.no_grad()
def test_what_stands_where_nothing_is_known_changes_nothing(network: SHCTransformer, arrays: CrystalArrays) -> None:
    batch = arrays.batch(ALL)
    bands = bands_in(batch)
    curves = torch.where(bands.has_curves[:, None] > 0, bands.curves, torch.tensor(33.0))
    picture = torch.where(bands.has_picture[:, None, None] > 0, bands.picture, torch.arange(8.0))
    other = network.predict(batch._replace(bands=bands._replace(curves=curves, picture=picture)))
    for name in PREDICTED:
        assert torch.equal(getattr(other, name), getattr(network.predict(batch), name)), name


@torch.no_grad()
@pytest.mark.parametrize(("field", "seen"), [("curves", HAS_CURVES), ("picture", N_PICTURES > 0)])
def test_what_is_known_of_the_bands_matters(
    network: SHCTransformer, arrays: CrystalArrays, field: str, seen: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> None:
    batch = arrays.batch(ALL)
    noise = torch.randn(getattr(batch.bands, field).shape, generator=torch.Generator().manual_seed(3))
    changed = network.predict(batch._replace(bands=bands_in(batch)._replace(**{field: noise})))
    moved = gap(changed, network.predict(batch), "value_logits") > 1e-5
    assert moved.tolist() == seen.tolist()


@torch.no_grad()
def test_a_batch_of_five_is_five_of_one(network: SHCTransformer, arrays: CrystalArrays) -> None:
    together = network.predict(arrays.batch(ALL))
    for row in range(5):
        alone = network.predict(arrays.batch(np.array([row])))
        for name in PREDICTED:
            torch.testing.assert_close(getattr(alone, name)[0], getattr(together, name)[row], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_padded_nodes_change_nothing(network: SHCTransformer, arrays: CrystalArrays) -> None:
    batch = arrays.batch(ALL)
    wide = batch._replace(
        atoms=nn.functional.pad(batch.atoms, [0, 4]),
        weight=nn.functional.pad(batch.weight, [0, 4]),
        neighbours=nn.functional.pad(batch.neighbours, [0, 0, 0, 4]),
        distance=nn.functional.pad(batch.distance, [0, 0, 0, 4]),
        bond_weight=nn.functional.pad(batch.bond_weight, [0, 0, 0, 4]),
    )
    for name in PREDICTED:
        torch.testing.assert_close(getattr(network.predict(wide), name), getattr(network.predict(batch), name))


def summed(output: Output) -> Tensor:
    return output.value_logits.square().sum() + output.finite_logit.square().sum()


def test_the_structure_does_not_learn_from_the_bands(network: SHCTransformer, arrays: CrystalArrays) -> None:
    network.train()
    _, joined = network.both(arrays.batch(ALL))
    assert joined is not None
    summed(joined).backward()  # type: ignore[no-untyped-call]
    learning = {name for name, p in network.named_parameters() if p.grad is not None and p.grad.any()}
    assert learning
    assert {name for name in learning if not name.startswith("bands.")} == set()


def test_nothing_else_learns_from_the_tensor(network: SHCTransformer, arrays: CrystalArrays) -> None:
    network.train()
    network.predict(arrays.batch(ALL)).tensor.square().sum().backward()  # type: ignore[no-untyped-call]
    learning = {name for name, p in network.named_parameters() if p.grad is not None and p.grad.any()}
    assert learning == {name for name, _ in network.named_parameters() if name.startswith("heads.tensor.")}
    assert learning


def test_every_parameter_of_the_branch_learns(network: SHCTransformer, arrays: CrystalArrays) -> None:
    _, joined = network.both(arrays.batch(ALL))
    assert joined is not None
    summed(joined).backward()  # type: ignore[no-untyped-call]
    assert network.bands is not None
    idle = {name for name, p in network.bands.named_parameters() if p.grad is None or not p.grad.any()}
    # The bias of the keys shifts all attention logits of a query alike: softmax does not see it.
    assert {name for name in idle if not name.endswith("key.bias")} == set()


def test_without_a_branch_bands_are_not_looked_at(network: SHCTransformer, arrays: CrystalArrays) -> None:
    torch.manual_seed(0)
    plain = SHCTransformer(replace(FUSED, n_curves=0), 9, 7)
    plain.fit_scales(arrays.descriptors, arrays.prompt)
    alone, joined = plain.eval().both(arrays.batch(ALL))
    assert joined is None
    assert network.both(arrays.batch(ALL, 0))[1] is None
    expected = network.both(arrays.batch(ALL, 0))[0]
    assert torch.equal(alone.value_logits, expected.value_logits), "the branch draws its weights last"
