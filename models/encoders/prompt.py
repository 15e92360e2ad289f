"""Crystal symmetry as prompt tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from shc.models.config import ModelConfig

N_SPACE_GROUPS = 230


class PromptEncoder(nn.Module):
    """Two tokens: the standardised symmetry prompt, and a free vector per space group."""

    mean: Tensor

    def __init__(self, config: ModelConfig, n_prompt: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_prompt))
        self.project = nn.Sequential(
            nn.Linear(n_prompt, config.d_model), nn.SiLU(), nn.Linear(config.d_model, config.d_model)
        )
        self.space_group = nn.Embedding(N_SPACE_GROUPS + 1, config.d_model)
        nn.init.normal_(self.space_group.weight, std=0.05)

    def fit(self, prompt: NDArray[np.float32]) -> None:
        """Centre by ``[n, P]`` training prompts; their entries lie in [0, 1] and keep their scale."""
        self.mean.copy_(torch.from_numpy(prompt.mean(axis=0)))

    def centre(self, prompt: Tensor) -> Tensor:
        """``[B, P]`` prompt with zero mean over the training rows."""
        return prompt - self.mean

    def forward(self, centred: Tensor, space_group: Tensor) -> Tensor:
        """Centred ``[B, P]`` prompt and ``[B]`` space-group numbers to ``[B, 2, d_model]``."""
        return torch.stack([self.project(centred), self.space_group(space_group)], dim=1)
