"""Kill a writer of feature files at random moments, again and again, and check what is left each time.

Usage: python kill_writer.py FOLDER N_KILLS SEED. Prints one line of JSON with counts. One process forks the
writers, so that hundreds of kills take seconds.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from shc.featurize.config import FeaturizeConfig
from shc.featurize.store import FeatureFile, FeatureHeader, part_path
from shc.featurize.store_writer import FeatureWriter
from shc.featurize.types import CrystalRecord

HEADER = FeatureHeader(FeaturizeConfig(), 1, (("all", 0, 7),), 1, tuple("abcdefghi"))
N_CRYSTALS = 90
BATCH = 2


def record(number: int, version: int) -> CrystalRecord:
    n_atoms, n_nodes = 1 + number % 7, 1 + number % 7 // 2
    return CrystalRecord(
        material_id=f"m{number}",
        formula="X",
        space_group_number=1 + number,
        lattice=np.full((3, 3), float(number)),
        atomic_number=np.full(n_atoms, number, dtype=np.uint8),
        frac=np.full((n_atoms, 3), version / 1000),
        orbit=np.zeros(n_atoms, dtype=np.uint16),
        neighbour_atom=np.full((n_nodes, 12), number, dtype=np.int32),
        neighbour_shift=np.zeros((n_nodes, 12, 3), dtype=np.int16),
        neighbour_distance=np.full((n_nodes, 12), number, dtype=np.float32),
        standard_rotation=np.full((3, 3), version, dtype=np.float32),
        symmetry_prompt=np.full(7, number, dtype=np.float32),
        descriptors=np.full(9, version, dtype=np.float32),
        content_hash=f"{version:064x}",
    )


def child(path: Path, version: int, pipe: int) -> None:
    """Write what is missing, report each batch once it is safe, finish."""
    with FeatureWriter(path, HEADER) as writer:
        wanted = f"{version:064x}"
        todo = [i for i in range(N_CRYSTALS) if writer.done.get(f"m{i}", b"").hex() != wanted]
        for start in range(0, len(todo), BATCH):
            numbers = todo[start : start + BATCH]
            writer.append([record(i, version) for i in numbers])
            os.write(pipe, bytes(numbers))
        writer.finish()
    os.write(pipe, bytes([255]))


def check(path: Path, expected: dict[int, set[int]]) -> None:
    """Whatever is there must be readable, whole and at least as new as what was reported."""
    if path.exists():
        batch = FeatureFile.open(path).load_all()
        for b, name in enumerate(batch.material_id):
            number = int(name[1:])
            version = int(batch.descriptors[b, 0])
            atoms = slice(batch.atom_offsets[b], batch.atom_offsets[b + 1])
            nodes = slice(batch.node_offsets[b], batch.node_offsets[b + 1])
            whole = record(number, version)
            assert np.array_equal(batch.frac[atoms], whole.frac), name
            assert np.array_equal(batch.neighbour_atom[nodes], whole.neighbour_atom), name
            assert batch.content_hash[b] == whole.content_hash, name
        assert len(set(batch.material_id)) == len(batch)
    with FeatureWriter(path, HEADER) as writer:
        for number, versions in expected.items():
            found = int(writer.done[f"m{number}"].hex(), 16)
            assert found in versions, f"m{number}: {found}, not {versions}"


def run_and_kill(path: Path, version: int, wait: float) -> tuple[bytes, bool]:
    """Start a writer and kill it after some seconds; return what it reported and whether it was killed."""
    read_end, write_end = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(read_end)
        status = 1
        try:
            child(path, version, write_end)
            status = 0
        finally:
            os._exit(status)
    os.close(write_end)
    if wait < math.inf:
        time.sleep(wait)
        os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == 0, "the writer failed"
    with os.fdopen(read_end, "rb") as pipe:
        return pipe.read(), os.WIFSIGNALED(status)


def main() -> None:
    folder, n_kills, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    path = folder / "features.h5"
    rng = np.random.default_rng(seed)
    expected: dict[int, set[int]] = {}
    counts = {"killed": 0, "killed_while_appending": 0, "killed_while_finishing": 0}
    version, n_tries = 1, 0
    while counts["killed"] < n_kills:
        # Aim at the appending of rows first, then thrice at the writing of the whole file, then let it finish.
        n_tries += sum(versions == {version} for versions in expected.values()) == N_CRYSTALS
        wait = math.inf if n_tries > 3 else rng.uniform(0.0, 0.04 if n_tries == 0 else 0.1)
        reported, killed = run_and_kill(path, version, wait)
        for number in range(N_CRYSTALS):
            if number in reported:
                expected[number] = {version}
            elif expected.get(number, {version}) != {version}:
                # What was being written when the writer died may or may not have made it.
                expected[number] = expected[number] | {version}
        n_reported = sum(versions == {version} for versions in expected.values())
        counts["killed"] += killed
        counts["killed_while_appending"] += killed and 0 < n_reported < N_CRYSTALS
        counts["killed_while_finishing"] += killed and n_reported == N_CRYSTALS
        check(path, expected)
        if not killed:
            assert FeatureFile.open(path).load_all().descriptors[:, 0].tolist() == [version] * N_CRYSTALS
            version, n_tries = version + 1, 0
            if version % 3 == 0:
                path.unlink()
                part_path(path).unlink(missing_ok=True)
                expected = {}
    sys.stdout.write(json.dumps(counts) + "\n")


if __name__ == "__main__":
    main()
