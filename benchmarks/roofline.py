"""How far the networks are from what the device could do: operations and bytes by hand, time and ceilings measured.

    python benchmarks/roofline.py --batches 1,32,256

The counts are those of ``network_counts``. A part can reach the smaller of two ceilings: the rate of a large matrix
product of its precision, and its operations per byte times the bandwidth of a copy. Crystals are those that come with
the program, the largest first and over again, so every batch has the same nodes and bonds; all have curves and a
picture. On a processor time is processor time, on a GPU wall-clock time. Parts are timed with hooks around their
modules, by ``eager``; back ends that were built with ``shc model compile`` are timed as a whole.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import torch
from network_counts import PARTS, Sizes, Work, encoder, member

from shc.models.backends.agreement import EXAMPLES, read_examples
from shc.models.backends.choose import COMPILED, compiler_of
from shc.models.backends.eager import EAGER, Eager
from shc.models.backends.store import compiled_folder, is_built
from shc.models.bands_input import bands_of
from shc.models.data import CrystalArrays
from shc.models.device import choose_device, has_bfloat16
from shc.models.encoders.picture import SIDE
from shc.models.ensemble import Ensemble, load_ensemble
from shc.models.pictures import ENCODED_AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shc.models.backends.base import Backend
    from shc.models.data import CrystalBatch

PICTURES: Final = "pictures"
MEMBERS: Final = "all members"
COLUMNS: Final = (
    *("part", "back end", "precision", "GFLOP", "MB", "FLOP a byte", "bound by"),
    *("ms", "GFLOP/s", "share of the ceiling"),
)


class Ceilings(NamedTuple):
    """What the device can do."""

    flops: dict[torch.dtype, float]
    """Operations a second of a large matrix product."""
    bandwidth: float
    """Bytes a second, read and written, of a large copy."""

    def __str__(self) -> str:
        """For people."""
        rates = ", ".join(f"{rate / 1e9:.0f} GFLOP/s in {_short(dtype)}" for dtype, rate in self.flops.items())
        return f"ceilings: {rates}, {self.bandwidth / 1e9:.1f} GB/s"


class Clock:
    """Times calls on a device."""

    def __init__(self, device: torch.device, repeats: int) -> None:
        self._device, self._repeats = device, repeats

    def now(self) -> float:
        """Seconds; waits for a GPU."""
        if self._device.type == "cpu":
            return time.process_time()
        torch.cuda.synchronize(self._device)
        return time.perf_counter()

    def each(self, run: Callable[[], object]) -> list[float]:
        """Seconds of every turn but the first, which warms up."""
        run()
        seconds = []
        for _ in range(self._repeats):
            start = self.now()
            run()
            seconds.append(self.now() - start)
        return seconds

    def median(self, run: Callable[[], object]) -> float:
        """Seconds of a usual turn."""
        return float(np.median(self.each(run)))

    def by_part(self, ensemble: Ensemble, run: Callable[[], object]) -> dict[str, float]:
        """Seconds in each part of the members in a usual turn."""
        spent: defaultdict[str, list[float]] = defaultdict(list)
        started: list[float] = []
        handles = []
        for part, names in PARTS.items():
            for network in ensemble.members:
                modules = dict(network.named_modules())
                for module in (modules[name] for name in names if name in modules):
                    handles.append(module.register_forward_pre_hook(lambda *_: started.append(self.now())))
                    after = lambda *_, part=part: spent[part].append(self.now() - started.pop())  # noqa: E731
                    handles.append(module.register_forward_hook(after))
        turns = len(self.each(run)) + 1
        for handle in handles:
            handle.remove()
        return {part: float(np.median(np.reshape(times, (turns, -1))[1:].sum(1))) for part, times in spent.items()}


def measure_ceilings(device: torch.device, clock: Clock) -> Ceilings:
    """The best of several turns each."""
    side = 8192 if device.type == "cuda" else 1536
    flops = {}
    for dtype in (torch.float32, torch.bfloat16):
        a = torch.randn(side, side, device=device).to(dtype)
        flops[dtype] = 2.0 * side**3 / min(clock.each(lambda a=a: a @ a))  # type: ignore[misc]
    source = torch.zeros((1 << 30 if device.type == "cuda" else 1 << 27) // 4, device=device)
    target = torch.ones_like(source)
    return Ceilings(flops, 2.0 * 4.0 * len(source) / min(clock.each(lambda: target.copy_(source))))


class Row(NamedTuple):
    """One measurement."""

    part: str
    backend: str
    dtype: torch.dtype
    work: Work
    seconds: float

    def cells(self, ceilings: Ceilings) -> list[str]:
        """A line of the table."""
        n_bytes = self.work.numbers * self.dtype.itemsize
        intensity = self.work.flops / n_bytes
        peak, reach = ceilings.flops[self.dtype], intensity * ceilings.bandwidth
        rate = self.work.flops / self.seconds
        return [
            self.part,
            self.backend,
            _short(self.dtype),
            f"{self.work.flops / 1e9:.3g}",
            f"{n_bytes / 1e6:.3g}",
            f"{intensity:.1f}",
            "arithmetic" if peak < reach else "memory",
            f"{1e3 * self.seconds:.3g}",
            f"{rate / 1e9:.3g}",
            f"{100.0 * rate / min(peak, reach):.1f} %",
        ]


def backends_of(ensemble: Ensemble, device: torch.device) -> dict[str, Backend]:
    """Eager, and what was built."""
    found: dict[str, Backend] = {EAGER: Eager(ensemble, device)}
    for name in COMPILED[device.type]:
        compiler = compiler_of(name)
        if compiler.why_not(device) is None:
            folder = compiled_folder(compiler, ensemble, device)
            if is_built(folder):
                found[name] = compiler.load(ensemble, device, folder)
    return found


def rows_of(
    ensemble: Ensemble, backends: dict[str, Backend], batch: CrystalBatch, device: torch.device, clock: Clock
) -> Iterator[Row]:
    """Everything about one batch."""
    config, n_members = ensemble.card.model, len(ensemble.members)
    n_crystals, n_nodes, n_bonds = batch.neighbours.shape
    sizes = Sizes(n_crystals, n_nodes, n_bonds, batch.descriptors.shape[1], batch.prompt.shape[1])
    parts = {part: work * n_members for part, work in member(sizes, config, bands=batch.bands is not None).items()}
    n_pictures = min(n_crystals, ENCODED_AT_ONCE)
    pictures = (torch.rand(n_pictures, 1, SIDE, SIDE) < 0.05).float()
    short = torch.bfloat16 if has_bfloat16(device) else torch.float32
    for name, backend in backends.items():
        if (encode := backend.encode) is not None:
            dtype = torch.float32 if name not in {EAGER, "openvino"} else short
            work = encoder(n_pictures, ensemble.card.picture)
            yield Row(f"{n_pictures} {PICTURES}", name, dtype, work, clock.median(partial(encode, pictures)))
    for part, seconds in clock.by_part(ensemble, lambda: backends[EAGER].say(batch)).items():
        yield Row(part, EAGER, torch.float32, parts[part], seconds)
    whole = sum(parts.values(), Work())
    for name, backend in backends.items():
        yield Row(MEMBERS, name, torch.float32, whole, clock.median(partial(backend.say, batch)))


def _short(dtype: torch.dtype) -> str:
    return {torch.float32: "fp32", torch.bfloat16: "bf16"}[dtype]


def main() -> None:
    """Print a table for each size of batch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", default="1,32,256,1024")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--features", type=Path, default=EXAMPLES, help="a feature file with bands and pictures")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = choose_device(options.device)
    ensemble = load_ensemble(options.model, device)
    backends = backends_of(ensemble, device)
    features = read_examples(ensemble, options.features)
    arrays = CrystalArrays(features, bands_of(features, ensemble.card.model, backends[EAGER].encode))
    clock = Clock(device, options.repeats)
    ceilings = measure_ceilings(device, clock)
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {device.type}, {options.threads} thread, median of {options.repeats} turns, "
        f"{ensemble.card.name} {ensemble.card.version}, {len(ensemble.members)} members\n{ceilings}"
    )
    largest_first = np.argsort(-arrays.n_nodes, kind="stable")
    for n_crystals in map(int, options.batches.split(",")):
        batch = arrays.batch(np.resize(largest_first, n_crystals))
        print(f"\nbatch of {' x '.join(map(str, batch.neighbours.shape))} crystals, nodes, bonds\n")
        print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
        for row in rows_of(ensemble, backends, batch, device, clock):
            print(f"| {' | '.join(row.cells(ceilings))} |", flush=True)


if __name__ == "__main__":
    main()
