from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from shc.featurize.electronic.picture import band_image, is_band_image, save_png
from shc.featurize.electronic.record import DOS_GRID, ElectronicRecord

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def _record(energy: NDArray[np.float64], breaks: tuple[int, ...] = ()) -> ElectronicRecord:
    distance = np.arange(len(energy), dtype=np.float32)
    for index in breaks:
        distance[index:] -= 1.0
    return ElectronicRecord(
        energy=energy.astype(np.float32),
        scalar_energy=energy.astype(np.float32),
        distance=distance,
        labels=((0, "GAMMA"), (len(energy) - 1, "X")),
        breaks=breaks,
        shc=np.zeros((41, 3, 3, 3), np.float32),
        dos=np.zeros(len(DOS_GRID), np.float32),
        fermi_ev=-5.0,
        gap_ev=0.0,
        k_mesh=(4, 4, 4),
        seconds=0.1,
        flags=(),
    )


def test_image_has_the_shape_and_range_of_the_models_input() -> None:
    picture = band_image(_record(np.stack([np.linspace(-4.0, 4.0, 50), np.zeros(50)], axis=1)))
    assert picture.shape == (1, 224, 224)
    assert picture.dtype == np.float32
    assert (picture.min(), picture.max()) == (0.0, 1.0)
    # The level band at the Fermi level takes the two middle rows, the other crosses it in the middle.
    assert picture[0, 111].min() == picture[0, 112].min() == 0.75
    assert picture[0, :56, :112].max() == 0.0
    assert picture[0, :56, 112:].max() == 1.0


def test_breaks_of_the_record_leave_holes() -> None:
    energy = np.concatenate([np.full((10, 1), -2.0), np.full((10, 1), 2.0)])
    assert not band_image(_record(energy, breaks=(10,)))[0, 60:164].any()
    assert band_image(_record(energy))[0, 60:164].any(axis=1).all()


def test_crystal_without_bands_near_the_fermi_level_is_an_empty_picture() -> None:
    picture = band_image(_record(np.empty((12, 0))))
    assert picture.shape == (1, 224, 224)
    assert not picture.any()


def test_png_is_dark_ink_on_white(tmp_path: Path) -> None:
    picture = band_image(_record(np.linspace(-2.0, 2.0, 30)[:, None]))
    path = tmp_path / "bands.png"
    save_png(picture, path)
    save_png(picture, path)  # replaces
    assert [entry.name for entry in tmp_path.iterdir()] == ["bands.png"]
    with Image.open(path) as stored:
        assert (stored.format, stored.mode, stored.size) == ("PNG", "L", (224, 224))
        grey = np.asarray(stored)
    assert (grey.min(), grey.max()) == (0, 255)
    np.testing.assert_allclose(1.0 - grey / 255.0, picture[0], atol=0.5 / 255.0 + 1e-6)
    assert is_band_image(path)
    Image.fromarray(grey).save(path)
    assert not is_band_image(path)


@pytest.mark.parametrize("image", [np.zeros((4, 4)), np.full((1, 4, 4), 1.2), np.full((1, 4, 4), np.nan)])
def test_what_is_no_picture_is_refused(image: NDArray[np.float32], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"image must be \[1, H, W\]"):
        save_png(image, tmp_path / "bands.png")
    assert not list(tmp_path.iterdir())
