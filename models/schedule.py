"""Learning rate over a training."""

from __future__ import annotations

import math


def one_cycle(step: int, n_steps: int, highest: float) -> float:
    """Linear rise over a tenth of the steps, then half a cosine to nearly 0.

    Source: Smith and Topin, arXiv:1708.07120; with a cosine in place of the straight fall.

    Args:
        step: Steps taken so far.
        n_steps: Steps of the whole training.
        highest: Highest learning rate.

    Returns:
        Learning rate of the next step.
    """
    rise = max(n_steps // 10, 1)
    if step < rise:
        return highest * (step + 1) / rise
    part = (step - rise) / max(n_steps - rise, 1)
    return highest * (0.5 * (1.0 + math.cos(math.pi * part)) + 1e-4)
