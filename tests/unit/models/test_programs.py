from __future__ import annotations

import runpy
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from shc.featurize.store import FeatureBatch
from shc.models import device, programs
from shc.models.bands_data import BandsBatch
from shc.models.data import CrystalArrays, CrystalBatch
from shc.models.electronic_numbers import N_NUMBERS
from shc.models.encoders.picture import ROWS, SIDE
from shc.models.members import Members, arguments
from shc.models.programs import export_encoder, export_members, said_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch.export import ExportedProgram

    from shc.featurize.types import CrystalRecord
    from shc.models.ensemble import Ensemble

    MakeBatch = Callable[[int], CrystalBatch]

TINY: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[2] / "data" / "tiny_model.py"))
ALLOWED = Path(__file__).parents[2] / "data" / "export_ops.txt"
"""One op a line: what compilers for inference are known to take with dynamic shapes."""


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    made: Ensemble = TINY["tiny_ensemble"](7, 9, model=TINY["FUSED"])
    return made


@pytest.fixture
def make_batch(record_factory: Callable[..., CrystalRecord]) -> MakeBatch:
    def make(n: int) -> CrystalBatch:
        records = [record_factory(f"m{i}", n_atoms=3 + i, n_nodes=2 + i % 3, seed=i) for i in range(n)]
        random = torch.Generator().manual_seed(n)
        known = torch.tensor([float(i % 2) for i in range(n)])
        curves = torch.rand(n, N_NUMBERS, generator=random)
        tokens = torch.randn(n, ROWS, TINY["PICTURE"].channels[-1], generator=random)
        bands = BandsBatch(curves, known, tokens, 1.0 - known)
        return CrystalArrays(FeatureBatch.from_records(records)).batch(np.arange(n))._replace(bands=bands)

    return make


@torch.inference_mode()
def test_members_say_the_mean_of_what_each_says(ensemble: Ensemble, make_batch: MakeBatch) -> None:
    batch = make_batch(5)
    said = Members(ensemble.members)(*arguments(batch))
    each = [member.predict(batch) for member in ensemble.members]
    for got, parts in (
        (said.probability, [output.value_logits.softmax(dim=1) for output in each]),
        (said.p_finite, [output.finite_logit.sigmoid() for output in each]),
        (said.tensor, [output.tensor for output in each]),
    ):
        torch.testing.assert_close(got, torch.stack(parts).mean(dim=0))
    torch.testing.assert_close(said.embedding, each[0].embedding)
    assert not torch.allclose(said.probability[0], said.probability[1])


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("with_bands", [False, True])
def test_members_export_for_any_size_within_the_allowed_ops(
    ensemble: Ensemble, make_batch: MakeBatch, with_bands: bool, mixed: bool
) -> None:
    batch, other = ((made if with_bands else made._replace(bands=None)) for made in (make_batch(3), make_batch(7)))
    program = export_members(ensemble, batch, mixed=mixed)
    with torch.inference_mode():
        said = said_of(program.module()(*arguments(other)))
        expected = Members(ensemble.members)(*arguments(other))
    for got, wanted in zip(said, expected, strict=True):
        scale = max(1.0, float(wanted.abs().max()))
        torch.testing.assert_close(got, wanted, atol=scale * (0.03 if mixed else 1e-5), rtol=0.0 if mixed else 1e-4)
        assert not (mixed and torch.equal(got, wanted))
    assert_allowed(program)


@pytest.mark.parametrize("mixed", [False, True])
def test_the_encoder_exports_for_any_number_of_pictures_within_the_allowed_ops(
    ensemble: Ensemble, monkeypatch: pytest.MonkeyPatch, mixed: bool
) -> None:
    assert ensemble.picture is not None
    monkeypatch.setattr(device, "has_bfloat16", lambda _: mixed)
    monkeypatch.setattr(programs, "has_bfloat16", lambda _: mixed)
    program = export_encoder(ensemble.picture, torch.device("cpu"))
    pictures = torch.rand(5, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    pictures[2, :, :50] = -1.0
    with torch.inference_mode():
        (tokens,) = program.module()(pictures)
        expected = ensemble.picture(pictures)
        torch.testing.assert_close(tokens, expected, atol=0.1 if mixed else 1e-4, rtol=0.0 if mixed else 1e-3)
    assert bool((tokens - expected).abs().max() > 1e-3) is mixed
    assert_allowed(program)


def assert_allowed(program: ExportedProgram) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch warns of itself
        decomposed = program.run_decompositions()
    used = {str(node.target) for node in decomposed.graph.nodes if node.op == "call_function"}
    allowed = set(ALLOWED.read_text(encoding="utf-8").splitlines())
    assert used <= allowed, sorted(used - allowed)
    # What compilers for inference unroll, replace or get wrong.
    assert not any(word in op for op in allowed for word in ("scatter", "gather", "scaled_dot_product", "batch_norm"))
