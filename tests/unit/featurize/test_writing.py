from __future__ import annotations

import pickle
from contextlib import suppress
from pathlib import Path

import pytest

from shc.featurize.errors import ExitCode, Failure, ShcError, counted, nothing_usable
from shc.featurize.failure_log import FailureLog
from shc.featurize.writing import whole_file, writing


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("old")
    with whole_file(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    with suppress(KeyboardInterrupt), whole_file(path) as temporary:
        temporary.write_text("torn")
        raise KeyboardInterrupt
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_errors_name_the_place_also_after_a_trip_to_another_process(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(ShcError) as caught, writing(missing):
        missing.rmdir()
    for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):  # noqa: S301  our own
        assert error.message == f"{missing}: No such file or directory"
        assert error.exit_code == ExitCode.USAGE
        assert "free space" in error.hint


def test_the_log_remembers_why_there_were_no_bands(tmp_path: Path) -> None:
    path = tmp_path / "f.failures.csv"
    bands, read = Failure("a.cif", "bands", "no, not this", "x"), Failure("b.cif", "read", "empty", "")
    for content in (None, "", "not,a,list\n1,2,3\n", "path,stage,error,hint\na.cif,bands"):
        if content is not None:
            path.write_text(content)
        with FailureLog(path) as log:
            assert log.first is None
            assert log.why_no_bands(Path("a.cif")) == ("a.cif", "bands", "no bands", "--overwrite tries again")
            log.write([bands, read])
        assert log.first == bands
    with FailureLog(path) as log:
        assert log.why_no_bands(Path("a.cif")) == bands
        assert log.why_no_bands(Path("b.cif")).error == "no bands"


def test_messages_count_and_explain() -> None:
    assert [counted(n, "crystal") for n in (0, 1, 2)] == ["0 crystals", "1 crystal", "2 crystals"]
    listing, failure = Path("f.csv"), Failure("x/a.cif", "bands", "too heavy", "")
    alone = nothing_usable(1, failure, listing)
    assert (alone.message, alone.hint) == ("x/a.cif: too heavy", "see f.csv")
    named = nothing_usable(1, failure._replace(error="a.cif: empty", hint="fill it"), listing)
    assert (named.message, named.hint) == ("a.cif: empty", "fill it; see f.csv")
    assert nothing_usable(2, failure, listing).message == "none of the 2 inputs could be used"
    assert nothing_usable(0, None, listing).message == "no structure file was found"
