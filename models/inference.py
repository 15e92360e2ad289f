"""Prediction: from feature rows or structure files to rows of results, as a stream.

from shc.models.inference import load_predictor

for row in load_predictor().predict_files(["crystals/"]):
print(row.material_id, row.shc_max_abs, row.shc_lower, row.shc_upper)
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import torch

from shc.featurize.band_image.codec import decode
from shc.featurize.elements import MAGNETIC, has_soc, symbols
from shc.featurize.errors import ExitCode, Failure, ShcError
from shc.featurize.store import FeatureBatch, FeatureFile
from shc.models.data import CrystalArrays
from shc.models.device import choose_device
from shc.models.ensemble import Distributions, Ensemble, load_ensemble

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import TextIO

    from numpy.typing import NDArray

    from shc.featurize.band_image.codec import StoredPicture
    from shc.featurize.band_image.reading import PictureReader
    from shc.featurize.band_image.run import RunPictures
    from shc.featurize.stop import StopRequest

WINDOW: Final = 1024
"""Crystals read from a feature file at a time."""
PICTURE_WINDOW: Final = 128
"""The same if the model reads pictures, some 200 kB each in memory."""
MAX_BATCH: Final = 256
"""Crystals in a dense batch at most."""
MAX_NODES: Final = 8192
"""Nodes in a dense batch at most, padding included: bounds memory; a larger crystal is a batch of its own."""


class Prediction(NamedTuple):
    """One row of results; SHC in (hbar/e) S/cm."""

    material_id: str
    """File stem."""
    formula: str
    """Reduced formula."""
    space_group_number: int
    """1 to 230."""
    shc_max_abs: float
    """Predicted largest |sigma_ij^k| over the 27 components."""
    shc_lower: float
    """Lower end of the interval, >= 0."""
    shc_upper: float
    """Upper end of the interval."""
    shc_std: float
    """Standard deviation of the predicted distribution."""
    p_finite: float
    """Probability that SHC exceeds the threshold of a finite value."""
    in_domain: bool
    """Whether the crystal resembles the training crystals and all its elements are known."""
    modalities: str
    """What the prediction rests on, joined by ``+``."""
    flags: str
    """``magnetic``, ``no_soc``, ``unseen_element:X``, joined by ``;``."""


class Predicted(NamedTuple):
    """What became of one batch of inputs."""

    predictions: list[Prediction]
    """In the order of the input."""
    failures: list[Failure]


class Predictor:
    """Predicts with an ensemble that is loaded once.

    Args:
        ensemble: The networks.
        device: Where they run.
    """

    def __init__(self, ensemble: Ensemble, device: torch.device | None = None) -> None:
        self.device = device or torch.device("cpu")
        self.ensemble = ensemble.to(self.device)

    def predict(self, features: FeatureBatch) -> list[Prediction]:
        """Predict crystals, in their order.

        Raises:
            ShcError: A crystal holds features that are not finite.
        """
        predicted = self.predict_batch(features)
        if predicted.failures:
            first = predicted.failures[0]
            raise ShcError(f"{first.path}: {first.error}", first.hint, ExitCode.BAD_FILE)
        return predicted.predictions

    def predict_batch(self, features: FeatureBatch) -> Predicted:
        """Predict crystals, in their order; those with features that are not finite are failures."""
        if len(features) == 0:
            return Predicted([], [])
        raw = self.distributions(features)
        usable = np.isfinite(raw.probability).all(axis=1) & np.isfinite(raw.p_finite)
        rows = np.flatnonzero(usable)
        hint = "featurise the crystal again"
        failures = [
            Failure(features.material_id[b], "predict", "its features are not finite", hint)
            for b in np.flatnonzero(~usable)
        ]
        calibration, grid = self.ensemble.calibration, self.ensemble.grid
        estimate = calibration.apply(grid, raw.probability[rows], raw.p_finite[rows])
        resembles = self.ensemble.domain.resembles(raw.embedding[rows])
        predictions = []
        for k, b in enumerate(rows.tolist()):
            atoms = slice(features.atom_offsets[b], features.atom_offsets[b + 1])
            flags, known = self._flags(np.unique(features.atomic_number[atoms]))
            predictions.append(
                Prediction(
                    material_id=features.material_id[b],
                    formula=features.formula[b],
                    space_group_number=int(features.space_group_number[b]),
                    shc_max_abs=float(estimate.value[k]),
                    shc_lower=float(estimate.lower[k]),
                    shc_upper=float(estimate.upper[k]),
                    shc_std=float(estimate.std[k]),
                    p_finite=float(estimate.p_finite[k]),
                    in_domain=known and bool(resembles[k]),
                    modalities="structure",
                    flags=flags,
                )
            )
        return Predicted(predictions, failures)

    def distributions(self, features: FeatureBatch) -> Distributions:
        """What the ensemble says about crystals, in their order; dense batches are made by size."""
        arrays = CrystalArrays(features)
        batches = list(dense_batches(arrays.n_nodes))
        parts = [self.ensemble.distribution(arrays.batch(rows).to(self.device)) for rows in batches]
        order = np.argsort(np.concatenate(batches))
        return Distributions(*(np.concatenate(column)[order] for column in zip(*parts, strict=True)))

    def _flags(self, elements: NDArray[np.uint8]) -> tuple[str, bool]:
        """Flags of a crystal, and whether the model knows all its elements with their spin-orbit strength."""
        flags = ["magnetic"] if not MAGNETIC.isdisjoint(elements.tolist()) else []
        without_soc = not has_soc(elements).all()
        if without_soc:
            flags.append("no_soc")
        unseen = self.ensemble.domain.unseen(elements)
        flags += [f"unseen_element:{symbols()[z]}" for z in unseen]
        return ";".join(flags), not without_soc and not unseen

    def iter_feature_file(
        self,
        path: Path | str,
        *,
        rows: slice = slice(None),
        window: int = WINDOW,
        workers: int | None = None,
        pictures: RunPictures | None = None,
    ) -> Iterator[Predicted]:
        """Predict the crystals of a feature file as a stream.

        Args:
            path: The file.
            rows: Which of its rows.
            window: Rows read at a time; fewer if the model reads pictures.
            workers: Processes that read many pictures; one per usable core if None.
            pictures: Pictures of the crystals, opened only if the model reads pictures; those of a crystal take the
                place of the stored ones.

        Raises:
            ShcError: The file is missing, damaged or does not fit the model.
        """
        file = FeatureFile.open(path)
        self.ensemble.check_features(file.header, str(path))
        reads = self.ensemble.card.reads_pictures
        step = min(window, PICTURE_WINDOW) if reads else window
        wanted = np.arange(len(file))[rows]
        with ExitStack() as stack:
            fresh = None
            if reads and pictures is not None:
                # Decoding needs Pillow and numba; prediction from a feature file must run without.
                from shc.featurize.band_image.reading import PictureReader  # noqa: PLC0415

                fresh = _Fresh(pictures, stack.enter_context(PictureReader(workers)))
            for start in range(0, len(wanted), step):
                indices = wanted[start : start + step]
                features = file.read(indices)
                failures: list[Failure] = []
                if reads:
                    found = file.pictures(indices)
                    if fresh is not None:
                        found, failures = fresh.instead_of(found, features.material_id)
                    features = replace(features, pictures=found)
                predicted = self.predict_batch(features)
                yield Predicted(predicted.predictions, failures + predicted.failures)

    def iter_sources(
        self,
        sources: Sequence[str],
        *,
        max_atoms: int | None = None,
        allow_hydrogen: bool = False,
        workers: int | None = None,
        pictures: RunPictures | None = None,
        stdin: TextIO | None = None,
        stop: StopRequest | None = None,
    ) -> Iterator[Predicted]:
        """Featurise and predict structure files as a stream; memory does not grow with their number.

        Args:
            sources: Files, folders, glob patterns, list files, ``-``; see ``iter_paths``.
            max_atoms: A file with more atoms in its cell is a failure; by default as in training.
            allow_hydrogen: Whether crystals with H, D or T are accepted.
            workers: Processes that featurise; one per usable core if None.
            pictures: Pictures of the crystals, opened only if the model reads pictures.
            stdin: What ``-`` reads.
            stop: Ends the stream early, in good order.

        Raises:
            ShcError: This program featurises in another way than the model was trained with.
        """
        # Featurising needs pymatgen and numba; prediction from a feature file must run without.
        from shc.featurize.pipeline import NO_PICTURES, current_header, iter_featurized  # noqa: PLC0415

        card, trained = self.ensemble.card, self.ensemble.card.features
        limit = trained.max_atoms if max_atoms is None else max_atoms
        config = replace(
            trained, max_atoms=limit, allow_hydrogen=allow_hydrogen, pictures=card.reads_pictures, styles=0
        )
        self.ensemble.check_features(current_header(config), "what this program makes of a structure")
        stream = iter_featurized(
            sources, config, workers=workers, pictures=pictures or NO_PICTURES, stdin=stdin, stop=stop
        )
        for records, failures in stream:
            features = FeatureBatch.from_records(records)
            if card.reads_pictures:
                features = replace(features, pictures=[decode(record.pictures).pictures for record in records])
            predicted = self.predict_batch(features)
            yield Predicted(predicted.predictions, failures + predicted.failures)

    def predict_files(self, sources: Iterable[str | Path]) -> list[Prediction]:
        """Predict structure files; for many of them ``iter_sources`` needs less memory.

        Args:
            sources: Files, folders, glob patterns, list files; see ``iter_paths``.

        Raises:
            ShcError: A file cannot be used.
        """
        predictions: list[Prediction] = []
        for predicted in self.iter_sources([str(source) for source in sources]):
            for failure in predicted.failures:
                raise ShcError(f"{failure.path}: {failure.error}", failure.hint)
            predictions += predicted.predictions
        return predictions


class _Fresh(NamedTuple):
    """Pictures of folders, read when their crystals come up."""

    pictures: RunPictures
    reader: PictureReader

    def instead_of(
        self, stored: list[tuple[StoredPicture, ...]], names: Sequence[str]
    ) -> tuple[list[tuple[StoredPicture, ...]], list[Failure]]:
        """Pictures of some crystals, those of a folder in place of stored ones, and what of the folder is no use."""
        found, failures = self.reader.read([self.pictures.of(name) for name in names])
        return [new or old for new, old in zip(found, stored, strict=True)], failures


def load_predictor(folder: Path | None = None, device: str = "auto") -> Predictor:
    """Load a model.

    Args:
        folder: Its folder; by default the newest model that is shipped with the program.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        ShcError: The model is missing or damaged (``BAD_FILE``), or the device is (``NO_BACKEND``).
    """
    place = choose_device(device)
    return Predictor(load_ensemble(folder, place), place)


def dense_batches(
    n_nodes: NDArray[np.int64], max_batch: int = MAX_BATCH, max_nodes: int = MAX_NODES
) -> Iterator[NDArray[np.int64]]:
    """Group crystals of similar size so that a padded batch stays small.

    Args:
        n_nodes: ``[n]`` nodes of each crystal.
        max_batch: Crystals per batch at most.
        max_nodes: Nodes per batch at most, padding included.

    Yields:
        Rows of one batch; every row comes once.
    """
    order = np.argsort(n_nodes, kind="stable")
    start = 0
    for end in range(1, len(order) + 1):
        # Rows ascend in size, so the next one would set the width of the batch.
        full = end == len(order) or (end - start + 1) * n_nodes[order[end]] > max_nodes
        if full or end - start == max_batch:
            yield order[start:end]
            start = end
