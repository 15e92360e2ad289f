"""The columns of a feature file: their names, types and units, and how rows are cut out of them.

Rows of different length (atoms, nodes, bytes of bands and of pictures) are kept flat, one crystal after the other,
with offsets: crystal ``b`` owns ``flat[offsets[b] : offsets[b + 1]]``. Indices stored inside a crystal (orbit,
neighbour) are local to it, so rows can be cut, joined and reordered without touching their contents. The column of
the frames, those of the bands and those of the pictures are there or not for a file as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from shc.featurize.types import CrystalRecord

    Columns = dict[str, NDArray[Any]]

Axis = Literal["crystal", "atom", "node", "bands", "pictures"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: where it lies, what it holds."""

    name: str
    """Name of the field of ``FeatureBatch`` and, after the axis, of the HDF5 dataset."""
    axis: Axis
    """What one row of it belongs to."""
    dtype: str
    """NumPy type; ``S`` is UTF-8 text of one width per file."""
    n_dims: int
    """Number of dimensions, the row axis included."""
    unit: str
    """Unit of the values; ``1`` for pure numbers, indices and text."""
    meaning: str
    """What it is, for people who open the file with another tool."""

    @property
    def path(self) -> str:
        """Path of the dataset in the file."""
        return f"{self.axis}/{self.name}"


COLUMNS: Final = (
    Column("material_id", "crystal", "S", 1, "1", "stem of the input file, UTF-8"),
    Column("formula", "crystal", "S", 1, "1", "reduced formula, UTF-8"),
    Column("content_hash", "crystal", "|u1", 2, "1", "SHA-256 of the input file, 32 bytes"),
    Column("space_group_number", "crystal", "|u1", 1, "1", "1 to 230"),
    Column("lattice", "crystal", "<f8", 3, "angstrom", "vectors of the primitive cell as rows"),
    Column("symmetry_prompt", "crystal", "<f4", 2, "1", "standardised symmetry representation"),
    Column("descriptors", "crystal", "<f4", 2, "see descriptor_names", "composition and structure descriptors"),
    Column("atomic_number", "atom", "|u1", 1, "1", "sorted by orbit"),
    Column("frac", "atom", "<f8", 2, "lattice vectors", "fractional positions in [0, 1)"),
    Column("orbit", "atom", "<u2", 1, "1", "node of the atom, local to the crystal, non-decreasing"),
    Column("neighbour_atom", "node", "<i4", 2, "1", "atom, local to the crystal, nearest first; -1 is padding"),
    Column("neighbour_shift", "node", "<i2", 3, "lattice vectors", "translation of the neighbour; 0 in padding"),
    Column("neighbour_distance", "node", "<f4", 2, "angstrom", "0 in padding"),
)
ATOM_OFFSETS: Final = Column("atom_offsets", "crystal", "<i8", 1, "1", "first atom of each crystal, and the end")
NODE_OFFSETS: Final = Column("node_offsets", "crystal", "<i8", 1, "1", "first node of each crystal, and the end")
ALL_COLUMNS: Final = (*COLUMNS, ATOM_OFFSETS, NODE_OFFSETS)
"""The columns that every file has."""
FRAME: Final = Column("standard_rotation", "crystal", "<f4", 3, "1", "from the frame of lattice to the standard frame")
FRAME_COLUMNS: Final = (FRAME,)
"""The column of a file with frames beside `ALL_COLUMNS`."""
BANDS_RECORD: Final = Column("record", "bands", "|u1", 1, "1", "packed electronic records, see docs/bands.md")
BANDS_OFFSETS: Final = Column("bands_offsets", "crystal", "<i8", 1, "1", "first byte of each record, and the end")
BANDS_COLUMNS: Final = (BANDS_RECORD, BANDS_OFFSETS)
"""The columns of a file with bands beside `ALL_COLUMNS`; a crystal without a record owns no bytes."""
PICTURES_PACKED: Final = Column("packed", "pictures", "|u1", 1, "1", "packed pictures of bands, see docs/format.md")
PICTURES_OFFSETS: Final = Column("pictures_offsets", "crystal", "<i8", 1, "1", "first byte of each set, and the end")
PICTURES_COLUMNS: Final = (PICTURES_PACKED, PICTURES_OFFSETS)
"""The columns of a file with pictures beside `ALL_COLUMNS`; a crystal without pictures owns no bytes."""
_FLAT_COLUMNS: Final = (*COLUMNS, FRAME, BANDS_RECORD, PICTURES_PACKED)
_OFFSETS: Final[dict[Axis, Column]] = {
    "atom": ATOM_OFFSETS,
    "node": NODE_OFFSETS,
    "bands": BANDS_OFFSETS,
    "pictures": PICTURES_OFFSETS,
}


_BYTES: Final[dict[Axis, tuple[Column, Column]]] = {"bands": BANDS_COLUMNS, "pictures": PICTURES_COLUMNS}


def flat_columns(columns: Container[str]) -> list[Column]:
    """The columns that hold values, of those that are there."""
    return [column for column in _FLAT_COLUMNS if column.name in columns]


def offset_columns(columns: Container[str]) -> dict[Axis, Column]:
    """The offsets of each axis, of those that are there."""
    return {axis: column for axis, column in _OFFSETS.items() if column.name in columns}


