"""OpenVINO: compiled for processors. Members in float32, pictures in bfloat16 where the processor has units for it.

The whole network in bfloat16 was tried: the ranking stays, but 7 % of the values move by more than 1 %, since
OpenVINO rounds the descriptors and the heads as well. Source: https://docs.openvino.ai, model conversion.
"""

from __future__ import annotations

import sys
import warnings
from functools import cached_property
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from shc.models.backends.base import Compiler
from shc.models.backends.shapes import first, padded, without_bands
from shc.models.backends.store import ABOUT
from shc.models.device import has_bfloat16
from shc.models.encoders.picture import SIDE, folded
from shc.models.members import arguments
from shc.models.programs import PlainMembers, said_of

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from shc.models.data import CrystalBatch
    from shc.models.ensemble import Ensemble
    from shc.models.members import Said
    from shc.models.pictures import Encode

NAME: Final = "openvino"
_STRUCTURE: Final = "structure.xml"
_BANDS: Final = "bands.xml"
_ENCODER: Final = "encoder.xml"
_CACHE: Final = "blobs"


def _why_not(device: torch.device) -> str | None:
    if device.type != "cpu":
        return "it is for processors"
    return None if find_spec("openvino") else "openvino is not installed: pip install 'shc-predict[openvino]'"


def _identity(_device: torch.device) -> dict[str, str]:
    return {"openvino": version("openvino"), "torch": torch.__version__, "pictures": _picture_precision()}


def _picture_precision() -> str:
    return "bf16" if has_bfloat16(torch.device("cpu")) else "f32"


def _openvino() -> Any:  # noqa: ANN401  an untyped package
    """The package, kept from calling home: it reports its use over the network where its telemetry is installed."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino  # noqa: PLC0415  optional

    return openvino


def _build(ensemble: Ensemble, batch: CrystalBatch, _device: torch.device, folder: Path) -> None:
    members = PlainMembers(ensemble)
    alone = without_bands(batch)
    _convert(members, arguments(alone), folder / _STRUCTURE)
    if batch.bands is not None:
        _convert(members, arguments(batch), folder / _BANDS)
    if ensemble.picture is not None:
        _convert(folded(ensemble.picture).eval(), (torch.zeros(2, 1, SIDE, SIDE),), folder / _ENCODER)


def _convert(module: nn.Module, example: tuple[Tensor, ...], path: Path) -> None:
    """Write a module in OpenVINO's format, all shapes free."""
    openvino = _openvino()
    from openvino.frontend import FrontEndManager  # noqa: PLC0415
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder  # noqa: PLC0415

    with warnings.catch_warnings(), torch.inference_mode():
        # Tracing warns of shapes that become constants; a batch of another shape is compared after every build.
        warnings.simplefilter("ignore")
        decoder = TorchScriptPythonDecoder(module, example_input=example, trace_kwargs={"check_trace": False})
        frontend = FrontEndManager().load_by_framework("pytorch")
        try:
            model = frontend.convert(frontend.load(decoder))
        except Exception as error:
            # The converter calls back into Python, and takes an interruption there for an error of its own.
            if "KeyboardInterrupt" in str(error):
                raise KeyboardInterrupt from error
            raise
    model.reshape(
        {place: openvino.PartialShape([-1] * tensor.ndim) for place, tensor in enumerate(example)}
        if len(example) > 1
        else {0: openvino.PartialShape([-1, 1, SIDE, SIDE])}
    )
    openvino.save_model(model, path, compress_to_fp16=False)


class _Network:
    """A network, read and compiled for this processor when it is first needed.

    Args:
        path: The network.
        precision: ``f32`` or ``bf16``.
    """

    def __init__(self, path: Path, precision: str) -> None:
        self._path = path
        self._settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
        if (path.parent / ABOUT).is_file():
            # OpenVINO knows networks by their path: nothing kept of a temporary folder would be found again.
            self._settings["CACHE_DIR"] = str(path.parent / _CACHE)

    @cached_property
    def compiled(self) -> Any:  # noqa: ANN401  an untyped package
        """What runs."""
        return _openvino().Core().compile_model(self._path, "CPU", self._settings)

    def __call__(self, *given: Tensor) -> list[Tensor]:
        said = self.compiled([tensor.numpy() for tensor in given])
        return [torch.from_numpy(said[place]) for place in range(len(said))]


class _Encoder:
    def __init__(self, network: _Network, token_shape: tuple[int, int]) -> None:
        self._network, self.token_shape = network, token_shape

    def __call__(self, images: Tensor) -> Tensor:
        return self._network(images)[0]


class _OpenVino:
    name = NAME

    def __init__(self, ensemble: Ensemble, folder: Path) -> None:
        self.structure = _Network(folder / _STRUCTURE, "f32")
        self._bands = _Network(folder / _BANDS, "f32")
        self.encode: Encode | None = None
        if ensemble.picture is not None:
            network = _Network(folder / _ENCODER, _picture_precision())
            self.encode = _Encoder(network, ensemble.picture.token_shape)

    def say(self, batch: CrystalBatch) -> Said:
        network = self.structure if batch.bands is None else self._bands
        n_crystals = len(batch.atoms)
        return first(said_of(network(*arguments(padded(batch, 2, 2, 2)))), n_crystals)


def _load(ensemble: Ensemble, _device: torch.device, folder: Path) -> _OpenVino:
    backend = _OpenVino(ensemble, folder)
    _ = backend.structure.compiled  # an installation that is broken shows here
    return backend


COMPILER: Final = Compiler(NAME, "OpenVINO", _why_not, _identity, _build, _load)
