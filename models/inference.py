"""Prediction: from feature rows or structure files to rows of results, as a stream.

from shc.models.inference import load_predictor

for row in load_predictor().predict_files(["crystals/"]):
print(row.material_id, row.shc_max_abs, row.shc_lower, row.shc_upper)
"""

from __future__ import annotations

import warnings
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import torch

from shc.featurize.band_image.codec import decode
from shc.featurize.band_image.listing import STAGE as PICTURE_STAGE
from shc.featurize.band_image.types import LEAST_CONFIDENCE, SURE
from shc.featurize.config import BANDS_AUTO, BANDS_NONE
from shc.featurize.electronic.codec import decode as decode_bands
from shc.featurize.elements import MAGNETIC, has_soc, symbols
from shc.featurize.errors import ExitCode, Failure, ShcError
from shc.featurize.store import FeatureBatch, FeatureFile
from shc.models.backends.choose import AUTO, choose_backend
from shc.models.backends.eager import Eager
from shc.models.device import choose_device
from shc.models.distributions import distributions
from shc.models.ensemble import Distributions, Ensemble, load_ensemble
from shc.models.modalities import SUBSETS
from shc.models.prediction import Predicted, Prediction
from shc.models.tensor import N_COMPONENTS, tensor_from_output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import TextIO

    from numpy.typing import NDArray

    from shc.featurize.band_image.codec import StoredPicture
    from shc.featurize.band_image.reading import PictureReader
    from shc.featurize.band_image.run import RunPictures
    from shc.featurize.electronic.record import ElectronicRecord
    from shc.featurize.electronic.run import BandsOutput
    from shc.featurize.stop import StopRequest
    from shc.models.backends.base import Backend

WINDOW: Final = 1024
"""Crystals read from a feature file at a time."""
PICTURE_WINDOW: Final = 128
"""The same if the model reads pictures, some 200 kB each in memory."""
DOUBTFUL_PICTURE: Final = "doubtful_picture"
"""Flag of a crystal whose picture was used and deserves a look with `shc check-bands`."""


