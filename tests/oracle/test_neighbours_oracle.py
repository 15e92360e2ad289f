from __future__ import annotations

import os
import random
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from shc.kernels import neighbours

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Pairs = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]
    Peer = Callable[[NDArray[np.float64], NDArray[np.float64], float], Pairs]

CUTOFF = 5.0
MARGIN = 1e-6


def _vesin(lattice: NDArray[np.float64], frac: NDArray[np.float64], cutoff: float) -> Pairs:
    from vesin import NeighborList

    found = NeighborList(cutoff=cutoff, full_list=True).compute(
        points=frac @ lattice, box=lattice, periodic=True, quantities="ijSd", copy=True
    )
    i, j, shift, distance = found
    return i.astype(np.int64), j.astype(np.int64), shift.astype(np.int64), distance


def _matscipy(lattice: NDArray[np.float64], frac: NDArray[np.float64], cutoff: float) -> Pairs:
    from matscipy.neighbours import neighbour_list

    i, j, shift, distance = neighbour_list(
        "ijSd", cutoff=cutoff, positions=frac @ lattice, cell=lattice, pbc=np.ones(3, dtype=bool)
    )
    return i, j, shift, distance


def _pymatgen(lattice: NDArray[np.float64], frac: NDArray[np.float64], cutoff: float) -> Pairs:
    from pymatgen.core import Structure

    structure = Structure(lattice, ["Si"] * len(frac), frac)
    i, j, shift, distance = structure.get_neighbor_list(cutoff, exclude_self=True)
    return i, j, np.rint(shift).astype(np.int64), distance


PEERS: list[Peer] = [_vesin, _matscipy, _pymatgen]


def _by_key(
    i: NDArray[np.generic], j: NDArray[np.generic], shift: NDArray[np.generic], distance: NDArray[np.float64]
) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
    # Libraries differ by rounding at the cutoff itself: that rim is left out.
    inside = distance < CUTOFF - MARGIN
    order = np.lexsort((*shift[inside].T[::-1], j[inside], i[inside]))
    return np.column_stack([i, j, shift])[inside][order], distance[inside][order]


def _assert_same_pairs(lattice: NDArray[np.float64], frac: NDArray[np.float64], peer: Peer) -> None:
    ours = neighbours.full_list(lattice[None], frac, [0, len(frac)], CUTOFF)
    mine, my_distance = _by_key(*ours[:4])
    theirs, their_distance = _by_key(*peer(lattice, frac, CUTOFF))
    np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_allclose(my_distance, their_distance, rtol=0.0, atol=1e-7)


def _assert_same_nearest(lattice: NDArray[np.float64], frac: NDArray[np.float64], peer: Peer) -> None:
    k = 12
    i, _, _, distance = peer(lattice, frac, CUTOFF)
    ours = neighbours.k_nearest(lattice[None], frac, [0, len(frac)], CUTOFF, k)
    for atom in range(len(frac)):
        theirs = np.sort(distance[i == atom])[:k]
        mine = np.sort(ours.distance[atom][ours.atom[atom] >= 0])
        assert abs(mine.size - theirs.size) == 0 or abs(theirs[-1] - CUTOFF) < MARGIN
        # Within a shell the atom index decides, not the distance.
        np.testing.assert_allclose(mine[: theirs.size], theirs[: mine.size], rtol=0.0, atol=neighbours.TIE_TOLERANCE)


def _random_crystal(seed: int, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    while True:
        lattice = rng.normal(size=(3, 3)) + 0.7 * np.eye(3)
        volume = abs(np.linalg.det(lattice))
        if volume > 0.3:
            break
    return lattice * (n * 15.0 / volume) ** (1.0 / 3.0), rng.random((n, 3))


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize(("seed", "n"), [(1, 1), (2, 2), (3, 9), (4, 60), (5, 201), (6, 400)])
def test_random_crystals(peer: Peer, seed: int, n: int) -> None:
    lattice, frac = _random_crystal(seed, n)
    _assert_same_pairs(lattice, frac, peer)
    _assert_same_nearest(lattice, frac, peer)


@pytest.mark.parametrize("peer", PEERS)
def test_skewed_crystal(peer: Peer) -> None:
    lattice = np.array([[3.0, 0.0, 0.0], [7.4, 3.5, 0.0], [-8.1, 9.0, 4.1]])
    _assert_same_pairs(lattice, np.random.default_rng(7).random((3, 3)), peer)


# pymatgen wraps positions itself and reports other translations then.
@pytest.mark.parametrize("peer", [_vesin, _matscipy])
@pytest.mark.parametrize("n", [5, 250])
def test_atoms_outside_the_cell(peer: Peer, n: int) -> None:
    lattice, frac = _random_crystal(8, n)
    _assert_same_pairs(lattice, frac + np.random.default_rng(9).integers(-2, 3, frac.shape), peer)


@pytest.mark.skipif(not os.environ.get("SHC_DATA"), reason="SHC_DATA does not name the folder of shc_dev_cifs.zip")
@pytest.mark.filterwarnings("ignore")  # pymatgen warns of rounded coordinates in these files
@pytest.mark.parametrize("peer", PEERS)
def test_real_crystals(peer: Peer) -> None:
    from pymatgen.core import Structure

    with zipfile.ZipFile(Path(os.environ["SHC_DATA"]) / "shc_dev_cifs.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".cif"))
        for name in random.Random(17).sample(names, 150):  # noqa: S311 (a reproducible sample)
            structure = Structure.from_str(archive.read(name).decode(), fmt="cif")
            lattice, frac = np.array(structure.lattice.matrix), np.array(structure.frac_coords)
            _assert_same_pairs(lattice, frac, peer)
            _assert_same_nearest(lattice, frac, peer)
