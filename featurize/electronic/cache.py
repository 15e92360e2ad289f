"""Finished electronic records in the user's cache: one store for all verbs.

An entry bears the SHA-256 of all that determines it, so it is never out of date and may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

import numpy as np

from shc.featurize.electronic.codec import CODEC_VERSION, decode, encode
from shc.featurize.electronic.record import ENGINE_VERSION
from shc.featurize.errors import ShcError
from shc.featurize.user_cache import user_cache
from shc.featurize.writing import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from shc.featurize.electronic.record import BandsConfig
    from shc.featurize.symmetry import PrimitiveCrystal

_STEPS: Final = 1_000_000
"""Lattice vectors and fractional positions count in millionths: what differs by less is the same crystal."""


def cache_folder() -> Path:
    """Where entries are kept: ``bands/v1-1`` (engine and packing) in this program's folder of the user's cache."""
    return user_cache() / "bands" / f"v{ENGINE_VERSION}-{CODEC_VERSION}"


@lru_cache(maxsize=1)
def _parameters() -> str:
    """SHA-256, hex, of the fitted parameters of the engine, so that a new fit needs no new version."""
    return hashlib.sha256(files("shc.featurize").joinpath("data/tight_binding.json").read_bytes()).hexdigest()


def bands_key(crystal: PrimitiveCrystal, config: BandsConfig) -> str:
    """SHA-256, hex, of all that determines a record: crystal, settings, version and parameters of the engine."""
    frac = np.rint(crystal.frac * _STEPS).astype("<i8") % _STEPS
    settings = {"engine": ENGINE_VERSION, "parameters": _parameters(), "n_atoms": len(frac), **asdict(config)}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for array in (np.rint(crystal.lattice * _STEPS).astype("<i8"), frac, crystal.atomic_number.astype("<i8")):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


class BandsCache:
    """A folder of packed records. One that cannot be read or written is no error: everything is computed then.

    Args:
        folder: The folder; made when something is put into it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: str) -> Path:
        """File of an entry; sub-folders keep the folders small."""
        return self.folder / key[:2] / key

    def get(self, key: str) -> bytes | None:
        """The packed record; None if there is none, or only a damaged one."""
        try:
            data = self.path(key).read_bytes()
            decode(data)
        except (OSError, ShcError):
            return None
        return data

    def put(self, key: str, data: bytes) -> None:
        """Keep a packed record; it appears under its name when it is complete."""
        with suppress(ShcError):
            write_whole(self.path(key), data)


def packed_bands(crystal: PrimitiveCrystal, config: BandsConfig, cache: BandsCache | None) -> bytes:
    """The packed electronic record of a crystal, from the cache or computed now.

    Args:
        crystal: Primitive cell with its operations, from ``reduce_crystal``.
        config: Settings.
        cache: Where finished records are kept; None computes in any case and keeps nothing.

    Raises:
        ShcError: There is no electronic structure for this crystal.
    """
    key = "" if cache is None else bands_key(crystal, config)
    known = None if cache is None else cache.get(key)
    if known is not None:
        return known
    from shc.featurize.electronic import engine  # noqa: PLC0415  its kernels take a second to load

    data = encode(engine.compute_bands(crystal, config))
    if cache is not None:
        cache.put(key, data)
    return data
