"""Sizes of the network and settings of training."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Sizes of the SHCTransformer; stored beside every set of weights."""

    d_model: int = 48
    """Width of every token."""
    n_convolutions: int = 3
    """Gated message-passing layers over the crystal graph."""
    n_blocks: int = 1
    """Fusion blocks (cross-attention, self-attention, feed-forward)."""
    n_heads: int = 4
    """Attention heads."""
    n_descriptor_tokens: int = 4
    """Tokens into which the descriptors are condensed."""
    descriptor_bins: int = 12
    """Bins of the piecewise-linear encoding of one descriptor."""
    descriptor_width: int = 4
    """Numbers that encode one descriptor."""
    hidden: int = 320
    """Width of the descriptor trunk."""
    n_distance: int = 32
    """Gaussians per distance basis."""
    max_distance: float = 8.0
    """Upper end of the distance basis, Angstrom."""
    n_values: int = 40
    """Bins of the predicted distribution, equally wide in sqrt(SHC)."""
    target_width: float = 1.0
    """Standard deviation of the soft target, in bins."""
    max_value: float = 3600.0
    """Upper end of the predicted distribution, (hbar/e) S/cm."""
    dropout: float = 0.3
    """Dropout in the crystal encoder and the fusion."""
    trunk_dropout: float = 0.4
    """Dropout in the descriptor trunk and before the heads."""
    branch_dropout: float = 0.6
    """Share of crystals whose fused summary is blanked out in training."""
    input_dropout: float = 0.2
    """Share of descriptors that are blanked out in training."""
    n_curves: int = 0
    """Numbers of the electronic structure that the network reads; 0 in a network that knows no bands."""
    n_picture_tokens: int = 0
    """Tokens of a picture of bands; 0 in a network that reads none."""
    picture_width: int = 0
    """Width of a token of a picture."""
    n_curve_tokens: int = 4
    """Tokens into which the curves are condensed."""
    bands_hidden: int = 256
    """Width of the trunk that joins bands and structure."""

    n_tensor: int = 0
    """Components of the built-in electronic structure's tensor that the network says: 27, or 0 for none."""

    @property
    def reads_bands(self) -> bool:
        """Whether the network has a branch for bands."""
        return self.n_curves > 0


@dataclass(frozen=True, slots=True)
class PictureConfig:
    """Sizes of the encoder of band pictures and settings of its training."""

    channels: tuple[int, ...] = (24, 48, 64)
    """Width of the convolutions at a quarter, an eighth and a sixteenth of the picture's side."""
    n_heads: int = 4
    """Heads of the attention over patches."""
    dropout: float = 0.1
    """Dropout of that attention."""
    epochs: int = 14
    """Passes over the crystals to learn to read pictures."""
    style_epochs: int = 10
    """Passes over the crystals to learn that style says nothing; 0 for none."""
    batch_size: int = 64
    """Pictures per step."""
    learning_rate: float = 2e-3
    """Highest learning rate of the one-cycle schedule."""
    weight_decay: float = 0.05
    """Decoupled weight decay."""


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Settings of one training."""

    seed: int = 0
    """Seed of every random choice."""
    n_members: int = 7
    """Networks in the ensemble; each holds another part of the training rows out."""
    held_out: float = 0.1
    """Share of the training rows, by chemical system, that a member does not learn from, at most; half of it is
    common to all members where that makes rows enough."""
    epochs: int = 36
    """Passes over the training rows at most."""
    patience: int = 10
    """Epochs without a smaller held-out error after which a member stops."""
    batch_size: int = 128
    """Crystals per step."""
    learning_rate: float = 3e-3
    """Highest learning rate of the one-cycle schedule."""
    weight_decay: float = 0.05
    """Decoupled weight decay."""
    averaging: float = 0.99
    """Decay of the running average of the weights, per step."""
    cross_entropy: float = 0.05
    """Weight of the cross-entropy beside the ranked probability score."""
    finite_weight: float = 0.3
    """Weight of the finite/vanishing loss beside the value loss."""
    auxiliary_weight: float = 5.0
    """Weight of the loss on the built-in electronic structure, where the feature file holds it; 0 leaves it out."""
    tensor_weight: float = 1.0
    """Weight of the loss on the tensor of the built-in electronic structure, where the network says it."""
    finite_threshold: float = 10.0
    """SHC above which a crystal counts as finite, (hbar/e) S/cm."""
