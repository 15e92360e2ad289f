from __future__ import annotations

import zipfile
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from shc.featurize.config import FeaturizeConfig
from shc.featurize.prompt import space_group_facts
from shc.featurize.prompt_table import standard_operations
from shc.featurize.standard_cells import conventional_cells
from shc.featurize.standard_frame import standard_rotation
from shc.featurize.structures import read_with_hash
from shc.featurize.symmetry import PrimitiveCrystal, reduce_crystal
from shc.featurize.tensor_symmetry import allowed_projector, standard_laue_rotations, standard_projector
from shc.featurize.types import Crystal

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

CONFIG = FeaturizeConfig()
SKEW = np.array([[1, 1, 0], [0, 1, 0], [-1, 2, 1]])
SEEDS = np.array([[0.1234, 0.2871, 0.0617], [0.3719, 0.0953, 0.2148]])
STEP = 16
"""Every 16th of the real crystals is looked at."""


def lattice_of(number: int) -> NDArray[np.float64]:
    """A conventional cell whose edges grow from a to c where they are free; a along x, c* along z."""
    a, b, c = (7.1, 8.3, 9.9) if number <= 74 else (8.7, 8.7, 10.3) if number <= 194 else (9.7, 9.7, 9.7)
    if number <= 2:
        return np.array([[a, 0.0, 0.0], [-1.3, b, 0.0], [-1.9, -0.8, c]])
    if number <= 15:
        return np.array([[a, 0.0, 0.0], [0.0, b, 0.0], [-1.7, 0.0, c]])
    if 143 <= number <= 194:
        return np.array([[a, 0.0, 0.0], [-a / 2.0, a * np.sqrt(0.75), 0.0], [0.0, 0.0, c]])
    return np.diag([a, b, c])


def crystal_of(number: int) -> Crystal:
    """A crystal of a space group in its standard setting: two orbits in general position."""
    _, rotations, translations = standard_operations(number)
    frac = np.concatenate([rotations @ seed + translations for seed in SEEDS]) % 1.0
    return Crystal(f"sg{number}", lattice_of(number), frac, np.repeat([31, 33], len(rotations)))


def seen_anew(crystal: Crystal, rng: np.random.Generator) -> tuple[Crystal, NDArray[np.float64]]:
    """The crystal turned, in another cell with another origin and order of atoms; and the rotation."""
    turn = Rotation.from_quat(rng.normal(size=4)).as_matrix()
    order = rng.permutation(len(crystal.frac))
    frac = (crystal.frac + rng.random(3)) @ np.linalg.inv(SKEW)
    return Crystal(
        crystal.material_id, SKEW @ crystal.lattice @ turn.T, frac[order] % 1.0, crystal.atomic_number[order]
    ), turn


def off_the_laue_class(rotation: NDArray[np.float64], number: int) -> float:
    """How far a rotation is from the nearest one of the Laue class in the standard frame."""
    return float(np.abs(rotation - standard_laue_rotations(number)).max(axis=(1, 2)).min())


def assert_operations_are_standard(crystal: PrimitiveCrystal, frame: NDArray[np.float64]) -> None:
    """The frame turns the crystal's proper rotations into the set that its space group is known for."""
    rotations = crystal.lattice.T @ crystal.rotations @ np.linalg.inv(crystal.lattice.T)
    rotations = np.sign(np.linalg.det(rotations))[:, None, None] * rotations
    off = np.abs((frame @ rotations @ frame.T)[:, None] - standard_laue_rotations(crystal.space_group_number))
    off = off.max(axis=(2, 3))
    assert off.min(axis=1).max() < 1e-6
    assert off.min(axis=0).max() < 1e-6


@pytest.mark.parametrize("number", range(1, 231))
def test_frame_of_every_space_group(number: int) -> None:
    crystal = crystal_of(number)
    reduced = reduce_crystal(crystal, CONFIG)
    assert reduced.space_group_number == number
    frame = standard_rotation(reduced)
    np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(frame) == pytest.approx(1.0)
    assert_operations_are_standard(reduced, frame)
    other, turn = seen_anew(crystal, np.random.default_rng(number))
    assert off_the_laue_class(standard_rotation(reduce_crystal(other, CONFIG)) @ turn @ frame.T, number) < 1e-6


@pytest.mark.parametrize("number", [1, 2, 3, 5, 9, 14, 15, 16, 20, 29, 36, 41, 57, 62, 64, 70, 72, 146, 161, 205, 166])
def test_a_crystal_in_the_standard_setting_stays_as_it_is(number: int) -> None:
    """Short edges come first in `lattice_of`, so neither setting nor lengths ask for another cell."""
    frame = standard_rotation(reduce_crystal(crystal_of(number), CONFIG))
    if number == 146:  # whether c points up or down is up to the atoms
        frame = frame if off_the_laue_class(frame, number) < 1e-6 else np.diag([1.0, -1.0, -1.0]) @ frame
    assert off_the_laue_class(frame, number) < 1e-6


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("number", [16, 47, 62])
def test_edges_are_in_the_order_of_the_setting_or_of_the_lengths(number: int, order: tuple[int, ...]) -> None:
    """Longest edge first: Pnma keeps its axes, P222 and Pmmm call the shortest one a."""
    crystal = crystal_of(number)
    lattice = np.diag([9.9, 8.3, 7.1])[list(order)][:, list(order)]
    moved = Crystal("moved", lattice, crystal.frac[:, list(order)], crystal.atomic_number)
    frame = np.abs(standard_rotation(reduce_crystal(moved, CONFIG)))
    edges = frame @ np.diagonal(lattice)
    np.testing.assert_allclose(edges, [9.9, 8.3, 7.1] if number == 62 else [7.1, 8.3, 9.9], atol=1e-9)


