"""TensorRT up to the call of its compiler: one that saves the exported programs stands in its place."""

from __future__ import annotations

import sys
import warnings
from functools import partial
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from shc.models.backends import choose, tensorrt
from shc.models.backends.agreement import compare
from shc.models.backends.choose import choose_backend
from shc.models.backends.eager import Eager
from shc.models.backends.exported import COUNT_BUCKETS
from shc.models.backends.shapes import padded
from shc.models.backends.store import compiled_folder, is_built
from shc.models.batching import BOND_BUCKETS, NODE_BUCKETS
from shc.models.device import choose_device
from shc.models.encoders.picture import SIDE
from shc.models.members import Members, arguments
from shc.models.programs import MAX_BONDS, MAX_CRYSTALS, MAX_NODES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor
    from torch.export import ExportedProgram

    from shc.featurize.store import FeatureBatch
    from shc.models.backends.base import Compiler
    from shc.models.data import CrystalBatch
    from shc.models.ensemble import Ensemble

CPU = choose_device("cpu")
OPS = Path(__file__).parents[3] / "data" / "export_ops.txt"
PROGRAMS = ("structure.pt2", "bands.pt2", "encoder.pt2")


class StandIn:
    """Saves programs instead of compiling them, and runs what it saved."""

    def __init__(self) -> None:
        self.compiled: list[str] = []
        self.loaded: list[str] = []
        self.ran: list[tuple[tuple[int, ...], ...]] = []
        self.fails: Exception | None = None
        self.wrong: str | None = None
        self.compiler: Compiler = tensorrt.compiler(self.compile, self.load)._replace(
            why_not=lambda _: None, identity=lambda _: {"tensorrt": "none"}
        )

    def compile(self, program: ExportedProgram, example: tuple[Tensor, ...], path: Path) -> None:
        self.compiled.append(path.name)
        if self.fails is not None:
            raise self.fails
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch warns of itself
            nodes = program.run_decompositions().graph.nodes
        used = {str(node.target) for node in nodes if node.op == "call_function"}
        assert used <= set(OPS.read_text(encoding="utf-8").splitlines())
        assert len(tensorrt.spans(example)) == len(example)
        torch.export.save(program, path)

    def load(self, path: Path) -> Callable[..., Sequence[Tensor]]:
        self.loaded.append(path.name)
        return partial(self.run, torch.export.load(path).module(), path.name)

    def run(self, module: torch.nn.Module, name: str, *given: Tensor) -> Sequence[Tensor]:
        self.ran.append(tuple(tuple(tensor.shape) for tensor in given))
        said: Sequence[Tensor] = module(*given)
        return [tensor.flip(-1) for tensor in said] if name == self.wrong else said


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    made = StandIn()
    monkeypatch.setattr(choose, "COMPILED", {"cpu": ("tensorrt",)})
    monkeypatch.setattr(choose, "compiler_of", lambda _: made.compiler)
    return made


def test_it_is_built_once_for_each_set_of_weights_and_agrees(
    single: Ensemble, other_fused: Ensemble, examples: FeatureBatch, stand_in: StandIn
) -> None:
    chosen = choose_backend("tensorrt", single, CPU)
    assert chosen.warning is None
    assert chosen.backend.name == "tensorrt"
    assert stand_in.compiled == list(PROGRAMS)
    assert compare(single, chosen.backend, Eager(single, CPU), examples).good
    folder = compiled_folder(stand_in.compiler, single, CPU)
    assert is_built(folder)
    assert {path.name for path in folder.iterdir()} == {*PROGRAMS, "about.json"}

    again = choose_backend("tensorrt", single, CPU)
    assert again.backend is not chosen.backend
    assert choose_backend("auto", single, CPU).backend.name == "tensorrt"
    assert len(stand_in.compiled) == 3
    other = compiled_folder(stand_in.compiler, other_fused, CPU)
    assert other != folder
    assert not is_built(other)


def test_programs_run_in_a_few_shapes(
    alone: Ensemble, make_batch: Callable[..., CrystalBatch], stand_in: StandIn, tmp_path: Path
) -> None:
    batch = make_batch(["Pt", "TaAs", "WTe2"], bands=False)
    stand_in.compiler.build(alone, batch, CPU, tmp_path)
    assert stand_in.compiled == ["structure.pt2"]
    backend = stand_in.compiler.load(alone, CPU, tmp_path)
    assert backend.encode is None
    for names in (["Pt"], ["Pt", "Au", "Ag", "Cu"], ["TaAs"] * 7, ["WTe2"] * 3, ["SrTiO3"] * 9):
        shown = make_batch(names, bands=False)
        for got, wanted in zip(backend.say(shown), Eager(alone, CPU).say(shown), strict=True):
            torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)
        n_crystals, n_nodes, n_bonds = stand_in.ran[-1][2]
        assert n_crystals in COUNT_BUCKETS
        assert n_nodes in NODE_BUCKETS
        assert n_bonds in BOND_BUCKETS
    assert len(set(stand_in.ran)) == 4
    assert stand_in.loaded == ["structure.pt2"]

    # Batches larger than programs take are left to the networks.
    stand_in.ran.clear()
    for sizes in ((3, NODE_BUCKETS[-1] + 1, 4), (3, 6, BOND_BUCKETS[-1] + 1), (COUNT_BUCKETS[-1] + 1, 6, 4)):
        said = backend.say(padded(batch, *sizes))
        assert len(said.probability) == sizes[0]
        torch.testing.assert_close(said.probability[:3], Eager(alone, CPU).say(batch).probability)
    assert not stand_in.ran
    backend.say(padded(batch, 3, NODE_BUCKETS[-1], BOND_BUCKETS[-1]))
    assert len(stand_in.ran) == 1


