"""Where the network runs."""

from __future__ import annotations

import torch

from shc.featurize.errors import ExitCode, ShcError


def choose_device(name: str) -> torch.device:
    """The device behind a name.

    Args:
        name: ``auto`` (CUDA where there is one), ``cpu`` or ``cuda``.

    Raises:
        ShcError: CUDA is asked for but absent, or the name is unknown.
    """
    if name not in {"auto", "cpu", "cuda"}:
        raise ShcError(f"there is no device {name!r}", "it is one of auto, cpu, cuda", ExitCode.USAGE)
    available = name != "cpu" and torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ShcError(
            "no CUDA device is available to torch", "use --device cpu, or a torch with CUDA", ExitCode.NO_BACKEND
        )
    return torch.device("cuda" if available else "cpu")
