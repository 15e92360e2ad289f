from __future__ import annotations

import json
import runpy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from shc.featurize.config import FeaturizeConfig
from shc.featurize.errors import ShcError
from shc.featurize.store import FeatureBatch, FeatureHeader
from shc.models.data import CrystalArrays, CrystalBatch
from shc.models.ensemble import load_ensemble, newest_pretrained, pretrained_folders, save_ensemble

if TYPE_CHECKING:
    from collections.abc import Callable

    from shc.models.ensemble import Ensemble

TINY = runpy.run_path(str(Path(__file__).parents[2] / "data" / "tiny_model.py"))
tiny_ensemble: Callable[..., Ensemble] = TINY["tiny_ensemble"]
HEADER = FeatureHeader(
    config=FeaturizeConfig(),
    prompt_version=1,
    prompt_fields=(("a", 0, 3), ("b", 3, 7)),
    descriptor_version=1,
    descriptor_names=tuple("abcdefghi"),
)


@pytest.fixture
def batch(record_factory: Callable[..., object]) -> CrystalBatch:
    records = [record_factory(f"c{i}", n_atoms=3 + i, n_nodes=1 + i) for i in range(6)]
    return CrystalArrays(FeatureBatch.from_records(records)).batch(np.arange(6))  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_ensemble(tmp_path / "model", tiny_ensemble(7, 9))
    return tmp_path / "model"


def test_the_distribution_is_the_mean_over_members(batch: CrystalBatch) -> None:
    ensemble = tiny_ensemble(7, 9, n_members=3)
    got = ensemble.distribution(batch)
    outputs = [member.predict(batch) for member in ensemble.members]
    expected = sum(torch.softmax(o.value_logits.double(), 1) for o in outputs) / 3
    np.testing.assert_allclose(got.probability, expected, atol=1e-6)
    np.testing.assert_allclose(got.probability.sum(axis=1), 1.0, atol=1e-6)
    finite = sum(torch.sigmoid(o.finite_logit.double()) for o in outputs) / 3
    np.testing.assert_allclose(got.p_finite, finite, atol=1e-6)
    np.testing.assert_array_equal(got.embedding, outputs[0].embedding)
    assert got.probability.dtype == np.float64
    assert np.abs(np.diff(got.probability, axis=0)).max() > 1e-3


def test_it_predicts_the_same_after_saving_and_loading(batch: CrystalBatch, folder: Path) -> None:
    before, again = tiny_ensemble(7, 9), load_ensemble(folder)
    assert again.card == before.card
    np.testing.assert_allclose(again.distribution(batch).probability, before.distribution(batch).probability, atol=2e-3)
    assert again.calibrations.keys() == before.calibrations.keys() == {"structure"}
    np.testing.assert_array_equal(again.calibrations["structure"].offset, before.calibrations["structure"].offset)
    np.testing.assert_array_equal(again.domain.landmarks, before.domain.landmarks)


def test_a_loaded_model_survives_another_round_exactly(batch: CrystalBatch, folder: Path, tmp_path: Path) -> None:
    first = load_ensemble(folder)
    save_ensemble(tmp_path / "again", first)
    second = load_ensemble(tmp_path / "again")
    np.testing.assert_array_equal(first.distribution(batch).probability, second.distribution(batch).probability)


