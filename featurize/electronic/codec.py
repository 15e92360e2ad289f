"""Electronic records as a few kilobytes each.

Layout: ``SHCB``, one byte of version, the length of the content in 4 bytes (little-endian), the content packed
as raw LZMA2 behind its CRC-32. The content is the length of a JSON object in 2 bytes, the object, and the
arrays one after the other, each as its low bytes followed by its high bytes:

- energies with and then without spin-orbit coupling, each ``[n_bands, n_k]`` whole numbers of ``ENERGY_STEP``,
  clipped to ``ENERGY_LIMIT``, as differences;
- distances along the path, whole numbers of ``DISTANCE_STEP``, as second differences;
- conductivity, ``[27, 41]``, and density of states, ``[121]``: whole numbers of the largest absolute value
  divided by ``LEVELS``, as differences along the energy.
"""

from __future__ import annotations

import json
import lzma
import zlib
from struct import Struct
from struct import error as struct_error
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from shc.featurize.electronic.record import BAND_RANGE, DOS_GRID, SHC_GRID, ElectronicRecord
from shc.featurize.errors import ExitCode, ShcError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

MAGIC: Final = b"SHCB"
CODEC_VERSION: Final = 1
ENERGY_STEP: Final = 0.005
"""Resolution of the band energies, eV."""
ENERGY_LIMIT: Final = BAND_RANGE + 0.25
"""What lies further from the Fermi level is stored as lying here, eV: lines leave the range at a slope."""
DISTANCE_STEP: Final = 1e-4
"""Resolution of the length of the path, 1/Angstrom."""
LEVELS: Final = 4095
"""The largest absolute value of a spectrum becomes this whole number: errors stay below 0.013 % of it."""
_HEAD: Final = Struct("<4sBII")
_FILTERS: Final = ({"id": lzma.FILTER_LZMA2, "preset": 6 | lzma.PRESET_EXTREME, "dict_size": 1 << 20},)
_LENGTH: Final = Struct("<H")
_MAX_CONTENT: Final = 1 << 28


def encode(record: ElectronicRecord) -> bytes:
    """Pack a record; what `decode` makes of it differs by rounding only, and is packed without further loss.

    Args:
        record: The record.

    Returns:
        Some kilobytes.

    Raises:
        ShcError: The record holds numbers that are not finite.
    """
    values = (
        record.energy,
        record.scalar_energy,
        record.distance,
        record.shc,
        record.dos,
        record.fermi_ev,
        record.gap_ev,
        record.seconds,
    )
    if not all(np.isfinite(value).all() for value in values):
        raise ShcError(
            "its electronic structure has numbers that are not finite",
            "please report it with the file",
        )
    n_k, n_bands = record.energy.shape
    mode, energy = _best_energy(record.energy)
    scalar_mode, scalar_energy = _best_energy(record.scalar_energy)
    shc_scale, shc = _quantise(np.moveaxis(record.shc.reshape(len(SHC_GRID), 27), 0, 1))
    dos_scale, dos = _quantise(record.dos[None, :])
    steps = np.rint(record.distance.astype(np.float64) / DISTANCE_STEP).astype(np.int64)
    head = {
        "n_k": n_k,
        "n_bands": n_bands,
        "mode": mode,
        "n_scalar": record.scalar_energy.shape[1],
        "scalar_mode": scalar_mode,
        "shc_scale": shc_scale,
        "dos_scale": dos_scale,
        "labels": [(int(index), name) for index, name in record.labels],
        "breaks": [int(index) for index in record.breaks],
        "fermi_ev": float(record.fermi_ev),
        "gap_ev": float(record.gap_ev),
        "k_mesh": [int(n) for n in record.k_mesh],
        "seconds": round(float(record.seconds), 3),
        "flags": list(record.flags),
    }
    text = json.dumps(head, separators=(",", ":")).encode()
    others = (_difference(_difference(steps)), _difference(shc), _difference(dos))
    content = b"".join([_LENGTH.pack(len(text)), text, energy, scalar_energy, *map(_planes, others)])
    packed = lzma.compress(content, format=lzma.FORMAT_RAW, filters=_FILTERS)
    return _HEAD.pack(MAGIC, CODEC_VERSION, len(content), zlib.crc32(content)) + packed


def decode(data: bytes) -> ElectronicRecord:
    """Unpack a record.

    Args:
        data: From `encode`.

    Raises:
        ShcError: The data are damaged, truncated or of a newer version (``BAD_FILE``).
    """
    content = _unpack(data)
    try:
        (length,) = _LENGTH.unpack_from(content)
        head = json.loads(content[_LENGTH.size : _LENGTH.size + length])
        return _record(head, content, _LENGTH.size + length)
    except (struct_error, KeyError, ValueError, TypeError, IndexError, OverflowError) as error:
        raise _damaged() from error


def _damaged() -> ShcError:
    return ShcError("a stored electronic structure is damaged or truncated", "compute it again", ExitCode.BAD_FILE)


