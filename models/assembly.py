"""From trained members to a calibrated ensemble, and its one look at the test rows."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import torch

from shc.featurize.config import BANDS_NONE
from shc.models.card import (
    CARD_FORMAT,
    OUT_OF_FOLD,
    TEST,
    TEST_NOT_MAGNETIC,
    UNIT,
    CalibrationSummary,
    DataSource,
    ModelCard,
    SplitInfo,
    metrics_entry,
    metrics_name,
    read_card,
    write_card,
)
from shc.models.checkpoint import group, load_tensors
from shc.models.domain import fit_domain
from shc.models.ensemble import CARD_FILE, Distributions, Ensemble, load_ensemble, save_ensemble, shown
from shc.models.heads import ValueGrid
from shc.models.inference import Predictor
from shc.models.member import EVALUATION_BATCH
from shc.models.metrics import Scores, covered, score
from shc.models.modalities import CURVES, PICTURE, STRUCTURE, SUBSETS
from shc.models.network import SHCTransformer
from shc.models.pictures import usable_counts
from shc.models.prediction import COLUMNS, Prediction
from shc.models.training_files import OOF_FILE, PREDICTIONS_FILE, UNIT_LINE, number, write_table
from shc.models.uncertainty import METHOD, METHOD_COMMON, fit_calibration, for_ensemble

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from shc.featurize.store import FeatureBatch, FeatureFile, FeatureHeader
    from shc.models.config import PictureConfig
    from shc.models.data import CrystalArrays
    from shc.models.domain import Domain
    from shc.models.encoders.picture import PictureEncoder
    from shc.models.training_workers import MemberTask
    from shc.models.uncertainty import Calibration, Estimate

_ESTIMATE: Final = ("shc_max_abs", "shc_lower", "shc_upper", "shc_std", "p_finite")
LIMITS: Final = (
    "Predicts one number, the largest component of the tensor at the Fermi level; no sign and no direction.",
    "Labels are intrinsic values of density functional theory; extrinsic contributions are absent.",
    "Crystals that hold Cr, Mn, Fe, Co or Ni seem to carry spin-polarised labels and are flagged.",
    "Elements that no training crystal holds, or without spin-orbit constants, are outside of the domain.",
    "Disordered crystals cannot be predicted.",
)


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores of a finished training, by what the predictions rest on: names of ``SUBSETS``."""

    out_of_fold: dict[str, Scores]
    test: dict[str, Scores]
    """Empty if no rows are kept for scoring."""


class _Calibrated(NamedTuple):
    """What out-of-fold rows say of predictions that rest on one subset."""

    calibration: Calibration
    rows: NDArray[np.int64]
    """``[n]`` the rows, member after member."""
    members: NDArray[np.int64]
    """``[n]`` the member that held each out."""
    estimate: Estimate
    """Of single members."""
    scores: Scores
    n_common: int


def member_network(task: MemberTask, n_descriptors: int, n_prompt: int) -> SHCTransformer:
    """The network of a member with its best weights, in evaluation mode on the device of the task."""
    tensors, _ = load_tensors(task.checkpoint)
    with torch.random.fork_rng(devices=[]):  # the random start is thrown away; no stream may notice it
        network = SHCTransformer(task.model, n_descriptors, n_prompt)
    network.load_state_dict(group("best.", tensors))
    return network.eval().requires_grad_(requires_grad=False).to(task.device)


@torch.inference_mode()
def _distributions(
    network: SHCTransformer, arrays: CrystalArrays, rows: NDArray[np.int64], subset: int
) -> Distributions:
    """What one member says about some rows, in their order."""
    place = {row: i for i, row in enumerate(rows.tolist())}
    device = next(network.parameters()).device
    parts: list[tuple[NDArray[np.int64], Any]] = []
    for chunk in arrays.by_size(rows, EVALUATION_BATCH):
        batch = arrays.batch(chunk, subset)
        output = network.predict(batch.to(device))
        said = (output.value_logits.double().softmax(dim=1), output.finite_logit.double().sigmoid())
        values = (*said, output.embedding.float(), shown(batch), output.tensor.double())
        at = np.array([place[row] for row in chunk.tolist()], dtype=np.int64)
        parts.append((at, [value.cpu().numpy() for value in values]))
    order = np.argsort(np.concatenate([at for at, _ in parts]))
    return Distributions(*(np.concatenate([values[k] for _, values in parts])[order] for k in range(len(values))))


