"""The SHCTransformer."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from shc.models.encoders.crystal import CrystalEncoder
from shc.models.encoders.descriptors import DescriptorEncoder, blank_out
from shc.models.encoders.prompt import PromptEncoder
from shc.models.fusion import MASKED, Fusion
from shc.models.heads import Heads

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from shc.models.config import ModelConfig
    from shc.models.data import CrystalBatch


class Output(NamedTuple):
    """What the network says about B crystals."""

    value_logits: Tensor
    """``[B, n_values]`` logits over the bins of ``ValueGrid``."""
    finite_logit: Tensor
    """``[B]`` logit of SHC above the threshold of a finite value."""
    embedding: Tensor
    """``[B, hidden + d_model]``: the descriptor trunk beside the fused summary."""


class SHCTransformer(nn.Module):
    """Crystal graph, descriptors and bands, fused under the symmetry prompt.

    Bands that are absent stand as one learned, masked token, so a crystal without them is the ordinary case.

    Args:
        config: Sizes.
        n_descriptors: D.
        n_prompt: P.
    """

    def __init__(self, config: ModelConfig, n_descriptors: int, n_prompt: int) -> None:
        super().__init__()
        self.crystal = CrystalEncoder(config)
        self.prompt = PromptEncoder(config, n_prompt)
        self.descriptors = DescriptorEncoder(config, n_descriptors, n_prompt)
        self.no_bands = nn.Parameter(torch.randn(1, config.d_model) * 0.1)
        self.fusion = Fusion(config)
        self.heads = Heads(config)
        self.branch_dropout = config.branch_dropout

    def fit_scales(self, descriptors: NDArray[np.float32], prompt: NDArray[np.float32]) -> None:
        """Set the fixed scales from ``[n, D]`` descriptors and ``[n, P]`` prompts of the training rows."""
        self.descriptors.encode.fit(descriptors)
        self.prompt.fit(prompt)

    def forward(
        self,
        atoms: Tensor,
        weight: Tensor,
        neighbours: Tensor,
        distance: Tensor,
        descriptors: Tensor,
        prompt: Tensor,
    ) -> Output:
        """Predict; arguments are the fields of ``CrystalBatch``."""
        nodes = self.crystal(atoms, weight, neighbours, distance)
        return self.fuse(nodes, atoms, weight, descriptors, prompt)

    def fuse(
        self,
        nodes: Tensor,
        atoms: Tensor,
        weight: Tensor,
        descriptors: Tensor,
        prompt: Tensor,
    ) -> Output:
        """Everything after the crystal encoder; ``nodes`` is ``[B, N, d_model]``."""
        n_batch = atoms.shape[0]
        centred = self.prompt.centre(prompt)
        trunk, tokens = self.descriptors(descriptors, centred)
        bands = self.no_bands.expand(n_batch, 1, -1)
        node_bias = torch.log(weight + 1e-6).masked_fill(weight <= 0, MASKED)
        band_bias = torch.full((n_batch, 1), MASKED, dtype=weight.dtype, device=weight.device)
        fused = self.fusion(
            self.prompt(centred),
            tokens,
            torch.cat([nodes, bands], dim=1),
            torch.cat([node_bias, band_bias], dim=1),
        )
        embedding = torch.cat([trunk, self._drop_branch(fused)], dim=1)
        value, finite = self.heads(embedding)
        return Output(value, finite, embedding)

    def _drop_branch(self, fused: Tensor) -> Tensor:
        """Blank the fused summary of random crystals in training, so that the trunk learns to stand alone."""
        if not self.training or self.branch_dropout == 0.0:
            return fused
        return blank_out(fused, 1, self.branch_dropout)

    def predict(self, batch: CrystalBatch) -> Output:
        """``forward`` on the fields of a batch."""
        output: Output = self(*batch)
        return output
