from __future__ import annotations

import numpy as np
import pytest

from shc.featurize.descriptors import descriptor_names, descriptors
from shc.featurize.elements import FEATURE_NAMES, element_table
from shc.kernels.neighbours import k_nearest


def describe(lattice: np.ndarray, frac: np.ndarray, z: list[int], orbit: list[int]) -> dict[str, float]:
    first = np.unique(orbit, return_index=True)[1]
    near = k_nearest(
        lattice[None],
        frac,
        np.array([0, len(z)]),
        8.0,
        12,
        centres=first,
        centre_offsets=np.array([0, len(first)]),
    )
    values = descriptors(lattice, frac, np.array(z), np.array(orbit), near.atom, near.shift, near.distance)
    return dict(zip(descriptor_names(), values.tolist(), strict=True))


@pytest.fixture
def rock_salt() -> dict[str, float]:
    lattice = 5.64 / 2 * np.array([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]])
    return describe(lattice, np.array([[0.0, 0, 0], [0.5, 0.5, 0.5]]), [11, 17], [0, 1])


def test_composition_statistics(rock_salt: dict[str, float]) -> None:
    x = element_table()[:, FEATURE_NAMES.index("electronegativity")]
    assert rock_salt["mean_electronegativity"] == pytest.approx((x[11] + x[17]) / 2, rel=1e-5)
    assert rock_salt["max_electronegativity"] == pytest.approx(x[17], rel=1e-5)
    assert rock_salt["heaviest_atomic_number"] == 17
    assert rock_salt["electrons_per_cell"] == 8
    assert rock_salt["mixing_entropy"] == pytest.approx(np.log(2), rel=1e-5)


def test_cell_and_bonds_of_rock_salt(rock_salt: dict[str, float]) -> None:
    assert rock_salt["density"] == pytest.approx(2.16, abs=0.02)  # g/cm^3, NaCl
    assert rock_salt["volume_per_atom"] == pytest.approx(5.64**3 / 8, rel=1e-5)
    assert rock_salt["distance_first_mean"] == pytest.approx(2.82, rel=1e-5)
    # Six neighbours at 1.052 radii sums, and six of the next shell: Na-Na at 1.201, Cl-Cl at 1.955.
    next_shell = [np.exp(-6.0 * (r / 1.0522 - 1.0)) for r in (1.2012, 1.9549)]
    assert rock_salt["coordination_mean"] == pytest.approx(6.0 + 6.0 * np.mean(next_shell), abs=0.01)
    assert rock_salt["anisotropy_max"] < 1e-4
    assert rock_salt["asymmetry_max"] < 1e-4


def test_descriptors_do_not_depend_on_the_choice_of_cell(rock_salt: dict[str, float]) -> None:
    lattice = 5.64 / 2 * np.array([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]])
    skew = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]])
    frac = np.array([[0.0, 0, 0], [0.5, 0.5, 0.5]]) @ np.linalg.inv(skew)
    other = describe(skew @ lattice, frac, [11, 17], [0, 1])
    shape = {"length_ratio_min", "length_ratio_max", "angle_min", "angle_max", "angle_spread"}
    for name, value in rock_salt.items():
        if name not in shape:
            assert other[name] == pytest.approx(value, rel=1e-4, abs=1e-4), name


def test_a_lonely_atom_has_finite_descriptors() -> None:
    values = describe(np.eye(3) * 20.0, np.zeros((1, 3)), [54], [0])
    assert np.isfinite(list(values.values())).all()
    assert values["distance_first_mean"] == 8.0
