"""The SHCTransformer."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from shc.models.data import CrystalBatch
from shc.models.encoders.bands import BandsEncoder
from shc.models.encoders.crystal import CrystalEncoder
from shc.models.encoders.descriptors import DescriptorEncoder, blank_out
from shc.models.encoders.prompt import PromptEncoder
from shc.models.fusion import MASKED, Fusion
from shc.models.heads import Heads, Output

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from shc.models.bands_data import BandsBatch
    from shc.models.config import ModelConfig


class Structure(NamedTuple):
    """What the real-space half hands to the bands."""

    centred: Tensor
    """``[B, P]`` centred symmetry prompt."""
    prompt: Tensor
    """``[B, N_PROMPT_TOKENS, d_model]``."""
    nodes: Tensor
    """``[B, N, d_model]``."""
    node_bias: Tensor
    """``[B, N]`` attention bias."""
    embedding: Tensor
    """``[B, hidden + d_model]``."""

    def detached(self) -> Structure:
        """The same without gradients."""
        return Structure(*(tensor.detach() for tensor in self))


class BandsBranch(nn.Module):
    """Joins bands to the structure: a trunk over the numbers of both beside cross-attention to nodes and band tokens.

    It learns from the states of the structure, which do not learn from it: so the structure alone is predicted as
    well as by a network that knows no bands.

    Args:
        config: Sizes.
        n_descriptors: D.
        n_prompt: P.
    """

    def __init__(self, config: ModelConfig, n_descriptors: int, n_prompt: int) -> None:
        super().__init__()
        self.encode = BandsEncoder(config)
        self.descriptors = DescriptorEncoder(config, n_descriptors, n_prompt + self.encode.size, config.bands_hidden)
        self.fusion = Fusion(config)
        self.branch_dropout = config.branch_dropout
        self.embedding_width = config.hidden + config.bands_hidden + 2 * config.d_model
        self.heads = Heads(config, self.embedding_width, 0)

    def fit_scales(self, descriptors: NDArray[np.float32], curves: NDArray[np.float32]) -> None:
        """Set the fixed scales from ``[n, D]`` descriptors and ``[m, C]`` curves of the training rows."""
        self.descriptors.encode.fit(descriptors)
        if len(curves):
            self.encode.encode.fit(curves)

    def forward(self, structure: Structure, descriptors: Tensor, bands: BandsBatch) -> Output:
        """Predict from both; the embedding is ``[B, hidden + bands_hidden + 2 d_model]``."""
        encoded = self.encode(bands)
        trunk, tokens = self.descriptors(descriptors, torch.cat([structure.centred, encoded.flat], dim=1))
        fused = self.fusion(
            structure.prompt,
            tokens,
            torch.cat([structure.nodes, encoded.tokens], dim=1),
            torch.cat([structure.node_bias, (1.0 - encoded.known) * MASKED], dim=1),
        )
        fused = drop_branch(fused, self.branch_dropout, training=self.training)
        embedding = torch.cat([structure.embedding, trunk, fused], dim=1)
        output: Output = self.heads(embedding)
        return output


def drop_branch(fused: Tensor, share: float, *, training: bool) -> Tensor:
    """Blank the fused summary of random crystals in training, so that the trunk learns to stand alone."""
    return blank_out(fused, 1, share) if training and share > 0.0 else fused


class SHCTransformer(nn.Module):
    """Crystal graph, descriptors and bands, fused under the symmetry prompt.

    The structure alone has heads of its own, so a crystal without bands is predicted as if there were none anywhere.

    Args:
        config: Sizes.
        n_descriptors: D.
        n_prompt: P.
    """

    def __init__(self, config: ModelConfig, n_descriptors: int, n_prompt: int) -> None:
        super().__init__()
        self.crystal = CrystalEncoder(config)
        self.prompt = PromptEncoder(config, n_prompt)
        self.descriptors = DescriptorEncoder(config, n_descriptors, n_prompt, config.hidden)
        self.no_bands = nn.Parameter(torch.randn(1, config.d_model) * 0.1)
        self.fusion = Fusion(config)
        self.embedding_width = config.hidden + config.d_model
        self.heads = Heads(config, self.embedding_width, config.n_tensor)
        self.branch_dropout = config.branch_dropout
        self.bands = BandsBranch(config, n_descriptors, n_prompt) if config.reads_bands else None

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
        bond_weight: Tensor,
        descriptors: Tensor,
        prompt: Tensor,
        bands: BandsBatch | None = None,
    ) -> Output:
        """Predict; arguments are the fields of ``CrystalBatch``."""
        alone, joined = self.both(
            CrystalBatch(atoms, weight, neighbours, distance, bond_weight, descriptors, prompt, bands)
        )
        if joined is None or bands is None:
            return alone
        known = bands.any_known() > 0
        value = torch.where(known[:, None], joined.value_logits, alone.value_logits)
        finite = torch.where(known, joined.finite_logit, alone.finite_logit)
        return alone._replace(value_logits=value, finite_logit=finite)

    def both(self, batch: CrystalBatch) -> tuple[Output, Output | None]:
        """What the structure says alone, and what it says with the bands; None without any."""
        structure = self._structure(batch)
        alone = self.heads(structure.embedding)
        if self.bands is None or batch.bands is None:
            return alone, None
        return alone, self.bands(structure.detached(), batch.descriptors, batch.bands)

    def _structure(self, batch: CrystalBatch) -> Structure:
        """The real-space half."""
        nodes = self.crystal(batch.atoms, batch.weight, batch.neighbours, batch.distance, batch.bond_weight)
        centred = self.prompt.centre(batch.prompt)
        prompt = self.prompt(centred)
        trunk, tokens = self.descriptors(batch.descriptors, centred)
        bias = torch.log(batch.weight + 1e-6).masked_fill(batch.weight <= 0, MASKED)
        n_batch = nodes.shape[0]
        absent = torch.full((n_batch, 1), MASKED, dtype=bias.dtype, device=bias.device)
        fused = self.fusion(
            prompt,
            tokens,
            torch.cat([nodes, self.no_bands.expand(n_batch, 1, -1)], dim=1),
            torch.cat([bias, absent], dim=1),
        )
        embedding = torch.cat([trunk, drop_branch(fused, self.branch_dropout, training=self.training)], dim=1)
        return Structure(centred, prompt, nodes, bias, embedding)

    def predict(self, batch: CrystalBatch) -> Output:
        """``forward`` on the fields of a batch."""
        output: Output = self(*batch)
        return output
