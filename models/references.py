"""Predictions beside published spin Hall conductivities."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from shc.featurize.elements import reduced_formula
from shc.featurize.errors import ShcError
from shc.featurize.formula import expand_groups, formula_counts
from shc.featurize.tensor_symmetry import standard_projector, tensor_dimension
from shc.models.card import UNIT
from shc.models.labels import read_column, read_rows
from shc.models.metrics import score

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TextIO

    from shc.featurize.electronic.run import BandsOutput
    from shc.featurize.errors import Failure
    from shc.models.inference import Predictor
    from shc.models.prediction import Prediction

FOLDER: Final = Path(__file__).resolve().parents[1] / "benchmarks"
"""Where the table lies in a checkout; an installed package brings none."""
TABLE: Final = "reference_values.csv"
CRYSTALS: Final = "reference_cifs"
AB_INITIO: Final = "ab-initio"
MAXIMUM: Final = "maximum"
AT_LEAST: Final = "at least"
AT_MOST: Final = "at most"
UNSEEN: Final = "unseen"
TRAINED: Final = "trained"
NOT_KNOWN: Final = "all"
"""Groups of crystals: known as not trained on, as trained on, or nothing is known."""
_TEXTS: Final = ("material", "component", "kind", "doi")
_NUMBERS: Final = ("value", "value_low", "value_high", "temperature_k", "space_group")

Site = tuple[str, int]
"""Reduced formula and number of the space group of a crystal."""


class Published(NamedTuple):
    """One published value, which may be signed; (hbar/e) S/cm."""

    material: str
    """Stem of its CIF."""
    component: str
    value: float
    kind: str
    """``ab-initio``, ``tight-binding`` or ``measured``."""
    temperature_k: float
    """NaN if it is not known."""
    doi: str
    meaning: str
    """What it says of the largest component: ``MAXIMUM``, it is that one, or the only independent one; ``AT_LEAST``,
    it is any one or a lower bound; ``AT_MOST``, it is an upper bound."""


class Compared(NamedTuple):
    """A published value beside the prediction for its crystal."""

    published: Published
    prediction: Prediction
    trained: bool | None
    """Whether the crystal is among the training rows; None if these are not known."""

    @property
    def ratio(self) -> float:
        """Prediction over size of the published value."""
        return self.prediction.shc_max_abs / abs(self.published.value)


class Agreement(NamedTuple):
    """How predictions agree with published values, one for each of n crystals."""

    n: int
    spearman: float
    """NaN if n < 2."""
    log_ratio: float
    """Median of \\|log10(predicted / published)\\|; NaN if n is 0."""


def read_published(folder: Path | None = None) -> list[Published]:
    """Read a table of published values.

    Args:
        folder: Holds ``TABLE`` and, in ``CRYSTALS``, a CIF for each material; that of the checkout if None.

    Raises:
        ShcError: The folder holds no table, or one that makes no sense.
    """
    path = (folder or FOLDER) / TABLE
    if not path.is_file():
        raise ShcError(
            f"{path} does not exist",
            "published values come with the source of shc, not with the installed package: "
            "name the folder, as in `shc evaluate --references shc/benchmarks`",
        )
    header, *rows = read_rows(path, "published values")
    if missing := [name for name in (*_TEXTS, *_NUMBERS) if name not in header]:
        raise ShcError(f"{path} has no column {missing[0]}", f"its columns are {', '.join(header)}")
    found = [_published(dict(zip(header, row, strict=False)), path) for row in rows]
    for material in dict.fromkeys(each.material for each in found):
        if not (crystal := path.parent / CRYSTALS / f"{material}.cif").is_file():
            raise ShcError(f"{crystal} does not exist", f"every material of {TABLE} needs a crystal")
    return found


def _published(row: dict[str, str], path: Path) -> Published:
    try:
        value, low, high, temperature, group = (float(row[name] or "nan") for name in _NUMBERS)
        only_one = tensor_dimension(standard_projector(int(group))) == 1
        material, component, kind, doi = (row[name] for name in _TEXTS)
    except (KeyError, ValueError, IndexError, OverflowError) as error:
        raise ShcError(f"{path}: row {','.join(row.values())!r} makes no sense: {error}", "correct the row") from error
    if not math.isfinite(value) or value == 0.0:
        raise ShcError(f"{path}: {material} has the value {value}", "values are finite and not zero")
    meaning = MAXIMUM if component == "max_abs" or only_one else AT_LEAST
    if math.isfinite(low) != math.isfinite(high):
        meaning = AT_LEAST if math.isfinite(low) else AT_MOST
    return Published(material, component, value, kind, temperature, doi, meaning)


def site_of(formula: str, space_group: int) -> Site | None:
    """Reduced formula, as feature files hold it, and space group of a crystal; None if the formula is not plain."""
    counts = formula_counts(expand_groups(formula))
    if not counts or any(amount != round(amount) for amount in counts.values()):
        return None
    atoms = np.repeat(list(counts), [round(amount) for amount in counts.values()])
    return reduced_formula(atoms), space_group


def training_sites(labels: Path, ids: Iterable[str]) -> set[Site]:
    """Formulas and space groups of training crystals.

    Args:
        labels: Table of labels with the columns ``formula`` and ``space_group``.
        ids: Which of its crystals were trained on.

    Raises:
        ShcError: The columns are missing, or a space group is no number.
    """
    formulas, groups = (read_column(labels, name) for name in ("formula", "space_group"))
    if not formulas or not groups:
        raise ShcError(
            f"{labels} has no columns formula and space_group", "they tell which crystals are among the training rows"
        )
    try:
        sites = {site_of(formulas[key], int(groups[key])) for key in ids}
    except (KeyError, ValueError) as error:
        raise ShcError(f"{labels}: a crystal has no formula or space group: {error}", "complete the table") from error
    return sites - {None}  # type: ignore[return-value]


def compare(
    predictor: Predictor,
    published: Sequence[Published],
    folder: Path | None = None,
    *,
    bands: BandsOutput | None = None,
    trained: set[Site] | None = None,
) -> tuple[list[Compared], list[Failure]]:
    """Predict the crystals of published values.

    Args:
        predictor: The model.
        published: Rows of ``read_published``.
        folder: As there.
        bands: Where to keep computed bands; None to predict from the structure.
        trained: Training crystals, if they are known.

    Returns:
        The rows whose crystal could be predicted, in their order, and what failed.
    """
    crystals = (folder or FOLDER) / CRYSTALS
    paths = [str(crystals / f"{material}.cif") for material in dict.fromkeys(each.material for each in published)]
    found: dict[str, Prediction] = {}
    failures: list[Failure] = []
    for part in predictor.iter_sources(paths, bands=bands, workers=1):
        found |= {row.material_id: row for row in part.predictions}
        failures += part.failures
    rows = []
    for each in published:
        if (row := found.get(each.material)) is not None:
            known = None if trained is None else (row.formula, row.space_group_number) in trained
            rows.append(Compared(each, row, known))
    return rows, failures


def by_training(rows: Sequence[Compared]) -> dict[str, list[Compared]]:
    """Rows of crystals ``UNSEEN`` and ``TRAINED``, or all rows as ``NOT_KNOWN``."""
    if any(row.trained is None for row in rows):
        return {NOT_KNOWN: list(rows)}
    return {name: [row for row in rows if row.trained is was] for name, was in ((UNSEEN, False), (TRAINED, True))}


def agreement(rows: Iterable[Compared], *, lower_bounds: bool = False) -> Agreement:
    """Compare with ab-initio values at zero temperature, the largest of each crystal.

    Args:
        rows: Published values beside predictions.
        lower_bounds: Also use crystals of which only lower bounds are known, such as single components.
    """
    meanings = {MAXIMUM, AT_LEAST} if lower_bounds else {MAXIMUM}
    best: dict[str, Compared] = {}
    for row in rows:
        one = row.published
        cold = not one.temperature_k > 0.0
        if one.kind != AB_INITIO or not cold or one.meaning not in meanings:
            continue
        if one.material not in best or _rank(one) > _rank(best[one.material].published):
            best[one.material] = row
    if not best:
        return Agreement(0, math.nan, math.nan)
    value = np.array([abs(row.published.value) for row in best.values()])
    predicted = np.array([row.prediction.shc_max_abs for row in best.values()])
    logs = np.abs(np.log10([max(row.ratio, np.finfo(float).tiny) for row in best.values()]))
    return Agreement(len(best), score(predicted, value).spearman, float(np.median(logs)))


def _rank(value: Published) -> tuple[bool, float]:
    """Which of a crystal's values to take: a maximum before lower bounds, the largest of either."""
    return value.meaning == MAXIMUM, abs(value.value)


