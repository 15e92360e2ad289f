"""What back ends have in common that compile exported programs: three programs, run in a few shapes only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from shc.models.backends.shapes import first, padded, without_bands
from shc.models.batching import BOND_BUCKETS, NODE_BUCKETS, bucket
from shc.models.device import has_bfloat16
from shc.models.members import Members, arguments
from shc.models.programs import export_encoder, export_members, said_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor
    from torch.export import ExportedProgram

    from shc.models.data import CrystalBatch
    from shc.models.ensemble import Ensemble
    from shc.models.members import Said
    from shc.models.pictures import Encode

    Run = Callable[..., Sequence[Tensor]]
    """A loaded program: tensors in, tensors out."""
    Compile = Callable[[ExportedProgram, tuple[Tensor, ...], Path], None]
    """Compiles a program, with an example of its arguments, and writes it to a path."""
    Load = Callable[[Path], Run]
    """Loads what was written."""

COUNT_BUCKETS: Final = (2, 8, 32, 128, 256, 512, 1024)
"""Crystals or pictures of a batch, empty ones included."""
_STRUCTURE: Final = "structure.pt2"
_BANDS: Final = "bands.pt2"
_ENCODER: Final = "encoder.pt2"


def build_programs(
    ensemble: Ensemble, batch: CrystalBatch, device: torch.device, folder: Path, compile_program: Compile
) -> None:
    """Export the networks and compile them; on a GPU with units for bfloat16 all matrix products run in that.

    Args:
        ensemble: On the device.
        batch: An example on the host, with all that the networks read.
        device: Where the programs run.
        folder: Where they are written.
        compile_program: The compiler.
    """
    on_device = batch.to(device)
    alone = without_bands(on_device)
    mixed = device.type == "cuda" and has_bfloat16(device)
    compile_program(export_members(ensemble, alone, mixed=mixed), arguments(alone), folder / _STRUCTURE)
    if batch.bands is not None:
        compile_program(export_members(ensemble, on_device, mixed=mixed), arguments(on_device), folder / _BANDS)
    if ensemble.picture is not None:
        program = export_encoder(ensemble.picture, device)
        compile_program(program, program.example_inputs[0], folder / _ENCODER)


class ExportedBackend:
    """Runs compiled programs; that of the structure is loaded at once, the others when they are first needed.

    A crystal larger than programs are made for is predicted by the networks themselves.

    Args:
        name: Name of the back end.
        ensemble: The ensemble that was compiled.
        device: Where the programs run.
        folder: Where they are.
        load: Loads one.
    """

    def __init__(self, name: str, ensemble: Ensemble, device: torch.device, folder: Path, load: Load) -> None:
        self.name = name
        self._device, self._folder, self._load = device, folder, load
        self._members = Members(ensemble.to(device).members)
        # What this machine cannot load shows here.
        self._programs: dict[str, Run] = {_STRUCTURE: load(folder / _STRUCTURE)}
        self.encode: Encode | None = None
        if ensemble.picture is not None:
            self.encode = _Encoder(self, ensemble.picture.token_shape)

    def run(self, program: str, *given: Tensor) -> Sequence[Tensor]:
        """Run one of the programs."""
        if program not in self._programs:
            self._programs[program] = self._load(self._folder / program)
        return self._programs[program](*given)

    @torch.inference_mode()
    def say(self, batch: CrystalBatch) -> Said:
        """Predict a batch, padded to one of a few shapes."""
        sizes = tuple(zip(batch.neighbours.shape, (COUNT_BUCKETS, NODE_BUCKETS, BOND_BUCKETS), strict=True))
        if any(size > buckets[-1] for size, buckets in sizes):
            beyond: Said = self._members(*arguments(batch.to(self._device)))
            return beyond
        n_crystals, n_nodes, n_bonds = (bucket(size, buckets) for size, buckets in sizes)
        program = _STRUCTURE if batch.bands is None else _BANDS
        said = self.run(program, *arguments(padded(batch, n_crystals, n_nodes, n_bonds).to(self._device)))
        return first(said_of(said), len(batch.atoms))

    @torch.inference_mode()
    def tokens(self, images: Tensor) -> Tensor:
        """Encode ``[n, 1, 224, 224]`` pictures."""
        missing = bucket(len(images), COUNT_BUCKETS) - len(images)
        whole = torch.nn.functional.pad(images, [0] * 7 + [missing])
        return self.run(_ENCODER, whole.to(self._device))[0][: len(images)]


class _Encoder:
    def __init__(self, backend: ExportedBackend, token_shape: tuple[int, int]) -> None:
        self._backend, self.token_shape = backend, token_shape

    def __call__(self, images: Tensor) -> Tensor:
        return self._backend.tokens(images)
