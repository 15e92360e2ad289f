"""The journal of an unfinished feature file: an append-only file that no crash can spoil."""

from __future__ import annotations

import fcntl
import json
import math
import os
import time
import zlib
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from shc.featurize.store import bad_file
from shc.featurize.writing import writing

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator
    from pathlib import Path

    from shc.featurize.store_columns import Columns

MAGIC: Final = b"SHCPART1"
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
            with writing(self.path):
                os.fsync(self._file.fileno())
                self._file.close()

    def remove(self) -> None:
        """Delete the file, close and unlock."""
        self.path.unlink(missing_ok=True)
        with writing(self.path):
            self._file.close()

    def _append(self, payload: bytes) -> None:
        with writing(self.path):
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
        with writing(path):
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
