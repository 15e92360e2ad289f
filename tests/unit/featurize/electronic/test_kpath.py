from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import seekpath

from shc.featurize.config import FeaturizeConfig
from shc.featurize.electronic.kpath import KPath, band_path
from shc.featurize.errors import ShcError
from shc.featurize.symmetry import PrimitiveCrystal, reduce_crystal
from shc.featurize.types import Crystal

if TYPE_CHECKING:
    from numpy.typing import NDArray

A = 3.924
SYMPREC = 0.01
FCC = [[0.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]]
HEXAGONAL = np.array([[1.0, 0.0, 0.0], [-0.5, 0.75**0.5, 0.0], [0.0, 0.0, 1.0]])


def _reduced(lattice: NDArray[np.float64], frac: list[list[float]], numbers: list[int]) -> PrimitiveCrystal:
    crystal = Crystal("test", lattice, np.array(frac) % 1.0, np.array(numbers), "test")
    return reduce_crystal(crystal, FeaturizeConfig(symprec=SYMPREC))


def _crystal(name: str) -> PrimitiveCrystal:
    if name == "platinum":
        return _reduced(A * np.eye(3), FCC, [78] * 4)
    if name == "zincblende":
        return _reduced(5.65 * np.eye(3), FCC + [[x + 0.25 for x in row] for row in FCC], [31] * 4 + [33] * 4)
    if name == "tungsten":
        return _reduced(3.165 * np.eye(3), [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]], [74] * 2)
    if name == "tellurium":
        sites = [[0.2636, 0.0, 1 / 3], [0.0, 0.2636, 2 / 3], [-0.2636, -0.2636, 0.0]]
        return _reduced(HEXAGONAL * np.array([[4.456], [4.456], [5.926]]), sites, [52] * 3)
    if name == "orthorhombic":
        return _reduced(np.diag([3.0, 4.1, 5.3]), [[0.0, 0.0, 0.0]], [50])
    skewed = np.array([[5.1, 0.0, 0.0], [0.3, 6.2, 0.0], [-1.1, 0.7, 7.3]])
    return _reduced(skewed, [[0.1, 0.2, 0.3], [0.6, 0.45, 0.9]], [16, 82])


NAMES = ["platinum", "zincblende", "tungsten", "tellurium", "orthorhombic", "triclinic"]


def _little_group(crystal: PrimitiveCrystal, k: NDArray[np.float64]) -> int:
    """Operations of the point group, with time reversal or without, that take k to itself up to a lattice vector."""
    q = k @ crystal.lattice.T / (2.0 * np.pi)
    turned = np.linalg.inv(crystal.rotations).transpose(0, 2, 1) @ q
    misses = np.concatenate([turned - q, -turned - q])
    return int(np.count_nonzero(np.abs(misses - np.rint(misses)).max(axis=1) < 1e-8))


def _points(path: KPath) -> dict[str, NDArray[np.float64]]:
    return {name: path.k[index] for index, name in path.labels}


def test_platinum_has_the_points_of_the_textbook() -> None:
    crystal = _crystal("platinum")
    path = band_path(crystal, 160, SYMPREC)
    names = [name for _, name in path.labels]
    assert names == ["GAMMA", "X", "U", "K", "GAMMA", "L", "W", "X"]
    points = _points(path)
    unit = 2.0 * np.pi / A
    lengths = {"GAMMA": 0.0, "X": 1.0, "L": 0.75**0.5, "W": 1.25**0.5, "K": 1.125**0.5, "U": 1.125**0.5}
    assert {name: np.linalg.norm(points[name]) / unit for name in points} == pytest.approx(lengths, abs=1e-12)
    orders = {"GAMMA": 96, "X": 32, "L": 24, "W": 16, "K": 8, "U": 8}
    assert {name: _little_group(crystal, points[name]) for name in points} == orders
    # U and K differ by a reciprocal lattice vector: one place on the drawn path.
    first, second = path.labels[2][0], path.labels[3][0]
    assert path.breaks == (second,)
    assert second == first + 1
    assert path.distance[first] == path.distance[second]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_points", [1, 40, 160, 1000])
