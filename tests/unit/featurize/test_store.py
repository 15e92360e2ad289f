from __future__ import annotations

import json
import pickle
import shutil
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from shc.featurize.config import BANDS_AUTO, FeaturizeConfig
from shc.featurize.errors import ExitCode, ShcError
from shc.featurize.store import SCHEMA_VERSION, FeatureBatch, FeatureFile, FeatureHeader, part_path
from shc.featurize.store_columns import ALL_COLUMNS, FRAME_COLUMNS
from shc.featurize.store_merge import merge_feature_files
from shc.featurize.store_writer import FeatureWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from shc.featurize.types import CrystalRecord
    from tests.conftest import RecordFactory

DATA = Path(__file__).parents[2] / "data"
FOSSIL = DATA / "features_v1.h5"


def header(config: FeaturizeConfig | None = None) -> FeatureHeader:
    return FeatureHeader(
        config=config or FeaturizeConfig(),
        prompt_version=1,
        prompt_fields=(("space_group", 0, 3), ("counts", 3, 7)),
        descriptor_version=1,
        descriptor_names=tuple(f"descriptor_{i}" for i in range(9)),
        frame_version=1,
    )


def frameless() -> FeatureHeader:
    """As in files of schema versions 1 to 3."""
    return replace(header(), frame_version=0)


def write(
    path: Path, records: Sequence[CrystalRecord], *, batch: int = 7, of: Callable[[], FeatureHeader] = header
) -> Path:
    with FeatureWriter(path, of()) as writer:
        for start in range(0, len(records), batch):
            writer.append(records[start : start + batch])
        return writer.finish()


def some(make: RecordFactory, n: int, first: int = 0, **options: int) -> list[CrystalRecord]:
    numbers = range(first, first + n)
    return [make(f"é-{i}", n_atoms=1 + i % 9, n_nodes=1 + i % 5 % (1 + i % 9), **options) for i in numbers]


def assert_holds(batch: FeatureBatch, records: Sequence[CrystalRecord], *, frames: bool = True) -> None:
    assert batch.material_id == [r.material_id for r in records]
    assert batch.formula == [r.formula for r in records]
    assert batch.content_hash == [r.content_hash for r in records]
    assert len(batch) == len(records)
    assert (batch.standard_rotation is not None) == frames
    of_crystal = ["space_group_number", "lattice", "symmetry_prompt", "descriptors"]
    of_crystal += ["standard_rotation"] * frames
    for b, record in enumerate(records):
        atoms = slice(batch.atom_offsets[b], batch.atom_offsets[b + 1])
        nodes = slice(batch.node_offsets[b], batch.node_offsets[b + 1])
        for name, rows in (
            *((n, b) for n in of_crystal),
            *((n, atoms) for n in ("atomic_number", "frac", "orbit")),
            *((n, nodes) for n in ("neighbour_atom", "neighbour_shift", "neighbour_distance")),
        ):
            wanted = np.asarray(getattr(record, name))
            np.testing.assert_array_equal(getattr(batch, name)[rows], wanted)
            if wanted.ndim:
                assert getattr(batch, name).dtype == wanted.dtype, name


def test_file_holds_what_was_written_and_says_what_it_is(tmp_path: Path, record_factory: RecordFactory) -> None:
    records = some(record_factory, 40)
    path = write(tmp_path / "new" / "features.h5", records)
    file = FeatureFile.open(path)
    assert file.material_ids == [r.material_id for r in records]
    assert len(file) == 40
    assert_holds(file.load_all(), records)
    assert_holds(FeatureBatch.from_records(records), records)
    assert file.header.differences(header()) == []
    assert file.header.descriptor_names == header().descriptor_names
    assert file.header.tool_version
    assert file.header.created.endswith("+00:00")
    with h5py.File(path) as h5:
        for column in (*ALL_COLUMNS, *FRAME_COLUMNS):
            assert h5[column.path].attrs["unit"] == column.unit
            assert h5[column.path].chunks is None
        assert h5["crystal/material_id"].asstr()[3] == "é-3"
    assert sorted(p.name for p in path.parent.iterdir()) == ["features.h5"]


