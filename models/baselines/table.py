"""Features of crystals as a table, for models that know no graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np

from shc.featurize.electron_count import ELECTRON_COUNT_NAMES
from shc.models.electronic_numbers import N_NUMBERS, numbers_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from shc.featurize.electronic.record import ElectronicRecord
    from shc.featurize.store import FeatureBatch, FeatureHeader

Group = Literal["composition", "spin-orbit", "structure", "symmetry", "electronic"]
"""What a feature speaks of; ``spin-orbit`` stands for the strength of the coupling and for how heavy atoms are."""
_SPIN_ORBIT: Final = ("soc", "heaviest", "heavy", "atomic_number", "mass", "period")
_STATISTICS: Final = ("mean_", "deviation_", "min_", "max_")


class FeatureTable(NamedTuple):
    """F features of n crystals."""

    names: tuple[str, ...]
    """``[F]``."""
    groups: tuple[Group, ...]
    """``[F]``."""
    values: NDArray[np.float32]
    """``[n, F]``; NaN where unknown."""


def descriptor_group(name: str) -> Group:
    """What a descriptor of ``shc.featurize.descriptors`` speaks of."""
    if any(word in name for word in _SPIN_ORBIT):
        return "spin-orbit"
    if name.startswith(_STATISTICS) or name in ELECTRON_COUNT_NAMES:
        return "composition"
    return "structure"


def feature_table(
    features: FeatureBatch, header: FeatureHeader, records: Sequence[ElectronicRecord | None] | None = None
) -> FeatureTable:
    """Descriptors and symmetry prompt of n crystals, and what is known of their electronic structure.

    Args:
        features: The crystals.
        header: Of the file that they come from; it names the features.
        records: ``[n]`` electronic structure of each crystal; the table has no columns for it if None.

    Returns:
        The columns of the descriptors, then of the prompt, then of ``electronic_numbers``: NaN without a record.
    """
    prompt = [f"{name}_{i - first}" for name, first, end in header.prompt_fields for i in range(first, end)]
    names = [*header.descriptor_names, *prompt]
    groups: list[Group] = [descriptor_group(name) for name in header.descriptor_names]
    groups += ["symmetry"] * len(prompt)
    values = [features.descriptors, features.symmetry_prompt]
    if records is not None:
        numbers, known = numbers_of(records, features.lattice)
        numbers[~known] = np.nan
        names += [f"electronic_{i}" for i in range(N_NUMBERS)]
        groups += ["electronic"] * N_NUMBERS
        values.append(numbers)
    return FeatureTable(tuple(names), tuple(groups), np.concatenate(values, axis=1, dtype=np.float32))
