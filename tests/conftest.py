"""Fixtures shared by all tests."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest

from shc.featurize.types import CrystalRecord


class RecordFactory(Protocol):
    """Makes one synthetic record; equal arguments give equal records."""

    def __call__(
        self,
        material_id: str = ...,
        *,
        n_atoms: int = ...,
        n_nodes: int = ...,
        n_neighbours: int = ...,
        n_prompt: int = ...,
        n_descriptors: int = ...,
        seed: int = ...,
    ) -> CrystalRecord: ...


def make_record(
    material_id: str = "synthetic-1",
    *,
    n_atoms: int = 5,
    n_nodes: int = 3,
    n_neighbours: int = 12,
    n_prompt: int = 7,
    n_descriptors: int = 9,
    seed: int = 0,
) -> CrystalRecord:
    """Return a record of the right shapes and dtypes whose values are random but reproducible."""
    name_seed = int.from_bytes(hashlib.sha256(material_id.encode()).digest()[:4], "big")
    rng = np.random.default_rng([seed, name_seed, n_atoms, n_nodes])
    orbit = np.sort(np.concatenate([np.arange(n_nodes), rng.integers(0, n_nodes, n_atoms - n_nodes)]))
    shape = (n_nodes, n_neighbours)
    return CrystalRecord(
        material_id=material_id,
        formula=f"Na{n_atoms}Cl",
        space_group_number=int(rng.integers(1, 231)),
        lattice=rng.normal(size=(3, 3)) + 4.0 * np.eye(3),
        atomic_number=rng.integers(1, 100, n_atoms).astype(np.uint8),
        frac=rng.random((n_atoms, 3)),
        orbit=orbit.astype(np.uint16),
        neighbour_atom=rng.integers(0, n_atoms, shape).astype(np.int32),
        neighbour_shift=rng.integers(-2, 3, (*shape, 3)).astype(np.int16),
        neighbour_distance=np.sort(rng.uniform(2.0, 8.0, shape), axis=1).astype(np.float32),
        symmetry_prompt=rng.random(n_prompt).astype(np.float32),
        descriptors=rng.normal(size=n_descriptors).astype(np.float32),
        standard_rotation=np.linalg.qr(rng.normal(size=(3, 3)))[0].astype(np.float32),
        content_hash=hashlib.sha256(f"{material_id} {seed}".encode()).hexdigest(),
    )


@pytest.fixture
def record_factory() -> RecordFactory:
    """A function that makes synthetic crystal records."""
    return make_record


@pytest.fixture(scope="session")
def shc_data() -> Path:
    """The folder named by the environment variable SHC_DATA, or a skip."""
    folder = os.environ.get("SHC_DATA", "")
    if not folder:
        pytest.skip("SHC_DATA is not set: it names a folder that holds shc_dev_cifs.zip")
    path = Path(folder)
    if not (path / "shc_dev_cifs.zip").is_file():
        pytest.skip(f"SHC_DATA={folder} holds no shc_dev_cifs.zip")
    return path


@pytest.fixture(scope="session")
def real_cifs(shc_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the real CIF files, unpacked once per test session."""
    folder = tmp_path_factory.mktemp("real_cifs")
    with zipfile.ZipFile(shc_data / "shc_dev_cifs.zip") as archive:
        archive.extractall(folder)
    first = next(iter(sorted(folder.rglob("*.cif"))), None)
    if first is None:
        pytest.skip("shc_dev_cifs.zip holds no CIF file")
    return first.parent