def test_eager_takes_the_place_of_wrong_numbers(alone: Ensemble, stand_in: StandIn, cache: Path) -> None:
    stand_in.wrong = "structure.pt2"
    chosen = choose_backend("tensorrt", alone, CPU)
    assert type(chosen.backend) is Eager
    assert (chosen.warning or "").startswith(
        "TensorRT cannot be used, so the networks run without a compiler: TensorRT does not say what the networks say: "
    )
    assert not list(cache.iterdir())


def test_eager_takes_the_place_of_a_compiler_that_fails(alone: Ensemble, stand_in: StandIn, cache: Path) -> None:
    stand_in.fails = RuntimeError("no engine for this\nnode")
    chosen = choose_backend("tensorrt", alone, CPU)
    assert type(chosen.backend) is Eager
    assert chosen.warning == "TensorRT cannot be used, so the networks run without a compiler: no engine for this"
    assert not list(cache.iterdir())


@pytest.mark.parametrize("bands", [False, True])
def test_engines_take_every_shape_of_a_batch(make_batch: Callable[..., CrystalBatch], bands: bool) -> None:
    batch = make_batch(["Pt", "TaAs"], bands=bands)
    found = tensorrt.spans(arguments(batch))
    assert len(found) == len(arguments(batch))
    for sizes in product(COUNT_BUCKETS[:3], (*NODE_BUCKETS[:3], NODE_BUCKETS[-1]), BOND_BUCKETS):
        for span, tensor in zip(found, arguments(padded(batch, *sizes)), strict=True):
            for least, usual, most, size in zip(*span, tensor.shape, strict=True):
                assert least <= size <= most
                assert least <= usual <= most
    # Sizes that are not free are those of the example, in all three shapes; the free ones are as far as the buckets.
    neighbours = tensorrt.Span(
        (COUNT_BUCKETS[0], NODE_BUCKETS[0], BOND_BUCKETS[0]),
        (256, 8, BOND_BUCKETS[-1]),
        (COUNT_BUCKETS[-1], NODE_BUCKETS[-1], BOND_BUCKETS[-1]),
    )
    assert found[2] == found[3] == found[4] == neighbours
    assert found[0] == found[1] == tensorrt.Span(*(shape[:2] for shape in neighbours))
    for span, tensor in zip(found[5:], arguments(batch)[5:], strict=True):
        assert span == tensorrt.Span(*((shape[0], *tensor.shape[1:]) for shape in neighbours))


def test_engines_take_every_number_of_pictures() -> None:
    (span,) = tensorrt.spans([torch.zeros(2, 1, SIDE, SIDE)])
    assert [shape[0] for shape in span] == [COUNT_BUCKETS[0], 256, COUNT_BUCKETS[-1]]
    assert {shape[1:] for shape in span} == {(1, SIDE, SIDE)}


def test_engines_take_no_more_than_the_exported_programs_do() -> None:
    assert COUNT_BUCKETS[-1] <= MAX_CRYSTALS
    assert NODE_BUCKETS[-1] <= MAX_NODES
    assert BOND_BUCKETS[-1] <= MAX_BONDS
    assert min(COUNT_BUCKETS[0], NODE_BUCKETS[0], BOND_BUCKETS[0]) >= 2


def test_the_arguments_with_nodes_and_bonds_come_first(make_batch: Callable[..., CrystalBatch]) -> None:
    batch = make_batch(["RhSi", "TaAs", "WTe2"])
    names = Members.forward.__code__.co_varnames[1:12]
    free = {name: tensor.shape[1:3] for name, tensor in zip(names, arguments(batch), strict=True)}
    n_nodes, n_bonds = batch.neighbours.shape[1:]
    assert {name for name in names[:5] if free[name][0] == n_nodes} == set(names[:5])
    assert {name for name in names[:5] if free[name][1:] == (n_bonds,)} == {"neighbours", "distance", "bond_weight"}
    assert names[5:] == ("descriptors", "prompt", "curves", "has_curves", "picture", "has_picture")


def test_settings_keep_attention_as_it_is_written(tmp_path: Path) -> None:
    found = tensorrt.settings(tmp_path)
    assert found["attn_bias_is_causal"] is False
    assert found["decompose_attention"] is True
    assert found["immutable_weights"] is False
    assert Path(found["engine_cache_dir"]).parent == tmp_path


def test_the_compiler_is_called_with_spans_and_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls: dict[str, Any] = {}

    def compile_engine(program: object, arg_inputs: list[dict[str, Any]], **settings: object) -> str:
        calls.update(program=program, inputs=arg_inputs, settings=settings)
        return "engine"

    def save(engine: str, path: str, arg_inputs: list[Tensor]) -> None:
        calls.update(saved=(engine, path, len(arg_inputs)))

    package = SimpleNamespace(Input=dict, dynamo=SimpleNamespace(compile=compile_engine), save=save)
    monkeypatch.setitem(sys.modules, "torch_tensorrt", package)
    example = (torch.zeros(2, 1, SIDE, SIDE),)
    program: Any = "program"
    tensorrt._compile(program, example, tmp_path / "encoder.pt2")
    (span,) = tensorrt.spans(example)
    assert calls["inputs"] == [
        {"min_shape": span.least, "opt_shape": span.usual, "max_shape": span.most, "dtype": torch.float32}
    ]
    assert calls["settings"] == tensorrt.settings(tmp_path)
    assert calls["saved"] == ("engine", str(tmp_path / "encoder.pt2"), 1)
