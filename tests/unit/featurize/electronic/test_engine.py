from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from shc.featurize.config import FeaturizeConfig
from shc.featurize.electronic import engine
from shc.featurize.electronic.engine import choose_mesh, compute_bands, seconds_per_point
from shc.featurize.electronic.record import BAND_RANGE, BandsConfig, ElectronicRecord
from shc.featurize.errors import ShcError
from shc.featurize.structures import read_crystal
from shc.featurize.symmetry import PrimitiveCrystal, reduce_crystal
from shc.featurize.types import Crystal

EXAMPLES = Path(__file__).parents[4] / "examples"
CONFIG = FeaturizeConfig()
QUICK = BandsConfig(budget=0.05, path_points=40)


def _example(name: str) -> PrimitiveCrystal:
    return reduce_crystal(read_crystal(EXAMPLES / f"{name}.cif", CONFIG), CONFIG)


def _rock_salt(cation: int, anion: int, edge: float) -> PrimitiveCrystal:
    lattice = 0.5 * edge * np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    frac = np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]])
    return reduce_crystal(Crystal("salt", lattice, frac, np.array([cation, anion])), CONFIG)


def test_linear_algebra_runs_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def look(crystal: PrimitiveCrystal, config: BandsConfig) -> None:  # noqa: ARG001
        seen.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")

    monkeypatch.setattr(engine, "_compute", look)
    compute_bands(_example("Pt"), QUICK)
    assert seen
    assert set(seen) == {1}


def test_actinides_are_refused_with_the_reason() -> None:
    with pytest.raises(ShcError, match="U: 5f shells"):
        compute_bands(_rock_salt(92, 7, 4.89), QUICK)


def test_atoms_that_nearly_coincide_are_refused() -> None:
    crystal = reduce_crystal(
        Crystal("close", 4.0 * np.eye(3), np.array([[0.0, 0.0, 0.0], [0.12, 0.0, 0.0]]), np.array([14, 6])), CONFIG
    )
    with pytest.raises(ShcError, match=r"0\.48 Angstrom apart"):
        compute_bands(crystal, QUICK)


@pytest.mark.parametrize(("cation", "flag"), [(60, "f_in_core"), (25, "magnetic_element"), (37, "unfitted_element")])
def test_what_the_engine_does_not_describe_is_flagged(cation: int, flag: str) -> None:
    assert flag in compute_bands(_rock_salt(cation, 7, 4.9), QUICK).flags


def test_well_described_elements_carry_no_flag() -> None:
    assert compute_bands(_example("GaAs"), BandsConfig(budget=0.3, path_points=40)).flags == ()


def test_a_lone_atom_is_a_metal_without_a_trace_of_a_gap() -> None:
    crystal = reduce_crystal(Crystal("atom", 12.0 * np.eye(3), np.zeros((1, 3)), np.array([78])), CONFIG)
    assert compute_bands(crystal, QUICK).gap_ev == 0.0


def test_a_mesh_too_coarse_for_the_budget_is_flagged_and_a_fine_one_is_not() -> None:
    assert "coarsened" in compute_bands(_example("WTe2"), QUICK).flags
    assert "coarsened" not in compute_bands(_example("Pt"), BandsConfig(budget=0.3, path_points=40)).flags


def test_a_larger_budget_gives_a_denser_mesh_and_larger_cells_a_coarser_one() -> None:
    crystal = _example("Bi2Te3")
    sizes = [choose_mesh(crystal, 45, budget)[1] for budget in (0.05, 0.5, 5.0)]
    assert sizes == sorted(set(sizes))
    assert choose_mesh(crystal, 400, 0.5)[1] < sizes[1]
    assert seconds_per_point(100) > 4.0 * seconds_per_point(20)


def test_the_record_of_an_insulator_counts_energies_from_the_middle_of_its_gap() -> None:
    record = compute_bands(_example("NaCl"), QUICK)
    below, above = record.energy[record.energy < 0.0].max(), record.energy[record.energy > 0.0].min()
    assert record.gap_ev == pytest.approx(above - below, abs=0.05)
    assert above == pytest.approx(-below, abs=0.05)
    assert np.abs(record.shc).max() < 5.0


def test_bands_without_spin_orbit_coupling_average_those_with_it() -> None:
    record = compute_bands(_example("Si"), QUICK)
    assert np.all(np.diff(record.energy, axis=1) >= 0.0)
    assert record.energy.shape[0] == record.scalar_energy.shape[0] == len(record.distance)
    pairs = record.energy.reshape(len(record.distance), -1, 2)
    assert np.abs(pairs[:, :, 0] - pairs[:, :, 1]).max() < 1e-4  # silicon has inversion
    assert np.abs(pairs.mean(axis=2) - record.scalar_energy).max() < 0.06
    assert np.all(np.abs(record.energy).min(axis=0) <= BAND_RANGE)


def test_interpolated_paths_meet_the_computed_one_at_its_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    crystal, settings = _example("GaAs"), BandsConfig(budget=0.05)
    whole = compute_bands(crystal, settings)
    monkeypatch.setattr(engine, "_STRIDES", ((1, 1), (10**9, 4)))
    sparse = compute_bands(crystal, settings)
    assert sparse.labels == whole.labels
    ends = [index for index, _ in whole.labels]
    np.testing.assert_allclose(sparse.energy[ends], whole.energy[ends], atol=1e-5)
    near = np.abs(whole.energy) < BAND_RANGE
    assert 1e-4 < np.abs(sparse.energy - whole.energy)[near].max() < 0.2


@pytest.mark.parametrize("noise", [1e-5, 1e-4, 4e-4])
def test_a_crystal_that_is_symmetric_within_the_tolerance_only_is_accepted(noise: float) -> None:
    crystal = read_crystal(EXAMPLES / "TaAs.cif", CONFIG)
    random = np.random.default_rng(1)
    lattice = crystal.lattice @ (np.eye(3) + noise * random.normal(size=(3, 3)))
    strained = reduce_crystal(Crystal("strained", lattice, crystal.frac, crystal.atomic_number), CONFIG)
    assert strained.space_group_number == 109
    expected = compute_bands(reduce_crystal(crystal, CONFIG), QUICK)
    found = compute_bands(strained, QUICK)
    assert found.k_mesh == expected.k_mesh
    assert _largest(found) == pytest.approx(_largest(expected), rel=0.02)
    assert np.count_nonzero(np.abs(found.shc_tensor) > 1e-3 * _largest(found)) == 6


def _largest(record: ElectronicRecord) -> float:
    return float(np.abs(record.shc_tensor).max())


def test_the_same_crystal_in_another_cell_has_the_same_record() -> None:
    crystal = read_crystal(EXAMPLES / "TaAs.cif", CONFIG)
    mixed = np.array([[1, 1, 0], [0, 1, 0], [0, -1, 1]])
    other = Crystal("other", mixed @ crystal.lattice, crystal.frac @ np.linalg.inv(mixed) % 1.0, crystal.atomic_number)
    first, second = (compute_bands(reduce_crystal(c, CONFIG), QUICK) for c in (crystal, other))
    assert first.k_mesh == second.k_mesh
    assert _largest(second) == pytest.approx(_largest(first), rel=1e-2)
    np.testing.assert_allclose(second.dos, first.dos, atol=0.02 * first.dos.max())
