from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch

from shc.models.backends import openvino
from shc.models.backends.agreement import compare
from shc.models.backends.choose import build, choose_backend
from shc.models.backends.eager import Eager
from shc.models.backends.store import compiled_folder, is_built
from shc.models.bands_data import BandsBatch
from shc.models.device import choose_device
from shc.models.encoders.picture import SIDE, UNKNOWN
from shc.models.modalities import SUBSETS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from shc.featurize.store import FeatureBatch
    from shc.models.backends.base import Backend
    from shc.models.data import CrystalBatch
    from shc.models.ensemble import Ensemble

pytest.importorskip("openvino", reason="openvino is not installed")

CPU = choose_device("cpu")
SIZES = {1: ["Pt"], 2: ["Ag", "Cu"], 7: ["Pt", "WTe2", "Bi", "RhSi", "NaCl", "SrTiO3", "W"]}
"""Crystals of a batch; the first two have a single node each."""

ALONE = """
import sys

def refuse(event, _):
    if event in {"socket.__new__", "socket.connect", "socket.getaddrinfo"}:
        raise OSError(f"{event} was called")

sys.addaudithook(refuse)
import runpy
from pathlib import Path
import torch
from shc.models.backends.choose import choose_backend
from shc.models.backends.agreement import read_examples
from shc.models.distributions import distributions

tests = runpy.run_path(sys.argv[1])
fused = tests["tiny"](n_members=1, model=tests["TINY"]["FUSED"])
chosen = choose_backend("openvino", fused, torch.device("cpu"))
assert chosen.warning is None, chosen.warning
distributions(fused, chosen.backend, read_examples(fused))
assert "openvino" in sys.modules
assert sys.modules["openvino_telemetry"] is None
print(chosen.backend.name)
"""


@pytest.fixture(scope="module")
def backend(fused: Ensemble, tmp_path_factory: pytest.TempPathFactory) -> Backend:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        found = choose_backend("openvino", fused, CPU)
    assert found.warning is None
    assert found.backend.name == "openvino"
    return found.backend


@pytest.mark.parametrize("subset", range(len(SUBSETS)), ids=SUBSETS)
@pytest.mark.parametrize("n", SIZES)
def test_it_says_what_the_networks_say(
    fused: Ensemble, backend: Backend, make_batch: Callable[..., CrystalBatch], n: int, subset: int
) -> None:
    batch = make_batch(SIZES[n], bands=subset > 0)
    if batch.bands is not None:
        curves, has_curves, picture, has_picture = batch.bands
        shown = BandsBatch(curves, has_curves * (subset & 1), picture, has_picture * (subset >> 1))
        batch = batch._replace(bands=shown)
    said, expected = backend.say(batch), Eager(fused, CPU).say(batch)
    assert len(said.probability) == n
    for got, wanted in zip(said, expected, strict=True):
        torch.testing.assert_close(got, wanted, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_it_encodes_what_the_encoder_encodes(fused: Ensemble, backend: Backend, n: int) -> None:
    assert fused.picture is not None
    assert backend.encode is not None
    pictures = (torch.rand(n, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(n)) < 0.05).float()
    pictures[0, :, :60] = UNKNOWN
    expected = fused.picture(pictures)
    assert backend.encode.token_shape == expected.shape[1:]
    assert (backend.encode(pictures) - expected).norm() / expected.norm() < 0.02


def test_the_result_is_not_overwritten_by_the_next_call(
    backend: Backend, make_batch: Callable[..., CrystalBatch]
) -> None:
    said = backend.say(make_batch(["Pt", "Au"]))
    before = said.probability.clone()
    assert not torch.equal(backend.say(make_batch(["Bi", "NaCl"])).probability, before)
    assert torch.equal(said.probability, before)


def test_it_agrees_on_the_examples(fused: Ensemble, backend: Backend, examples: FeatureBatch) -> None:
    assert compare(fused, backend, Eager(fused, CPU), examples).good


def test_it_is_kept_whole_and_compiles_nothing_twice(alone: Ensemble) -> None:
    build(openvino.COMPILER, alone, CPU)
    folder = compiled_folder(openvino.COMPILER, alone, CPU)
    assert {path.name for path in folder.iterdir()} == {"about.json", "structure.bin", "structure.xml"}
    for _ in range(2):
        assert choose_backend("auto", alone, CPU).backend.name == "openvino"
        assert len(list((folder / "blobs").iterdir())) == 1
        assert is_built(folder)


def test_an_interruption_while_it_is_built_is_one(alone: Ensemble, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("openvino.frontend.pytorch.ts_decoder.TorchScriptPythonDecoder.get_op_type", interrupted)
    with pytest.raises(KeyboardInterrupt):
        choose_backend("openvino", alone, CPU)


def test_a_broken_installation_shows_before_anything_runs(alone: Ensemble, monkeypatch: pytest.MonkeyPatch) -> None:
    build(openvino.COMPILER, alone, CPU)

    def broken() -> None:
        raise ImportError("libopenvino.so: cannot open shared object file")

    monkeypatch.setattr(openvino, "_openvino", broken)
    chosen = choose_backend("auto", alone, CPU)
    assert type(chosen.backend) is Eager
    assert (chosen.warning or "").endswith("run without a compiler: libopenvino.so: cannot open shared object file")


def test_it_opens_no_connection(tmp_path: Path) -> None:
    conftest = str(__file__).replace("test_openvino.py", "conftest.py")
    command = [sys.executable, "-c", ALONE, conftest]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "openvino"
    assert list((tmp_path / "shc" / "compiled").iterdir())
