from __future__ import annotations

import lzma
import runpy
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from shc.featurize.electronic.codec import (
    CODEC_VERSION,
    DISTANCE_STEP,
    ENERGY_LIMIT,
    ENERGY_STEP,
    LEVELS,
    decode,
    encode,
)
from shc.featurize.errors import ExitCode, ShcError

if TYPE_CHECKING:
    from collections.abc import Callable

    from shc.featurize.electronic.record import ElectronicRecord

make: Callable[..., ElectronicRecord] = runpy.run_path(str(Path(__file__).parents[3] / "data" / "stand_in.py"))[
    "electronic_record"
]


@pytest.mark.parametrize("degenerate", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_a_record_comes_back_within_the_stated_precision(seed: int, degenerate: bool) -> None:
    record = make(seed, n_k=160, n_bands=30, degenerate=degenerate)
    found = decode(encode(record))
    for name in ("energy", "scalar_energy"):
        clipped = np.clip(getattr(record, name), -ENERGY_LIMIT, ENERGY_LIMIT)
        assert np.abs(getattr(found, name) - clipped).max() <= 0.501 * ENERGY_STEP
    clipped = np.clip(record.scalar_energy, -ENERGY_LIMIT, ENERGY_LIMIT)
    assert np.abs(found.scalar_energy - clipped).max() <= 0.501 * ENERGY_STEP
    assert np.abs(found.distance - record.distance).max() <= 0.51 * DISTANCE_STEP
    for name in ("shc", "dos"):
        wanted = getattr(record, name)
        assert np.abs(getattr(found, name) - wanted).max() <= 0.501 * np.abs(wanted).max() / LEVELS
    for name in ("labels", "breaks", "fermi_ev", "gap_ev", "k_mesh", "seconds", "flags"):
        assert getattr(found, name) == getattr(record, name), name
    for name in ("energy", "scalar_energy", "distance", "shc", "dos"):
        assert getattr(found, name).dtype == np.float32
        assert getattr(found, name).flags.c_contiguous
        assert getattr(found, name).shape == getattr(record, name).shape


def test_packing_again_loses_nothing() -> None:
    packed = encode(make(3, degenerate=False))
    assert encode(decode(packed)) == packed


def test_a_long_path_keeps_its_length() -> None:
    record = replace(make(), distance=np.linspace(0.0, 40.0, 48, dtype=np.float32))
    assert decode(encode(record)).distance[-1] == pytest.approx(40.0, abs=1e-4)


def test_extreme_bands_and_signs_come_back() -> None:
    energy = np.zeros((48, 4), dtype=np.float32)
    energy[::2] = (-99.0, -ENERGY_LIMIT, ENERGY_LIMIT, 99.0)
    found = decode(encode(replace(make(), energy=energy))).energy
    np.testing.assert_allclose(found[::2], [[-ENERGY_LIMIT, -ENERGY_LIMIT, ENERGY_LIMIT, ENERGY_LIMIT]] * 24, rtol=1e-6)
    assert not found[1::2].any()


def test_no_bands_and_no_conductivity_are_fine() -> None:
    record = make()
    none = np.empty((48, 0), np.float32)
    empty = replace(
        record, energy=none, scalar_energy=none, shc=np.zeros_like(record.shc), dos=np.zeros_like(record.dos)
    )
    found = decode(encode(empty))
    assert found.energy.shape == found.scalar_energy.shape == (48, 0)
    assert (found.shc_max_abs, found.dos_fermi) == (0.0, 0.0)


@pytest.mark.parametrize("name", ["energy", "scalar_energy", "shc", "dos"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(name: str, value: float) -> None:
    record = make()
    wrong = getattr(record, name).copy()
    wrong.flat[3] = value
    with pytest.raises(ShcError, match="not finite"):
        encode(replace(record, **{name: wrong}))


def test_damage_is_told_wherever_it_is() -> None:
    packed = encode(make())
    for wrong in (b"", packed[:3], packed[:9], packed[:-1], packed[: len(packed) // 2], b"x" + packed[1:]):
        with pytest.raises(ShcError) as caught:
            decode(wrong)
        assert caught.value.exit_code == ExitCode.BAD_FILE
        assert caught.value.hint
    for place in range(4, len(packed), 37):
        broken = bytearray(packed)
        broken[place] ^= 0xFF
        with pytest.raises(ShcError):
            decode(bytes(broken))


def test_a_whole_content_that_is_no_record_is_damage() -> None:
    for content in (b"", b"\x02\x00{}", b"\x02\x00[]", b"\x04\x00null", b"\xff\xff{}"):
        head = struct.pack("<4sBII", b"SHCB", CODEC_VERSION, len(content), zlib.crc32(content))
        packed = head + lzma.compress(
            content, format=lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20}]
        )
        with pytest.raises(ShcError, match="damaged") as caught:
            decode(packed)
        assert caught.value.exit_code == ExitCode.BAD_FILE


def test_a_newer_version_is_named() -> None:
    packed = bytearray(encode(make()))
    packed[4] = CODEC_VERSION + 1
    with pytest.raises(ShcError, match=f"version {CODEC_VERSION + 1}") as caught:
        decode(bytes(packed))
    assert "newer" in caught.value.hint


def test_records_stay_small() -> None:
    # 60 bands on 160 points, the mean of the training crystals; 8313 of them must stay below 60 MB.
    sizes = [len(encode(make(seed, n_k=160, n_bands=30))) for seed in range(5)]
    sizes += [len(encode(make(seed, n_k=160, n_bands=60, degenerate=False))) for seed in range(5)]
    assert 8313 * np.mean(sizes) < 60e6
