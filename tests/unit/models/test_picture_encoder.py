from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
import torch

from shc.models.config import PictureConfig
from shc.models.encoders.picture import PATCH, ROWS, SIDE, UNKNOWN, PictureEncoder

TINY: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[2] / "data" / "tiny_model.py"))
CONFIG = PictureConfig(channels=(4, 6, 8), n_heads=2)


@pytest.fixture
def encoder() -> PictureEncoder:
    torch.manual_seed(0)
    made: PictureEncoder = TINY["tiny_encoder"](CONFIG)
    return made.requires_grad_(requires_grad=True)


@pytest.fixture
def pictures() -> torch.Tensor:
    """Some sparse ink."""
    noise = torch.Generator().manual_seed(1)
    return (torch.rand(3, 1, SIDE, SIDE, generator=noise) < 0.05).float()


@torch.no_grad()
def test_a_token_for_each_row_of_patches(encoder: PictureEncoder, pictures: torch.Tensor) -> None:
    tokens = encoder(pictures)
    assert tokens.shape == (3, *encoder.token_shape) == (3, ROWS, 8)
    assert ROWS * PATCH == SIDE
    torch.testing.assert_close(tokens.mean(dim=2), torch.zeros(3, ROWS), atol=1e-5, rtol=0.0)
    assert (tokens[0] - tokens[1]).abs().max() > 0.01, "pictures must be told apart"


@torch.no_grad()
def test_pictures_of_a_batch_do_not_meet(encoder: PictureEncoder, pictures: torch.Tensor) -> None:
    alone = torch.cat([encoder(picture[None]) for picture in pictures])
    torch.testing.assert_close(encoder(pictures), alone, atol=1e-5, rtol=0.0)


@torch.no_grad()
def test_ink_in_unknown_rows_does_not_matter(encoder: PictureEncoder, pictures: torch.Tensor) -> None:
    unknown = pictures.clone()
    unknown[:, :, :40] = UNKNOWN
    other = unknown.clone()
    other[:, :, :40] = -0.25
    assert torch.equal(encoder(unknown), encoder(other))
    empty = pictures.clone()
    empty[:, :, :40] = 0.0
    assert (encoder(unknown) - encoder(empty)).abs().max() > 0.01, "no ink is not the same as unknown"


@torch.no_grad()
def test_the_place_of_ink_matters(encoder: PictureEncoder) -> None:
    line = torch.zeros(1, 1, SIDE, SIDE)
    line[0, 0, 30, :100] = 1.0
    tokens = encoder(line)
    for other in (line.flip(2), line.flip(3), line.roll(64, 2), line.roll(64, 3)):
        assert (encoder(other) - tokens).abs().max() > 1e-3


@torch.no_grad()
def test_the_tokens_of_a_row_are_those_near_its_energy(encoder: PictureEncoder) -> None:
    """Without attention and places, ink reaches as far as the convolutions: 71 pixels."""
    for parameter in (encoder.energy, encoder.path, encoder.own.out.weight, encoder.own.out.bias):
        parameter.zero_()
    empty = torch.zeros(1, 1, SIDE, SIDE)
    inked = empty.clone()
    inked[0, 0, 5 * PATCH + 8] = 1.0
    changed = (encoder(inked) - encoder(empty)).abs().amax(dim=2)[0]
    assert int(changed.argmax()) in {4, 5, 6}
    assert not changed[[0, 10, 11, 12, 13]].any()


def test_every_parameter_learns(encoder: PictureEncoder, pictures: torch.Tensor) -> None:
    encoder.train()
    tokens = encoder(pictures)
    (tokens * torch.randn(tokens.shape, generator=torch.Generator().manual_seed(2))).sum().backward()
    idle = [name for name, p in encoder.named_parameters() if p.grad is None or not p.grad.any()]
    # The bias of the keys shifts all attention logits of a query alike: softmax does not see it.
    assert [name for name in idle if name != "own.key.bias"] == []


@torch.no_grad()
def test_the_encoder_exports(encoder: PictureEncoder, pictures: torch.Tensor) -> None:
    n_batch = torch.export.Dim("batch", min=2, max=512)
    program = torch.export.export(encoder, (pictures,), dynamic_shapes=({0: n_batch},))
    torch.testing.assert_close(program.module()(pictures[:2]), encoder(pictures[:2]), atol=1e-5, rtol=0.0)
