"""``benchmarks/end_to_end.py`` runs, also where the pipeline starts a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "end_to_end.py"
CIF = """data_CsCl
_cell_length_a 4.12
_cell_length_b 4.12
_cell_length_c 4.12
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
loop_
_symmetry_equiv_pos_as_xyz
'x, y, z'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Cs Cs 0 0 0 1
Cl Cl 0.5 0.5 0.5 1
"""


def test_the_benchmark_of_all_steps_runs(tmp_path: Path) -> None:
    for number in range(221):
        (tmp_path / f"{number}.cif").write_text(CIF)
    options = ["--cifs", str(tmp_path), "--sizes", "3,201", "--backends", "eager,none", "--peers", "cgcnn"]
    done = subprocess.run([sys.executable, str(SCRIPT), *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")]
    table = [dict(zip(lines[0], cells, strict=False)) for cells in lines[1:]]
    assert [(line["crystals"], line["program"]) for line in table] == [
        (n, program) for n in ("3", "201") for program in ("shc eager", "shc none", "cgcnn")
    ]
    assert table[1]["CGCNN / this"].startswith("not run: ")
    assert table[2]["CGCNN / this"] == "1.0"
    assert float(table[0]["crystals/s"]) > 0
    in_process, in_pool = (line["MB worker"].strip() for line in (table[0], table[3]))
    assert in_process == ""
    assert float(in_pool) > 0
    assert table[3]["failures"] == "0"
