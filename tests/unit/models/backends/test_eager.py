from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from shc.featurize.store import FeatureFile
from shc.models.backends.agreement import EXAMPLES
from shc.models.backends.eager import Eager
from shc.models.batching import dense_batches
from shc.models.device import choose_device
from shc.models.distributions import distributions
from shc.models.encoders.picture import SIDE, UNKNOWN
from shc.models.members import Said
from shc.models.network import SHCTransformer

if TYPE_CHECKING:
    from collections.abc import Callable

    from shc.models.data import CrystalArrays, CrystalBatch
    from shc.models.ensemble import Ensemble

CPU = choose_device("cpu")


@torch.inference_mode()
@pytest.mark.parametrize("bands", [False, True])
def test_it_says_the_mean_of_the_members(fused: Ensemble, make_batch: Callable[..., CrystalBatch], bands: bool) -> None:
    batch = make_batch(["Pt", "TaAs", "SrTiO3", "WTe2"], bands=bands)
    each = [SHCTransformer.predict(member, batch) for member in fused.members]
    expected = Said(
        torch.stack([output.value_logits.softmax(dim=1) for output in each]).mean(dim=0),
        torch.stack([output.finite_logit.sigmoid() for output in each]).mean(dim=0),
        each[0].embedding,
        torch.stack([output.tensor for output in each]).mean(dim=0),
    )
    for got, wanted in zip(Eager(fused, CPU).say(batch), expected, strict=True):
        torch.testing.assert_close(got, wanted, atol=1e-6, rtol=1e-6)


@torch.inference_mode()
def test_it_encodes_pictures_within_what_bfloat16_holds(fused: Ensemble) -> None:
    assert fused.picture is not None
    encode = Eager(fused, CPU).encode
    assert encode is not None
    pictures = (torch.rand(3, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) < 0.05).float()
    pictures[1, :, :60] = UNKNOWN
    expected = fused.picture(pictures)
    assert encode.token_shape == expected.shape[1:]
    difference = (encode(pictures).float() - expected).norm() / expected.norm()
    assert difference < 0.02
    assert (expected[0] - expected[2]).norm() / expected[0].norm() > 0.02


def test_networks_without_pictures_have_no_encoder(alone: Ensemble) -> None:
    assert Eager(alone, CPU).encode is None
    assert Eager(alone, CPU).name == "eager"


@pytest.mark.parametrize("max_batch", [1, 3, 256])
def test_distributions_come_in_the_order_of_the_crystals(
    fused: Ensemble, arrays: CrystalArrays, max_batch: int
) -> None:
    order = np.random.default_rng(5).permutation(len(arrays))
    file = FeatureFile.open(EXAMPLES)
    shuffled = replace(file.read(order), bands=file.bands(order), pictures=file.pictures(order))
    backend = Eager(fused, CPU)
    batches = list(dense_batches(arrays.n_nodes[order], arrays.n_bonds[order], max_batch))
    assert max_batch == 256 or len(batches) >= len(arrays) / max_batch
    got = distributions(fused, backend, shuffled, max_batch)
    for place, row in enumerate(order):
        said = backend.say(arrays.batch(np.array([row])))
        np.testing.assert_allclose(got.probability[place], said.probability[0], atol=1e-4)
        np.testing.assert_allclose(got.embedding[place], said.embedding[0], atol=1e-4)
    assert len(np.unique(got.probability.round(4), axis=0)) == len(arrays)
