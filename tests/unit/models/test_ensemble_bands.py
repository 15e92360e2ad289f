"""Ensembles that read bands: what is saved, and which calibration an estimate takes."""

from __future__ import annotations

import json
import runpy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from shc.featurize.errors import ExitCode, ShcError
from shc.featurize.store import FeatureBatch
from shc.models.bands_data import BandsArrays
from shc.models.data import CrystalArrays
from shc.models.ensemble import load_ensemble, save_ensemble
from shc.models.modalities import SUBSETS

if TYPE_CHECKING:
    from collections.abc import Callable

    from shc.featurize.types import CrystalRecord
    from shc.models.ensemble import Ensemble

TINY: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[2] / "data" / "tiny_model.py"))
FUSED = TINY["FUSED"]
SUBSET = np.array([3, 0, 1, 2, 3, 0])


def fused() -> Ensemble:
    made: Ensemble = TINY["tiny_ensemble"](7, 9, model=FUSED)
    return made


@pytest.fixture
def arrays(record_factory: Callable[..., CrystalRecord]) -> CrystalArrays:
    """Crystals with both, nothing, curves and a picture."""
    records = [record_factory(f"c{i}", n_atoms=3 + i, n_nodes=1 + i) for i in range(6)]
    rng = np.random.default_rng(0)
    curves = np.abs(10.0 * rng.normal(size=(6, FUSED.n_curves))).astype(np.float32)
    counts = (SUBSET & 2) // 2
    tokens = torch.from_numpy(rng.normal(size=(3, FUSED.n_picture_tokens, FUSED.picture_width)))
    return CrystalArrays(FeatureBatch.from_records(records), BandsArrays(curves, SUBSET % 2 == 1, tokens, counts))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_ensemble(tmp_path / "model", fused())
    return tmp_path / "model"


def test_the_distribution_says_what_it_rests_on(arrays: CrystalArrays) -> None:
    ensemble = fused()
    raw = ensemble.distribution(arrays.batch(np.arange(6)))
    assert raw.subset.tolist() == SUBSET.tolist()
    assert ensemble.distribution(arrays.batch(np.arange(6), 1)).subset.tolist() == [1, 0, 1, 0, 1, 0]
    assert ensemble.distribution(arrays.batch(np.arange(6), 0)).subset.tolist() == [0] * 6
    said = [member.predict(arrays.batch(np.arange(6))).tensor.double() for member in ensemble.members]
    np.testing.assert_allclose(raw.tensor, sum(said) / 2, atol=1e-12)
    assert raw.tensor.shape == (6, 27)


def test_each_estimate_takes_its_own_calibration(arrays: CrystalArrays) -> None:
    ensemble = fused()
    raw = ensemble.distribution(arrays.batch(np.arange(6)))
    rows = np.array([5, 0, 3, 2])
    got = ensemble.estimate(raw, rows)
    for place, row in enumerate(rows.tolist()):
        own = ensemble.calibrations[SUBSETS[SUBSET[row]]]
        expected = own.apply(ensemble.grid, raw.probability[[row]], raw.p_finite[[row]])
        for name in got._fields:
            assert getattr(got, name)[place] == pytest.approx(getattr(expected, name)[0]), name
    plain = ensemble.calibrations["structure"].apply(ensemble.grid, raw.probability[rows], raw.p_finite[rows])
    differs = ~np.isclose(got.upper, plain.upper)
    assert not differs[0]
    assert differs[1:].any(), "calibrations of the test differ"
    assert ensemble.estimate(raw, rows[:0]).value.shape == (0,)


