from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
import torch

from shc.models.backends import inductor
from shc.models.backends.agreement import compare, read_examples
from shc.models.backends.choose import build, choose_backend
from shc.models.backends.eager import Eager
from shc.models.backends.inductor import Graphs
from shc.models.device import choose_device

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor

    from shc.models.data import CrystalBatch
    from shc.models.ensemble import Ensemble

CPU = choose_device("cpu")


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++")
def test_compiled_programs_say_what_the_networks_say(
    alone: Ensemble, make_batch: Callable[..., CrystalBatch], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))
    assert build(inductor.COMPILER, alone, CPU).good
    backend = choose_backend("inductor", alone, CPU).backend
    assert backend.name == "inductor"
    reference = Eager(alone, CPU)
    for names in (["Pt"], ["Ag", "Cu"], ["Pt", "WTe2", "Bi", "RhSi", "NaCl", "SrTiO3", "W"]):
        batch = make_batch(names, bands=False)
        for got, wanted in zip(backend.say(batch), reference.say(batch), strict=True):
            torch.testing.assert_close(got, wanted, atol=2e-5, rtol=1e-4)
    assert compare(alone, backend, reference, read_examples(alone)).good


class Recorded:
    """Stands in the place of a CUDA graph: its replay writes into the tensors that were recorded."""

    def __init__(self, own: list[Tensor]) -> None:
        self.own = own
        self.said = [torch.zeros_like(own[0])]
        self.replays = 0

    def replay(self) -> None:
        self.replays += 1
        self.said[0].copy_(sum(self.own, torch.zeros_like(self.own[0])))


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[Recorded]:
    made: list[Recorded] = []

    def record(_: Graphs, own: list[Tensor]) -> tuple[Any, list[Tensor], Sequence[Tensor]]:
        made.append(Recorded(own))
        return made[-1], own, made[-1].said

    monkeypatch.setattr(Graphs, "_record", record)
    return made


def never(*_: Tensor) -> list[Tensor]:
    raise AssertionError


def test_graphs_are_recorded_once_for_each_shape(recorded: list[Recorded]) -> None:
    graphs = Graphs(never)
    for value in (1.0, 2.0):
        for n in (2, 8):
            (said,) = graphs(torch.full((n,), value), torch.full((n,), 0.5))
            assert torch.equal(said, torch.full((n,), value + 0.5))
    assert [graph.replays for graph in recorded] == [2, 2]
    graphs(torch.ones(2), torch.ones(2), torch.ones(2))
    assert len(recorded) == 3


def test_what_graphs_say_belongs_to_the_caller(recorded: list[Recorded]) -> None:
    graphs = Graphs(never)
    given = torch.ones(3)
    (said,) = graphs(given)
    graphs(torch.full((3,), 7.0))
    assert torch.equal(said, torch.ones(3))
    assert torch.equal(given, torch.ones(3))
    assert torch.equal(recorded[0].said[0], torch.full((3,), 7.0))


def test_the_oldest_graph_goes_first(recorded: list[Recorded], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inductor, "_MAX_GRAPHS", 3)
    graphs = Graphs(never)
    for n in (1, 2, 3, 1, 4):
        graphs(torch.ones(n))
    assert len(recorded) == 4
    for n in (2, 3, 4):
        graphs(torch.ones(n))
    assert len(recorded) == 4
    graphs(torch.ones(1))
    assert len(recorded) == 5
    assert len(graphs._recorded) == 3
