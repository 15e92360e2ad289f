"""Small ensembles with random weights, for tests of everything around the networks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from shc.featurize.config import FeaturizeConfig
from shc.featurize.elements import LAST_ELEMENT
from shc.models.card import UNIT, CalibrationSummary, DataSource, ModelCard, SplitInfo
from shc.models.config import ModelConfig, TrainConfig
from shc.models.domain import Domain
from shc.models.ensemble import Ensemble
from shc.models.network import SHCTransformer
from shc.models.uncertainty import METHOD, Calibration

SIZES = ModelConfig(
    d_model=8,
    n_convolutions=2,
    n_blocks=1,
    n_heads=2,
    n_descriptor_tokens=2,
    descriptor_bins=3,
    descriptor_width=2,
    hidden=8,
    n_distance=6,
    n_values=10,
)


def tiny_card(n_prompt: int, n_descriptors: int, n_members: int = 2) -> ModelCard:
    """A complete card."""
    return ModelCard(
        format=1,
        name="tiny",
        version="0",
        created="2025-01-01T00:00:00+00:00",
        unit=UNIT,
        data=DataSource(name="none", source="random weights", n_rows=0),
        split=SplitInfo(name="none", fold=None, n_train=0, n_test=0),
        model=SIZES,
        train=replace(TrainConfig(), n_members=n_members),
        features=FeaturizeConfig(),
        prompt_version=1,
        n_prompt=n_prompt,
        descriptor_version=1,
        n_descriptors=n_descriptors,
        metrics={"test": {"n": 0, "r2": None, "mae": 1.5}},
        calibration=CalibrationSummary(method=METHOD, coverage=0.9, n_rows=0, n_groups=2, blend=0.4),
        limits=("Random weights: no prediction means anything.",),
        licence_code="MIT",
        licence_weights="MIT",
    )


def tiny_ensemble(n_prompt: int, n_descriptors: int, n_members: int = 2, seed: int = 0) -> Ensemble:
    """Random networks whose scales fit standard normal inputs; every element but H and Tc was seen."""
    rng = np.random.default_rng(seed)
    members = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for _ in range(n_members):
            member = SHCTransformer(SIZES, n_descriptors, n_prompt)
            descriptors = rng.normal(size=(50, n_descriptors)).astype(np.float32)
            member.fit_scales(descriptors, rng.normal(size=(50, n_prompt)).astype(np.float32))
            members.append(member.eval().requires_grad_(requires_grad=False))
    seen = np.ones(LAST_ELEMENT + 1, dtype=np.bool_)
    seen[[0, 1, 43]] = False
    width = members[0].heads.value.in_features
    return Ensemble(
        members=members,
        card=tiny_card(n_prompt, n_descriptors, n_members),
        calibration=Calibration(0.9, 0.4, np.array([150.0]), np.array([1.0, -0.5]), 1.2, 0.1),
        domain=Domain(rng.normal(size=(4, width)).astype(np.float16), 50.0, seen),
    )
