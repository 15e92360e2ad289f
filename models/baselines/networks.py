"""The graph networks of the literature, each with its graphs and settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shc.models.baselines.atom_graphs import AtomGraphs
from shc.models.baselines.cgcnn import CGCNN, CGCNNConfig
from shc.models.baselines.crystal_transformer import CrystalTransformer, CrystalTransformerConfig
from shc.models.baselines.gemnet import GemNet, GemNetConfig
from shc.models.baselines.gemnet_graphs import GemNetGraphs
from shc.models.baselines.graphs import GraphArrays
from shc.models.baselines.m3gnet import M3GNet, M3GNetConfig
from shc.models.baselines.res_cgcnn import ResCGCNN, ResCGCNNConfig
from shc.models.baselines.settings import BaselineConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from shc.featurize.store import FeatureBatch
    from shc.models.baselines.graphs import Graphs


@dataclass(frozen=True, slots=True)
class Network:
    """A graph network and what it takes to train it."""

    title: str
    """As tables name it."""
    build: Callable[[], nn.Module]
    """Makes it with fresh weights."""
    graphs: Callable[[FeatureBatch], Graphs]
    """Makes the graphs that it reads."""
    config: BaselineConfig
    """Settings, chosen on training rows alone."""

    @property
    def n_parameters(self) -> int:
        """Weights of one network."""
        return sum(parameter.numel() for parameter in self.build().parameters())


NETWORKS: Final = {
    "cgcnn": Network(
        "CGCNN",
        lambda: CGCNN(CGCNNConfig()),
        GraphArrays,
        BaselineConfig(epochs=25, learning_rate=5e-3, weight_decay=0.1),
    ),
    "res_cgcnn": Network(
        "Res-CGCNN",
        lambda: ResCGCNN(ResCGCNNConfig()),
        GraphArrays,
        BaselineConfig(epochs=20, learning_rate=3e-3, weight_decay=0.1),
    ),
    "m3gnet": Network(
        "M3GNet",
        lambda: M3GNet(M3GNetConfig()),
        GraphArrays,
        BaselineConfig(epochs=14, learning_rate=2e-3, weight_decay=0.1),
    ),
    "gemnet": Network(
        "GemNet-T",
        lambda: GemNet(GemNetConfig()),
        GemNetGraphs,
        BaselineConfig(epochs=10, learning_rate=1e-3, weight_decay=0.1),
    ),
    "icomformer": Network(
        "iComFormer",
        lambda: CrystalTransformer(CrystalTransformerConfig()),
        AtomGraphs,
        BaselineConfig(epochs=12, learning_rate=2e-3, weight_decay=0.01),
    ),
}
"""By the name on the command line. Longer trainings only overfit: ``benchmarks/NOTES.md``."""
