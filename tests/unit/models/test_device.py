from __future__ import annotations

from pathlib import Path

import pytest
import torch

from shc.featurize.errors import ExitCode, ShcError
from shc.models import device
from shc.models.device import choose_device, devices, mixed_precision

CPU = torch.device("cpu")


def test_an_unknown_device_is_refused() -> None:
    assert choose_device("cpu") == CPU
    with pytest.raises(ShcError, match="no device 'tpu'") as caught:
        choose_device("tpu")
    assert caught.value.exit_code is ExitCode.USAGE


def test_there_is_always_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert devices() == [CPU]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert devices() == [CPU, torch.device("cuda")]


@pytest.mark.parametrize(
    ("flags", "dtype"),
    [
        ("flags : fpu sse avx512_bf16", torch.bfloat16),
        ("flags : amx_bf16 fpu", torch.bfloat16),
        ("flags : fpu avx512f", torch.float32),
        (None, torch.float32),
    ],
)
def test_matrix_products_are_short_where_the_processor_has_units_for_it(
    monkeypatch: pytest.MonkeyPatch, flags: str | None, dtype: torch.dtype
) -> None:
    def read_text(_self: Path, encoding: str) -> str:
        assert encoding == "utf-8"
        if flags is None:
            raise FileNotFoundError
        return flags

    monkeypatch.setattr(Path, "read_text", read_text)
    device._cpu_flags.cache_clear()
    try:
        with mixed_precision(CPU):
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
        assert set(device.instruction_sets().split()) == set((flags or "").split()) - {"flags", ":", "fpu", "sse"}
    finally:
        device._cpu_flags.cache_clear()
    assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