def _text(values: Sequence[str]) -> NDArray[Any]:
    encoded = [value.encode() for value in values]
    return np.array(encoded, dtype=f"S{max(map(len, encoded), default=1) or 1}")


def _offsets(lengths: Sequence[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(np.asarray(lengths, dtype=np.int64))]).astype(np.int64)


def columns_from_records(
    records: Sequence[CrystalRecord],
    *,
    with_frames: bool = False,
    with_bands: bool = False,
    with_pictures: bool = False,
) -> Columns:
    """Columns of some records, in their order.

    Args:
        records: The records.
        with_frames: Whether the column of the frames is among them.
        with_bands: Whether those of the bands are.
        with_pictures: Whether those of the pictures are.
    """
    columns: Columns = {
        "material_id": _text([r.material_id for r in records]),
        "formula": _text([r.formula for r in records]),
        "content_hash": np.array([list(bytes.fromhex(r.content_hash)) for r in records], dtype=np.uint8),
        "atom_offsets": _offsets([len(r.atomic_number) for r in records]),
        "node_offsets": _offsets([len(r.neighbour_atom) for r in records]),
    }
    for column in (*COLUMNS, *FRAME_COLUMNS) if with_frames else COLUMNS:
        if column.name in columns:
            continue
        values = [getattr(record, column.name) for record in records]
        join: Callable[[Sequence[Any]], NDArray[Any]]
        join = np.array if column.axis == "crystal" else np.concatenate
        empty = np.empty((0,) * column.n_dims)
        columns[column.name] = (join(values) if values else empty).astype(column.dtype)
    columns["content_hash"] = columns["content_hash"].reshape(len(records), 32)
    if with_bands:
        columns |= _bytes(BANDS_COLUMNS, [r.bands for r in records])
    if with_pictures:
        columns |= _bytes(PICTURES_COLUMNS, [r.pictures for r in records])
    return columns


def _bytes(names: tuple[Column, Column], values: Sequence[bytes]) -> Columns:
    """The columns of what is stored as bytes, and of the offsets into it."""
    flat, offsets = names
    joined = np.frombuffer(b"".join(values), dtype=np.uint8)
    return {flat.name: joined, offsets.name: _offsets([len(value) for value in values])}


def packed_bytes(columns: Columns, names: tuple[Column, Column], rows: Iterable[int]) -> Iterator[bytes]:
    """The bytes of some crystals.

    Args:
        columns: Columns in memory or mapped from a file.
        names: `BANDS_COLUMNS` or `PICTURES_COLUMNS`; both must be there.
        rows: Indices of crystals.
    """
    flat, offsets = columns[names[0].name], columns[names[1].name]
    return (flat[offsets[row] : offsets[row + 1]].tobytes() for row in rows)


def n_rows(columns: Columns, axis: Axis) -> int:
    """Number of crystals, atoms, nodes, or bytes of bands or pictures."""
    if axis == "crystal":
        return len(columns["atom_offsets"]) - 1
    return int(columns[_OFFSETS[axis].name][-1])


def take(columns: Columns, indices: NDArray[np.integer[Any]] | slice) -> Columns:
    """Cut rows out of columns.

    Args:
        columns: Columns in memory or mapped from a file.
        indices: Crystals, in the order wanted; repeats are allowed, negative ones count from the end.

    Returns:
        New columns in memory; offsets start at 0.

    Raises:
        IndexError: An index is out of range.
    """
    n_crystals = n_rows(columns, "crystal")
    if isinstance(indices, slice):
        start, stop, step = indices.indices(n_crystals)
        if step == 1:
            return _take_span(columns, start, max(start, stop))
        indices = np.arange(start, stop, step)
    rows = np.asarray(indices, dtype=np.int64).reshape(-1)
    rows = np.where(rows < 0, rows + n_crystals, rows)
    if rows.size and (rows.min() < 0 or rows.max() >= n_crystals):
        raise IndexError(f"crystal index out of range for {n_crystals} crystals")
    flat: dict[str, NDArray[np.int64]] = {"crystal": rows}
    cut: Columns = {}
    for axis, offsets in offset_columns(columns).items():
        old = columns[offsets.name]
        first = np.asarray(old[rows])
        lengths = np.asarray(old[rows + 1]) - first
        new = _offsets(lengths)
        cut[offsets.name] = new
        if axis not in _BYTES:
            flat[axis] = np.repeat(first - new[:-1], lengths) + np.arange(new[-1])
    for column in flat_columns(columns):
        if column.axis in _BYTES:
            # An index for every byte would take many times the memory of what it points to.
            packed = packed_bytes(columns, _BYTES[column.axis], rows.tolist())
            cut[column.name] = np.frombuffer(b"".join(packed), dtype=np.uint8)
        else:
            cut[column.name] = np.asarray(np.take(columns[column.name], flat[column.axis], axis=0))
    return cut


def _take_span(columns: Columns, start: int, stop: int) -> Columns:
    bounds: dict[str, tuple[int, int]] = {"crystal": (start, stop)}
    cut: Columns = {}
    for axis, offsets in offset_columns(columns).items():
        old = np.array(columns[offsets.name][start : stop + 1])
        bounds[axis] = (int(old[0]), int(old[-1]))
        cut[offsets.name] = old - old[0]
    for column in flat_columns(columns):
        first, last = bounds[column.axis]
        cut[column.name] = np.array(columns[column.name][first:last])
    return cut
