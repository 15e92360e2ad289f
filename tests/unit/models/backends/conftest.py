"""Small networks that read the crystals which come with the program, and an empty cache for each test."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pytest

from shc.featurize.store import FeatureFile
from shc.models.backends.agreement import EXAMPLES, read_examples
from shc.models.backends.eager import Eager
from shc.models.bands_input import bands_of
from shc.models.data import CrystalArrays, CrystalBatch
from shc.models.device import choose_device

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shc.featurize.store import FeatureBatch
    from shc.models.ensemble import Ensemble

TINY: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[3] / "data" / "tiny_model.py"))


class MakeBatch(Protocol):
    """A dense batch of some of the crystals, given by name; with all that is known of their bands, or nothing."""

    def __call__(self, names: Sequence[str], *, bands: bool = ...) -> CrystalBatch: ...


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of one test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "shc" / "compiled"


def tiny(**options: Any) -> Ensemble:  # noqa: ANN401
    header = FeatureFile.open(EXAMPLES).header
    n_prompt = max(end for _, _, end in header.prompt_fields)
    made: Ensemble = TINY["tiny_ensemble"](n_prompt, len(header.descriptor_names), **options)
    return made


@pytest.fixture(scope="session")
def fused() -> Ensemble:
    """Two members that read curves and pictures."""
    return tiny(model=TINY["FUSED"])


@pytest.fixture(scope="session")
def other_fused() -> Ensemble:
    """The same with other weights."""
    return tiny(model=TINY["FUSED"], seed=1)


@pytest.fixture(scope="session")
def single() -> Ensemble:
    """One member that reads curves and pictures."""
    return tiny(n_members=1, model=TINY["FUSED"])


@pytest.fixture(scope="session")
def alone() -> Ensemble:
    """One member that reads the structure only."""
    return tiny(n_members=1)


@pytest.fixture(scope="session")
def examples(fused: Ensemble) -> FeatureBatch:
    """The crystals that come with the program, with bands and pictures."""
    return read_examples(fused)


@pytest.fixture(scope="session")
def arrays(fused: Ensemble, examples: FeatureBatch) -> CrystalArrays:
    """The same as the networks read them."""
    encode = Eager(fused, choose_device("cpu")).encode
    return CrystalArrays(examples, bands_of(examples, fused.card.model, encode))


@pytest.fixture(scope="session")
def make_batch(arrays: CrystalArrays) -> MakeBatch:
    def make(names: Sequence[str], *, bands: bool = True) -> CrystalBatch:
        found = arrays.batch(np.array([arrays.material_id.index(name) for name in names]))
        return found if bands else found._replace(bands=None)

    return make
