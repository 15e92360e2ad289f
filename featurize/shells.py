"""Descriptors of the bonds, with and without weight on the atoms that carry strong spin-orbit coupling."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from shc.featurize.elements import FEATURE_NAMES, element_column, element_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shc.featurize.segments import Segments

_BOND_FEATURES: Final = (
    "electronegativity",
    "covalent_radius",
    "valence",
    "valence_d",
    "energy_s",
    "energy_d",
    "soc_p",
    "soc_d",
    "pettifor",
)
_SITE_FEATURES: Final = (
    "electronegativity",
    "covalent_radius",
    "valence",
    "valence_d",
    "valence_p",
    "vacancy_d",
    "energy_s",
    "energy_p",
    "energy_d",
    "soc_p",
    "soc_d",
    "pettifor",
    "period",
    "group",
)
_BOND_COLUMNS: Final = tuple(FEATURE_NAMES.index(name) for name in _BOND_FEATURES)
_SITE_COLUMNS: Final = tuple(FEATURE_NAMES.index(name) for name in _SITE_FEATURES)
_SHELL: Final = (
    "distance_first_mean",
    "distance_first_min",
    "distance_first_max",
    "distance_relative_mean",
    "distance_relative_min",
    "distance_relative_spread",
    "coordination_mean",
    "coordination_min",
    "coordination_max",
    "like_neighbours",
    "heavy_distance",
    "d_overlap",
    "anisotropy_mean",
    "anisotropy_max",
    "asymmetry_mean",
    "asymmetry_max",
)
_AROUND: Final = (
    "distance_first",
    "distance_relative",
    "coordination",
    "like_neighbours",
    "soc_overlap",
    "hopping",
    "soc_over_width",
    "concentration",
)
_WEIGHTS: Final = ("soc", "soc_d", "soc_p")
SHELL_NAMES: Final = (
    *_SHELL,
    *(f"bond_difference_{name}" for name in _BOND_FEATURES),
    *(f"bond_product_{name}" for name in _BOND_FEATURES),
    *(
        name
        for weight in _WEIGHTS
        for name in (
            *(f"{weight}_site_{feature}" for feature in _SITE_FEATURES),
            *(f"{weight}_around_{feature}" for feature in _SITE_FEATURES),
            *(f"{weight}_{quantity}" for quantity in _AROUND),
        )
    ),
)
_LONELY_DISTANCE: Final = 8.0
_LONELY_RELATIVE: Final = 3.0


class Shells(NamedTuple):
    """Nodes of B crystals and their neighbours; n_nodes counts those of all crystals."""

    nodes: Segments
    """Nodes of each crystal."""
    node_z: NDArray[np.int64]
    """``[n_nodes]`` atomic numbers."""
    share: NDArray[np.float64]
    """``[n_nodes]`` share of the atoms, sums to 1 in each crystal."""
    neighbour_z: NDArray[np.int64]
    """``[n_nodes, K]``; 0 is padding."""
    distance: NDArray[np.float64]
    """``[n_nodes, K]`` Angstrom; infinite in padding."""
    unit: NDArray[np.float64]
    """``[n_nodes, K, 3]`` directions; 0 in padding."""


class _Bonds(NamedTuple):
    """What both groups of descriptors need of the bonds."""

    relative: NDArray[np.float64]
    """``[n_nodes, K]`` distance over the sum of covalent radii; infinite in padding."""
    first: NDArray[np.float64]
    """``[n_nodes]`` distance of the nearest neighbour, Angstrom."""
    nearest: NDArray[np.float64]
    """``[n_nodes]`` smallest relative distance."""
    alike: NDArray[np.bool_]
    """``[n_nodes, K]`` whether the neighbour is of the same element."""


@cache
def _table(columns: tuple[int, ...]) -> NDArray[np.float64]:
    """Some columns of the element table, ``[104, F]``."""
    return np.ascontiguousarray(element_table()[:, columns])


def _bonds(shells: Shells) -> _Bonds:
    radius = element_column("covalent_radius")
    relative = shells.distance / (radius[shells.node_z][:, None] + radius[shells.neighbour_z])
    return _Bonds(
        relative=relative,
        first=np.minimum(shells.distance.min(axis=1), _LONELY_DISTANCE),
        nearest=np.minimum(relative.min(axis=1), _LONELY_RELATIVE),
        alike=shells.neighbour_z == shells.node_z[:, None],
    )


def _moments(unit: NDArray[np.float64], weight: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Anisotropy (spread of the second moment) and asymmetry (length of the first) of each node's shell."""
    total = weight.sum(axis=1) + 1e-12
    weighted = weight[:, :, None] * unit
    first = weighted.sum(axis=1) / total[:, None]
    second = weighted.transpose(0, 2, 1) @ unit / total[:, None, None]
    square = (second**2).sum(axis=(1, 2)) - np.trace(second, axis1=1, axis2=2) ** 2 / 3.0
    return np.sqrt(np.maximum(square, 0.0)), np.sqrt((first**2).sum(axis=1))


