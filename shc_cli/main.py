"""Entry point of the command line: the table of verbs and the one place that turns errors into messages."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, cast

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from shc.cli.console import report_error, version
from shc.featurize.errors import ExitCode, ShcError
from shc.featurize.writing import PLACE_ERRORS, cannot_write

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# verb -> one-line help. The verb `a-b` is the function `a_b` of the module `shc.cli.commands.a_b`, which is
# imported only when the verb runs, so that `shc --help` stays fast. A verb without a module is not listed. In place of
# a function there may be a Typer with verbs of its own.
VERBS: dict[str, str] = {
    "featurize": "Turn crystal structures into a feature file (HDF5).",
    "symmetry": "Show what the symmetry of a crystal allows for the spin Hall tensor.",
    "bands": "Compute bands and spin Hall conductivity of crystals by tight binding.",
    "check-bands": "Show what is understood of pictures of band structures.",
    "train": "Train a model on a feature file and a table of labels.",
    "predict": "Predict the spin Hall conductivity of crystals or of a feature file.",
    "benchmark": "Train our model and its rivals on the same data and compare them.",
    "evaluate": "Score predictions against labels, or the model against published values.",
    "merge": "Join feature files, for example the shards of an array job.",
    "model": "List the shipped models, and compile one for this machine.",
    "doctor": "Show what this machine can do: packages, folders, back ends and their speed.",
}

# What a shell reports for a program that wrote into a closed pipe (128 + SIGPIPE).
_CLOSED_PIPE = 141


def _module_name(verb: str) -> str:
    return f"shc.cli.commands.{verb.replace('-', '_')}"


def load_command(verb: str) -> TyperCommand | TyperGroup:
    """Import the module of a verb and build its command.

    Args:
        verb: A key of `VERBS`.

    Returns:
        The command with its options; a group if the verb has verbs of its own.
    """
    found: Callable[..., object] | typer.Typer = getattr(import_module(_module_name(verb)), verb.replace("-", "_"))
    if isinstance(found, typer.Typer):
        group = typer.main.get_group(found)
        for command in (group, *group.commands.values()):
            _add_version(cast("TyperCommand", command))
        return group
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command(verb, help=found.__doc__, short_help=VERBS[verb])(found)
    command = cast("TyperCommand", typer.main.get_command(single))
    _add_version(command)
    return command


def _add_version(command: TyperCommand | TyperGroup) -> None:
    command.params.append(
        TyperOption(
            param_decls=["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=lambda _context, _parameter, show: _print_version(show),
            help="Show the version and exit.",
        )
    )


class ShcGroup(TyperGroup):
    """Loads verbs when they are called and turns every error into one message and one exit code."""

    def __init__(self, **attrs: object) -> None:
        """Put a stand-in with a line of help in place of every verb."""
        super().__init__(**attrs)  # type: ignore[arg-type]
        for verb, text in VERBS.items():
            if find_spec(_module_name(verb)) is not None:
                self.add_command(TyperCommand(verb, help=text, rich_markup_mode=None))

    def resolve_command(
        self, ctx: object, args: list[str]
    ) -> tuple[str | None, TyperCommand | TyperGroup | None, list[str]]:
        """Find the verb in the arguments and put the real command in place of its stand-in."""
        name, _, rest = super().resolve_command(cast("typer.Context", ctx), args)
        return name, None if name is None else load_command(name), rest

    def invoke(self, ctx: object) -> object:
        """Run a verb; the only place where errors become messages."""
        context = cast("typer.Context", ctx)
        debug = bool(context.params.get("debug")) or os.environ.get("SHC_DEBUG", "0") not in {"", "0"}
        try:
            result: object = super().invoke(context)
            sys.stdout.flush()
        except BrokenPipeError as error:
            # Whatever is still buffered must go nowhere, or the interpreter complains on its way out.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(_CLOSED_PIPE) from error
        except ShcError as error:
            raise typer.Exit(explain(error, debug=debug)) from error
        except (Exception, KeyboardInterrupt) as error:
            if isinstance(error, typer.Abort) or hasattr(error, "exit_code"):
                raise  # usage errors and exits of Typer, which knows how to show them
            raise typer.Exit(explain(error, debug=debug)) from error
        return result


def explain(error: BaseException, *, debug: bool) -> ExitCode:
    """Tell on stderr what went wrong.

    Args:
        error: What ended the command.
        debug: Show the traceback.

    Returns:
        The exit code.
    """
    trace = error if debug else None
    if isinstance(error, OSError) and error.errno in PLACE_ERRORS:
        error = cannot_write(error.filename or "output", error)
    if isinstance(error, ShcError):
        report_error(error.message, error.hint, trace)
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        report_error("interrupted", trace=trace)
        return ExitCode.INTERRUPTED
    text = f"{type(error).__name__}: {error}".splitlines()[0]
    report_error(f"unexpected {text}", "this is a bug; please report it with what SHC_DEBUG=1 shows", trace)
    return ExitCode.BUG


def _print_version(show: bool) -> None:
    if show:
        typer.echo(f"shc {version()}")
        raise typer.Exit


app = typer.Typer(
    name="shc",
    cls=ShcGroup,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def shc(
    *,
    version: Annotated[  # the callback acts on it
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
    debug: Annotated[  # the group reads it from the context
        bool, typer.Option("--debug", help="Show the traceback of an error (also: SHC_DEBUG=1).")
    ] = False,
) -> None:
    """Predict the intrinsic spin Hall conductivity of crystals.

    Exit codes: 0 done, 1 bug, 2 usage, 3 no usable input, 4 some inputs failed and --strict, 5 model or
    feature file wrong or incompatible, 6 device or back end missing, 75 stopped and resumable,
    130 interrupted.
    """


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line; leaves through `SystemExit` with the exit code.

    Args:
        args: Arguments after the program name; those of the process by default.
    """
    app(args=None if args is None else list(args), prog_name="shc")
