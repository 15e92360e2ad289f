"""`shc featurize` runs on Python, Numba and C/C++ extensions: no extension written in Rust is loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# The standard library of Rust reads this variable when it panics, so its name is in every such extension.
RUST_MARK = b"RUST_BACKTRACE"
KNOWN = {"moyopy", "orjson", "polars", "pydantic_core", "rpds", "safetensors", "tokenizers"}

CIF = """\
data_NaCl
_cell_length_a 5.64
_cell_length_b 5.64
_cell_length_c 5.64
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'F m -3 m'
_symmetry_Int_Tables_number 225
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Na1 Na 0 0 0 1
Cl1 Cl 0.5 0.5 0.5 1
"""

# The command starts worker processes; the same batch again in this process shows what they load.
RUN = """
import sys
from pathlib import Path
from shc.cli.main import main
try:
    main(["featurize", sys.argv[1], "-o", sys.argv[2], "--quiet"])
except SystemExit as stop:
    assert stop.code in (None, 0), stop.code
from shc.featurize.config import FeaturizeConfig
from shc.featurize.batch import featurize_batch
records, failures = featurize_batch([Path(sys.argv[1])], FeaturizeConfig())
assert len(records) == 1 and not failures, failures
for module in list(sys.modules.values()):
    print(module.__name__, getattr(module, "__file__", None) or "", sep="\\t")
"""


def test_featurize_loads_no_rust_extension(tmp_path: Path) -> None:
    cif = tmp_path / "NaCl.cif"
    cif.write_text(CIF, encoding="utf-8")
    script = tmp_path / "run.py"
    script.write_text(f"if __name__ == '__main__':\n{_indent(RUN)}", encoding="utf-8")
    command = [sys.executable, str(script), str(cif), str(tmp_path / "features.h5")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    modules = dict(line.split("\t") for line in result.stdout.splitlines() if "\t" in line)
    assert "shc.featurize.pipeline" in modules
    assert "numba" in modules
    assert KNOWN & {name.partition(".")[0] for name in modules} == set()
    extensions = {file for file in modules.values() if Path(file).suffix in {".so", ".pyd"}}
    assert extensions
    assert [file for file in sorted(extensions) if RUST_MARK in Path(file).read_bytes()] == []


def test_a_rust_extension_would_be_noticed() -> None:
    code = "import rpds.rpds; print(rpds.rpds.__file__)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert RUST_MARK in Path(result.stdout.strip()).read_bytes()


def _indent(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.strip().splitlines())
