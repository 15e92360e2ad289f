"""Which back end runs: by name, or the best that was built for this model on this machine."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final, NamedTuple

from shc.featurize.errors import ExitCode, ShcError
from shc.models.backends.agreement import EXAMPLES, compare, read_examples
from shc.models.backends.base import Compiler, unavailable
from shc.models.backends.eager import EAGER, Eager
from shc.models.backends.store import build_into, compiled_folder, is_built
from shc.models.bands_input import bands_of
from shc.models.data import CrystalArrays

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch

    from shc.featurize.store import FeatureBatch
    from shc.models.backends.agreement import Agreement
    from shc.models.backends.base import Backend
    from shc.models.data import CrystalBatch
    from shc.models.ensemble import Ensemble

AUTO: Final = "auto"
COMPILED: Final = {"cuda": ("tensorrt", "inductor"), "cpu": ("openvino",)}
"""Compiled back ends that ``auto`` may take, by kind of device, the fastest first.

On processors ``inductor`` is slower than ``eager``.
"""
NAMES: Final = (AUTO, EAGER, "openvino", "inductor", "tensorrt")
"""What can be asked for."""


class Chosen(NamedTuple):
    """A back end, and why it is this one."""

    backend: Backend
    why: str
    """One line for people."""
    warning: str | None = None
    """Why it is not the one that was asked for."""


def compiler_of(name: str) -> Compiler:
    """The compiler behind a name.

    Raises:
        ShcError: The name is unknown, or of a back end that is not compiled (``USAGE``).
    """
    known = [each for names in COMPILED.values() for each in names]
    if name not in known:
        hint = f"it is one of {', '.join(sorted(set(known)))}"
        raise ShcError(f"there is no compiled back end {name!r}", hint, ExitCode.USAGE)
    found: Compiler = import_module(f"shc.models.backends.{name}").COMPILER
    return found


def usable_compiler(name: str, device: torch.device) -> Compiler:
    """The compiler behind a name that can run on a device; with ``auto`` the one whose back end is the fastest.

    Raises:
        ShcError: The name is unknown (``USAGE``), or nothing that was asked for can run here (``NO_BACKEND``).
    """
    found = [compiler_of(each) for each in (COMPILED[device.type] if name == AUTO else (name,))]
    reasons = [(compiler, compiler.why_not(device)) for compiler in found]
    for compiler, reason in reasons:
        if reason is None:
            return compiler
    if name != AUTO:
        (compiler, reason), *_ = reasons
        raise unavailable(compiler.title, str(reason), "take --backend auto, and see `shc doctor`")
    raise ShcError(
        f"no back end can be compiled here: {'; '.join(f'{each.name}: {reason}' for each, reason in reasons)}",
        "the networks run without a compiler too, as --backend eager",
        ExitCode.NO_BACKEND,
    )


def choose_backend(
    name: str, ensemble: Ensemble, device: torch.device, tell: Callable[[str], None] = lambda _: None
) -> Chosen:
    """The back end behind a name.

    ``auto`` takes the fastest one that was built for this model and this machine, and none otherwise. A compiled back
    end that is asked for by name is built if it has to be: if there is none, or its files are damaged. ``eager`` takes
    the place of one that cannot be built or loaded, or does not say what the networks say.

    Args:
        name: One of ``NAMES``.
        ensemble: The networks.
        device: Where they run.
        tell: Told of what takes minutes, before it is done.

    Raises:
        ShcError: The back end is unknown (``USAGE``) or cannot run on this machine (``NO_BACKEND``).
    """
    if name == EAGER:
        return Chosen(Eager(ensemble, device), "as torch runs the networks, as asked for")
    if name == AUTO:
        return _best(ensemble, device)
    compiler = usable_compiler(name, device)
    try:
        if not is_built(compiled_folder(compiler, ensemble, device)):
            tell(f"building {compiler.title}, once for this model and machine; it may take minutes")
            build(compiler, ensemble, device)
        return Chosen(_load(compiler, ensemble, device), "as asked for")
    except Exception as error:  # noqa: BLE001  compilers raise anything
        return _instead(compiler, error, ensemble, device)


def build(compiler: Compiler, ensemble: Ensemble, device: torch.device, examples: Path = EXAMPLES) -> Agreement:
    """Build a back end, compare it with the networks on real crystals, and keep it if they agree.

    Args:
        compiler: The back end.
        ensemble: The networks.
        device: Where they run.
        examples: Feature file of the crystals.

    Raises:
        ShcError: The crystals do not fit the networks (``BAD_FILE``), or the two do not agree (``NO_BACKEND``).
        OSError: The cache cannot be written.
        Exception: Whatever the compiler raises.
    """
    features = read_examples(ensemble, examples)
    reference = Eager(ensemble, device)
    agreements: list[Agreement] = []

    def fill(folder: Path) -> dict[str, object]:
        compiler.build(ensemble, _example(ensemble, reference, features), device, folder)
        found = compare(ensemble, compiler.load(ensemble, device, folder), reference, features)
        if not found.good:
            raise ShcError(
                f"{compiler.title} does not say what the networks say: {found}",
                "please report this; --backend eager works",
                ExitCode.NO_BACKEND,
            )
        agreements.append(found)
        return {
            "backend": compiler.name,
            "model": f"{ensemble.card.name} {ensemble.card.version}",
            **compiler.identity(device),
            "agreement": found._asdict(),
        }

    build_into(compiled_folder(compiler, ensemble, device), fill)
    return agreements[0]


def _example(ensemble: Ensemble, reference: Backend, features: FeatureBatch) -> CrystalBatch:
    """A batch of real crystals of several sizes, with all that the networks read."""
    arrays = CrystalArrays(features, bands_of(features, ensemble.card.model, reference.encode))
    return arrays.batch(arrays.n_nodes.argsort()[-4:])


def _load(compiler: Compiler, ensemble: Ensemble, device: torch.device) -> Backend:
    return compiler.load(ensemble, device, compiled_folder(compiler, ensemble, device))


def _instead(compiler: Compiler, error: Exception, ensemble: Ensemble, device: torch.device) -> Chosen:
    """The networks without a compiler, where one has failed."""
    text = next(iter(str(error).strip().splitlines()), type(error).__name__)
    warning = f"{compiler.title} cannot be used, so the networks run without a compiler: {text}"
    return Chosen(Eager(ensemble, device), f"in the place of {compiler.name}", warning)


def _best(ensemble: Ensemble, device: torch.device) -> Chosen:
    usable = [found for name in COMPILED[device.type] if (found := compiler_of(name)).why_not(device) is None]
    for compiler in usable:
        if is_built(compiled_folder(compiler, ensemble, device)):
            try:
                return Chosen(_load(compiler, ensemble, device), f"{compiler.title}, built for this model before")
            except Exception as error:  # noqa: BLE001  loaders raise anything
                return _instead(compiler, error, ensemble, device)
    why = "as torch runs the networks: no compiled back end stands ready"
    if usable:
        name = usable[0].name
        if compiled_folder(usable[0], ensemble, device).exists():
            why += f"; what was built of {name} is damaged, and `shc model compile` builds it anew"
        else:
            why += f"; `shc model compile` builds {name}"
    return Chosen(Eager(ensemble, device), why)
