from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from shc.featurize.tensor_symmetry import standard_laue_rotations, standard_projector
from shc.models.tensor import COMPONENT_NAMES, N_COMPONENTS, SCALE, TensorTargets, tensor_from_output, turned

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shc.featurize.electronic.record import ElectronicRecord

STAND_IN: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[2] / "data" / "stand_in.py"))
GROUPS = np.array([1, 14, 62, 87, 140, 148, 166, 176, 194, 205, 227])


def rotations(n: int, seed: int) -> NDArray[np.float64]:
    return np.asarray(Rotation.random(n, rng=np.random.default_rng(seed)).as_matrix())


def said(seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(len(GROUPS), N_COMPONENTS))


def test_names_follow_the_order_of_the_components() -> None:
    assert len(COMPONENT_NAMES) == N_COMPONENTS
    tensor = np.zeros((3, 3, 3))
    tensor[0, 2, 1] = 1.0
    assert COMPONENT_NAMES[int(tensor.ravel().argmax())] == "xzy"


def test_turning_turns_each_index() -> None:
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(3, 4, 3))
    turn = rotations(4, 1)
    product = np.einsum("ni,nj,nk->nijk", a, b, c)
    expected = np.einsum("ni,nj,nk->nijk", *(np.einsum("nij,nj->ni", turn, v) for v in (a, b, c)))
    np.testing.assert_allclose(turned(product, turn), expected, atol=1e-12)
    np.testing.assert_allclose(turned(turned(product, turn), turn.transpose(0, 2, 1)), product, atol=1e-12)


def test_the_tensor_turns_with_the_crystal() -> None:
    frames, turns = rotations(len(GROUPS), 2), rotations(len(GROUPS), 3)
    before = tensor_from_output(said(), GROUPS, frames)
    after = tensor_from_output(said(), GROUPS, frames @ turns.transpose(0, 2, 1))
    np.testing.assert_allclose(after, turned(before, turns), atol=1e-9 * np.abs(before).max())
    assert np.abs(after - before).max() > 1.0


def test_the_tensor_has_the_symmetry_of_the_crystal() -> None:
    frames = rotations(len(GROUPS), 2)
    tensors = tensor_from_output(said(), GROUPS, frames)
    for number, frame, tensor in zip(GROUPS.tolist(), frames, tensors, strict=True):
        assert np.abs(tensor).max() > 0.1
        for rotation in standard_laue_rotations(number):
            own = frame.T @ rotation @ frame
            np.testing.assert_allclose(turned(tensor[None], own[None])[0], tensor, atol=1e-9 * np.abs(tensor).max())


def test_any_frame_that_the_laue_class_allows_gives_the_same() -> None:
    frames = rotations(len(GROUPS), 2)
    others = np.stack([standard_laue_rotations(n)[-1] @ q for n, q in zip(GROUPS.tolist(), frames, strict=True)])
    first, second = tensor_from_output(said(), GROUPS, frames), tensor_from_output(said(), GROUPS, others)
    np.testing.assert_allclose(second, first, atol=1e-9 * np.abs(first).max())


def record_of(tensor: NDArray[np.float64]) -> ElectronicRecord:
    """Made-up bands with a tensor at the Fermi level."""
    record: ElectronicRecord = STAND_IN["electronic_record"](0)
    shc = record.shc.copy()
    shc[len(shc) // 2] = tensor
    return replace(record, shc=shc)


@pytest.fixture
def frames() -> NDArray[np.float32]:
    return rotations(len(GROUPS), 4).astype(np.float32)


@pytest.fixture
def targets(frames: NDArray[np.float32]) -> TensorTargets:
    """Targets that their crystals allow; the third crystal has no record."""
    allowed = tensor_from_output(said(), GROUPS, frames)
    records = [None if i == 2 else record_of(tensor) for i, tensor in enumerate(allowed)]
    return TensorTargets(records, GROUPS, frames)


def test_targets_are_what_the_network_shall_say(targets: TensorTargets, frames: NDArray[np.float32]) -> None:
    """Compressed and then uncompressed, every tensor is itself again."""
    allowed = tensor_from_output(said(), GROUPS, frames)
    again = tensor_from_output(targets.values.double().numpy(), GROUPS, frames)
    known = targets.known.numpy()
    assert known.tolist() == [i != 2 for i in range(len(GROUPS))]
    np.testing.assert_allclose(again[known], allowed[known], atol=1e-5 * np.abs(allowed).max())
    assert not targets.values[2].any()
    size = np.linalg.norm(allowed.reshape(-1, 27), axis=1)
    np.testing.assert_allclose(targets.values.norm(dim=1)[known], np.sqrt(size)[known] / SCALE, rtol=1e-4)


def test_targets_satisfy_the_symmetry(targets: TensorTargets) -> None:
    for number, value in zip(GROUPS.tolist(), targets.values.numpy(), strict=True):
        np.testing.assert_allclose(standard_projector(number) @ value, value, atol=1e-5)
    assert torch.equal(targets.projectors[targets.place[4]], torch.from_numpy(standard_projector(140).copy()).float())


def test_only_allowed_parts_of_known_crystals_count(targets: TensorTargets) -> None:
    rows = np.arange(len(GROUPS))
    assert targets.loss(targets.values, rows).item() == pytest.approx(0.0, abs=1e-8)
    forbidden = torch.stack([torch.eye(27) - targets.projectors[place] for place in targets.place]) @ torch.ones(27)
    assert forbidden.abs().amax() > 0.5
    assert targets.loss(targets.values + forbidden, rows).item() == pytest.approx(0.0, abs=1e-8)
    wrong = targets.values + 1.0
    apart = [targets.loss(wrong[[i]], np.array([i])).item() for i in rows.tolist()]
    assert apart[2] == 0.0
    assert sum(value > 0.1 for value in apart) >= 5
    assert targets.loss(wrong, rows).item() == pytest.approx(sum(apart) / (len(GROUPS) - 1), rel=1e-5)
    assert targets.loss(wrong[[2]], np.array([2])).item() == 0.0


def test_a_vanishing_tensor_is_a_target(frames: NDArray[np.float32]) -> None:
    targets = TensorTargets([record_of(np.zeros((3, 3, 3)))], GROUPS[:1], frames[:1])
    assert (targets.known.tolist(), targets.values.abs().max().item()) == ([True], 0.0)
