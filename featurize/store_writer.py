"""Writing feature files so that a crash at any moment loses nothing that was done.

While a run lasts, its rows go to a journal beside the output (``<output>.part``), never into the HDF5 file:
HDF5 keeps its index in memory and a killed writer can leave a file nobody can open. The journal is only ever
appended to, each frame carries its length and checksum, and a torn last frame is cut off when a run resumes.
At the end old file and journal are copied to a new HDF5 file under a temporary name, which then replaces the
output.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import time
import zlib
from collections import Counter
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, Self

import h5py
import numpy as np

from shc.featurize.store import FeatureFile, FeatureHeader, bad_file, part_path, replace_header
from shc.featurize.store_columns import columns_from_records, flat_columns, n_rows, offset_columns, take

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from shc.featurize.store_columns import Column, Columns
    from shc.featurize.types import CrystalRecord

MAGIC: Final = b"SHCPART1"
BLOCK: Final = 4096
"""Crystals copied at a time; bounds the memory of finishing and merging."""
_FRAME: Final = Struct("<QI")
_LENGTH: Final = Struct("<I")
_SYNC_SECONDS: Final = 5.0


class Journal:
    """A file of checksummed frames that is only ever appended to.

    Layout: 8 bytes ``SHCPART1``, then frames of an 8-byte length, a 4-byte CRC-32 (both little-endian) and
    that many bytes. The first frame is JSON; each later one holds the columns of some crystals: the length of
    a JSON list of ``[name, type, shape]`` in 4 bytes, the list, and the arrays one after the other.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the file, lock it, and cut off what a crash left half written."""
        self.path = path
        self._file = _open_locked(path)
        self._synced = time.monotonic()
        start = self._file.read(len(MAGIC))
        if len(start) == len(MAGIC) and start != MAGIC:
            self._file.close()
            raise bad_file(f"{path} is in the way: no unfinished feature file", "move it away or delete it")
        self._end = len(MAGIC)
        header = next(self._frames(), None) if start == MAGIC else None
        self.header: dict[str, Any] | None = None if header is None else json.loads(header)
        if self.header is None:
            self.clear()
        else:
            # Only the last frame can be torn, and a torn frame was never reported done.
            for _ in self._frames():
                pass
            self._file.truncate(self._end)

    def clear(self) -> None:
        """Forget everything."""
        self._file.seek(0)
        self._file.truncate()
        self._file.write(MAGIC)
        self._end = len(MAGIC)
        self.header = None

    def start(self, header: dict[str, Any]) -> None:
        """Write the first frame."""
        self._append(json.dumps(header).encode())
        self.header = header

    def append(self, columns: Columns) -> None:
        """Add rows. They survive the death of this process once this returns."""
        self._append(_pack(columns))

    def rows(self) -> Iterator[Columns]:
        """The columns of each frame, in the order written."""
        frames = self._frames()
        next(frames)
        return map(_unpack, frames)

    def close(self) -> None:
        """Close and unlock; the file stays."""
        if not self._file.closed:
            os.fsync(self._file.fileno())
            self._file.close()

    def remove(self) -> None:
        """Delete the file, close and unlock."""
        self.path.unlink(missing_ok=True)
        self._file.close()

    def _append(self, payload: bytes) -> None:
        self._file.seek(self._end)
        self._file.write(_FRAME.pack(len(payload), zlib.crc32(payload)))
        self._file.write(payload)
        self._file.flush()
        self._end += _FRAME.size + len(payload)
        # What the kernel holds outlives this process; fsync guards against the machine going down.
        if time.monotonic() - self._synced > _SYNC_SECONDS:
            os.fsync(self._file.fileno())
            self._synced = time.monotonic()

    def _frames(self) -> Iterator[bytes]:
        position = len(MAGIC)
        while True:
            self._file.seek(position)
            head = self._file.read(_FRAME.size)
            if len(head) < _FRAME.size:
                return
            length, checksum = _FRAME.unpack(head)
            if position + _FRAME.size + length > os.fstat(self._file.fileno()).st_size:
                return
            payload = self._file.read(length)
            if len(payload) < length or zlib.crc32(payload) != checksum:
                return
            position += _FRAME.size + length
            self._end = max(self._end, position)
            yield payload


def _pack(columns: Columns) -> bytes:
    contents = json.dumps([(name, array.dtype.str, array.shape) for name, array in columns.items()]).encode()
    return b"".join([_LENGTH.pack(len(contents)), contents, *(array.tobytes() for array in columns.values())])


def _unpack(payload: bytes) -> Columns:
    (length,) = _LENGTH.unpack_from(payload)
    at = _LENGTH.size + length
    columns: Columns = {}
    for name, dtype, shape in json.loads(payload[_LENGTH.size : at]):
        array = np.frombuffer(payload, dtype, math.prod(shape), at).reshape(shape)
        at += array.nbytes
        columns[name] = array.copy()  # puts it at an address that fits its type
    return columns


def _open_locked(path: Path) -> io.BufferedRandom:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        file = os.fdopen(descriptor, "r+b")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise bad_file(f"another process is writing {path}", "wait for it, or choose another --output") from error
        except OSError:
            pass  # Some network file systems know no locks; one writer per output is then up to the user.
        # Another process may have finished and deleted the file between opening and locking it.
        if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
            return file
        file.close()


class FeatureWriter:
    """Writes or extends one feature file; what ``append`` was given survives any crash once it returns.

    A new writer on the same path goes on where the last one stopped. A crystal given again replaces the older
    row.
    Rows keep the order in which they were first appended; replaced ones move to the end.

    Args:
        path: The feature file.
        header: What the file is to say about itself; its provenance is filled in here.
        overwrite: Whether an existing file is replaced instead of extended.

    Raises:
        ShcError: The existing or unfinished file does not fit the header, is damaged, or is being written.
    """

    def __init__(self, path: Path, header: FeatureHeader, *, overwrite: bool = False) -> None:
        """Open the journal and learn what is done."""
        self.path = path
        self.header = replace_header(
            header, tool_version=tool_version(), created=datetime.now(UTC).isoformat(timespec="seconds")
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        self._journal = Journal(part_path(path))
        try:
            self._base: FeatureFile | None = self._open_base(overwrite=overwrite)
        except BaseException:
            self._journal.close()
            raise
        self.done: dict[str, bytes] = {}
        """SHA-256 of the input of each crystal that needs no more work, by material id."""
        self._stale: Counter[str] = Counter()
        self._changed = False
        if self._base is not None:
            self._note(self._base.columns)
        for columns in self._journal.rows():
            self._note(columns)
            self._changed = True

    def _open_base(self, *, overwrite: bool) -> FeatureFile | None:
        """Return the file to extend, after bringing the journal to a usable state."""
        known = self._journal.header
        if known is not None:
            differences = FeatureHeader.from_attributes(known, str(self._journal.path)).differences(self.header)
            if not differences and (known["overwrite"] or not overwrite):
                # An interrupted overwriting run goes on as one, whether or not it is asked for again.
                overwrite = bool(known["overwrite"])
            elif overwrite:
                self._journal.clear()
            else:
                raise _mismatch(self._journal.path, differences)
        base = None
        if self.path.exists() and not overwrite:
            base = FeatureFile.open(self.path)
            differences = base.header.differences(self.header)
            if differences:
                raise _mismatch(self.path, differences)
        if self._journal.header is None:
            self._journal.start({**self.header.to_attributes(), "overwrite": overwrite})
        return base

    def _note(self, columns: Columns) -> None:
        ids = columns["material_id"].tolist()
        hashes = columns["content_hash"].tobytes()
        for i, encoded in enumerate(ids):
            material_id = encoded.decode()
            if material_id in self.done:
                self._stale[material_id] += 1
            self.done[material_id] = hashes[32 * i : 32 * i + 32]

    def append(self, records: Sequence[CrystalRecord]) -> None:
        """Add crystals. They survive the death of this process once this returns."""
        if not records:
            return
        columns = columns_from_records(records, with_bands=self.header.has_bands)
        self._journal.append(columns)
        self._note(columns)
        self._changed = True

    def finish(self) -> Path:
        """Write the complete file in place of the old one and delete the journal.

        Memory stays bounded by one block of rows. Nothing is written if nothing was added.
        """
        if self._changed or self._base is None:
            write_feature_file(self.path, self.header, self._rows)
        self._journal.remove()
        return self.path

    def discard(self) -> None:
        """Delete the journal; an existing feature file stays as it was."""
        self._journal.remove()

    def close(self) -> None:
        """Stop writing. Unless ``finish`` came first, a later writer goes on from here."""
        self._journal.close()

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close; an unfinished run can be resumed."""
        self.close()

    def _rows(self) -> Iterator[Columns]:
        """All rows that count, block by block."""
        stale = self._stale.copy()
        for columns in self._all_rows():
            keep = []
            for i, encoded in enumerate(columns["material_id"].tolist()):
                material_id = encoded.decode()
                # The first appearances of a crystal are the replaced ones.
                if stale[material_id] > 0:
                    stale[material_id] -= 1
                else:
                    keep.append(i)
            if len(keep) == n_rows(columns, "crystal"):
                yield columns
            elif keep:
                yield take(columns, np.array(keep))

    def _all_rows(self) -> Iterator[Columns]:
        if self._base is not None:
            yield from blocks(self._base)
        yield from self._journal.rows()


