"""Composition sums and electron counts: filling, charge balance, octet and 18-electron rules."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from shc.featurize.elements import FEATURE_NAMES, LAST_ELEMENT, MAGNETIC, element_table, oxidation_states
from shc.featurize.errors import ShcError
from shc.featurize.segments import Segments

if TYPE_CHECKING:
    from numpy.typing import NDArray

ELECTRON_COUNT_NAMES: Final = (
    *(f"fraction_{block}" for block in "spdf"),
    "fraction_magnetic",
    "fraction_heaviest",
    "fraction_strongest_soc",
    "fraction_most_electronegative",
    "n_elements",
    "mixing_entropy",
    "soc_p_rms",
    "soc_d_rms",
    "soc_p_electrons",
    "soc_d_electrons",
    "soc_first",
    "soc_second",
    "d_filling",
    "p_filling",
    "electrons_per_cell",
    "electrons_per_atom",
    *(f"electrons_mod_{n}" for n in (2, 3, 4, 6, 8)),
    "open_electrons_per_atom",
    "open_electrons_odd",
    "ionic_character",
    "charge_imbalance_common",
    "charge_imbalance_any",
    "charge_balanced",
    "fraction_anions",
    "fraction_open_d",
    "electrons_per_anion",
    "octet_excess",
    "electrons_per_open_d",
    "eighteen_excess",
    "donors_per_acceptor",
    "cation_electronegativity",
    "anion_electronegativity",
    "d_count",
    "d_count_per_atom",
    "s_surplus",
)
_ANION_GROUP: Final = 14


@lru_cache(maxsize=4096)
def charge_imbalance(composition: tuple[tuple[int, int], ...], *, common: bool) -> float:
    """Smallest |total charge| per atom over all assignments of one oxidation state to each element.

    Args:
        composition: Pairs of atomic number and count.
        common: Use the common oxidation states only.

    Returns:
        Elementary charges per atom; 0 for a composition that can be charge-balanced.
    """
    # Bit b of `reached` says that the total charge base + b can be had; base is at most 0.
    states = oxidation_states(common=common)
    reached, base = 1, 0
    for z, count in composition:
        charges = states[z].tolist()
        lowest = min(0, *charges)
        base += count * lowest
        shifted, reached = reached, 0
        for charge in charges:
            reached |= shifted << count * (charge - lowest)
    above = reached >> -base
    below = reached & ((1 << -base) - 1)
    distances = []
    if above:
        distances.append((above & -above).bit_length() - 1)
    if below:
        distances.append(-base - below.bit_length() + 1)
    return min(distances) / sum(count for _, count in composition)


class Composition(NamedTuple):
    """The elements of B crystals: one row for each element of each crystal, by crystal and atomic number."""

    z: NDArray[np.int64]
    """``[n]`` atomic numbers."""
    amount: NDArray[np.float64]
    """``[n]`` atoms of the element in the primitive cell."""
    first: NDArray[np.int64]
    """``[n]`` first atom of the element; decides between equals."""
    rows: Segments
    """Rows of each crystal."""
    n_atoms: NDArray[np.float64]
    """``[B]`` atoms of each crystal."""

    @classmethod
    def from_atoms(cls, atomic_number: NDArray[np.int64], atoms: Segments) -> Composition:
        """Count the elements of ``[n_atoms]`` atomic numbers, 1 to 103.

        Raises:
            ShcError: An element has no row in the table.
        """
        if atomic_number.min() < 1 or atomic_number.max() > LAST_ELEMENT:
            raise ShcError(
                f"atomic numbers go from {atomic_number.min()} to {atomic_number.max()}: "
                f"the element table knows 1 to {LAST_ELEMENT}",
                "descriptors are known for H to Lr only",
            )
        base = LAST_ELEMENT + 1
        key, first, count = np.unique(atoms.owner * base + atomic_number, return_index=True, return_counts=True)
        crystal, z = np.divmod(key, base)
        rows = Segments.from_sizes(np.bincount(crystal, minlength=len(atoms.start)))
        weight = count.astype(np.float64)
        return cls(z, weight, first, rows, rows.sum(weight))

    def total(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """``[B, ...]`` sums over the atoms of values given per element, ``[n, ...]``."""
        return self.rows.sum((values.T * self.amount).T)

    def strongest(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        """``[B]`` rows of the elements with the largest of ``[n]`` values, the first atom's where several are equal."""
        largest = values == self.rows.max(values)[self.rows.owner]
        key = np.where(largest, self.first, np.iinfo(np.int64).max)
        return np.flatnonzero(key == np.minimum.reduceat(key, self.rows.start)[self.rows.owner])

    def formulas(self) -> list[tuple[tuple[int, int], ...]]:
        """Pairs of atomic number and count of each crystal."""
        pairs = list(zip(self.z.tolist(), self.amount.astype(np.int64).tolist(), strict=True))
        ends = [*self.rows.start[1:].tolist(), len(pairs)]
        return [tuple(pairs[start:end]) for start, end in zip(self.rows.start.tolist(), ends, strict=True)]


