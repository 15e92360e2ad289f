"""Feature files: reading them, and the batch of crystals that training and prediction work on.

The format is described in ``docs/format.md``. Reading needs numpy and h5py only.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import h5py
import numpy as np

from shc.featurize.band_image import codec as pictures_codec
from shc.featurize.config import BANDS_NONE, FeaturizeConfig
from shc.featurize.electronic.codec import decode
from shc.featurize.errors import ExitCode, ShcError
from shc.featurize.store_columns import (
    ALL_COLUMNS,
    BANDS_COLUMNS,
    FRAME_COLUMNS,
    PICTURES_COLUMNS,
    Column,
    columns_from_records,
    flat_columns,
    n_rows,
    offset_columns,
    packed_bytes,
    take,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from shc.featurize.band_image.codec import StoredPicture
    from shc.featurize.electronic.record import ElectronicRecord
    from shc.featurize.store_columns import Columns
    from shc.featurize.types import CrystalRecord

FORMAT: Final = "shc-features"
SCHEMA_VERSION: Final = 4


@dataclass(frozen=True, slots=True)
class FeatureHeader:
    """What a feature file says about itself."""

    config: FeaturizeConfig
    """Parameters of featurisation."""
    prompt_version: int
    """Version of the symmetry prompt."""
    prompt_fields: tuple[tuple[str, int, int], ...]
    """Name, first and end index of each field of the symmetry prompt."""
    descriptor_version: int
    """Version of the descriptors."""
    descriptor_names: tuple[str, ...]
    """Names of the descriptors, in order."""
    frame_version: int = 0
    """Version of the choice of the standard frame; 0 in a file without it."""
    bands_version: int = 0
    """Version of the built-in electronic structure; 0 in a file without it."""
    pictures_version: int = 0
    """Version of the normaliser of pictures; 0 in a file without a place for them."""
    tool_version: str = ""
    """Version of the program that wrote the file."""
    created: str = ""
    """When the file was written, ISO 8601, UTC."""

    @property
    def has_frames(self) -> bool:
        """Whether the file has the rotations to the standard frame."""
        return self.frame_version > 0

    @property
    def has_bands(self) -> bool:
        """Whether the file has a place for electronic records."""
        return self.config.bands != BANDS_NONE

    @property
    def has_pictures(self) -> bool:
        """Whether the file has a place for pictures of bands."""
        return self.config.pictures

    @property
    def batch_columns(self) -> tuple[Column, ...]:
        """The columns that a batch is made of."""
        return (*ALL_COLUMNS, *FRAME_COLUMNS) if self.has_frames else ALL_COLUMNS

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of the file."""
        bands = BANDS_COLUMNS if self.has_bands else ()
        pictures = PICTURES_COLUMNS if self.has_pictures else ()
        return (*self.batch_columns, *bands, *pictures)

    def differences(self, other: FeatureHeader) -> list[str]:
        """What keeps two files from being joined, as readable text; empty if nothing does."""
        ours, theirs = asdict(self.config), asdict(other.config)
        if not self.has_bands and not other.has_bands:
            ours.pop("bands_budget")  # means nothing then
        found = [f"{name}: {ours[name]} and {theirs[name]}" for name in ours if ours[name] != theirs[name]]
        found.extend(
            f"{name}: {getattr(self, name)} and {getattr(other, name)}"
            for name in ("prompt_version", "descriptor_version", "frame_version", "bands_version", "pictures_version")
            if getattr(self, name) != getattr(other, name)
        )
        found.extend(
            f"{name} differ"
            for name in ("prompt_fields", "descriptor_names")
            if getattr(self, name) != getattr(other, name)
        )
        return found

    def to_attributes(self) -> dict[str, str | int]:
        """Text and numbers for the attributes of an HDF5 file or for JSON."""
        return {
            "format": FORMAT,
            "schema_version": SCHEMA_VERSION,
            "tool": "shc-predict",
            "tool_version": self.tool_version,
            "created": self.created,
            "config": json.dumps(asdict(self.config)),
            "prompt_version": self.prompt_version,
            "prompt_fields": json.dumps(self.prompt_fields),
            "descriptor_version": self.descriptor_version,
            "descriptor_names": json.dumps(self.descriptor_names),
            "frame_version": self.frame_version,
            "bands_version": self.bands_version,
            "pictures_version": self.pictures_version,
        }

    @classmethod
    def from_attributes(cls, attributes: Mapping[str, Any], name: str) -> FeatureHeader:
        """The header behind ``to_attributes``.

        Args:
            attributes: What was written.
            name: Name of the file, for messages.

        Raises:
            ShcError: This is no feature file, or one of a newer version.
        """
        if attributes.get("format") != FORMAT:
            raise bad_file(f"{name} is no feature file", "give a file written by `shc featurize`")
        version = int(attributes["schema_version"])
        if version > SCHEMA_VERSION:
            raise bad_file(
                f"{name} has schema version {version}, this program reads up to {SCHEMA_VERSION}",
                "install a newer version of shc-predict",
            )
        try:
            config = json.loads(attributes["config"])
            unknown = set(config) - {field.name for field in fields(FeaturizeConfig)}
            if unknown:
                raise bad_file(
                    f"{name} was written with parameters unknown here: {', '.join(sorted(unknown))}",
                    "install a newer version of shc-predict",
                )
            return cls(
                config=FeaturizeConfig(**config),
                prompt_version=int(attributes["prompt_version"]),
                prompt_fields=tuple((str(n), int(a), int(b)) for n, a, b in json.loads(attributes["prompt_fields"])),
                descriptor_version=int(attributes["descriptor_version"]),
                descriptor_names=tuple(json.loads(attributes["descriptor_names"])),
                frame_version=int(attributes.get("frame_version", 0)),  # version 3 had no frames
                bands_version=int(attributes.get("bands_version", 0)),  # version 1 had no bands
                pictures_version=int(attributes.get("pictures_version", 0)),  # version 2 had no pictures
                tool_version=str(attributes["tool_version"]),
                created=str(attributes["created"]),
            )
        except (KeyError, ValueError, TypeError) as error:
            raise bad_file(f"{name} is damaged: its header cannot be read ({error})", _REWRITE) from error


