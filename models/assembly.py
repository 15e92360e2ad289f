"""From trained members to a calibrated ensemble, and its one look at the test rows."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from shc.featurize.config import BANDS_NONE
from shc.models.card import (
    CARD_FORMAT,
    UNIT,
    CalibrationSummary,
    DataSource,
    ModelCard,
    SplitInfo,
    metrics_entry,
    read_card,
    write_card,
)
from shc.models.checkpoint import load_tensors
from shc.models.data import CrystalArrays
from shc.models.domain import fit_domain
from shc.models.ensemble import CARD_FILE, Distributions, Ensemble, load_ensemble, save_ensemble
from shc.models.heads import ValueGrid
from shc.models.inference import Prediction, Predictor
from shc.models.member import EVALUATION_BATCH
from shc.models.metrics import Scores, score
from shc.models.network import SHCTransformer
from shc.models.training_files import OOF_FILE, PREDICTIONS_FILE, UNIT_LINE, number, write_table
from shc.models.uncertainty import METHOD, METHOD_COMMON, covered, fit_calibration, for_ensemble

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from shc.featurize.store import FeatureBatch, FeatureFile, FeatureHeader
    from shc.models.training_workers import MemberTask
    from shc.models.uncertainty import Calibration, Estimate

OUT_OF_FOLD: Final = "out_of_fold"
TEST: Final = "test"
TEST_NOT_MAGNETIC: Final = "test_without_cr_mn_fe_co_ni"
LIMITS: Final = (
    "Predicts one number, the largest component of the tensor at the Fermi level; no sign and no direction.",
    "Labels are intrinsic values of density functional theory; extrinsic contributions are absent.",
    "Crystals that hold Cr, Mn, Fe, Co or Ni seem to carry spin-polarised labels and are flagged.",
    "Elements that no training crystal holds, or without spin-orbit constants, are outside of the domain.",
    "Disordered crystals cannot be predicted.",
)


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores of a finished training."""

    out_of_fold: Scores
    test: Scores | None


def member_network(task: MemberTask, n_descriptors: int, n_prompt: int) -> SHCTransformer:
    """The network of a member with its best weights, in evaluation mode on the device of the task."""
    tensors, _ = load_tensors(task.checkpoint)
    best = {k.removeprefix("best."): v for k, v in tensors.items() if k.startswith("best.")}
    with torch.random.fork_rng(devices=[]):  # the random start is thrown away; no stream may notice it
        network = SHCTransformer(task.model, n_descriptors, n_prompt)
    network.load_state_dict(best)
    return network.eval().requires_grad_(requires_grad=False).to(task.device)


@torch.inference_mode()
def _distributions(network: SHCTransformer, arrays: CrystalArrays, rows: NDArray[np.int64]) -> Distributions:
    """What one member says about some rows, in their order."""
    place = {row: i for i, row in enumerate(rows.tolist())}
    device = next(network.parameters()).device
    parts: list[tuple[NDArray[np.int64], Any]] = []
    for chunk in arrays.by_size(rows, EVALUATION_BATCH):
        output = network.predict(arrays.batch(chunk).to(device))
        values = (output.value_logits.double().softmax(dim=1), output.finite_logit.double().sigmoid())
        at = np.array([place[row] for row in chunk.tolist()], dtype=np.int64)
        parts.append((at, [v.cpu().numpy() for v in (*values, output.embedding.float())]))
    order = np.argsort(np.concatenate([at for at, _ in parts]))
    return Distributions(*(np.concatenate([values[k] for _, values in parts])[order] for k in range(3)))


def assemble(
    output: Path, tasks: Sequence[MemberTask], batch: FeatureBatch, header: FeatureHeader, split: SplitInfo
) -> Scores:
    """Calibrate the trained members on their out-of-fold rows, their ensemble on the common ones; write the model.

    Writes ``model.safetensors``, ``card.json`` and ``oof.csv``.

    Args:
        output: Folder to write to.
        tasks: Finished tasks; all share their rows.
        batch: The training crystals, in the order of the tasks' rows.
        header: Header of the feature file.
        split: Which rows were trained on.

    Returns:
        Scores of the out-of-fold predictions.
    """
    arrays, labels = CrystalArrays(batch), tasks[0].labels
    config, grid = tasks[0].config, ValueGrid(tasks[0].model)
    networks = [member_network(task, arrays.descriptors.shape[1], arrays.prompt.shape[1]) for task in tasks]
    held_out = [_distributions(net, arrays, task.held_out) for net, task in zip(networks, tasks, strict=True)]
    rows = np.concatenate([task.held_out for task in tasks])
    probability = np.concatenate([part.probability for part in held_out])
    p_finite = np.concatenate([part.p_finite for part in held_out])
    single = fit_calibration(grid, probability, p_finite, labels[rows], finite_threshold=config.finite_threshold)
    calibration, unlearned, common = single, held_out[0].embedding, tasks[0].common
    if len(common):
        said = [_distributions(network, arrays, common) for network in networks]
        calibration = for_ensemble(single, grid, np.stack([each.probability for each in said]), labels[common])
        unlearned = np.concatenate([unlearned, said[0].embedding])
    learned = _distributions(networks[0], arrays, tasks[0].learned).embedding
    domain = fit_domain(learned, unlearned, batch.atomic_number)
    estimate = single.apply(grid, probability, p_finite)
    scores = score(estimate.value, labels[rows])
    card = _card(tasks, arrays, header, split, scores, calibration)
    _write_oof(output / OOF_FILE, batch.material_id, labels, tasks, estimate)
    save_ensemble(output, Ensemble(networks, card, calibration, domain))
    return scores


