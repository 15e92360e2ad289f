"""What a machine can do for predictions: versions, processors, packages, folders, back ends and their speed."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch

from shc.featurize.electronic.cache import cache_folder as bands_folder
from shc.featurize.errors import ShcError
from shc.featurize.pool import default_workers
from shc.featurize.store_writer import tool_version
from shc.featurize.user_cache import user_cache
from shc.kernels.cache import cache_folder as kernels_folder
from shc.models.backends.speed import measure
from shc.models.backends.store import compiled_root, size_of
from shc.models.backends.survey import survey
from shc.models.device import choose_device, has_bfloat16
from shc.models.ensemble import load_ensemble, newest_pretrained

if TYPE_CHECKING:
    from shc.models.backends.speed import Speed
    from shc.models.backends.store import Built
    from shc.models.backends.survey import BackendState
    from shc.models.card import ModelCard

_PACKAGES: Final = {
    "matplotlib": "figures: shc bands --plot, shc evaluate --plot, shc featurize --styles",
    "scikit-learn": "rivals of shc benchmark: forest, gradient boosting",
    "matminer": "the rival of shc benchmark that reads matminer's features",
    "openvino": "back end openvino, for processors",
    "torch-tensorrt": "back end tensorrt, for GPUs of NVIDIA",
}
"""Distributions that the program runs without, and what each is for."""
_COMPILER: Final = "g++"


@dataclass(frozen=True, slots=True)
class Gpu:
    """A CUDA device."""

    name: str
    n_bytes: int
    """Its memory."""
    bfloat16: bool
    """Whether it has units for bfloat16."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Versions and hardware."""

    shc: str
    python: str
    torch: str
    processor: str
    """Its name; empty if the system does not say."""
    cores: int
    """Cores that this process may use."""
    threads: int
    """Threads that torch uses."""
    bfloat16: bool
    """Whether the processor has units for bfloat16."""
    n_bytes: int
    """Memory of the machine."""
    gpus: tuple[Gpu, ...]


@dataclass(frozen=True, slots=True)
class Package:
    """Something that is not needed for everything."""

    name: str
    version: str | None
    """Or where it is, if it is no package; None if it is not there."""
    purpose: str


@dataclass(frozen=True, slots=True)
class Place:
    """A folder that the program writes to."""

    name: str
    path: str
    writable: bool
    n_bytes: int
    """Size of the files in it."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All that was found."""

    machine: Machine
    packages: tuple[Package, ...]
    places: tuple[Place, ...]
    folder: str
    """Of the model."""
    card: ModelCard
    device: str
    """Where the networks run, ``cpu`` or ``cuda``."""
    backends: tuple[BackendState, ...]
    speeds: tuple[Speed, ...]
    """Empty if nothing was measured."""
    not_measured: str = ""
    """Why nothing was measured although it should have been."""


def diagnose(folder: Path | None = None, device: str = "auto", *, quick: bool = False) -> Diagnosis:
    """Find out what this machine can do.

    Args:
        folder: Folder of a model; the newest one that is shipped if None.
        device: ``auto``, ``cpu`` or ``cuda``.
        quick: Measure no speed, which takes some seconds.

    Raises:
        ShcError: The model cannot be loaded (``BAD_FILE``), or the device is absent (``NO_BACKEND``).
    """
    folder = newest_pretrained() if folder is None else folder
    where = choose_device(device)
    ensemble = load_ensemble(folder)
    speeds: list[Speed] = []
    not_measured = ""
    if not quick:
        try:
            speeds = measure(ensemble, where)
        except ShcError as error:
            not_measured = error.message
    return Diagnosis(
        machine=machine(),
        packages=packages(),
        places=places(),
        folder=str(folder),
        card=ensemble.card,
        device=where.type,
        backends=tuple(survey(ensemble, where)),
        speeds=tuple(speeds),
        not_measured=not_measured,
    )


def as_record(found: Diagnosis) -> dict[str, Any]:
    """Everything in the form of JSON."""
    return {
        "machine": asdict(found.machine),
        "packages": [asdict(each) for each in found.packages],
        "folders": [asdict(each) for each in found.places],
        "model": {
            "name": found.card.name,
            "version": found.card.version,
            "folder": found.folder,
            "reads": list(found.card.reads),
        },
        "device": found.device,
        "backends": [
            {**each._asdict(), "built": None if each.built is None else _built(each.built)} for each in found.backends
        ],
        "speeds": [asdict(each) for each in found.speeds],
        "not_measured": found.not_measured,
    }


def _built(built: Built) -> dict[str, Any]:
    return {**built._asdict(), "folder": str(built.folder)}


def machine() -> Machine:
    """Versions and hardware."""
    gpus = []
    if torch.cuda.is_available():
        for place in range(torch.cuda.device_count()):
            found = torch.cuda.get_device_properties(place)
            gpus.append(Gpu(found.name, found.total_memory, torch.cuda.is_bf16_supported()))
    return Machine(
        shc=tool_version(),
        python=platform.python_version(),
        torch=torch.__version__,
        processor=_processor(),
        cores=default_workers(),
        threads=torch.get_num_threads(),
        bfloat16=has_bfloat16(torch.device("cpu")),
        n_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        gpus=tuple(gpus),
    )


def packages() -> tuple[Package, ...]:
    """Optional packages, and the compiler of C++."""
    found = [Package(name, _version(name), purpose) for name, purpose in _PACKAGES.items()]
    return (*found, Package(_COMPILER, shutil.which(_COMPILER), "back end inductor, on processors"))


def places() -> tuple[Place, ...]:
    """The folders in the user's cache, and that of compiled kernels."""
    folders = {"cache": user_cache(), "cache, bands": bands_folder(), "cache, back ends": compiled_root()}
    found = [Place(name, str(folder), is_writable(folder), size_of(folder)) for name, folder in folders.items()]
    kernels, writable = kernels_folder()
    return (*found, Place("compiled kernels", str(kernels), writable, size_of(kernels)))


def is_writable(folder: Path) -> bool:
    """Whether files can be written to a folder, which is made if need be; nothing is made here."""
    nearest = next((each for each in (folder, *folder.parents) if each.exists()), Path())
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
