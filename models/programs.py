"""The networks as exported programs, for compilers: the encoder of pictures, and the members with or without bands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, export

from shc.models.device import has_bfloat16, mixed_precision
from shc.models.encoders.picture import SIDE, folded
from shc.models.members import Members, Said, arguments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shc.models.data import CrystalBatch
    from shc.models.encoders.picture import PictureEncoder
    from shc.models.ensemble import Ensemble

MAX_CRYSTALS: Final = 1024
"""Crystals in a batch of a program at most."""
MAX_NODES: Final = 1024
"""Nodes of a crystal at most."""
MAX_BONDS: Final = 256
"""Bonds of a node at most."""


class PlainMembers(nn.Module):
    """The members of an ensemble as compilers take them.

    They give a plain tuple, since programs that give anything else cannot be saved, and no tensor of no components,
    since compilers lose its shape.

    Args:
        ensemble: Its members are used, not copied.
        mixed: Whether matrix products run in bfloat16.
    """

    def __init__(self, ensemble: Ensemble, *, mixed: bool = False) -> None:
        super().__init__()
        self._mixed = mixed
        self.members = Members(ensemble.members)
        self._n_given = len(Said._fields) if ensemble.card.model.n_tensor else len(Said._fields) - 1
        self.eval()

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        """Predict from ``arguments(batch)``; see ``said_of``."""
        if not self._mixed:
            return tuple(self.members(*given))[: self._n_given]
        with torch.autocast(given[0].device.type, torch.bfloat16):
            return tuple(self.members(*given))[: self._n_given]


def said_of(outputs: Sequence[Tensor]) -> Said:
    """What the outputs of ``PlainMembers`` say."""
    if len(outputs) == len(Said._fields):
        return Said(*outputs)
    probability, p_finite, embedding = outputs
    return Said(probability, p_finite, embedding, embedding[:, :0])


class _PlainEncoder(nn.Module):
    """The encoder of pictures made ready for inference; it gives a tuple like all programs."""

    def __init__(self, encoder: PictureEncoder, device: torch.device) -> None:
        super().__init__()
        self._device = device
        self.encoder = folded(encoder)
        self.eval()

    def forward(self, pictures: Tensor) -> tuple[Tensor]:
        if not has_bfloat16(self._device):
            return (self.encoder(pictures),)
        with mixed_precision(self._device):
            return (self.encoder(pictures),)


def export_members(ensemble: Ensemble, batch: CrystalBatch, *, mixed: bool = False) -> ExportedProgram:
    """Export the members with dynamic numbers of crystals, nodes and bonds.

    Args:
        ensemble: On the device of the batch.
        batch: An example of at least two crystals, two nodes and two bonds; its bands, if any, decide that the
            program reads bands.
        mixed: Whether matrix products run in bfloat16, all else in float32.

    Returns:
        A program that takes ``arguments(batch)`` of any batch of two or more of each and gives the
        outputs of ``PlainMembers``.
    """
    crystals, nodes = Dim("crystals", min=2, max=MAX_CRYSTALS), Dim("nodes", min=2, max=MAX_NODES)
    bonds = Dim("bonds", min=2, max=MAX_BONDS)
    per_bond = {0: crystals, 1: nodes, 2: bonds}
    shapes = [{0: crystals, 1: nodes}] * 2 + [per_bond] * 3
    given = arguments(batch)
    shapes += [{0: crystals}] * (len(given) - len(shapes))
    return export(PlainMembers(ensemble, mixed=mixed), given, dynamic_shapes=(tuple(shapes),))


def export_encoder(encoder: PictureEncoder, device: torch.device) -> ExportedProgram:
    """Export the encoder of pictures with a dynamic number of pictures, its normalisations folded.

    Matrix products and convolutions run in bfloat16 where the device has units for it.

    Args:
        encoder: On ``device``.
        device: Where the program runs.

    Returns:
        A program that takes ``[n, 1, 224, 224]``, n of two or more, and gives a tuple of the tokens.
    """
    pictures = torch.zeros(2, 1, SIDE, SIDE, device=device)
    return export(
        _PlainEncoder(encoder, device), (pictures,), dynamic_shapes=({0: Dim("pictures", min=2, max=MAX_CRYSTALS)},)
    )
