from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from shc.models.member import EpochLog
from shc.models.plots import importance_plot, learning_curve, local_density, parity_plot, residual_plot

if TYPE_CHECKING:
    from pathlib import Path

ROWS = [EpochLog(m, e, 3.0 / e, 3.2 / e + 0.01 * e, 150.0 / e, 1e-3) for m in (0, 1) for e in range(1, 6)]


def is_png(path: Path) -> bool:
    return path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_learning_curve(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    assert learning_curve(ROWS, path) == path
    assert is_png(path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("n", [1, 2, 300])
def test_parity_plot(tmp_path: Path, n: int) -> None:
    rng = np.random.default_rng(0)
    label = rng.gamma(1.0, 200.0, n)
    path = tmp_path / "p.png"
    assert parity_plot(label, 0.8 * label, path, title="test") == path
    assert is_png(path)
    assert parity_plot(np.zeros(n), np.zeros(n), path) == path


def test_residual_plot(tmp_path: Path) -> None:
    residual = np.random.default_rng(0).normal(size=30)
    groups = {"size": ["small", "large", "large"] * 10, "kind": ["a"] * 30}
    path = tmp_path / "r.png"
    assert residual_plot(residual, groups, path, title="test") == path
    assert is_png(path)


def test_importance_plot(tmp_path: Path) -> None:
    path = tmp_path / "i.png"
    rises = [np.array([30.0, 33.0, 31.0]), np.array([0.0, -0.5, 0.2])]
    assert importance_plot(["spin-orbit", "symmetry"], rises, path, title="test") == path
    assert is_png(path)


def test_without_matplotlib_nothing_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert learning_curve(ROWS, tmp_path / "a.png") is None
    assert parity_plot(np.ones(3), np.ones(3), tmp_path / "a.png") is None
    assert residual_plot(np.ones(1), {"a": ["b"]}, tmp_path / "a.png") is None
    assert importance_plot(["a"], [np.ones(2)], tmp_path / "a.png") is None
    assert list(tmp_path.iterdir()) == []


def test_density_tells_the_crowd_from_the_lonely() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0.0, 0.1, 500), [5.0]])
    y = np.concatenate([rng.normal(0.0, 0.1, 500), [-5.0]])
    density = local_density(x, y)
    assert density.shape == (501,)
    assert density.max() == 1.0
    assert (density > 0).all()
    assert density[-1] < 0.1 * np.median(density[:-1])
    order = rng.permutation(501)
    np.testing.assert_allclose(local_density(x[order], y[order]), density[order])
