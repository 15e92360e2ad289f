"""``shc check-bands``: a contact sheet that shows what is understood of pictures of bands."""

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shc.cli.console import Progress, report_error, say
from shc.cli.options import ConfigOption, EnergyWindowOption, QuietOption
from shc.featurize.band_image.types import LEAST_CONFIDENCE, SURE
from shc.featurize.errors import ExitCode, Failure, ShcError, counted

if TYPE_CHECKING:
    from shc.featurize.band_image.checking import Checked


def check_bands(
    imgs: Annotated[
        list[str], typer.Argument(metavar="IMGS...", help="Folders of pictures, pictures, or glob patterns.")
    ],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where the contact sheet goes.")
    ] = Path(),
    energy_window: EnergyWindowOption = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with code 4 if any picture cannot be read or used.")
    ] = False,
    quiet: QuietOption = False,
    config: ConfigOption = None,  # noqa: ARG001  # its callback acts
) -> None:
    """Show what is understood of pictures of band structures.

    FOLDER gets check-bands.png, the pictures with the panel, the Fermi level and the energies that were found
    beside what a model reads of them, further pages if there are many, and check-bands.html, the same for a
    browser. A table goes to stdout, pictures that cannot be used are named on stderr.
    """
    from shc.featurize.band_image.checking import TABLE_COLUMNS, check_picture
    from shc.featurize.band_image.listing import find_pictures
    from shc.featurize.band_image.sheet import ContactSheet
    from shc.featurize.band_image.sidecar import energy_window as checked_window

    found = find_pictures(imgs, None if energy_window is None else checked_window(*energy_window))
    n_sure = n_used = 0
    sheet = ContactSheet(output)
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(TABLE_COLUMNS)
    # A bar would run across rows that appear on the same terminal.
    with Progress("check-bands", len(found), quiet=quiet or sys.stdout.isatty(), every=100) as progress:
        for entry in found:
            if isinstance(entry, Failure):
                report_error(f"{entry.path}: {entry.error}", entry.hint)
            else:
                checked = check_picture(entry)
                table.writerow(checked.table_row())
                sheet.add(checked)
                n_used += checked.confidence >= LEAST_CONFIDENCE
                n_sure += checked.confidence >= SURE
                _tell(checked)
            progress.advance()
    n_failed = len(found) - n_used
    if sheet.placed:
        sheet.close()
        if not quiet:
            doubtful = f", {n_used - n_sure} doubtful" if n_used > n_sure else ""
            failed = f", {n_failed} cannot be used" if n_failed else ""
            say(f"{counted(n_sure, 'picture')} understood{doubtful}{failed}: see {output / 'check-bands.html'}")
    if n_used == 0:
        hint = "the contact sheet shows what was found" if sheet.placed else "name a folder of pictures"
        raise ShcError("no picture of bands could be used", hint)
    if strict and n_failed:
        raise typer.Exit(ExitCode.SOME_FAILED)


def _tell(checked: "Checked") -> None:
    """Tell on stderr why a picture cannot be read or used."""
    if checked.error is not None:
        report_error(checked.error.message, checked.error.hint)
    elif checked.confidence < LEAST_CONFIDENCE:
        report_error(f"{checked.name}: {'; '.join(checked.reasons)}")
