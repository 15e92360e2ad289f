"""Small ensembles with random weights, for tests of everything around the networks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from shc.featurize.config import FeaturizeConfig
from shc.featurize.elements import LAST_ELEMENT
from shc.models.card import CARD_FORMAT, UNIT, CalibrationSummary, DataSource, ModelCard, SplitInfo
from shc.models.config import ModelConfig, PictureConfig, TrainConfig
from shc.models.domain import Domain
from shc.models.electronic_numbers import N_NUMBERS
from shc.models.encoders.picture import ROWS, SIDE, PictureEncoder
from shc.models.ensemble import Ensemble
from shc.models.modalities import STRUCTURE, SUBSETS
from shc.models.network import SHCTransformer
from shc.models.tensor import N_COMPONENTS
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
PICTURE = PictureConfig(channels=(4, 4, 8), n_heads=2, epochs=2, style_epochs=2, batch_size=8)
FUSED = replace(
    SIZES,
    n_curves=N_NUMBERS,
    n_picture_tokens=ROWS,
    picture_width=PICTURE.channels[-1],
    n_curve_tokens=2,
    bands_hidden=8,
    n_tensor=N_COMPONENTS,
)
"""A network that reads curves and pictures and says a tensor."""
SUMMARY = CalibrationSummary(method=METHOD, coverage=0.9, n_rows=0, n_groups=2, blend=0.4)


def tiny_card(n_prompt: int, n_descriptors: int, n_members: int = 2, model: ModelConfig = SIZES) -> ModelCard:
    """A complete card."""
    return ModelCard(
        format=CARD_FORMAT,
        name="tiny",
        version="0",
        created="2025-01-01T00:00:00+00:00",
        unit=UNIT,
        data=DataSource(name="none", source="random weights", n_rows=0),
        split=SplitInfo(name="none", fold=None, n_train=0, n_test=0),
        model=model,
        train=replace(TrainConfig(), n_members=n_members),
        features=FeaturizeConfig(),
        prompt_version=1,
        n_prompt=n_prompt,
        descriptor_version=1,
        n_descriptors=n_descriptors,
        metrics={"test": {"n": 0, "r2": None, "mae": 1.5}},
        calibration=SUMMARY,
        limits=("Random weights: no prediction means anything.",),
        licence_code="MIT",
        licence_weights="MIT",
        reads_pictures=model.n_picture_tokens > 0,
        picture=PICTURE,
        calibrations={name: SUMMARY for name in _subsets(model) if name != STRUCTURE},
    )


def _subsets(model: ModelConfig) -> tuple[str, ...]:
    """What predictions of a network may rest on."""
    if model.n_picture_tokens:
        return SUBSETS
    return SUBSETS[:2] if model.reads_bands else SUBSETS[:1]


@torch.no_grad()
def tiny_encoder(config: PictureConfig = PICTURE) -> PictureEncoder:
    """Random weights whose scales fit sparse ink, in evaluation mode."""
    encoder = PictureEncoder(config).train()
    norms = [module for module in encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    encoder((torch.rand(4, 1, SIDE, SIDE) < 0.05).float())
    for norm in norms:
        norm.momentum = 0.1
    return encoder.eval().requires_grad_(requires_grad=False)


def tiny_ensemble(
    n_prompt: int, n_descriptors: int, n_members: int = 2, seed: int = 0, model: ModelConfig = SIZES
) -> Ensemble:
    """Random networks whose scales fit standard normal inputs; every element but H and Tc was seen."""
    rng = np.random.default_rng(seed)
    members, picture = [], None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for _ in range(n_members):
            member = SHCTransformer(model, n_descriptors, n_prompt)
            descriptors = rng.normal(size=(50, n_descriptors)).astype(np.float32)
            member.fit_scales(descriptors, rng.normal(size=(50, n_prompt)).astype(np.float32))
            if member.bands is not None:
                curves = np.abs(rng.normal(size=(50, model.n_curves))).astype(np.float32)
                member.bands.fit_scales(descriptors, 10.0 * curves)
            members.append(member.eval().requires_grad_(requires_grad=False))
        if model.n_picture_tokens:
            picture = tiny_encoder()
    seen = np.ones(LAST_ELEMENT + 1, dtype=np.bool_)
    seen[[0, 1, 43]] = False
    calibrations = {
        name: Calibration(0.9, 0.4, np.array([150.0]), np.array([1.0 + 0.5 * place, -0.5 - 0.25 * place]), 1.2, 0.1)
        for place, name in enumerate(_subsets(model))
    }
    return Ensemble(
        members=members,
        card=tiny_card(n_prompt, n_descriptors, n_members, model),
        calibrations=calibrations,
        domain=Domain(rng.normal(size=(4, members[0].embedding_width)).astype(np.float16), 50.0, seen),
        picture=picture,
    )
