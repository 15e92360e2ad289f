"""What is read equals pymatgen's ``Structure.from_file`` on real CIFs."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest

from shc.featurize import cif
from shc.featurize.config import FeaturizeConfig
from shc.featurize.structures import read_crystal

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from shc.featurize.types import Crystal

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def paths(real_cifs: Path) -> list[Path]:
    """All real CIFs with SHC_FULL=1, every twelfth otherwise."""
    found = sorted(real_cifs.glob("*.cif"))
    return found if os.environ.get("SHC_FULL") == "1" else found[::12]


def _worst_distance(crystal: Crystal, other: NDArray[np.float64], numbers: NDArray[np.int64]) -> float:
    """Return the largest fractional distance of an atom to its partner; inf if that is no bijection."""
    delta = crystal.frac[:, None, :] - other[None, :, :]
    delta = np.abs(delta - np.rint(delta)).max(axis=2)
    delta[crystal.atomic_number[:, None] != numbers[None, :]] = np.inf
    partner = delta.argmin(axis=1)
    if len(set(partner.tolist())) != len(numbers):
        return float("inf")
    return float(delta.min(axis=1).max())


def _difference(path: Path) -> str:
    from pymatgen.core import Structure

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = Structure.from_file(path)
    crystal = read_crystal(path, FeaturizeConfig())
    numbers = np.array(expected.atomic_numbers)
    if sorted(numbers.tolist()) != sorted(crystal.atomic_number.tolist()):
        return f"{path.name}: composition {expected.composition} read as {crystal.atomic_number}"
    if not np.allclose(crystal.lattice, expected.lattice.matrix, atol=1e-6, rtol=0):
        return f"{path.name}: cell"
    worst = _worst_distance(crystal, np.asarray(expected.frac_coords), numbers)
    return "" if worst < 1e-4 else f"{path.name}: positions differ by {worst:.2e}"


def test_equals_pymatgen(paths: list[Path]) -> None:
    differences = [text for path in paths if (text := _difference(path))]
    assert differences == []


def test_no_real_crystal_needs_the_slow_reader(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(cif, "pymatgen_cif", refuse)
    config = FeaturizeConfig()
    for path in paths:
        assert read_crystal(path, config).material_id == path.stem
