"""Operations and memory traffic of the networks, counted by hand from their sizes.

What is counted are the products: matrix products and convolutions, an operation for each multiplication and each
addition; and the numbers that products and gathers read and write, each operand and each result once. What lies between
products (norms, activations, sums over bonds) is taken as free. So both counts are lower bounds, and what they say can
be reached is an upper one. Source of the model: Williams, Waterman, Patterson, CACM 52, 65 (2009).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from shc.featurize.elements import element_table
from shc.models.encoders.bands import PICTURE_NUMBERS
from shc.models.encoders.picture import ROWS, SIDE
from shc.models.encoders.prompt import N_PROMPT_TOKENS
from shc.models.heads import TENSOR_WIDTH

if TYPE_CHECKING:
    from shc.models.config import ModelConfig, PictureConfig

PARTS: Final = {
    "crystal graph": ("crystal",),
    "trunks": ("prompt", "descriptors", "bands.encode", "bands.descriptors"),
    "fusion": ("fusion", "bands.fusion"),
    "heads": ("heads", "bands.heads"),
}
"""Modules of a member, by part."""


@dataclass(frozen=True)
class Work:
    """What has to be done."""

    flops: int = 0
    """Multiplications and additions."""
    numbers: int = 0
    """Numbers read and written."""

    def __add__(self, other: Work) -> Work:
        """One after the other."""
        return Work(self.flops + other.flops, self.numbers + other.numbers)

    def __mul__(self, times: int) -> Work:
        """The same several times."""
        return Work(self.flops * times, self.numbers * times)


class Sizes(NamedTuple):
    """A dense batch, padding included, and the widths of its inputs."""

    crystals: int
    nodes: int
    """Of each crystal."""
    bonds: int
    """Of each node."""
    descriptors: int
    prompt: int


def product(rows: int, inner: int, columns: int) -> Work:
    """``[rows, inner]`` times ``[inner, columns]``."""
    return Work(2 * rows * inner * columns, rows * inner + inner * columns + rows * columns)


def convolution(n: int, side: int, step: int, kernel: int, n_in: int, n_out: int) -> Work:
    """Square images of a side, n of them, ``step`` times smaller afterwards."""
    out = side // step
    taps = kernel * kernel * n_in
    return Work(2 * n * out * out * taps * n_out, n * (side * side * n_in + out * out * n_out) + taps * n_out)


def attention(n: int, queries: int, context: int, width: int, heads: int) -> Work:
    """Projections, logits and mixtures."""
    projections = product(n * queries, width, width) * 2 + product(n * context, width, width) * 2
    each = width // heads
    return projections + (product(queries, each, context) + product(queries, context, each)) * (n * heads)


def encoder(n: int, config: PictureConfig) -> Work:
    """The encoder, for n pictures."""
    side, work, width = SIDE, Work(), 2
    for n_out, kernel, step in zip(config.channels, (7, 3, 3), (4, 2, 2), strict=True):
        work += convolution(n, side, step, kernel, width, n_out)
        side, width = side // step, n_out
        work += convolution(n, side, 1, 3, width, width) * 2
    tokens = ROWS * ROWS
    work += attention(n, tokens, tokens, width, config.n_heads)
    return work + _feed_forward(n * tokens, width)


def crystal_graph(sizes: Sizes, config: ModelConfig) -> Work:
    """Embeddings of atoms, then the gated convolutions."""
    width, nodes = config.d_model, sizes.crystals * sizes.nodes
    bonds = nodes * sizes.bonds
    atoms = product(nodes, element_table().shape[1], width) + product(nodes, width, width) + product(nodes, 1, width)
    ends = product(nodes, width, 2 * width) * 2
    gathered = Work(0, 2 * bonds * 2 * width)
    layer = ends + gathered + product(bonds, 2 * config.n_distance, 2 * width) + product(nodes, width, width)
    return atoms + layer * config.n_convolutions


def trunks(sizes: Sizes, config: ModelConfig, *, bands: bool) -> Work:
    """Descriptors, symmetry prompt and bands: all that is encoded number by number."""
    n, width = sizes.crystals, config.d_model
    prompt = product(n, sizes.prompt, width) + product(n, width, N_PROMPT_TOKENS * width)
    work = prompt + _trunk(sizes, config, sizes.prompt, config.hidden)
    if not bands:
        return work
    curves = config.n_curves * config.descriptor_width
    work += _piecewise(n, config.n_curves, config) + product(n, curves, config.n_curve_tokens * width)
    rows, wide = n * config.n_picture_tokens, config.picture_width
    if rows:
        work += product(rows, wide, width) + product(rows, wide, PICTURE_NUMBERS)
    other = sizes.prompt + curves + config.n_picture_tokens * PICTURE_NUMBERS + 2
    return work + _trunk(sizes, config, other, config.bands_hidden)


def fusion(sizes: Sizes, config: ModelConfig, *, bands: bool) -> Work:
    """Queries to the crystal alone, and again with the bands."""
    work = _fusion(sizes.crystals, sizes.nodes + 1, config)
    if bands:
        work += _fusion(sizes.crystals, sizes.nodes + config.n_curve_tokens + config.n_picture_tokens, config)
    return work


def heads(sizes: Sizes, config: ModelConfig, *, bands: bool) -> Work:
    """What is read from the embeddings."""
    n, width = sizes.crystals, config.hidden + config.d_model
    work = product(n, width, config.n_values) + product(n, width, 1)
    if config.n_tensor:
        work += product(n, width, TENSOR_WIDTH) + product(n, TENSOR_WIDTH, config.n_tensor)
    if bands:
        joined = width + config.bands_hidden + config.d_model
        work += product(n, joined, config.n_values) + product(n, joined, 1)
    return work


def member(sizes: Sizes, config: ModelConfig, *, bands: bool) -> dict[str, Work]:
    """One member of an ensemble, by part."""
    return {
        "crystal graph": crystal_graph(sizes, config),
        "trunks": trunks(sizes, config, bands=bands),
        "fusion": fusion(sizes, config, bands=bands),
        "heads": heads(sizes, config, bands=bands),
    }


def _feed_forward(rows: int, width: int) -> Work:
    return product(rows, width, 2 * width) + product(rows, 2 * width, width)


def _piecewise(n: int, n_features: int, config: ModelConfig) -> Work:
    return product(n, config.descriptor_bins, config.descriptor_width) * n_features


def _trunk(sizes: Sizes, config: ModelConfig, n_other: int, hidden: int) -> Work:
    n = sizes.crystals
    wide = sizes.descriptors * config.descriptor_width + n_other
    layers = product(n, wide, hidden) + product(n, hidden, hidden)
    tokens = product(n, hidden, config.n_descriptor_tokens * config.d_model)
    return _piecewise(n, sizes.descriptors, config) + layers + tokens


def _fusion(n: int, context: int, config: ModelConfig) -> Work:
    width, queries = config.d_model, 1 + N_PROMPT_TOKENS + config.n_descriptor_tokens
    cross = attention(n, queries, context, width, config.n_heads)
    own = attention(n, queries, queries, width, config.n_heads)
    return (cross + own + _feed_forward(n * queries, width)) * config.n_blocks
