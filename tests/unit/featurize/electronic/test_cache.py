from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from shc.featurize.config import FeaturizeConfig
from shc.featurize.electronic import cache as cache_module
from shc.featurize.electronic import engine
from shc.featurize.electronic.cache import BandsCache, bands_key, cache_folder, packed_bands
from shc.featurize.electronic.record import ENGINE_VERSION, BandsConfig, ElectronicRecord
from shc.featurize.errors import ShcError
from shc.featurize.structures import read_crystal
from shc.featurize.symmetry import PrimitiveCrystal, reduce_crystal

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[4]
STAND_IN: dict[str, Any] = runpy.run_path(str(ROOT / "tests" / "data" / "stand_in.py"))
CONFIG = BandsConfig()


@pytest.fixture
def crystal() -> PrimitiveCrystal:
    config = FeaturizeConfig()
    return reduce_crystal(read_crystal(ROOT / "examples" / "GaAs.cif", config), config)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[BandsConfig]:
    """The settings of every computation."""
    made: list[BandsConfig] = []
    compute: Callable[[PrimitiveCrystal, BandsConfig], ElectronicRecord] = STAND_IN["compute_bands"]

    def counted(crystal: PrimitiveCrystal, config: BandsConfig) -> ElectronicRecord:
        made.append(config)
        return compute(crystal, config)

    monkeypatch.setattr(engine, "compute_bands", counted)
    return made


def test_a_record_is_computed_once(crystal: PrimitiveCrystal, calls: list[BandsConfig], tmp_path: Path) -> None:
    cache = BandsCache(tmp_path / "new" / "cache")
    first = packed_bands(crystal, CONFIG, cache)
    second = packed_bands(crystal, CONFIG, BandsCache(tmp_path / "new" / "cache"))
    alone = packed_bands(crystal, CONFIG, None)
    assert len(calls) == 2
    assert first == second == alone
    key = bands_key(crystal, CONFIG)
    assert [path for path in cache.folder.rglob("*") if path.is_file()] == [cache.folder / key[:2] / key]


def test_settings_make_another_entry(crystal: PrimitiveCrystal, calls: list[BandsConfig], tmp_path: Path) -> None:
    cache = BandsCache(tmp_path)
    for config in (CONFIG, replace(CONFIG, budget=5.0), replace(CONFIG, path_points=80), CONFIG):
        packed_bands(crystal, config, cache)
    assert len(calls) == 3


def test_the_key_is_the_crystal(crystal: PrimitiveCrystal, monkeypatch: pytest.MonkeyPatch) -> None:
    key = bands_key(crystal, CONFIG)
    same = [
        replace(crystal, lattice=crystal.lattice + 1e-8),
        replace(crystal, frac=crystal.frac + 1.0),
        replace(crystal, frac=np.asfortranarray(crystal.frac - 1e-8), orbit=crystal.orbit + np.uint16(1)),
    ]
    assert [bands_key(other, CONFIG) for other in same] == [key] * 3
    others = [
        replace(crystal, lattice=crystal.lattice * 1.0001),
        replace(crystal, frac=crystal.frac + 1e-4),
        replace(crystal, atomic_number=crystal.atomic_number + 1),
        replace(crystal, lattice=crystal.lattice[:, [1, 0, 2]]),
    ]
    keys = {key, bands_key(crystal, replace(CONFIG, symprec=0.1)), *(bands_key(other, CONFIG) for other in others)}
    assert len(keys) == 6
    monkeypatch.setattr(cache_module, "ENGINE_VERSION", ENGINE_VERSION + 1)
    assert bands_key(crystal, CONFIG) != key
    assert len(key) == 64


@pytest.mark.parametrize("content", [b"", b"SHCB", "half", "flipped"])
def test_a_damaged_entry_is_computed_again(
    crystal: PrimitiveCrystal, calls: list[BandsConfig], tmp_path: Path, content: bytes | str
) -> None:
    cache = BandsCache(tmp_path)
    good = packed_bands(crystal, CONFIG, cache)
    path = cache.path(bands_key(crystal, CONFIG))
    wrong = {"half": good[: len(good) // 2], "flipped": good[:-9] + bytes([good[-9] ^ 1]) + good[-8:]}
    path.write_bytes(wrong[content] if isinstance(content, str) else content)
    assert packed_bands(crystal, CONFIG, cache) == good
    assert len(calls) == 2
    assert path.read_bytes() == good


def test_a_folder_that_cannot_be_used_is_no_error(
    crystal: PrimitiveCrystal, calls: list[BandsConfig], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/shc")):
        packed_bands(crystal, CONFIG, BandsCache(folder))
    taken = BandsCache(tmp_path / "taken")
    taken.path(bands_key(crystal, CONFIG)).mkdir(parents=True)
    packed_bands(crystal, CONFIG, taken)
    assert len(calls) == 4
    assert list(taken.folder.rglob(".*")) == []


def test_what_cannot_be_computed_is_not_kept(
    crystal: PrimitiveCrystal, calls: list[BandsConfig], tmp_path: Path
) -> None:
    rubidium = replace(crystal, atomic_number=np.array([37, 17]))
    for _ in range(2):
        with pytest.raises(ShcError, match="Rb"):
            packed_bands(rubidium, CONFIG, BandsCache(tmp_path))
    assert len(calls) == 2
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder().parent == tmp_path / "shc" / "bands"
    assert cache_folder().name.startswith(f"v{ENGINE_VERSION}-")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder().is_relative_to(tmp_path / ".cache" / "shc")
    assert list(tmp_path.iterdir()) == []
