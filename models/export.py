"""The whole model as one module, for compilers: pictures and crystals in, distributions out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, export

from shc.models.bands_data import BandsBatch
from shc.models.encoders.picture import folded

if TYPE_CHECKING:
    from shc.models.data import CrystalBatch
    from shc.models.ensemble import Ensemble


class Said(NamedTuple):
    """What the ensemble says about B crystals, before calibration."""

    probability: Tensor
    """``[B, n_values]``."""
    p_finite: Tensor
    """``[B]``."""
    tensor: Tensor
    """``[B, n_tensor]``."""


class WholeModel(nn.Module):
    """All members of an ensemble behind one encoder of pictures.

    Args:
        ensemble: In evaluation mode; its members are used, not copied.
    """

    def __init__(self, ensemble: Ensemble) -> None:
        super().__init__()
        self.members = nn.ModuleList(ensemble.members)
        self.picture = None if ensemble.picture is None else folded(ensemble.picture)

    def forward(
        self,
        atoms: Tensor,
        weight: Tensor,
        neighbours: Tensor,
        distance: Tensor,
        descriptors: Tensor,
        prompt: Tensor,
        curves: Tensor | None = None,
        has_curves: Tensor | None = None,
        pictures: Tensor | None = None,
        has_picture: Tensor | None = None,
    ) -> Said:
        """Predict.

        Args:
            atoms: This and what follows up to ``prompt`` as in ``CrystalBatch``.
            weight: See there.
            neighbours: See there.
            distance: See there.
            descriptors: See there.
            prompt: See there.
            curves: This and ``has_curves`` as in ``BandsBatch``; None for the structure alone.
            has_curves: See there.
            pictures: ``[B, 1, 224, 224]``, see ``PictureEncoder``; None where no crystal has one.
            has_picture: As in ``BandsBatch``.
        """
        bands = None
        if curves is not None and has_curves is not None:
            tokens, known = self._tokens(pictures, has_picture, has_curves)
            bands = BandsBatch(curves, has_curves, tokens, known)
        said = [member(atoms, weight, neighbours, distance, descriptors, prompt, bands) for member in self.members]
        return Said(
            torch.stack([output.value_logits.softmax(dim=1) for output in said]).mean(dim=0),
            torch.stack([output.finite_logit.sigmoid() for output in said]).mean(dim=0),
            torch.stack([output.tensor for output in said]).mean(dim=0),
        )

    def _tokens(self, pictures: Tensor | None, has_picture: Tensor | None, has_curves: Tensor) -> tuple[Tensor, Tensor]:
        if self.picture is not None and pictures is not None and has_picture is not None:
            return self.picture(pictures), has_picture
        shape = (0, 0) if self.picture is None else self.picture.token_shape
        return has_curves.new_zeros(has_curves.shape[0], *shape), torch.zeros_like(has_curves)


def export_model(ensemble: Ensemble, batch: CrystalBatch, pictures: Tensor | None = None) -> ExportedProgram:
    """Export the whole model with dynamic numbers of crystals and nodes.

    Args:
        ensemble: On the CPU.
        batch: An example of at least two crystals and two nodes; its bands, if any, decide that the program reads
            curves.
        pictures: ``[B, 1, 224, 224]`` an example of pictures; only with bands.

    Returns:
        A program that takes the same of the arguments of ``WholeModel.forward``.
    """
    crystals, nodes = Dim("crystals", min=2, max=4096), Dim("nodes", min=2, max=1024)
    arguments: list[Tensor] = [
        batch.atoms, batch.weight, batch.neighbours, batch.distance, batch.descriptors, batch.prompt
    ]  # fmt: skip
    shapes = [{0: crystals, 1: nodes}] * 4 + [{0: crystals}] * 2
    if batch.bands is not None:
        arguments += [batch.bands.curves, batch.bands.has_curves]
        if pictures is not None:
            arguments += [pictures, batch.bands.has_picture]
        shapes += [{0: crystals}] * (len(arguments) - len(shapes))
    return export(WholeModel(ensemble).eval(), tuple(arguments), dynamic_shapes=tuple(shapes))
