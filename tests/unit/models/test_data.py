from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from shc.featurize.store import FeatureBatch
from shc.models.data import CrystalArrays

if TYPE_CHECKING:
    from collections.abc import Callable

    from shc.featurize.types import CrystalRecord

SIZES = [(5, 3), (1, 1), (8, 2), (4, 4), (12, 6)]


@pytest.fixture
def records(record_factory: Callable[..., CrystalRecord]) -> list[CrystalRecord]:
    found = [record_factory(f"m{i}", n_atoms=a, n_nodes=n, seed=i) for i, (a, n) in enumerate(SIZES)]
    found[1].neighbour_atom[0, 7:] = -1
    found[1].neighbour_distance[0, 7:] = 0.0
    return found


@pytest.fixture
def arrays(records: list[CrystalRecord]) -> CrystalArrays:
    return CrystalArrays(FeatureBatch.from_records(records))


def test_dense_batch_holds_what_the_records_hold(arrays: CrystalArrays, records: list[CrystalRecord]) -> None:
    rows = np.array([3, 1, 4])
    batch = arrays.batch(rows)
    assert batch.atoms.shape == (3, 6)
    assert (
        batch.neighbours.shape == batch.distance.shape == batch.bond_weight.shape == (3, 6, arrays.n_bonds[rows].max())
    )
    for b, row in enumerate(rows.tolist()):
        record = records[row]
        n_nodes = len(record.neighbour_atom)
        for node in range(n_nodes):
            mine = record.orbit == node
            assert batch.atoms[b, node] == record.atomic_number[mine][0]
            assert batch.weight[b, node] == pytest.approx(mine.mean())
            found = zip(batch.neighbours[b, node].tolist(), batch.distance[b, node].tolist(), strict=True)
            expected = [
                (record.orbit[atom] + 1, distance)
                for atom, distance in zip(record.neighbour_atom[node], record.neighbour_distance[node], strict=True)
                if atom >= 0
            ]
            assert sorted(bond for bond in found if bond[0]) == sorted(expected), "no two are the same here"
        for padded in (batch.atoms, batch.weight, batch.neighbours, batch.distance, batch.bond_weight):
            assert not padded[b, n_nodes:].any()
        np.testing.assert_array_equal(batch.descriptors[b].numpy(), record.descriptors)
        np.testing.assert_array_equal(batch.prompt[b].numpy(), record.symmetry_prompt)
    torch.testing.assert_close(batch.weight.sum(1), torch.ones(3))


def test_a_batch_owns_its_memory(arrays: CrystalArrays) -> None:
    batch = arrays.batch(np.array([0, 1]))
    batch.descriptors.zero_()
    assert arrays.descriptors[:2].any()


def test_chemical_systems(arrays: CrystalArrays, records: list[CrystalRecord]) -> None:
    expected = [tuple(sorted(set(record.atomic_number.tolist()))) for record in records]
    assert arrays.chemical_system() == expected


@pytest.mark.parametrize("batch_size", [1, 2, 7, 100])
def test_shuffled_serves_each_row_once_and_repeats_by_seed(arrays: CrystalArrays, batch_size: int) -> None:
    rows = np.array([0, 2, 3, 4])
    first = list(arrays.shuffled(rows, batch_size, np.random.default_rng(3)))
    again = list(arrays.shuffled(rows, batch_size, np.random.default_rng(3)))
    assert sorted(np.concatenate(first).tolist()) == rows.tolist()
    assert max(map(len, first)) <= batch_size
    assert [batch.tolist() for batch in first] == [batch.tolist() for batch in again]


def test_by_size_serves_each_row_once_smallest_first(arrays: CrystalArrays) -> None:
    served = np.concatenate(list(arrays.by_size(np.arange(5), 2)))
    assert sorted(served.tolist()) == [0, 1, 2, 3, 4]
    assert (np.diff(arrays.n_nodes[served]) >= 0).all()
