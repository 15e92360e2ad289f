"""What the built-in electronic structure says of a crystal, as a row of numbers.

Networks read them where they are known, and learn to say them everywhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from shc.featurize.electronic.record import DOS_GRID, SHC_GRID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from shc.featurize.electronic.record import ElectronicRecord

_DOS_STEP: Final = 5
_METAL_GAP: Final = 0.05
"""Gap below which a crystal counts as a metal, eV."""
_WINDOWS: Final = (0.1, 0.3, 1.0)
"""Half widths around the Fermi level over which the conductivity is averaged, eV."""
N_SHC: Final = len(SHC_GRID) + len(_WINDOWS) + 1
"""The first numbers of a row: those of the conductivity."""
N_NUMBERS: Final = N_SHC + len(DOS_GRID[::_DOS_STEP]) + 2
"""Numbers of a row."""


def electronic_numbers(record: ElectronicRecord, volume: float) -> NDArray[np.float32]:
    """Numbers of one crystal on scales that suit a network.

    Args:
        record: Its electronic structure.
        volume: Of the primitive cell, cubic Angstrom.

    Returns:
        ``[N_NUMBERS]``: root of the largest absolute component of the conductivity at every Fermi level of
        ``SHC_GRID``, its mean within three windows, and root of the norm of the tensor at the Fermi level, all in
        ((hbar/e) S/cm)^(1/2);
        cube root of the density of states per volume ((eV Angstrom^3)^(-1/3)) at every fifth energy of ``DOS_GRID``;
        1 where there is a gap, else 0; root of the gap (eV^(1/2)).
    """
    tensors = record.shc.reshape(len(SHC_GRID), -1)
    largest = np.sqrt(np.abs(tensors).max(axis=1))
    windows = [largest[np.abs(SHC_GRID) <= half + 1e-9].mean() for half in _WINDOWS]
    norm = np.sqrt(np.linalg.norm(tensors[len(SHC_GRID) // 2]))
    dos = np.cbrt(np.maximum(record.dos[::_DOS_STEP], 0.0) / volume)
    gap = (float(record.gap_ev > _METAL_GAP), np.sqrt(record.gap_ev))
    return np.concatenate([largest, windows, [norm], dos, gap]).astype(np.float32)


def numbers_of(
    records: Sequence[ElectronicRecord | None], lattice: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Rows of some crystals, and which of them have a record.

    Args:
        records: ``[n]``.
        lattice: ``[n, 3, 3]`` vectors of the primitive cells, Angstrom.

    Returns:
        ``[n, N_NUMBERS]``, 0 without a record, and ``[n]``.
    """
    numbers = np.zeros((len(records), N_NUMBERS), dtype=np.float32)
    known = np.array([record is not None for record in records], dtype=np.bool_)
    for row, (record, volume) in enumerate(zip(records, np.abs(np.linalg.det(lattice)).tolist(), strict=True)):
        if record is not None:
            numbers[row] = electronic_numbers(record, volume)
    return numbers, known
