"""Pictures on their way into the network: ink, tokens, and what a batch of crystals says of its bands."""

from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from shc.featurize.band_image.codec import StoredPicture
from shc.featurize.band_image.types import LEAST_CONFIDENCE
from shc.featurize.store import FeatureBatch
from shc.models import pictures as pictures_module
from shc.models.bands_input import bands_of
from shc.models.electronic_numbers import numbers_of
from shc.models.encoders.fast_picture import FastEncoder
from shc.models.encoders.picture import SIDE, UNKNOWN
from shc.models.pictures import ROW_EV, encode_pictures, ink

if TYPE_CHECKING:
    from collections.abc import Callable

    from shc.featurize.types import CrystalRecord
    from shc.models.encoders.picture import PictureEncoder

DATA = Path(__file__).parents[2] / "data"
TINY: dict[str, Any] = runpy.run_path(str(DATA / "tiny_model.py"))
TOY: dict[str, Any] = runpy.run_path(str(DATA / "toy_crystals.py"))
CPU = torch.device("cpu")


@pytest.fixture
def encoder() -> PictureEncoder:
    torch.manual_seed(0)
    made: PictureEncoder = TINY["tiny_encoder"]()
    return made


def full(low: float, high: float, confidence: float = 1.0) -> StoredPicture:
    return StoredPicture(np.ones((1, SIDE, SIDE), np.float32), low, high, confidence, "full.png")


def test_rows_run_from_the_highest_energy_down() -> None:
    assert ROW_EV.shape == (SIDE,)
    np.testing.assert_allclose(ROW_EV[[0, -1]], [3.0 - 3.0 / SIDE, -3.0 + 3.0 / SIDE])
    np.testing.assert_allclose(np.diff(ROW_EV), -6.0 / SIDE)


def test_energies_outside_the_window_are_unknown() -> None:
    shown = ink(full(-1.5, 0.75))
    assert shown.shape == (SIDE, SIDE)
    assert shown.dtype == np.float32
    known = (shown == 1.0).all(axis=1)
    assert ((shown == UNKNOWN).all(axis=1) == ~known).all()
    # 0.75 eV of 3 eV in 112 rows: 28 above the middle, 56 below.
    assert np.flatnonzero(known).tolist() == list(range(112 - 28, 112 + 56))
    assert (ink(full(-3.0, 3.0)) == 1.0).all()
    assert (ink(full(1.0, 0.5)) == UNKNOWN).all()


def test_tokens_come_in_the_order_of_the_pictures(encoder: PictureEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    some = [TOY["picture"](number) for number in range(5)]
    whole = encode_pictures(FastEncoder(encoder, CPU), some)
    assert (whole.shape, whole.dtype, whole.device) == ((5, *encoder.token_shape), torch.float16, CPU)
    assert (whole[0] - whole[1]).abs().max() > 0.01
    monkeypatch.setattr(pictures_module, "ENCODED_AT_ONCE", 2)
    # Units for bfloat16 round otherwise in batches of other sizes.
    torch.testing.assert_close(encode_pictures(FastEncoder(encoder, CPU), some), whole, atol=0.03, rtol=0.0)
    precise = encode_pictures(FastEncoder(encoder, CPU, bfloat16=False), some)
    images = torch.from_numpy(np.stack([ink(picture) for picture in some]))[:, None]
    torch.testing.assert_close(precise, encoder(images).half(), atol=2e-3, rtol=0.0)
    assert encode_pictures(FastEncoder(encoder, CPU), []).shape == (0, *encoder.token_shape)


@pytest.fixture
def features(record_factory: Callable[..., CrystalRecord]) -> FeatureBatch:
    """Crystals with bands and two pictures, a doubtful picture and a good one, and nothing."""
    batch = FeatureBatch.from_records([record_factory(f"c{i}") for i in range(3)])
    doubtful = full(-3.0, 3.0, LEAST_CONFIDENCE - 0.01)
    pictures = [(TOY["picture"](0), TOY["picture"](1)), (doubtful, full(-3.0, 3.0, LEAST_CONFIDENCE)), ()]
    return replace(batch, bands=[TOY["electronic"](4), None, None], pictures=pictures)


def test_what_a_batch_says_of_bands(encoder: PictureEncoder, features: FeatureBatch) -> None:
    bands = bands_of(features, TINY["FUSED"], FastEncoder(encoder, CPU))
    assert bands is not None
    assert bands.subset().tolist() == [3, 2, 0]
    assert bands.counts.tolist() == [2, 1, 0], "a doubtful picture is left out"
    numbers, _ = numbers_of([TOY["electronic"](4)], features.lattice[:1])
    np.testing.assert_array_equal(bands.curves[0].numpy(), numbers[0])
    expected = encode_pictures(FastEncoder(encoder, CPU), [TOY["picture"](0), TOY["picture"](1), full(-3.0, 3.0)])
    torch.testing.assert_close(bands.tokens, expected, atol=0.03, rtol=0.0)


def test_what_is_not_asked_for_is_absent(encoder: PictureEncoder, features: FeatureBatch) -> None:
    assert bands_of(features, TINY["SIZES"], FastEncoder(encoder, CPU)) is None, "the networks know no bands"
    nothing = bands_of(replace(features, bands=None, pictures=None), TINY["FUSED"], FastEncoder(encoder, CPU))
    assert nothing is not None
    assert nothing.subset().tolist() == [0, 0, 0]
    curves = bands_of(features, replace(TINY["FUSED"], n_picture_tokens=0, picture_width=0), None)
    assert curves is not None
    assert curves.subset().tolist() == [1, 0, 0]
