"""Prediction: from feature rows or structure files to rows of results, as a stream.

from shc.models.inference import load_predictor

for row in load_predictor().predict_files(["crystals/"]):
print(row.material_id, row.shc_max_abs, row.shc_lower, row.shc_upper)
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from shc.featurize.band_image.listing import STAGE as PICTURE_STAGE
from shc.featurize.band_image.types import LEAST_CONFIDENCE, SURE
from shc.featurize.config import BANDS_AUTO, BANDS_NONE
from shc.featurize.elements import MAGNETIC, has_soc, symbols
from shc.featurize.errors import ExitCode, Failure, ShcError
from shc.featurize.failure_log import read_failures
from shc.featurize.store import FeatureBatch, FeatureFile
from shc.models.backends.choose import AUTO, choose_backend
from shc.models.backends.eager import Eager
from shc.models.device import choose_device
from shc.models.distributions import distributions
from shc.models.ensemble import Distributions, Ensemble, load_ensemble
from shc.models.modalities import SUBSETS
from shc.models.prediction import Predicted, Prediction
from shc.models.prefetch import ahead
from shc.models.tensor import N_COMPONENTS, tensor_from_output
from shc.models.windows import WINDOW, file_windows, record_windows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import TextIO

    from numpy.typing import NDArray

    from shc.featurize.band_image.codec import StoredPicture
    from shc.featurize.band_image.run import RunPictures
    from shc.featurize.config import FeaturizeConfig
    from shc.featurize.electronic.record import ElectronicRecord
    from shc.featurize.electronic.run import BandsOutput
    from shc.featurize.stop import StopRequest
    from shc.models.backends.base import Backend

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
        rows: slice | NDArray[np.int64] = slice(None),
        window: int = WINDOW,
        workers: int | None = None,
        pictures: RunPictures | None = None,
        stored_bands: bool = True,
    ) -> Iterator[Predicted]:
        """Predict the crystals of a feature file as a stream; rows are read while those before are predicted.

        Args:
            path: The file.
            rows: Which of its rows, in the order wanted.
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
        wanted = np.arange(len(file))[rows]
        windows = file_windows(file, self.ensemble.card, wanted, window, workers, pictures, stored_bands=stored_bands)
        for features, failures in ahead(windows):
            predicted = self.predict_batch(features)
            yield Predicted(predicted.predictions, failures + predicted.failures)

    def iter_store(self, path: Path, inputs: Sequence[str], *, workers: int | None = None) -> Iterator[Predicted]:
        """Predict those crystals of a feature file that are among some inputs, in their order.

        Args:
            path: A feature file that ``featurize_sources`` has just written or extended; its failures come first.
            inputs: The structure files.
            workers: Processes that read many pictures; one per usable core if None.

        Raises:
            ShcError: The file is missing, damaged or does not fit the model.
        """
        # Only structures need what reads them; prediction from a feature file must run without.
        from shc.featurize.pipeline import failures_path  # noqa: PLC0415
        from shc.featurize.structures import material_id  # noqa: PLC0415

        yield Predicted([], read_failures(failures_path(path)))
        row = {name: place for place, name in enumerate(FeatureFile.open(path).material_ids)}
        names = dict.fromkeys(material_id(Path(name)) for name in inputs)
        rows = np.array([row[name] for name in names if name in row], dtype=np.int64)
        yield from self.iter_feature_file(path, rows=rows, workers=workers)

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

        config = self.feature_config(
            max_atoms, allow_hydrogen=allow_hydrogen, bands=bands is not None, pictures=pictures is not None
        )
        self.ensemble.check_features(current_header(config), "what this program makes of a structure")
        stream = iter_featurized(
            sources,
            config,
            workers=workers,
            bands=bands,
            pictures=pictures or NO_PICTURES,
            frames=self.tensor,
            stdin=stdin,
            stop=stop,
        )
        for features, failures in record_windows(stream, config):
            predicted = self.predict_batch(features)
            yield Predicted(predicted.predictions, failures + predicted.failures)

    def feature_config(
        self, max_atoms: int | None = None, *, allow_hydrogen: bool = False, bands: bool = False, pictures: bool = False
    ) -> FeaturizeConfig:
        """How structures become features that this model reads.

        Args:
            max_atoms: A file with more atoms in its cell is a failure; by default as in training.
            allow_hydrogen: Whether crystals with H, D or T are accepted.
            bands: Whether the electronic structure is computed, if the model reads it.
            pictures: Whether there are pictures, read if the model reads them.
        """
        card, trained = self.ensemble.card, self.ensemble.card.features
        return replace(
            trained,
            max_atoms=trained.max_atoms if max_atoms is None else max_atoms,
            allow_hydrogen=allow_hydrogen,
            bands=BANDS_AUTO if bands and card.model.reads_bands else BANDS_NONE,
            pictures=card.reads_pictures and pictures,
            styles=0,
        )

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


def load_predictor(
    folder: Path | None = None,
    device: str = "auto",
    *,
    backend: str = AUTO,
    tensor: bool = False,
    tell: Callable[[str], None] | None = None,
    warn: Callable[[str], None] | None = None,
) -> Predictor:
    """Load a model.

    Args:
        folder: Its folder; by default the newest model that is shipped with the program.
        device: ``auto``, ``cpu`` or ``cuda``.
        backend: What runs the networks, see ``choose_backend``.
        tensor: Whether predictions carry the tensor of the built-in electronic structure.
        tell: Told which back end was chosen and why; by default nobody is.
        warn: Told if another back end takes the place of the one asked for; by default ``tell`` is, or Python warns.

    Raises:
        ShcError: The model is missing, damaged or says no tensor (``BAD_FILE``), or the device or the back end is
            missing (``NO_BACKEND``).
    """
    ensemble = load_ensemble(folder)
    chosen = choose_backend(backend, ensemble, choose_device(device), tell or (lambda _: None))
    if tell is not None:
        tell(f"back end {chosen.backend.name}, {chosen.why}")
    if chosen.warning is not None:
        (warn or tell or warnings.warn)(chosen.warning)
    return Predictor(ensemble, tensor=tensor, backend=chosen.backend)
