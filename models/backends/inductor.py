"""AOTInductor: programs compiled by torch itself into a library that loads in a moment; on a GPU with CUDA graphs.

Source: https://docs.pytorch.org/docs/stable/torch.compiler_aot_inductor.html. On a GPU this was written but not run.
"""

from __future__ import annotations

import shutil
import warnings
from typing import TYPE_CHECKING, Final

import torch

from shc.models.backends.base import Compiler
from shc.models.backends.exported import ExportedBackend, build_programs
from shc.models.device import instruction_sets

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor
    from torch.export import ExportedProgram

    from shc.models.backends.exported import Run
    from shc.models.data import CrystalBatch
    from shc.models.ensemble import Ensemble

NAME: Final = "inductor"
_MAX_GRAPHS: Final = 64
"""CUDA graphs kept at a time; each holds its own memory."""


def _why_not(device: torch.device) -> str | None:
    if device.type == "cuda":
        return None
    return None if shutil.which("g++") else "it needs a C++ compiler, g++, on the path"


def _identity(device: torch.device) -> dict[str, str]:
    return {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else instruction_sets(),
    }


def _build(ensemble: Ensemble, batch: CrystalBatch, device: torch.device, folder: Path) -> None:
    build_programs(ensemble.to(device), batch, device, folder, _compile)


def _compile(program: ExportedProgram, example: tuple[Tensor, ...], path: Path) -> None:
    from torch._inductor import aoti_compile_and_package  # noqa: PLC0415  seconds of import

    tuned = {"max_autotune": example[0].device.type == "cuda"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of itself
        aoti_compile_and_package(program, package_path=str(path), inductor_configs=tuned)


def _load(ensemble: Ensemble, device: torch.device, folder: Path) -> ExportedBackend:
    def load(path: Path) -> Run:
        from torch._inductor import aoti_load_package  # noqa: PLC0415

        run: Run = aoti_load_package(str(path))
        return Graphs(run) if device.type == "cuda" else run

    return ExportedBackend(NAME, ensemble, device, folder, load)


class Graphs:
    """A program on a GPU, recorded once for each shape of its arguments and replayed from then on.

    Source: https://docs.pytorch.org/docs/stable/notes/cuda.html, CUDA graphs.

    Args:
        run: The program.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._recorded: dict[tuple[torch.Size, ...], tuple[torch.cuda.CUDAGraph, list[Tensor], Sequence[Tensor]]] = {}

    def __call__(self, *given: Tensor) -> Sequence[Tensor]:
        """Run the program; what comes back belongs to the caller."""
        shape = tuple(tensor.shape for tensor in given)
        if shape not in self._recorded:
            if len(self._recorded) == _MAX_GRAPHS:
                self._recorded.pop(next(iter(self._recorded)))
            self._recorded[shape] = self._record([tensor.clone() for tensor in given])
        graph, own, said = self._recorded[shape]
        for mine, theirs in zip(own, given, strict=True):
            mine.copy_(theirs)
        graph.replay()
        return [tensor.clone() for tensor in said]

    def _record(self, own: list[Tensor]) -> tuple[torch.cuda.CUDAGraph, list[Tensor], Sequence[Tensor]]:
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(3):
                self._run(*own)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            said = self._run(*own)
        return graph, own, said


COMPILER: Final = Compiler(NAME, "AOTInductor", _why_not, _identity, _build, _load)
