from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest
import torch

from shc.featurize.errors import ExitCode, ShcError
from shc.models import checkpoint
from shc.models.checkpoint import group, load_tensors, optimiser_tensors, restore_optimiser, save_tensors

if TYPE_CHECKING:
    from pathlib import Path


def test_tensors_and_text_come_back(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    base = torch.arange(12.0).reshape(3, 4)
    tensors = {
        "transposed": base.T,
        "half": torch.randn(5).half(),
        "rng": torch.get_rng_state(),
        "grad": torch.ones(2, requires_grad=True),
    }
    save_tensors(path, tensors, {"state": '{"epoch": 3}'})
    loaded, metadata = load_tensors(path)
    assert metadata == {"state": '{"epoch": 3}'}
    assert loaded.keys() == tensors.keys()
    for name, value in tensors.items():
        assert loaded[name].dtype == value.dtype
        assert torch.equal(loaded[name], value.detach())
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]


def test_a_half_written_file_does_not_hide_the_last_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def torn(_tensors: object, path: Path, _metadata: object) -> None:
        path.write_bytes(b"torn")
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "a.safetensors"
    save_tensors(path, {"x": torch.zeros(3)}, {})
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "save_file", torn)
        with pytest.raises(ShcError, match="No space left"):
            save_tensors(path, {"x": torch.ones(3)}, {})
    assert torch.equal(load_tensors(path)[0]["x"], torch.zeros(3))
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]
    save_tensors(path, {"x": torch.ones(3)}, {})
    assert torch.equal(load_tensors(path)[0]["x"], torch.ones(3))


def test_a_group_of_tensors_loses_its_name() -> None:
    one, two, three = torch.zeros(1), torch.ones(1), torch.ones(2)
    assert group("a.", {"a.x": one, "a.a.y": two, "ab.z": three}) == {"x": one, "a.y": two}


def stepped(module: torch.nn.Module, optimiser: torch.optim.Optimizer) -> None:
    optimiser.zero_grad()
    module(torch.ones(4, 3)).square().sum().backward()
    optimiser.step()


def test_an_optimiser_goes_on_where_it_was(tmp_path: Path) -> None:
    def fresh() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        module = torch.nn.Linear(3, 2)
        return module, torch.optim.AdamW(module.parameters(), lr=0.1)

    module, optimiser = fresh()
    stepped(module, optimiser)
    save_tensors(tmp_path / "a", optimiser_tensors(optimiser) | module.state_dict(), {})
    tensors, _ = load_tensors(tmp_path / "a")
    other, its = fresh()
    other.load_state_dict({name: tensors[name] for name in ("weight", "bias")})
    restore_optimiser(its, tensors)
    stepped(module, optimiser)
    stepped(other, its)
    assert torch.equal(other.state_dict()["weight"], module.state_dict()["weight"])
    forgetful, its = fresh()
    forgetful.load_state_dict({name: tensors[name] for name in ("weight", "bias")})
    stepped(forgetful, its)
    assert not torch.equal(forgetful.state_dict()["weight"], module.state_dict()["weight"])


@pytest.mark.parametrize("content", [None, b"", b"no tensors here", b"\xff" * 64])
def test_what_is_no_weights_file(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ShcError, match="cannot read weights") as caught:
        load_tensors(path)
    assert caught.value.exit_code is ExitCode.BAD_FILE


def test_a_truncated_file(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_tensors(path, {"x": torch.randn(1000)}, {})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ShcError, match="cannot read weights"):
        load_tensors(path)
