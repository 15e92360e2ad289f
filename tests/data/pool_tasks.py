"""Tasks for pools of processes; spawned workers import them from here."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from shc.featurize.errors import Failure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from shc.featurize.types import CrystalRecord


def by_name(paths: Sequence[Path]) -> tuple[list[CrystalRecord], list[Failure]]:
    """Return one failure per path; a path named ``kill`` kills its process, ``hang`` never ends."""
    for path in paths:
        if path.stem == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if path.stem == "hang":
            time.sleep(3600)
    threads = os.environ.get("OMP_NUM_THREADS", "")
    return [], [Failure(str(path), "read", str(os.getpid()), threads) for path in paths]
