"""What every back end is and does."""

from __future__ import annotations

from textwrap import shorten
from typing import TYPE_CHECKING, NamedTuple, Protocol

from shc.featurize.errors import ExitCode, ShcError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch

    from shc.models.data import CrystalBatch
    from shc.models.ensemble import Ensemble
    from shc.models.members import Said
    from shc.models.pictures import Encode


class Backend(Protocol):
    """Runs the networks of one ensemble on one device."""

    @property
    def name(self) -> str:
        """Name of the back end."""

    @property
    def encode(self) -> Encode | None:
        """Encodes pictures; None if the networks read none."""

    def say(self, batch: CrystalBatch) -> Said:
        """Predict a batch that lies on the host; what is said lies on the device and may not be finished yet."""


class Compiler(NamedTuple):
    """A back end that is built ahead of time into a folder and loaded from there."""

    name: str
    title: str
    """What it is, for people."""
    why_not: Callable[[torch.device], str | None]
    """Why it cannot run on a device of this machine; None if it can."""
    identity: Callable[[torch.device], dict[str, str]]
    """What beside the weights decides whether something built before still fits."""
    build: Callable[[Ensemble, CrystalBatch, torch.device, Path], None]
    """Build into an empty folder; the batch is an example with all that the networks read."""
    load: Callable[[Ensemble, torch.device, Path], Backend]
    """Load what was built."""


def one_line(error: BaseException) -> str:
    """What an error says, in one line of bounded length; its kind if it says nothing."""
    return shorten(str(error), 300, placeholder=" ...") or type(error).__name__


def unavailable(title: str, reason: str, hint: str) -> ShcError:
    """The error of a back end that this machine does not have (``NO_BACKEND``)."""
    return ShcError(f"{title} cannot run here: {reason}", hint, ExitCode.NO_BACKEND)
