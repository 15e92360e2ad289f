"""Pixels of all kinds -> 8-bit red, green, blue on a plain background."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from shc.featurize.band_image.formats import EXPORT_HINT
from shc.featurize.errors import ShcError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WHITE: Final = 255
_DARK: Final = 24
_LIGHTEST: Final = 220
"""Ink with all channels above this may be letters for a dark page."""
_LIGHT: Final = 170
"""Where most ink is lighter than this it is for a dark page."""
_DARKEST: Final = 110
"""Ink with all channels below this may be letters for a light page."""
_GREY: Final = 64
"""Largest difference of two channels of ink of no colour."""
_LETTERS: Final = 0.05
"""Least part of the edges of all ink that letters and frames have."""
_STRIP_ROWS: Final = 240
_GLANCE: Final = 1024
_ORIENTATION: Final = 0x0112
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PLAIN: Final = frozenset({"1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "LA", "La", "PA", "RGBA", "RGBa"})
_DEEP: Final = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N"})


def to_rgb(picture: Image.Image, factor: int = 1) -> NDArray[np.uint8]:
    """Turn a decoded picture into upright RGB, strip by strip, so that little memory is needed beside it.

    Args:
        picture: A decoded picture of any mode.
        factor: Rows and columns that become one.

    Returns:
        ``[H, W, 3]`` red, green, blue; transparency is replaced by a background on which the ink is seen.

    Raises:
        ShcError: The pixels are of a kind that pictures of bands do not have.
    """
    if picture.mode not in _PLAIN | _DEEP:
        raise ShcError(f"pixels of the kind {picture.mode} cannot be read", EXPORT_HINT)
    deep = picture.mode in _DEEP
    highest = _highest(picture) if deep else 255
    background = _background(picture) if not deep and _see_through(picture) else None
    rows = picture.height if factor == 1 else _STRIP_ROWS // factor * factor
    strips = []
    for top in range(0, picture.height, rows):
        box = (0, top, picture.width, min(top + rows, picture.height))
        strip = picture if rows == picture.height else _like(picture.crop(box), picture)
        strip = _shallow(strip, highest) if deep else _opaque(strip, background)
        strips.append(_array(strip.reduce(factor) if factor > 1 else strip))
    rgb = strips[0] if len(strips) == 1 else np.concatenate(strips)
    turn = _TURNS.get(_orientation(picture))
    return rgb if turn is None else np.asarray(Image.fromarray(rgb).transpose(turn))


def _like(part: Image.Image, picture: Image.Image) -> Image.Image:
    """A part of a picture, with the note which of its colours is transparent."""
    if "transparency" in picture.info:
        part.info["transparency"] = picture.info["transparency"]
    return part


def _highest(picture: Image.Image) -> int:
    """White of deep grey: the largest number of as many bits as are used, for not all programs use all 16."""
    largest = int(np.asarray(picture).max())  # Pillow knows the extrema of some of these modes only
    return int((1 << max(8, largest.bit_length())) - 1)


def _shallow(picture: Image.Image, highest: int) -> Image.Image:
    values = np.clip(np.asarray(picture), 0, highest) * (255.0 / highest)
    return Image.fromarray(np.rint(values).astype(np.uint8)).convert("RGB")


def _see_through(picture: Image.Image) -> bool:
    if "transparency" in picture.info or picture.mode == "P":
        return picture.has_transparency_data
    return "A" in picture.getbands() and picture.getchannel("A").getextrema() != (255, 255)


def _array(picture: Image.Image) -> NDArray[np.uint8]:
    """``[H, W, 3]`` pixels of RGB or opaque RGBA; numpy would ask Pillow to pack them several times."""
    packed = np.frombuffer(picture.tobytes("raw", "RGB"), dtype=np.uint8)
    return packed.reshape(picture.height, picture.width, 3)


def _opaque(picture: Image.Image, background: int | None) -> Image.Image:
    if background is None:
        return picture if picture.mode == "RGBA" else picture.convert("RGB")
    layers = picture.convert("RGBA")
    canvas = Image.new("RGB", picture.size, (background,) * 3)
    canvas.paste(layers, mask=layers.getchannel("A"))
    return canvas


def _background(picture: Image.Image) -> int:
    """Grey value of the background that a transparent picture was drawn for.

    If most of the picture is opaque, it brings its own background and the rest is to look alike. If little is, that is
    ink: the lightest and the darkest lines and letters of no colour tell, by their edges towards the transparent part,
    whether they are meant for a light or a dark page. Grey lines in between, which may be a grid's, tell nothing.
    """
    step = -(-max(picture.size) // _GLANCE)
    small = picture
    if step > 1:
        size = (picture.width // step, picture.height // step)
        small = _like(picture.resize(size, Image.Resampling.NEAREST), picture)
    rgba = np.asarray(small.convert("RGBA"))
    solid = rgba[..., 3] >= 128
    if solid.mean() > 0.5:
        return _WHITE if np.median(rgba[solid][:, :3]) >= 128 else _DARK
    edge = rgba[solid & ~_inside(solid)][:, :3]
    lowest, highest = edge.min(axis=1), edge.max(axis=1)
    n_light = int(np.count_nonzero(lowest > _LIGHTEST))
    n_dark = int(np.count_nonzero((highest < _DARKEST) & (highest - lowest < _GREY)))
    if n_light > max(n_dark, _LETTERS * len(edge)):
        return _DARK
    return _DARK if n_dark == 0 and np.count_nonzero(lowest > _LIGHT) > 0.5 * len(edge) else _WHITE


def _inside(solid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels whose four neighbours are solid too; those outside the picture count as solid."""
    padded = np.pad(solid, 1, constant_values=True)
    return padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]


def _orientation(picture: Image.Image) -> int:
    """How a camera says that the picture is to be turned; 1, upright, if what it says is damaged."""
    try:
        return int(picture.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001  Pillow raises many things on damaged notes, and the pixels are whole
        return 1
