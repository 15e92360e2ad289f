from __future__ import annotations

import pytest

from shc.featurize.formula import expand_groups, formula_counts


@pytest.mark.parametrize(
    ("formula", "expanded"),
    [
        ("Pt", "Pt"),
        ("PbC2(SN)2", "PbC2S2N2"),
        ("Ca(H(CO)2)2 Na", "CaH2C4O4 Na"),
        ("K(Mo0.5W)2", "KMo1W2"),
        ("(Fe)", "Fe1"),
        ("Na(x)2", "Na(x)2"),
    ],
)
def test_groups_are_multiplied_out(formula: str, expanded: str) -> None:
    assert formula_counts(expand_groups(formula)) == formula_counts(expanded)


def test_what_is_no_group_stays() -> None:
    assert expand_groups("Na(x)2") == "Na(x)2"
    assert formula_counts("Na(x)2") == {}
