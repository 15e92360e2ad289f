from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shc.featurize.errors import ShcError
from shc.models.splits import held_out_parts, read_split

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

IDS = ["a", "b", "c", "d", "e"]


def write(folder: Path, content: Any) -> Path:  # noqa: ANN401
    path = folder / "splits.json"
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def splits(tmp_path: Path) -> Path:
    return write(
        tmp_path,
        {
            "random": {"train": ["c", "a", "x"], "val": ["d"], "test": ["e"]},
            "cv": {"a": 0, "b": 1, "c": 2, "d": 0, "x": 1},
            "none": {"train": ["x"], "val": ["a"]},
        },
    )


def test_train_and_scored_rows_by_id(splits: Path) -> None:
    split = read_split(splits, "random", None, IDS)
    assert (split.train.tolist(), split.test.tolist()) == ([0, 2], [3, 4])


def test_folds(splits: Path) -> None:
    split = read_split(splits, "cv", 0, IDS)
    assert (split.train.tolist(), split.test.tolist()) == ([1, 2], [0, 3])


@pytest.mark.parametrize(
    ("name", "fold", "message"),
    [
        ("other", None, "no split 'other'"),
        ("random", 1, "has no folds"),
        ("cv", None, "needs a fold"),
        ("cv", 7, "has no fold 7"),
        ("none", None, "names no crystal"),
    ],
)
def test_wrong_questions(splits: Path, name: str, fold: int | None, message: str) -> None:
    with pytest.raises(ShcError, match=message):
        read_split(splits, name, fold, IDS)


@pytest.mark.parametrize("content", [[1, 2], {"random": ["a"]}])
def test_files_of_another_kind(tmp_path: Path, content: object) -> None:
    with pytest.raises(ShcError, match="holds no splits"):
        read_split(write(tmp_path, content), "random", None, IDS)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ShcError, match="cannot read splits"):
        read_split(tmp_path / "absent.json", "random", None, IDS)
    (tmp_path / "half.json").write_text('{"random": ')
    with pytest.raises(ShcError, match="cannot read splits"):
        read_split(tmp_path / "half.json", "random", None, IDS)


SYSTEMS = st.lists(st.sampled_from([(1,), (1, 8), (8, 26), (13,), (78,), (6, 7), (3, 9)]), min_size=4, max_size=80)


@given(SYSTEMS, st.integers(1, 4), st.integers(0, 3))
@settings(deadline=None)
def test_every_row_is_dealt_once_and_no_system_twice(
    systems: Sequence[tuple[int, ...]], n_parts: int, seed: int
) -> None:
    rows = np.arange(1, len(systems), 2, dtype=np.int64)
    parts = held_out_parts(rows, systems, n_parts, seed)
    assert len(parts) == n_parts
    assert sorted(np.concatenate(parts).tolist()) == rows.tolist()
    held = [{systems[row] for row in part.tolist()} for part in parts]
    assert sum(map(len, held)) == len(set.union(*held))
    again = held_out_parts(rows, systems, n_parts, seed)
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))


def test_parts_are_nearly_equal_and_depend_on_the_seed() -> None:
    systems = [(i % 60,) for i in range(600)]
    rows = np.arange(600, dtype=np.int64)
    parts = held_out_parts(rows, systems, 8, 0)
    assert max(map(len, parts)) - min(map(len, parts)) <= 10
    other = held_out_parts(rows, systems, 8, 1)
    assert any(not np.array_equal(a, b) for a, b in zip(parts, other, strict=True))


def test_a_split_that_scores_what_it_trains_on_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "splits.json"
    path.write_text(json.dumps({"leak": {"train": IDS[:3], "val": IDS[2:4]}}))
    with pytest.raises(ShcError, match=f"trains on and scores {IDS[2]}"):
        read_split(path, "leak", None, IDS)
