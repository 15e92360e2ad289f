from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import torch

from shc.models.backends import inductor, openvino, store, tensorrt
from shc.models.backends.base import Compiler
from shc.models.backends.store import ABOUT, build_into, compiled_folder, is_built
from shc.models.device import choose_device

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from shc.models.ensemble import Ensemble

CPU = choose_device("cpu")


def compiler(name: str = "some", **identity: str) -> Compiler:
    def unused(*_: object) -> None:
        raise AssertionError

    return Compiler(name, "Some", lambda _: None, lambda device: {"device": str(device), **identity}, unused, unused)  # type: ignore[arg-type]


def write(folder: Path, text: str = "program") -> dict[str, object]:
    (folder / "engines").mkdir()
    (folder / "program.pt2").write_text(text, encoding="utf-8")
    (folder / "engines" / "one").write_bytes(b"\0\1")
    return {"backend": "some"}


def test_the_folder_tells_weights_versions_devices_and_back_ends_apart(
    cache: Path, fused: Ensemble, other_fused: Ensemble, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = compiled_folder(compiler(), fused, CPU)
    assert folder.parent == cache
    assert folder.name.startswith("some-")
    assert folder == compiled_folder(compiler(), fused, CPU)
    others = [
        compiled_folder(compiler(), other_fused, CPU),
        compiled_folder(compiler(torch="2"), fused, CPU),
        compiled_folder(compiler(torch="3"), fused, CPU),
        compiled_folder(compiler(), fused, torch.device("cuda")),
        compiled_folder(compiler("other"), fused, CPU),
    ]
    monkeypatch.setattr(store, "FORMAT", "0")
    others.append(compiled_folder(compiler(), fused, CPU))
    assert len({folder, *others}) == 7
    assert not cache.exists()


def test_the_identities_name_versions_and_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "some GPU")
    monkeypatch.setattr(inductor, "instruction_sets", lambda: "avx2 fma")
    for module in (openvino, tensorrt):
        monkeypatch.setattr(module, "version", lambda name: f"version of {name}")
    gpu = torch.device("cuda")
    assert inductor.COMPILER.identity(CPU) == {"torch": torch.__version__, "device": "avx2 fma"}
    assert inductor.COMPILER.identity(gpu) == {"torch": torch.__version__, "device": "some GPU"}
    assert tensorrt.COMPILER.identity(gpu) == {
        "torch": torch.__version__,
        "torch_tensorrt": "version of torch-tensorrt",
        "tensorrt": "version of tensorrt",
        "device": "some GPU",
    }
    found = openvino.COMPILER.identity(CPU)
    assert found.pop("pictures") in {"bf16", "f32"}
    assert found == {"openvino": "version of openvino", "torch": torch.__version__}


def test_what_was_built_is_noted(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "built"
    assert not is_built(folder)
    build_into(folder, write)
    assert is_built(folder)
    about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    assert about["backend"] == "some"
    age = datetime.now(UTC) - datetime.fromisoformat(about["built"])
    assert abs(age.total_seconds()) < 60
    assert sorted(about["files"]) == ["engines/one", "program.pt2"]
    assert sorted(path.name for path in folder.iterdir()) == [ABOUT, "engines", "program.pt2"]
    assert [path.name for path in folder.parent.iterdir()] == ["built"]
    assert folder.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_build_that_fails_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def fail(folder: Path) -> dict[str, object]:
        write(folder)
        raise error

    with pytest.raises(error):
        build_into(tmp_path / "built", fail)
    assert list(tmp_path.iterdir()) == []


def test_two_builders_at_once_leave_the_first_one_complete(tmp_path: Path) -> None:
    folder = tmp_path / "built"

    def slow(temporary: Path) -> dict[str, object]:
        write(temporary, "slow")
        build_into(folder, lambda other: write(other, "fast"))
        return {"backend": "slow"}

    build_into(folder, slow)
    assert is_built(folder)
    assert (folder / "program.pt2").read_text(encoding="utf-8") == "fast"
    assert [path.name for path in tmp_path.iterdir()] == ["built"]


@pytest.mark.parametrize("damage", ["short", "changed", "gone", "no about", "broken about", "a list as about"])
def test_damage_is_seen_and_built_over(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "built"
    build_into(folder, write)
    program, about = folder / "program.pt2", folder / ABOUT
    harm: dict[str, Callable[[], object]] = {
        "short": lambda: program.write_bytes(program.read_bytes()[:3]),
        "changed": lambda: program.write_bytes(b"Program"),
        "gone": program.unlink,
        "no about": about.unlink,
        "a list as about": lambda: about.write_text("[]", encoding="utf-8"),
        "broken about": lambda: about.write_bytes(about.read_bytes()[:20]),
    }
    harm[damage]()
    assert not is_built(folder)
    build_into(folder, lambda other: write(other, "again"))
    assert is_built(folder)
    assert program.read_text(encoding="utf-8") == "again"
    assert [path.name for path in tmp_path.iterdir()] == ["built"]


def test_files_that_a_back_end_adds_later_do_no_harm(tmp_path: Path) -> None:
    build_into(tmp_path / "built", write)
    (tmp_path / "built" / "blob").write_bytes(b"")
    assert is_built(tmp_path / "built")