_REWRITE: Final = "write it again: `shc featurize` or `shc bands`, whichever made it, with --overwrite"


def bad_file(message: str, hint: str) -> ShcError:
    """An error that says a feature file is wrong or does not fit."""
    return ShcError(message, hint, ExitCode.BAD_FILE)


@dataclass(frozen=True, slots=True)
class FeatureBatch:
    """Some crystals as flat arrays: B crystals, n_atoms atoms and n_nodes nodes in all.

    Crystal ``b`` owns atoms ``atom_offsets[b] : atom_offsets[b + 1]`` and nodes ``node_offsets[b] :
    node_offsets[b + 1]``. Indices in ``orbit`` and ``neighbour_atom`` are local to their crystal.
    """

    material_id: list[str]
    """``[B]`` file stems; the key of every result."""
    formula: list[str]
    """``[B]`` reduced formulas."""
    content_hash: list[str]
    """``[B]`` SHA-256 of the input files, hex."""
    space_group_number: NDArray[np.int64]
    """``[B]``, 1 to 230."""
    lattice: NDArray[np.float64]
    """``[B, 3, 3]`` lattice vectors as rows, Angstrom."""
    symmetry_prompt: NDArray[np.float32]
    """``[B, P]``."""
    descriptors: NDArray[np.float32]
    """``[B, D]``."""
    atom_offsets: NDArray[np.int64]
    """``[B + 1]``."""
    node_offsets: NDArray[np.int64]
    """``[B + 1]``."""
    atomic_number: NDArray[np.uint8]
    """``[n_atoms]``."""
    frac: NDArray[np.float64]
    """``[n_atoms, 3]`` fractional positions."""
    orbit: NDArray[np.uint16]
    """``[n_atoms]`` local node of each atom."""
    neighbour_atom: NDArray[np.int32]
    """``[n_nodes, K]`` local atom, nearest first; -1 is padding."""
    neighbour_shift: NDArray[np.int16]
    """``[n_nodes, K, 3]`` lattice translation of the neighbour, in cells."""
    neighbour_distance: NDArray[np.float32]
    """``[n_nodes, K]`` Angstrom; 0 in padding."""
    standard_rotation: NDArray[np.float32] | None = None
    """``[B, 3, 3]`` from the frame of ``lattice`` to the standard frame: ``v_standard = Q @ v``, see
    ``shc.featurize.standard_frame``; None for a file of an older version."""
    pictures: list[tuple[StoredPicture, ...]] | None = None
    """``[B]`` pictures of bands of each crystal, mostly none; None where they are not asked for."""
    bands: list[ElectronicRecord | None] | None = None
    """``[B]`` electronic structure of each crystal that has it; None where it is not asked for."""

    def __len__(self) -> int:
        """Number of crystals."""
        return len(self.material_id)

    @classmethod
    def from_records(cls, records: Sequence[CrystalRecord]) -> FeatureBatch:
        """Join records, in their order; the frames are known if they are of all of them."""
        with_frames = all(record.standard_rotation is not None for record in records)
        return cls.from_columns(columns_from_records(records, with_frames=with_frames))

    @classmethod
    def from_columns(cls, columns: Columns) -> FeatureBatch:
        """The batch behind columns that lie in memory; numeric arrays are not copied."""
        hashes = columns["content_hash"].tobytes().hex()
        values: dict[str, Any] = {
            **columns,
            "material_id": [value.decode() for value in columns["material_id"].tolist()],
            "formula": [value.decode() for value in columns["formula"].tolist()],
            "content_hash": [hashes[i : i + 64] for i in range(0, len(hashes), 64)],
            "space_group_number": columns["space_group_number"].astype(np.int64),
        }
        return cls(**values)


