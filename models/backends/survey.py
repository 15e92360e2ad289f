"""Which back ends a machine has, and which of them were built for a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from shc.models.backends.choose import AUTO, NAMES, compiler_of
from shc.models.backends.eager import EAGER
from shc.models.backends.store import compiled_folder, read_built

if TYPE_CHECKING:
    import torch

    from shc.models.backends.store import Built
    from shc.models.ensemble import Ensemble


class BackendState(NamedTuple):
    """What there is of a back end."""

    name: str
    title: str
    """What it is, for people."""
    compiled: bool
    """Whether it has to be built."""
    why_not: str | None
    """Why it cannot run here; None if it can."""
    built: Built | None
    """What was built; None if nothing."""

    @property
    def ready(self) -> bool:
        """Whether it predicts without being built first."""
        return self.why_not is None and (self.built is not None or not self.compiled)


def survey(ensemble: Ensemble, device: torch.device) -> list[BackendState]:
    """Every back end that can be asked for, on a device of this machine."""
    states = [BackendState(EAGER, "as torch runs the networks", compiled=False, why_not=None, built=None)]
    for name in NAMES:
        if name in {AUTO, EAGER}:
            continue
        compiler = compiler_of(name)
        why_not = compiler.why_not(device)
        # The versions that a folder is named after can be asked for only where the packages are.
        built = read_built(compiled_folder(compiler, ensemble, device)) if why_not is None else None
        states.append(BackendState(name, compiler.title, compiled=True, why_not=why_not, built=built))
    return states
