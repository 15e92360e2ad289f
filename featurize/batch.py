"""From some files to feature rows, in this process."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from shc.featurize.descriptors import descriptors
from shc.featurize.elements import reduced_formula
from shc.featurize.errors import ExitCode, Failure, ShcError
from shc.featurize.graph import Graph, build_graphs
from shc.featurize.prompt import symmetry_prompt
from shc.featurize.standard_frame import standard_rotation
from shc.featurize.structures import read_with_hash
from shc.featurize.symmetry import PrimitiveCrystal, reduce_crystal
from shc.featurize.types import CrystalRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from shc.featurize.config import FeaturizeConfig

    Bands = Callable[[str, PrimitiveCrystal], bytes]


class _Reduced(NamedTuple):
    path: Path
    material_id: str
    content_hash: str
    cell: PrimitiveCrystal


def featurize_batch(
    paths: Sequence[Path], config: FeaturizeConfig, bands: Bands | None = None, *, frames: bool = True
) -> tuple[list[CrystalRecord], list[Failure]]:
    """Featurise some files in this process.

    Args:
        paths: Structure files; some tens at a time keep the cost of kernel calls low.
        config: Parameters.
        bands: Makes the packed electronic record of a crystal from its id and its primitive cell.
        frames: Whether records say how crystals lie in space, as feature files do; it takes a fifth of the time.

    Returns:
        The records of the usable files in the order given, and one failure for each other file. A crystal whose
        bands fail has its record, without bands, and a failure of the stage ``bands``.

    Raises:
        ShcError: The bands cannot be made for a reason that no file can help (``USAGE``, ``NO_BACKEND``).
    """
    failures: list[Failure] = []
    with warnings.catch_warnings():
        # Libraries warn about oddities of single files; what matters ends up in the failures.
        warnings.simplefilter("ignore")
        reduced = [crystal for path in paths if (crystal := _read(path, config, failures)) is not None]
        graphs = _graphs(reduced, config, failures)
        usable = [(crystal, graph) for crystal, graph in zip(reduced, graphs, strict=True) if graph is not None]
        records = []
        for (crystal, graph), values in zip(usable, _descriptors(usable), strict=True):
            record = _record(crystal, graph, values, failures, frames=frames)
            if record is not None:
                records.append(record if bands is None else _with_bands(record, crystal, bands, failures))
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


def _describe(crystals: Sequence[tuple[_Reduced, Graph]]) -> NDArray[np.float32]:
    """Descriptors ``[B, D]`` of some crystals."""
    cells = [crystal.cell for crystal, _ in crystals]
    graphs = [graph for _, graph in crystals]
    return descriptors(
        np.stack([cell.lattice for cell in cells]),
        np.cumsum([0, *(len(cell.atomic_number) for cell in cells)]),
        np.cumsum([0, *(len(graph.neighbour_atom) for graph in graphs)]),
        np.concatenate([cell.frac for cell in cells]),
        np.concatenate([cell.atomic_number for cell in cells]),
        np.concatenate([cell.orbit for cell in cells]),
        *(np.concatenate(parts) for parts in zip(*graphs, strict=True)),
    )


def _descriptors(crystals: Sequence[tuple[_Reduced, Graph]]) -> list[NDArray[np.float32] | None]:
    """A row of descriptors for each crystal; no rows if any crystal fails, `_record` then finds out which."""
    try:
        return [row.copy() for row in _describe(crystals)] if crystals else []
    except Exception:  # noqa: BLE001  found out later, one by one
        return [None] * len(crystals)


def _record(
    crystal: _Reduced, graph: Graph, values: NDArray[np.float32] | None, failures: list[Failure], *, frames: bool
) -> CrystalRecord | None:
    cell = crystal.cell
    stage = "symmetry"
    try:
        prompt = symmetry_prompt(cell.space_group_number)
        rotation = standard_rotation(cell).astype("f4") if frames else None
        stage = "descriptors"
        return CrystalRecord(
            descriptors=_describe([(crystal, graph)])[0] if values is None else values,
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
            standard_rotation=rotation,
            symmetry_prompt=prompt,
            content_hash=crystal.content_hash,
        )
    except Exception as error:  # noqa: BLE001  no file may stop the others
        failures.append(_failure(crystal.path, stage, error))
        return None


def _with_bands(record: CrystalRecord, crystal: _Reduced, bands: Bands, failures: list[Failure]) -> CrystalRecord:
    try:
        return replace(record, bands=bands(crystal.material_id, crystal.cell))
    except Exception as error:
        if isinstance(error, ShcError) and error.exit_code in {ExitCode.USAGE, ExitCode.NO_BACKEND}:
            raise  # A disk that is full, say: it is not for the crystals to answer for that.
        failures.append(_failure(crystal.path, "bands", error))
        return record