class FeatureFile:
    """A complete feature file, opened for reading.

    Columns are mapped into memory, not read, so opening takes milliseconds whatever the size, a random batch
    costs its own bytes only, and several processes share the pages. No HDF5 handle and no lock is held: files
    are replaced as a whole and never changed in place. Instances can be pickled (they are reopened by path).
    """

    def __init__(self, path: Path, header: FeatureHeader, columns: Columns) -> None:
        """Hold what ``open`` found."""
        self.path = path
        self.header = header
        self.columns = columns

    @classmethod
    def open(cls, path: Path | str) -> FeatureFile:
        """Open a file.

        Raises:
            ShcError: The file is missing, is no feature file, is damaged, or has a newer schema version.
        """
        path = Path(path)
        if not path.is_file():
            unfinished = part_path(path).is_file()
            hint = "run the command that writes it once more" if unfinished else "write one with `shc featurize`"
            state = "is not finished" if unfinished else "does not exist"
            raise ShcError(f"feature file {path} {state}", hint, ExitCode.NO_INPUT)
        try:
            with h5py.File(path, "r", locking=False) as file:
                header = FeatureHeader.from_attributes(dict(file.attrs), str(path))
                columns = {column.name: _map_column(path, file, column) for column in header.columns}
        except (OSError, RuntimeError) as error:
            kind = "is damaged or truncated" if h5py.is_hdf5(path) else "is no HDF5 file"
            raise bad_file(f"{path} {kind}", _REWRITE) from error
        except KeyError as error:
            raise bad_file(f"{path} is damaged: {error.args[0]}", _REWRITE) from error
        _check(columns, path)
        return cls(path, header, columns)

    def __len__(self) -> int:
        """Number of crystals."""
        return n_rows(self.columns, "crystal")

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        """Pickle as the path; the file is opened anew on the other side."""
        return FeatureFile.open, (self.path,)

    @cached_property
    def material_ids(self) -> list[str]:
        """Ids of all crystals, in the order of the rows."""
        return [value.decode() for value in self.columns["material_id"].tolist()]

    @cached_property
    def formulas(self) -> list[str]:
        """Reduced formulas of all crystals, in the order of the rows."""
        return [value.decode() for value in self.columns["formula"].tolist()]

    def read(self, indices: NDArray[np.integer[Any]] | slice) -> FeatureBatch:
        """Read some crystals; their bands and pictures only on demand, by `bands` and `pictures`.

        Args:
            indices: Rows in the order wanted, or a slice; repeats are allowed.

        Raises:
            IndexError: A row does not exist.
        """
        wanted = {column.name: self.columns[column.name] for column in self.header.batch_columns}
        return FeatureBatch.from_columns(take(wanted, indices))

    def has_bands(self, indices: NDArray[np.integer[Any]] | slice) -> NDArray[np.bool_]:
        """``[n]`` whether the file holds an electronic record of some crystals.

        Args:
            indices: Rows in the order wanted, or a slice.

        Raises:
            IndexError: A row does not exist.
        """
        rows = np.arange(len(self))[indices]
        if not self.header.has_bands:
            return np.zeros(len(rows), dtype=np.bool_)
        sizes = np.diff(self.columns[BANDS_COLUMNS[1].name])
        held: NDArray[np.bool_] = sizes[rows] > 0
        return held

    def bands(self, indices: NDArray[np.integer[Any]] | slice) -> list[ElectronicRecord | None]:
        """Unpack the electronic records of some crystals, about half a millisecond each.

        Args:
            indices: Rows in the order wanted, or a slice; repeats are allowed.

        Returns:
            A record for each row; None where the file holds none.

        Raises:
            IndexError: A row does not exist.
            ShcError: A record is damaged (``BAD_FILE``).
        """
        rows = np.arange(len(self))[indices]
        if not self.header.has_bands:
            return [None] * len(rows)
        try:
            packed = packed_bytes(self.columns, BANDS_COLUMNS, rows.tolist())
            return [decode(content) if content else None for content in packed]
        except ShcError as error:
            raise bad_file(f"{self.path}: {error.message}", _REWRITE) from error

    def pictures(self, indices: NDArray[np.integer[Any]] | slice) -> list[tuple[StoredPicture, ...]]:
        """Unpack the pictures of bands of some crystals, about a fifth of a millisecond each.

        Args:
            indices: Rows in the order wanted, or a slice; repeats are allowed.

        Returns:
            The pictures of each row; none where the file holds none.

        Raises:
            IndexError: A row does not exist.
            ShcError: Pictures are damaged (``BAD_FILE``).
        """
        rows = np.arange(len(self))[indices]
        if not self.header.has_pictures:
            return [()] * len(rows)
        try:
            packed = packed_bytes(self.columns, PICTURES_COLUMNS, rows.tolist())
            return [pictures_codec.decode(content).pictures for content in packed]
        except ShcError as error:
            raise bad_file(f"{self.path}: {error.message}", _REWRITE) from error

    def picture_counts(self, indices: NDArray[np.integer[Any]] | slice) -> Iterator[pictures_codec.PictureCounts]:
        """What the pictures of some crystals were made of and how many there are, without unpacking them.

        Args:
            indices: Rows in the order wanted, or a slice.

        Raises:
            IndexError: A row does not exist.
            ShcError: Pictures are damaged (``BAD_FILE``).
        """
        rows = np.arange(len(self))[indices]
        if not self.header.has_pictures:
            yield from (pictures_codec.counts(b"") for _ in rows)
            return
        for content in packed_bytes(self.columns, PICTURES_COLUMNS, rows.tolist()):
            try:
                yield pictures_codec.counts(content)
            except ShcError as error:
                raise bad_file(f"{self.path}: {error.message}", _REWRITE) from error

    def load_all(self) -> FeatureBatch:
        """Read all crystals into memory."""
        return self.read(slice(None))


