from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from shc.models.backends.shapes import first, padded, without_bands
from shc.models.members import Members, arguments

if TYPE_CHECKING:
    from collections.abc import Callable

    from shc.models.data import CrystalBatch
    from shc.models.ensemble import Ensemble

NAMES = ["Ag", "RhSi", "WTe2"]
"""1, 3 and 6 nodes."""


@torch.inference_mode()
@pytest.mark.parametrize("bands", [False, True])
@pytest.mark.parametrize("more", [(0, 0, 0), (5, 0, 0), (0, 7, 0), (0, 0, 4), (5, 7, 4)])
def test_padding_changes_nothing_of_what_is_said(
    fused: Ensemble, make_batch: Callable[..., CrystalBatch], bands: bool, more: tuple[int, int, int]
) -> None:
    batch = make_batch(NAMES, bands=bands)
    sizes = [size + extra for size, extra in zip(batch.neighbours.shape, more, strict=True)]
    large = padded(batch, *sizes)
    assert list(large.neighbours.shape) == sizes
    assert large.atoms.shape == large.weight.shape == large.neighbours.shape[:2]
    assert large.distance.shape == large.bond_weight.shape == large.neighbours.shape
    assert {len(tensor) for tensor in arguments(large)} == {sizes[0]}
    assert (large.bands is not None) == bands
    said = Members(fused.members)(*arguments(large))
    assert all(tensor.isfinite().all() for tensor in said)
    for got, wanted in zip(first(said, len(NAMES)), Members(fused.members)(*arguments(batch)), strict=True):
        torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-5)


def test_padding_is_empty_and_never_cuts(make_batch: Callable[..., CrystalBatch]) -> None:
    batch = make_batch(NAMES)
    large = padded(batch, 4, 8, 9)
    for tensor, before in zip(arguments(large), arguments(batch), strict=True):
        assert tensor.dtype == before.dtype
        assert torch.equal(tensor[tuple(slice(size) for size in before.shape)], before)
        assert tensor.count_nonzero() == before.count_nonzero()
    for tensor, before in zip(arguments(padded(batch, 1, 1, 1)), arguments(batch), strict=True):
        assert torch.equal(tensor, before)


@torch.inference_mode()
def test_the_first_of_what_is_said(fused: Ensemble, make_batch: Callable[..., CrystalBatch]) -> None:
    said = Members(fused.members)(*arguments(make_batch(NAMES)))
    for got, whole in zip(first(said, 2), said, strict=True):
        assert torch.equal(got, whole[:2])
        assert len(whole) == 3


@torch.inference_mode()
def test_without_bands_the_structure_alone_speaks(fused: Ensemble, make_batch: Callable[..., CrystalBatch]) -> None:
    batch = make_batch(NAMES)
    bare = without_bands(batch)
    assert bare.bands is None
    assert len(arguments(bare)) == 7
    assert len(arguments(batch)) == 11
    said = Members(fused.members)
    assert not torch.allclose(said(*arguments(bare)).probability, said(*arguments(batch)).probability, atol=1e-4)
