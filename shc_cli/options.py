"""Options that several verbs share, as annotated types."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from shc.cli.run_config import apply_config


class Device(StrEnum):
    """Where networks run."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Backend(StrEnum):
    """What runs the networks; the names are those of ``shc.models.backends.choose``."""

    AUTO = "auto"
    EAGER = "eager"
    OPENVINO = "openvino"
    INDUCTOR = "inductor"
    TENSORRT = "tensorrt"


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="RUN.YAML",
        is_eager=True,
        callback=apply_config,
        help="Take options from the section of this verb in a YAML file; options given here win.",
    ),
]

SourcesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCES...",
        help="Structure files, folders, glob patterns, lists of paths (.txt, .lst), or - for paths on stdin.",
    ),
]

OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="File to write; stdout if not given."),
]

ModelOption = Annotated[
    Path | None, typer.Option("--model", metavar="FOLDER", help="Trained model; the shipped one if not given.")
]

DeviceOption = Annotated[Device, typer.Option("--device", help="Where the networks run.")]

BackendOption = Annotated[
    Backend,
    typer.Option(
        "--backend",
        help="What runs the networks. auto: the fastest that `shc model compile` has built, else eager; others are "
        "built if need be.",
    ),
]

WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", "-j", min=1, help="Worker processes; one per available core if not given."),
]

ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Use every N-th input starting at number I (1 to N); `auto`: from a SLURM array 1-N.",
    ),
]

QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no counts on stderr.")]

StrictOption = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Exit with code 4 if any input failed, bands that should be stored are missing, or a picture is not used.",
    ),
]

OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Start afresh instead of continuing an existing output.")
]

MaxAtomsOption = Annotated[
    int, typer.Option("--max-atoms", min=1, help="Refuse a crystal with more atoms in its cell.")
]

AllowHydrogenOption = Annotated[
    bool,
    typer.Option("--allow-hydrogen", help="Accept H, D and T; the shipped model has seen none of them."),
]

BudgetOption = Annotated[
    float,
    typer.Option("--budget", min=0.01, metavar="SECONDS", help="Processor time aimed at for the bands of one crystal."),
]

EnergyWindowOption = Annotated[
    tuple[float, float] | None,
    typer.Option(
        "--energy-window",
        metavar="LO HI",
        help="Energies at the lower and the upper edge of the pictures' panels, eV from the Fermi level; "
        "bands.csv in their folder wins.",
    ),
]

NoCacheOption = Annotated[
    bool,
    typer.Option("--no-cache", help="Compute all bands anew and keep none in the user's cache."),
]
