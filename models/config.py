"""Sizes of the network and settings of training."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Sizes of the SHCTransformer; stored beside every set of weights."""

    d_model: int = 64
    """Width of every token."""
    n_convolutions: int = 2
    """Gated message-passing layers over the crystal graph."""
    n_blocks: int = 2
    """Fusion blocks (cross-attention, self-attention, feed-forward)."""
    n_heads: int = 4
    """Attention heads."""
    n_descriptor_tokens: int = 4
    """Tokens into which the descriptors are condensed."""
    descriptor_bins: int = 12
    """Bins of the piecewise-linear encoding of one descriptor."""
    descriptor_width: int = 8
    """Numbers that encode one descriptor."""
    hidden: int = 384
    """Width of the descriptor trunk."""
    n_distance: int = 32
    """Gaussians per distance basis."""
    max_distance: float = 8.0
    """Upper end of the distance basis, Angstrom."""
    n_values: int = 40
    """Bins of the predicted distribution, equally wide in sqrt(SHC)."""
    target_width: float = 0.75
    """Standard deviation of the soft target, in bins."""
    max_value: float = 3600.0
    """Upper end of the predicted distribution, (hbar/e) S/cm."""
    dropout: float = 0.2
    """Dropout in the crystal encoder and the fusion."""
    trunk_dropout: float = 0.5
    """Dropout in the descriptor trunk and before the heads."""
    input_dropout: float = 0.3
    """Share of descriptors that are blanked out in training."""


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Settings of one training."""

    seed: int = 0
    """Seed of every random choice."""
    n_members: int = 8
    """Networks in the ensemble; each holds another part of the training rows out."""
    held_out: float = 0.1
    """Share of the training rows, by chemical system, that a member holds out to stop and calibrate on."""
    epochs: int = 30
    """Passes over the training rows at most."""
    patience: int = 10
    """Epochs without a smaller held-out error after which a member stops."""
    batch_size: int = 128
    """Crystals per step."""
    learning_rate: float = 2e-3
    """Highest learning rate of the one-cycle schedule."""
    weight_decay: float = 0.05
    """Decoupled weight decay."""
    averaging: float = 0.99
    """Decay of the running average of the weights, per step."""
    finite_weight: float = 0.3
    """Weight of the finite/vanishing loss beside the value loss."""
    finite_threshold: float = 10.0
    """SHC above which a crystal counts as finite, (hbar/e) S/cm."""
