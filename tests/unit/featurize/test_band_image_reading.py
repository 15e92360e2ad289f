from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from shc.featurize.band_image import reading
from shc.featurize.band_image.listing import Picture
from shc.featurize.band_image.reading import PictureReader
from shc.featurize.band_image.types import EnergyWindow

WINDOW = EnergyWindow(-2.0, 2.5)


@pytest.fixture
def crystals(tmp_path: Path) -> list[list[Picture]]:
    """Three crystals with two pictures, none and three, of which one is broken and one shows nothing."""
    figure = Image.new("RGB", (480, 360), "white")
    pen = ImageDraw.Draw(figure)
    pen.rectangle((60, 30, 440, 320), outline="black", width=2)
    for i in range(5):
        points = [(x, 60 + 50 * i + 30 * ((x - 250) / 190) ** 2) for x in range(62, 439)]
        pen.line(points, fill="blue", width=2)
    for name in ("a", "b", "c"):
        figure.save(tmp_path / f"{name}.png")
    (tmp_path / "broken.png").write_bytes((tmp_path / "a.png").read_bytes()[:300])
    Image.new("RGB", (480, 360), "white").save(tmp_path / "empty.png")
    names = (("a", "b"), (), ("broken", "c", "empty"))
    return [[Picture(tmp_path / f"{name}.png", WINDOW) for name in some] for some in names]


@pytest.mark.parametrize("pooled", [False, True])
def test_pictures_come_back_to_their_crystals(
    crystals: list[list[Picture]], monkeypatch: pytest.MonkeyPatch, pooled: bool
) -> None:
    if pooled:
        monkeypatch.setattr(reading, "IN_PROCESS_BELOW", 1)
        monkeypatch.setattr(reading, "_CHUNK", 2)
    with PictureReader(workers=1) as reader:
        for _ in range(2):
            found, failures = reader.read(crystals)
            assert [[p.source for p in some] for some in found] == [["a.png", "b.png"], [], ["c.png"]]
            windows = [(p.e_min_ev, p.e_max_ev) for some in found for p in some]
            assert windows == [pytest.approx((-2.0, 2.5), abs=0.1)] * 3
            assert all(p.image.max() > 0.5 for some in found for p in some)
            assert [(Path(f.path).name, f.stage) for f in failures] == [
                ("broken.png", "picture"),
                ("empty.png", "picture"),
            ]
        assert (reader._pool is not None) == pooled


def test_nothing_gives_nothing() -> None:
    with PictureReader() as reader:
        assert reader.read([[], []]) == ([(), ()], [])
