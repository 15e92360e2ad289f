"""The ensemble: what predicts, what is saved, what is shipped."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import torch

from shc.featurize.errors import ExitCode, ShcError
from shc.models.card import ModelCard, read_card, write_card
from shc.models.checkpoint import group, load_tensors, save_tensors
from shc.models.domain import Domain
from shc.models.encoders.picture import PictureEncoder
from shc.models.heads import ValueGrid
from shc.models.members import Members, arguments
from shc.models.modalities import STRUCTURE, SUBSETS
from shc.models.network import SHCTransformer
from shc.models.uncertainty import Calibration, Estimate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from shc.featurize.store import FeatureHeader
    from shc.models.data import CrystalBatch
    from shc.models.members import Said

WEIGHTS_FILE: Final = "model.safetensors"
CARD_FILE: Final = "card.json"
PRETRAINED: Final = Path(__file__).parent / "pretrained"
_SHARED: Final = "shared."
_PICTURE: Final = "picture."
_FLOAT16_MAX: Final = 65504.0


class Distributions(NamedTuple):
    """What the ensemble says about B crystals, before calibration: ``Said`` on the host, and what it rests on."""

    probability: NDArray[np.float64]
    """``[B, n_values]``."""
    p_finite: NDArray[np.float64]
    """``[B]``."""
    embedding: NDArray[np.float32]
    """``[B, d]``."""
    subset: NDArray[np.int64]
    """``[B]`` place in ``SUBSETS`` of what each rests on."""
    tensor: NDArray[np.float64]
    """``[B, n_tensor]``."""

    @classmethod
    def of(cls, said: Said, subset: Tensor) -> Distributions:
        """Wait for what was said and bring it to the host."""
        columns = (said.probability.double(), said.p_finite.double(), said.embedding, subset, said.tensor.double())
        return cls(*(column.cpu().numpy() for column in columns))


@dataclass
class Ensemble:
    """Networks that predict together, with what was learned about their errors."""

    members: list[SHCTransformer]
    """In evaluation mode, on one device."""
    card: ModelCard
    calibrations: dict[str, Calibration]
    """By what a prediction rests on: names of ``SUBSETS``, the structure alone always among them."""
    domain: Domain
    picture: PictureEncoder | None = None
    """Encoder of pictures, shared by the members; None if they read none."""

    @cached_property
    def grid(self) -> ValueGrid:
        """Bins of the predicted distributions."""
        return ValueGrid(self.card.model)

    @cached_property
    def digest(self) -> str:
        """What tells these weights from others: a hash of all numbers of the networks."""
        found = hashlib.sha256()
        for network in (*self.members, self.picture):
            for name, tensor in ({} if network is None else network.state_dict()).items():
                found.update(name.encode())
                found.update(tensor.cpu().contiguous().numpy().tobytes())
        return found.hexdigest()

    def to(self, device: torch.device) -> Ensemble:
        """Move the networks; returns the same ensemble."""
        for network in (*self.members, self.picture):
            if network is not None:
                network.to(device)
        return self

    @torch.inference_mode()
    def distribution(self, batch: CrystalBatch) -> Distributions:
        """Predict a batch that lies on the device of the networks."""
        return Distributions.of(Members(self.members)(*arguments(batch)), shown(batch))

    def estimate(self, raw: Distributions, rows: NDArray[np.intp]) -> Estimate:
        """Calibrated estimates of some of the crystals, each by the calibration of what it rests on."""
        columns = np.empty((len(Estimate._fields), len(rows)))
        subset = raw.subset[rows]
        for place in np.unique(subset).tolist():
            some = np.flatnonzero(subset == place)
            # A training may have had too few pictures to calibrate on.
            calibration = self.calibrations.get(SUBSETS[place], self.calibrations[STRUCTURE])
            columns[:, some] = calibration.apply(self.grid, raw.probability[rows[some]], raw.p_finite[rows[some]])
        return Estimate(*columns)

    def check_features(self, header: FeatureHeader, name: str) -> None:
        """Make sure that features mean what the networks were trained on.

        Args:
            header: Header of the features.
            name: Name of the feature file, for messages.

        Raises:
            ShcError: They do not (``BAD_FILE``).
        """
        card, config = self.card, header.config
        pairs = {
            "prompt version": (header.prompt_version, card.prompt_version),
            "prompt size": (max((end for _, _, end in header.prompt_fields), default=0), card.n_prompt),
            "descriptor version": (header.descriptor_version, card.descriptor_version),
            "number of descriptors": (len(header.descriptor_names), card.n_descriptors),
            **{
                setting: (getattr(config, setting), getattr(card.features, setting))
                for setting in ("cutoff", "max_neighbours", "symprec")
            },
        }
        different = [f"{what} {a}, the model needs {b}" for what, (a, b) in pairs.items() if a != b]
        if different:
            raise _bad(
                f"{name} does not fit the model {card.name} {card.version}: {'; '.join(different)}",
                "featurise the crystals again with the settings of the model, or give another --model",
            )


def shown(batch: CrystalBatch) -> Tensor:
    """``[B]`` place in ``SUBSETS`` of what a batch shows of each crystal."""
    if batch.bands is None:
        return torch.zeros(len(batch.atoms), dtype=torch.int64)
    return (batch.bands.has_curves + 2.0 * batch.bands.has_picture).long()


def save_ensemble(folder: Path, ensemble: Ensemble) -> None:
    """Write ``model.safetensors`` and ``card.json``.

    Parameters are rounded to float16. Buffers (scales of the inputs, element table) keep float32; those that are
    equal in all members are stored once, so that a later program with another element table still predicts the
    same. Each file appears as a whole or not at all, the card last.

    Args:
        folder: Made if it does not exist.
        ensemble: What to save.

    Raises:
        ValueError: A weight is not finite or too large for float16, or the card breaks its schema.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = _member_tensors(ensemble.members)
    if ensemble.picture is not None:
        tensors |= {f"{_PICTURE}{k}": _rounded(k, v) for k, v in ensemble.picture.named_parameters()}
        tensors |= {f"{_PICTURE}{k}": v for k, v in ensemble.picture.named_buffers()}
    for name, calibration in ensemble.calibrations.items():
        tensors |= {f"{_calibration(name)}{k}": v for k, v in calibration.to_tensors().items()}
    tensors |= {f"domain.{k}": v for k, v in ensemble.domain.to_tensors().items()}
    save_tensors(folder / WEIGHTS_FILE, tensors, _identity(ensemble.card))
    write_card(folder / CARD_FILE, ensemble.card)
    # safetensors makes its files private; other users of the machine may read the model as far as the card.
    (folder / WEIGHTS_FILE).chmod((folder / CARD_FILE).stat().st_mode)


