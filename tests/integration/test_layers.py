"""The one direction of imports: cli -> models -> featurize -> kernels, and what each layer may use."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]


class Layer(NamedTuple):
    folder: str
    uses: frozenset[str]
    """Layers below, which it may import."""
    packages: frozenset[str]
    """Third-party packages it may import."""


_CLI = frozenset({"rich", "typer", "yaml"})
_KERNELS = frozenset({"numpy", "numba"})
_FEATURIZE = _KERNELS | {
    "PIL",
    "gemmi",
    "h5py",
    "matplotlib",
    "pymatgen",
    "scipy",
    "seekpath",
    "spglib",
    "threadpoolctl",
}
_MODELS = _FEATURIZE | {"matminer", "openvino", "safetensors", "sklearn", "torch", "torch_geometric", "torch_tensorrt"}
LAYERS = {
    "kernels": Layer("kernels", frozenset(), _KERNELS),
    "featurize": Layer("featurize", frozenset({"kernels"}), _FEATURIZE),
    "models": Layer("models", frozenset({"featurize", "kernels"}), _MODELS),
    "cli": Layer("shc_cli", frozenset({"models", "featurize", "kernels"}), _CLI),
}


def imported(source: str) -> list[str]:
    """Full names of everything a module imports, wherever the import stands."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            names += [f"{base}.{alias.name}" for alias in node.names]
    return names


def faults(layer_name: str, module: str, source: str) -> list[str]:
    """What a module imports against the rules, as readable lines."""
    layer, found = LAYERS[layer_name], []
    for name in imported(source):
        top, _, rest = name.partition(".")
        if top == "":
            found.append(f"{module}: relative import {name}")
        elif top == "shc":
            other = rest.partition(".")[0]
            if other != layer_name and other not in layer.uses:
                found.append(f"{module}: {layer_name} imports {name}")
            if module.startswith("shc.cli.commands.") and name.startswith("shc.cli.commands."):
                found.append(f"{module}: a verb imports a verb, {name}")
        elif top not in sys.stdlib_module_names and top not in layer.packages:
            found.append(f"{module}: {layer_name} may not use {name}")
    return found


@pytest.mark.parametrize("name", LAYERS)
def test_imports_point_down_only(name: str) -> None:
    folder = ROOT / LAYERS[name].folder
    files = sorted(folder.rglob("*.py"))
    assert files
    found = []
    for file in files:
        module = ".".join(("shc", name, *file.relative_to(folder).with_suffix("").parts))
        found += faults(name, module, file.read_text(encoding="utf-8"))
    assert found == []


@pytest.mark.parametrize(
    ("layer", "module", "source"),
    [
        ("kernels", "shc.kernels.a", "import scipy.spatial"),
        ("kernels", "shc.kernels.a", "from shc.featurize.errors import ShcError"),
        ("featurize", "shc.featurize.a", "def f():\n    import torch"),
        ("featurize", "shc.featurize.a", "from shc import models"),
        ("models", "shc.models.a", "import shc.cli.console"),
        ("models", "shc.models.a", "from kernels import neighbours"),
        ("models", "shc.models.a", "from .b import c"),
        ("cli", "shc.cli.a", "import click"),
        ("cli", "shc.cli.a", "import numpy as np"),
        ("cli", "shc.cli.commands.a", "from shc.cli.commands.b import c"),
        ("cli", "shc.cli.commands.a", "from shc.cli.commands import b"),
    ],
)
def test_a_wrong_import_is_found(layer: str, module: str, source: str) -> None:
    assert len(faults(layer, module, source)) == 1


def test_right_imports_pass() -> None:
    assert faults("cli", "shc.cli.commands.a", "import typer, json\nfrom shc.models.b import c") == []
    assert faults("featurize", "shc.featurize.a", "import h5py\nfrom shc.kernels import neighbours") == []
