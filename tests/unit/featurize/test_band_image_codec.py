from __future__ import annotations

import time
import zlib
from dataclasses import replace
from struct import pack
from typing import TYPE_CHECKING

import numpy as np
import pytest

from shc.featurize.band_image.codec import (
    FASTEST,
    LEVELS,
    NO_STAMP,
    SIDE,
    BadPicture,
    PictureSet,
    StoredPicture,
    counts,
    decode,
    encode,
)
from shc.featurize.errors import ExitCode, ShcError
from shc.kernels.image import draw_bands

if TYPE_CHECKING:
    from numpy.typing import NDArray

STAMP = bytes(range(32))


def drawing(seed: int, n_bands: int = 12) -> NDArray[np.float32]:
    """A picture of smooth bands, ``[1, 224, 224]``."""
    rng = np.random.default_rng(seed)
    k = np.linspace(0.0, 1.0, 160)[:, None]
    energy = rng.uniform(-3, 3, n_bands) + sum(rng.normal(size=n_bands) * np.cos(np.pi * n * k) for n in (1, 2, 3))
    return draw_bands(k[:, 0], energy, [], 3.0, SIDE)[None]


def picture(seed: int, source: str = "Pt.png") -> StoredPicture:
    return StoredPicture(drawing(seed), -3.0, 2.5, 0.75, source)


def some() -> PictureSet:
    good = (picture(1), replace(picture(2, "Pt é.jpg"), kind="styled", e_min_ev=-0.3))
    return PictureSet(good, (BadPicture(1, "no axis", "look at it"),), STAMP)


def test_what_was_packed_comes_back() -> None:
    found = decode(encode(some()))
    assert [(p.source, p.kind) for p in found.pictures] == [("Pt.png", "file"), ("Pt é.jpg", "styled")]
    assert [(p.e_min_ev, p.e_max_ev, p.confidence) for p in found.pictures] == [(-3.0, 2.5, 0.75), (-0.3, 2.5, 0.75)]
    assert (found.failures, found.stamp) == (some().failures, STAMP)
    for new, old in zip(found.pictures, some().pictures, strict=True):
        assert new.image.shape == (1, SIDE, SIDE)
        assert new.image.dtype == np.float32
        assert 0.02 < np.abs(new.image - old.image).max() <= 0.5 / LEVELS + 1e-6
        assert ((new.image == 0) == (np.rint(LEVELS * old.image) == 0)).all()


def test_packing_again_loses_nothing() -> None:
    once = encode(some())
    assert encode(decode(once)) == once


def test_fast_packing_loses_nothing_either() -> None:
    once = encode(some())
    fast = encode(some(), FASTEST)
    assert len(fast) > len(once)
    assert encode(decode(fast)) == once


def test_nothing_takes_no_bytes_but_a_stamp_is_kept() -> None:
    assert encode(PictureSet()) == b""
    assert decode(b"") == PictureSet()
    assert counts(b"") == (NO_STAMP, 0, 0)
    tried = PictureSet((), (BadPicture(0, "e", "h"),), STAMP)
    assert decode(encode(tried)) == tried
    assert len(encode(tried)) < 100


def test_counts_are_told_without_unpacking() -> None:
    assert counts(encode(some())) == (STAMP, 2, 1)
    assert counts(encode(some())[:49]) == (STAMP, 2, 1)


def test_a_picture_is_small_and_quick_to_unpack() -> None:
    packed = [encode(PictureSet((picture(seed),))) for seed in range(10)]
    assert max(map(len, packed)) < 9000
    start = time.process_time()
    for _ in range(10):
        for data in packed:
            decode(data)
    assert (time.process_time() - start) / 100 < 0.002


@pytest.mark.parametrize("ink", [np.float32(1.01), np.float32(-0.01), np.float32(np.nan)])
def test_images_that_are_none_are_refused(ink: np.float32) -> None:
    image = drawing(0)
    image[0, 3, 4] = ink
    with pytest.raises(ValueError, match="from 0 to 1"):
        encode(PictureSet((replace(picture(0), image=image),)))
    with pytest.raises(ValueError, match="224"):
        encode(PictureSet((replace(picture(0), image=drawing(0)[:, :100]),)))


def test_any_damage_is_found() -> None:
    good = encode(some())
    rng = np.random.default_rng(0)
    # Not the stamp, which determines nothing that is read.
    places = [*range(13), *range(45, 49), *rng.integers(49, len(good), 60).tolist()]
    for place in places:
        bad = bytearray(good)
        bad[place] ^= 1 << int(rng.integers(8))
        with pytest.raises(ShcError) as caught:
            decode(bytes(bad))
        assert caught.value.exit_code == ExitCode.BAD_FILE
    for size in (1, 12, 48, 49, 200, len(good) - 1):
        with pytest.raises(ShcError, match="damaged"):
            decode(good[:size])


def test_newer_versions_and_wrong_contents_are_refused() -> None:
    good = encode(some())
    with pytest.raises(ShcError, match=r"version 2.*up to 1"):
        counts(good[:4] + b"\2" + good[5:])
    for text in (b'{"pictures": []}', b'{"pictures": [["oil", "", 0, 0, 1]], "failures": []}', b"no JSON"):
        content = pack("<I", len(text)) + text + bytes(SIDE * SIDE // 2 if b"oil" in text else 0)
        engine = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        head = pack("<4sBII32sHH", b"SHCP", 1, len(content), zlib.crc32(content), STAMP, b"oil" in text, 0)
        with pytest.raises(ShcError, match="damaged"):
            decode(head + engine.compress(content) + engine.flush())
