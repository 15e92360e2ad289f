"""Writing feature files so that a crash at any moment loses nothing that was done.

While a run lasts, its rows go to a journal beside the output (``<output>.part``), never into the HDF5 file:
HDF5 keeps its index in memory and a killed writer can leave a file nobody can open. The journal is only ever
appended to, each frame carries its length and checksum, and a torn last frame is cut off when a run resumes.
At the end old file and journal are copied to a new HDF5 file under a temporary name, which then replaces the
output.
"""

from __future__ import annotations

import io
import os
from collections import Counter
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final, Self

import h5py
import numpy as np

from shc.featurize.band_image.codec import BadPicture, counts, decode
from shc.featurize.errors import ShcError
from shc.featurize.journal import Journal
from shc.featurize.store import FeatureFile, FeatureHeader, bad_file, part_path, replace_header
from shc.featurize.store_columns import (
    PICTURES_COLUMNS,
    columns_from_records,
    flat_columns,
    n_rows,
    offset_columns,
    packed_bytes,
    take,
)
from shc.featurize.writing import whole_file, writing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from shc.featurize.store_columns import Column, Columns
    from shc.featurize.types import CrystalRecord

BLOCK: Final = 1024
"""Crystals copied at a time; bounds the memory of finishing and merging."""


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
        ShcError: The existing or unfinished file does not fit the header, is damaged, is being written, or the
            place cannot be written to.
    """

    def __init__(self, path: Path, header: FeatureHeader, *, overwrite: bool = False) -> None:
        """Open the journal and learn what is done."""
        self.path = path
        self.header = replace_header(
            header, tool_version=tool_version(), created=datetime.now(UTC).isoformat(timespec="seconds")
        )
        with writing(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        self.done: dict[str, bytes] = {}
        """SHA-256 of the input of each crystal that needs no more work, by material id."""
        self.without_bands: set[str] = set()
        """Ids of those that have no bands, in a file that has a place for them."""
        self.stamps: dict[str, bytes] = {}
        """What the pictures of a crystal were made of, by material id, in a file that has a place for them."""
        self.bad_pictures: dict[str, tuple[BadPicture, ...]] = {}
        """Files that gave no picture of a crystal, by material id."""
        self._stale: Counter[str] = Counter()
        self._changed = False
        self._journal = Journal(part_path(path))
        try:
            self._base: FeatureFile | None = self._open_base(overwrite=overwrite)
            if self._base is not None:
                self._note(self._base.columns)
            for columns in self._journal.rows():
                self._note(columns)
                self._changed = True
        except BaseException:
            if self._journal.header is None:
                self._journal.remove()
            self._journal.close()
            raise

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
        sizes = np.diff(columns["bands_offsets"]) if self.header.has_bands else np.ones(len(ids))
        for i, (encoded, size) in enumerate(zip(ids, sizes.tolist(), strict=True)):
            material_id = encoded.decode()
            (self.without_bands.discard if size else self.without_bands.add)(material_id)
            if material_id in self.done:
                self._stale[material_id] += 1
            self.done[material_id] = hashes[32 * i : 32 * i + 32]
        if self.header.has_pictures:
            packed = packed_bytes(columns, PICTURES_COLUMNS, range(len(ids)))
            for encoded, content in zip(ids, packed, strict=True):
                self._note_pictures(encoded.decode(), content)

    def _note_pictures(self, material_id: str, packed: bytes) -> None:
        try:
            found = counts(packed)
            self.stamps[material_id] = found.stamp
            self.bad_pictures.pop(material_id, None)
            if found.n_failures:
                self.bad_pictures[material_id] = decode(packed).failures
        except ShcError as error:
            raise bad_file(f"{self.path}: {error.message}", "write it again with --overwrite") from error

    def append(self, records: Sequence[CrystalRecord]) -> None:
        """Add crystals. They survive the death of this process once this returns."""
        if not records:
            return
        columns = columns_from_records(
            records,
            with_frames=self.header.has_frames,
            with_bands=self.header.has_bands,
            with_pictures=self.header.has_pictures,
        )
        self._journal.append(columns)
        self._note(columns)
        self._changed = True

    def drop(self, material_ids: Iterable[str]) -> int:
        """Leave crystals out of the file that ``finish`` writes; forgotten if the run does not come to that.

        Returns:
            How many of them there were.
        """
        known = self.done.keys() & set(material_ids)
        for material_id in known:
            del self.done[material_id]
            self.without_bands.discard(material_id)
            self._stale[material_id] += 1
            self._changed = True
        return len(known)

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
    with whole_file(path) as temporary, _SteadyFile(temporary, "w+") as target:
        try:
            with h5py.File(target, "w", libver=("v110", "v110")) as file:
                _fill(file, header, rows)
        finally:
            if target.error is not None:
                raise target.error
        os.fsync(target.fileno())


class _SteadyFile(io.FileIO):
    """A file that keeps the first error of writing to itself: HDF5 does not live through a full disk."""

    error: OSError | None = None

    def write(self, data: memoryview, /) -> int:  # type: ignore[override]  # h5py gives nothing else
        """Write all bytes, or none once there was an error."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while rest and self.error is None:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.error = error
        return size

    def truncate(self, size: int | None = None, /) -> int:
        """Set the length, unless there was an error."""
        try:
            return self.tell() if self.error else super().truncate(size)
        except OSError as error:
            self.error = error
            return self.tell()


def _fill(file: h5py.File, header: FeatureHeader, rows: Callable[[], Iterator[Columns]]) -> None:
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
