from __future__ import annotations

import io

from shc.cli.plain_table import print_table, size


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_text_is_aligned_without_a_terminal() -> None:
    stream = io.StringIO()
    print_table("rows", ("a", "b"), [("long name", "1"), ("x", "")], stream)
    assert stream.getvalue() == "rows\n  a          b\n  long name  1\n  x\n"
    stream = io.StringIO()
    print_table("rows", (), [("x", "1")], stream)
    assert stream.getvalue() == "rows\n  x  1\n"


def test_a_terminal_gets_a_table_and_no_markup() -> None:
    stream = Terminal()
    print_table("rows [red]", ("head", "b"), [("[bold]x", "1")], stream)
    assert "[bold]x" in stream.getvalue()
    assert "rows [red]" in stream.getvalue()
    assert "head" in stream.getvalue()
    assert "│" in stream.getvalue()


def test_sizes_are_read_easily() -> None:
    assert [size(n) for n in (0, 999, 1200, 2_400_000, 25_300_000_000)] == ["0 B", "999 B", "1 kB", "2 MB", "25.3 GB"]
