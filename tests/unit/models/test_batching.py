from __future__ import annotations

import numpy as np
import pytest

from shc.models.batching import BOND_BUCKETS, NODE_BUCKETS, bucket, dense_batches


@pytest.mark.parametrize(("size", "expected"), [(1, 2), (2, 2), (5, 6), (13, 16), (1024, 1024), (1500, 1500)])
def test_a_size_goes_into_the_smallest_bucket_that_holds_it(size: int, expected: int) -> None:
    assert bucket(size, NODE_BUCKETS) == expected


def test_batches_serve_every_row_once_within_their_bounds() -> None:
    rng = np.random.default_rng(0)
    n_nodes, n_bonds = rng.integers(1, 60, 500), rng.integers(1, 13, 500)
    n_nodes[17] = 1000
    batches = list(dense_batches(n_nodes, n_bonds, max_batch=32, max_nodes=400, worthwhile=8))
    assert sorted(np.concatenate(batches).tolist()) == list(range(500))
    for rows in batches:
        assert len(rows) <= 32
        assert len(rows) == 1 or len(rows) * n_nodes[rows].max() <= 400
    assert [17] in [rows.tolist() for rows in batches]


def test_a_worthwhile_batch_keeps_to_its_bucket_and_a_small_one_takes_in_the_next() -> None:
    n_nodes = np.array([3] * 40 + [9] * 3 + [30] * 40)
    n_bonds = np.full(83, 5)
    batches = [rows.tolist() for rows in dense_batches(n_nodes, n_bonds, worthwhile=10)]
    assert batches == [list(range(40)), list(range(40, 83))]
    assert [len(rows) for rows in dense_batches(n_nodes, n_bonds, worthwhile=1)] == [40, 3, 40]


def test_few_bonds_are_not_padded_to_many() -> None:
    n_bonds = np.array([1, 12] * 50)
    few, many = dense_batches(np.full(100, 4), n_bonds, worthwhile=10)
    assert set(n_bonds[few].tolist()) == {1}
    assert set(n_bonds[many].tolist()) == {12}
    assert bucket(1, BOND_BUCKETS) < bucket(12, BOND_BUCKETS)


def test_no_crystals_make_no_batch() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    assert list(dense_batches(nothing, nothing)) == []
