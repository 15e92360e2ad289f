from __future__ import annotations

import importlib
import os
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from shc.featurize.pool import BatchPool, default_workers
from shc.featurize.stop import StopRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shc.featurize.errors import Failure
    from shc.featurize.pool import Task
    from shc.featurize.types import CrystalRecord


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> Task:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "data"))
    by_name: Task = importlib.import_module("pool_tasks").by_name
    return by_name


@pytest.fixture
def make_pool(task: Task) -> Iterator[Callable[..., BatchPool[CrystalRecord]]]:
    pools: list[BatchPool[CrystalRecord]] = []

    def make(**options: Any) -> BatchPool[CrystalRecord]:  # noqa: ANN401  handed on as they are
        pools.append(BatchPool(task, **options))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close(at_once=True)


def run(pool: BatchPool[CrystalRecord], *batches: str) -> list[list[Failure]]:
    tickets = [pool.submit([Path(name) for name in batch.split()]) for batch in batches]
    results = [pool.collect(ticket) for ticket in tickets]
    assert all(result is not None for result in results)
    return [result[1] for result in results if result is not None]


def test_dead_worker_costs_only_the_file_that_killed_it(make_pool: Callable[..., BatchPool[CrystalRecord]]) -> None:
    results = run(make_pool(workers=1), "a b", "c kill d", "e f", "g")
    names = [[failure.path for failure in result] for result in results]
    assert names == [["a", "b"], ["c", "kill", "d"], ["e", "f"], ["g"]]
    killed = results[1][1]
    assert killed.stage == "worker"
    assert "died" in killed.error
    assert killed.hint
    survivors = [f for result in results for f in result if f.path != "kill"]
    assert all(f.stage == "read" and f.error != str(os.getpid()) for f in survivors)


def test_hanging_file_is_given_up(make_pool: Callable[..., BatchPool[CrystalRecord]]) -> None:
    results = run(make_pool(workers=1, file_timeout=2.0), "a hang b", "c")
    assert [failure.path for failure in results[0]] == ["a", "hang", "b"]
    assert results[0][1].error == "not done after 2 s"
    assert [failure.stage for failure in results[0]] == ["read", "worker", "read"]
    assert [failure.path for failure in results[1]] == ["c"]


def test_a_file_that_hangs_alone_is_not_tried_again(make_pool: Callable[..., BatchPool[CrystalRecord]]) -> None:
    pool = make_pool(workers=1, file_timeout=2.0)
    [[failure]] = run(pool, "hang")
    assert (failure.path, failure.error) == ("hang", "not done after 2 s")
    assert pool._spare is None


def test_workers_use_one_thread_and_the_parents_setting_is_kept(
    make_pool: Callable[..., BatchPool[CrystalRecord]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    [[failure]] = run(make_pool(workers=1), "a")
    assert failure.hint == "1"
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


def test_any_executor_will_do_and_is_left_open(make_pool: Callable[..., BatchPool[CrystalRecord]]) -> None:
    with ThreadPoolExecutor(2) as threads:
        pool = make_pool(executor=threads)
        results = run(pool, "a b", "c")
        pool.close(at_once=True)
        assert threads.submit(int, "3").result() == 3
    assert [[f.path for f in result] for result in results] == [["a", "b"], ["c"]]
    assert results[0][0].error == str(os.getpid())


class Broken(Executor):
    """Fails the first batch later, refuses the second at once."""

    def __init__(self) -> None:
        self.n = 0

    def submit(self, *_: Any, **__: Any) -> Future[Any]:  # noqa: ANN401  as in the base class
        self.n += 1
        if self.n > 1:
            raise BrokenExecutor
        future: Future[Any] = Future()
        future.set_exception(BrokenExecutor())
        return future


def test_broken_executor_of_the_caller_is_replaced(make_pool: Callable[..., BatchPool[CrystalRecord]]) -> None:
    results = run(make_pool(executor=Broken(), workers=1), "a", "b c")
    assert [[f.path for f in result] for result in results] == [["a"], ["b", "c"]]


def test_broken_pool_is_not_mended_when_the_run_is_stopped(make_pool: Callable[..., BatchPool[CrystalRecord]]) -> None:
    stop = StopRequest()
    pool = make_pool(executor=Broken(), stop=stop)
    ticket = pool.submit([Path("a")])
    stop.request("a test")
    assert pool.collect(ticket) is None


def test_workers_are_the_cores_this_process_may_use() -> None:
    assert default_workers() == len(os.sched_getaffinity(0))
