"""``shc symmetry``: what symmetry says about crystals."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shc.cli.console import report_error, results
from shc.cli.options import ConfigOption, MaxAtomsOption, OutputOption, SourcesArgument, StrictOption
from shc.featurize.config import FeaturizeConfig
from shc.featurize.errors import ExitCode, Failure, ShcError

if TYPE_CHECKING:
    from shc.featurize.symmetry import SymmetryReport


class SymmetryFormat(StrEnum):
    """How reports are written."""

    TEXT = "text"
    JSON = "json"


def symmetry(
    sources: SourcesArgument,
    *,
    output: OutputOption = None,
    output_format: Annotated[
        SymmetryFormat, typer.Option("--format", help="text to read, or json: one object a line.")
    ] = SymmetryFormat.TEXT,
    symprec: Annotated[
        float, typer.Option("--symprec", min=1e-6, help="Tolerance of the symmetry search, Angstrom.")
    ] = FeaturizeConfig().symprec,
    max_atoms: MaxAtomsOption = FeaturizeConfig().max_atoms,
    strict: StrictOption = False,
    config: ConfigOption = None,  # noqa: ARG001  # its callback acts
) -> None:
    """Show what the symmetry of a crystal allows for the spin Hall tensor.

    Space group, point group, sites with Wyckoff letters; which of the 27 components survive, which of them
    are equal or opposite, and which types of spin current exist.
    """
    from shc.featurize.structures import iter_paths

    # Symmetry asks nothing of the elements, so hydrogen is welcome here.
    settings = FeaturizeConfig(symprec=symprec, max_atoms=max_atoms, allow_hydrogen=True)
    n_done = n_failed = 0
    with results(output) as out:
        for entry in iter_paths(sources, sys.stdin):
            text = _report(entry, settings, output_format)
            if text is None:
                n_failed += 1
                continue
            if n_done and output_format is SymmetryFormat.TEXT:
                out.write("\n\n")
            out.write(f"{text}\n")
            n_done += 1
    if n_done == 0:
        raise ShcError("no input could be used" if n_failed else "no structure file was found")
    if strict and n_failed:
        raise typer.Exit(ExitCode.SOME_FAILED)


def _report(entry: Path | Failure, config: FeaturizeConfig, output_format: SymmetryFormat) -> str | None:
    """Write the report of one crystal, or tell on stderr why there is none."""
    from shc.featurize.structures import read_crystal
    from shc.featurize.symmetry import format_report, symmetry_report

    if isinstance(entry, Failure):
        report_error(f"{entry.path}: {entry.error}", entry.hint)
        return None
    try:
        report = symmetry_report(read_crystal(entry, config), config)
    except ShcError as error:
        report_error(error.message, error.hint)
        return None
    return format_report(report) if output_format is SymmetryFormat.TEXT else _json(report)


def _json(report: "SymmetryReport") -> str:
    import json
    from dataclasses import asdict

    content = asdict(report)
    facts = content.pop("facts")
    first = {
        "material_id": content.pop("material_id"),
        "space_group_number": facts.pop("number"),
        "space_group": facts.pop("symbol"),
    }
    return json.dumps({**first, **facts, **content})
