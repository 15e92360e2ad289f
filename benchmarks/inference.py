"""Networks alone: back ends against plain torch in float32, from the same weights, side by side in one run.

    python benchmarks/inference.py --features val.h5 --backends eager,openvino

``val.h5`` holds bands and pictures of its crystals: ``shc featurize cifs/ --bands auto --styles 1 -o val.h5``. What is
timed begins with features in memory and ends with distributions on the host, in processor time. Plain is the network
as it is written: float32, normalisations not folded, a bond for each neighbour, batches of 256 by size. Back ends take
turns, so that a busy machine slows all of them down alike. On a GPU, wall-clock time is measured instead.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from shc.featurize.store import FeatureBatch, FeatureFile
from shc.models import device as device_module
from shc.models.backends.agreement import agreement
from shc.models.backends.choose import choose_backend
from shc.models.bands_input import bands_of
from shc.models.data import CrystalArrays
from shc.models.device import choose_device
from shc.models.distributions import distributions
from shc.models.ensemble import Distributions, Ensemble, load_ensemble

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from shc.models.backends.base import Backend
    from shc.models.encoders.picture import PictureEncoder

PLAIN: Final = "plain"
MERGED: Final = "plain, equivalent neighbours merged"
BATCH: Final = 256
CASES: Final = ("structure", "structure + curves", "structure + picture")


class PlainEncoder:
    """The encoder as it was trained, in float32."""

    def __init__(self, encoder: PictureEncoder, device: torch.device) -> None:
        self.token_shape = encoder.token_shape
        self.encoder, self.device = encoder, device

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """``[n, 1, 224, 224]`` to ``[n, T, width]``."""
        tokens: Tensor = self.encoder(images.to(self.device))
        return tokens


def plain(ensemble: Ensemble, features: FeatureBatch, device: torch.device, *, merged: bool) -> Distributions:
    """The network as it is written, on batches of 256 by size."""
    encode = None if ensemble.picture is None else PlainEncoder(ensemble.picture, device)
    arrays = CrystalArrays(features, bands_of(features, ensemble.card.model, encode))
    if not merged:
        arrays = unmerged(arrays, features)
    rows = list(arrays.by_size(np.arange(len(features)), BATCH))
    parts = [ensemble.distribution(arrays.batch(some).to(device)) for some in rows]
    order = np.argsort(np.concatenate(rows))
    return Distributions(*(np.concatenate(column)[order] for column in zip(*parts, strict=True)))


def unmerged(arrays: CrystalArrays, features: FeatureBatch) -> CrystalArrays:
    """The same crystals with a bond for each neighbour."""
    n_slots = features.neighbour_atom.shape[1]
    merged, copies = arrays.bonds, np.rint(arrays.bonds.weight * np.sqrt(n_slots)).astype(np.int64)
    node, place = np.nonzero(copies)
    source = np.repeat(np.arange(len(node)), copies[node, place])
    node, place = node[source], place[source]
    slot = np.arange(len(node)) - np.searchsorted(node, node)
    for name, values in (("neighbours", merged.neighbours), ("distance", merged.distance)):
        wide = np.zeros((len(copies), n_slots), dtype=values.dtype)
        wide[node, slot] = values[node, place]
        arrays.bonds = arrays.bonds._replace(**{name: wide})
    weight = np.zeros((len(copies), n_slots), dtype=np.float32)
    weight[node, slot] = 1.0 / np.sqrt(n_slots)
    arrays.bonds = arrays.bonds._replace(weight=weight)
    arrays.n_bonds = np.full_like(arrays.n_bonds, n_slots)
    return arrays


@dataclass
class Timed:
    """One way to predict."""

    run: Callable[[], Distributions]
    seconds: list[float]


def measure(ways: dict[str, Timed], repeats: int, clock: Callable[[], float]) -> dict[str, Distributions]:
    """Let all ways take turns; the first turn of each is not timed."""
    said = {name: way.run() for name, way in ways.items()}
    for _ in range(repeats):
        for way in ways.values():
            start = clock()
            way.run()
            way.seconds.append(clock() - start)
    return said


def ways_of(
    ensemble: Ensemble, backends: dict[str, Backend], features: FeatureBatch, device: torch.device
) -> dict[str, Timed]:
    """Plain torch, then the back ends."""
    ways = {
        PLAIN: Timed(lambda: plain(ensemble, features, device, merged=False), []),
        MERGED: Timed(lambda: plain(ensemble, features, device, merged=True), []),
    }
    for name, backend in backends.items():
        ways[name] = Timed(lambda backend=backend: distributions(ensemble, backend, features), [])  # type: ignore[misc]
    return ways


def main() -> None:
    """Print a table for each thing that predictions may rest on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--backends", default="eager")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--n", type=int, default=10**9, help="crystals at most")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--float32", action="store_true", help="as on a processor without units for bfloat16")
    options = parser.parse_args()
    if options.float32:
        device_module._cpu_flags = frozenset  # type: ignore[assignment]  # noqa: SLF001
    torch.set_num_threads(options.threads)
    device = choose_device(options.device)
    ensemble = load_ensemble(options.model, device)
    backends = {name: choose_backend(name, ensemble, device, print).backend for name in options.backends.split(",")}
    file = FeatureFile.open(options.features)
    rows = np.arange(min(len(file), options.n))
    alone = file.read(rows)
    cases = (alone, replace(alone, bands=file.bands(rows)), replace(alone, pictures=file.pictures(rows)))
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {device.type}, {options.threads} thread, {len(rows)} crystals, median of "
        f"{options.repeats} turns, {ensemble.card.name} {ensemble.card.version}\n"
    )
    columns = ("predicted from", "back end", "ms a crystal", "times as fast", "largest difference", "within 1 % or 1")
    print(f"| {' | '.join((*columns, 'Spearman'))} |")
    print("|---|---|---|---|---|---|---|")
    for case, features in zip(CASES, cases, strict=True):
        ways = ways_of(ensemble, backends, features, device)
        said = measure(ways, options.repeats, time.process_time if device.type == "cpu" else time.perf_counter)
        value = {name: ensemble.estimate(each, rows).value for name, each in said.items()}
        slowest = float(np.median(ways[PLAIN].seconds))
        for name, way in ways.items():
            seconds, same = float(np.median(way.seconds)), agreement(value[name], value[PLAIN])
            print(
                f"| {case} | {name} | {1e3 * seconds / len(rows):.2f} | {slowest / seconds:.2f} | {same.largest:.2g} | "
                f"{100.0 * same.within:.1f} % | {same.ranking:.6f} |"
            )


if __name__ == "__main__":
    main()
