"""From the crystal's embedding to a distribution over SHC values, and back to numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shc.models.config import ModelConfig


TENSOR_WIDTH: Final = 64
"""Width of the hidden layer behind the tensor."""


class Output(NamedTuple):
    """What the network says about B crystals."""

    value_logits: Tensor
    """``[B, n_values]`` logits over the bins of ``ValueGrid``."""
    finite_logit: Tensor
    """``[B]`` logit of SHC above the threshold of a finite value."""
    tensor: Tensor
    """``[B, n_tensor]`` tensor of the built-in electronic structure, see ``shc.models.tensor``."""
    embedding: Tensor
    """``[B, width]`` what all this is read from."""


class Heads(nn.Module):
    """Logits of the value distribution and of the probability of a finite SHC, and the tensor.

    Args:
        config: Sizes.
        width: Of the embedding.
        n_tensor: Components of the tensor; 0 for none.
    """

    def __init__(self, config: ModelConfig, width: int, n_tensor: int) -> None:
        super().__init__()
        self.dropout = nn.Dropout(config.trunk_dropout)
        self.value = nn.Linear(width, config.n_values)
        self.finite = nn.Linear(width, 1)
        self.tensor = None
        if n_tensor:
            self.tensor = nn.Sequential(nn.Linear(width, TENSOR_WIDTH), nn.SiLU(), nn.Linear(TENSOR_WIDTH, n_tensor))

    def forward(self, embedding: Tensor) -> Output:
        """Read a ``[B, width]`` embedding."""
        dropped = self.dropout(embedding)
        # The tensor is read from what the other targets have taught; its own lessons would cost them accuracy.
        tensor = embedding[:, :0] if self.tensor is None else self.tensor(embedding.detach())
        return Output(self.value(dropped), self.finite(dropped)[:, 0], tensor, embedding)


class ValueGrid:
    """Bins of SHC, equally wide in its square root.

    Args:
        config: Holds the number of bins and their upper end.
    """

    def __init__(self, config: ModelConfig) -> None:
        self.target_width = config.target_width
        self.root_edges = np.linspace(0.0, math.sqrt(config.max_value), config.n_values + 1)
        self.edges = self.root_edges**2
        root_centre = 0.5 * (self.root_edges[1:] + self.root_edges[:-1])
        self.centre = root_centre**2

    def soft_target(self, shc: Tensor) -> Tensor:
        """Labels as distributions: a Gaussian in sqrt(SHC), ``target_width`` bins wide, integrated over the bins.

        Source: Imani and White, ICML 2018, arXiv:1806.04613 (histogram loss).

        Args:
            shc: ``[n]`` labels, (hbar/e) S/cm.

        Returns:
            ``[n, n_values]`` rows that sum to 1.
        """
        edges = torch.tensor(self.root_edges, dtype=torch.float32)
        root = shc.float().sqrt().clamp(0.0, float(edges[-1]))
        width = self.target_width * float(edges[1])
        cumulative = torch.special.ndtr((edges - root[:, None]) / width)
        mass = cumulative[:, 1:] - cumulative[:, :-1]
        target: Tensor = mass / mass.sum(dim=1, keepdim=True)
        return target

    def score_weight(self) -> Tensor:
        """``[n_values]`` weights of the ranked probability score: bin width in SHC to the power 1/4, mean 1.

        Power 1 scores errors in SHC, power 0 in its square root.
        """
        width = np.diff(self.edges) ** 0.25
        return torch.tensor(width / width.mean(), dtype=torch.float32)

    def quantile(self, probability: NDArray[np.float64], level: float) -> NDArray[np.float64]:
        """Quantile of each distribution, linear in sqrt(SHC) within a bin.

        Args:
            probability: ``[n, n_values]``.
            level: 0 to 1.

        Returns:
            ``[n]`` (hbar/e) S/cm.
        """
        cumulative = np.cumsum(probability, axis=1)
        index = np.minimum((cumulative < level).sum(axis=1), probability.shape[1] - 1)
        rows = np.arange(len(probability))
        below = cumulative[rows, index] - probability[rows, index]
        part = np.clip((level - below) / np.maximum(probability[rows, index], 1e-12), 0.0, 1.0)
        root = self.root_edges[index] + part * (self.root_edges[index + 1] - self.root_edges[index])
        quantile: NDArray[np.float64] = root**2
        return quantile


class Moments(NamedTuple):
    """Numbers of each predicted distribution, (hbar/e) S/cm, all ``[n]``."""

    mean: NDArray[np.float64]
    median: NDArray[np.float64]
    std: NDArray[np.float64]


def moments(grid: ValueGrid, probability: NDArray[np.float64]) -> Moments:
    """Mean, median and standard deviation of ``[n, n_values]`` distributions."""
    mean = probability @ grid.centre
    variance = probability @ grid.centre**2 - mean**2
    return Moments(mean, grid.quantile(probability, 0.5), np.sqrt(np.maximum(variance, 0.0)))
