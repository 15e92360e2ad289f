"""The picture of the bands: residual convolutions, then self-attention over its patches."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from shc.models.fusion import Attention

if TYPE_CHECKING:
    from shc.models.config import PictureConfig

SIDE: Final = 224
"""Height and width of a picture, pixels."""
PATCH: Final = 16
"""Height and width of a patch, pixels."""
ROWS: Final = SIDE // PATCH
"""Rows of patches: tokens of a picture, from the highest energy down."""
UNKNOWN: Final = -1.0
"""What stands in rows of a picture whose energies it does not show."""


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside a short cut.

    Source: He, Zhang, Ren, Sun, CVPR 2016, arXiv:1512.03385, fig. 2.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, values: Tensor) -> Tensor:
        """``[B, width, H, W]`` to the same shape."""
        return nn.functional.silu(values + self.convolutions(values))


def _coarser(n_in: int, n_out: int, size: int, step: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, size, stride=step, padding=size // 2, bias=False), nn.BatchNorm2d(n_out), nn.SiLU()
    )


def folded(encoder: PictureEncoder) -> PictureEncoder:
    """A copy for inference whose normalisations are part of the convolutions before them.

    Args:
        encoder: In evaluation mode.
    """
    copy = deepcopy(encoder)
    for module in list(copy.modules()):
        if isinstance(module, nn.Sequential):
            for place in range(len(module) - 1):
                first, second = module[place], module[place + 1]
                if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                    module[place], module[place + 1] = fuse_conv_bn_eval(first, second), nn.Identity()
    return copy


class PictureEncoder(nn.Module):
    """Pictures to tokens, one for each row of patches.

    Args:
        config: Sizes.
    """

    def __init__(self, config: PictureConfig) -> None:
        super().__init__()
        first, second, width = config.channels
        self.token_shape = (ROWS, width)
        self.convolutions = nn.Sequential(
            _coarser(2, first, 7, 4),
            ResidualBlock(first),
            _coarser(first, second, 3, 2),
            ResidualBlock(second),
            _coarser(second, width, 3, 2),
            ResidualBlock(width),
        )
        self.energy = nn.Parameter(torch.randn(ROWS, 1, width) * 0.1)
        self.path = nn.Parameter(torch.randn(1, ROWS, width) * 0.1)
        self.norm_own = nn.LayerNorm(width)
        self.own = Attention(width, config.n_heads)
        self.norm_forward = nn.LayerNorm(width)
        self.forward_net = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.dropout = nn.Dropout(config.dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, picture: Tensor) -> Tensor:
        """Encode pictures.

        Args:
            picture: ``[B, 1, 224, 224]`` ink from 0 to 1, ``UNKNOWN`` in rows without known energies.

        Returns:
            ``[B, ROWS, width]``.
        """
        known = (picture >= 0.0).to(picture.dtype)
        features = self.convolutions(torch.cat([picture * known, known], dim=1))
        tokens = features.permute(0, 2, 3, 1) + self.energy + self.path
        tokens = tokens.reshape(picture.shape[0], ROWS * ROWS, -1)
        normed = self.norm_own(tokens)
        tokens = tokens + self.dropout(self.own(normed, normed, None))
        tokens = tokens + self.dropout(self.forward_net(self.norm_forward(tokens)))
        by_energy = tokens.reshape(picture.shape[0], ROWS, ROWS, -1).mean(dim=2)
        encoded: Tensor = self.norm(by_energy)
        return encoded
