"""Rows of results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from shc.featurize.errors import Failure


class Prediction(NamedTuple):
    """One row of results; SHC in (hbar/e) S/cm."""

    material_id: str
    """File stem."""
    formula: str
    """Reduced formula."""
    space_group_number: int
    """1 to 230."""
    shc_max_abs: float
    """Predicted largest |sigma_ij^k| over the 27 components."""
    shc_lower: float
    """Lower end of the interval, >= 0."""
    shc_upper: float
    """Upper end of the interval."""
    shc_std: float
    """Standard deviation of the predicted distribution."""
    p_finite: float
    """Probability that SHC exceeds the threshold of a finite value."""
    in_domain: bool
    """Whether the crystal resembles the training crystals and all its elements are known."""
    modalities: str
    """What the prediction rests on, joined by ``+``."""
    flags: str
    """``magnetic``, ``no_soc``, ``unseen_element:X``, joined by ``;``."""
    tb_shc: tuple[float, ...] | None = None
    """The 27 components of the built-in electronic structure's tensor, in the order of ``COMPONENT_NAMES``, in the
    frame of the cell as read; None if not asked for."""
    tb_shc_source: str = ""
    """``computed`` where the bands were, ``learned`` where the networks say what the computation would give."""


COLUMNS: Final = Prediction._fields[:-2]
"""What every table of predictions holds; the tensor comes on demand."""


class Predicted(NamedTuple):
    """What became of one batch of inputs."""

    predictions: list[Prediction]
    """In the order of the input."""
    failures: list[Failure]