def load_ensemble(folder: Path | None = None, device: torch.device | None = None) -> Ensemble:
    """Read what ``save_ensemble`` wrote.

    Args:
        folder: The folder; by default the newest model that is shipped with the program.
        device: Where the networks go; the CPU by default.

    Raises:
        ShcError: There is no model, or its files are damaged, of a newer format or do not belong together
            (``BAD_FILE``).
    """
    folder = newest_pretrained() if folder is None else folder
    if not folder.is_dir():
        raise _bad(f"there is no model folder {folder}", "give the output folder of `shc train`")
    if not (folder / CARD_FILE).is_file():
        raise _bad(f"{folder} is no model folder: it has no {CARD_FILE}", "give the output folder of `shc train`")
    card = read_card(folder / CARD_FILE)
    path = folder / WEIGHTS_FILE
    tensors, identity = load_tensors(path)
    if identity != _identity(card):
        raise _bad(f"{path} and its {CARD_FILE} do not belong together", "copy both files from one model again")
    try:
        ensemble = Ensemble(
            members=[_read_member(k, card, tensors) for k in range(card.train.n_members)],
            card=card,
            calibrations={
                name: Calibration.from_tensors(group(_calibration(name), tensors))
                for name in (STRUCTURE, *card.calibrations)
            },
            domain=Domain.from_tensors(group("domain.", tensors)),
            picture=_read_picture(card, tensors),
        )
        width = ensemble.members[0].embedding_width
        if ensemble.domain.landmarks.shape[1] != width:
            raise ValueError(f"landmarks of width {width} expected, {ensemble.domain.landmarks.shape[1]} found")  # noqa: TRY301
    except (KeyError, ValueError, RuntimeError) as error:
        text = str(error).splitlines()[0]
        raise _bad(f"{path} does not fit its {CARD_FILE}: {text}", "copy both files again") from error
    return ensemble.to(device or torch.device("cpu"))


