from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from shc.featurize.errors import ExitCode, ShcError
from shc.models.backends import choose
from shc.models.backends.base import Compiler
from shc.models.backends.choose import NAMES, build, choose_backend, compiler_of
from shc.models.backends.eager import Eager
from shc.models.backends.store import ABOUT, compiled_folder, is_built
from shc.models.device import choose_device

if TYPE_CHECKING:
    from pathlib import Path

    from shc.models.data import CrystalBatch
    from shc.models.ensemble import Ensemble
    from shc.models.members import Said

CPU = choose_device("cpu")


class Copy(Eager):
    """Says what the networks say."""

    name = "copy"


class Liar(Eager):
    """Says something else."""

    def say(self, batch: CrystalBatch) -> Said:
        said = super().say(batch)
        return said._replace(probability=said.probability.flip(1))


class Fake:
    """A compiler that writes one file, and counts."""

    def __init__(self, kind: type[Eager] = Copy) -> None:
        self.kind = kind
        self.reason: str | None = None
        self.build_error: Exception | None = None
        self.load_error: Exception | None = None
        self.built: list[CrystalBatch] = []
        self.compiler = Compiler(
            "fake", "Fake", lambda _: self.reason, lambda _: {"fake": "1"}, self._build, self._load
        )

    def _build(self, _ensemble: Ensemble, batch: CrystalBatch, _device: torch.device, folder: Path) -> None:
        self.built.append(batch)
        if self.build_error is not None:
            raise self.build_error
        (folder / "program").write_text("all", encoding="utf-8")

    def _load(self, ensemble: Ensemble, device: torch.device, folder: Path) -> Eager:
        if self.load_error is not None:
            raise self.load_error
        assert (folder / "program").read_text(encoding="utf-8") == "all"
        return self.kind(ensemble, device)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = Fake()
    install(made, monkeypatch)
    return made


def install(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "COMPILED", {"cpu": ("fake",)})
    monkeypatch.setattr(choose, "compiler_of", lambda _: fake.compiler)


def test_the_names(fused: Ensemble) -> None:
    compiled = {name for names in choose.COMPILED.values() for name in names}
    assert set(NAMES) == {"auto", "eager", *compiled}
    for name in compiled:
        assert compiler_of(name).name == name
    for unknown in ("eager", "auto", "onnx", "store"):
        with pytest.raises(ShcError, match=f"no compiled back end '{unknown}'") as caught:
            compiler_of(unknown)
        assert caught.value.exit_code is ExitCode.USAGE
        assert "inductor, openvino, tensorrt" in (caught.value.hint or "")
    with pytest.raises(ShcError) as caught:
        choose_backend("onnx", fused, CPU)
    assert caught.value.exit_code is ExitCode.USAGE


@pytest.mark.parametrize(
    ("name", "device", "reason"),
    [
        ("tensorrt", "cpu", "TensorRT cannot run here: it is for GPUs"),
        ("openvino", "cuda", "OpenVINO cannot run here: it is for processors"),
    ],
)
def test_a_back_end_that_this_machine_lacks(fused: Ensemble, name: str, device: str, reason: str) -> None:
    with pytest.raises(ShcError, match=reason) as caught:
        choose_backend(name, fused, torch.device(device))
    assert caught.value.exit_code is ExitCode.NO_BACKEND


@pytest.mark.parametrize(
    ("name", "device", "reason"),
    [
        ("openvino", "cpu", r"openvino is not installed: pip install 'shc-predict\[openvino\]'"),
        ("tensorrt", "cuda", r"torch-tensorrt is not installed: pip install 'shc-predict\[trt\]'"),
        ("inductor", "cpu", r"it needs a C\+\+ compiler"),
    ],
)
def test_a_back_end_that_is_not_installed(
    fused: Ensemble, monkeypatch: pytest.MonkeyPatch, name: str, device: str, reason: str
) -> None:
    for module, lookup in (("openvino", "find_spec"), ("tensorrt", "find_spec"), ("inductor", "shutil.which")):
        monkeypatch.setattr(f"shc.models.backends.{module}.{lookup}", lambda _: None)
    with pytest.raises(ShcError, match=reason) as caught:
        choose_backend(name, fused, torch.device(device))
    assert caught.value.exit_code is ExitCode.NO_BACKEND


def test_eager_is_eager(fused: Ensemble, fake: Fake) -> None:
    chosen = choose_backend("eager", fused, CPU)
    assert type(chosen.backend) is Eager
    assert chosen.warning is None
    assert not fake.built


def test_auto_builds_nothing_and_names_what_would_be_built(fused: Ensemble, fake: Fake, cache: Path) -> None:
    chosen = choose_backend("auto", fused, CPU)
    assert type(chosen.backend) is Eager
    assert chosen.why.endswith("; `shc model compile` builds fake")
    assert chosen.warning is None
    assert not fake.built
    assert not cache.exists()
    fake.reason = "it is broken"
    assert choose_backend("auto", fused, CPU).why == "as torch runs the networks: no compiled back end stands ready"


def test_auto_takes_the_fastest_that_is_built_for_these_weights(
    fused: Ensemble, other_fused: Ensemble, fake: Fake
) -> None:
    assert build(fake.compiler, fused, CPU).good
    chosen = choose_backend("auto", fused, CPU)
    assert chosen.backend.name == "copy"
    assert chosen.why == "Fake, built for this model before"
    assert chosen.warning is None
    assert type(choose_backend("auto", other_fused, CPU).backend) is Eager
    fake.reason = "it is gone"
    assert type(choose_backend("auto", fused, CPU).backend) is Eager


