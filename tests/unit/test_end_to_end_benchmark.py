"""The parts of ``benchmarks/end_to_end.py`` that measure nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from end_to_end import HEADER, draw, markdown, median, row, verdicts  # noqa: E402 (found in the folder above)
from end_to_end_run import Job, Outcome  # noqa: E402
from peers import CGCNN, CGCNNGraph, CGCNNNetwork, collate, load_peer  # noqa: E402
from stage_timers import GRAPHS, PICTURES, STAGES, Stages  # noqa: E402

CIFS = [BENCHMARKS.parent / "examples" / f"{name}.cif" for name in ("Pt", "GaAs", "Bi2Se3")]


def job(pictures: str = "", n: int = 4) -> Job:
    return Job("shc", "eager", pictures, tuple(map(str, range(n))), (), 0, "")


def outcome(seconds: float, n: int = 4, stages: dict[str, float] | None = None) -> Outcome:
    return Outcome(n, 0, seconds, 2 * seconds, {**dict.fromkeys(STAGES, 0.0), **(stages or {})}, 100.0, 0.0)


def test_smaller_samples_are_part_of_larger_ones_and_equal_sizes_come_once() -> None:
    files = [Path(f"{i}.cif") for i in range(50)]
    samples, warm = draw(files, [100, 5, 10, 50], seed=0)
    assert [len(sample) for sample in samples] == [5, 10, 50]
    assert samples[0] == samples[1][:5] == samples[2][:5]
    assert sorted(samples[2]) == sorted(map(str, files))
    assert len(warm) == 20
    assert set(warm).isdisjoint(samples[1])
    assert draw(files, [5], seed=0)[0][0] == samples[0]
    assert draw(files, [5], seed=1)[0][0] != samples[0]


def test_the_median_run_counts_and_failed_ones_do_not() -> None:
    runs = [outcome(3.0), outcome(1.0), outcome(2.0)]
    assert median(runs) == runs[2]
    assert median(["not run", runs[0]]) == runs[0]
    assert median(["not run"]) == "not run"


def test_a_line_gives_speed_ratio_and_shares() -> None:
    cells = dict(zip(HEADER, row(job(), outcome(0.02, stages={GRAPHS: 0.005}), outcome(0.8, n=8)), strict=True))
    assert cells["ms per crystal"] == "5.00"
    assert cells["crystals/s"] == "200"
    assert cells["CGCNN / this"] == "20.0"
    assert cells["clock"] == "10.00"
    assert cells[GRAPHS] == "25 %"
    assert cells["rest"] == "75 %"


def test_a_program_that_does_not_run_says_why() -> None:
    cells = row(job(), "not installed: no module", None)
    assert len(cells) == len(HEADER)
    assert cells[2] == "not installed: no module"


def test_the_table_is_markdown() -> None:
    assert markdown([["a", "b"], ["1", ""]]) == "| a | b |\n|---|---|\n| 1 |  |"


def test_pictures_cost_what_is_added_per_crystal() -> None:
    jobs = [job(), job("folder")]
    (text,) = verdicts(jobs, [outcome(0.04), outcome(0.12, stages={PICTURES: 0.02})])
    assert "pictures cost 20.0 ms per crystal on top, 5.0 of them" in text
    assert list(verdicts(jobs, ["not run", outcome(1.0)])) == []


def test_a_counted_function_is_the_same_function() -> None:
    stages = Stages()
    counted = stages.timed(lambda n: sum(range(n)), GRAPHS)
    assert counted(100_000) == sum(range(100_000))
    assert stages.seconds[GRAPHS] > 0.0
    assert stages.seconds[PICTURES] == 0.0


def test_a_counted_function_may_fail() -> None:
    stages = Stages()
    with pytest.raises(ZeroDivisionError):
        stages.timed(lambda: sum(range(100_000)) // 0, GRAPHS)()
    assert stages.seconds[GRAPHS] > 0.0


def test_joined_graphs_keep_their_neighbours() -> None:
    graphs = [
        CGCNNGraph(torch.zeros(n, 92), torch.zeros(n, 12, 41), torch.full((n, 12), n - 1, dtype=torch.int64))
        for n in (2, 3)
    ]
    atoms, bonds, neighbours, crystal, count = collate(graphs)
    assert atoms.shape == (5, 92)
    assert bonds.shape == (5, 12, 41)
    assert neighbours[:, 0].tolist() == [1, 1, 4, 4, 4]
    assert crystal.tolist() == [0, 0, 1, 1, 1]
    assert count.tolist() == [2, 3]


@pytest.mark.filterwarnings("ignore::UserWarning:pymatgen")
def test_cgcnn_has_the_size_of_the_paper_and_does_not_mix_crystals() -> None:
    torch.manual_seed(0)
    peer = CGCNN()
    graphs = [peer.prepare(path) for path in CIFS]
    together = peer.predict(graphs)
    alone = [peer.predict([graph])[0] for graph in graphs]
    np.testing.assert_allclose(together, alone, rtol=1e-4)
    assert len(set(together.tolist())) == len(CIFS)
    n = 92 * 64 + 64 + 3 * ((2 * 64 + 41) * 128 + 128 + 2 * 128 + 2 * 64) + 64 * 128 + 128 + 128 + 1
    assert sum(p.numel() for p in CGCNNNetwork(92, 41).parameters()) == n


@pytest.mark.filterwarnings("ignore::UserWarning:pymatgen")
def test_cgcnn_takes_the_nearest_neighbours() -> None:
    graph = CGCNN().prepare(CIFS[0])
    centre = graph.bonds.argmax(dim=2)
    assert (centre.diff(dim=1) >= 0).all()
    assert graph.bonds.max() <= 1.0


def test_a_peer_that_cannot_be_imported_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matgl", None)
    monkeypatch.setitem(sys.modules, "matgl.config", None)
    with pytest.raises(ImportError, match="matgl"):
        load_peer("matgl")
