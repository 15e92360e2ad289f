"""Composition sums and electron counts: filling, charge balance, octet and 18-electron rules."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from shc.featurize.elements import FEATURE_NAMES, MAGNETIC, element_table, oxidation_states

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
_MAX_TOTALS: Final = 20000


@lru_cache(maxsize=4096)
def charge_imbalance(composition: tuple[tuple[int, int], ...], *, common: bool) -> float:
    """Smallest |total charge| per atom over all assignments of one oxidation state to each element.

    Args:
        composition: Pairs of atomic number and count.
        common: Use the common oxidation states only.

    Returns:
        Elementary charges per atom; 0 for a composition that can be charge-balanced.
    """
    states = oxidation_states(common=common)
    totals = np.zeros(1, dtype=np.int64)
    for z, count in composition:
        totals = np.unique(totals[:, None] + count * states[z])
        if len(totals) > _MAX_TOTALS:
            totals = totals[np.argsort(np.abs(totals))[:_MAX_TOTALS]]
    return float(np.abs(totals).min()) / sum(count for _, count in composition)


def _count(z: NDArray[np.int64], get: dict[str, NDArray[np.float64]]) -> list[float]:
    """Electron counting; a filled d shell is core here and an open one is 'open d'."""
    n = len(z)
    electrons, d = get["valence"].sum(), get["valence_d"]
    open_d = (d > 0) & (d < 10)
    anion = (get["block_p"] > 0) & (get["group"] >= _ANION_GROUP)
    cation = ~anion
    n_anion, n_open = int(anion.sum()), int(open_d.sum())
    active = electrons - d[d == 10].sum()
    numbers, counts = np.unique(z, return_counts=True)
    composition = tuple(zip(numbers.tolist(), counts.tolist(), strict=True))
    common = charge_imbalance(composition, common=True)
    acceptors = get["vacancy_p"][anion].sum()
    donors = get["valence_s"][cation].sum() + get["valence_p"][cation].sum()
    d_left = d[open_d].sum() - max(acceptors - donors, 0.0)
    electronegativity = get["electronegativity"]
    return [
        active / n,
        active % 2,
        1.0 - np.exp(-0.25 * (electronegativity.max() - electronegativity.min()) ** 2),
        common,
        charge_imbalance(composition, common=False),
        float(common < 1e-9),
        n_anion / n,
        n_open / n,
        active / max(n_anion, 1),
        (active - 8 * n_anion) / n,
        active / max(n_open, 1),
        (electrons - 18 * n_open) / n if n_open else 0.0,
        get["valence"][cation].sum() / max(acceptors, 0.5),
        electronegativity[cation].mean() if n_anion < n else 0.0,
        electronegativity[anion].mean() if n_anion else 0.0,
        d_left / max(n_open, 1),
        d_left / n,
        (donors - acceptors) / n,
    ]


def electron_count(atomic_number: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sums and electron counts of a primitive cell.

    Args:
        atomic_number: ``[n_atoms]``, 1 to 103.

    Returns:
        In the order of ``ELECTRON_COUNT_NAMES``; energies in eV.
    """
    z = atomic_number
    get = dict(zip(FEATURE_NAMES, element_table()[z].T, strict=True))
    _, first, counts = np.unique(z, return_index=True, return_counts=True)
    fraction = counts / len(z)
    soc = get["soc_p"] * (get["block_p"] > 0) + get["soc_d"] * (get["block_d"] + get["block_f"] > 0)
    strongest = np.sort(np.append(soc[first], 0.0))[::-1]
    electrons = get["valence"].sum()
    magnetic = np.isin(z, sorted(MAGNETIC))
    d_capacity = get["valence_d"].sum() + get["vacancy_d"].sum()
    p_capacity = get["valence_p"].sum() + get["vacancy_p"].sum()
    return np.array(
        [
            *(get[f"block_{block}"].mean() for block in "spdf"),
            magnetic.mean(),
            fraction[-1],
            (z == z[int(np.argmax(soc))]).mean(),
            (z == z[int(np.argmax(get["electronegativity"]))]).mean(),
            len(counts),
            -(fraction * np.log(fraction)).sum(),
            np.sqrt((get["soc_p"] ** 2).mean()),
            np.sqrt((get["soc_d"] ** 2).mean()),
            (get["soc_p"] * get["valence_p"]).mean(),
            (get["soc_d"] * get["valence_d"]).mean(),
            strongest[0],
            strongest[1],
            get["valence_d"].sum() / max(d_capacity, 1.0),
            get["valence_p"].sum() / max(p_capacity, 1.0),
            electrons,
            electrons / len(z),
            *(electrons % n for n in (2, 3, 4, 6, 8)),
            *_count(z, get),
        ]
    )
