"""What is known of the bands of crystals: numbers of the electronic structure, tokens of pictures, both or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import torch

from shc.models.modalities import SUBSETS

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

CURVES_SHARE: Final = 0.45
"""Share of the crystals with curves and picture that show their curves alone in training."""
PICTURE_SHARE: Final = 0.35
"""Share that show their picture alone; the others show both."""


class BandsBatch(NamedTuple):
    """What is known of the bands of B crystals; C, T or both may be 0."""

    curves: Tensor
    """``[B, C]`` see ``electronic_numbers``; any finite number where unknown."""
    has_curves: Tensor
    """``[B]`` 1 where the curves are known, else 0."""
    picture: Tensor
    """``[B, T, picture_width]`` tokens of a picture; any finite number where there is none."""
    has_picture: Tensor
    """``[B]`` 1 where there is a picture, else 0."""

    def any_known(self) -> Tensor:
        """``[B]`` 1 where anything is known, else 0."""
        return torch.maximum(self.has_curves, self.has_picture)


class BandsArrays:
    """Bands of n crystals, ready to be cut into batches.

    Args:
        curves: ``[n, C]``, see ``electronic_numbers``.
        has_curves: ``[n]`` which crystals have them.
        tokens: ``[n_pictures, T, picture_width]`` tokens of the pictures of all crystals, one after the other.
        counts: ``[n]`` pictures of each crystal.
    """

    def __init__(
        self,
        curves: NDArray[np.float32],
        has_curves: NDArray[np.bool_],
        tokens: Tensor,
        counts: NDArray[np.int64],
    ) -> None:
        self.curves = torch.from_numpy(curves)
        self.has_curves, self.has_picture = has_curves, counts > 0
        self.tokens = tokens
        self.counts = counts
        self.first = np.cumsum(counts) - counts

    def known_curves(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """``[m, C]`` curves of those of some crystals that have them."""
        curves: NDArray[np.float32] = self.curves.numpy()[rows[self.has_curves[rows]]]
        return curves

    def subset(self) -> NDArray[np.int64]:
        """``[n]`` place in ``SUBSETS`` of what each crystal has."""
        return self.has_curves.astype(np.int64) + 2 * self.has_picture

    def batch(self, rows: NDArray[np.int64], subset: int = len(SUBSETS) - 1) -> BandsBatch | None:
        """All that is known of some crystals, None if nothing is; pictures of one crystal are averaged.

        Args:
            rows: ``[B]`` indices of crystals.
            subset: Place in ``SUBSETS`` of what may be shown.
        """
        curves = self.has_curves[rows] & bool(subset & 1)
        picture = self.has_picture[rows] & bool(subset & 2)
        if not (curves | picture).any():
            return None
        tokens = self._blank().repeat(len(rows), 1, 1)
        for place in np.flatnonzero(picture).tolist():
            first = self.first[rows[place]]
            tokens[place] = self.tokens[first : first + self.counts[rows[place]]].float().mean(dim=0)
        return self._batch(rows, tokens, curves, picture)

    def sample(self, rows: NDArray[np.int64], rng: np.random.Generator) -> BandsBatch:
        """Some crystals as training shows them: one picture of each, and often only one of curves and picture.

        Args:
            rows: ``[B]`` indices of crystals.
            rng: Source of randomness.
        """
        has_curves, has_picture = self.has_curves[rows], self.has_picture[rows]
        lot = rng.random(len(rows))
        with_curves = has_curves & ~(has_picture & (lot < PICTURE_SHARE))
        with_picture = has_picture & ~(has_curves & (lot >= 1.0 - CURVES_SHARE))
        chosen = self.first[rows] + rng.integers(np.maximum(self.counts[rows], 1))
        return self._batch(rows, self._tokens(chosen, with_picture), with_curves, with_picture)

    def _tokens(self, chosen: NDArray[np.int64], known: NDArray[np.bool_]) -> Tensor:
        if not known.any():
            return self._blank().expand(len(chosen), -1, -1)
        return self.tokens[torch.from_numpy(np.where(known, chosen, 0))].float()

    def _blank(self) -> Tensor:
        return torch.zeros(self.tokens.shape[1:])

    def _batch(
        self, rows: NDArray[np.int64], tokens: Tensor, curves: NDArray[np.bool_], picture: NDArray[np.bool_]
    ) -> BandsBatch:
        return BandsBatch(
            self.curves[torch.from_numpy(rows)],
            torch.from_numpy(curves.astype(np.float32)),
            tokens,
            torch.from_numpy(picture.astype(np.float32)),
        )
