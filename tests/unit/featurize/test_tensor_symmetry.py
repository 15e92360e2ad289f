from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from shc.featurize.prompt_table import cartesian_rotations, standard_operations
from shc.featurize.tensor_symmetry import (
    COMPONENT_TYPE,
    TYPES,
    allowed_basis,
    allowed_components,
    allowed_projector,
    component_expressions,
    component_name,
    component_relations,
    standard_laue_rotations,
    standard_projector,
    tensor_dimension,
    type_counts,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


def rotation(axis: tuple[float, float, float], order: int) -> NDArray[np.float64]:
    """Rodrigues' formula."""
    n = np.array(axis) / np.linalg.norm(axis)
    angle = 2.0 * np.pi / order
    cross = np.array([[0.0, -n[2], n[1]], [n[2], 0.0, -n[0]], [-n[1], n[0], 0.0]])
    matrix: NDArray[np.float64] = np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross
    return matrix


def generate(*generators: NDArray[np.float64]) -> NDArray[np.float64]:
    group = [np.eye(3)]
    for member in group:
        for generator in generators:
            new = generator @ member
            if not any(np.allclose(new, old) for old in group):
                group.append(new)
    return np.array(group)


X, Y, Z, D = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 1.0, 1.0)
INVERSION = -np.eye(3)
# Generators, order of the group and matrices sigma^x | sigma^y | sigma^z, row by row, of the published
# tables: equal letters are equal components, capitals are minus the small letter, a dot vanishes. Axes: 2/m
# with its axis along y, -3m with a twofold axis along x (-3m1) or y (-31m), else the main axis along z.
FORMS: dict[str, tuple[tuple[NDArray[np.float64], ...], int, int, str]] = {
    "-1": ((), 2, 27, "abcdefghi|jklmnopqr|stuvwxyz0"),
    "2/m": ((rotation(Y, 2),), 4, 13, ".a.b.c.d.|e.f.g.h.i|.j.k.l.m."),
    "mmm": ((rotation(X, 2), rotation(Z, 2)), 8, 6, ".....a.b.|..c...d..|.e.f....."),
    "4/m": ((rotation(Z, 4),), 8, 7, "..a..bcd.|..B..aDc.|ef.Fe...g"),
    "4/mmm": ((rotation(Z, 4), rotation(X, 2)), 16, 3, ".....a.b.|..A...B..|.c.C....."),
    "-3": ((rotation(Z, 3),), 6, 9, "abcbAdef.|bADABcFe.|gh.Hg...i"),
    "-3m1": ((rotation(Z, 3), rotation(X, 2)), 12, 4, "a...Ab.c.|.ABA..C..|.d.D....."),
    "-31m": ((rotation(Z, 3), rotation(Y, 2)), 12, 4, ".a.a.b.c.|a.B.A.C..|.d.D....."),
    "6/m": ((rotation(Z, 6),), 12, 7, "..a..bcd.|..B..aDc.|ef.Fe...g"),
    "6/mmm": ((rotation(Z, 6), rotation(X, 2)), 24, 3, ".....a.b.|..A...B..|.c.C....."),
    "m-3": ((rotation(X, 2), rotation(Z, 2), rotation(D, 3)), 24, 2, ".....a.b.|..b...a..|.a.b....."),
    "m-3m": ((rotation(Z, 4), rotation(D, 3)), 48, 1, ".....a.A.|..A...a..|.a.A....."),
}
names = pytest.mark.parametrize("name", FORMS)


def group_of(name: str) -> NDArray[np.float64]:
    return generate(*FORMS[name][0], INVERSION)


def published_span(form: str) -> NDArray[np.float64]:
    """Basis of the tensors that a published form describes: ``[d, 27]``, ``[i, j, k]`` in C order."""
    tensor = np.array([list(block) for block in form.split("|")]).reshape(3, 3, 3).transpose(1, 2, 0).reshape(27)
    letters = sorted({c.lower() for c in tensor if c != "."})
    return np.array(
        [[float(c == letter) - float(c != letter and c.lower() == letter) for c in tensor] for letter in letters]
    )


@names
def test_form_equals_the_published_table(name: str) -> None:
    _, order, dimension, form = FORMS[name]
    group = group_of(name)
    assert len(group) == order
    projector = allowed_projector(group)
    span = published_span(form)
    assert len(span) == dimension == tensor_dimension(projector)
    np.testing.assert_allclose(span @ projector, span, atol=1e-12)
    np.testing.assert_array_equal(allowed_components(projector), np.abs(span).sum(axis=0) > 0)


@names
def test_dimension_equals_the_character_formula(name: str) -> None:
    group = group_of(name)
    characters = [np.linalg.det(r) * np.trace(r) ** 3 for r in group]
    assert np.mean(characters) == pytest.approx(FORMS[name][2])


