from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from shc.featurize.electronic import tables
from shc.featurize.electronic.basis import ElementParameters, build_basis, pair_integrals

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAGNESIUM, SULPHUR = 12, 16


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user cache that holds nothing; what this process remembers is forgotten before and after."""
    remembered = (tables.tables_folder, tables.element_basis, tables._spline)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for function in remembered:
        function.cache_clear()
    yield tmp_path
    for function in remembered:
        function.cache_clear()


def _values() -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    a, b = tables.element_basis(MAGNESIUM), tables.element_basis(SULPHUR)
    return tables.tabulated_integrals(a, b, np.array([1.1, 2.63, 4.0, 6.5]))


def test_tables_follow_the_integrals() -> None:
    a, b = tables.element_basis(MAGNESIUM), tables.element_basis(SULPHUR)
    direct = pair_integrals(a, b, np.array([1.1, 2.63, 4.0, 6.5]))
    np.testing.assert_allclose(_values()[1:], direct[1:], atol=2e-3)
    np.testing.assert_allclose(_values()[0], direct[0], atol=0.02 * np.abs(direct[0]).max())


def test_a_second_process_reads_what_the_first_one_made(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = _values()
    files = sorted(path.name for path in empty_cache.rglob("*.npz"))
    assert files == ["Mg-S.npz", "Mg.npz", "S.npz"]
    for function in (tables.element_basis, tables._spline):
        function.cache_clear()
    monkeypatch.setattr(tables, "build_basis", None)
    monkeypatch.setattr(tables, "pair_integrals", None)
    np.testing.assert_array_equal(_values(), first)


def test_a_torn_table_is_made_anew(empty_cache: Path) -> None:
    first = _values()
    for path in empty_cache.rglob("*.npz"):
        path.write_bytes(path.read_bytes()[:100])
    for function in (tables.element_basis, tables._spline):
        function.cache_clear()
    np.testing.assert_array_equal(_values(), first)


def test_a_cache_that_cannot_be_made_is_no_error(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = empty_cache / "file"
    blocked.write_text("a file where a folder is wanted")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    tables.tables_folder.cache_clear()
    assert np.isfinite(_values()).all()


def test_every_element_up_to_radium_has_a_basis() -> None:
    for z in range(1, 89):
        parameters = tables.element_parameters(z)
        assert 0.3 < min(parameters.confinement) <= max(parameters.confinement) < 8.0
        assert 0.5 < parameters.density < 15.0
    assert tables.element_parameters(2) == ElementParameters()
    for z in (3, 57, 64, 88):
        basis = build_basis(z, tables.element_parameters(z))
        assert np.isfinite(basis.table).all()
        assert basis.hubbard > 2.0
