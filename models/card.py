"""The model card: what a set of weights is, what it was trained on, how good it is, and what it is not for.

A card is a JSON file beside the weights. Its JSON schema follows from the dataclasses below, and the same schema
is enforced on every read and write without further packages.
"""

from __future__ import annotations

import json
import math
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, is_dataclass
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_args, get_origin, get_type_hints

from shc.featurize.config import FeaturizeConfig  # noqa: TC001  read at run time by get_type_hints
from shc.featurize.errors import ExitCode, ShcError
from shc.featurize.writing import write_whole
from shc.models.config import ModelConfig, PictureConfig, TrainConfig
from shc.models.modalities import CURVES, PICTURE, STRUCTURE

if TYPE_CHECKING:
    from pathlib import Path

    from shc.models.metrics import Scores

T = TypeVar("T")

CARD_FORMAT: Final = 2
"""Format of the card and of the weights beside it; 2 knows bands."""
UNIT: Final = "(hbar/e) S/cm"
"""Unit of every spin Hall conductivity that is read or written."""


OUT_OF_FOLD: Final = "out_of_fold"
TEST: Final = "test"
TEST_NOT_MAGNETIC: Final = "test_without_cr_mn_fe_co_ni"
"""Names of the rows that scores were measured on."""


@dataclass(frozen=True, slots=True)
class DataSource:
    """Where the labels come from."""

    name: str
    """Name of the data set."""
    source: str
    """Reference to its origin."""
    n_rows: int
    """Labelled crystals used in training."""
    redistributed: bool = False
    """Whether the data come with the weights."""


@dataclass(frozen=True, slots=True)
class SplitInfo:
    """Which rows were trained on and which scored."""

    name: str
    """Name of the split; ``all`` if every row was trained on."""
    fold: int | None
    """Fold that was left out, for cross-validation."""
    n_train: int
    """Rows of the ensemble's training."""
    n_test: int
    """Rows that no member and no calibration has seen."""


@dataclass(frozen=True, slots=True)
class CalibrationSummary:
    """How intervals were calibrated."""

    method: str
    """Name of the method."""
    coverage: float
    """Share of labels that intervals are built to hold."""
    n_rows: int
    """Out-of-fold rows they were calibrated on."""
    n_groups: int
    """Groups of predicted size with an offset of their own."""
    blend: float
    """Share of the mean in the point value; the rest is the median."""
    n_common: int = 0
    """Rows that no member learned from or stopped on, by which the offsets were moved from members to ensemble."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Everything a user of the weights should know.

    Fields of the nested configurations that a card does not name take their defaults, so a field added later must
    have the earlier behaviour as its default.
    """

    format: int
    """``CARD_FORMAT``."""
    name: str
    """Name of the model."""
    version: str
    """Version of the weights."""
    created: str
    """ISO 8601, UTC."""
    unit: str
    """Unit of predictions and metrics."""
    data: DataSource
    split: SplitInfo
    model: ModelConfig
    train: TrainConfig
    features: FeaturizeConfig
    """Parameters of featurisation of the training crystals."""
    prompt_version: int
    n_prompt: int
    """Entries of the symmetry prompt."""
    descriptor_version: int
    n_descriptors: int
    metrics: dict[str, dict[str, float | None]]
    """Scores by name of the rows they were measured on; null where a score is not defined."""
    calibration: CalibrationSummary
    limits: tuple[str, ...]
    """What the model is not for, one sentence each."""
    licence_code: str
    licence_weights: str
    tool_version: str = ""
    """Version of the program that trained the model."""
    reads_pictures: bool = False
    """Whether the networks take pictures of bands beside the structure."""
    picture: PictureConfig = field(default_factory=PictureConfig)
    """The encoder of pictures, if the networks take any."""
    calibrations: dict[str, CalibrationSummary] = field(default_factory=dict)
    """How intervals were calibrated where a prediction rests on more than the structure, by what it rests on."""

    @property
    def reads(self) -> tuple[str, ...]:
        """What the networks read: ``structure``, and ``curves`` and ``picture`` if they do."""
        also = ((CURVES, self.model.reads_bands), (PICTURE, self.reads_pictures))
        return (STRUCTURE, *(name for name, is_read in also if is_read))


def metrics_entry(scores: Scores) -> dict[str, float | None]:
    """Scores in the form the card keeps them."""
    return {name: value if math.isfinite(value) else None for name, value in scores._asdict().items()}


def metrics_name(rows: str, subset: str) -> str:
    """Name of scores on a card: of which rows, and of predictions that rest on what."""
    return rows if subset == STRUCTURE else f"{rows}, {subset}"


_SCALARS: Final[dict[Any, str]] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    NoneType: "null",
}


