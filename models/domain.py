"""Whether a crystal resembles what the model was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from shc.featurize.elements import LAST_ELEMENT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

N_LANDMARKS: Final = 1024
"""Training crystals kept at most."""
KEPT: Final = 0.99
"""Share of held-out crystals that count as inside the domain."""
_BLOCK: Final = 1024


@dataclass(frozen=True, slots=True)
class Domain:
    """Landmarks among the training crystals in the embedding of the ensemble's first member."""

    landmarks: NDArray[np.float16]
    """``[L, d]`` embeddings that stand for the training rows."""
    threshold: float
    """Largest distance to the nearest landmark inside the domain."""
    seen: NDArray[np.bool_]
    """``[LAST_ELEMENT + 1]`` whether training crystals hold the element, by atomic number."""

    def distance(self, embedding: NDArray[np.floating]) -> NDArray[np.float64]:
        """Distance of ``[B, d]`` embeddings to their nearest landmark, ``[B]``."""
        return _nearest(embedding, self.landmarks)

    def resembles(self, embedding: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Whether ``[B, d]`` embeddings lie near training crystals, ``[B]``."""
        return self.distance(embedding) <= self.threshold

    def unseen(self, atomic_number: NDArray[np.integer]) -> list[int]:
        """Elements of one crystal that no training crystal holds, as ascending atomic numbers."""
        elements = np.unique(atomic_number)
        return [int(z) for z in elements if not self.seen[z]]

    def to_tensors(self) -> dict[str, Tensor]:
        """Tensors to store, by name."""
        return {
            "landmarks": torch.from_numpy(self.landmarks),
            "threshold": torch.tensor(self.threshold, dtype=torch.float64),
            "seen": torch.from_numpy(self.seen),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Domain:
        """The domain behind ``to_tensors``.

        Raises:
            KeyError: A tensor is missing.
            ValueError: A tensor has the wrong size.
        """
        seen = tensors["seen"].numpy().astype(np.bool_)
        if seen.shape != (LAST_ELEMENT + 1,):
            raise ValueError(f"elements 0 to {LAST_ELEMENT} expected, {seen.shape} entries found")
        return cls(tensors["landmarks"].numpy(), float(tensors["threshold"]), seen)


def fit_domain(
    train_embedding: NDArray[np.floating],
    held_out_embedding: NDArray[np.floating],
    atomic_number: NDArray[np.integer],
    *,
    n_landmarks: int = N_LANDMARKS,
    kept: float = KEPT,
) -> Domain:
    """Choose landmarks and the distance that bounds the domain.

    Landmarks are chosen farthest-point first, which keeps the largest distance of a training row to its
    landmark within twice the optimum. Source: Gonzalez, Theor. Comput. Sci. 38, 293 (1985).

    Args:
        train_embedding: ``[n, d]`` embeddings, by the first member, of rows it was trained on.
        held_out_embedding: ``[m, d]`` embeddings, by the first member, of rows it was not trained on; the
            training rows serve if there are none.
        atomic_number: Atomic numbers of all training crystals, in any shape and number.
        n_landmarks: Landmarks at most.
        kept: Share of held-out rows inside the domain.

    Raises:
        ValueError: There is no training row.
    """
    if len(train_embedding) == 0:
        raise ValueError("the domain needs at least one training row")
    rounded = train_embedding.astype(np.float16)
    landmarks = rounded[farthest_points(rounded.astype(np.float32), n_landmarks)]
    reference = held_out_embedding if len(held_out_embedding) else train_embedding
    threshold = float(np.quantile(_nearest(reference, landmarks), kept))
    seen = np.zeros(LAST_ELEMENT + 1, dtype=np.bool_)
    seen[np.unique(atomic_number)] = True
    return Domain(landmarks, threshold, seen)


def farthest_points(points: NDArray[np.float32], n: int) -> NDArray[np.int64]:
    """Greedy choice of points, each the farthest from those chosen before; the first is nearest to the mean.

    Args:
        points: ``[m, d]``.
        n: Points to choose at most; fewer if the rest coincides with chosen ones.

    Returns:
        Indices in the order of choice.
    """
    chosen = [int(((points - points.mean(axis=0)) ** 2).sum(axis=1).argmin())]
    distance = ((points - points[chosen[0]]) ** 2).sum(axis=1)
    while len(chosen) < n:
        farthest = int(distance.argmax())
        if distance[farthest] == 0.0:
            break
        chosen.append(farthest)
        distance = np.minimum(distance, ((points - points[farthest]) ** 2).sum(axis=1))
    return np.array(chosen, dtype=np.int64)


def _nearest(points: NDArray[np.floating], landmarks: NDArray[np.float16]) -> NDArray[np.float64]:
    """Distance of ``[n, d]`` points to the nearest of ``[L, d]`` landmarks, in blocks of bounded memory."""
    known = landmarks.astype(np.float64)
    square = (known**2).sum(axis=1)
    nearest = np.empty(len(points))
    for start in range(0, len(points), _BLOCK):
        block = points[start : start + _BLOCK].astype(np.float64)
        squared = (block**2).sum(axis=1)[:, None] - 2.0 * block @ known.T + square
        nearest[start : start + _BLOCK] = np.sqrt(np.maximum(squared.min(axis=1), 0.0))
    return nearest
