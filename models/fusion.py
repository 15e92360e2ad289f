"""Fusion: queries that carry the symmetry prompt attend to both spaces."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from shc.models.encoders.prompt import N_PROMPT_TOKENS

if TYPE_CHECKING:
    from shc.models.config import ModelConfig

MASKED = -1e4
"""Attention bias of a token that must not be seen; finite, so that no back end meets infinities."""


class Attention(nn.Module):
    """Multi-head attention as plain matrix products and a float bias.

    Source: Vaswani et al., arXiv:1706.03762, eq. 1. Written out because compilers for inference may replace the
    fused operator by a causal one.
    """

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.scale = 1.0 / math.sqrt(d_model // n_heads)
        self.query = nn.Linear(d_model, d_model)
        self.key = nn.Linear(d_model, d_model)
        self.value = nn.Linear(d_model, d_model)
        self.out = nn.Linear(d_model, d_model)

    def _heads(self, tokens: Tensor) -> Tensor:
        n_batch, n_tokens, width = tokens.shape
        return tokens.reshape(n_batch, n_tokens, self.n_heads, width // self.n_heads).transpose(1, 2)

    def forward(self, queries: Tensor, context: Tensor, bias: Tensor | None) -> Tensor:
        """Attend.

        Args:
            queries: ``[B, Q, d_model]``.
            context: ``[B, C, d_model]``.
            bias: ``[B, 1, 1, C]`` added to the attention logits, or None.

        Returns:
            ``[B, Q, d_model]``.
        """
        key = self._heads(self.key(context)).transpose(-1, -2)
        logits = torch.matmul(self._heads(self.query(queries)), key) * self.scale
        if bias is not None:
            logits = logits + bias
        mixed = torch.matmul(logits.softmax(dim=-1), self._heads(self.value(context)))
        out: Tensor = self.out(mixed.transpose(1, 2).reshape(queries.shape))
        return out


class FusionBlock(nn.Module):
    """Cross-attention to real-space and band tokens, self-attention among the queries, feed-forward."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.d_model
        self.norm_cross = nn.LayerNorm(width)
        self.cross = Attention(width, config.n_heads)
        self.norm_self = nn.LayerNorm(width)
        self.own = Attention(width, config.n_heads)
        self.norm_forward = nn.LayerNorm(width)
        self.forward_net = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(config.dropout), nn.Linear(2 * width, width)
        )
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, queries: Tensor, context: Tensor, bias: Tensor) -> Tensor:
        """One block; shapes as in ``Attention``."""
        queries = queries + self.dropout(self.cross(self.norm_cross(queries), context, bias))
        normed = self.norm_self(queries)
        queries = queries + self.dropout(self.own(normed, normed, None))
        fused: Tensor = queries + self.dropout(self.forward_net(self.norm_forward(queries)))
        return fused


class Fusion(nn.Module):
    """A summary token, prompt tokens and descriptor tokens query the crystal and the bands."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.summary = nn.Parameter(torch.randn(config.d_model) * 0.1)
        self.kind = nn.Parameter(torch.randn(N_PROMPT_TOKENS + config.n_descriptor_tokens, config.d_model) * 0.1)
        self.norm_context = nn.LayerNorm(config.d_model)
        self.blocks = nn.ModuleList(FusionBlock(config) for _ in range(config.n_blocks))
        self.norm = nn.LayerNorm(config.d_model)

    def forward(self, prompt: Tensor, descriptors: Tensor, context: Tensor, bias: Tensor) -> Tensor:
        """Fuse.

        Args:
            prompt: ``[B, N_PROMPT_TOKENS, d_model]``.
            descriptors: ``[B, n_descriptor_tokens, d_model]``.
            context: ``[B, C, d_model]`` node and band tokens.
            bias: ``[B, C]`` attention bias of the context: log weight of a node, ``MASKED`` for what is absent.

        Returns:
            ``[B, d_model]`` embedding of the crystal.
        """
        known = torch.cat([prompt, descriptors], dim=1) + self.kind
        queries = torch.cat([self.summary.expand(prompt.shape[0], 1, -1), known], dim=1)
        context = self.norm_context(context)
        for block in self.blocks:
            queries = block(queries, context, bias[:, None, None, :])
        embedding: Tensor = self.norm(queries[:, 0])
        return embedding
