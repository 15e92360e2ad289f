from __future__ import annotations

import numpy as np
import pytest

from shc.models.domain import Domain, farthest_points, fit_domain


def cloud(n: int, seed: int, centre: float = 0.0) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.random.default_rng(seed).normal(centre, 1.0, (n, 8)).astype(np.float32)


def test_distance_is_that_to_the_nearest_landmark() -> None:
    points, landmarks = cloud(3000, 0), cloud(37, 1).astype(np.float16)
    domain = Domain(landmarks, 1.0, np.ones(104, np.bool_))
    expected = np.linalg.norm(points[:, None] - landmarks[None].astype(np.float64), axis=2).min(axis=1)
    np.testing.assert_allclose(domain.distance(points), expected, atol=1e-6)


def test_held_out_rows_are_inside_and_far_ones_outside() -> None:
    domain = fit_domain(cloud(2000, 0), cloud(500, 1), np.array([29]), n_landmarks=256)
    assert domain.landmarks.shape == (256, 8)
    assert domain.resembles(cloud(500, 1)).mean() == pytest.approx(0.99, abs=0.003)
    assert domain.resembles(cloud(2000, 2)).mean() == pytest.approx(0.985, abs=0.015)
    assert not domain.resembles(cloud(50, 3, centre=6.0)).any()


def test_few_training_rows_are_all_landmarks_once() -> None:
    rows = np.repeat(cloud(5, 0), 3, axis=0)
    domain = fit_domain(rows, np.empty((0, 8), np.float32), np.array([1]))
    assert len(domain.landmarks) == 5
    assert domain.resembles(rows.astype(np.float16)).all()


def test_no_training_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        fit_domain(np.empty((0, 8)), cloud(3, 0), np.array([1]))


def test_farthest_points_cover_a_line_evenly() -> None:
    line = np.linspace(0.0, 8.0, 81, dtype=np.float32)[:, None]
    chosen = farthest_points(line, 5)
    assert line[chosen[0], 0] == pytest.approx(4.0)
    assert sorted(np.round(line[chosen, 0]).tolist()) == [0.0, 2.0, 4.0, 6.0, 8.0]


def test_unseen_elements() -> None:
    domain = fit_domain(cloud(10, 0), cloud(5, 1), np.array([[29, 8], [8, 22]]))
    assert domain.unseen(np.array([8, 8, 29], np.uint8)) == []
    assert domain.unseen(np.array([92, 8, 1, 1], np.uint8)) == [1, 92]


def test_it_survives_storage() -> None:
    domain = fit_domain(cloud(10, 0), cloud(5, 1), np.array([29, 8]))
    again = Domain.from_tensors(domain.to_tensors())
    np.testing.assert_array_equal(again.landmarks, domain.landmarks)
    np.testing.assert_array_equal(again.seen, domain.seen)
    assert again.threshold == domain.threshold
    tensors = domain.to_tensors()
    with pytest.raises(ValueError, match="entries"):
        Domain.from_tensors({**tensors, "seen": tensors["seen"][:50]})
