from __future__ import annotations

import pickle
import runpy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from shc.featurize.config import BANDS_AUTO, FeaturizeConfig
from shc.featurize.electronic.codec import encode
from shc.featurize.errors import ExitCode, ShcError
from shc.featurize.store import SCHEMA_VERSION, FeatureFile, FeatureHeader
from shc.featurize.store_merge import merge_feature_files
from shc.featurize.store_writer import FeatureWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from shc.featurize.electronic.record import ElectronicRecord
    from shc.featurize.types import CrystalRecord
    from tests.conftest import RecordFactory

DATA = Path(__file__).parents[2] / "data"
FOSSIL = DATA / "features_v2.h5"
PLAIN = FeatureHeader(FeaturizeConfig(), 1, (("counts", 0, 7),), 1, tuple("abcdefghi"))
HEADER = replace(PLAIN, config=FeaturizeConfig(bands=BANDS_AUTO), bands_version=1)
make: Callable[..., ElectronicRecord] = runpy.run_path(str(DATA / "stand_in.py"))["electronic_record"]


def some(factory: RecordFactory, n: int, first: int = 0) -> list[CrystalRecord]:
    """Crystals of which every third has no bands, and the first has none either."""
    return [
        replace(factory(f"m{i}", n_atoms=2 + i % 3, n_nodes=1 + i % 2), bands=encode(make(i)) if i % 3 else b"")
        for i in range(first, first + n)
    ]


def write(path: Path, records: Sequence[CrystalRecord], header: FeatureHeader = HEADER) -> Path:
    with FeatureWriter(path, header) as writer:
        for start in range(0, len(records), 4):
            writer.append(records[start : start + 4])
        return writer.finish()


def packed(records: Sequence[ElectronicRecord | None]) -> list[bytes]:
    return [b"" if record is None else encode(record) for record in records]


@pytest.mark.parametrize(
    "indices",
    [slice(None), slice(2, 5), slice(None, None, -1), slice(7, 3), np.array([8, 1, 1, -1]), np.array([], dtype=int)],
)
def test_records_are_read_on_demand(
    tmp_path: Path, record_factory: RecordFactory, indices: slice | NDArray[np.int64]
) -> None:
    records = some(record_factory, 9)
    file = FeatureFile.open(write(tmp_path / "f.h5", records))
    wanted = [records[i].bands for i in np.arange(9)[indices]]
    assert packed(file.bands(indices)) == wanted
    assert packed(pickle.loads(pickle.dumps(file)).bands(indices)) == wanted  # noqa: S301
    assert len(file.read(indices)) == len(wanted)


def test_the_file_says_what_it_holds(tmp_path: Path, record_factory: RecordFactory) -> None:
    records = some(record_factory, 9)
    path = write(tmp_path / "f.h5", records)
    with h5py.File(path) as h5:
        data, offsets = h5["bands/record"], h5["crystal/bands_offsets"]
        assert (data.dtype, offsets.dtype) == (np.uint8, np.int64)
        assert data[...].tobytes() == b"".join(record.bands for record in records)
        assert offsets[:3].tolist() == [0, 0, len(records[1].bands)]
        assert data.attrs["unit"] == "1"
        assert h5.attrs["schema_version"] == SCHEMA_VERSION
    header = FeatureFile.open(path).header
    assert (header.config.bands, header.bands_version) == (BANDS_AUTO, 1)
    with pytest.raises(IndexError):
        FeatureFile.open(path).bands(np.array([9]))


def test_a_file_without_bands_has_no_place_for_them(tmp_path: Path, record_factory: RecordFactory) -> None:
    path = write(tmp_path / "f.h5", some(record_factory, 4), PLAIN)
    with h5py.File(path) as h5:
        assert "bands" not in h5
        assert "bands_offsets" not in h5["crystal"]
    assert FeatureFile.open(path).bands(slice(None)) == [None] * 4


def test_a_file_in_which_no_crystal_has_bands_can_be_read(tmp_path: Path, record_factory: RecordFactory) -> None:
    records = [replace(record, bands=b"") for record in some(record_factory, 4)]
    file = FeatureFile.open(write(tmp_path / "f.h5", records))
    assert file.bands(slice(None)) == [None] * 4


