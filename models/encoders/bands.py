"""Reciprocal space: numeric curves and tokens of a picture, each of which may be absent."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from shc.models.encoders.descriptors import PiecewiseLinear, blank_out

if TYPE_CHECKING:
    from shc.models.bands_data import BandsBatch
    from shc.models.config import ModelConfig


PICTURE_NUMBERS = 8
"""Numbers that each token of a picture hands to the trunk."""


class EncodedBands(NamedTuple):
    """Bands as the fusion reads them."""

    flat: Tensor
    """``[B, F]`` all numbers side by side, 0 where absent."""
    tokens: Tensor
    """``[B, n_curve_tokens + T, d_model]``."""
    known: Tensor
    """``[B, n_curve_tokens + T]`` 1 for tokens that are there, else 0."""


class BandsEncoder(nn.Module):
    """Curves by piecewise linear encoding, picture tokens by projection."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.blank = config.input_dropout
        self.n_curve_tokens = config.n_curve_tokens
        self.encode = PiecewiseLinear(config.n_curves, config.descriptor_bins, config.descriptor_width)
        width = config.n_curves * config.descriptor_width
        self.curve_tokens = nn.Linear(width, self.n_curve_tokens * config.d_model)
        self.reads_pictures = config.n_picture_tokens > 0
        if self.reads_pictures:
            self.norm_picture = nn.LayerNorm(config.picture_width)
            self.picture_tokens = nn.Linear(config.picture_width, config.d_model)
            self.place = nn.Parameter(torch.randn(config.n_picture_tokens, config.d_model) * 0.1)
            self.condense = nn.Linear(config.picture_width, PICTURE_NUMBERS)
        self.size = width + config.n_picture_tokens * PICTURE_NUMBERS + 2

    def forward(self, bands: BandsBatch) -> EncodedBands:
        """Encode the bands of B crystals."""
        n_batch = bands.has_curves.shape[0]
        curves = self.encode(bands.curves)
        if self.training and self.blank > 0.0:
            curves = blank_out(curves, 2, self.blank)
        curves = curves.flatten(1) * bands.has_curves[:, None]
        flat, tokens = [curves], [self.curve_tokens(curves).reshape(n_batch, self.n_curve_tokens, -1)]
        known = [bands.has_curves[:, None].expand(-1, self.n_curve_tokens)]
        if self.reads_pictures:
            normed = self.norm_picture(bands.picture) * bands.has_picture[:, None, None]
            flat.append(self.condense(normed).flatten(1))
            tokens.append(self.picture_tokens(normed) + self.place)
            known.append(bands.has_picture[:, None].expand(-1, normed.shape[1]))
        flat.append(torch.stack([bands.has_curves, bands.has_picture], dim=1))
        return EncodedBands(torch.cat(flat, dim=1), torch.cat(tokens, dim=1), torch.cat(known, dim=1))
