"""Crystal symmetry as prompt tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from shc.models.config import ModelConfig

N_PROMPT_TOKENS = 2


class PromptEncoder(nn.Module):
    """The standardised symmetry prompt as tokens."""

    mean: Tensor

    def __init__(self, config: ModelConfig, n_prompt: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_prompt))
        self.project = nn.Sequential(
            nn.Linear(n_prompt, config.d_model),
            nn.SiLU(),
            nn.Linear(config.d_model, N_PROMPT_TOKENS * config.d_model),
        )

    def fit(self, prompt: NDArray[np.float32]) -> None:
        """Centre by ``[n, P]`` training prompts; their entries lie in [0, 1] and keep their scale."""
        self.mean.copy_(torch.from_numpy(prompt.mean(axis=0)))

    def centre(self, prompt: Tensor) -> Tensor:
        """``[B, P]`` prompt with zero mean over the training rows."""
        return prompt - self.mean

    def forward(self, centred: Tensor) -> Tensor:
        """Centred ``[B, P]`` prompt to ``[B, N_PROMPT_TOKENS, d_model]``."""
        tokens: Tensor = self.project(centred)
        return tokens.reshape(tokens.shape[0], N_PROMPT_TOKENS, -1)