def part_path(path: Path) -> Path:
    """Where an unfinished run of ``path`` keeps what it has done."""
    return path.with_name(path.name + ".part")


def replace_header(header: FeatureHeader, *, tool_version: str, created: str) -> FeatureHeader:
    """The header with new provenance."""
    return replace(header, tool_version=tool_version, created=created)


def _map_column(path: Path, file: h5py.File, column: Column) -> NDArray[Any]:
    """Map a dataset into memory if it lies in one piece, else read it (a file repacked by other tools)."""
    dataset = file[column.path]
    if not isinstance(dataset, h5py.Dataset):
        raise KeyError(f"{column.path} is no dataset")
    if dataset.ndim != column.n_dims or column.dtype not in ("S", dataset.dtype.str):
        raise KeyError(f"{column.path} has type {dataset.dtype} and {dataset.ndim} dimensions")
    dtype = np.dtype(dataset.dtype.str)
    offset = dataset.id.get_offset()
    if offset is None or dataset.size == 0:
        return np.asarray(dataset[...], dtype=dtype)
    return np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=dataset.shape)


def _check(columns: Columns, path: Path) -> None:
    lengths = {"crystal": n_rows(columns, "crystal")}
    for axis, column in offset_columns(columns).items():
        offsets = columns[column.name]
        if len(offsets) != lengths["crystal"] + 1 or offsets[0] != 0 or (np.diff(offsets) < 0).any():
            raise bad_file(f"{path} is damaged: {column.name} do not ascend from 0", _REWRITE)
        lengths[axis] = int(offsets[-1])
    for column in flat_columns(columns):
        if len(columns[column.name]) != lengths[column.axis]:
            raise bad_file(f"{path} is damaged: {column.path} has the wrong length", _REWRITE)
