"""Crystal graphs of all atoms, folded: edges that no network of distances and angles can tell apart become one.

The neighbours of an atom are its nearest ones, taken in whole shells, and every edge has its reverse. Directed edges
are then coloured by refinement: the first colour says the two elements and the distance; each round adds the colour
of the reverse edge and those of the other edges at the centre with their angles, until no class splits any more. Edges
of one colour have equal embeddings in every layer of a network that reads the same things, so one of each colour with
its multiplicity gives the same result as the whole graph. Edges that symmetry relates always share a colour.

Source of the refinement: Weisfeiler and Leman, NTI Ser. 2, 9, 12 (1968), here on edges, with hashed colours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from shc.kernels.neighbours import TIE_TOLERANCE, k_nearest
from shc.models.baselines.bases import bond_pairs, pair_cosines

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Hashes = NDArray[np.uint64]

LARGEST_SHELL = 24
"""Neighbours beyond the asked number among which the rest of the last shell is looked for."""
COSINE_TOLERANCE = 1e-3
"""Angles whose cosines differ by less count as equal."""


class Edges(NamedTuple):
    """E directed edges of some crystals, sorted by centre; each has its reverse."""

    centre: Ints
    """``[E]`` atom at which the edge ends, counted over all crystals."""
    neighbour: Ints
    """``[E]`` atom at the other end."""
    vector: Floats
    """``[E, 3]`` from centre to neighbour, Angstrom."""
    reverse: Ints
    """``[E]`` the same bond seen from the other end."""


class Folded(NamedTuple):
    """n classes of atoms, E of edges and T of triplets; indices count over all crystals."""

    atom: Ints
    """``[n]`` first atom of each class, ascending."""
    n_atoms: Ints
    """``[n]`` atoms in the class."""
    edge: Ints
    """``[E]`` first edge of each class, ascending; its centre is the first atom of a class."""
    centre: Ints
    """``[E]`` class of its centre."""
    neighbour: Ints
    """``[E]`` class of its neighbour."""
    reverse: Ints
    """``[E]`` class of its reverse."""
    multiplicity: Ints
    """``[E]`` edges of the class at one atom."""
    target: Ints
    """``[T]`` class of edges that is updated, ascending."""
    source: Ints
    """``[T]`` class of edges that it hears of."""
    cosine: Floats
    """``[T]`` of the angle between them."""
    repeats: Ints
    """``[T]`` such triplets at one edge."""


def symmetric_edges(lattice: Floats, frac: Floats, offsets: Ints, n_neighbours: int, cutoff: float) -> Edges:
    """The bonds to the nearest atoms, in both directions.

    An atom is bonded to its ``n_neighbours`` nearest and to all that are as far as the last of them, so that the
    choice keeps the symmetry of the crystal; and to the atoms of which it is such a neighbour.

    Args:
        lattice: ``[B, 3, 3]`` lattice vectors as rows, Angstrom.
        frac: ``[n, 3]`` fractional positions.
        offsets: ``[B + 1]`` first atom of each crystal.
        n_neighbours: Neighbours before shells are completed and reverse edges added.
        cutoff: Longest edge, Angstrom.
    """
    near = k_nearest(lattice, frac, offsets, cutoff, n_neighbours + LARGEST_SHELL)
    full = near.atom[:, n_neighbours - 1] >= 0
    reach = np.where(full, near.distance[:, n_neighbours - 1] + TIE_TOLERANCE, cutoff)
    atom, slot = np.nonzero((near.atom >= 0) & (near.distance <= reach[:, None]))
    crystal = np.repeat(np.arange(len(lattice)), np.diff(offsets))
    other = near.atom[atom, slot] + offsets[crystal[atom]]
    found = np.column_stack([atom, other, near.shift[atom, slot]])
    keys = np.unique(np.concatenate([found, _mirrored(found)]), axis=0)
    reverse = np.empty(len(keys), dtype=np.int64)
    reverse[np.lexsort(_mirrored(keys).T[::-1])] = np.arange(len(keys))
    centre, neighbour, shift = keys[:, 0], keys[:, 1], keys[:, 2:]
    vector = np.einsum("ek,ekj->ej", frac[neighbour] + shift - frac[centre], lattice[crystal[centre]])
    return Edges(centre, neighbour, vector, reverse)


def _mirrored(keys: Ints) -> Ints:
    """``[E, 5]`` atom, neighbour and translation of edges, seen from the other end."""
    return np.column_stack([keys[:, 1], keys[:, 0], -keys[:, 2:]])


def bond_pairs_and_cosines(edges: Edges) -> tuple[Ints, Ints, Floats]:
    """All pairs of different edges at one centre.

    Returns:
        Edge that is updated, ascending, edge that it hears of, and cosine of the angle between them, ``[T]`` each.
    """
    centre, vector = torch.from_numpy(edges.centre), torch.from_numpy(edges.vector)
    target, source = bond_pairs(centre, int(edges.centre.max(initial=-1)) + 1)
    cosine = pair_cosines(vector, vector.norm(dim=1), target, source)
    return target.numpy(), source.numpy(), cosine.numpy()


def fold(edges: Edges, kind: Ints) -> Folded:
    """Join the edges and atoms that look alike.

    Args:
        edges: The graphs.
        kind: ``[n]`` label of each atom; atoms of different kinds or crystals are never joined.
    """
    target, source, cosine = bond_pairs_and_cosines(edges)
    angle = np.rint(cosine / COSINE_TOLERANCE).astype(np.int64)
    colour = _refined(edges, kind, target, source, angle)
    edge, edge_class = _classes(colour)
    atom, atom_class = _classes(_mix(_hashes(kind)) + _sums(_mix(colour), edges.centre, len(kind)))
    chosen = np.zeros(len(kind), dtype=np.bool_)
    chosen[atom] = True
    kept = np.zeros(len(edges.centre), dtype=np.bool_)
    kept[edge] = True
    some = np.flatnonzero(kept[target])
    rows = np.column_stack([edge_class[target[some]], edge_class[source[some]], angle[some]])
    _, index, count = np.unique(rows, axis=0, return_index=True, return_counts=True)
    return Folded(
        atom=atom,
        n_atoms=np.bincount(atom_class, minlength=len(atom)),
        edge=edge,
        centre=atom_class[edges.centre[edge]],
        neighbour=atom_class[edges.neighbour[edge]],
        reverse=edge_class[edges.reverse[edge]],
        multiplicity=np.bincount(edge_class[chosen[edges.centre]], minlength=len(edge)),
        target=rows[index, 0],
        source=rows[index, 1],
        cosine=cosine[some][index],
        repeats=count,
    )


def _refined(edges: Edges, kind: Ints, target: Ints, source: Ints, angle: Ints) -> Hashes:
    """``[E]`` colour of each edge, once refinement splits no class any more."""
    distance = np.rint(np.linalg.norm(edges.vector, axis=1) / TIE_TOLERANCE).astype(np.int64)
    colour = _hashes(distance)
    for end in (edges.neighbour, edges.centre):
        colour = _mix(colour) + _hashes(kind[end])
    turn = _mix(_hashes(angle))
    n_classes = 0
    while n_classes < (n_classes := len(np.unique(colour))):
        around = _sums(_mix(colour[source] + turn), target, len(colour))
        colour = _mix(_mix(_mix(colour) + colour[edges.reverse]) + around)
    return colour


def _sums(values: Hashes, group: Ints, n_groups: int) -> Hashes:
    """Sums modulo 2**64 of values over groups, which ascend; they do not depend on the order within a group."""
    total = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(values, dtype=np.uint64)])
    border = np.searchsorted(group, np.arange(n_groups + 1))
    sums: Hashes = total[border[1:]] - total[border[:-1]]
    return sums


def _hashes(values: Ints) -> Hashes:
    return values.astype(np.uint64)


def _mix(values: Hashes) -> Hashes:
    """Scatter the bits as SplitMix64 does: Steele, Lea and Flood, OOPSLA 2014, doi:10.1145/2660193.2660195."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    result: Hashes = mixed ^ (mixed >> np.uint64(31))
    return result


def _classes(colour: Hashes) -> tuple[Ints, Ints]:
    """First member of each class, ascending, and the class of each member."""
    _, first, label = np.unique(colour, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first[order], rank[label]
