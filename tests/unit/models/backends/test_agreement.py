from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from shc.featurize.errors import ExitCode, ShcError
from shc.featurize.store import FeatureFile
from shc.models.backends.agreement import EXAMPLES, Agreement, agreement, compare, read_examples
from shc.models.backends.eager import Eager
from shc.models.device import choose_device
from shc.models.ensemble import Ensemble, load_ensemble, shown
from shc.models.modalities import SUBSETS
from shc.models.pictures import usable

if TYPE_CHECKING:
    from shc.featurize.store import FeatureBatch
    from shc.models.data import CrystalBatch
    from shc.models.members import Said

CPU = choose_device("cpu")
VALUES = np.geomspace(1.0, 3000.0, 400)


class Watched(Eager):
    """Remembers what it was shown, and may say something else about some crystals."""

    def __init__(self, ensemble: Ensemble, wrong: int = -1) -> None:
        super().__init__(ensemble, CPU)
        self.wrong = wrong
        self.seen: list[tuple[set[int], tuple[int, ...]]] = []

    def say(self, batch: CrystalBatch) -> Said:
        subsets = set(shown(batch).tolist())
        self.seen.append((subsets, tuple(batch.neighbours.shape)))
        said = super().say(batch)
        if self.wrong in subsets:
            return said._replace(probability=said.probability.flip(1))
        return said


@pytest.mark.parametrize(
    ("found", "good", "within"),
    [
        (VALUES, True, 1.0),
        (VALUES * 1.009, True, 1.0),
        (VALUES + 0.9 * np.resize([1.0, 0.999], 400), True, 1.0),
        (VALUES * 1.02, False, np.mean(0.02 * VALUES <= 1.0)),
        (np.where(np.arange(400) < 4, VALUES + 500.0, VALUES), False, 0.99),
        (np.where(np.arange(400) >= 396, VALUES * 1.02, VALUES), True, 0.99),
        (np.where(np.arange(400) >= 395, VALUES * 1.02, VALUES), False, 0.9875),
        (np.full(400, 50.0), False, None),
        (np.full(400, np.nan), False, 0.0),
    ],
)
def test_thresholds(found: np.ndarray, good: bool, within: float | None) -> None:
    measured = agreement(found, VALUES)
    assert measured.n == 400
    assert measured.good == good
    if within is not None:
        assert measured.within == pytest.approx(within)
    if np.isfinite(found).all():
        assert measured.largest == pytest.approx(np.abs(found - VALUES).max())


def test_ranking_alone_can_fail() -> None:
    assert Agreement(10, 1.0, 0.1, 0.9996).good
    assert not Agreement(10, 1.0, 0.1, 0.9994).good
    assert not Agreement(10, 0.98, 0.1, 1.0).good
    assert str(Agreement(96, 0.99, 1.25, 0.9999)) == (
        "99.0 % of 96 values within 1 % or 1 (hbar/e) S/cm, largest difference 1.2, rank correlation 0.99990"
    )


def test_two_batches_of_different_shape_are_compared_of_each_subset(fused: Ensemble, examples: FeatureBatch) -> None:
    backend, reference = Watched(fused), Watched(fused)
    same = compare(fused, backend, reference, examples)
    assert same[:3] == (len(SUBSETS) * len(examples), 1.0, 0.0)
    assert same.ranking == pytest.approx(1.0)
    assert backend.seen == reference.seen
    for subset in range(len(SUBSETS)):
        shapes = {shape for subsets, shape in backend.seen if subsets == {subset}}
        assert len(shapes) >= 2
        assert len({shape[0] for shape in shapes}) >= 2
        assert len({shape[1:] for shape in shapes}) >= 2


def test_only_what_is_known_is_compared(fused: Ensemble, alone: Ensemble, examples: FeatureBatch) -> None:
    backend = Watched(fused)
    assert compare(fused, backend, Eager(fused, CPU), replace(examples, pictures=None)).n == 2 * len(examples)
    assert {place for subsets, _ in backend.seen for place in subsets} == {0, 1}
    bare = read_examples(alone)
    assert bare.bands is None
    assert bare.pictures is None
    assert compare(alone, Eager(alone, CPU), Eager(alone, CPU), bare).n == len(bare)


@pytest.mark.parametrize("wrong", range(len(SUBSETS)))
def test_a_back_end_that_is_wrong_about_one_subset_is_seen(fused: Ensemble, examples: FeatureBatch, wrong: int) -> None:
    found = compare(fused, Watched(fused, wrong), Eager(fused, CPU), examples)
    assert not found.good
    assert found.within < 0.9


def test_examples_must_fit_the_networks(fused: Ensemble) -> None:
    strange = replace(fused, card=replace(fused.card, n_descriptors=3))
    with pytest.raises(ShcError, match=r"examples\.h5 does not fit the model tiny 0: number of descriptors") as caught:
        read_examples(strange)
    assert caught.value.exit_code is ExitCode.BAD_FILE


def test_the_examples_fit_the_shipped_model_and_hold_every_example_crystal() -> None:
    shipped = load_ensemble()
    found = read_examples(shipped)
    cifs = Path(__file__).parents[4] / "examples"
    assert sorted(found.material_id) == sorted(path.stem for path in cifs.glob("*.cif"))
    assert found.bands is not None
    assert all(record is not None for record in found.bands)
    assert found.pictures is not None
    assert all(usable(pictures) for pictures in found.pictures)
    assert FeatureFile.open(EXAMPLES).header.has_pictures
