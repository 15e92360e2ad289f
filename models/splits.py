"""Which rows train, which stop training, which only score."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shc.featurize.errors import ExitCode, ShcError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Split:
    """Rows of one training and its scoring, as indices into the labelled crystals."""

    train: NDArray[np.int64]
    test: NDArray[np.int64]


def read_split(path: Path, name: str, fold: int | None, material_ids: Sequence[str]) -> Split:
    """Read one split from a ``splits.json``.

    A split is either ``{"train": [ids], "val": [ids]}`` or, for cross-validation, ``{id: fold}``; ids without a
    row are ignored.

    Args:
        path: The JSON file.
        name: Which split of the file.
        fold: For cross-validation, the fold that is held out to score.
        material_ids: Ids of the rows.

    Raises:
        ShcError: The file, the split or the fold does not exist or names no row.
    """
    splits = _load(path)
    if name not in splits:
        raise ShcError(f"{path} has no split {name!r}", f"it holds: {', '.join(splits)}", ExitCode.USAGE)
    row = {material_id: i for i, material_id in enumerate(material_ids)}
    chosen: dict[str, Any] = splits[name]
    if "train" in chosen:
        if fold is not None:
            raise ShcError(f"split {name!r} has no folds", "leave --fold out", ExitCode.USAGE)
        test_ids = chosen.get("val", []) + chosen.get("test", [])
        both = set(chosen["train"]) & set(test_ids)
        if both:
            raise ShcError(
                f"split {name!r} trains on and scores {', '.join(sorted(both)[:3])}{' ...' if len(both) > 3 else ''}",
                "an id belongs to one of train, val and test",
            )
        train = [row[i] for i in chosen["train"] if i in row]
        test = [row[i] for i in test_ids if i in row]
    else:
        if fold is None or fold not in set(chosen.values()):
            folds = sorted(set(chosen.values()))
            what = "needs a fold" if fold is None else f"has no fold {fold}"
            raise ShcError(f"split {name!r} {what}", f"--fold is one of {folds}", ExitCode.USAGE)
        train = [row[i] for i, f in chosen.items() if f != fold and i in row]
        test = [row[i] for i, f in chosen.items() if f == fold and i in row]
    if not train:
        raise ShcError(f"split {name!r} names no crystal of the data", "check the ids in the split file")
    return Split(np.array(sorted(train), dtype=np.int64), np.array(sorted(test), dtype=np.int64))


def _load(path: Path) -> dict[str, Any]:
    try:
        splits = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ShcError(f"cannot read splits from {path}: {error}", "give a JSON file") from error
    if not isinstance(splits, dict) or not all(isinstance(v, dict) for v in splits.values()):
        raise ShcError(f"{path} holds no splits", "expected {name: {train: [...], val: [...]}} or {name: {id: fold}}")
    return splits


def held_out_parts(
    rows: NDArray[np.int64], systems: Sequence[tuple[int, ...]], n_parts: int, seed: int
) -> list[NDArray[np.int64]]:
    """Deal training rows into parts so that no chemical system lies in two.

    Args:
        rows: Rows to deal.
        systems: Chemical system of every crystal, indexed by row.
        n_parts: Number of parts of nearly equal size.
        seed: Seed of the order in which systems are dealt.

    Returns:
        ``n_parts`` arrays of rows.
    """
    members: dict[tuple[int, ...], list[int]] = {}
    for row in rows.tolist():
        members.setdefault(systems[row], []).append(row)
    keys = sorted(members)
    order = np.random.default_rng(seed).permutation(len(keys))
    by_size = sorted(order.tolist(), key=lambda k: -len(members[keys[k]]))
    parts: list[list[int]] = [[] for _ in range(n_parts)]
    for k in by_size:
        min(parts, key=len).extend(members[keys[k]])
    return [np.array(sorted(part), dtype=np.int64) for part in parts]
