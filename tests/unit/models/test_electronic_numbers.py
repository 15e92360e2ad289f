from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from shc.featurize.electronic.record import DOS_GRID, SHC_GRID, ElectronicRecord
from shc.models.electronic_numbers import N_NUMBERS, N_SHC, electronic_numbers, numbers_of

if TYPE_CHECKING:
    from collections.abc import Callable

STAND_IN: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[2] / "data" / "stand_in.py"))
record: Callable[[int], ElectronicRecord] = STAND_IN["electronic_record"]
MIDDLE = len(SHC_GRID) // 2


def test_the_conductivity_comes_first_as_roots() -> None:
    crystal = record(3)
    numbers = electronic_numbers(crystal, 40.0)
    assert numbers.shape == (N_NUMBERS,)
    assert numbers.dtype == np.float32
    largest = [np.sqrt(np.abs(tensor).max()) for tensor in crystal.shc]
    np.testing.assert_allclose(numbers[: len(SHC_GRID)], largest, rtol=1e-6)
    assert numbers[MIDDLE] == pytest.approx(np.sqrt(crystal.shc_max_abs), rel=1e-6)
    assert numbers[N_SHC - 1] == pytest.approx(np.sqrt(np.sqrt((crystal.shc_tensor**2).sum())), rel=1e-6)


def test_windows_hold_the_levels_up_to_their_ends() -> None:
    shc = np.zeros((len(SHC_GRID), 3, 3, 3), dtype=np.float32)
    shc[:, 0, 1, 2] = -np.square(np.round(20.0 * np.abs(SHC_GRID)))  # roots 0, 1, 2 ... away from the Fermi level
    windows = electronic_numbers(replace(record(0), shc=shc), 40.0)[len(SHC_GRID) : N_SHC - 1]
    # Steps of 0.05 eV: 2, 6 and 20 of them on both sides.
    assert windows.tolist() == pytest.approx([2.0 * n * (n + 1) / 2 / (2 * n + 1) for n in (2, 6, 20)], rel=1e-6)


def test_the_density_of_states_is_one_of_the_volume() -> None:
    crystal = record(3)
    for volume in (40.0, 90.0):
        dos = electronic_numbers(crystal, volume)[N_SHC:-2]
        np.testing.assert_allclose(dos**3 * volume, crystal.dos[::5], rtol=1e-5)
    assert len(dos) == len(DOS_GRID[::5])
    below = np.full_like(crystal.dos, -1e-3)
    assert not electronic_numbers(replace(crystal, dos=below), 40.0)[N_SHC:-2].any()


@pytest.mark.parametrize(("gap", "expected"), [(0.0, [0.0, 0.0]), (0.04, [0.0, 0.2]), (0.64, [1.0, 0.8])])
def test_the_gap_comes_last(gap: float, expected: list[float]) -> None:
    assert electronic_numbers(replace(record(1), gap_ev=gap), 40.0)[-2:].tolist() == pytest.approx(expected)


def test_rows_of_crystals_without_a_record_are_0() -> None:
    lattice = np.stack([np.diag([2.0, 3.0, 4.0]), np.eye(3), np.diag([1.0, 1.0, -5.0])])
    numbers, known = numbers_of([record(0), None, record(2)], lattice)
    assert known.tolist() == [True, False, True]
    assert not numbers[1].any()
    np.testing.assert_array_equal(numbers[0], electronic_numbers(record(0), 24.0))
    np.testing.assert_allclose(numbers[2], electronic_numbers(record(2), 5.0), rtol=1e-6)
    empty, none = numbers_of([], np.zeros((0, 3, 3)))
    assert (empty.shape, none.shape) == ((0, N_NUMBERS), (0,))
