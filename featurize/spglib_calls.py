"""How spglib is called: without the warning that its versions 2.7 and 2.8 give on every call."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def quiet_spglib() -> Iterator[None]:
    """Silence spglib's notice that a failed call will raise ``SpglibError`` instead of returning None.

    Callers deal with both ways of failing. The switch of the notice is a global setting of spglib that other
    libraries rely on, so it stays as it is.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Set OLD_ERROR_HANDLING", category=DeprecationWarning)
        yield
