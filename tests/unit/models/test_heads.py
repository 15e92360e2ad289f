from __future__ import annotations

import numpy as np
import pytest
import torch

from shc.models.config import ModelConfig
from shc.models.heads import Heads, ValueGrid, moments

CONFIG = ModelConfig(d_model=16, n_values=40, max_value=3600.0)
GRID = ValueGrid(CONFIG)


def test_bins_are_equally_wide_in_the_square_root() -> None:
    np.testing.assert_allclose(np.diff(np.sqrt(GRID.edges)), 60.0 / 40)
    assert GRID.edges[0] == 0.0
    assert GRID.edges[-1] == pytest.approx(3600.0)
    assert ((GRID.centre > GRID.edges[:-1]) & (GRID.centre < GRID.edges[1:])).all()


def test_soft_targets_are_distributions_around_the_label() -> None:
    shc = torch.tensor([0.0, 5.0, 200.0, 2180.0, 5000.0])
    target = GRID.soft_target(shc)
    assert target.shape == (5, 40)
    torch.testing.assert_close(target.sum(1), torch.ones(5))
    assert (target >= 0).all()
    bins = np.searchsorted(GRID.edges, shc.clamp(max=3599.0).numpy(), side="right") - 1
    assert target.argmax(1).tolist() == bins.tolist()
    # Away from the ends the mean in sqrt(SHC) is that of the label.
    centre = np.sqrt(GRID.centre)
    assert float(target[2].double().numpy() @ centre) == pytest.approx(np.sqrt(200.0), abs=0.02)


def test_quantiles_are_exact_within_a_bin_and_monotone() -> None:
    probability = np.zeros((2, 40))
    probability[0, 10] = 1.0
    probability[1, [3, 30]] = 0.5
    root = 60.0 / 40
    assert GRID.quantile(probability, 0.25)[0] == pytest.approx((10.25 * root) ** 2)
    assert GRID.quantile(probability, 0.5)[1] == pytest.approx((4 * root) ** 2)
    assert GRID.quantile(probability, 1.0)[1] == pytest.approx((31 * root) ** 2)
    random = np.random.default_rng(0).dirichlet(np.full(40, 0.3), 50)
    levels = [GRID.quantile(random, level) for level in np.linspace(0.0, 1.0, 21)]
    assert (np.diff(levels, axis=0) >= 0).all()
    assert (levels[0] >= 0).all()
    assert (levels[-1] <= 3600.0 + 1e-9).all()


def test_quantiles_agree_with_samples() -> None:
    rng = np.random.default_rng(1)
    probability = rng.dirichlet(np.ones(40), 1)
    bins = rng.choice(40, 200_000, p=probability[0])
    samples = ((bins + rng.random(200_000)) * 1.5) ** 2
    for level in (0.05, 0.5, 0.95):
        assert GRID.quantile(probability, level)[0] == pytest.approx(np.quantile(samples, level), rel=0.02)


def test_moments() -> None:
    probability = np.zeros((2, 40))
    probability[0, 7] = 1.0
    probability[1, [0, 39]] = 0.5
    result = moments(GRID, probability)
    assert result.mean[0] == pytest.approx(GRID.centre[7])
    assert result.std[0] == pytest.approx(0.0, abs=1e-3)
    assert result.mean[1] == pytest.approx((GRID.centre[0] + GRID.centre[39]) / 2)
    assert result.std[1] == pytest.approx((GRID.centre[39] - GRID.centre[0]) / 2)
    assert result.median[0] == pytest.approx((7.5 * 1.5) ** 2)


def test_heads_shapes() -> None:
    embedding = torch.randn(3, 24)
    with_tensor = Heads(CONFIG, 24, 27)(embedding)
    assert with_tensor.value_logits.shape == (3, 40)
    assert with_tensor.finite_logit.shape == (3,)
    assert with_tensor.tensor.shape == (3, 27)
    assert torch.equal(with_tensor.embedding, embedding)
    without = Heads(CONFIG, 24, 0)
    assert without(embedding).tensor.shape == (3, 0)
    assert {name.split(".")[0] for name, _ in without.named_parameters()} == {"value", "finite"}
