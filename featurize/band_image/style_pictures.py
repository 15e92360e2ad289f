"""Pictures of a crystal's bands for training: drawn in many styles and read like any figure."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from PIL import Image

from shc.featurize.band_image.normalise import normalise
from shc.featurize.band_image.pixels import to_rgb
from shc.featurize.band_image.style_choices import UNSEEN
from shc.featurize.band_image.style_drawing import draw_styled
from shc.featurize.band_image.styles import random_style
from shc.featurize.band_image.types import EnergyWindow

if TYPE_CHECKING:
    from collections.abc import Callable

    from shc.featurize.band_image.style_drawing import StyledPanel, StyledPicture
    from shc.featurize.band_image.styles import Style
    from shc.featurize.band_image.types import BandPicture, Box
    from shc.featurize.electronic.record import ElectronicRecord

LEAST_OVERLAP: Final = 0.9
"""A panel that shares less with the true one was not understood."""


def training_style(rng: np.random.Generator) -> Style:
    """A random style that follows no program of ``UNSEEN``."""
    style = random_style(rng)
    while style.program in UNSEEN:
        style = random_style(rng)
    return style


class Styled(NamedTuple):
    """A picture drawn in some style and read again."""

    picture: BandPicture
    style: Style


def styled_pictures(
    record: ElectronicRecord, seed: int, n: int, choose: Callable[[np.random.Generator], Style] = training_style
) -> list[Styled]:
    """Draw the bands of a crystal in random styles and bring the pictures to the form that the model reads.

    The energy axis is told, not read, so that no picture has a wrong one. A picture whose panel is not found is left
    out.

    Args:
        record: The bands.
        seed: Decides the styles.
        n: Pictures that are drawn.
        choose: Chooses the styles.

    Returns:
        ``n`` pictures or fewer.

    Raises:
        ShcError: matplotlib is not installed (``NO_BACKEND``).
    """
    rng = np.random.default_rng(seed)
    pictures = []
    for _ in range(n):
        style = choose(rng)
        drawn = draw_styled(record, style)
        picture = normalise(to_rgb(Image.open(BytesIO(drawn.data))), true_window(drawn))
        if picture.confidence > 0.0 and picture.panel is not None and overlap(picture.panel, drawn) >= LEAST_OVERLAP:
            pictures.append(Styled(picture, style))
    return pictures


def true_window(drawn: StyledPicture) -> EnergyWindow:
    """What a person would say about the energy axis of a picture."""
    main, zero = drawn.panels[0], drawn.printed_zero_ev
    return EnergyWindow(main.e_min_ev + zero, main.e_max_ev + zero, zero)


def overlap(box: Box, drawn: StyledPicture) -> float:
    """Common area of a box and the nearest true panel, as a share of what the two cover together."""
    return shared(box, nearest_panel(box, drawn).box)


def nearest_panel(box: Box, drawn: StyledPicture) -> StyledPanel:
    """The true panel that a box shares most with."""
    return max(drawn.panels, key=lambda panel: shared(box, panel.box))


def shared(one: Box, other: Box) -> float:
    """Common area of two boxes as a share of what they cover together."""
    common = one.common(other)
    return common / (one.area + other.area - common)
