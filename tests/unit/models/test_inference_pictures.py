from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from shc.featurize.band_image.codec import PictureSet, StoredPicture, encode
from shc.featurize.band_image.run import match_formulas
from shc.featurize.band_image.types import BandPicture, EnergyWindow
from shc.featurize.config import FeaturizeConfig
from shc.featurize.errors import ShcError
from shc.featurize.pipeline import current_header
from shc.featurize.prompt import PROMPT_FIELDS
from shc.featurize.store import FeatureBatch, FeatureHeader
from shc.featurize.store_writer import FeatureWriter
from shc.models.ensemble import load_ensemble, save_ensemble
from shc.models.inference import Predictor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from shc.featurize.band_image.run import RunPictures
    from shc.models.ensemble import Distributions, Ensemble
    from shc.models.prediction import Predicted
    from tests.conftest import RecordFactory

ROOT = Path(__file__).parents[3]
TINY = runpy.run_path(str(ROOT / "tests" / "data" / "tiny_model.py"))
tiny_ensemble: Callable[..., Ensemble] = TINY["tiny_ensemble"]
HEADER = FeatureHeader(FeaturizeConfig(pictures=True), 1, (("all", 0, 7),), 1, tuple("abcdefghi"), pictures_version=1)


class Watched(Predictor):
    """Keeps what the networks are given."""

    def __init__(self, *, reads_pictures: bool, sizes: tuple[int, int] = (7, 9)) -> None:
        super().__init__(tiny_ensemble(*sizes, model=TINY["FUSED" if reads_pictures else "SIZES"]))
        self.given: list[list[str] | None] = []

    def distributions(self, features: FeatureBatch) -> Distributions:
        given = features.pictures
        self.given += [None] * len(features) if given is None else [[p.source for p in found] for found in given]
        assert given is None or len(given) == len(features)
        return super().distributions(features)


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the pictures that were opened."""
    names: list[str] = []

    def read(path: Path, window: EnergyWindow | None = None) -> BandPicture:
        assert window is None
        names.append(path.name)
        if path.read_bytes() == b"broken":
            raise ShcError(f"{path.name}: a broken picture", "save it again")
        return BandPicture(np.zeros((1, 224, 224), np.float32), -3.0, 3.0, 1.0, (), None, None, (9, 9))

    monkeypatch.setattr("shc.featurize.band_image.read.read_bands_picture", read)
    return names


@pytest.fixture
def features(tmp_path: Path, record_factory: RecordFactory) -> Path:
    """Five crystals, of which the second and third have a stored picture."""
    image = np.zeros((1, 224, 224), np.float32)
    stored = encode(PictureSet((StoredPicture(image, -3.0, 3.0, 1.0, "stored"),)))
    with FeatureWriter(tmp_path / "f.h5", HEADER) as writer:
        writer.append([replace(record_factory(f"c{i}"), pictures=stored if i in {1, 2} else b"") for i in range(5)])
        return writer.finish()


@pytest.fixture
def pictures(tmp_path: Path) -> RunPictures:
    """New pictures of the third and fourth crystal, broken ones of the second and the last."""
    folder = tmp_path / "imgs"
    folder.mkdir()
    for name in ("c2.png", "c3_a.png", "c3_b.png"):
        (folder / name).touch()
    for name in ("c1.png", "c4.png"):
        (folder / name).write_bytes(b"broken")
    return match_formulas([folder], None, {f"c{i}": "X" for i in range(5)})


def names_of(parts: Iterable[Predicted]) -> tuple[list[str], list[str]]:
    ids, failed = [], []
    for part in parts:
        ids += [row.material_id for row in part.predictions]
        failed += [f"{failure.stage} {Path(failure.path).name}" for failure in part.failures]
    return ids, failed


def test_a_model_of_structures_opens_no_picture(features: Path, pictures: RunPictures, opened: list[str]) -> None:
    predictor = Watched(reads_pictures=False)
    ids, failed = names_of(predictor.iter_feature_file(features, pictures=pictures))
    assert (ids, failed, opened) == ([f"c{i}" for i in range(5)], [], [])
    assert predictor.given == [None] * 5


def test_a_picture_of_the_folder_wins_over_a_stored_one(features: Path, pictures: RunPictures) -> None:
    predictor = Watched(reads_pictures=True)
    ids, failed = names_of(predictor.iter_feature_file(features, window=2, pictures=pictures))
    assert ids == [f"c{i}" for i in range(5)]
    assert failed == ["picture c1.png", "picture c4.png"]
    assert predictor.given == [[], ["stored"], ["c2.png"], ["c3_a.png", "c3_b.png"], []]


def test_stored_pictures_are_read_without_a_folder(features: Path) -> None:
    predictor = Watched(reads_pictures=True)
    list(predictor.iter_feature_file(features, rows=slice(1, None, 2)))
    assert predictor.given == [["stored"], []]


@pytest.mark.parametrize("reads_pictures", [True, False])
def test_pictures_of_structure_files_are_read_only_if_they_are_used(
    tmp_path: Path, opened: list[str], reads_pictures: bool
) -> None:
    sizes = max(span.stop for _, span in PROMPT_FIELDS), len(current_header(FeaturizeConfig()).descriptor_names)
    predictor = Watched(reads_pictures=reads_pictures, sizes=sizes)
    (tmp_path / "Pt_1.png").touch()
    (tmp_path / "Au.png").write_bytes(b"broken")
    paths = [str(ROOT / "examples" / f"{name}.cif") for name in ("Au", "Pt", "W")]
    found = match_formulas([tmp_path], None, dict.fromkeys(("Au", "Pt", "W"), ""))
    ids, failed = names_of(predictor.iter_sources(paths, pictures=found))
    assert ids == ["Au", "Pt", "W"]
    assert predictor.given == ([[], ["Pt_1.png"], []] if reads_pictures else [None] * 3)
    assert failed == (["picture Au.png"] if reads_pictures else [])
    assert opened == (["Au.png", "Pt_1.png"] if reads_pictures else [])


def test_the_card_says_whether_pictures_are_read(tmp_path: Path) -> None:
    save_ensemble(tmp_path, Watched(reads_pictures=True).ensemble)
    assert load_ensemble(tmp_path).card.reads_pictures
    assert not tiny_ensemble(7, 9).card.reads_pictures
