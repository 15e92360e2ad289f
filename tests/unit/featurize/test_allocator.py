"""The allocator keeps what is freed."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from shc.featurize import allocator

_PAGES_OF_REUSED_ARRAYS = """
import resource
import numpy as np
from shc.featurize.allocator import keep_freed_memory
if {keep}:
    assert keep_freed_memory()
faults = []
for _ in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    arrays = [np.ones(3 << 20, np.uint8) for _ in range(8)]
    del arrays
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(faults[-1])
"""


@pytest.mark.skipif(not allocator.keep_freed_memory(), reason="the C library has no mallopt")
def test_freed_arrays_are_not_mapped_again() -> None:
    pages = 8 * (3 << 20) // resource.getpagesize()
    found = [
        int(subprocess.check_output([sys.executable, "-c", _PAGES_OF_REUSED_ARRAYS.format(keep=keep)]))
        for keep in (False, True)
    ]
    assert found[0] > pages // 2
    assert found[1] < pages // 20


def test_a_c_library_without_the_setting_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    assert not allocator.keep_freed_memory.__wrapped__()
