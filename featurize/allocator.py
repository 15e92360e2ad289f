"""The C library's allocator, set for arrays of some megabytes that come and go."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Final

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
"""Numbers of the parameters in glibc's ``malloc.h``."""
_KEPT: Final = 64 * 1024 * 1024
"""Free bytes that the process keeps at most."""
_LARGEST: Final = 32 * 1024 * 1024
"""Larger blocks go back to the system one by one; the most that glibc accepts."""


@cache
def keep_freed_memory() -> bool:
    """Let this process keep some freed memory for the next array instead of giving it back to the system.

    A page that is given back has to be zeroed and mapped again at its next use, which takes as long as many a loop over
    its pixels. Only glibc knows the settings (mallopt(3)); elsewhere nothing is changed.

    Returns:
        Whether the settings were accepted.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return all([mallopt(_TRIM_THRESHOLD, _KEPT), mallopt(_MMAP_THRESHOLD, _LARGEST)])
