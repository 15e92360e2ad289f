"""TensorRT engines by torch-tensorrt, for GPUs of NVIDIA.

No engine has been built yet: its libraries come from NVIDIA's own index. What stands here was run up to the call of the
compiler, with one in its place that runs the exported program. Source: https://docs.pytorch.org/TensorRT, dynamo front
end, engine caching.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import torch

from shc.models.backends.base import Compiler
from shc.models.backends.exported import COUNT_BUCKETS, ExportedBackend, build_programs
from shc.models.batching import BOND_BUCKETS, NODE_BUCKETS
from shc.models.programs import MAX_NODES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor
    from torch.export import ExportedProgram

    from shc.models.backends.exported import Run
    from shc.models.data import CrystalBatch
    from shc.models.ensemble import Ensemble

NAME: Final = "tensorrt"
_ENGINES: Final = "engines"


def _why_not(device: torch.device) -> str | None:
    if device.type != "cuda":
        return "it is for GPUs"
    if find_spec("torch_tensorrt") is None:
        return "torch-tensorrt is not installed: pip install 'shc-predict[trt]'"
    return None


def _identity(device: torch.device) -> dict[str, str]:
    try:
        libraries = version("tensorrt")
    except PackageNotFoundError:
        libraries = "unknown"
    return {
        "torch": torch.__version__,
        "torch_tensorrt": version("torch-tensorrt"),
        "tensorrt": libraries,
        "device": torch.cuda.get_device_name(device),
    }


def settings(folder: Path) -> dict[str, Any]:
    """Settings of the compiler.

    Args:
        folder: Where engines are kept, to be used again for other weights of the same shapes.
    """
    return {
        "min_block_size": 1,
        "immutable_weights": False,
        "cache_built_engines": True,
        "reuse_cached_engines": True,
        "engine_cache_dir": str(folder / _ENGINES),
        # The default would turn the bias of padding into a causal mask without a word.
        "attn_bias_is_causal": False,
        "decompose_attention": True,
    }


class Span(NamedTuple):
    """Shapes that an engine takes of one argument."""

    least: tuple[int, ...]
    usual: tuple[int, ...]
    """For which it is tuned."""
    most: tuple[int, ...]


def spans(example: Sequence[Tensor]) -> list[Span]:
    """Shapes that an engine must take of each argument of a program, from an example of all of them.

    The first axis counts crystals or pictures; the arguments of a program of crystals that have nodes, or nodes and
    bonds, come first, see ``Members``.
    """
    of_crystals = len(example) > 1
    sizes = (
        (COUNT_BUCKETS[0], 256, COUNT_BUCKETS[-1]),
        (NODE_BUCKETS[0], 8, MAX_NODES),
        (BOND_BUCKETS[0], BOND_BUCKETS[-1], BOND_BUCKETS[-1]),
    )

    def span(place: int, tensor: Tensor) -> Span:
        n_free = min(tensor.ndim, 3) if of_crystals and place < 5 else 1
        return Span(*((*free, *tensor.shape[n_free:]) for free in zip(*sizes[:n_free], strict=True)))

    return [span(place, tensor) for place, tensor in enumerate(example)]


def _compile(program: ExportedProgram, example: tuple[Tensor, ...], path: Path) -> None:
    import torch_tensorrt  # noqa: PLC0415  optional, and it fails to import without a GPU

    inputs = [
        torch_tensorrt.Input(min_shape=least, opt_shape=usual, max_shape=most, dtype=tensor.dtype)
        for (least, usual, most), tensor in zip(spans(example), example, strict=True)
    ]
    engine = torch_tensorrt.dynamo.compile(program, arg_inputs=inputs, **settings(path.parent))
    torch_tensorrt.save(engine, str(path), arg_inputs=list(example))


def _run_of(path: Path) -> Run:
    import torch_tensorrt  # noqa: PLC0415

    run: Run = torch_tensorrt.load(str(path)).module()
    return run


def compiler(
    compile_program: Callable[[ExportedProgram, tuple[Tensor, ...], Path], None] = _compile,
    load_program: Callable[[Path], Run] = _run_of,
) -> Compiler:
    """The back end, with the compiler and the loader that it calls for every program."""

    def build(ensemble: Ensemble, batch: CrystalBatch, device: torch.device, folder: Path) -> None:
        build_programs(ensemble.to(device), batch, device, folder, compile_program)

    def load(ensemble: Ensemble, device: torch.device, folder: Path) -> ExportedBackend:
        return ExportedBackend(NAME, ensemble, device, folder, load_program)

    return Compiler(NAME, "TensorRT", _why_not, _identity, build, load)


COMPILER: Final = compiler()