def test_all_comes_back(arrays: CrystalArrays, folder: Path) -> None:
    before, again = fused(), load_ensemble(folder)
    assert again.card == before.card
    assert list(again.calibrations) == list(SUBSETS)
    for name, calibration in before.calibrations.items():
        np.testing.assert_array_equal(again.calibrations[name].offset, calibration.offset)
        assert again.calibrations[name].blend == calibration.blend
    raw, expected = (ensemble.distribution(arrays.batch(np.arange(6))) for ensemble in (again, before))
    np.testing.assert_allclose(raw.probability, expected.probability, atol=3e-3)
    assert again.picture is not None
    assert before.picture is not None
    assert not again.picture.training
    ink = torch.rand(2, 1, 224, 224)
    torch.testing.assert_close(again.picture(ink), before.picture(ink), atol=0.02, rtol=0.0)


def test_a_loaded_model_survives_another_round_exactly(folder: Path, tmp_path: Path) -> None:
    save_ensemble(tmp_path / "again", load_ensemble(folder))
    first, second = (load_file(place / "model.safetensors") for place in (folder, tmp_path / "again"))
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_names_of_tensors(folder: Path) -> None:
    names = load_file(folder / "model.safetensors").keys()
    assert {name for name in names if name.startswith("calibration.")} >= {"calibration.offset", "calibration.edges"}
    own = {name for name in names if name.startswith("calibration:")}
    assert {name.removeprefix("calibration:").split(".")[0] for name in own} == set(SUBSETS[1:])
    plain = {name.removeprefix("calibration.") for name in names if name.startswith("calibration.")}
    assert {name.removeprefix(f"calibration:{SUBSETS[1]}.") for name in own if SUBSETS[1] + "." in name} == plain
    assert "picture.convolutions.0.1.running_mean" in names
    assert "member1.bands.heads.value.weight" in names


def test_a_model_of_structures_has_no_more_tensors_than_it_had(tmp_path: Path) -> None:
    save_ensemble(tmp_path, TINY["tiny_ensemble"](7, 9))
    fossil = Path(__file__).parents[2] / "regression" / "model_v1" / "model.safetensors"
    assert load_file(tmp_path / "model.safetensors").keys() == load_file(fossil).keys()


def changed(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    change(tensors)
    save_file(tensors, path, {name: str(card[name]) for name in ("format", "name", "version", "created")})


def without_calibration_on_the_card(folder: Path) -> None:
    path = folder / "card.json"
    card = json.loads(path.read_text(encoding="utf-8"))
    card["calibrations"]["structure+spirits"] = card["calibrations"].pop(SUBSETS[1])
    path.write_text(json.dumps(card), encoding="utf-8")


DAMAGE: dict[str, Callable[[Path], object]] = {
    "calibration missing": lambda f: changed(f, lambda t: t.pop(f"calibration:{SUBSETS[2]}.offset")),
    "calibration of structures missing": lambda f: changed(f, lambda t: t.pop("calibration.offset")),
    "calibration damaged": lambda f: changed(
        f, lambda t: t.update({f"calibration:{SUBSETS[3]}.offset": torch.zeros(5)})
    ),
    "other calibrations on the card": without_calibration_on_the_card,
    "part of the encoder missing": lambda f: changed(f, lambda t: t.pop("picture.energy")),
    "encoder not finite": lambda f: changed(f, lambda t: t["picture.path"].fill_(float("inf"))),
    "branch missing": lambda f: changed(f, lambda t: t.pop("member0.bands.encode.place")),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_found_and_named(folder: Path, damage: Callable[[Path], object]) -> None:
    damage(folder)
    with pytest.raises(ShcError) as caught:
        load_ensemble(folder)
    assert caught.value.exit_code is ExitCode.BAD_FILE
    assert str(folder) in caught.value.message
    assert "\n" not in caught.value.message


def test_a_model_of_curves_has_no_encoder(tmp_path: Path) -> None:
    curves = replace(FUSED, n_picture_tokens=0, picture_width=0)
    save_ensemble(tmp_path, TINY["tiny_ensemble"](7, 9, model=curves))
    again = load_ensemble(tmp_path)
    assert again.picture is None
    assert list(again.calibrations) == list(SUBSETS[:2])


def test_loading_draws_no_random_numbers(folder: Path) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    load_ensemble(folder)
    assert torch.equal(torch.get_rng_state(), before)
