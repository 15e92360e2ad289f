from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from shc.featurize import batch as batch_module
from shc.featurize.batch import featurize_batch
from shc.featurize.config import FeaturizeConfig
from shc.featurize.descriptors import descriptors
from shc.featurize.store import FeatureBatch

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

CONFIG = FeaturizeConfig()
POSCAR = "cell\n1.0\n{a} 0 0\n0 {a} 0\n0 0 {a}\n{symbol} Cl\n1 1\nDirect\n0 0 0\n0.5 0.5 0.5\n"


def write_poscar(folder: Path, symbol: str, a: float) -> Path:
    path = folder / f"{symbol}Cl.vasp"
    path.write_text(POSCAR.format(symbol=symbol, a=a))
    return path


def test_an_element_beyond_the_table_fails_alone(tmp_path: Path) -> None:
    paths = [write_poscar(tmp_path, symbol, 4.0 + 0.1 * i) for i, symbol in enumerate(("Cs", "Rf", "Tl"))]
    records, [failure] = featurize_batch(paths, CONFIG)
    assert [record.material_id for record in records] == ["CsCl", "TlCl"]
    assert (failure.path, failure.stage) == (str(paths[1]), "descriptors")
    assert "104" in failure.error
    assert failure.hint
    [alone], _ = featurize_batch(paths[2:], CONFIG)
    np.testing.assert_array_equal(records[1].descriptors, alone.descriptors)


def test_descriptors_that_fail_for_a_batch_are_tried_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [write_poscar(tmp_path, symbol, 4.0 + 0.1 * i) for i, symbol in enumerate(("Cs", "Rb", "Tl"))]
    expected, _ = featurize_batch(paths, CONFIG)

    def failing(lattice: np.ndarray, *arrays: np.ndarray) -> np.ndarray:
        if (np.abs(lattice[:, 0, 0] - 4.1) < 1e-6).any():
            raise ZeroDivisionError("a defect")
        return descriptors(lattice, *arrays)

    monkeypatch.setattr(batch_module, "descriptors", failing)
    records, [failure] = featurize_batch(paths, CONFIG)
    assert (failure.path, failure.stage) == (str(paths[1]), "descriptors")
    assert failure.error == "unexpected ZeroDivisionError: a defect"
    for record, other in zip(records, [expected[0], expected[2]], strict=True):
        np.testing.assert_array_equal(record.descriptors, other.descriptors)


def test_frames_may_be_left_out_and_nothing_else_changes(tmp_path: Path) -> None:
    path = write_poscar(tmp_path, "Cs", 4.1)
    [without], _ = featurize_batch([path], CONFIG, frames=False)
    [with_frame], _ = featurize_batch([path], CONFIG)
    assert without.standard_rotation is None
    assert with_frame.standard_rotation is not None
    np.testing.assert_array_equal(without.descriptors, with_frame.descriptors)
    np.testing.assert_array_equal(without.neighbour_distance, with_frame.neighbour_distance)
    assert FeatureBatch.from_records([without, without]).standard_rotation is None
    assert FeatureBatch.from_records([without, with_frame]).standard_rotation is None
    joined = FeatureBatch.from_records([with_frame]).standard_rotation
    assert joined is not None
    np.testing.assert_array_equal(joined[0], with_frame.standard_rotation)