def pretrained_folders(root: Path = PRETRAINED) -> list[Path]:
    """The folders ``v<number>`` that hold a model, by number."""
    versions = {
        int(found[1]): folder
        for folder in root.glob("v*")
        if (found := re.fullmatch(r"v([0-9]+)", folder.name)) and (folder / CARD_FILE).is_file()
    }
    return [versions[number] for number in sorted(versions)]


def newest_pretrained(root: Path = PRETRAINED) -> Path:
    """The folder ``v<number>`` with the highest number.

    Raises:
        ShcError: There is none (``BAD_FILE``).
    """
    folders = pretrained_folders(root)
    if not folders:
        raise _bad("no trained model comes with this installation", "train one and name its folder with --model")
    return folders[-1]


def _identity(card: ModelCard) -> dict[str, str]:
    return {"format": str(card.format), "name": card.name, "version": card.version, "created": card.created}


def _member_tensors(members: list[SHCTransformer]) -> dict[str, Tensor]:
    """Parameters by member, buffers by member or once for all."""
    tensors: dict[str, Tensor] = {}
    for k, member in enumerate(members):
        for name, value in member.named_parameters():
            tensors[f"member{k}.{name}"] = _rounded(f"member{k}.{name}", value)
    buffers = [dict(member.named_buffers()) for member in members]
    for name, buffer in buffers[0].items():
        if all(torch.equal(buffer, other[name]) for other in buffers[1:]):
            tensors[_SHARED + name] = buffer
        else:
            tensors |= {f"member{k}.{name}": other[name] for k, other in enumerate(buffers)}
    return tensors


def _rounded(name: str, value: Tensor) -> Tensor:
    if value.numel() and (not value.isfinite().all() or value.abs().max() > _FLOAT16_MAX):
        raise ValueError(f"{name} holds a number that float16 cannot")
    return value.detach().half()


def _calibration(name: str) -> str:
    """Start of the names of a calibration's tensors; that of the structure is older than the others."""
    return "calibration." if name == STRUCTURE else f"calibration:{name}."


def _read_picture(card: ModelCard, tensors: Mapping[str, Tensor]) -> PictureEncoder | None:
    if not card.reads_pictures:
        return None
    with torch.random.fork_rng(devices=[]):
        encoder = PictureEncoder(card.picture)
    _load(encoder, group(_PICTURE, tensors), _PICTURE)
    return encoder


def _read_member(k: int, card: ModelCard, tensors: Mapping[str, Tensor]) -> SHCTransformer:
    """Build one network; the caller's random numbers are left alone."""
    # Initialising on the meta device instead would import the compiler of torch: seconds.
    with torch.random.fork_rng(devices=[]):
        member = SHCTransformer(card.model, card.n_descriptors, card.n_prompt)
    _load(member, {**group(_SHARED, tensors), **group(f"member{k}.", tensors)}, f"member{k}.")
    return member


def _load(network: nn.Module, state: Mapping[str, Tensor], name: str) -> None:
    """Put weights into a network and make it ready to predict."""
    for key, value in state.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise ValueError(f"{name}{key} is not finite")
    network.load_state_dict(state)
    network.eval().requires_grad_(requires_grad=False)


def _bad(message: str, hint: str) -> ShcError:
    return ShcError(message, hint, ExitCode.BAD_FILE)
