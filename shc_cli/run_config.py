"""The file `run.yaml`: written by runs, accepted by every verb as ``--config``.

A section per verb holds the options of that verb by name; the section of a verb with verbs of its own holds theirs. A
section ``about`` says what wrote the file and is ignored on reading.
"""

from __future__ import annotations

import json
import math
import os
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import cast

import typer

from shc.cli.console import version
from shc.featurize.errors import ExitCode, ShcError
from shc.featurize.writing import whole_file

ABOUT = "about"
_NOT_KEPT = frozenset({"config", "help"})


def apply_config(ctx: typer.Context, path: Path | None) -> Path | None:
    """Take the defaults of a verb from its section of a YAML file; the callback of ``--config``.

    Args:
        ctx: Context of the verb; its default map is set.
        path: The YAML file, or None.

    Returns:
        The path.

    Raises:
        typer.BadParameter: The file cannot be read, or holds a section or an option that does not exist.
    """
    if path is None or ctx.resilient_parsing:
        return path
    verb, section = ctx.info_name or "", _section(ctx, path)
    values = {str(key).replace("-", "_"): value for key, value in section.items()}
    options = {str(parameter.name) for parameter in ctx.command.params} - _NOT_KEPT
    _refuse_unknown(set(values) - options, f"{path}: {verb} has no option", options)
    several = {str(parameter.name) for parameter in ctx.command.params if _takes_several(parameter)}
    ctx.default_map = {
        name: [value] if name in several and isinstance(value, str) else value
        for name, value in values.items()
        if value is not None
    }
    return path


def _section(ctx: typer.Context, path: Path) -> dict[str, object]:
    """The section of a verb; that of `shc a b` is the section `b` of the section `a`."""
    group, verb = ctx.parent, ctx.info_name or ""
    is_inner = group is not None and group.parent is not None
    sections = _section(cast("typer.Context", group), path) if is_inner else _read_sections(path)
    known: set[str] = set(group.command.list_commands(group)) if group else {verb}  # type: ignore[attr-defined]
    _refuse_unknown(set(sections) - known - (set() if is_inner else {ABOUT}), f"{path}: no verb is called", known)
    section = sections.get(verb) or {}
    if not isinstance(section, dict):
        raise typer.BadParameter(f"{path}: section {verb!r} must map options to values")
    return section


def _takes_several(parameter: object) -> bool:
    """Whether an option may be repeated, or an argument takes any number of values: a word alone is one of them."""
    return bool(getattr(parameter, "multiple", False)) or getattr(parameter, "nargs", 1) == -1


def _refuse_unknown(unknown: set[str], message: str, known: set[str]) -> None:
    if unknown:
        raise typer.BadParameter(
            f"{message} {', '.join(map(repr, sorted(unknown)))} (there are: {', '.join(sorted(known))})"
        )


def _read_sections(path: Path) -> dict[str, object]:
    try:
        import yaml
    except ImportError as error:
        raise ShcError(
            f"{path}: reading YAML needs the package pyyaml", "pip install pyyaml", ExitCode.NO_BACKEND
        ) from error
    try:
        content: object = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise typer.BadParameter(f"{path}: {' '.join(str(error).split())}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise typer.BadParameter(f"{path}: the file must hold one section per verb")
    return {str(key): value for key, value in content.items()}


def run_yaml_path(output: Path) -> Path:
    """Return where the options of a run are kept, beside its output: ``a.h5`` -> ``a.run.yaml``."""
    return output.with_name(f"{output.stem}.run.yaml")


def write_run_yaml(path: Path, verb: str, params: Mapping[str, object]) -> None:
    """Write the options of a run so that ``shc VERB --config PATH`` repeats it.

    No YAML library is needed to write it. The file is replaced as a whole.

    Args:
        path: File to write.
        verb: Name of the verb.
        params: Its options by name, e.g. `ctx.params`; scalars, paths, enums and lists of them. Options that
            are None are left out.

    Raises:
        TypeError: A value has no place in the file.
    """
    options = {name: value for name, value in params.items() if value is not None and name not in _NOT_KEPT}
    lines = [f"# `shc {verb} --config {path.name}` repeats this run", f"{ABOUT}:"]
    lines += [f"  {name}: {_yaml(value)}" for name, value in _about().items()]
    lines += [f"{verb}:" if options else f"{verb}: {{}}"]
    lines += [f"  {name}: {_yaml(value)}" for name, value in options.items()]
    with whole_file(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _about() -> dict[str, object]:
    about: dict[str, object] = {
        "shc": version(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }
    # Only what is loaded already: importing torch to note its version would cost seconds.
    for name in ("numpy", "numba", "torch"):
        if name in sys.modules:
            about[name] = str(getattr(sys.modules[name], "__version__", "unknown"))
    return about


def _yaml(value: object) -> str:
    """Write a scalar or a list of scalars in the part of YAML that is JSON, as far as YAML 1.1 reads JSON."""
    if isinstance(value, Enum):
        return _yaml(value.value)
    if isinstance(value, Path):
        return _yaml(str(value))
    if value is None or isinstance(value, bool | int):
        return json.dumps(value)
    if isinstance(value, str):
        # YAML knows no pairs of \u escapes and refuses control characters, hence one escape per character.
        quoted = json.dumps(value, ensure_ascii=False)
        return re.sub(r".", lambda m: m[0] if m[0].isprintable() else f"\\U{ord(m[0]):08x}", quoted)
    if isinstance(value, float):
        return _yaml_float(value)
    if isinstance(value, Sequence):
        return "[" + ", ".join(_yaml(item) for item in cast("Sequence[object]", value)) + "]"
    raise TypeError(f"{type(value).__name__} cannot be written to run.yaml")


def _yaml_float(value: float) -> str:
    if math.isnan(value):
        return ".nan"
    if math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    text = repr(value)
    # YAML 1.1 takes 1e-05 for a word: a number needs its point.
    return text if "." in text else text.replace("e", ".0e")