@pytest.mark.parametrize(
    "indices",
    [
        np.array([5, 2, 2, 39, 0]),
        np.array([-1, 3], dtype=np.int32),
        np.array([], dtype=np.int64),
        slice(3, 11),
        slice(11, 3),
        slice(None, None, 7),
        slice(None, None, -1),
        slice(30, 999),
    ],
)
@pytest.mark.parametrize("layout", ["contiguous", "repacked"])
def test_any_selection_can_be_read(
    tmp_path: Path, record_factory: RecordFactory, indices: NDArray[np.int64] | slice, layout: str
) -> None:
    records = some(record_factory, 40)
    path = write(tmp_path / "f.h5", records)
    if layout == "repacked":
        path = repack(path, tmp_path / "repacked.h5")
    wanted = [records[i] for i in np.arange(40)[indices]]
    assert_holds(FeatureFile.open(path).read(indices), wanted)


def repack(source: Path, target: Path) -> Path:
    """What `h5repack -f GZIP=1` does."""
    with h5py.File(source) as old, h5py.File(target, "w") as new:
        new.attrs.update(old.attrs)
        for column in (*ALL_COLUMNS, *FRAME_COLUMNS):
            new.create_dataset(column.path, data=old[column.path], chunks=True, compression="gzip")
    return target


@pytest.mark.parametrize("wrong", [40, -41])
def test_rows_that_do_not_exist_are_refused(tmp_path: Path, record_factory: RecordFactory, wrong: int) -> None:
    file = FeatureFile.open(write(tmp_path / "f.h5", some(record_factory, 40)))
    with pytest.raises(IndexError, match="out of range for 40"):
        file.read(np.array([0, wrong]))


def test_pickled_file_is_reopened(tmp_path: Path, record_factory: RecordFactory) -> None:
    records = some(record_factory, 300)
    file = FeatureFile.open(write(tmp_path / "f.h5", records))
    text = pickle.dumps(file)
    assert len(text) < 1000
    assert_holds(pickle.loads(text).load_all(), records)  # noqa: S301


def test_random_batch_takes_milliseconds(tmp_path: Path, record_factory: RecordFactory) -> None:
    kinds = [record_factory(f"k{i}", n_atoms=2 + i % 15, n_nodes=1 + i % 8 % (2 + i % 15)) for i in range(64)]
    records = [replace(kinds[i % 64], material_id=f"m{i}") for i in range(8313)]
    file = FeatureFile.open(write(tmp_path / "f.h5", records, batch=500))
    rng = np.random.default_rng(3)
    seconds = []
    for _ in range(10):
        rows = rng.choice(8313, 256, replace=False)
        start = time.process_time()
        batch = file.read(rows)
        seconds.append(time.process_time() - start)
        assert batch.material_id == [f"m{i}" for i in rows]
    # Measured: 1.5 ms; the bound leaves room for busy machines.
    assert sorted(seconds)[2] < 0.02


def test_writer_resumes_replaces_and_adds(tmp_path: Path, record_factory: RecordFactory) -> None:
    records = some(record_factory, 20)
    path = tmp_path / "f.h5"
    with FeatureWriter(path, header()) as writer:
        writer.append(records[:8])
    assert not path.exists()
    with pytest.raises(ShcError, match="not finished"):
        FeatureFile.open(path)
    with FeatureWriter(path, header()) as writer:
        assert list(writer.done) == [r.material_id for r in records[:8]]
        writer.append(records[8:])
        writer.finish()
    assert_holds(FeatureFile.open(path).load_all(), records)

    changed = [record_factory(r.material_id, n_atoms=4, n_nodes=2, seed=1) for r in records[3:5]]
    changed_again = [record_factory(records[4].material_id, n_atoms=6, n_nodes=2, seed=2)]
    extra = some(record_factory, 5, first=100)
    write(path, changed)
    with FeatureWriter(path, header()) as writer:
        assert writer.done[records[3].material_id].hex() == changed[0].content_hash
        writer.append(extra)
        writer.append(changed_again)
        writer.finish()
    expected = records[:3] + records[5:] + changed[:1] + extra + changed_again
    assert_holds(FeatureFile.open(path).load_all(), expected)


def test_finishing_without_news_leaves_the_file_alone(tmp_path: Path, record_factory: RecordFactory) -> None:
    path = write(tmp_path / "f.h5", some(record_factory, 5))
    before = path.stat()
    write(path, [])
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert not part_path(path).exists()


