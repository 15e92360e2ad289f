from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from shc.featurize.config import FeaturizeConfig
from shc.featurize.electronic.engine import compute_bands
from shc.featurize.electronic.record import BAND_RANGE, BandsConfig, ElectronicRecord
from shc.featurize.structures import read_crystal
from shc.featurize.symmetry import reduce_crystal

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXAMPLES = Path(__file__).parents[4] / "examples"


@cache
def _record(name: str) -> ElectronicRecord:
    config = FeaturizeConfig()
    crystal = reduce_crystal(read_crystal(EXAMPLES / f"{name}.cif", config), config)
    return compute_bands(crystal, BandsConfig(budget=0.1, path_points=60))


def _at(record: ElectronicRecord, point: str) -> NDArray[np.float32]:
    index = next(index for index, name in record.labels if name == point)
    levels: NDArray[np.float32] = record.energy[index]
    return levels


@pytest.mark.parametrize(("name", "low", "high"), [("Si", 0.3, 1.2), ("GaAs", 0.2, 1.5), ("NaCl", 4.0, 8.5)])
def test_semiconductors_and_insulators_have_their_gaps(name: str, low: float, high: float) -> None:
    assert low < _record(name).gap_ev < high


@pytest.mark.parametrize(("name", "sign"), [("Pt", 1.0), ("W", -1.0)])
def test_heavy_metals_have_the_sign_and_size_of_their_spin_hall_conductivity(name: str, sign: float) -> None:
    record = _record(name)
    assert record.gap_ev == 0.0
    assert 300.0 < sign * float(record.shc_tensor[0, 1, 2]) < 3000.0


def test_platinum_keeps_the_sixth_band_that_crosses_the_fermi_level() -> None:
    # Its bottom at Gamma is full and it rises more than 8 eV above the Fermi level elsewhere.
    record = _record("Pt")
    crossing = np.flatnonzero((record.energy.min(axis=0) < 0.0) & (record.energy.max(axis=0) > BAND_RANGE))
    assert len(crossing) >= 2


def test_silicon_has_its_valence_band_top_at_gamma_and_no_state_in_the_gap() -> None:
    record = _record("Si")
    valence = record.energy[record.energy < 0.0]
    assert float(_at(record, "GAMMA")[_at(record, "GAMMA") < 0.0].max()) == pytest.approx(float(valence.max()))
    assert float(record.dos_fermi) < 1e-2


def test_gallium_arsenide_splits_its_valence_band_top() -> None:
    levels = _at(_record("GaAs"), "GAMMA")
    top = np.sort(levels[levels < 0.0])[::-1]
    np.testing.assert_allclose(top[:4], top[0], atol=1e-3)
    assert 0.2 < float(top[0] - top[4]) < 0.5
