"""From some files to feature rows, in this process."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, NamedTuple

from shc.featurize.descriptors import descriptors
from shc.featurize.elements import reduced_formula
from shc.featurize.errors import Failure, ShcError
from shc.featurize.graph import Graph, build_graphs
from shc.featurize.prompt import symmetry_prompt
from shc.featurize.structures import read_with_hash
from shc.featurize.symmetry import PrimitiveCrystal, reduce_crystal
from shc.featurize.types import CrystalRecord

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from shc.featurize.config import FeaturizeConfig


class _Reduced(NamedTuple):
    path: Path
    material_id: str
    content_hash: str
    cell: PrimitiveCrystal


def featurize_batch(paths: Sequence[Path], config: FeaturizeConfig) -> tuple[list[CrystalRecord], list[Failure]]:
    """Featurise some files in this process.

    Args:
        paths: Structure files; some tens at a time keep the cost of kernel calls low.
        config: Parameters.

    Returns:
        The records of the usable files in the order given, and one failure for each other file.
    """
    failures: list[Failure] = []
    with warnings.catch_warnings():
        # Libraries warn about oddities of single files; what matters ends up in the failures.
        warnings.simplefilter("ignore")
        reduced = [crystal for path in paths if (crystal := _read(path, config, failures)) is not None]
        graphs = _graphs(reduced, config, failures)
        records = []
        for crystal, graph in zip(reduced, graphs, strict=True):
            record = None if graph is None else _record(crystal, graph, failures)
            if record is not None:
                records.append(record)
    return records, failures


def _failure(path: Path, stage: str, error: Exception) -> Failure:
    if isinstance(error, ShcError):
        return Failure(str(path), stage, error.message, error.hint)
    return Failure(
        str(path),
        stage,
        f"unexpected {type(error).__name__}: {error}",
        "please report this with the file: it is a defect of the program",
    )


def _read(path: Path, config: FeaturizeConfig, failures: list[Failure]) -> _Reduced | None:
    stage = "read"
    try:
        crystal, content_hash = read_with_hash(path, config)
        stage = "symmetry"
        return _Reduced(path, crystal.material_id, content_hash, reduce_crystal(crystal, config))
    except Exception as error:  # noqa: BLE001  no file may stop the others
        failures.append(_failure(path, stage, error))
        return None


def _graphs(reduced: Sequence[_Reduced], config: FeaturizeConfig, failures: list[Failure]) -> list[Graph | None]:
    try:
        return list(build_graphs([crystal.cell for crystal in reduced], config))
    except Exception:  # noqa: BLE001  found out below, one by one
        graphs: list[Graph | None] = []
        for crystal in reduced:
            try:
                graphs += build_graphs([crystal.cell], config)
            except Exception as error:  # noqa: BLE001  no file may stop the others
                failures.append(_failure(crystal.path, "graph", error))
                graphs.append(None)
        return graphs


def _record(crystal: _Reduced, graph: Graph, failures: list[Failure]) -> CrystalRecord | None:
    cell = crystal.cell
    stage = "symmetry"
    try:
        prompt = symmetry_prompt(cell.space_group_number)
        stage = "descriptors"
        return CrystalRecord(
            material_id=crystal.material_id,
            formula=reduced_formula(cell.atomic_number),
            space_group_number=cell.space_group_number,
            lattice=cell.lattice,
            atomic_number=cell.atomic_number.astype("u1"),
            frac=cell.frac,
            orbit=cell.orbit,
            neighbour_atom=graph.neighbour_atom,
            neighbour_shift=graph.neighbour_shift,
            neighbour_distance=graph.neighbour_distance,
            symmetry_prompt=prompt,
            descriptors=descriptors(cell.lattice, cell.frac, cell.atomic_number, cell.orbit, *graph),
            content_hash=crystal.content_hash,
        )
    except Exception as error:  # noqa: BLE001  no file may stop the others
        failures.append(_failure(crystal.path, stage, error))
        return None
