from __future__ import annotations

import math

from shc.models.benchmark_table import Difference, difference_rows
from shc.models.evaluation import Estimated


def test_differences_have_a_sign_and_a_star_where_zero_lies_inside_and_no_empty_interval() -> None:
    none = Estimated(0.25, math.nan, math.nan)
    rows = [
        Difference("ours", "rival", {"r2": Estimated(0.1, 0.05, 0.15), "mae": Estimated(-2.0, -5.0, 1.0)}),
        Difference("ours", "rival", {"r2": none, "mae": none}),
    ]
    assert difference_rows(rows) == [
        ("ours", "rival", "+0.100 (+0.050 to +0.150)", "-2.0 (-5.0 to +1.0) *"),
        ("ours", "rival", "+0.250", "+0.2"),
    ]
