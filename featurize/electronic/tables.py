"""Element bases and pair integrals, made on first use and kept in the user's cache."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import fields
from functools import cache, lru_cache
from importlib.resources import files
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final
from zipfile import BadZipFile

import numpy as np
from scipy.interpolate import CubicSpline

from shc.featurize.electronic.basis import ElementBasis, ElementParameters, build_basis, pair_integrals
from shc.featurize.electronic.hamiltonian import CUTOFF
from shc.featurize.elements import symbols
from shc.featurize.errors import ShcError
from shc.featurize.units import BOHR
from shc.featurize.user_cache import user_cache
from shc.featurize.writing import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

TABLES_VERSION: Final = 1
"""Raised when the same parameters give other tables."""
SHORTEST: Final = 0.7
"""Shortest bond of the tables, Angstrom."""
_DISTANCES: Final = np.arange(SHORTEST / BOHR, CUTOFF / BOHR + 0.25, 0.25) * BOHR


def _parameter_text() -> str:
    return files("shc.featurize").joinpath("data/tight_binding.json").read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _parameters() -> dict[str, dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = json.loads(_parameter_text())
    return rows


def element_parameters(z: int) -> ElementParameters:
    """Confinement and level shifts of an element; the defaults where none were fitted.

    Args:
        z: Atomic number.
    """
    row = _parameters().get(symbols()[z])
    if row is None:
        return ElementParameters()
    s, p, d = row["confinement"]
    shift_s, shift_p, shift_d = row["shift"]
    return ElementParameters((s, p, d), row["density"], (shift_s, shift_p, shift_d))


def is_fitted(z: int) -> bool:
    """Whether the parameters of an element were fitted to its bands, and not taken from related elements."""
    return bool(_parameters().get(symbols()[z], {}).get("fitted", False))


@lru_cache(maxsize=1)
def tables_folder() -> Path:
    """Where tables are kept; the name tells the version and the parameters."""
    digest = hashlib.sha256(_parameter_text().encode()).hexdigest()[:12]
    return user_cache() / f"slater-koster-v{TABLES_VERSION}-{digest}"


def _kept(name: str, make: Callable[[], dict[str, Floats]]) -> dict[str, Floats]:
    """Read arrays from the cache, or make them and keep them if possible."""
    path = tables_folder() / f"{name}.npz"
    try:
        with np.load(BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files}
    except (OSError, ValueError, EOFError, BadZipFile):
        arrays = make()
    data = BytesIO()
    np.savez(data, allow_pickle=False, **arrays)
    with suppress(ShcError):
        write_whole(path, data.getvalue())
    return arrays


@cache
def element_basis(z: int) -> ElementBasis:
    """Basis of an element with its fitted parameters.

    Args:
        z: Atomic number, 1 to 88.
    """

    def make() -> dict[str, Floats]:
        basis = build_basis(z, element_parameters(z))
        return {field.name: np.asarray(getattr(basis, field.name)) for field in fields(basis)}

    stored = _kept(symbols()[z], make)
    soc_p, soc_d = stored["soc"].tolist()
    return ElementBasis(
        z=z,
        kept=stored["kept"].astype(np.int64),
        onsite=stored["onsite"],
        soc=(soc_p, soc_d),
        hubbard=float(stored["hubbard"]),
        electrons=float(stored["electrons"]),
        table=stored["table"],
        x0=float(stored["x0"]),
        step=float(stored["step"]),
    )


@cache
def _spline(first: int, second: int) -> CubicSpline:
    def make() -> dict[str, Floats]:
        return {"values": pair_integrals(element_basis(first), element_basis(second), _DISTANCES)}

    values = _kept(f"{symbols()[first]}-{symbols()[second]}", make)["values"]
    return CubicSpline(_DISTANCES, values)


def tabulated_integrals(a: ElementBasis, b: ElementBasis, distance: Floats) -> Floats:
    """``pair_integrals`` by cubic splines over distance.

    Args:
        a: First element, not the heavier one.
        b: Second element.
        distance: ``[n]`` Angstrom, between ``SHORTEST`` and ``CUTOFF``.

    Returns:
        ``[n, 28]``.
    """
    return np.asarray(_spline(a.z, b.z)(distance))