def _unpack(data: bytes) -> bytes:
    """The content behind the head, checked."""
    try:
        magic, version, length, checksum = _HEAD.unpack_from(data)
    except struct_error as error:
        raise _damaged() from error
    if magic != MAGIC or length > _MAX_CONTENT:
        raise _damaged()
    if version > CODEC_VERSION:
        raise ShcError(
            f"a stored electronic structure has version {version}, this program reads up to {CODEC_VERSION}",
            "install a newer version of shc-predict",
            ExitCode.BAD_FILE,
        )
    engine = lzma.LZMADecompressor(format=lzma.FORMAT_RAW, filters=_FILTERS)
    try:
        content = engine.decompress(data[_HEAD.size :], length + 1)
    except lzma.LZMAError as error:
        raise _damaged() from error
    if len(content) != length or not engine.eof or zlib.crc32(content) != checksum:
        raise _damaged()
    return content


def _record(head: dict[str, Any], content: bytes, at: int) -> ElectronicRecord:
    n_k, n_bands, n_scalar = int(head["n_k"]), int(head["n_bands"]), int(head["n_scalar"])
    shapes = ((n_bands, n_k), (n_scalar, n_k), (n_k,), (27, len(SHC_GRID)), (1, len(DOS_GRID)))
    arrays: list[Integers] = []
    for shape in shapes:
        size = 2 * int(np.prod(shape))
        arrays.append(_from_planes(content[at : at + size], shape))
        at += size
    if at != len(content):
        raise ValueError("the arrays have another length")
    k_mesh = head["k_mesh"]
    shc = (_sum(arrays[3]) * float(head["shc_scale"])).astype(np.float32)
    return ElectronicRecord(
        energy=_energies(int(head["mode"]), arrays[0]),
        scalar_energy=_energies(int(head["scalar_mode"]), arrays[1]),
        distance=(np.cumsum(_sum(arrays[2])) * DISTANCE_STEP).astype(np.float32),
        labels=tuple((int(index), str(name)) for index, name in head["labels"]),
        breaks=tuple(int(index) for index in head["breaks"]),
        shc=np.ascontiguousarray(shc.T).reshape(len(SHC_GRID), 3, 3, 3),
        dos=(_sum(arrays[4])[0] * float(head["dos_scale"])).astype(np.float32),
        fermi_ev=float(head["fermi_ev"]),
        gap_ev=float(head["gap_ev"]),
        k_mesh=(int(k_mesh[0]), int(k_mesh[1]), int(k_mesh[2])),
        seconds=float(head["seconds"]),
        flags=tuple(str(flag) for flag in head["flags"]),
    )


def _quantise(values: NDArray[np.float32]) -> tuple[float, Integers]:
    """Scale, and whole numbers up to ``LEVELS`` in size that give the values when multiplied by it."""
    scale = float(np.abs(values).max(initial=0.0)) / LEVELS
    if scale == 0.0:
        return 0.0, np.zeros(values.shape, dtype=np.int64)
    return scale, np.rint(values.astype(np.float64) / scale).astype(np.int64)


def _difference(values: Integers, axis: int = -1) -> Integers:
    """Each value less the one before; the first one stays."""
    return np.diff(values, axis=axis, prepend=0)


def _sum(values: Integers, axis: int = -1) -> Integers:
    """What `_difference` was made from, modulo 2**16: sums wrap as the differences did."""
    return np.cumsum(values, axis=axis).astype(np.int16).astype(np.int64)


def _planes(values: Integers) -> bytes:
    """Low bytes, then high bytes of 16-bit numbers, small negative ones folded between small positive ones."""
    wrapped = values.astype(np.int16)
    folded = ((wrapped << 1) ^ (wrapped >> 15)).astype("<u2").reshape(-1)
    return folded.view(np.uint8).reshape(-1, 2).T.tobytes()


def _from_planes(data: bytes, shape: tuple[int, ...]) -> Integers:
    planes = np.frombuffer(data, dtype=np.uint8).reshape(2, -1)
    folded = planes[0].astype(np.int64) | planes[1].astype(np.int64) << 8
    values: Integers = (folded >> 1) ^ -(folded & 1)
    return values.reshape(shape)


_ENERGY_CODES: Final[tuple[tuple[Callable[[Integers], Integers], Callable[[Integers], Integers]], ...]] = (
    (_difference, _sum),
    (lambda x: _difference(_difference(x)), lambda x: _sum(_sum(x))),
    (lambda x: _difference(_difference(x, 0)), lambda x: _sum(_sum(x), 0)),
    (lambda x: _difference(_difference(_difference(x, 0))), lambda x: _sum(_sum(_sum(x)), 0)),
)


def _best_energy(energy: NDArray[np.float32]) -> tuple[int, bytes]:
    """The code that packs energies ``[n_k, n_bands]`` best, and what it makes of them."""
    levels = np.rint(np.clip(energy.T.astype(np.float64), -ENERGY_LIMIT, ENERGY_LIMIT) / ENERGY_STEP).astype(np.int64)
    coded = [_planes(code(levels)) for code, _ in _ENERGY_CODES]
    sizes = [len(zlib.compress(data, 6)) for data in coded]
    mode = int(np.argmin(sizes))
    return mode, coded[mode]


def _energies(mode: int, coded: Integers) -> NDArray[np.float32]:
    """Energies ``[n_k, n_bands]`` from what a code made of them, eV."""
    levels = _ENERGY_CODES[mode][1](coded)
    return np.ascontiguousarray((levels.T * ENERGY_STEP).astype(np.float32))