def assemble(
    output: Path,
    tasks: Sequence[MemberTask],
    header: FeatureHeader,
    split: SplitInfo,
    picture: PictureEncoder | None,
    sizes: PictureConfig,
) -> dict[str, Scores]:
    """Calibrate the trained members on their out-of-fold rows, their ensemble on the common ones; write the model.

    Writes ``model.safetensors``, ``card.json`` and ``oof.csv``.

    Args:
        output: Folder to write to.
        tasks: Finished tasks; all share their rows.
        header: Header of the feature file.
        split: Which rows were trained on.
        picture: The encoder of pictures, if the networks read any.
        sizes: Its sizes.

    Returns:
        Scores of the out-of-fold predictions, by what they rest on.
    """
    arrays = tasks[0].read().arrays
    networks = [member_network(task, arrays.descriptors.shape[1], arrays.prompt.shape[1]) for task in tasks]
    found = {
        SUBSETS[subset]: _calibrate(networks, tasks, arrays, subset)
        for subset in arrays.subsets(np.concatenate([task.held_out for task in tasks]))
    }
    scores = {name: each.scores for name, each in found.items()}
    _write_oof(output / OOF_FILE, arrays.material_id, tasks[0].labels, found)
    ensemble = Ensemble(
        networks,
        _card(tasks, arrays, header, split, found, sizes),
        {name: each.calibration for name, each in found.items()},
        _domain(networks[0], tasks[0], arrays),
        picture,
    )
    save_ensemble(output, ensemble)
    return scores


def _calibrate(
    networks: Sequence[SHCTransformer], tasks: Sequence[MemberTask], arrays: CrystalArrays, subset: int
) -> _Calibrated:
    labels, grid = tasks[0].labels, ValueGrid(tasks[0].model)
    held_out = [arrays.showing(task.held_out, subset) for task in tasks]
    pairs = zip(networks, held_out, strict=True)
    said = [_distributions(network, arrays, rows, subset) for network, rows in pairs if len(rows)]
    rows = np.concatenate(held_out)
    probability = np.concatenate([part.probability for part in said])
    p_finite = np.concatenate([part.p_finite for part in said])
    threshold = tasks[0].config.finite_threshold
    single = fit_calibration(grid, probability, p_finite, labels[rows], finite_threshold=threshold)
    calibration, common = single, arrays.showing(tasks[0].common, subset)
    if len(common):
        together = [_distributions(network, arrays, common, subset).probability for network in networks]
        calibration = for_ensemble(single, grid, np.stack(together), labels[common])
    estimate = single.apply(grid, probability, p_finite)
    members = np.repeat([task.member for task in tasks], [len(part) for part in held_out])
    return _Calibrated(calibration, rows, members, estimate, score(estimate.value, labels[rows]), len(common))


def _domain(network: SHCTransformer, task: MemberTask, arrays: CrystalArrays) -> Domain:
    """The domain in the structure's embedding by the first member."""
    unlearned = _distributions(network, arrays, np.concatenate([task.held_out, task.common]), 0).embedding
    return fit_domain(_distributions(network, arrays, task.learned, 0).embedding, unlearned, arrays.atomic_number)


def _summary(found: _Calibrated) -> CalibrationSummary:
    return CalibrationSummary(
        METHOD_COMMON if found.n_common else METHOD,
        found.calibration.coverage,
        found.scores.n,
        len(found.calibration.offset),
        found.calibration.blend,
        found.n_common,
    )


def _card(
    tasks: Sequence[MemberTask],
    arrays: CrystalArrays,
    header: FeatureHeader,
    split: SplitInfo,
    found: Mapping[str, _Calibrated],
    sizes: PictureConfig,
) -> ModelCard:
    """The card of an ensemble that has been scored out of fold only."""
    tool, model = version("shc-predict"), tasks[0].model
    return ModelCard(
        format=CARD_FORMAT,
        name="shc-fused" if model.reads_bands else "shc-structure",
        version=tool,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        unit=UNIT,
        data=DataSource(
            name="labels given to shc train", source="see splits.json for the ids", n_rows=len(tasks[0].labels)
        ),
        split=split,
        model=model,
        train=tasks[0].config,
        # How structures become features; bands are asked for where a prediction is.
        features=replace(header.config, bands=BANDS_NONE, pictures=False, styles=0),
        prompt_version=header.prompt_version,
        n_prompt=arrays.prompt.shape[1],
        descriptor_version=header.descriptor_version,
        n_descriptors=arrays.descriptors.shape[1],
        metrics={metrics_name(OUT_OF_FOLD, name): metrics_entry(each.scores) for name, each in found.items()},
        calibration=_summary(found[STRUCTURE]),
        limits=LIMITS,
        licence_code="MIT",
        licence_weights="as the owner of the labels decides",
        tool_version=tool,
        reads_pictures=model.n_picture_tokens > 0,
        picture=sizes,
        calibrations={name: _summary(each) for name, each in found.items() if name != STRUCTURE},
    )