@names
def test_projected_tensors_are_invariant(name: str) -> None:
    group = group_of(name)
    tensor = (allowed_projector(group) @ np.random.default_rng(0).normal(size=27)).reshape(3, 3, 3)
    for r in group:
        image = np.linalg.det(r) * np.einsum("ia,jb,kc,abc->ijk", r, r, r, tensor)
        np.testing.assert_allclose(image, tensor, atol=1e-12)


@names
def test_only_the_laue_class_matters(name: str) -> None:
    group = group_of(name)
    proper = group[np.linalg.det(group) > 0]
    np.testing.assert_allclose(allowed_projector(group), allowed_projector(proper), atol=1e-12)


@names
def test_basis_and_expressions_rebuild_the_tensor(name: str) -> None:
    projector = allowed_projector(group_of(name))
    independent, basis = allowed_basis(projector)
    tensor = projector @ np.random.default_rng(1).normal(size=27)
    np.testing.assert_allclose(tensor[independent] @ basis, tensor, atol=1e-10)
    form = FORMS[name][3]
    pattern = np.array([list(b) for b in form.split("|")]).reshape(3, 3, 3).transpose(1, 2, 0).reshape(27)
    if name != "-1":
        written = ["." if e == "0" else e[-1].upper() if e[0] == "-" else e for e in component_expressions(projector)]
        assert written == pattern.tolist()


def test_cubic_metals_keep_one_number() -> None:
    assert component_relations(allowed_projector(group_of("m-3m"))) == [
        "a = yz^x = -zy^x = -xz^y = zx^y = xy^z = -yx^z"
    ]


def test_types_of_components() -> None:
    sizes = {"I": 6, "II": 6, "III": 6, "IV": 6, "longitudinal": 3}
    assert {name: int(np.equal(n, COMPONENT_TYPE).sum()) for n, name in enumerate(TYPES)} == sizes
    by_name = {component_name(c): TYPES[COMPONENT_TYPE[c]] for c in range(27)}
    expected = {"xy^z": "I", "xy^x": "II", "xx^y": "III", "xy^y": "IV", "xx^x": "longitudinal", "zx^z": "II"}
    assert {name: by_name[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("-1", [6, 6, 6, 6, 3]),
        ("2/m", [6, 2, 2, 2, 1]),
        ("mmm", [6, 0, 0, 0, 0]),
        ("4/m", [3, 1, 1, 1, 1]),
        ("-3m1", [3, 1, 1, 1, 1]),
        ("m-3m", [1, 0, 0, 0, 0]),
    ],
)
def test_type_counts(name: str, counts: list[int]) -> None:
    assert type_counts(allowed_projector(group_of(name))).tolist() == counts


def test_turned_frame_gives_linear_relations() -> None:
    turn = rotation((1.0, 2.0, 3.0), 7)
    group = group_of("mmm")
    projector = allowed_projector(turn @ group @ turn.T)
    assert tensor_dimension(projector) == 6
    expressions = component_expressions(projector)
    independent, basis = allowed_basis(projector)
    assert len(independent) == 6
    mixed = [e for e in expressions if len(e.lstrip("-")) > 1]
    assert mixed, expressions
    tensor = projector @ np.random.default_rng(2).normal(size=27)
    np.testing.assert_allclose(tensor[independent] @ basis, tensor, atol=1e-10)
    lines = component_relations(projector)
    assert len(lines) == 6 + len(mixed)


@pytest.mark.parametrize("number", range(1, 231))
def test_standard_projector_equals_that_of_the_operations_in_the_database(number: int) -> None:
    group = cartesian_rotations(np.unique(standard_operations(number)[1], axis=0), number)
    np.testing.assert_allclose(standard_projector(number), allowed_projector(group), atol=1e-12)
    proper = np.unique((np.linalg.det(group)[:, None, None] * group).round(9) + 0.0, axis=0)
    rotations = standard_laue_rotations(number)
    assert len(rotations) == len(proper)
    assert np.abs(rotations[:, None] - proper).max(axis=(2, 3)).min(axis=1).max() < 1e-8
    np.testing.assert_array_equal(rotations[0], np.eye(3))


def test_standard_projectors_are_shared_and_cannot_be_spoiled() -> None:
    assert standard_projector(225) is standard_projector(225)
    with pytest.raises(ValueError, match="read-only"):
        standard_projector(225)[0, 0] = 1.0
    with pytest.raises(ValueError, match="1 to 230"):
        standard_projector(231)


def test_matrices_that_are_no_group_are_refused() -> None:
    with pytest.raises(ValueError, match="orthogonal"):
        allowed_projector(2.0 * np.eye(3)[None])
    with pytest.raises(ValueError, match="group"):
        allowed_projector(np.array([np.eye(3), rotation(Z, 4)]))
