from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from shc.featurize.band_image.read import read_bands_picture
from shc.featurize.band_image.types import EnergyWindow
from shc.featurize.electronic.picture import band_image, save_png

STAND_IN: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[2] / "data" / "stand_in.py"))


def test_our_own_picture_is_taken_as_it_is(tmp_path: Path) -> None:
    ideal = band_image(STAND_IN["electronic_record"](5))
    path = tmp_path / "Pt.png"
    save_png(ideal, path)
    for window in (None, EnergyWindow(-1.0, 1.0)):
        found = read_bands_picture(path, window)
        np.testing.assert_allclose(found.image, ideal, atol=0.5 / 255.0 + 1e-6)
        assert (found.e_min_ev, found.e_max_ev, found.confidence, found.reasons) == (-3.0, 3.0, 1.0, ())
        assert found.axis is not None
        assert found.axis.energy(112.0) == 0.0
        assert found.axis.energy(0.0) == 3.0


def test_the_same_pixels_without_the_mark_are_a_figure_without_numbers(tmp_path: Path) -> None:
    path = tmp_path / "Pt.png"
    save_png(band_image(STAND_IN["electronic_record"](5)), path)
    with Image.open(path) as picture:
        pixels = np.asarray(picture)
    Image.fromarray(pixels).save(path)
    found = read_bands_picture(path)
    assert found.confidence == 0.0
    assert not found.image.any()
    assert found.reasons
