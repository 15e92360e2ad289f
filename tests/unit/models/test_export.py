from __future__ import annotations

import runpy
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from shc.featurize.store import FeatureBatch
from shc.models.bands_data import BandsBatch
from shc.models.data import CrystalArrays, CrystalBatch
from shc.models.electronic_numbers import N_NUMBERS
from shc.models.encoders.picture import SIDE
from shc.models.export import Said, WholeModel, export_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from shc.featurize.types import CrystalRecord
    from shc.models.ensemble import Ensemble

TINY: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[2] / "data" / "tiny_model.py"))
ALLOWED = Path(__file__).parents[2] / "data" / "export_ops.txt"
"""One op a line: what compilers for inference are known to take with dynamic shapes."""


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    made: Ensemble = TINY["tiny_ensemble"](7, 9, model=TINY["FUSED"])
    return made


@pytest.fixture
def make_batch(record_factory: Callable[..., CrystalRecord]) -> Callable[[int], tuple[CrystalBatch, torch.Tensor]]:
    def make(n: int) -> tuple[CrystalBatch, torch.Tensor]:
        records = [record_factory(f"m{i}", n_atoms=3 + i, n_nodes=2 + i % 3, seed=i) for i in range(n)]
        random = torch.Generator().manual_seed(n)
        known = torch.tensor([float(i % 2) for i in range(n)])
        curves = torch.rand(n, N_NUMBERS, generator=random)
        bands = BandsBatch(curves, known, torch.zeros(n, 0, 0), 1.0 - known)
        pictures = torch.rand(n, 1, SIDE, SIDE, generator=random)
        return CrystalArrays(FeatureBatch.from_records(records)).batch(np.arange(n))._replace(bands=bands), pictures

    return make


def arguments(batch: CrystalBatch, pictures: torch.Tensor) -> tuple[torch.Tensor, ...]:
    assert batch.bands is not None
    return (*batch[:6], batch.bands.curves, batch.bands.has_curves, pictures, batch.bands.has_picture)


def test_the_whole_model_says_what_the_ensemble_says(
    ensemble: Ensemble, make_batch: Callable[[int], tuple[CrystalBatch, torch.Tensor]]
) -> None:
    batch, pictures = make_batch(5)
    with torch.inference_mode():
        said = WholeModel(ensemble)(*arguments(batch, pictures))
        assert ensemble.picture is not None
        assert batch.bands is not None
        tokens = ensemble.picture(pictures)
    expected = ensemble.distribution(batch._replace(bands=batch.bands._replace(picture=tokens)))
    np.testing.assert_allclose(said.probability.numpy(), expected.probability, atol=1e-6)
    np.testing.assert_allclose(said.p_finite.numpy(), expected.p_finite, atol=1e-6)
    np.testing.assert_allclose(said.tensor.numpy(), expected.tensor, atol=1e-5)
    assert not np.allclose(said.probability[0].numpy(), said.probability[1].numpy())


def test_it_exports_for_any_number_of_crystals_and_nodes_within_the_allowed_ops(
    ensemble: Ensemble, make_batch: Callable[[int], tuple[CrystalBatch, torch.Tensor]]
) -> None:
    batch, pictures = make_batch(3)
    program = export_model(ensemble, batch, pictures)
    other, other_pictures = make_batch(7)
    with torch.inference_mode():
        said = Said(*program.module()(*arguments(other, other_pictures)))
        expected = WholeModel(ensemble)(*arguments(other, other_pictures))
    for got, wanted in zip(said, expected, strict=True):
        torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch warns of itself
        decomposed = program.run_decompositions()
    used = {str(node.target) for node in decomposed.graph.nodes if node.op == "call_function"}
    allowed = set(ALLOWED.read_text(encoding="utf-8").splitlines())
    assert used <= allowed, sorted(used - allowed)
    # What compilers for inference unroll, replace or get wrong.
    assert not any(word in op for op in allowed for word in ("scatter", "gather", "scaled_dot_product", "batch_norm"))


def test_the_structure_alone_exports_too(
    ensemble: Ensemble, make_batch: Callable[[int], tuple[CrystalBatch, torch.Tensor]]
) -> None:
    batch = make_batch(3)[0]._replace(bands=None)
    program = export_model(ensemble, batch)
    other = make_batch(6)[0]._replace(bands=None)
    with torch.inference_mode():
        said = Said(*program.module()(*other[:6]))
        expected = WholeModel(ensemble)(*other[:6])
    torch.testing.assert_close(said.probability, expected.probability, atol=1e-5, rtol=1e-4)
