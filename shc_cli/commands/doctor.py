"""``shc doctor``: what this machine can do for predictions."""

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from shc.cli.console import print_json, say
from shc.cli.options import ConfigOption, Device, DeviceOption, ModelOption, QuietOption
from shc.featurize.errors import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shc.models.backends.speed import Speed
    from shc.models.backends.survey import BackendState
    from shc.models.doctor import Diagnosis, Machine

    Section = tuple[str, tuple[str, ...], list[tuple[str, ...]]]


class DoctorFormat(StrEnum):
    """How the findings are written."""

    TABLE = "table"
    JSON = "json"


def doctor(
    *,
    model: ModelOption = None,
    device: DeviceOption = Device.AUTO,
    quick: Annotated[bool, typer.Option("--quick", help="Measure no speed, which takes some seconds.")] = False,
    output_format: Annotated[
        DoctorFormat, typer.Option("--format", help="table: for people; json: for machines.")
    ] = DoctorFormat.TABLE,
    quiet: QuietOption = False,
    config: ConfigOption = None,  # noqa: ARG001  # its callback acts
) -> None:
    """Show what this machine can do: versions, processors, packages, folders, back ends and their speed.

    What is missing is no error: the exit code is 0 unless the model cannot be loaded.
    """
    from shc.models.doctor import as_record, diagnose

    if not quick and not quiet:
        say("measuring the speed of the back ends, some seconds; --quick leaves it out")
    found = diagnose(model, device.value, quick=quick)
    if output_format == DoctorFormat.JSON:
        print_json(as_record(found))
        return
    from shc.cli.plain_table import print_table

    for place, (title, heads, rows) in enumerate(_sections(found)):
        if place:
            sys.stdout.write("\n")
        print_table(title, heads, rows, sys.stdout)


def _sections(found: "Diagnosis") -> "Iterator[Section]":
    """Title, heads and rows of each table."""
    from shc.cli.plain_table import size

    yield "machine", (), _machine(found.machine)
    packages: list[tuple[str, ...]] = [
        (each.name, each.version or "not installed", each.purpose) for each in found.packages
    ]
    yield "optional packages", (), packages
    places: list[tuple[str, ...]] = [
        (each.name, "writable" if each.writable else "NOT WRITABLE", size(each.n_bytes), each.path)
        for each in found.places
    ]
    yield "folders", (), places
    card = found.card
    model: list[tuple[str, ...]] = [
        ("name", f"{card.name} {card.version}"),
        ("reads", ", ".join(card.reads)),
        ("folder", found.folder),
    ]
    yield "model", (), model
    yield f"back ends on {found.device}", (), [(each.name, each.title, _state(each)) for each in found.backends]
    if found.speeds:
        heads = ("back end", "predicted from", "pictures encoded in", "crystals per second")
        title = f"speed, features in memory, {counted(found.machine.threads, 'thread')}, one picture a crystal"
        yield title, heads, [_speed(each) for each in found.speeds]
    elif found.not_measured:
        yield "speed", (), [("not measured", found.not_measured)]


def _machine(machine: "Machine") -> list[tuple[str, ...]]:
    from shc.cli.plain_table import size

    rows: list[tuple[str, ...]] = [
        ("shc", machine.shc),
        ("python", machine.python),
        ("torch", machine.torch),
        ("processor", f"{machine.processor or 'unknown'}, {_units(machine.bfloat16)}"),
        ("cores", f"{machine.cores} usable, {counted(machine.threads, 'thread')} of torch"),
        ("memory", size(machine.n_bytes)),
    ]
    gpus = [f"{gpu.name}, {size(gpu.n_bytes)}, {_units(gpu.bfloat16)}" for gpu in machine.gpus]
    return rows + [("GPU", gpu) for gpu in gpus or ["none that torch can use"]]


def _units(bfloat16: bool) -> str:
    return "units for bfloat16" if bfloat16 else "no units for bfloat16"


def _state(state: "BackendState") -> str:
    from shc.cli.plain_table import size

    if state.why_not is not None:
        return f"not usable: {state.why_not}"
    if not state.compiled:
        return "usable"
    if state.built is None:
        return f"usable, not built: `shc model compile --backend {state.name}`"
    return f"usable, built {state.built.date[:10]}, {size(state.built.n_bytes)}"


def _speed(speed: "Speed") -> tuple[str, ...]:
    rate = speed.error if speed.crystals_per_second is None else f"{speed.crystals_per_second:.0f}"
    return (speed.backend, speed.rests_on, speed.encoder, rate)
