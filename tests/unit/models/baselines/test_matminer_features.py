from __future__ import annotations

import importlib.util
import runpy
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shc.featurize.errors import ExitCode, ShcError
from shc.featurize.store import FeatureBatch
from shc.models.baselines import matminer_features
from shc.models.baselines.matminer_features import matminer_group, matminer_table

TOY: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[3] / "data" / "toy_crystals.py"))
needs_matminer = pytest.mark.skipif(
    importlib.util.find_spec("matminer") is None, reason="matminer is not installed (extra [baselines])"
)
# Packages that matminer imports warn of each other while they are imported.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def rock_salt(a: float, heavy: int) -> FeatureBatch:
    """The primitive cell of heavy element and oxygen."""
    record = TOY["MAKE_RECORD"](f"a{a}-{heavy}", n_atoms=2, n_nodes=2)
    lattice = 0.5 * a * (np.ones((3, 3)) - np.eye(3))
    z = np.array([heavy, 8], dtype=np.uint8)
    frac = np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]])
    made = replace(record, lattice=lattice, atomic_number=z, frac=frac, content_hash=f"{heavy:064x}")
    return FeatureBatch.from_records([made])


def test_without_matminer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matminer.featurizers", None)
    with pytest.raises(ShcError, match="needs matminer") as caught:
        matminer_table(rock_salt(4.2, 12), tmp_path / "m.npz", lambda _: None)
    assert caught.value.exit_code == ExitCode.NO_BACKEND
    assert "[baselines]" in caught.value.hint
    assert not (tmp_path / "m.npz").exists()


def test_groups() -> None:
    assert matminer_group("MagpieData maximum AtomicWeight", "composition") == "spin-orbit"
    assert matminer_group("MagpieData mean MendeleevNumber", "composition") == "composition"
    assert matminer_group("spacegroup_num", "symmetry") == "symmetry"


@needs_matminer
def test_known_values(tmp_path: Path) -> None:
    table = matminer_table(rock_salt(4.2, 12), tmp_path / "m.npz", lambda _: None)
    value = dict(zip(table.names, table.values[0].tolist(), strict=True))
    assert len(table.names) == len(table.groups) == table.values.shape[1]
    assert set(table.groups) == {"composition", "spin-orbit", "structure", "symmetry"}
    assert value["MagpieData mean Number"] == pytest.approx(10.0)
    assert value["vpa"] == pytest.approx(4.2**3 / 8, rel=1e-5)
    assert value["density"] == pytest.approx(40.304 * 1.66053907 / (4.2**3 / 4), rel=1e-3)
    assert value["spacegroup_num"] == 225
    assert value["is_centrosymmetric"] == 1
    assert np.isfinite(table.values).all()


@needs_matminer
def test_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "m.npz"
    one, two = rock_salt(4.2, 12), rock_salt(4.8, 20)
    first = matminer_table(one, cache, lambda _: None)

    def refuse(*_: object) -> None:
        pytest.fail("computed again")

    second = matminer_table(two, cache, lambda _: None)
    monkeypatch.setattr(matminer_features._Featurisers, "row", refuse)
    np.testing.assert_array_equal(matminer_table(one, cache, lambda _: None).values, first.values)
    np.testing.assert_array_equal(matminer_table(two, cache, lambda _: None).values, second.values)


@needs_matminer
def test_a_damaged_cache_is_made_anew(tmp_path: Path) -> None:
    cache = tmp_path / "m.npz"
    done: list[int] = []
    expected = matminer_table(rock_salt(4.2, 12), cache, done.append).values
    cache.write_bytes(cache.read_bytes()[:200])
    np.testing.assert_array_equal(matminer_table(rock_salt(4.2, 12), cache, done.append).values, expected)
    assert done == [1, 1]