def _shell(shells: Shells, bonds: _Bonds) -> NDArray[np.float64]:
    nodes, share, node_z, relative = shells.nodes, shells.share, shells.node_z, bonds.relative
    weight = np.exp(-6.0 * (relative / bonds.nearest[:, None] - 1.0))
    coordination = weight.sum(axis=1)
    anisotropy, asymmetry = _moments(shells.unit, weight)
    weight = weight * share[:, None]
    heavy = node_z == np.maximum.reduceat(node_z, nodes.start)[nodes.owner]
    heavy_pair = np.where(heavy[:, None] & bonds.alike, shells.distance, np.inf).min(axis=1)
    has_d = element_column("valence_d") > 0
    d_pair = has_d[node_z][:, None] & has_d[shells.neighbour_z]
    overlap = np.where(d_pair, np.exp(-2.0 * (relative - 1.0)), 0.0).sum(axis=1)
    per_node = np.column_stack([bonds.first, bonds.nearest, coordination, anisotropy, asymmetry])
    mean = nodes.sum(np.column_stack([per_node, overlap]) * share[:, None])
    low, high = nodes.min(per_node), nodes.max(per_node)
    ours = _table(_BOND_COLUMNS)[node_z][:, None, :]
    theirs = _table(_BOND_COLUMNS)[shells.neighbour_z]
    pairs = [bonds.alike[:, :, None], np.abs(ours - theirs), ours * theirs]
    sums = nodes.sum(np.concatenate([(weight[:, None, :] @ pair)[:, 0] for pair in pairs], axis=1))
    sums /= (nodes.sum(weight.sum(axis=1)) + 1e-12)[:, None]
    return np.column_stack(
        [
            mean[:, 0],
            low[:, 0],
            high[:, 0],
            mean[:, 1],
            low[:, 1],
            high[:, 1] - low[:, 1],
            mean[:, 2],
            low[:, 2],
            high[:, 2],
            sums[:, 0],
            np.minimum(nodes.min(heavy_pair), _LONELY_DISTANCE),
            mean[:, 5],
            mean[:, 3],
            high[:, 3],
            mean[:, 4],
            high[:, 4],
            sums[:, 1:],
        ]
    )


def _around(shells: Shells, bonds: _Bonds) -> NDArray[np.float64]:
    """Surroundings averaged over the atoms with weights xi^2, for all, d and p spin-orbit coupling in turn."""
    block_d = element_column("block_d") + element_column("block_f") > 0
    soc_d = element_column("soc_d") * block_d
    soc_p = element_column("soc_p") * (element_column("block_p") > 0)
    soc = soc_d + soc_p
    nodes, node_z, share, relative = shells.nodes, shells.node_z, shells.share[:, None], bonds.relative
    strengths = np.column_stack([soc, soc_d, soc_p])[node_z] ** 2 * share
    total = nodes.sum(strengths)[nodes.owner]
    weight = np.where(total > 0, strengths / np.where(total > 0, total, 1.0), share)
    shell = np.exp(-4.0 * (relative / bonds.nearest[:, None] - 1.0))
    coordination = shell.sum(axis=1) + 1e-9
    site = _table(_SITE_COLUMNS)
    around = (shell[:, None, :] @ site[shells.neighbour_z])[:, 0] / coordination[:, None]
    # d-d hopping integrals fall off as the fifth power of distance (Harrison, Electronic Structure, 1980).
    radius = element_column("covalent_radius") ** 2.5
    square = shells.distance * shells.distance
    hopping = radius[node_z] * (radius[shells.neighbour_z] / (square * square * shells.distance)).sum(axis=1)
    overlap = (soc[shells.neighbour_z] * np.exp(-2.0 * (relative - 1.0))).sum(axis=1) * soc[node_z]
    per_node = np.column_stack(
        [
            site[node_z],
            around,
            bonds.first,
            bonds.nearest,
            coordination,
            (shell * bonds.alike).sum(axis=1) / coordination,
            overlap,
            hopping,
            soc[node_z] / np.sqrt(hopping + 1e-6),
        ]
    )
    mean = nodes.sum(weight[:, :, None] * per_node[:, None, :])
    concentration = nodes.sum(weight**2)
    return np.concatenate([mean, concentration[:, :, None]], axis=2).reshape(len(mean), -1)


def shell_descriptors(shells: Shells) -> NDArray[np.float64]:
    """Bond descriptors ``[B, len(SHELL_NAMES)]`` in the order of the names; lengths in Angstrom, energies in eV."""
    bonds = _bonds(shells)
    return np.concatenate([_shell(shells, bonds), _around(shells, bonds)], axis=1)
