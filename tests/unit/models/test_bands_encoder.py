from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from shc.models.bands_data import BandsBatch
from shc.models.config import ModelConfig
from shc.models.encoders.bands import BandsEncoder, EncodedBands

CONFIG = ModelConfig(
    d_model=8, descriptor_bins=3, descriptor_width=2, n_curves=5, n_curve_tokens=2, n_picture_tokens=3, picture_width=4
)
NOTHING, CURVES, PICTURE, BOTH = range(4)


@pytest.fixture
def encoder() -> BandsEncoder:
    torch.manual_seed(0)
    made = BandsEncoder(CONFIG)
    made.encode.fit(np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32))
    return made.eval()


@pytest.fixture
def bands() -> BandsBatch:
    """A crystal of each kind."""
    noise = torch.Generator().manual_seed(1)
    return BandsBatch(
        torch.randn(4, 5, generator=noise),
        torch.tensor([0.0, 1.0, 0.0, 1.0]),
        torch.randn(4, 3, 4, generator=noise),
        torch.tensor([0.0, 0.0, 1.0, 1.0]),
    )


def seen(encoded: EncodedBands, row: int) -> torch.Tensor:
    """What the fusion and the trunk can see of a crystal."""
    return torch.cat([encoded.flat[row], (encoded.tokens * encoded.known[..., None])[row].flatten()])


@torch.no_grad()
def test_shapes_and_what_is_known(encoder: BandsEncoder, bands: BandsBatch) -> None:
    encoded = encoder(bands)
    assert encoded.flat.shape == (4, encoder.size)
    assert encoded.tokens.shape == (4, 5, 8)
    assert encoded.known.tolist() == [[0.0] * 5, [1.0] * 2 + [0.0] * 3, [0.0] * 2 + [1.0] * 3, [1.0] * 5]
    assert encoded.flat[:, -2:].tolist() == [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]


@torch.no_grad()
@pytest.mark.parametrize(
    ("field", "absent", "present"), [("curves", (NOTHING, PICTURE), CURVES), ("picture", (NOTHING, CURVES), PICTURE)]
)
def test_only_what_is_there_is_seen(
    encoder: BandsEncoder, bands: BandsBatch, field: str, absent: tuple[int, int], present: int
) -> None:
    before = encoder(bands)
    other = encoder(bands._replace(**{field: getattr(bands, field).flip(0) * 50.0 + 7.0}))
    for row in absent:
        assert torch.equal(seen(before, row), seen(other, row))
    for row in (present, BOTH):
        assert (seen(before, row) - seen(other, row)).abs().max() > 0.01


def test_every_parameter_learns(encoder: BandsEncoder, bands: BandsBatch) -> None:
    encoded = encoder(bands)
    weight = torch.randn(encoded.tokens.shape, generator=torch.Generator().manual_seed(2))
    (encoded.flat.square().sum() + (encoded.tokens * weight).sum()).backward()
    idle = [name for name, p in encoder.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


@torch.no_grad()
def test_curves_are_blanked_in_training_only(encoder: BandsEncoder, bands: BandsBatch) -> None:
    assert torch.equal(encoder(bands).flat, encoder(bands).flat)
    encoder.train()
    first, second = encoder(bands), encoder(bands)
    assert not torch.equal(first.flat, second.flat)
    assert torch.equal(seen(first, PICTURE), seen(second, PICTURE))


@torch.no_grad()
def test_curves_alone_need_no_picture(bands: BandsBatch) -> None:
    encoder = BandsEncoder(replace(CONFIG, n_picture_tokens=0, picture_width=0)).eval()
    encoded = encoder(bands._replace(picture=torch.zeros(4, 0, 0), has_picture=torch.zeros(4)))
    assert encoded.flat.shape == (4, encoder.size)
    assert encoded.tokens.shape == (4, 2, 8)
    assert encoded.known[:, 0].tolist() == bands.has_curves.tolist()
    assert "picture" not in " ".join(encoder.state_dict())