def tool_version() -> str:
    """Version of the installed distribution."""
    try:
        return version("shc-predict")
    except PackageNotFoundError:
        return "unknown"


def blocks(file: FeatureFile) -> Iterator[Columns]:
    """The rows of a file, some thousand crystals at a time."""
    for start in range(0, len(file), BLOCK):
        yield take(file.columns, slice(start, start + BLOCK))


def write_feature_file(path: Path, header: FeatureHeader, rows: Callable[[], Iterator[Columns]]) -> None:
    """Write a feature file under a temporary name, then put it in place of ``path``.

    Args:
        path: The file to write or replace.
        header: What it says about itself.
        rows: Makes an iterator over blocks of rows; called twice, as datasets that lie in one piece need
            their sizes before the first row is written.
    """
    temporary = path.with_name(path.name + ".tmp")
    with h5py.File(temporary, "w", libver=("v110", "v110"), locking=False) as file:
        for key, value in header.to_attributes().items():
            file.attrs[key] = value
        datasets = _create_datasets(file, header.columns, rows())
        at: Counter[str] = Counter()
        for columns in rows():
            offsets = offset_columns(columns)
            counts = {axis: n_rows(columns, axis) for axis in ("crystal", *offsets)}
            for column in flat_columns(columns):
                first = at[column.axis]
                dataset = datasets[column.name]
                # Text is told to be UTF-8 by its type, without which HDF5 refuses to convert it.
                dataset[first : first + counts[column.axis]] = columns[column.name].astype(dataset.dtype)
            first = at["crystal"] + 1
            for axis, column in offsets.items():
                datasets[column.name][first : first + counts["crystal"]] = columns[column.name][1:] + at[axis]
            at.update(counts)
    with temporary.open("rb") as written:
        os.fsync(written.fileno())
    temporary.replace(path)