def _count(elements: Composition, get: dict[str, NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """Electron counting; a filled d shell is core here and an open one is 'open d'."""
    n, total = elements.n_atoms, elements.total
    d, electronegativity = get["valence_d"], get["electronegativity"]
    open_d = ((d > 0) & (d < 10)).astype(np.float64)
    anion = ((get["block_p"] > 0) & (get["group"] >= _ANION_GROUP)).astype(np.float64)
    cation = 1.0 - anion
    n_anion, n_open = total(anion), total(open_d)
    electrons = total(get["valence"])
    active = electrons - total(d * (d == 10))
    formulas = elements.formulas()
    common = np.array([charge_imbalance(formula, common=True) for formula in formulas])
    acceptors = total(get["vacancy_p"] * anion)
    donors = total((get["valence_s"] + get["valence_p"]) * cation)
    d_left = total(d * open_d) - np.maximum(acceptors - donors, 0.0)
    span = elements.rows.max(electronegativity) - elements.rows.min(electronegativity)
    return [
        active / n,
        active % 2,
        1.0 - np.exp(-0.25 * span**2),
        common,
        np.array([charge_imbalance(formula, common=False) for formula in formulas]),
        (common < 1e-9).astype(np.float64),
        n_anion / n,
        n_open / n,
        active / np.maximum(n_anion, 1),
        (active - 8 * n_anion) / n,
        active / np.maximum(n_open, 1),
        np.where(n_open > 0, (electrons - 18 * n_open) / n, 0.0),
        total(get["valence"] * cation) / np.maximum(acceptors, 0.5),
        total(electronegativity * cation) / np.maximum(n - n_anion, 1),
        total(electronegativity * anion) / np.maximum(n_anion, 1),
        d_left / np.maximum(n_open, 1),
        d_left / n,
        (donors - acceptors) / n,
    ]


def electron_count(elements: Composition) -> NDArray[np.float64]:
    """Sums and electron counts of primitive cells.

    Args:
        elements: The elements of B crystals.

    Returns:
        ``[B, len(ELECTRON_COUNT_NAMES)]`` in the order of ``ELECTRON_COUNT_NAMES``; energies in eV.
    """
    n, rows = elements.n_atoms, elements.rows
    get = dict(zip(FEATURE_NAMES, np.ascontiguousarray(element_table()[elements.z].T), strict=True))
    fraction = elements.amount / n[rows.owner]
    soc = get["soc_p"] * (get["block_p"] > 0) + get["soc_d"] * (get["block_d"] + get["block_f"] > 0)
    strongest = elements.strongest(soc)
    others = soc.copy()
    others[strongest] = 0.0
    blocks = np.column_stack([get[f"block_{block}"] for block in "spdf"])
    magnetic = np.isin(elements.z, sorted(MAGNETIC)).astype(np.float64)
    names = ("valence_d", "vacancy_d", "valence_p", "vacancy_p", "valence")
    total = elements.total(np.column_stack([get[name] for name in names]))
    electrons = total[:, 4]
    return np.column_stack(
        [
            elements.total(blocks) / n[:, None],
            elements.total(magnetic) / n,
            fraction[np.append(rows.start[1:], len(fraction)) - 1],
            fraction[strongest],
            fraction[elements.strongest(get["electronegativity"])],
            np.bincount(rows.owner),
            -rows.sum(fraction * np.log(fraction)),
            np.sqrt(elements.total(get["soc_p"] ** 2) / n),
            np.sqrt(elements.total(get["soc_d"] ** 2) / n),
            elements.total(get["soc_p"] * get["valence_p"]) / n,
            elements.total(get["soc_d"] * get["valence_d"]) / n,
            soc[strongest],
            rows.max(others),
            total[:, 0] / np.maximum(total[:, 0] + total[:, 1], 1.0),
            total[:, 2] / np.maximum(total[:, 2] + total[:, 3], 1.0),
            electrons,
            electrons / n,
            electrons[:, None] % [2, 3, 4, 6, 8],
            *_count(elements, get),
        ]
    )
