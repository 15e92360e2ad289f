"""Operations counted by hand against those that torch counts."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from shc.models.bands_data import BandsBatch
from shc.models.config import ModelConfig, PictureConfig
from shc.models.data import CrystalBatch
from shc.models.encoders.picture import SIDE, PictureEncoder
from shc.models.network import SHCTransformer

if TYPE_CHECKING:
    from torch import Tensor, nn

ROOT = Path(__file__).parents[2]
COUNTS: dict[str, Any] = runpy.run_path(str(ROOT / "benchmarks" / "network_counts.py"))
TINY: dict[str, Any] = runpy.run_path(str(ROOT / "tests" / "data" / "tiny_model.py"))
SHIPPED = ModelConfig(
    n_curves=TINY["FUSED"].n_curves,
    n_picture_tokens=TINY["FUSED"].n_picture_tokens,
    picture_width=PictureConfig().channels[-1],
    n_tensor=TINY["FUSED"].n_tensor,
)
"""Other sizes than those of the tiny networks."""


@torch.inference_mode()
def counted(module: nn.Module, *given: Any) -> dict[str, int]:  # noqa: ANN401
    """Operations of each module of a network."""
    with FlopCounterMode(display=False) as counter:
        module(*given)
    return {name: sum(ops.values()) for name, ops in counter.get_flop_counts().items()}


def make_batch(sizes: Any, config: ModelConfig, *, bands: bool) -> CrystalBatch:  # noqa: ANN401
    def whole(*shape: int) -> Tensor:
        return torch.ones(shape, dtype=torch.int64)

    n, nodes, bonds = sizes[:3]
    tokens = torch.rand(n, config.n_picture_tokens, config.picture_width)
    known = BandsBatch(torch.rand(n, config.n_curves), torch.ones(n), tokens, torch.ones(n))
    return CrystalBatch(
        whole(n, nodes),
        torch.rand(n, nodes),
        whole(n, nodes, bonds),
        torch.rand(n, nodes, bonds),
        torch.rand(n, nodes, bonds),
        torch.rand(n, sizes.descriptors),
        torch.rand(n, sizes.prompt),
        known if bands else None,
    )


@pytest.mark.parametrize("bands", [False, True])
@pytest.mark.parametrize("config", [TINY["FUSED"], TINY["SIZES"], SHIPPED], ids=["fused", "structure", "large"])
@pytest.mark.parametrize("shape", [(3, 5, 4), (1, 2, 12), (7, 1, 3)])
def test_the_members(shape: tuple[int, int, int], config: ModelConfig, bands: bool) -> None:
    bands = bands and config.reads_bands
    sizes = COUNTS["Sizes"](*shape, 9, 7)
    network = SHCTransformer(config, sizes.descriptors, sizes.prompt).eval()
    found = counted(network, *make_batch(sizes, config, bands=bands))
    by_hand = COUNTS["member"](sizes, config, bands=bands)
    assert set(by_hand) == set(COUNTS["PARTS"])
    for part, names in COUNTS["PARTS"].items():
        expected = sum(found.get(f"SHCTransformer.{name}", 0) for name in names)
        assert by_hand[part].flops == pytest.approx(expected, rel=1e-3), part
    assert sum(work.flops for work in by_hand.values()) == pytest.approx(found["Global"], rel=1e-3)


@pytest.mark.parametrize("config", [TINY["PICTURE"], PictureConfig()], ids=["tiny", "large"])
@pytest.mark.parametrize("n", [1, 3])
def test_the_encoder_of_pictures(n: int, config: PictureConfig) -> None:
    found = counted(PictureEncoder(config).eval(), torch.rand(n, 1, SIDE, SIDE))
    assert COUNTS["encoder"](n, config).flops == pytest.approx(found["Global"], rel=1e-3)


def test_numbers_that_are_read_and_written() -> None:
    """Counted on the fingers."""
    assert COUNTS["product"](2, 3, 5) == COUNTS["Work"](60, 6 + 15 + 10)
    assert COUNTS["convolution"](2, 8, 2, 3, 4, 5) == COUNTS["Work"](2 * 2 * 16 * 36 * 5, 2 * (256 + 80) + 180)
    sizes, config = COUNTS["Sizes"](1, 1, 1, 1, 1), TINY["SIZES"]
    for part, work in COUNTS["member"](sizes, config, bands=False).items():
        more = COUNTS["member"](sizes._replace(crystals=2), config, bands=False)[part]
        assert work.numbers < more.numbers < 2 * work.numbers, part
        assert more.flops == 2 * work.flops
