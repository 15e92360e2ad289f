"""Composition and structure descriptors as tokens."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shc.models.config import ModelConfig


def blank_out(values: Tensor, n_axes: int, share: float) -> Tensor:
    """Set random slices to 0 and scale the others up, so that the mean stays.

    Args:
        values: Any shape.
        n_axes: A slice is what the first ``n_axes`` indices select.
        share: Share of slices that are blanked, below 1.
    """
    keep = torch.rand(values.shape[:n_axes], device=values.device) >= share
    return values * keep.reshape(keep.shape + (1,) * (values.ndim - n_axes)) / (1.0 - share)


class PiecewiseLinear(nn.Module):
    """Each number as its position within quantile bins, then mixed linearly per number.

    Bin t holds 0 below its lower edge, 1 above its upper edge and rises linearly between; the outer bins run on
    for one width at most. Source: Gorishniy et al., NeurIPS 2022, arXiv:2203.05556, eq. 1.
    """

    left: Tensor
    width: Tensor
    floor: Tensor
    ceiling: Tensor

    def __init__(self, n_features: int, n_bins: int, n_out: int) -> None:
        super().__init__()
        shape = (n_features, n_bins)
        self.register_buffer("left", torch.zeros(shape))
        self.register_buffer("width", torch.ones(shape))
        self.register_buffer("floor", torch.zeros(shape))
        self.register_buffer("ceiling", torch.zeros(shape))
        self.mix = nn.Parameter(torch.randn(n_features, n_bins, n_out) * 0.5 / math.sqrt(n_bins))
        self.bias = nn.Parameter(torch.zeros(n_features, n_out))

    def fit(self, values: NDArray[np.float32]) -> None:
        """Set the bins to the quantiles of ``[n, n_features]`` training values.

        A column with few distinct values gets fewer bins; bins without use always read 0.
        """
        levels = np.linspace(0.0, 1.0, self.left.shape[1] + 1)
        for feature, column in enumerate(values.T.astype(np.float64)):
            edges = np.unique(np.quantile(column, levels))
            if len(edges) == 1:
                edges = edges[0] + np.array([-0.5, 0.5])
            n = len(edges) - 1
            self.left[feature, :n] = torch.from_numpy(edges[:-1]).float()
            self.width[feature, :n] = torch.from_numpy(np.diff(edges)).float().clamp_min(1e-6)
            self.ceiling[feature, :n] = 1.0
            self.ceiling[feature, n - 1] = 2.0
            self.floor[feature, 0] = -1.0

    def forward(self, values: Tensor) -> Tensor:
        """``[B, n_features]`` to ``[B, n_features, n_out]``."""
        # Features first: the bins, the largest array here, never have to be turned.
        position = (values.transpose(0, 1)[:, :, None] - self.left[:, None]) / self.width[:, None]
        position = torch.minimum(torch.maximum(position, self.floor[:, None]), self.ceiling[:, None])
        mixed = torch.matmul(position, self.mix) + self.bias[:, None]
        return nn.functional.relu(mixed).transpose(0, 1)


class DescriptorEncoder(nn.Module):
    """A trunk over all descriptors and other numbers, and tokens cut from it.

    Args:
        config: Sizes.
        n_descriptors: D.
        n_other: O, numbers that enter as they are: the symmetry prompt and whatever is known beside it.
        hidden: Width of the trunk.
    """

    def __init__(self, config: ModelConfig, n_descriptors: int, n_other: int, hidden: int) -> None:
        super().__init__()
        self.encode = PiecewiseLinear(n_descriptors, config.descriptor_bins, config.descriptor_width)
        self.blank = config.input_dropout
        self.d_model = config.d_model
        self.trunk = nn.Sequential(
            nn.Linear(n_descriptors * config.descriptor_width + n_other, hidden),
            nn.SiLU(),
            nn.Dropout(config.trunk_dropout),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
        )
        self.tokens = nn.Linear(hidden, config.n_descriptor_tokens * config.d_model)

    def forward(self, descriptors: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        """Condense the descriptors.

        Args:
            descriptors: ``[B, D]``.
            other: ``[B, O]``.

        Returns:
            Trunk ``[B, hidden]`` and tokens ``[B, n_descriptor_tokens, d_model]``.
        """
        encoded = self.encode(descriptors)
        if self.training and self.blank > 0:
            encoded = blank_out(encoded, 2, self.blank)
        trunk: Tensor = self.trunk(torch.cat([encoded.flatten(1), other], dim=1))
        return trunk, self.tokens(trunk).reshape(descriptors.shape[0], -1, self.d_model)