def test_the_order_of_preference(fused: Ensemble, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes = {}
    for name in ("first", "second"):
        fakes[name] = Fake(type(name, (Eager,), {"name": name}))
        fakes[name].compiler = fakes[name].compiler._replace(name=name)
    monkeypatch.setattr(choose, "COMPILED", {"cpu": tuple(fakes)})
    monkeypatch.setattr(choose, "compiler_of", lambda name: fakes[name].compiler)
    build(fakes["second"].compiler, fused, CPU)
    assert choose_backend("auto", fused, CPU).backend.name == "second"
    build(fakes["first"].compiler, fused, CPU)
    assert choose_backend("auto", fused, CPU).backend.name == "first"
    fakes["first"].reason = "no device"
    assert choose_backend("auto", fused, CPU).backend.name == "second"


@pytest.mark.parametrize("name", ["auto", "fake"])
def test_one_that_cannot_be_loaded_is_replaced_with_one_warning(fused: Ensemble, fake: Fake, name: str) -> None:
    build(fake.compiler, fused, CPU)
    fake.load_error = ImportError("libsome.so: cannot open\nmore lines")
    chosen = choose_backend(name, fused, CPU)
    assert type(chosen.backend) is Eager
    assert chosen.why == "in the place of fake"
    assert chosen.warning == ("Fake cannot be used, so the networks run without a compiler: libsome.so: cannot open")
    assert len(fake.built) == 1


def test_damaged_files_are_never_run(fused: Ensemble, fake: Fake) -> None:
    build(fake.compiler, fused, CPU)
    program = compiled_folder(fake.compiler, fused, CPU) / "program"
    program.write_text("al", encoding="utf-8")
    chosen = choose_backend("auto", fused, CPU)
    assert type(chosen.backend) is Eager
    assert "what was built of fake is damaged, and `shc model compile` builds it anew" in chosen.why
    assert len(fake.built) == 1
    told: list[str] = []
    assert choose_backend("fake", fused, CPU, told.append).backend.name == "copy"
    assert len(told) == 1
    assert len(fake.built) == 2
    assert program.read_text(encoding="utf-8") == "all"


def test_one_asked_for_by_name_is_built_once(fused: Ensemble, fake: Fake) -> None:
    told: list[str] = []
    for _ in range(2):
        chosen = choose_backend("fake", fused, CPU, told.append)
        assert chosen.backend.name == "copy"
        assert chosen.why == "as asked for"
        assert chosen.warning is None
    assert told == ["building Fake, once for this model and machine; it may take minutes"]
    assert len(fake.built) == 1


def test_the_example_shows_the_compiler_all_that_the_networks_read(
    fused: Ensemble, alone: Ensemble, fake: Fake
) -> None:
    build(fake.compiler, fused, CPU)
    build(fake.compiler, alone, CPU)
    with_bands, without = fake.built
    assert with_bands.bands is not None
    assert without.bands is None
    for batch in fake.built:
        assert min(batch.neighbours.shape) >= 2
    assert (with_bands.bands.has_curves * with_bands.bands.has_picture).all()
    assert with_bands.bands.picture.abs().sum() > 0
    assert len({tuple(row.tolist()) for row in with_bands.weight}) > 1


def test_about_holds_what_was_built_and_how_well_it_agrees(fused: Ensemble, fake: Fake) -> None:
    found = build(fake.compiler, fused, CPU)
    about = json.loads((compiled_folder(fake.compiler, fused, CPU) / ABOUT).read_text(encoding="utf-8"))
    assert set(about) == {"backend", "model", "fake", "agreement", "files", "built"}
    assert about["backend"] == "fake"
    assert about["model"] == "tiny 0"
    assert about["agreement"] == found._asdict()
    assert list(about["files"]) == ["program"]


@pytest.mark.parametrize(
    ("kind", "error", "text"),
    [
        (Liar, None, "Fake does not say what the networks say: "),
        (Copy, RuntimeError("no kernel\nfor this"), "no kernel"),
        (Copy, RuntimeError("\n"), "RuntimeError"),
        (Copy, OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
    ],
)
def test_one_that_fails_is_replaced_with_one_warning_and_leaves_nothing(
    fused: Ensemble,
    monkeypatch: pytest.MonkeyPatch,
    cache: Path,
    kind: type[Eager],
    error: Exception | None,
    text: str,
) -> None:
    fake = Fake(kind)
    fake.build_error = error
    install(fake, monkeypatch)
    chosen = choose_backend("fake", fused, CPU)
    assert type(chosen.backend) is Eager
    assert chosen.warning is not None
    start = "Fake cannot be used, so the networks run without a compiler: "
    assert chosen.warning.startswith(start + text)
    assert "\n" not in chosen.warning
    assert not list(cache.iterdir())
    assert not is_built(compiled_folder(fake.compiler, fused, CPU))


def test_networks_that_read_other_features_are_not_compared(fused: Ensemble, fake: Fake) -> None:
    strange = replace(fused, card=replace(fused.card, n_descriptors=3))
    chosen = choose_backend("fake", strange, CPU)
    assert type(chosen.backend) is Eager
    assert "number of descriptors" in (chosen.warning or "")
    assert not fake.built


def test_what_was_chosen_runs(fused: Ensemble, fake: Fake) -> None:
    said = choose_backend("fake", fused, CPU).backend.say(fake.built[0])
    np.testing.assert_allclose(said.probability.sum(dim=1), 1.0, atol=1e-5)
