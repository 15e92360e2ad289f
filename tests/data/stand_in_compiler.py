"""A compiler that builds at once and predicts as the networks do, in place of a real one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shc.models.backends import inductor, openvino, tensorrt
from shc.models.backends.base import Compiler
from shc.models.backends.eager import Eager

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    import torch

    from shc.models.data import CrystalBatch
    from shc.models.ensemble import Ensemble

MODULES = {"openvino": openvino, "inductor": inductor, "tensorrt": tensorrt}


def build(_ensemble: Ensemble, _batch: CrystalBatch, _device: torch.device, folder: Path) -> None:
    """Write a file of 1000 bytes."""
    (folder / "program").write_bytes(bytes(1000))


def load(ensemble: Ensemble, device: torch.device, folder: Path) -> Eager:
    """The networks, if the file is there."""
    (folder / "program").read_bytes()
    return Eager(ensemble, device)


def compiler(name: str, why_not: str | None = None) -> Compiler:
    """The stand-in, or one that cannot run for a reason."""
    return Compiler(name, name.title(), lambda _: why_not, lambda _: {"version": "1"}, build, load)


def install(monkeypatch: pytest.MonkeyPatch, *compilers: Compiler) -> None:
    """Put compilers in the place of those of their names; all others cannot run."""
    found = {each.name: each for each in compilers}
    for name, module in MODULES.items():
        monkeypatch.setattr(module, "COMPILER", found.get(name) or compiler(name, f"no {name} here"))
