from __future__ import annotations

import copy
import json
import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from shc.featurize.errors import ShcError
from shc.models.card import card_schema, card_to_json, check_schema, metrics_entry, metrics_name, read_card, write_card
from shc.models.metrics import Scores
from shc.models.modalities import SUBSETS

if TYPE_CHECKING:
    from shc.models.card import ModelCard

TINY = runpy.run_path(str(Path(__file__).parents[2] / "data" / "tiny_model.py"))
CARD: ModelCard = TINY["tiny_card"](7, 9)


def changed(path: str, value: object = None, *, remove: bool = False) -> dict[str, Any]:
    """The JSON of the card with one field set or removed."""
    content = copy.deepcopy(card_to_json(CARD))
    *parents, last = path.split(".")
    place = content
    for name in parents:
        place = place[name]
    if remove:
        del place[last]
    else:
        place[last] = value
    return content


def test_the_schema_is_a_valid_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(card_schema())


def test_what_networks_read_is_told() -> None:
    assert CARD.reads == ("structure",)
    assert TINY["tiny_card"](7, 9, model=TINY["FUSED"]).reads == ("structure", "curves", "picture")


def test_a_card_survives_writing_and_reading(tmp_path: Path) -> None:
    write_card(tmp_path / "card.json", CARD)
    assert read_card(tmp_path / "card.json") == CARD
    assert list(tmp_path.iterdir()) == [tmp_path / "card.json"]
    jsonschema.validate(json.loads((tmp_path / "card.json").read_text(encoding="utf-8")), card_schema())


WRONG = {
    "missing field": changed("licence_weights", remove=True),
    "missing inner field": changed("data.source", remove=True),
    "unknown field": changed("colour", "red"),
    "unknown inner field": changed("model.depth", 3),
    "text for a number": changed("n_prompt", "7"),
    "fraction for a whole number": changed("n_prompt", 7.5),
    "truth for a number": changed("n_descriptors", value=True),
    "number for text": changed("name", 5),
    "list for text": changed("limits", [1]),
    "text for a list": changed("limits", "none"),
    "other unit": changed("unit", "S/m"),
    "older format": changed("format", 0),
    "unknown field of a calibration": changed("calibrations", {"structure+curves": {"colour": "red"}}),
    "number for a calibration": changed("calibrations", {"structure+curves": 1}),
    "fractional widths": changed("picture.channels", [1.5]),
    "score that is text": changed("metrics.test.mae", "good"),
    "list for an object": changed("data", []),
    "null for text": changed("created", None),
}


@pytest.mark.parametrize("content", WRONG.values(), ids=WRONG.keys())
def test_our_check_refuses_what_jsonschema_refuses(content: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, card_schema())
    with pytest.raises(ValueError, match="card"):
        check_schema(content, card_schema())
    (tmp_path / "card.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ShcError) as caught:
        read_card(tmp_path / "card.json")
    assert caught.value.exit_code == 5


@pytest.mark.parametrize(
    "content",
    [
        changed("split.fold", 3),
        changed("model.dropout", 0),
        changed("tool_version", remove=True),
        changed("format", 1),
        changed("picture", remove=True),
    ],
)
def test_our_check_accepts_what_jsonschema_accepts(content: dict[str, Any]) -> None:
    jsonschema.validate(content, card_schema())
    check_schema(content, card_schema())


def test_a_field_of_a_configuration_that_an_older_card_lacks_takes_its_default(tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text(json.dumps(changed("train.seed", remove=True)), encoding="utf-8")
    assert read_card(tmp_path / "card.json").train.seed == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps(changed("format", 3)), "format 3, this program reads up to 2"),
        ("{", "cannot read"),
        ("[]", "no valid model card"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "card.json").write_text(text, encoding="utf-8")
    with pytest.raises(ShcError, match=message) as caught:
        read_card(tmp_path / "card.json")
    assert (caught.value.exit_code, "card.json" in caught.value.message) == (5, True)


def test_a_card_of_a_model_that_reads_bands_survives(tmp_path: Path) -> None:
    card = TINY["tiny_card"](7, 9, model=TINY["FUSED"])
    write_card(tmp_path / "card.json", card)
    again = read_card(tmp_path / "card.json")
    assert again == card
    assert list(again.calibrations) == list(SUBSETS[1:])
    assert (again.calibrations[SUBSETS[3]].coverage, again.picture.channels) == (0.9, (4, 4, 8))


def test_a_card_of_format_1_reads_no_bands(tmp_path: Path) -> None:
    content = changed("format", 1)
    for name in ("picture", "calibrations", "reads_pictures"):
        del content[name]
    for name in ("n_curves", "n_picture_tokens", "n_tensor"):
        del content["model"][name]
    (tmp_path / "card.json").write_text(json.dumps(content), encoding="utf-8")
    card = read_card(tmp_path / "card.json")
    assert (card.calibrations, card.model.reads_bands, card.model.n_tensor) == ({}, False, 0)


def test_names_of_scores_say_what_they_rest_on() -> None:
    assert [metrics_name("test", name) for name in SUBSETS[:2]] == ["test", "test, structure+curves"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ShcError, match=r"card\.json"):
        read_card(tmp_path / "card.json")


def test_scores_that_are_not_defined_become_null() -> None:
    entry = metrics_entry(Scores(n=3, r2=0.5, mae=1.0, rmse=2.0, auc=float("nan"), spearman=0.1))
    assert (entry["auc"], entry["r2"], entry["n"]) == (None, 0.5, 3)
