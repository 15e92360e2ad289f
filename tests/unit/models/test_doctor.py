"""What a machine can do: found out here, with small networks and stand-ins for compilers."""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from shc.featurize.descriptors import descriptor_names
from shc.featurize.errors import ExitCode, ShcError
from shc.featurize.prompt import PROMPT_FIELDS
from shc.models import doctor
from shc.models.backends import speed
from shc.models.backends.choose import NAMES, build, usable_compiler
from shc.models.backends.store import compiled_root
from shc.models.backends.survey import survey
from shc.models.doctor import as_record, diagnose, is_writable
from shc.models.ensemble import save_ensemble

if TYPE_CHECKING:
    from shc.models.ensemble import Ensemble

DATA = Path(__file__).parents[2] / "data"
TINY: dict[str, Any] = runpy.run_path(str(DATA / "tiny_model.py"))
FAKE: dict[str, Any] = runpy.run_path(str(DATA / "stand_in_compiler.py"))
CPU = torch.device("cpu")


@pytest.fixture
def ensemble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ensemble:
    """A small model that reads everything, also in ./tiny; an empty cache; a stand-in for OpenVINO; short runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "numba"))
    monkeypatch.setattr(speed, "N_CRYSTALS", 30)
    monkeypatch.setattr(speed, "N_PICTURES", 25)
    monkeypatch.setattr(speed, "_SECONDS", 0.0)
    FAKE["install"](monkeypatch, FAKE["compiler"]("openvino"))
    n_prompt = max(span.stop for _, span in PROMPT_FIELDS)
    made: Ensemble = TINY["tiny_ensemble"](n_prompt, len(descriptor_names()), model=TINY["FUSED"])
    save_ensemble(Path("tiny"), made)
    return made


def test_every_back_end_is_usable_or_has_a_reason(ensemble: Ensemble) -> None:
    states = {state.name: state for state in survey(ensemble, CPU)}
    assert set(states) == set(NAMES) - {"auto"}
    assert {name for name, state in states.items() if state.ready} == {"eager"}
    assert states["inductor"].why_not == "no inductor here"
    assert (states["openvino"].why_not, states["openvino"].built) == (None, None)
    build(usable_compiler("openvino", CPU), ensemble, CPU)
    state = {state.name: state for state in survey(ensemble, CPU)}["openvino"]
    assert state.ready
    assert state.built is not None
    assert state.built.folder.parent == compiled_root()
    about = (state.built.folder / "about.json").stat().st_size
    assert state.built.n_bytes == 1000 + about
    assert state.built.date[:2] == "20"


def test_what_is_ready_is_timed(ensemble: Ensemble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "has_bfloat16", lambda _: True)
    assert {each.backend for each in speed.measure(ensemble, CPU)} == {"eager"}
    build(usable_compiler("openvino", CPU), ensemble, CPU)
    found = speed.measure(ensemble, CPU)
    assert [(each.backend, each.rests_on, each.encoder) for each in found] == [
        ("eager", "structure", ""),
        ("eager", "structure+picture", "bfloat16"),
        ("eager", "structure+picture", "float32"),
        ("openvino", "structure", ""),
        ("openvino", "structure+picture", ""),
    ]
    assert all(each.crystals_per_second for each in found)
    monkeypatch.setattr(speed, "has_bfloat16", lambda _: False)
    assert [each.encoder for each in speed.measure(ensemble, CPU)] == [""] * 4


def test_a_build_that_does_not_load_is_told_and_stops_nothing(
    ensemble: Ensemble, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_given: object) -> None:
        raise ImportError("No such\nlibrary")

    build(usable_compiler("openvino", CPU), ensemble, CPU)
    FAKE["install"](monkeypatch, FAKE["compiler"]("openvino")._replace(load=load))
    found = {(each.backend, each.rests_on): each for each in speed.measure(ensemble, CPU)}
    damaged = found["openvino", "structure"]
    assert damaged.crystals_per_second is None
    assert damaged.error == "No such library"
    assert found["eager", "structure"].error == ""


def test_networks_without_pictures_are_timed_on_the_structure(ensemble: Ensemble) -> None:
    card = ensemble.card
    plain: Ensemble = TINY["tiny_ensemble"](card.n_prompt, card.n_descriptors)
    assert [each.rests_on for each in speed.measure(plain, CPU)] == ["structure"]


@pytest.mark.usefixtures("ensemble")
def test_a_machine_is_described() -> None:
    found = diagnose(Path("tiny"), "cpu", quick=True)
    assert (found.speeds, found.not_measured) == ((), "")
    assert found.machine.cores == len(os.sched_getaffinity(0))
    assert found.machine.torch == torch.__version__
    assert found.machine.python == ".".join(map(str, sys.version_info[:3]))
    assert found.machine.n_bytes > 1e8
    versions = {each.name: each.version for each in found.packages}
    assert versions["matplotlib"] == __import__("matplotlib").__version__
    assert set(versions) == {"matplotlib", "scikit-learn", "matminer", "openvino", "torch-tensorrt", "g++"}
    places = {each.name: each for each in found.places}
    assert Path(places["cache"].path) == Path("cache/shc").absolute()
    assert Path(places["compiled kernels"].path) == Path("numba").absolute()
    assert all(each.writable for each in found.places)
    assert not Path("cache").exists(), "nothing is made to find out"
    assert as_record(found)["model"]["reads"] == ["structure", "curves", "picture"]


def test_a_package_that_is_missing_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_PACKAGES", {"a-package-of-no-one": "nothing"})
    monkeypatch.setenv("PATH", "")
    assert {each.name: each.version for each in doctor.packages()} == {"a-package-of-no-one": None, "g++": None}


def test_sizes_and_places_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    inner = compiled_root() / "openvino-1"
    inner.mkdir(parents=True)
    (inner / "a").write_bytes(bytes(7))
    (compiled_root().parent / "b").write_bytes(bytes(5))
    sizes = {each.name: each.n_bytes for each in doctor.places()}
    assert (sizes["cache"], sizes["cache, bands"], sizes["cache, back ends"]) == (12, 0, 7)
    assert is_writable(inner / "not" / "yet")
    assert not is_writable(inner / "a" / "below")


def test_a_model_that_does_not_fit_the_examples_is_not_timed(ensemble: Ensemble) -> None:
    assert diagnose(Path("tiny"), "cpu").speeds
    save_ensemble(Path("odd"), TINY["tiny_ensemble"](7, 9))
    found = diagnose(Path("odd"), "cpu")
    assert found.speeds == ()
    assert f"prompt size {ensemble.card.n_prompt}, the model needs 7" in found.not_measured


def test_a_model_that_is_missing_is_an_error() -> None:
    with pytest.raises(ShcError, match="no model folder") as caught:
        diagnose(Path("nowhere"), quick=True)
    assert caught.value.exit_code == ExitCode.BAD_FILE