def write_references(stream: TextIO, rows: Iterable[Compared]) -> None:
    """Write published values and predictions as CSV: a comment line, the header, one row for each value."""
    stream.write(f"# {UNIT}; meaning: what the published value says of the largest component\n")
    writer = csv.writer(stream, lineterminator="\n")
    names = ("material", "kind", "component", "meaning", "temperature_k", "published", "shc_max_abs")
    writer.writerow((*names, "shc_lower", "shc_upper", "ratio", "modalities", "trained", "doi"))
    for row in rows:
        values = reference_record(row)
        known = "" if row.trained is None else str(row.trained).lower()
        writer.writerow((values | {"trained": known}).values())


def reference_record(row: Compared) -> dict[str, object]:
    """A row in the form of JSON."""
    one, two = row.published, row.prediction
    return {
        "material": one.material,
        "kind": one.kind,
        "component": one.component,
        "meaning": one.meaning,
        "temperature_k": one.temperature_k if math.isfinite(one.temperature_k) else None,
        "published": one.value,
        "shc_max_abs": round(two.shc_max_abs, 1),
        "shc_lower": round(two.shc_lower, 1),
        "shc_upper": round(two.shc_upper, 1),
        "ratio": round(row.ratio, 4),
        "modalities": two.modalities,
        "trained": row.trained,
        "doi": one.doi,
    }