def test_extending_replacing_and_merging_keep_the_bands(tmp_path: Path, record_factory: RecordFactory) -> None:
    records = some(record_factory, 12)
    first = write(tmp_path / "1.h5", records[:5])
    write(first, records[5:8])
    other = replace(record_factory("m1", seed=5), bands=encode(make(77)))
    write(first, [other])
    expected = [records[0], *records[2:8], other]
    assert packed(FeatureFile.open(first).bands(slice(None))) == [record.bands for record in expected]
    second = write(tmp_path / "2.h5", [*records[6:]])
    merge_feature_files([first, second], tmp_path / "all.h5")
    merged = FeatureFile.open(tmp_path / "all.h5")
    assert packed(merged.bands(slice(None))) == [record.bands for record in [*expected, *records[8:]]]
    assert merged.material_ids[-1] == "m11"


def test_bands_and_no_bands_do_not_mix(tmp_path: Path, record_factory: RecordFactory) -> None:
    plain = write(tmp_path / "plain.h5", some(record_factory, 3), PLAIN)
    with_bands = write(tmp_path / "bands.h5", some(record_factory, 3, first=3))
    for path, header in ((plain, HEADER), (with_bands, PLAIN)):
        with pytest.raises(ShcError, match=r"bands: \w+ and \w+") as caught:
            FeatureWriter(path, header)
        assert caught.value.exit_code == ExitCode.BAD_FILE
    with pytest.raises(ShcError, match="bands: none and auto") as caught:
        merge_feature_files([plain, with_bands], tmp_path / "all.h5")
    assert caught.value.exit_code == ExitCode.BAD_FILE
    with pytest.raises(ShcError, match="bands_budget"):
        FeatureWriter(with_bands, replace(HEADER, config=replace(HEADER.config, bands_budget=9.0)))
    # Without bands the budget means nothing.
    write(plain, [record_factory("m9")], replace(PLAIN, config=replace(PLAIN.config, bands_budget=9.0)))
    assert len(FeatureFile.open(plain)) == 4


def test_damage_to_the_bands_is_told(tmp_path: Path, record_factory: RecordFactory) -> None:
    path = write(tmp_path / "f.h5", some(record_factory, 5))
    with h5py.File(path, "r+") as h5:
        h5["bands/record"][40] ^= 255
    file = FeatureFile.open(path)
    assert len(file.load_all()) == 5
    with pytest.raises(ShcError, match=r"f\.h5: .*damaged") as caught:
        file.bands(slice(None))
    assert caught.value.exit_code == ExitCode.BAD_FILE
    with h5py.File(path, "r+") as h5:
        h5["crystal/bands_offsets"][2] = 10**9
    with pytest.raises(ShcError, match="bands_offsets do not ascend"):
        FeatureFile.open(path)
    with h5py.File(path, "r+") as h5:
        del h5["bands"]
    with pytest.raises(ShcError, match="damaged"):
        FeatureFile.open(path)


def test_files_of_the_second_version_stay_readable() -> None:
    file = FeatureFile.open(FOSSIL)
    assert file.material_ids == ["Pt", "GaAs", "Si"]
    assert file.header.config == FeaturizeConfig(bands=BANDS_AUTO, bands_budget=2.0)
    assert file.header.bands_version == 1
    platinum, arsenide, silicon = file.bands(slice(None))
    assert silicon is None
    assert platinum is not None
    assert arsenide is not None
    assert platinum.shc_max_abs == pytest.approx(697.24231, rel=1e-6)
    assert arsenide.shc_max_abs == pytest.approx(740.06323, rel=1e-6)
    assert [platinum.dos_fermi, arsenide.dos_fermi] == pytest.approx([6.143506, 5.345259])
    assert platinum.energy.shape == (48, 20)
    assert platinum.scalar_energy.shape == (48, 9)
    assert float(arsenide.scalar_energy[7, 5]) == pytest.approx(-0.935)
    assert float(platinum.energy[7, 5]) == pytest.approx(-1.815)
    assert arsenide.labels == ((0, "GAMMA"), (23, "X"), (24, "K"), (47, "GAMMA"))
    assert (platinum.breaks, platinum.k_mesh, platinum.flags) == ((24,), (8, 8, 6), ("coarsened",))
    assert (platinum.fermi_ev, platinum.gap_ev, platinum.seconds) == (-5.25, 0.0, 0.25)
    assert platinum.distance[-1] == pytest.approx(1.44)
