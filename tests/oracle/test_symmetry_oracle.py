"""The fast symmetry search against spglib and pymatgen."""

from __future__ import annotations

import os
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import spglib

from shc.featurize.config import FeaturizeConfig
from shc.featurize.prompt_table import cartesian_rotations, standard_operations
from shc.featurize.spglib_calls import quiet_spglib
from shc.featurize.symmetry import reduce_crystal, symmetry_report
from shc.featurize.tensor_symmetry import allowed_projector, component_expressions
from shc.featurize.types import Crystal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

CONFIG = FeaturizeConfig()
FULL = os.environ.get("SHC_FULL") == "1"
STEP = 1 if FULL else 12


def lattice_of(number: int) -> NDArray[np.float64]:
    """Conventional lattice of the crystal system in general proportions, a along x and c* along z."""
    angles = {0: (79.0, 84.0, 97.0), 1: (90.0, 103.0, 90.0)}.get(sum(number > n for n in (2, 15)), (90.0, 90.0, 90.0))
    edges = (9.1, 10.3, 11.9)
    if number > 194:
        edges = (10.7, 10.7, 10.7)
    elif number > 74:
        edges = (9.7, 9.7, 12.3)
        angles = (90.0, 90.0, 120.0 if number > 142 else 90.0)
    alpha, beta, gamma = np.radians(angles)
    bx, by = np.cos(gamma), np.sin(gamma)
    cx = np.cos(beta)
    cy = (np.cos(alpha) - bx * cx) / by
    directions = np.array([[1, 0, 0], [bx, by, 0], [cx, cy, np.sqrt(1 - cx**2 - cy**2)]])
    lattice: NDArray[np.float64] = np.array(edges)[:, None] * directions
    return lattice


def crystal_of(number: int) -> Crystal:
    """Crystal of a space group: two orbits in general position."""
    _, rotations, translations = standard_operations(number)
    seeds = np.array([[0.1234, 0.2871, 0.0617], [0.3719, 0.0953, 0.2148]])
    frac = np.concatenate([rotations @ seed + translations for seed in seeds])
    return Crystal(f"sg{number}", lattice_of(number), frac % 1.0, np.repeat([31, 33], len(rotations)))


@pytest.mark.parametrize("number", range(1, 231))
def test_every_space_group_is_recognised(number: int) -> None:
    crystal = crystal_of(number)
    reduced = reduce_crystal(crystal, CONFIG)
    assert not reduced.judged_by_spglib
    assert reduced.space_group_number == number
    with quiet_spglib():
        lattice, frac, _ = spglib.find_primitive((crystal.lattice, crystal.frac, crystal.atomic_number), 0.01)
    assert len(frac) == len(reduced.frac)
    assert np.linalg.det(reduced.lattice) == pytest.approx(abs(np.linalg.det(lattice)))
    assert reduced.orbit.max() == 1


@pytest.mark.parametrize("number", [2, 12, 43, 88, 122, 148, 150, 155, 166, 176, 194, 205, 227])
def test_tensor_frame_is_the_standardised_cell(number: int) -> None:
    """The tensor from the operations spglib finds in its standardised cell is the one reported."""
    crystal = crystal_of(number)
    with quiet_spglib():
        found: Any = spglib.get_symmetry_dataset((crystal.lattice, crystal.frac, crystal.atomic_number), 0.01)
        cell = (found.std_lattice, found.std_positions, found.std_types)
        again: Any = spglib.get_symmetry_dataset(cell, 0.01)
    columns = found.std_lattice.T
    cartesian = columns @ np.unique(again.rotations, axis=0) @ np.linalg.inv(columns)
    assert found.std_lattice[0, 1:] == pytest.approx([0.0, 0.0], abs=1e-9)
    assert found.std_lattice[:2, 2] == pytest.approx([0.0, 0.0], abs=1e-9)
    report = symmetry_report(crystal, CONFIG)
    assert list(report.components) == component_expressions(allowed_projector(cartesian))
    table = cartesian_rotations(np.unique(standard_operations(number)[1], axis=0), number)
    np.testing.assert_allclose(allowed_projector(table), allowed_projector(cartesian), atol=1e-6)


def real_crystals(step: int) -> Iterator[Any]:
    """Read every ``step``-th crystal of the data set with pymatgen."""
    from pymatgen.core import Structure

    folder = os.environ.get("SHC_DATA")
    if folder is None or not (Path(folder) / "shc_dev_cifs.zip").exists():
        pytest.skip("SHC_DATA does not name a folder that holds shc_dev_cifs.zip")
    with zipfile.ZipFile(Path(folder) / "shc_dev_cifs.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".cif"))
        for name in names[::step]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                structure = Structure.from_str(archive.read(name).decode(), fmt="cif")
            yield Path(name).stem, structure


def crystal_from(name: str, structure: Any) -> Crystal:  # noqa: ANN401 (pymatgen is untyped here)
    return Crystal(
        name,
        np.array(structure.lattice.matrix),
        np.array(structure.frac_coords),
        np.array([site.specie.Z for site in structure], dtype=np.int64),
    )


@pytest.mark.timeout(1200)
def test_real_crystals_agree_with_pymatgen() -> None:
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    wrong, judged, count = [], 0, 0
    for name, structure in real_crystals(STEP):
        reduced = reduce_crystal(crystal_from(name, structure), CONFIG)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            analyzer = SpacegroupAnalyzer(structure, symprec=CONFIG.symprec)
            number = analyzer.get_space_group_number()
            primitive = analyzer.find_primitive()
            n_orbits = len(set(analyzer.get_symmetry_dataset().crystallographic_orbits))
        count += 1
        judged += reduced.judged_by_spglib
        volume = np.linalg.det(reduced.lattice)
        found = (reduced.space_group_number, len(reduced.frac), int(reduced.orbit.max()) + 1)
        if found != (number, len(primitive), n_orbits) or abs(volume - primitive.volume) > 1e-4 * volume:
            wrong.append((name, found, (number, len(primitive), n_orbits), volume, primitive.volume))
    assert count >= 8313 // STEP
    assert not wrong
    assert judged <= max(3, 0.01 * count)


@pytest.mark.timeout(1200)
def test_primitive_cells_match_pymatgen() -> None:
    from pymatgen.analysis.structure_matcher import StructureMatcher
    from pymatgen.core import Lattice, Structure
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    matcher = StructureMatcher(primitive_cell=False, scale=False)
    wrong = []
    for name, structure in real_crystals(28 if FULL else 140):
        reduced = reduce_crystal(crystal_from(name, structure), CONFIG)
        ours = Structure(Lattice(reduced.lattice), reduced.atomic_number, reduced.frac)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = SpacegroupAnalyzer(structure, symprec=CONFIG.symprec).get_primitive_standard_structure()
            if len(ours) != len(theirs) or not matcher.fit(ours, theirs):
                wrong.append(name)
    assert not wrong
