from __future__ import annotations

import pickle
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from shc.featurize.band_image.codec import NO_STAMP, BadPicture, PictureSet, StoredPicture, counts, encode
from shc.featurize.config import BANDS_AUTO, FeaturizeConfig
from shc.featurize.errors import ExitCode, ShcError
from shc.featurize.store import SCHEMA_VERSION, FeatureFile, FeatureHeader, part_path
from shc.featurize.store_merge import merge_feature_files
from shc.featurize.store_writer import FeatureWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from shc.featurize.types import CrystalRecord
    from tests.conftest import RecordFactory

DATA = Path(__file__).parents[2] / "data"
PLAIN = FeatureHeader(FeaturizeConfig(), 1, (("counts", 0, 7),), 1, tuple("abcdefghi"))
HEADER = replace(PLAIN, config=FeaturizeConfig(pictures=True), pictures_version=1)


def pictures(seed: int, n: int, *, n_bad: int = 0) -> bytes:
    """Packed pictures of whole numbers of ink."""
    rng = np.random.default_rng(seed)
    images = (rng.random((n, 1, 224, 224)) < 0.02).astype(np.float32)
    good = tuple(StoredPicture(image, -3.0, 3.0, 0.5, f"{seed}-{i}.png") for i, image in enumerate(images))
    bad = tuple(BadPicture(n + i, f"error {i}", "hint") for i in range(n_bad))
    return encode(PictureSet(good, bad, bytes([seed % 256]) * 32))


def some(factory: RecordFactory, n: int, first: int = 0) -> list[CrystalRecord]:
    """Crystals with none, one and two pictures in turn."""
    return [
        replace(
            factory(f"m{i}", n_atoms=2 + i % 3, n_nodes=1 + i % 2),
            pictures=pictures(i, i % 3, n_bad=i % 4 == 1) if i % 3 else b"",
        )
        for i in range(first, first + n)
    ]


def write(path: Path, records: Sequence[CrystalRecord], header: FeatureHeader = HEADER) -> Path:
    with FeatureWriter(path, header) as writer:
        for start in range(0, len(records), 4):
            writer.append(records[start : start + 4])
        return writer.finish()


def sources(found: Sequence[tuple[StoredPicture, ...]]) -> list[list[str]]:
    return [[picture.source for picture in crystal] for crystal in found]


@pytest.mark.parametrize(
    "indices",
    [slice(None), slice(2, 5), slice(None, None, -1), slice(7, 3), np.array([8, 1, 1, -1]), np.array([], dtype=int)],
)
def test_pictures_are_read_on_demand(
    tmp_path: Path, record_factory: RecordFactory, indices: slice | NDArray[np.int64]
) -> None:
    file = FeatureFile.open(write(tmp_path / "f.h5", some(record_factory, 9)))
    wanted = [[f"{i}-{k}.png" for k in range(i % 3)] for i in np.arange(9)[indices]]
    assert sources(file.pictures(indices)) == wanted
    assert sources(pickle.loads(pickle.dumps(file)).pictures(indices)) == wanted  # noqa: S301
    assert file.read(indices).pictures is None


def test_the_file_says_what_it_holds(tmp_path: Path, record_factory: RecordFactory) -> None:
    records = some(record_factory, 9)
    path = write(tmp_path / "f.h5", records)
    with h5py.File(path) as h5:
        data, offsets = h5["pictures/packed"], h5["crystal/pictures_offsets"]
        assert (data.dtype, offsets.dtype) == (np.uint8, np.int64)
        assert data[...].tobytes() == b"".join(record.pictures for record in records)
        assert offsets[:3].tolist() == [0, 0, len(records[1].pictures)]
        assert data.attrs["unit"] == "1"
        assert (h5.attrs["schema_version"], h5.attrs["pictures_version"]) == (SCHEMA_VERSION, 1)
        assert "bands" not in h5
    file = FeatureFile.open(path)
    assert [c.stamp for c in file.picture_counts(slice(None))] == [
        bytes([i]) * 32 if i % 3 else NO_STAMP for i in range(9)
    ]
    assert file.formulas == [record.formula for record in records]


def test_a_file_without_pictures_has_no_place_for_them(tmp_path: Path, record_factory: RecordFactory) -> None:
    path = write(tmp_path / "f.h5", some(record_factory, 4), PLAIN)
    with h5py.File(path) as h5:
        assert "pictures" not in h5
        assert "pictures_offsets" not in h5["crystal"]
    file = FeatureFile.open(path)
    assert file.pictures(slice(None)) == [()] * 4
    assert [c.stamp for c in file.picture_counts(slice(None))] == [NO_STAMP] * 4


def test_pictures_and_bands_lie_side_by_side(tmp_path: Path, record_factory: RecordFactory) -> None:
    both = replace(HEADER, config=FeaturizeConfig(pictures=True, bands=BANDS_AUTO), bands_version=1)
    records = [replace(record, bands=bytes([i]) * i) for i, record in enumerate(some(record_factory, 6))]
    file = FeatureFile.open(write(tmp_path / "f.h5", records, both))
    assert sources(file.pictures(slice(None))) == [[f"{i}-{k}.png" for k in range(i % 3)] for i in range(6)]
    assert np.diff(file.columns["bands_offsets"]).tolist() == [0, 1, 2, 3, 4, 5]


