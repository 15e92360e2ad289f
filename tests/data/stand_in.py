"""A fast stand-in for the electronic structure, and a run of ``shc bands`` with it in all its processes.

``python stand_in.py LOG SECONDS ARGUMENTS...`` runs ``shc`` with the arguments; each crystal takes some seconds and
adds a line to the log when it has been computed.
"""

from __future__ import annotations

import hashlib
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shc.featurize.electronic import engine
from shc.featurize.electronic.record import DOS_GRID, SHC_GRID, BandsConfig, ElectronicRecord
from shc.featurize.errors import ShcError

if TYPE_CHECKING:
    from shc.featurize.symmetry import PrimitiveCrystal


def electronic_record(seed: int = 0, *, n_k: int = 48, n_bands: int = 10, degenerate: bool = True) -> ElectronicRecord:
    """Smooth made-up bands; equal arguments give equal records."""
    rng = np.random.default_rng(seed)
    k = np.linspace(0.0, 1.0, n_k)
    waves = sum(rng.normal(size=(n_bands, 1)) * np.cos(np.pi * n * k + rng.uniform(0, 6)) for n in range(1, 5))
    energy = np.sort((waves + rng.uniform(-3.5, 3.5, (n_bands, 1))).T, axis=1)
    scalar = energy[:, : n_bands - 1] + 0.05
    if degenerate:
        energy = np.repeat(energy, 2, axis=1)
    shape = rng.normal(size=(3, 3, 3)) * (rng.random((3, 3, 3)) < 0.4)
    return ElectronicRecord(
        energy=energy.astype(np.float32),
        scalar_energy=scalar.astype(np.float32),
        distance=np.cumsum(np.full(n_k, 0.03), dtype=np.float32),
        labels=((0, "GAMMA"), (n_k // 2 - 1, "X"), (n_k // 2, "K"), (n_k - 1, "GAMMA")),
        breaks=(n_k // 2,),
        shc=(400.0 * np.cos(3.0 * SHC_GRID)[:, None, None, None] * shape).astype(np.float32),
        dos=(4.0 + 3.0 * np.sin(2.0 * DOS_GRID + seed)).astype(np.float32),
        fermi_ev=-5.0 - 0.125 * (seed % 7),
        gap_ev=0.0,
        k_mesh=(8, 8, 6),
        seconds=0.25,
        flags=("coarsened",) if seed % 2 else (),
    )


def compute_bands(crystal: PrimitiveCrystal, config: BandsConfig) -> ElectronicRecord:
    """Made-up bands that depend on the crystal and the settings; crystals with rubidium have none."""
    if 37 in crystal.atomic_number:
        raise ShcError("no built-in electronic structure for Rb", "leave it out")
    text = f"{np.round(crystal.lattice, 4).tolist()} {crystal.atomic_number.tolist()} {config.budget}"
    return electronic_record(int.from_bytes(hashlib.sha256(text.encode()).digest()[:3], "big"))


def _logged(crystal: PrimitiveCrystal, config: BandsConfig) -> ElectronicRecord:
    time.sleep(float(sys.argv[2]))
    record = compute_bands(crystal, config)
    with Path(sys.argv[1]).open("a") as log:
        log.write(f"{np.linalg.det(crystal.lattice):.6f}\n")
    return record


# Spawned processes load this file again under another name.
if __name__ in {"__main__", "__mp_main__"}:
    engine.compute_bands = _logged

if __name__ == "__main__":
    from shc.cli.main import main

    # Tests that run in the background inherit a SIGINT that is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    main(sys.argv[3:])