def _card(
    tasks: Sequence[MemberTask],
    arrays: CrystalArrays,
    header: FeatureHeader,
    split: SplitInfo,
    scores: Scores,
    calibration: Calibration,
) -> ModelCard:
    """The card of an ensemble that has been scored out of fold only."""
    tool = version("shc-predict")
    n_common = len(tasks[0].common)
    return ModelCard(
        format=CARD_FORMAT,
        name="shc-structure",
        version=tool,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        unit=UNIT,
        data=DataSource(
            name="labels given to shc train", source="see splits.json for the ids", n_rows=len(tasks[0].labels)
        ),
        split=split,
        model=tasks[0].model,
        train=tasks[0].config,
        # What the networks read; bands, if the file has them, taught them only.
        features=replace(header.config, bands=BANDS_NONE, pictures=False, styles=0),
        prompt_version=header.prompt_version,
        n_prompt=arrays.prompt.shape[1],
        descriptor_version=header.descriptor_version,
        n_descriptors=arrays.descriptors.shape[1],
        metrics={OUT_OF_FOLD: metrics_entry(scores)},
        calibration=CalibrationSummary(
            METHOD_COMMON if n_common else METHOD,
            calibration.coverage,
            scores.n,
            len(calibration.offset),
            calibration.blend,
            n_common,
        ),
        limits=LIMITS,
        licence_code="MIT",
        licence_weights="as the owner of the labels decides",
        tool_version=tool,
    )


def _write_oof(
    path: Path, ids: list[str], labels: NDArray[np.float64], tasks: Sequence[MemberTask], estimate: Estimate
) -> None:
    places = [(task.member, row) for task in tasks for row in task.held_out.tolist()]
    header = ("material_id", "member", "label", "shc_max_abs", "shc_lower", "shc_upper", "shc_std", "p_finite")
    rows = (
        (ids[row], member, *map(number, (labels[row], *values)))
        for (member, row), *values in zip(places, *estimate, strict=True)
    )
    write_table(path, f"{UNIT_LINE}; each crystal predicted by the member that held it out", header, rows)


def score_test(
    output: Path, file: FeatureFile, file_rows: NDArray[np.int64], labels: NDArray[np.float64], device: torch.device
) -> Scores:
    """Score the written model on rows it has never seen; writes ``predictions.csv`` and the scores to the card.

    Args:
        output: Folder of the model.
        file: Feature file.
        file_rows: ``[n]`` rows of it.
        labels: ``[n]`` (hbar/e) S/cm.
        device: Where to predict.
    """
    ensemble = load_ensemble(output, device)
    predictions = Predictor(ensemble, device).predict(file.read(file_rows))
    value = np.array([row.shc_max_abs for row in predictions])
    lower, upper = (np.array([getattr(row, f"shc_{end}") for row in predictions]) for end in ("lower", "upper"))
    magnetic = np.array(["magnetic" in row.flags.split(";") for row in predictions])

    def entry(rows: NDArray[np.bool_]) -> dict[str, float | None]:
        share = covered(lower[rows], upper[rows], labels[rows])
        return metrics_entry(score(value[rows], labels[rows])) | {"coverage": share}

    metrics = ensemble.card.metrics | {TEST: entry(np.ones(len(labels), dtype=np.bool_))}
    if magnetic.any() and not magnetic.all():
        metrics |= {TEST_NOT_MAGNETIC: entry(~magnetic)}
    table = ((*_texts(row), number(label)) for row, label in zip(predictions, labels.tolist(), strict=True))
    write_table(output / PREDICTIONS_FILE, UNIT_LINE, (*Prediction._fields, "label"), table)
    write_card(output / CARD_FILE, replace(ensemble.card, metrics=metrics))
    return score(value, labels)


def _texts(row: Prediction) -> list[object]:
    def text(value: object) -> object:
        if isinstance(value, bool):
            return str(value).lower()
        return number(value) if isinstance(value, float) else value

    return [text(value) for value in row]


def read_scored(output: Path, *, with_test: bool) -> Scored | None:
    """Scores of a training that was completed before; None if it was not."""
    path = output / CARD_FILE
    if not path.is_file():
        return None
    metrics = read_card(path).metrics
    if with_test and TEST not in metrics:
        return None

    def scores(name: str) -> Scores:
        n, *others = (metrics[name][field] for field in Scores._fields)
        return Scores(int(n or 0), *(math.nan if value is None else value for value in others))

    return Scored(scores(OUT_OF_FOLD), scores(TEST) if with_test else None)
