from __future__ import annotations

import numpy as np
import pytest

from shc.featurize.electronic.atom import spin_orbit_constants
from shc.featurize.elements import element_column


@pytest.mark.parametrize("z", [6, 14, 22, 31, 42, 52, 57, 74, 78, 79, 83, 88])
def test_tabulated_spin_orbit_constants_are_those_of_the_built_in_atom(z: int) -> None:
    table = [element_column("soc_p")[z], element_column("soc_d")[z]]
    np.testing.assert_allclose(spin_orbit_constants(z), table, rtol=0.02, atol=1e-4)