@pytest.mark.parametrize("number", [3, 5, 13, 15])
def test_monoclinic_cells_meet_at_an_obtuse_angle(number: int) -> None:
    """With a + c for c the angle is acute, and for all but P2 the setting is another one."""
    crystal = crystal_of(number)
    change = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 1]])
    moved = Crystal("moved", change @ crystal.lattice, crystal.frac @ np.linalg.inv(change), crystal.atomic_number)
    assert off_the_laue_class(standard_rotation(reduce_crystal(moved, CONFIG)), number) < 1e-6


@pytest.mark.parametrize("number", [75, 143, 147, 148, 149, 150, 162, 164, 168, 195, 200])
def test_atoms_decide_where_the_lattice_cannot(number: int) -> None:
    """A crystal and the one in which the lattice is turned upon itself are told apart, and get equal tensors."""
    crystal = crystal_of(number)
    turns = {
        **dict.fromkeys((75, 147, 148, 168), np.diag([1.0, -1.0, -1.0])),
        **dict.fromkeys((143, 149, 150, 162, 164), np.diag([-1.0, -1.0, 1.0])),
        **dict.fromkeys((195, 200), np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])),
    }
    turn = turns[number]
    frac = crystal.frac @ crystal.lattice @ turn.T @ np.linalg.inv(crystal.lattice)
    twin = Crystal("twin", crystal.lattice, frac, crystal.atomic_number)
    assert off_the_laue_class(turn, number) > 0.1
    frames = [standard_rotation(reduce_crystal(each, CONFIG)) for each in (crystal, twin)]
    if number != 148:  # its centring is turned as well
        assert off_the_laue_class(frames[1] @ frames[0].T, number) > 0.1
    assert off_the_laue_class(frames[1] @ turn @ frames[0].T, number) < 1e-6


def test_rounding_decides_nothing() -> None:
    """Edges that differ by less than a file's digits are equal: the atoms decide, on either side of the tie."""
    crystal = crystal_of(16)
    frames = []
    for shift in (-1e-5, 1e-5):
        lattice = np.diag([7.1, 7.1 + shift, 9.9])
        frames.append(
            standard_rotation(reduce_crystal(Crystal("x", lattice, crystal.frac, crystal.atomic_number), CONFIG))
        )
    assert off_the_laue_class(frames[0] @ frames[1].T, 16) < 1e-4


def test_atoms_out_of_reach_of_each_other_decide_nothing() -> None:
    crystal = crystal_of(75)
    sparse = Crystal("sparse", 20.0 * crystal.lattice, crystal.frac, crystal.atomic_number)
    reduced = reduce_crystal(sparse, CONFIG)
    assert_operations_are_standard(reduced, standard_rotation(reduced))


def test_cells_are_right_handed_and_along_the_axes() -> None:
    for number in (2, 15, 70, 88, 148, 167, 176, 206, 227):
        reduced = reduce_crystal(crystal_of(number), CONFIG)
        cells = conventional_cells(reduced)
        assert 1 <= len(cells) <= 24
        assert (np.linalg.det(cells @ reduced.lattice) > 1.0).all()
    edges = np.linalg.norm(conventional_cells(reduced) @ reduced.lattice, axis=2)
    np.testing.assert_allclose(edges, 9.7)


@pytest.fixture(scope="module")
def real_crystals(shc_data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Crystal]:
    """Every 16th of the real crystals."""
    folder = tmp_path_factory.mktemp("cifs")
    with zipfile.ZipFile(shc_data / "shc_dev_cifs.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".cif"))[::STEP]
        paths = [archive.extract(name, folder) for name in names]
    return [read_with_hash(folder / path, CONFIG)[0] for path in paths]


def test_real_crystals_have_standard_operations_however_they_lie(real_crystals: list[Crystal]) -> None:
    rng = np.random.default_rng(5)
    forms = set()
    for crystal in real_crystals:
        reduced = reduce_crystal(crystal, CONFIG)
        number = reduced.space_group_number
        forms.add(space_group_facts(number).tensor_form)
        frame = standard_rotation(reduced)
        assert_operations_are_standard(reduced, frame)
        turn = Rotation.from_quat(rng.normal(size=4)).as_matrix()
        turned = Crystal(crystal.material_id, crystal.lattice @ turn.T, crystal.frac, crystal.atomic_number)
        other = standard_rotation(reduce_crystal(turned, CONFIG))
        assert off_the_laue_class(other @ turn @ frame.T, number) < 1e-6, crystal.material_id
        # What symmetry allows in the frame as read, brought to the standard frame, is what the table says.
        lattice = reduced.lattice.T
        here = allowed_projector(lattice @ reduced.rotations @ np.linalg.inv(lattice))
        carry = np.kron(np.kron(frame, frame), frame)
        np.testing.assert_allclose(carry @ here @ carry.T, standard_projector(number), atol=1e-6)
    assert len(forms) == 11, "one of each but -1, of which there are none"
