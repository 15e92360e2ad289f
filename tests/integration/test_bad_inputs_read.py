"""Every kind of broken structure file gives one clear error, quickly and without a word on the terminal."""

from __future__ import annotations

import re
import runpy
import time
from pathlib import Path

import pytest

from shc.featurize.config import FeaturizeConfig
from shc.featurize.errors import Failure, ShcError
from shc.featurize.structures import iter_paths, read_crystal

BAD_FILES = runpy.run_path(str(Path(__file__).parents[1] / "data" / "bad_files.py"))


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    folder = tmp_path_factory.mktemp("bad")
    return folder, BAD_FILES["write_bad_inputs"](folder)


def _names() -> list[str]:
    special = ["folder.cif", "dangling.cif", "loop.cif", "pipe.cif", "huge.cif", "bomb.cif.gz"]
    return [*BAD_FILES["_texts"](), *special]


def test_the_list_is_long_and_complete(bad: tuple[Path, dict[str, str]]) -> None:
    assert len(bad[1]) >= 28
    assert set(_names()) == set(bad[1])


@pytest.mark.parametrize("name", _names())
def test_refused(name: str, bad: tuple[Path, dict[str, str]], capfd: pytest.CaptureFixture[str]) -> None:
    folder, expected = bad
    with pytest.raises(ShcError) as caught:
        read_crystal(folder / name, FeaturizeConfig())
    error = caught.value
    assert re.search(expected[name], error.message)
    assert error.message.startswith(f"{name}: ")
    assert error.hint
    assert "\n" not in error.message + error.hint
    assert len(error.message) < 250
    assert capfd.readouterr() == ("", "")


def test_all_together_take_seconds(bad: tuple[Path, dict[str, str]]) -> None:
    start = time.process_time()
    for name in bad[1]:
        with pytest.raises(ShcError):
            read_crystal(bad[0] / name, FeaturizeConfig())
    assert time.process_time() - start < 20


def test_a_folder_of_them_is_walked_to_the_end(bad: tuple[Path, dict[str, str]]) -> None:
    found = list(iter_paths([str(bad[0])]))
    assert not [item for item in found if isinstance(item, Failure)]
    assert {item.name for item in found if isinstance(item, Path)} == set(bad[1]) - {"notes.pdf"}


@pytest.mark.parametrize("kind", ["GOOD", "POSCAR", "EXTXYZ"])
def test_every_cut_reads_as_the_whole_or_is_refused(kind: str, tmp_path: Path) -> None:
    # The formula, the count line or the syntax must give every cut away that loses an atom.
    text = BAD_FILES[kind]
    path = tmp_path / {"GOOD": "a.cif", "POSCAR": "a.vasp", "EXTXYZ": "a.xyz"}[kind]
    for length in (*range(0, len(text) - 40, 11), *range(len(text) - 40, len(text))):
        path.write_text(text[:length])
        try:
            crystal = read_crystal(path, FeaturizeConfig())
        except ShcError:
            continue
        assert len(crystal.frac) in {2, 8}
        assert length > 0.9 * len(text)


@pytest.mark.parametrize("seed", range(60))
def test_random_damage_never_raises_anything_else(seed: int, tmp_path: Path) -> None:
    import random

    rng = random.Random(seed)  # noqa: S311 - reproducible damage, no secret
    for kind, name in (("GOOD", "a.cif"), ("POSCAR", "a.vasp"), ("EXTXYZ", "a.xyz")):
        data = bytearray(BAD_FILES[kind].encode())
        for _ in range(rng.randint(1, 6)):
            where = rng.randrange(len(data))
            action = rng.randrange(3)
            if action == 0:
                data[where] = rng.randrange(1, 256)
            elif action == 1:
                del data[where : where + rng.randint(1, 12)]
            else:
                data[where:where] = rng.choice([b"'", b"\n", b";", b" ", b"loop_\n", b"-", b"nan", b"9" * 30])
            data = data or bytearray(b"x")
        (tmp_path / name).write_bytes(bytes(data))
        try:
            crystal = read_crystal(tmp_path / name, FeaturizeConfig())
        except ShcError:
            continue
        assert len(crystal.frac) == len(crystal.atomic_number) > 0