def test_parameters_are_halved_scales_are_exact_and_common_buffers_stand_once(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    ensemble = tiny_ensemble(7, 9)
    for name, value in ensemble.members[1].named_parameters():
        assert tensors[f"member1.{name}"].dtype == torch.float16
        torch.testing.assert_close(tensors[f"member1.{name}"].float(), value, atol=1e-3, rtol=1e-3)
    for name, buffer in ensemble.members[1].named_buffers():
        stored = tensors.get(f"member1.{name}", tensors.get(f"shared.{name}"))
        assert stored is not None
        assert torch.equal(stored, buffer)
    assert "shared.crystal.atom.table" in tensors
    assert "member0.descriptors.encode.left" in tensors


def test_the_weights_are_as_readable_as_the_card(folder: Path) -> None:
    modes = {path.name: path.stat().st_mode for path in folder.iterdir()}
    assert modes["model.safetensors"] == modes["card.json"]


def test_loading_draws_no_random_numbers(folder: Path) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    load_ensemble(folder)
    assert torch.equal(torch.get_rng_state(), before)


def test_members_of_a_loaded_ensemble_share_no_memory(folder: Path) -> None:
    first, second = load_ensemble(folder).members
    assert first.crystal.atom.table.data_ptr() != second.crystal.atom.table.data_ptr()
    assert not first.training
    assert not any(p.requires_grad for p in first.parameters())


def test_a_weight_that_float16_cannot_hold_is_refused(tmp_path: Path) -> None:
    for value in (1e5, float("nan")):
        ensemble = tiny_ensemble(7, 9)
        ensemble.members[1].no_bands[0, 0] = value
        with pytest.raises(ValueError, match=r"member1\.no_bands"):
            save_ensemble(tmp_path / "model", ensemble)


def change_card(folder: Path, **fields: object) -> None:
    path = folder / "card.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | fields), encoding="utf-8")


def change_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    change(tensors)
    save_file(tensors, path, {name: str(card[name]) for name in ("format", "name", "version", "created")})


def truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


DAMAGE: dict[str, Callable[[Path], object]] = {
    "truncated": truncate,
    "no weights": lambda f: (f / "model.safetensors").unlink(),
    "no card": lambda f: (f / "card.json").unlink(),
    "newer format": lambda f: change_card(f, format=3),
    "card of another model": lambda f: change_card(f, version="1"),
    "other sizes": lambda f: change_card(f, n_prompt=8),
    "tensor missing": lambda f: change_tensors(f, lambda t: t.pop("member1.no_bands")),
    "extra tensor": lambda f: change_tensors(f, lambda t: t.update({"member1.surprise": torch.zeros(1)})),
    "no calibration": lambda f: change_tensors(f, lambda t: t.pop("calibration.offset")),
    "damaged domain": lambda f: change_tensors(f, lambda t: t.update({"domain.seen": t["domain.seen"][:9]})),
    "other landmarks": lambda f: change_tensors(
        f, lambda t: t.update({"domain.landmarks": t["domain.landmarks"][:, 1:].contiguous()})
    ),
    "not finite": lambda f: change_tensors(f, lambda t: t["member0.no_bands"].fill_(float("nan"))),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_found_and_named(folder: Path, damage: Callable[[Path], object]) -> None:
    damage(folder)
    with pytest.raises(ShcError) as caught:
        load_ensemble(folder)
    assert caught.value.exit_code == 5
    assert str(folder) in caught.value.message
    assert caught.value.hint
    assert "\n" not in caught.value.message


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ShcError, match="no model folder") as caught:
        load_ensemble(tmp_path / "nothing")
    with pytest.raises(ShcError, match="is no model folder"):
        load_ensemble(tmp_path)
    assert caught.value.exit_code == 5


def test_the_newest_shipped_model_has_the_highest_number(tmp_path: Path) -> None:
    with pytest.raises(ShcError, match="no trained model"):
        newest_pretrained(tmp_path)
    for name in ("v2", "v10", "v9", "vx", "v11"):
        (tmp_path / name).mkdir()
        if name != "v11":  # still without a card
            (tmp_path / name / "card.json").touch()
    assert newest_pretrained(tmp_path).name == "v10"
    assert [folder.name for folder in pretrained_folders(tmp_path)] == ["v2", "v9", "v10"]


def test_features_that_fit_are_accepted() -> None:
    ensemble = tiny_ensemble(7, 9)
    ensemble.check_features(HEADER, "f.h5")
    ensemble.check_features(replace(HEADER, config=FeaturizeConfig(max_atoms=5, allow_hydrogen=True)), "f.h5")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (replace(HEADER, prompt_version=2), "prompt version 2, the model needs 1"),
        (replace(HEADER, prompt_fields=(("a", 0, 8),)), "prompt size 8"),
        (replace(HEADER, descriptor_version=3), "descriptor version 3"),
        (replace(HEADER, descriptor_names=("a",)), "number of descriptors 1"),
        (replace(HEADER, config=FeaturizeConfig(cutoff=6.0)), "cutoff 6.0"),
        (replace(HEADER, config=FeaturizeConfig(max_neighbours=8)), "max_neighbours 8"),
    ],
)
def test_features_that_do_not_fit_are_refused(header: FeatureHeader, message: str) -> None:
    with pytest.raises(ShcError, match=message) as caught:
        tiny_ensemble(7, 9).check_features(header, "f.h5")
    assert (caught.value.exit_code, "f.h5" in caught.value.message) == (5, True)