class Predictor:
    """Predicts with an ensemble that is loaded once.

    Args:
        ensemble: The networks.
        device: Where they run without a back end.
        tensor: Whether predictions carry the tensor of the built-in electronic structure.
        backend: Runs them; by default torch itself.

    Raises:
        ShcError: A tensor is asked of networks that say none (``BAD_FILE``).
    """

    def __init__(
        self,
        ensemble: Ensemble,
        device: torch.device | None = None,
        *,
        tensor: bool = False,
        backend: Backend | None = None,
    ) -> None:
        self.ensemble = ensemble
        self.backend = backend or Eager(ensemble, device or torch.device("cpu"))
        self.tensor = tensor
        if tensor and not ensemble.card.model.n_tensor:
            card = ensemble.card
            raise ShcError(
                f"the model {card.name} {card.version} predicts no tensor", "give another --model", ExitCode.BAD_FILE
            )

    def predict(self, features: FeatureBatch) -> list[Prediction]:
        """Predict crystals, in their order; pictures that cannot be used are passed over.

        Raises:
            ShcError: A crystal holds features that are not finite.
        """
        predicted = self.predict_batch(features)
        for first in predicted.failures:
            if first.stage == PICTURE_STAGE:
                continue
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
        failures += _doubtful(features)
        tensors = self._tensors(features, raw) if self.tensor else [(None, "")] * len(features)
        estimate = self.ensemble.estimate(raw, rows)
        resembles = self.ensemble.domain.resembles(raw.embedding[rows])
        predictions = []
        for k, b in enumerate(rows.tolist()):
            atoms = slice(features.atom_offsets[b], features.atom_offsets[b + 1])
            flags, known = self._flags(np.unique(features.atomic_number[atoms]))
            if "picture" in SUBSETS[raw.subset[b]] and _any_unsure((features.pictures or [()] * len(features))[b]):
                flags.append(DOUBTFUL_PICTURE)
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
                    modalities=SUBSETS[raw.subset[b]],
                    flags=";".join(flags),
                    tb_shc=tensors[b][0],
                    tb_shc_source=tensors[b][1],
                )
            )
        return Predicted(predictions, failures)

    def distributions(self, features: FeatureBatch) -> Distributions:
        """What the ensemble says about crystals, in their order; dense batches are made by size."""
        return distributions(self.ensemble, self.backend, features)

    def _tensors(self, features: FeatureBatch, raw: Distributions) -> list[tuple[tuple[float, ...] | None, str]]:
        """Tensor of the built-in electronic structure of each crystal, and where it comes from.

        Raises:
            ShcError: The features are older than the frames that a learned tensor needs (``BAD_FILE``).
        """
        records = features.bands or [None] * len(features)
        rotation = features.standard_rotation
        if rotation is None:
            if None in records:
                raise ShcError(
                    "the feature file does not say how its crystals lie in space, which a tensor needs",
                    "featurise the crystals again",
                    ExitCode.BAD_FILE,
                )
            return [(_components(record), "computed") for record in records if record is not None]
        learned = tensor_from_output(raw.tensor, features.space_group_number, rotation).reshape(-1, N_COMPONENTS)
        return [
            (tuple(row), "learned") if record is None else (_components(record), "computed")
            for record, row in zip(records, learned.tolist(), strict=True)
        ]

    def _flags(self, elements: NDArray[np.uint8]) -> tuple[list[str], bool]:
        """Flags of a crystal, and whether the model knows all its elements with their spin-orbit strength."""
        flags = ["magnetic"] if not MAGNETIC.isdisjoint(elements.tolist()) else []
        without_soc = not has_soc(elements).all()
        if without_soc:
            flags.append("no_soc")
        unseen = self.ensemble.domain.unseen(elements)
        flags += [f"unseen_element:{symbols()[z]}" for z in unseen]
        return flags, not without_soc and not unseen

    def iter_feature_file(
        self,
        path: Path | str,
        *,
        rows: slice = slice(None),
        window: int = WINDOW,
        workers: int | None = None,
        pictures: RunPictures | None = None,
        stored_bands: bool = True,
    ) -> Iterator[Predicted]:
        """Predict the crystals of a feature file as a stream.

        Args:
            path: The file.
            rows: Which of its rows.
            window: Rows read at a time; fewer if the model reads pictures.
            workers: Processes that read many pictures; one per usable core if None.
            pictures: Pictures of the crystals, opened only if the model reads pictures; those of a crystal take the
                place of the stored ones.
            stored_bands: Whether bands and pictures that the file holds are used.

        Raises:
            ShcError: The file is missing, damaged or does not fit the model.
        """
        file = FeatureFile.open(path)
        self.ensemble.check_features(file.header, str(path))
        reads = self.ensemble.card.reads_pictures and (stored_bands or pictures is not None)
        curves = self.ensemble.card.model.reads_bands and stored_bands
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
                if curves:
                    features = replace(features, bands=file.bands(indices))
                if reads:
                    found = file.pictures(indices if stored_bands else indices[:0]) or [()] * len(indices)
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
        bands: BandsOutput | None = None,
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
            bands: Where to keep the electronic structure, which is computed then; None to leave it out, as for a
                model that reads none. A crystal whose computation fails is a failure and is predicted without.
            stdin: What ``-`` reads.
            stop: Ends the stream early, in good order.

        Raises:
            ShcError: This program featurises in another way than the model was trained with.
        """
        # Featurising needs pymatgen and numba; prediction from a feature file must run without.
        from shc.featurize.pipeline import NO_PICTURES, current_header, iter_featurized  # noqa: PLC0415

        card, trained = self.ensemble.card, self.ensemble.card.features
        limit = trained.max_atoms if max_atoms is None else max_atoms
        computed = bands is not None and card.model.reads_bands
        config = replace(
            trained,
            max_atoms=limit,
            allow_hydrogen=allow_hydrogen,
            bands=BANDS_AUTO if computed else BANDS_NONE,
            pictures=card.reads_pictures and pictures is not None,
            styles=0,
        )
        self.ensemble.check_features(current_header(config), "what this program makes of a structure")
        stream = iter_featurized(
            sources,
            config,
            workers=workers,
            bands=bands,
            pictures=pictures or NO_PICTURES,
            stdin=stdin,
            stop=stop,
        )
        for records, failures in stream:
            features = FeatureBatch.from_records(records)
            if config.pictures:
                features = replace(features, pictures=[decode(record.pictures).pictures for record in records])
            if computed:
                unpacked = [decode_bands(record.bands) if record.bands else None for record in records]
                features = replace(features, bands=unpacked)
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


def _components(record: ElectronicRecord) -> tuple[float, ...]:
    return tuple(record.shc_tensor.ravel().tolist())


def _any_unsure(pictures: Sequence[StoredPicture]) -> bool:
    """Whether a picture that is used deserves a look."""
    return any(LEAST_CONFIDENCE <= picture.confidence < SURE for picture in pictures)


def _doubtful(features: FeatureBatch) -> list[Failure]:
    """Pictures that are not used because too little of them was understood."""
    found = features.pictures or []
    return [
        Failure(
            f"{name}: {picture.source}",
            PICTURE_STAGE,
            f"understood with a confidence of {picture.confidence:.2f} only",
            "see what was understood with `shc check-bands`, and say the energies with --energy-window",
        )
        for name, pictures in zip(features.material_id[: len(found)], found, strict=True)
        for picture in pictures
        if picture.confidence < LEAST_CONFIDENCE
    ]


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


def load_predictor(
    folder: Path | None = None,
    device: str = "auto",
    *,
    backend: str = AUTO,
    tensor: bool = False,
    tell: Callable[[str], None] | None = None,
) -> Predictor:
    """Load a model.

    Args:
        folder: Its folder; by default the newest model that is shipped with the program.
        device: ``auto``, ``cpu`` or ``cuda``.
        backend: What runs the networks, see ``choose_backend``.
        tensor: Whether predictions carry the tensor of the built-in electronic structure.
        tell: Told which back end was chosen and why; by default nobody is, but of a fallback Python warns.

    Raises:
        ShcError: The model is missing, damaged or says no tensor (``BAD_FILE``), or the device or the back end is
            missing (``NO_BACKEND``).
    """
    ensemble = load_ensemble(folder)
    chosen = choose_backend(backend, ensemble, choose_device(device), tell or (lambda _: None))
    if tell is not None:
        tell(f"back end {chosen.backend.name}, {chosen.why}")
    if chosen.warning is not None:
        (tell or warnings.warn)(chosen.warning)
    return Predictor(ensemble, tensor=tensor, backend=chosen.backend)
