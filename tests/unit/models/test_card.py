from __future__ import annotations

import copy
import json
import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from shc.featurize.errors import ShcError
from shc.models.card import card_schema, card_to_json, check_schema, metrics_entry, read_card, write_card
from shc.models.metrics import Scores

if TYPE_CHECKING:
    from shc.models.card import ModelCard

CARD: ModelCard = runpy.run_path(str(Path(__file__).parents[2] / "data" / "tiny_model.py"))["tiny_card"](7, 9)


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
    "content", [changed("split.fold", 3), changed("model.dropout", 0), changed("tool_version", remove=True)]
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
        (json.dumps(changed("format", 2)), "format 2, this program reads up to 1"),
        ("{", "cannot read"),
        ("[]", "no valid model card"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "card.json").write_text(text, encoding="utf-8")
    with pytest.raises(ShcError, match=message) as caught:
        read_card(tmp_path / "card.json")
    assert (caught.value.exit_code, "card.json" in caught.value.message) == (5, True)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ShcError, match=r"card\.json"):
        read_card(tmp_path / "card.json")


def test_scores_that_are_not_defined_become_null() -> None:
    entry = metrics_entry(Scores(n=3, r2=0.5, mae=1.0, rmse=2.0, auc=float("nan"), spearman=0.1))
    assert (entry["auc"], entry["r2"], entry["n"]) == (None, 0.5, 3)
