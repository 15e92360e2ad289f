"""Regressors of feature tables, fitted several times, each time with other rows held out.

The members see different rows and seeds, and their mean is the prediction. Every training row is held out of one
member; these predictions choose the scale of the target and measure what features are worth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import numpy as np

from shc.featurize.errors import ExitCode, ShcError
from shc.models.baselines.kept_fits import Keep, kept
from shc.models.metrics import held_out_error
from shc.models.splits import held_out_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

    from numpy.typing import NDArray

    Predict = Callable[[NDArray[np.float32]], NDArray[np.float64]]
    """``[m, F]`` features to ``[m]`` SHC, (hbar/e) S/cm."""

_ROOT_SHARES: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
_TARGETS: Final = ("raw", "sqrt")


class Rows(NamedTuple):
    """Features and labels of m crystals."""

    values: NDArray[np.float32]
    """``[m, F]``."""
    labels: NDArray[np.float64]
    """``[m]`` SHC, (hbar/e) S/cm."""


class Fit(Protocol):
    """Fits one regressor."""

    def __call__(self, learned: Rows, held_out: Rows, target: str, seed: int) -> Predict:
        """Learn from some rows, and stop on others; ``target`` is ``raw`` or ``sqrt``."""


class Member(NamedTuple):
    """Two regressors that learned from the same rows."""

    held_out: NDArray[np.int64]
    """Rows that they did not learn from."""
    raw: Predict
    """Learned SHC itself."""
    root: Predict
    """Learned its square root."""

    def predict(self, values: NDArray[np.float32], root_share: float) -> NDArray[np.float64]:
        """``[m]`` SHC of ``[m, F]`` features: a weighted mean of what both say."""
        out = np.zeros(len(values))
        if root_share < 1.0:
            out += (1.0 - root_share) * self.raw(values)
        if root_share > 0.0:
            out += root_share * self.root(values)
        return out


class CrossFit(NamedTuple):
    """The fitted members."""

    members: tuple[Member, ...]
    root_share: float
    """Weight of the regressors of the square root, 0 to 1."""

    def predict(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """``[m]`` SHC of ``[m, F]`` features, (hbar/e) S/cm: the mean over the members."""
        parts = [member.predict(values, self.root_share) for member in self.members]
        mean: NDArray[np.float64] = np.mean(parts, axis=0)
        return mean

    @property
    def held_out_rows(self) -> NDArray[np.int64]:
        """All training rows, in the order of ``predict_held_out``."""
        return np.concatenate([member.held_out for member in self.members])

    def predict_held_out(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """SHC of every training row by the member that did not learn from it, (hbar/e) S/cm.

        Args:
            values: ``[n, F]`` features of all crystals.
        """
        parts = [member.predict(values[member.held_out], self.root_share) for member in self.members]
        return np.concatenate(parts)


def cross_fit(
    fit: Fit,
    values: NDArray[np.float32],
    labels: NDArray[np.float64],
    train_rows: NDArray[np.int64],
    systems: Sequence[tuple[int, ...]],
    n_members: int,
    seed: int,
    on_member: Callable[[int], None],
    keep: Keep | None = None,
) -> CrossFit:
    """Fit the members.

    Args:
        fit: Fits one regressor.
        values: ``[n, F]`` features of all crystals.
        labels: ``[n]`` SHC of every crystal, (hbar/e) S/cm; only training rows are looked at.
        train_rows: Rows to learn from.
        systems: ``[n]`` chemical system of every crystal; none is divided between learned and held-out rows.
        n_members: Number of members at most, at least 2; fewer where there are fewer chemical systems.
        seed: Seed of the parts; the regressors of a member take ``seed`` plus its number.
        on_member: Called with the number of members fitted; may raise to stop.
        keep: Where to keep what is fitted, and to go on from; the outcome then predicts these and training rows only.

    Raises:
        ShcError: The training rows hold fewer than two chemical systems.
    """
    parts = [part for part in held_out_parts(train_rows, systems, n_members, seed) if len(part)]
    if len(parts) < 2:
        raise ShcError("the training rows hold fewer than two chemical systems", "give more crystals")
    if keep is not None:
        keep.folder.mkdir(parents=True, exist_ok=True)
        fit = kept(fit, keep.folder, values[keep.rows])
    members: list[Member] = []
    for number, part in enumerate(parts):
        rest = np.setdiff1d(train_rows, part)
        learned, held_out = Rows(values[rest], labels[rest]), Rows(values[part], labels[part])
        raw, root = (fit(learned, held_out, target, seed + number) for target in _TARGETS)
        members.append(Member(part, raw, root))
        on_member(len(members))
    fitted = [CrossFit(tuple(members), share) for share in _ROOT_SHARES]
    truth = labels[fitted[0].held_out_rows]
    return min(fitted, key=lambda each: held_out_error(each.predict_held_out(values), truth))


def to_target(labels: NDArray[np.float64], target: str) -> NDArray[np.float64]:
    """``[m]`` SHC to what a regressor learns."""
    return np.sqrt(labels) if target == "sqrt" else labels


def to_shc(output: NDArray[np.float64], target: str) -> NDArray[np.float64]:
    """``[m]`` what a regressor says to SHC, at least 0."""
    values = np.maximum(output, 0.0)
    return values**2 if target == "sqrt" else values


def ensembles() -> ModuleType:
    """``sklearn.ensemble``.

    Raises:
        ShcError: scikit-learn is not installed (``NO_BACKEND``).
    """
    try:
        from sklearn import ensemble  # noqa: PLC0415  # optional, and slow to import
    except ImportError as error:
        hint = "pip install 'shc-predict[baselines]'"
        raise ShcError("boosting and the random forest need scikit-learn", hint, ExitCode.NO_BACKEND) from error
    module: ModuleType = ensemble
    return module
