"""Featurise a folder with two processes; print JSON after each batch; exit like the command line."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from shc.featurize.config import FeaturizeConfig
from shc.featurize.errors import ShcError
from shc.featurize.pipeline import Progress, featurize_sources
from shc.featurize.stop import StopRequest


def report(progress: Progress) -> None:
    sys.stdout.write(json.dumps(asdict(progress)) + "\n")
    sys.stdout.flush()


def main() -> int:
    with StopRequest() as stop:
        try:
            featurize_sources(
                [sys.argv[1]],
                Path(sys.argv[2]),
                FeaturizeConfig(),
                workers=2,
                batch_size=8,
                stop=stop,
                on_progress=report,
            )
        except ShcError as error:
            sys.stderr.write(f"{error.message}\n")
            return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