def _create_datasets(file: h5py.File, wanted: Sequence[Column], rows: Iterator[Columns]) -> dict[str, h5py.Dataset]:
    totals: Counter[str] = Counter()
    tails: dict[str, tuple[int, ...]] = {}
    widths: Counter[str] = Counter()
    for columns in rows:
        for axis in ("crystal", *offset_columns(columns)):
            totals[axis] += n_rows(columns, axis)
        for column in flat_columns(columns):
            array: NDArray[Any] = columns[column.name]
            tails[column.name] = array.shape[1:]
            widths[column.name] = max(widths[column.name], array.dtype.itemsize)
    datasets = {}
    offsets = offset_columns([column.name for column in wanted]).values()
    for column in wanted:
        n = totals[column.axis] + (column in offsets)
        text = h5py.string_dtype("utf-8", widths[column.name] or 1)
        dtype = text if column.dtype == "S" else column.dtype
        shape = (n, *tails.get(column.name, ()))
        datasets[column.name] = dataset = file.create_dataset(column.path, shape, dtype)
        dataset.attrs["unit"] = column.unit
        dataset.attrs["description"] = column.meaning
    return datasets


def _mismatch(path: Path, differences: list[str]) -> Exception:
    return bad_file(
        f"{path} was written with other parameters ({'; '.join(differences)})",
        "repeat the earlier parameters, choose another --output, or replace it with --overwrite",
    )
