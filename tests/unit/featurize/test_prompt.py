from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from shc.featurize.prompt import (
    LAUE_CLASSES,
    MOST_OPERATIONS,
    OPERATION_KINDS,
    POINT_GROUP_LAUE_CLASS,
    PROMPT_FIELDS,
    PROMPT_SIZE,
    PROMPT_VERSION,
    SpaceGroupFacts,
    _table,
    space_group_facts,
    symmetry_prompt,
)
from shc.featurize.prompt_table import build_prompt_table
from shc.featurize.tensor_symmetry import COMPONENT_TYPE

ALL = range(1, 231)


def field(number: int, name: str) -> list[float]:
    return [float(value) for value in symmetry_prompt(number)[dict(PROMPT_FIELDS)[name]]]


def facts() -> list[SpaceGroupFacts]:
    return [space_group_facts(n) for n in ALL]


def test_shipped_table_equals_the_built_one() -> None:
    built = build_prompt_table()
    shipped = _table()
    assert shipped["version"] == built["version"] == PROMPT_VERSION
    assert shipped["space_groups"] == built["space_groups"]
    assert shipped["tensor_forms"].keys() == built["tensor_forms"].keys()
    for name, form in built["tensor_forms"].items():
        assert shipped["tensor_forms"][name]["dimension"] == form["dimension"]
        assert shipped["tensor_forms"][name]["types"] == form["types"]
        np.testing.assert_allclose(shipped["tensor_forms"][name]["diagonal"], form["diagonal"], atol=1e-9)


def test_fields_tile_the_vector() -> None:
    assert PROMPT_FIELDS[0][1].start == 0
    assert all(a[1].stop == b[1].start for a, b in pairwise(PROMPT_FIELDS))
    assert PROMPT_FIELDS[-1][1].stop == PROMPT_SIZE == 138
    prompts = np.stack([symmetry_prompt(n) for n in ALL])
    assert prompts.shape == (230, PROMPT_SIZE)
    assert prompts.dtype == np.float32
    assert prompts.min() >= 0.0
    assert prompts.max() <= 1.0
    for name in ("crystal_system", "point_group", "laue_class", "centring"):
        block = prompts[:, dict(PROMPT_FIELDS)[name]]
        assert (block.sum(axis=1) == 1.0).all()
        assert (block.sum(axis=0) > 0.0).all(), name
    assert len(np.unique(prompts, axis=0)) == 230


def test_counts_known_from_the_international_tables() -> None:
    assert sum(f.symmorphic for f in facts()) == 73
    assert sum(f.sohncke for f in facts()) == 65
    assert sum(f.enantiomorphic for f in facts()) == 22
    assert sum(f.polar for f in facts()) == 68
    assert sum(f.centrosymmetric for f in facts()) == 92
    assert len({f.point_group for f in facts()}) == len(POINT_GROUP_LAUE_CLASS) == 32
    assert {f.laue_class for f in facts()} == set(LAUE_CLASSES)
    assert [max(f.operations[k] for f in facts()) for k in range(len(OPERATION_KINDS))] == list(MOST_OPERATIONS)
    pairs = {
        76,
        78,
        91,
        95,
        92,
        96,
        144,
        145,
        151,
        153,
        152,
        154,
        169,
        170,
        171,
        172,
        178,
        179,
        180,
        181,
        212,
        213,
    }
    assert {f.number for f in facts() if f.enantiomorphic} == pairs


@pytest.mark.parametrize(
    ("number", "symbol", "screws", "glides"),
    [
        (4, "P2_1", (1, 0, 0, 0), 0),
        (5, "C2", (0, 0, 0, 0), 0),  # its 2_1 axes come with the centring: twofold axes exist as well
        (14, "P2_1/c", (1, 0, 0, 0), 1),
        (19, "P2_12_12_1", (3, 0, 0, 0), 0),
        (24, "I2_12_12_1", (0, 0, 0, 0), 0),  # not symmorphic, yet every axis has a twofold representative
        (88, "I4_1/a", (0, 0, 2, 0), 1),
        (166, "R-3m", (0, 0, 0, 0), 0),
        (194, "P6_3/mmc", (1, 0, 0, 2), 3),
        (223, "Pm-3n", (0, 0, 6, 0), 6),
        (227, "Fd-3m", (0, 0, 6, 0), 3),
    ],
)
def test_screws_and_glides(number: int, symbol: str, screws: tuple[int, ...], glides: int) -> None:
    known = space_group_facts(number)
    assert (known.symbol, known.screws, known.glides) == (symbol, screws, glides)


def test_fm3m_prompt() -> None:
    assert field(225, "operation_counts") == [1, 1, 1, 1, 1, 1, 0, 1, 1, 0]
    assert field(225, "point_group_order") == [1.0]
    assert field(225, "tensor_dimension") == pytest.approx([1 / 27])
    assert field(225, "tensor_types") == pytest.approx([1 / 6, 0, 0, 0, 0])
    assert field(225, "tensor_allowed") == [float(kind == 0) for kind in COMPONENT_TYPE]
    assert field(225, "tensor_diagonal") == pytest.approx([float(kind == 0) / 6 for kind in COMPONENT_TYPE])
    flags = [field(225, n)[0] for n in ("symmorphic", "polar", "sohncke", "enantiomorphic", "centrosymmetric")]
    assert flags == [1.0, 0.0, 0.0, 0.0, 1.0]


def test_the_two_settings_of_3m_differ_in_form() -> None:
    assert space_group_facts(164).tensor_form == "-3m1"
    assert space_group_facts(162).tensor_form == "-31m"
    assert space_group_facts(166).tensor_form == "-3m1"
    assert field(164, "tensor_allowed") != field(162, "tensor_allowed")


def test_prompt_cannot_be_changed_by_accident() -> None:
    with pytest.raises(ValueError, match="read-only"):
        symmetry_prompt(1)[0] = 2.0


@pytest.mark.parametrize("number", [0, 231, -1])
def test_numbers_outside_are_refused(number: int) -> None:
    with pytest.raises(ValueError, match="1 to 230"):
        symmetry_prompt(number)