@pytest.mark.parametrize("cut", [1, 5, 13, 200, "first frame", "header", "magic"])
def test_torn_journal_keeps_every_whole_frame(tmp_path: Path, record_factory: RecordFactory, cut: int | str) -> None:
    path, part = tmp_path / "f.h5", part_path(tmp_path / "f.h5")
    sizes = []
    with FeatureWriter(path, header()) as writer:
        for record in some(record_factory, 3):
            sizes.append(part.stat().st_size)
            writer.append([record])
        sizes.append(part.stat().st_size)
    kept = 2
    if isinstance(cut, str):
        size = {"first frame": sizes[1] - 1, "header": sizes[0] - 1, "magic": 3}[cut]
        kept = 0
    else:
        size = sizes[3] - cut
    with part.open("r+b") as file:
        file.truncate(size)
    records = some(record_factory, 4)
    with FeatureWriter(path, header()) as writer:
        assert list(writer.done) == [r.material_id for r in records[:kept]]
        writer.append(records[kept:])
        writer.finish()
    assert_holds(FeatureFile.open(path).load_all(), records)


def test_damaged_bytes_in_the_journal_are_not_believed(tmp_path: Path, record_factory: RecordFactory) -> None:
    path, part = tmp_path / "f.h5", part_path(tmp_path / "f.h5")
    with FeatureWriter(path, header()) as writer:
        writer.append(some(record_factory, 3))
        start = part.stat().st_size
        writer.append(some(record_factory, 3, first=3))
    content = bytearray(part.read_bytes())
    content[start + 500] ^= 1
    part.write_bytes(content)
    with FeatureWriter(path, header()) as writer:
        assert len(writer.done) == 3


def test_crash_between_replacing_and_cleaning_up_is_harmless(tmp_path: Path, record_factory: RecordFactory) -> None:
    records = some(record_factory, 9)
    path, part = tmp_path / "f.h5", part_path(tmp_path / "f.h5")
    with FeatureWriter(path, header()) as writer:
        writer.append(records)
        shutil.copy(part, tmp_path / "saved")
        writer.finish()
    shutil.copy(tmp_path / "saved", part)
    write(path, [])
    assert_holds(FeatureFile.open(path).load_all(), records)


def test_only_one_process_writes(tmp_path: Path, record_factory: RecordFactory) -> None:
    path = tmp_path / "f.h5"
    with FeatureWriter(path, header()) as writer:
        writer.append(some(record_factory, 2))
        with pytest.raises(ShcError, match="another process") as caught:
            FeatureWriter(path, header())
        assert caught.value.exit_code == ExitCode.BAD_FILE
        writer.finish()
    write(path, some(record_factory, 4))


CHANGES: list[dict[str, Any]] = [
    {"config": FeaturizeConfig(cutoff=6.0)},
    {"prompt_version": 2},
    {"prompt_fields": (("space_group", 0, 7),)},
    {"descriptor_version": 2},
    {"descriptor_names": tuple("abcdefghi")},
    {"frame_version": 2},
    {"bands_version": 1},
]


@pytest.mark.parametrize("changes", CHANGES, ids=[next(iter(c)) for c in CHANGES])
@pytest.mark.parametrize("finished", [True, False])
def test_other_parameters_are_refused_unless_overwriting(
    tmp_path: Path, record_factory: RecordFactory, changes: dict[str, Any], finished: bool
) -> None:
    path = tmp_path / "f.h5"
    with FeatureWriter(path, header()) as writer:
        writer.append(some(record_factory, 3))
        if finished:
            writer.finish()
    with pytest.raises(ShcError, match=next(iter(changes)) if "config" not in changes else "cutoff") as caught:
        FeatureWriter(path, replace(header(), **changes))
    assert caught.value.exit_code == ExitCode.BAD_FILE
    assert "--overwrite" in caught.value.hint
    other = some(record_factory, 4, first=50)
    with FeatureWriter(path, replace(header(), **changes), overwrite=True) as writer:
        assert not writer.done
        writer.append(other[:2])
    # The overwriting run was interrupted: asked for again, with or without the flag, it goes on.
    for flag in (True, False):
        with FeatureWriter(path, replace(header(), **changes), overwrite=flag) as writer:
            assert len(writer.done) == 2 + (not flag)
            writer.append(other[2 + (not flag) :][:1])
    with FeatureWriter(path, replace(header(), **changes)) as writer:
        writer.finish()
    assert_holds(FeatureFile.open(path).load_all(), other)


def not_hdf5(path: Path) -> None:
    path.write_text("material_id,shc\n")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def other_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["x"] = [1.0]


def truncated(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 100)


