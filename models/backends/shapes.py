"""Batches in shapes that compilers like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn.functional import pad

from shc.models.bands_data import BandsBatch
from shc.models.data import CrystalBatch
from shc.models.members import Said

if TYPE_CHECKING:
    from torch import Tensor


def padded(batch: CrystalBatch, n_crystals: int, n_nodes: int, n_bonds: int) -> CrystalBatch:
    """A batch with empty crystals, nodes and bonds added, up to a size; what is said of the others stays the same.

    Args:
        batch: The batch.
        n_crystals: Crystals wanted; no more are added if there are as many.
        n_nodes: Nodes of a crystal wanted, likewise.
        n_bonds: Bonds of a node wanted, likewise.
    """

    def grown(tensor: Tensor, *sizes: int) -> Tensor:
        widths: list[int] = []
        for axis, size in enumerate(sizes):
            widths = [0, max(0, size - tensor.shape[axis]), *widths]
        return pad(tensor, [0, 0] * (tensor.ndim - len(sizes)) + widths)

    bands = None if batch.bands is None else BandsBatch(*(grown(tensor, n_crystals) for tensor in batch.bands))
    return CrystalBatch(
        grown(batch.atoms, n_crystals, n_nodes),
        grown(batch.weight, n_crystals, n_nodes),
        grown(batch.neighbours, n_crystals, n_nodes, n_bonds),
        grown(batch.distance, n_crystals, n_nodes, n_bonds),
        grown(batch.bond_weight, n_crystals, n_nodes, n_bonds),
        grown(batch.descriptors, n_crystals),
        grown(batch.prompt, n_crystals),
        bands,
    )


def first(said: Said, n: int) -> Said:
    """What was said of the first n crystals."""
    return Said(*(tensor[:n] for tensor in said))


def without_bands(batch: CrystalBatch) -> CrystalBatch:
    """The same crystals, nothing known of their bands."""
    return batch._replace(bands=None)
