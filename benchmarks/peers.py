"""Other programs that predict crystals from CIF files, as ``end_to_end.py`` runs them.

All have random weights: those of CGCNN are made for other properties, those of ALIGNN and MatGL are fetched from the
network; speed depends on neither. CGCNN's data preparation and network are written from the paper, ALIGNN and MatGL run
their own code.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

CUTOFF: Final = 8.0
N_NEAREST: Final = 12
N_ELEMENTS: Final = 119


class Peer(Protocol):
    """A program that predicts."""

    batch_size: int
    """Crystals that its network sees at a time."""

    def prepare(self, path: Path) -> Any:  # noqa: ANN401 (each has its own kind of graph)
        """Read a file and make of it what the network needs, as far as the program does so file by file."""

    def predict(self, prepared: Sequence[Any]) -> NDArray[np.float64]:
        """The predictions of a batch."""


class CGCNNGraph(NamedTuple):
    """A crystal of n atoms."""

    atoms: Tensor
    """``[n, 92]`` features of the elements."""
    bonds: Tensor
    """``[n, 12, 41]`` Gaussians of the distances."""
    neighbours: Tensor
    """``[n, 12]`` indices."""


class Convolution(nn.Module):
    """Eq. 5 of the paper with batch norms, on the 12 nearest neighbours of every atom."""

    def __init__(self, width: int, n_bond: int) -> None:
        super().__init__()
        self.both = nn.Linear(2 * width + n_bond, 2 * width)
        self.norm_bonds, self.norm_atoms = nn.BatchNorm1d(2 * width), nn.BatchNorm1d(width)

    def forward(self, atoms: Tensor, bonds: Tensor, neighbours: Tensor) -> Tensor:
        """``[n, width]`` to ``[n, width]``."""
        n, k = neighbours.shape
        pair = torch.cat([atoms[:, None, :].expand(n, k, -1), atoms[neighbours], bonds], dim=2)
        mixed = self.norm_bonds(self.both(pair).flatten(0, 1)).view(n, k, -1)
        gate, core = mixed.chunk(2, dim=2)
        message = (torch.sigmoid(gate) * nn.functional.softplus(core)).sum(dim=1)
        return nn.functional.softplus(atoms + self.norm_atoms(message))


class CGCNNNetwork(nn.Module):
    """Three convolutions of width 64, the mean over atoms, a hidden layer of 128."""

    def __init__(self, n_atom: int, n_bond: int, width: int = 64, hidden: int = 128) -> None:
        super().__init__()
        self.embed = nn.Linear(n_atom, width)
        self.convolutions = nn.ModuleList(Convolution(width, n_bond) for _ in range(3))
        self.hidden, self.out = nn.Linear(width, hidden), nn.Linear(hidden, 1)

    def forward(self, atoms: Tensor, bonds: Tensor, neighbours: Tensor, crystal: Tensor, count: Tensor) -> Tensor:
        """``[B]`` predictions; ``crystal [n]`` is the crystal of each atom, ``count [B]`` their numbers of atoms."""
        nodes = self.embed(atoms)
        for convolution in self.convolutions:
            nodes = convolution(nodes, bonds, neighbours)
        mean = nodes.new_zeros(len(count), nodes.shape[1]).index_add(0, crystal, nodes) / count[:, None]
        hidden = nn.functional.softplus(self.hidden(nn.functional.softplus(mean)))
        out: Tensor = self.out(hidden)
        return out[:, 0]


class CGCNN:
    """CGCNN: Xie and Grossman, PRL 120, 145301 (2018).

    pymatgen reads the file and lists all neighbours within 8 Angstrom, of which the 12 nearest count; their distances
    are expanded in Gaussians from 0 to 8 Angstrom in steps of 0.2. Elements have 92 numbers, 0 or 1, here random ones.
    """

    batch_size = 256

    def __init__(self) -> None:
        from pymatgen.core import Structure

        self.read = Structure.from_file
        self.elements = np.random.default_rng(0).integers(0, 2, (N_ELEMENTS, 92)).astype(np.float32)
        self.centres = np.arange(0.0, CUTOFF + 0.1, 0.2)
        self.network = CGCNNNetwork(self.elements.shape[1], len(self.centres)).eval()

    def prepare(self, path: Path) -> CGCNNGraph:
        """File to graph."""
        structure = self.read(path)
        index = np.zeros((len(structure), N_NEAREST), dtype=np.int64)
        distance = np.full((len(structure), N_NEAREST), CUTOFF + 1.0)
        for i, found in enumerate(structure.get_all_neighbors(CUTOFF, include_index=True)):
            nearest = sorted(found, key=lambda neighbour: float(neighbour.nn_distance))[:N_NEAREST]
            index[i, : len(nearest)] = [neighbour.index for neighbour in nearest]
            distance[i, : len(nearest)] = [neighbour.nn_distance for neighbour in nearest]
        bonds = np.exp(-(((distance[:, :, None] - self.centres) / 0.2) ** 2)).astype(np.float32)
        atoms = np.stack([self.elements[site.specie.Z] for site in structure])
        return CGCNNGraph(torch.from_numpy(atoms), torch.from_numpy(bonds), torch.from_numpy(index))

    @torch.inference_mode()
    def predict(self, prepared: Sequence[CGCNNGraph]) -> NDArray[np.float64]:
        """Join the graphs and run the network."""
        return self.network(*collate(prepared)).double().numpy()  # type: ignore[no-any-return]  # torch modules return Any


def collate(graphs: Sequence[CGCNNGraph]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Join graphs: the arguments of ``CGCNNNetwork``, n being the atoms of all."""
    count = torch.tensor([len(graph.atoms) for graph in graphs])
    crystal = torch.repeat_interleave(torch.arange(len(graphs)), count)
    first = torch.cumsum(count, 0) - count
    neighbours = torch.cat([graph.neighbours + start for graph, start in zip(graphs, first, strict=True)])
    atoms, bonds = (torch.cat([graph[column] for graph in graphs]) for column in (0, 1))
    return atoms, bonds, neighbours, crystal, count