def test_points_follow_the_lines_at_even_steps(name: str, n_points: int) -> None:
    path = band_path(_crystal(name), n_points, SYMPREC)
    assert n_points <= len(path.k) <= n_points + len(path.labels)
    assert path.k.shape == (len(path.distance), 3)
    steps, grown = np.linalg.norm(np.diff(path.k, axis=0), axis=1), np.diff(path.distance)
    jumps = np.array(path.breaks, dtype=int) - 1
    assert np.all(grown[jumps] == 0.0)
    joined = np.ones(len(steps), dtype=bool)
    joined[jumps] = False
    np.testing.assert_allclose(grown[joined], steps[joined], atol=1e-12)
    assert steps[joined].min() > 0.0
    if n_points == 1000:
        assert steps[joined].max() < 1.3 * np.median(steps[joined])
    indices = [index for index, _ in path.labels]
    assert indices == sorted(set(indices))
    assert (indices[0], indices[-1]) == (0, len(path.k) - 1)
    assert all(index in indices and index - 1 in indices for index in path.breaks)


@pytest.mark.parametrize("name", NAMES)
def test_points_are_at_least_as_symmetric_as_the_lines_between_them(name: str) -> None:
    crystal = _crystal(name)
    path = band_path(crystal, 160, SYMPREC)
    for (start, _), (end, _) in zip(path.labels[:-1], path.labels[1:], strict=True):
        if end not in path.breaks:
            line = _little_group(crystal, 0.63 * path.k[start] + 0.37 * path.k[end])
            ends = (_little_group(crystal, path.k[start]), _little_group(crystal, path.k[end]))
            assert line >= (1 if name == "triclinic" else 2)
            assert line <= min(ends)
    centres = [path.k[index] for index, point in path.labels if point == "GAMMA"]
    assert centres
    assert not np.any(centres)


def test_crystal_without_inversion_needs_no_second_half() -> None:
    for name in ("zincblende", "tellurium"):
        path = band_path(_crystal(name), 60, SYMPREC)
        assert not [point for _, point in path.labels if "'" in point]
    assert band_path(_crystal("zincblende"), 60, SYMPREC).labels[1][1] == "X"


def test_path_turns_with_the_crystal() -> None:
    turn, _ = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))
    turn *= np.linalg.det(turn)
    straight = _reduced(A * np.eye(3), FCC, [78] * 4)
    turned = _reduced(A * np.eye(3) @ turn, FCC, [78] * 4)
    one, other = band_path(straight, 100, SYMPREC), band_path(turned, 100, SYMPREC)
    assert one.labels == other.labels
    np.testing.assert_allclose(one.distance, other.distance, atol=1e-9)
    for index, _ in one.labels:
        assert _little_group(straight, one.k[index]) == _little_group(turned, other.k[index])


def test_points_on_the_border_stay_there_in_a_strained_cell() -> None:
    strained = _reduced(A * np.diag([1.0, 1.0004, 0.9997]), FCC, [78] * 4)
    points = _points(band_path(strained, 100, SYMPREC))
    for name in ("X", "L"):
        twice = 2.0 * points[name] @ strained.lattice.T / (2.0 * np.pi)
        np.testing.assert_allclose(twice, np.rint(twice), atol=1e-12)


def test_failure_of_seekpath_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    crystal = _crystal("orthorhombic")

    def fail(*_: object, **__: object) -> None:
        raise KeyError("no such lattice")

    with monkeypatch.context() as patch:
        patch.setattr(seekpath, "get_path", fail)
        with pytest.raises(ShcError, match="no path through the Brillouin zone") as caught:
            band_path(crystal, 50, SYMPREC)
    assert "tolerance" in caught.value.hint
