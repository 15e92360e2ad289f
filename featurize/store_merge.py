"""Joining feature files, such as the shards of an array job."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from shc.featurize.errors import ExitCode, ShcError
from shc.featurize.store import FeatureFile, bad_file, replace_header
from shc.featurize.store_columns import take
from shc.featurize.store_writer import BLOCK, tool_version, write_feature_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from shc.featurize.store_columns import Columns

_NAMED = 5


@dataclass(frozen=True, slots=True)
class MergeSummary:
    """What a merge did."""

    n_files: int
    """Files read."""
    n_crystals: int
    """Crystals in the joined file."""
    n_duplicates: int
    """Crystals dropped because an equal one came before."""


def merge_feature_files(inputs: Sequence[Path], output: Path, *, overwrite: bool = False) -> MergeSummary:
    """Join feature files into one, in the order given.

    A crystal that appears again with the same input file (id and SHA-256) and pictures is kept once.

    Args:
        inputs: Files to join; at least one.
        output: File to write.
        overwrite: Whether an existing ``output`` may be replaced.

    Raises:
        ShcError: An input is unusable; parameters or versions differ; one id stands for different crystals;
            or ``output`` exists and may not be replaced.
    """
    if not inputs:
        raise ShcError("nothing to merge", "give at least one feature file", ExitCode.NO_INPUT)
    if output.exists() and not overwrite:
        raise ShcError(f"{output} exists", "choose another --output or add --overwrite", ExitCode.USAGE)
    files = [FeatureFile.open(path) for path in inputs]
    for file in files[1:]:
        differences = files[0].header.differences(file.header)
        if differences:
            raise bad_file(
                f"{files[0].path} and {file.path} cannot be joined ({'; '.join(differences)})",
                "featurise both with the same parameters and version",
            )
    kept = _kept_rows(files)

    def rows() -> Iterator[Columns]:
        for file, indices in zip(files, kept, strict=True):
            for start in range(0, len(indices), BLOCK):
                yield take(file.columns, indices[start : start + BLOCK])

    header = replace_header(
        files[0].header, tool_version=tool_version(), created=datetime.now(UTC).isoformat(timespec="seconds")
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    write_feature_file(output, header, rows)
    n_crystals = sum(map(len, kept))
    return MergeSummary(len(files), n_crystals, sum(map(len, files)) - n_crystals)


def _kept_rows(files: Sequence[FeatureFile]) -> list[NDArray[np.int64]]:
    seen: dict[str, tuple[bytes, bytes, int]] = {}
    conflicts: list[str] = []
    kept = []
    for number, file in enumerate(files):
        hashes = np.asarray(file.columns["content_hash"]).tobytes()
        rows = []
        for i, (material_id, counts) in enumerate(
            zip(file.material_ids, file.picture_counts(slice(None)), strict=True)
        ):
            digest, stamp = hashes[32 * i : 32 * i + 32], counts.stamp
            known = seen.setdefault(material_id, (digest, stamp, number))
            if known == (digest, stamp, number):
                rows.append(i)
            elif known[:2] != (digest, stamp):
                what = "" if known[0] != digest else "other pictures in "
                conflicts.append(f"{material_id} ({what}{files[known[2]].path} and {file.path})")
        kept.append(np.array(rows, dtype=np.int64))
    if conflicts:
        more = f" and {len(conflicts) - _NAMED} more" if len(conflicts) > _NAMED else ""
        raise bad_file(
            f"the same id stands for different crystals: {', '.join(conflicts[:_NAMED])}{more}",
            "featurise the right file anew and merge without the other",
        )
    return kept
