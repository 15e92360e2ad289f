"""Where the network runs."""

from __future__ import annotations

from functools import cache
from pathlib import Path

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


def devices() -> list[torch.device]:
    """The devices of this machine that networks can run on, one of each kind."""
    return [torch.device(kind) for kind in ("cpu", "cuda") if kind == "cpu" or torch.cuda.is_available()]


def mixed_precision(device: torch.device) -> torch.autocast:
    """A context in which matrix products and convolutions run in bfloat16 where the device has units for it."""
    return torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16(device))


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device has units for bfloat16; without them it would be slower than float32."""
    on_cpu = not _cpu_flags().isdisjoint({"avx512_bf16", "amx_bf16"})
    return on_cpu if device.type == "cpu" else torch.cuda.is_bf16_supported()


def instruction_sets() -> str:
    """The vector instructions that programs compiled for this processor may use."""
    vectors = ("amx", "asimd", "avx", "bmi", "fma", "sve")
    return " ".join(sorted(flag for flag in _cpu_flags() if flag.startswith(vectors)))


@cache
def _cpu_flags() -> frozenset[str]:
    """What the processor says that it can do; empty where it is not known."""
    try:
        return frozenset(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return frozenset()