class M3GNet:
    """``predict_structure`` of MatGL's M3GNet with its default settings."""

    batch_size = 1

    def __init__(self) -> None:
        from matgl.config import DEFAULT_ELEMENTS
        from matgl.models import M3GNet as Network
        from pymatgen.core import Structure

        self.prepare = Structure.from_file
        self.network = Network(element_types=DEFAULT_ELEMENTS, is_intensive=True).eval()

    def predict(self, prepared: Sequence[Any]) -> NDArray[np.float64]:
        """Make the graph and run the network."""
        with torch.no_grad():
            return np.array([float(self.network.predict_structure(structure)) for structure in prepared])


class ALIGNN:
    """ALIGNN without DGL: graph within 8 Angstrom with 12 neighbours, 4 + 4 layers of width 256 as in its paper.

    Choudhary and DeCost, npj Comput. Mater. 7, 185 (2021).
    """

    batch_size = 1

    def __init__(self) -> None:
        from alignn.models.alignn_atomwise_pure import ALIGNNAtomWisePure, ALIGNNAtomWisePureConfig
        from alignn.torch_graph_builder import build_pure_torch_graph
        from jarvis.core.atoms import Atoms

        self.prepare, self.graph = Atoms.from_cif, build_pure_torch_graph
        settings = ALIGNNAtomWisePureConfig(
            name="alignn_atomwise_pure",
            alignn_layers=4,
            gcn_layers=4,
            atom_input_features=92,
            hidden_features=256,
            calculate_gradient=False,
        )
        self.network = ALIGNNAtomWisePure(settings).eval()

    def predict(self, prepared: Sequence[Any]) -> NDArray[np.float64]:
        """Make the graphs and run the network."""
        return np.array([self._predict(atoms) for atoms in prepared])

    def _predict(self, atoms: Any) -> float:  # noqa: ANN401 (jarvis is untyped here)
        bonds, angles = self.graph(atoms=atoms, two_body_cutoff=CUTOFF, max_neighbors=N_NEAREST)
        with torch.no_grad():
            lattice = torch.tensor(atoms.lattice_mat, dtype=torch.get_default_dtype())
            return float(self.network([bonds, angles, lattice])["out"])


PEERS: Final[dict[str, Callable[[], Peer]]] = {"cgcnn": CGCNN, "matgl": M3GNet, "alignn": ALIGNN}


def load_peer(name: str) -> Peer:
    """Make a peer ready.

    Raises:
        ImportError: It is not installed, or its import raises another error.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return PEERS[name]()
        except Exception as error:
            raise ImportError(f"{type(error).__name__}: {error}") from error
