"""Colours of a figure that are background."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from shc.kernels.picture import colour_histogram, edge_counts, filled_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAME_COLOUR: Final = 12
"""Largest difference of a channel within a background."""
_STEP: Final = 5
"""So many rows and columns apart are the pixels that are counted."""
_LEAST_SHARE: Final = 0.04
"""Least part of the pixels that a background has."""
_FILLED: Final = 0.4
"""Least part of the pixels of a further background that lie within areas of it."""
_PALE: Final = 110
"""A further background is no farther than this from the first one; what is darker may be many bands."""
_PAGE: Final = 0.03
"""The page shows through a panel if this part of its colour's pixels lies within areas; of grid lines none does."""
_REACH: Final = 0.03
"""Half the width of the narrowest area that is a background, as a part of the picture's height."""


def frequent_colours(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The colours that much of a picture has.

    Args:
        rgb: ``[H, W, 3]``.

    Returns:
        ``[n, 3]`` at least one, the most frequent first.
    """
    counts = colour_histogram(rgb, _STEP)
    seen = np.flatnonzero(counts[:, 0])
    order = seen[np.argsort(-counts[seen, 0], kind="stable")[:6]]
    order = order[(counts[order, 0] > _LEAST_SHARE * counts[:, 0].sum()) | (np.arange(order.size) == 0)]
    means: NDArray[np.uint8] = np.rint(counts[order, 1:] / counts[order, :1]).astype(np.uint8)
    kept: list[int] = []
    for k in range(len(means)):
        if all(np.abs(means[k].astype(int) - means[j]).max() > SAME_COLOUR for j in kept):
            kept.append(k)
    return means[kept]


def page_first(rgb: NDArray[np.uint8], colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Put the colour first that most of a figure's edge has.

    Args:
        rgb: ``[H, W, 3]`` the figure.
        colours: ``[n, 3]``.

    Returns:
        ``[n, 3]``.
    """
    page = int(np.argmax(edge_counts(rgb, colours, SAME_COLOUR)))
    return np.concatenate([colours[page : page + 1], np.delete(colours, page, axis=0)])


def backgrounds(inside: NDArray[np.uint8], rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The colours of a panel that fill areas: its background, pale fills and shaded windows.

    Args:
        inside: ``[h, w, 3]`` what lies inside the frame.
        rgb: ``[H, W, 3]`` the figure; if the colour of its edge fills areas of the panel, that is the background.

    Returns:
        ``[n, 3]`` at least one, the background first.
    """
    colours = page_first(rgb, frequent_colours(inside))
    reach = max(6, round(_REACH * inside.shape[0]))
    counts = np.array([filled_pixels(inside, colour, SAME_COLOUR, reach) for colour in colours])
    within, total = filled_pixels(inside, colours[0], SAME_COLOUR, max(4, inside.shape[0] // 100))
    first = 0 if within > _PAGE * total else int(np.argmax(counts[:, 0]))
    pale = np.abs(colours.astype(int) - colours[first]).max(axis=1) < _PALE
    fills = (counts[:, 0] > _FILLED * counts[:, 1]) & pale
    fills[first] = False
    return np.concatenate([colours[first : first + 1], colours[fills]])


def fills_area(rgb: NDArray[np.uint8], colour: NDArray[np.uint8], least: float) -> bool:
    """Whether at least a part of the pixels of a colour fill areas, and are not those of lines."""
    within, total = filled_pixels(rgb, colour, SAME_COLOUR, max(4, rgb.shape[0] // 100))
    return bool(within > least * total)