def test_a_writer_knows_what_was_done_with_pictures(tmp_path: Path, record_factory: RecordFactory) -> None:
    path, records = tmp_path / "f.h5", some(record_factory, 6)
    write(path, records[:3])
    with FeatureWriter(path, HEADER) as writer:
        writer.append(records[3:])
        writer.append([replace(records[1], pictures=pictures(40, 1))])
    # As after a crash: the journal is there, and the file as it was.
    with FeatureWriter(path, HEADER) as writer:
        assert writer.stamps == {r.material_id: counts(r.pictures).stamp for r in records} | {"m1": bytes([40]) * 32}
        assert writer.bad_pictures == {"m5": (BadPicture(2, "error 0", "hint"),)}
        writer.finish()
    file = FeatureFile.open(path)
    assert file.material_ids == ["m0", "m2", "m3", "m4", "m5", "m1"]
    assert sources(file.pictures(slice(-2, None))) == [["5-0.png", "5-1.png"], ["40-0.png"]]
    assert not part_path(path).exists()


def test_merging_keeps_pictures(tmp_path: Path, record_factory: RecordFactory) -> None:
    records = some(record_factory, 12)
    first, second = write(tmp_path / "1.h5", records[:8]), write(tmp_path / "2.h5", records[6:])
    assert merge_feature_files([first, second], tmp_path / "all.h5").n_duplicates == 2
    merged = FeatureFile.open(tmp_path / "all.h5")
    assert sources(merged.pictures(slice(None))) == [[f"{i}-{k}.png" for k in range(i % 3)] for i in range(12)]


def test_a_crystal_with_other_pictures_is_no_duplicate(tmp_path: Path, record_factory: RecordFactory) -> None:
    records = some(record_factory, 4)
    first = write(tmp_path / "1.h5", records)
    second = write(tmp_path / "2.h5", [replace(records[2], pictures=pictures(90, 1))])
    with pytest.raises(ShcError, match=r"m2 \(other pictures in .*1\.h5 and .*2\.h5\)") as caught:
        merge_feature_files([first, second], tmp_path / "all.h5")
    assert caught.value.exit_code == ExitCode.BAD_FILE


def test_pictures_and_no_pictures_do_not_mix(tmp_path: Path, record_factory: RecordFactory) -> None:
    plain = write(tmp_path / "plain.h5", some(record_factory, 3), PLAIN)
    with_pictures = write(tmp_path / "pictures.h5", some(record_factory, 3, first=3))
    for path, header in ((plain, HEADER), (with_pictures, PLAIN)):
        with pytest.raises(ShcError, match=r"pictures: \w+ and \w+.*pictures_version: \d and \d") as caught:
            FeatureWriter(path, header)
        assert caught.value.exit_code == ExitCode.BAD_FILE
    with pytest.raises(ShcError, match="cannot be joined \\(pictures: False and True"):
        merge_feature_files([plain, with_pictures], tmp_path / "all.h5")
    with pytest.raises(ShcError, match="styles: 0 and 2"):
        FeatureWriter(with_pictures, replace(HEADER, config=replace(HEADER.config, styles=2)))
    with pytest.raises(ShcError, match="pictures_version: 1 and 2"):
        FeatureWriter(with_pictures, replace(HEADER, pictures_version=2))


def test_damage_to_the_pictures_is_told(tmp_path: Path, record_factory: RecordFactory) -> None:
    path = write(tmp_path / "f.h5", some(record_factory, 5))
    with h5py.File(path, "r+") as h5:
        h5["pictures/packed"][100] ^= 255
    file = FeatureFile.open(path)
    assert len(file.load_all()) == 5
    with pytest.raises(ShcError, match=r"f\.h5: .*damaged") as caught:
        file.pictures(slice(None))
    assert caught.value.exit_code == ExitCode.BAD_FILE
    with h5py.File(path, "r+") as h5:
        h5["pictures/packed"][0] = 0
    with pytest.raises(ShcError, match=re.escape(f"{path}: stored pictures are damaged")):
        list(FeatureFile.open(path).picture_counts(slice(None)))
    with pytest.raises(ShcError, match="damaged"):
        FeatureWriter(path, HEADER)
    with h5py.File(path, "r+") as h5:
        h5["crystal/pictures_offsets"][2] = 10**9
    with pytest.raises(ShcError, match="pictures_offsets do not ascend"):
        FeatureFile.open(path)


@pytest.mark.parametrize("version", [1, 2])
def test_older_files_have_no_pictures(version: int) -> None:
    file = FeatureFile.open(DATA / f"features_v{version}.h5")
    assert (file.header.config.pictures, file.header.config.styles, file.header.pictures_version) == (False, 0, 0)
    assert file.pictures(slice(None)) == [()] * len(file)


def test_files_of_the_third_version_stay_readable() -> None:
    file = FeatureFile.open(DATA / "features_v3.h5")
    assert file.material_ids == ["Pt", "GaAs", "Si"]
    assert file.header.config == FeaturizeConfig(bands=BANDS_AUTO, bands_budget=2.0, pictures=True, styles=1)
    assert (file.header.bands_version, file.header.pictures_version) == (1, 1)
    platinum, arsenide, silicon = file.pictures(slice(None))
    assert silicon == ()
    assert [(p.source, p.kind, p.e_min_ev, p.e_max_ev, p.confidence) for p in platinum + arsenide] == [
        ("Pt.png", "file", -3.0, 3.0, 1.0),
        ("0", "styled", -2.5, 1.5, 0.625),
        ("1", "styled_scalar", -1.0, 3.0, 0.5),
    ]
    assert [float(p.image.sum(dtype=np.float64)) for p in platinum + arsenide] == pytest.approx(
        [5454.0667, 5454.0667, 4193.5333], rel=1e-6
    )
    np.testing.assert_array_equal(platinum[0].image[0, ::-1], platinum[1].image[0])
    assert float(arsenide[0].image[0, 40, 50:60].sum()) == pytest.approx(1.6666667)
    assert [c.stamp for c in file.picture_counts(slice(None))] == [bytes(range(32)), bytes(range(32, 64)), NO_STAMP]
    bands = file.bands(slice(None))
    assert [record is None for record in bands] == [False, False, True]
