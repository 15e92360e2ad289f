from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shc.cli.shards import Shard, parse_shard
from shc.featurize.errors import ExitCode, ShcError


def slurm(**values: int | str) -> dict[str, str]:
    return {f"SLURM_ARRAY_TASK_{name.upper()}": str(value) for name, value in values.items()}


@given(st.lists(st.integers()), st.integers(1, 9))
def test_shards_hold_every_input_once_and_keep_the_order(items: list[int], total: int) -> None:
    parts = [list(Shard(number, total).select(items)) for number in range(1, total + 1)]
    assert [parts[i % total][i // total] for i in range(len(items))] == items
    assert sum(map(len, parts)) == len(items)


def test_numbers_count_from_one() -> None:
    assert parse_shard("1/3", {}) == Shard(1, 3)
    assert list(parse_shard("3/3", {}).select("abcdefg")) == ["c", "f"]


def test_a_shard_writes_a_file_of_its_own() -> None:
    assert Shard(3, 8).file_name(Path("out/features.h5")) == Path("out/features.003-of-008.h5")


@pytest.mark.parametrize("text", ["", "3", "0/3", "4/3", "1/0", "-1/3", "a/b", "1/3/4", "1 /3"])
def test_a_wrong_shard_is_a_usage_error_that_names_it(text: str) -> None:
    with pytest.raises(ShcError) as caught:
        parse_shard(text, {})
    assert text in caught.value.message
    assert caught.value.exit_code == ExitCode.USAGE
    assert "1 to n" in caught.value.hint


def test_auto_reads_a_whole_array() -> None:
    assert parse_shard("auto", slurm(id=4, min=1, max=10, count=10, step=1)) == Shard(4, 10)
    assert parse_shard("auto", slurm(id=1, min=1, max=1, count=1)) == Shard(1, 1)


@pytest.mark.parametrize(
    "environ",
    [
        slurm(id=4, min=3, max=5, count=3, step=1),  # some tasks of a larger array
        slurm(id=1, min=1, max=10, count=3, step=1),  # --array=1,4,10
        slurm(id=3, min=1, max=9, count=5, step=2),  # every second task
        slurm(id=0, min=0, max=9, count=10, step=1),  # counted from 0
        slurm(id=11, min=1, max=10, count=10, step=1),  # outside
    ],
)
def test_auto_refuses_arrays_that_may_be_parts(environ: dict[str, str]) -> None:
    with pytest.raises(ShcError, match="SLURM array") as caught:
        parse_shard("auto", environ)
    assert "--array=1-n" in caught.value.hint


def test_auto_outside_an_array_job_says_what_is_missing() -> None:
    with pytest.raises(ShcError, match="SLURM_ARRAY_TASK_ID is not set"):
        parse_shard("auto", {})
    with pytest.raises(ShcError, match="no whole number"):
        parse_shard("auto", slurm(id="x", min=1, max=2, count=2))