def half(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def newer(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs["schema_version"] = 99


def newer_parameters(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs["config"] = json.dumps({**json.loads(file.attrs["config"]), "colour": 1})


def bad_header(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs["prompt_fields"] = "{"


def lost_dataset(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["atom/frac"]


def group_for_dataset(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["atom/frac"]
        file.create_group("atom/frac")


def lost_frames(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["crystal/standard_rotation"]


def wrong_type(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        values = file["atom/frac"][...]
        del file["atom/frac"]
        file["atom/frac"] = values.astype("f4")


def short_dataset(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        values = file["atom/frac"][:-1]
        del file["atom/frac"]
        file["atom/frac"] = values


def bad_offsets(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["crystal/node_offsets"][2] = 10**6


WRECKS: list[tuple[Callable[[Path], None], str]] = [
    (not_hdf5, "is no HDF5 file"),
    (empty, "is no HDF5 file"),
    (other_hdf5, "is no feature file"),
    (truncated, "damaged or truncated"),
    (half, "damaged or truncated"),
    (newer, "schema version 99"),
    (newer_parameters, "colour"),
    (bad_header, "header cannot be read"),
    (lost_dataset, "frac"),
    (lost_frames, "standard_rotation"),
    (group_for_dataset, "atom/frac is no dataset"),
    (wrong_type, "atom/frac has type float32"),
    (short_dataset, "atom/frac has the wrong length"),
    (bad_offsets, "node_offsets do not ascend"),
]


@pytest.mark.parametrize(("wreck", "message"), WRECKS, ids=[w[0].__name__ for w in WRECKS])
def test_wrong_files_are_named_as_such(
    tmp_path: Path, record_factory: RecordFactory, wreck: Callable[[Path], None], message: str
) -> None:
    path = write(tmp_path / "f.h5", some(record_factory, 30))
    wreck(path)
    for use in (FeatureFile.open, lambda p: FeatureWriter(p, header())):
        with pytest.raises(ShcError, match=message) as caught:
            use(path)
        assert caught.value.exit_code == ExitCode.BAD_FILE
        assert caught.value.hint
        assert str(path) in caught.value.message


def test_missing_file_and_foreign_part_file(tmp_path: Path) -> None:
    with pytest.raises(ShcError, match="does not exist") as caught:
        FeatureFile.open(tmp_path / "f.h5")
    assert caught.value.exit_code == ExitCode.NO_INPUT
    part_path(tmp_path / "f.h5").write_text("a letter to my aunt")
    with pytest.raises(ShcError, match="in the way") as caught:
        FeatureWriter(tmp_path / "f.h5", header())
    assert part_path(tmp_path / "f.h5").read_text() == "a letter to my aunt"


def test_merge_joins_and_drops_equal_rows(tmp_path: Path, record_factory: RecordFactory) -> None:
    records = some(record_factory, 30)
    shards = [
        write(tmp_path / f"{i}.h5", records[first:last]) for i, (first, last) in enumerate([(0, 12), (8, 20), (20, 30)])
    ]
    summary = merge_feature_files(shards, tmp_path / "all.h5")
    assert (summary.n_files, summary.n_crystals, summary.n_duplicates) == (3, 30, 4)
    assert_holds(FeatureFile.open(tmp_path / "all.h5").load_all(), records)
    with pytest.raises(ShcError, match="exists") as caught:
        merge_feature_files(shards, tmp_path / "all.h5")
    assert caught.value.exit_code == ExitCode.USAGE
    merge_feature_files([tmp_path / "all.h5", *shards[:1]], tmp_path / "all.h5", overwrite=True)
    assert_holds(FeatureFile.open(tmp_path / "all.h5").load_all(), records)


def test_merge_refuses_what_does_not_fit(tmp_path: Path, record_factory: RecordFactory) -> None:
    first = write(tmp_path / "1.h5", some(record_factory, 9))
    second = write(tmp_path / "2.h5", some(record_factory, 9, first=6, seed=1))
    with pytest.raises(ShcError, match=r"é-6 \(.*1\.h5 and .*2\.h5\), é-7") as caught:
        merge_feature_files([first, second], tmp_path / "all.h5")
    assert caught.value.exit_code == ExitCode.BAD_FILE
    with FeatureWriter(tmp_path / "3.h5", header(FeaturizeConfig(symprec=0.1))) as writer:
        writer.append(some(record_factory, 2, first=100))
        writer.finish()
    with pytest.raises(ShcError, match="symprec: ") as caught:
        merge_feature_files([first, tmp_path / "3.h5"], tmp_path / "all.h5")
    assert caught.value.exit_code == ExitCode.BAD_FILE
    with pytest.raises(ShcError, match="nothing to merge"):
        merge_feature_files([], tmp_path / "all.h5")
    assert not (tmp_path / "all.h5").exists()


def test_files_of_the_first_version_stay_readable(record_factory: RecordFactory) -> None:
    file = FeatureFile.open(FOSSIL)
    assert_holds(file.load_all(), some(record_factory, 12), frames=False)
    assert file.header.config == FeaturizeConfig()
    assert file.header.prompt_fields == (("space_group", 0, 3), ("counts", 3, 7))
    assert file.header.tool_version == "0.1.0"
    assert file.header.frame_version == 0
    assert file.header.bands_version == 0
    assert file.bands(slice(2)) == [None, None]


def test_a_file_of_the_first_version_is_extended_without_frames(tmp_path: Path, record_factory: RecordFactory) -> None:
    path = tmp_path / "f.h5"
    shutil.copy(FOSSIL, path)
    write(path, some(record_factory, 3, first=12), of=frameless)
    assert_holds(FeatureFile.open(path).load_all(), some(record_factory, 15), frames=False)
    with h5py.File(path) as h5:
        assert h5.attrs["schema_version"] == SCHEMA_VERSION


def test_frames_and_no_frames_do_not_mix(tmp_path: Path, record_factory: RecordFactory) -> None:
    """Crystals without a frame among others would only be found out in training."""
    path = tmp_path / "f.h5"
    shutil.copy(FOSSIL, path)
    before = path.read_bytes()
    with pytest.raises(ShcError, match=r"f\.h5 was written with other parameters \(frame_version: 0 and 1\)") as caught:
        FeatureWriter(path, header())
    assert caught.value.exit_code == ExitCode.BAD_FILE
    assert "--overwrite" in caught.value.hint
    other = write(tmp_path / "other.h5", some(record_factory, 3, first=12))
    with pytest.raises(ShcError, match=r"cannot be joined \(frame_version: 0 and 1\)") as caught:
        merge_feature_files([path, other], tmp_path / "all.h5")
    assert caught.value.exit_code == ExitCode.BAD_FILE
    assert path.read_bytes() == before
    merge_feature_files([path], tmp_path / "all.h5")
    assert_holds(FeatureFile.open(tmp_path / "all.h5").load_all(), some(record_factory, 12), frames=False)
    with FeatureWriter(path, header(), overwrite=True) as writer:
        writer.append(some(record_factory, 12))
        writer.finish()
    assert_holds(FeatureFile.open(path).load_all(), some(record_factory, 12))


def test_an_unfinished_run_of_an_older_version_is_not_gone_on_with(
    tmp_path: Path, record_factory: RecordFactory
) -> None:
    path = tmp_path / "f.h5"
    with FeatureWriter(path, frameless()) as writer:
        writer.append(some(record_factory, 3))
    with pytest.raises(ShcError, match=r"f\.h5\.part .*frame_version: 0 and 1") as caught:
        FeatureWriter(path, header())
    assert caught.value.exit_code == ExitCode.BAD_FILE
    write(path, some(record_factory, 3), of=frameless)
    assert len(FeatureFile.open(path)) == 3


@pytest.mark.parametrize("version", [1, 2, 3])
def test_older_files_have_no_frames(version: int) -> None:
    file = FeatureFile.open(DATA / f"features_v{version}.h5")
    assert file.header.frame_version == 0
    assert file.load_all().standard_rotation is None


def test_files_of_the_fourth_version_stay_readable() -> None:
    file = FeatureFile.open(DATA / "features_v4.h5")
    assert file.material_ids == ["Pt", "Bi2Te3", "WTe2"]
    assert file.header.config == FeaturizeConfig(bands=BANDS_AUTO, bands_budget=2.0, pictures=True)
    header = file.header
    assert (header.frame_version, header.bands_version, header.pictures_version) == (1, 1, 1)
    rotations = file.load_all().standard_rotation
    assert rotations is not None
    assert rotations.dtype == np.float32
    half = np.sqrt(0.75)
    expected = [
        [[0, 1, 0], [1, 0, 0], [0, 0, -1]],
        [[-0.5, half, 0], [half, 0.5, 0], [0, 0, -1]],
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    ]
    np.testing.assert_allclose(rotations, expected, atol=1e-6)
    assert [record is None for record in file.bands(slice(None))] == [False, True, True]
    [(picture,), *others] = file.pictures(slice(None))
    assert others == [(), ()]
    assert (picture.source, picture.kind, picture.e_min_ev, picture.e_max_ev) == ("Pt.png", "file", -3.0, 3.0)


def test_batch_fields_are_the_columns_of_the_file() -> None:
    columns = {column.name for column in (*ALL_COLUMNS, *FRAME_COLUMNS)}
    assert {field.name for field in fields(FeatureBatch)} - {"pictures", "bands"} == columns