def _schema_of(kind: Any) -> dict[str, Any]:  # noqa: ANN401  a type of any kind
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return {
            "type": "object",
            "properties": {entry.name: _schema_of(hints[entry.name]) for entry in fields(kind)},
            "required": [entry.name for entry in fields(kind) if _is_required(entry)],
            "additionalProperties": False,
        }
    if get_origin(kind) is dict:
        return {"type": "object", "additionalProperties": _schema_of(get_args(kind)[1])}
    if get_origin(kind) is tuple:
        return {"type": "array", "items": _schema_of(get_args(kind)[0])}
    if get_origin(kind) is UnionType:
        return {"type": [_SCALARS[option] for option in get_args(kind)]}
    return {"type": _SCALARS[kind]}


def _is_required(entry: Field[Any]) -> bool:
    return entry.default is MISSING and entry.default_factory is MISSING


def card_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a card."""
    schema = _schema_of(ModelCard)
    schema["properties"]["format"]["enum"] = list(range(1, CARD_FORMAT + 1))
    schema["properties"]["unit"]["const"] = UNIT
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Model card of shc-predict",
        **schema,
    }


def check_schema(value: object, schema: dict[str, Any], where: str = "card") -> None:
    """Check a value against the part of JSON schema that ``card_schema`` uses.

    Args:
        value: What ``json.loads`` gave.
        schema: The schema.
        where: Name of the value, for messages.

    Raises:
        ValueError: The value does not fit; the message says where.
    """
    allowed = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    if not any(_is_a(value, name) for name in allowed):
        raise ValueError(f"{where} must be of type {' or '.join(allowed)}")
    if "const" in schema and value != schema["const"]:
        raise ValueError(f"{where} must be {schema['const']!r}")
    if "enum" in schema and value not in schema["enum"]:
        raise ValueError(f"{where} must be one of {schema['enum']}")
    if isinstance(value, dict):
        known = schema.get("properties", {})
        missing = [name for name in schema.get("required", ()) if name not in value]
        if missing:
            raise ValueError(f"{where} lacks {', '.join(missing)}")
        for name, item in value.items():
            inner = known.get(name, schema.get("additionalProperties", True))
            if inner is False:
                raise ValueError(f"{where} has an unknown field {name!r}")
            check_schema(item, inner, f"{where}.{name}")
    if isinstance(value, list):
        for i, item in enumerate(value):
            check_schema(item, schema["items"], f"{where}[{i}]")


def _is_a(value: object, name: str) -> bool:
    if name == "number":
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if name == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    kinds: dict[str, type] = {"boolean": bool, "string": str, "null": NoneType, "object": dict, "array": list}
    return isinstance(value, kinds[name])


def _build(kind: type[T], value: dict[str, Any]) -> T:
    """The dataclass behind a checked JSON object."""
    hints = get_type_hints(kind)
    arguments: dict[str, Any] = {}
    for name, item in value.items():
        if is_dataclass(hints[name]):
            arguments[name] = _build(hints[name], item)
        elif hints[name] == dict[str, CalibrationSummary]:
            arguments[name] = {key: _build(CalibrationSummary, entry) for key, entry in item.items()}
        elif hints[name] is float:
            arguments[name] = float(item)
        else:
            arguments[name] = tuple(item) if isinstance(item, list) else item
    return kind(**arguments)


def card_to_json(card: ModelCard) -> dict[str, Any]:
    """The card as checked JSON.

    Raises:
        ValueError: The card breaks its own schema.
    """
    value: dict[str, Any] = json.loads(json.dumps(asdict(card)))  # tuples become lists
    check_schema(value, card_schema())
    return value


def write_card(path: Path, card: ModelCard) -> None:
    """Write a card; the file appears as a whole or not at all."""
    text = json.dumps(card_to_json(card), indent=2, ensure_ascii=False, allow_nan=False)
    write_whole(path, (text + "\n").encode())


def read_card(path: Path) -> ModelCard:
    """Read a card.

    Raises:
        ShcError: The file is missing, no card, of a newer format, or breaks the schema (``BAD_FILE``).
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _bad(f"cannot read the model card {path}: {error}", "check the folder of the model") from error
    number = value.get("format") if isinstance(value, dict) else None
    if isinstance(number, int) and number > CARD_FORMAT:
        raise _bad(
            f"{path} has format {number}, this program reads up to {CARD_FORMAT}",
            "install a newer version of shc-predict",
        )
    try:
        check_schema(value, card_schema())
    except ValueError as error:
        raise _bad(f"{path} is no valid model card: {error}", "give the output folder of `shc train`") from error
    return _build(ModelCard, value)


def _bad(message: str, hint: str) -> ShcError:
    return ShcError(message, hint, ExitCode.BAD_FILE)