def _write_oof(path: Path, ids: list[str], labels: NDArray[np.float64], found: Mapping[str, _Calibrated]) -> None:
    header = ("material_id", "member", "label", *_ESTIMATE, "modalities")
    rows = (
        (ids[row], member, *map(number, (labels[row], *values)), name)
        for name, each in found.items()
        for row, member, *values in zip(each.rows.tolist(), each.members.tolist(), *each.estimate, strict=True)
    )
    write_table(path, f"{UNIT_LINE}; each crystal predicted by the member that held it out", header, rows)


def score_test(
    output: Path, file: FeatureFile, file_rows: NDArray[np.int64], labels: NDArray[np.float64], device: torch.device
) -> dict[str, Scores]:
    """Score the written model on rows it has never seen; writes ``predictions.csv`` and the scores to the card.

    Args:
        output: Folder of the model.
        file: Feature file.
        file_rows: ``[n]`` rows of it.
        labels: ``[n]`` (hbar/e) S/cm.
        device: Where to predict.

    Returns:
        Scores by what the predictions rest on.
    """
    ensemble = load_ensemble(output, device)
    predictor, scores, metrics = Predictor(ensemble, device), {}, dict(ensemble.card.metrics)
    rows: list[tuple[object, ...]] = []
    for name in ensemble.calibrations:
        features, some = showing(file, file_rows, name)
        if not len(some):
            continue
        predictions = predictor.predict(features)
        scores[name] = score(np.array([row.shc_max_abs for row in predictions]), labels[some])
        metrics |= _test_metrics(name, predictions, labels[some])
        rows += [(*_texts(row), number(label)) for row, label in zip(predictions, labels[some].tolist(), strict=True)]
    write_table(output / PREDICTIONS_FILE, UNIT_LINE, (*COLUMNS, "label"), rows)
    write_card(output / CARD_FILE, replace(ensemble.card, metrics=metrics))
    return scores


def showing(file: FeatureFile, file_rows: NDArray[np.int64], name: str) -> tuple[FeatureBatch, NDArray[np.intp]]:
    """Those of some crystals that have all that a prediction may rest on, showing nothing else of their bands.

    Args:
        file: Feature file.
        file_rows: ``[n]`` rows of it.
        name: One of ``SUBSETS``.

    Returns:
        The crystals, and their places among the rows.
    """
    keep = np.ones(len(file_rows), dtype=np.bool_)
    if CURVES in name:
        keep &= file.has_bands(file_rows)
    if PICTURE in name:
        keep &= usable_counts(file, file_rows) > 0
    rows = file_rows[keep]
    features = replace(
        file.read(rows),
        bands=file.bands(rows) if CURVES in name else None,
        pictures=file.pictures(rows) if PICTURE in name else None,
    )
    return features, np.flatnonzero(keep)


def _test_metrics(
    name: str, predictions: Sequence[Prediction], labels: NDArray[np.float64]
) -> dict[str, dict[str, float | None]]:
    value, lower, upper = (
        np.array([getattr(row, field) for row in predictions]) for field in ("shc_max_abs", "shc_lower", "shc_upper")
    )
    magnetic = np.array(["magnetic" in row.flags.split(";") for row in predictions])

    def entry(rows: NDArray[np.bool_]) -> dict[str, float | None]:
        share = covered(lower[rows], upper[rows], labels[rows])
        return metrics_entry(score(value[rows], labels[rows])) | {"coverage": share}

    metrics = {metrics_name(TEST, name): entry(np.ones(len(labels), dtype=np.bool_))}
    if magnetic.any() and not magnetic.all():
        metrics[metrics_name(TEST_NOT_MAGNETIC, name)] = entry(~magnetic)
    return metrics


def _texts(row: Prediction) -> list[object]:
    def text(value: object) -> object:
        if isinstance(value, bool):
            return str(value).lower()
        return number(value) if isinstance(value, float) else value

    return [text(getattr(row, name)) for name in COLUMNS]


def read_scored(output: Path, *, with_test: bool) -> Scored | None:
    """Scores of a training that was completed before; None if it was not."""
    path = output / CARD_FILE
    if not path.is_file():
        return None
    metrics = read_card(path).metrics
    if with_test and TEST not in metrics:
        return None

    def scores(rows: str) -> dict[str, Scores]:
        found = {}
        for name in SUBSETS:
            if (entry := metrics.get(metrics_name(rows, name))) is not None:
                n, *others = (entry[field] for field in Scores._fields)
                found[name] = Scores(int(n or 0), *(math.nan if value is None else value for value in others))
        return found

    return Scored(scores(OUT_OF_FOLD), scores(TEST))
