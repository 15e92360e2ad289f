"""Plain NumPy twins of the electronic-structure kernels: slow, short, and the same rules.

Arguments, units and shapes are those of the kernel of the same name in ``radial``, ``slater_koster`` and ``kubo``.
"""

from __future__ import annotations

from math import erfc
from typing import TYPE_CHECKING

import numpy as np

from shc.kernels.slater_koster import SHELLS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Complex = NDArray[np.complex128]
    Bools = NDArray[np.bool_]


def half_mesh(r: Floats, v: Floats) -> Floats:
    """Cubic interpolation of ``r V`` half-way between points, linear in the first and last interval."""
    f = r * v
    out = 0.5 * (f[1:] + f[:-1])
    out[1:-1] = (9.0 * (f[1:-2] + f[2:-1]) - f[:-3] - f[3:]) / 16.0
    return np.asarray(out / np.sqrt(r[1:] * r[:-1]))


def _outward(r: Floats, h: float, v: Floats, energy: float, charge: float, l: int, c: float) -> tuple[int, Floats]:  # noqa: E741
    """Runge-Kutta from the nucleus to the end of the mesh: number of nodes and ``P``, zero once it diverges."""
    v_half, middle = half_mesh(r, v), np.sqrt(r[1:] * r[:-1])
    s = np.sqrt(l * (l + 1) + 1.0 - (charge / c) ** 2)

    def rates(at: Floats, potential: Floats) -> Floats:
        mass = 1.0 + (energy - potential) / (2.0 * c * c)
        centrifugal = l * (l + 1) / (2.0 * mass * c * at) + at * (potential - energy) / c
        one = np.ones_like(at)
        return np.moveaxis(np.array([[one, 2.0 * at * mass * c], [centrifugal, -one]]), -1, 0)

    a, b, d = rates(r[:-1], v[:-1]), rates(middle, v_half), rates(r[1:], v[1:])
    # One step of Runge-Kutta for a linear equation is a matrix.
    one = np.eye(2)
    k2 = b @ (one + 0.5 * h * a)
    k3 = b @ (one + 0.5 * h * k2)
    step = one + h / 6.0 * (a + 2.0 * k2 + 2.0 * k3 + d @ (one + h * k3))
    mass = 1.0 + (energy - v[2]) / (2.0 * c * c)
    p, q = (r[:3] / r[0]) ** s, 0.0
    q = (s - 1.0) * p[2] / (2.0 * mass * c * r[2])
    y, path, nodes = np.array([p[2], q]), [*p], 0
    for matrix in step[2:]:
        y = matrix @ y
        nodes += int(y[0] * path[-1] < 0.0)
        if abs(y[0]) > 1e100:
            break
        path.append(y[0])
    out = np.zeros_like(r)
    out[: len(path)] = path
    return nodes, out


def bound_state(
    r: Floats,
    h: float,
    v: Floats,
    charge: float,
    n: int,
    l: int,  # noqa: E741
    lowest: float,
    highest: float,
    c: float,
) -> tuple[float, Floats]:
    """Bisection on the number of nodes of the outward solution alone; needs no guess."""
    while highest - lowest > 1e-13 * max(abs(lowest), 1.0):
        energy = 0.5 * (lowest + highest)
        if _outward(r, h, v, energy, charge, l, c)[0] > n - l - 1:
            highest = energy
        else:
            lowest = energy
        if energy in (lowest, highest) and np.nextafter(lowest, highest) >= highest:
            break
    p = _outward(r, h, v, lowest, charge, l, c)[1]
    # Behind the outermost maximum the solution decays until rounding makes it grow: cut it there.
    outer = np.flatnonzero(v + (l + 0.5) ** 2 / (2.0 * r * r) < lowest)[-1]
    p[outer + int(np.argmin(np.abs(np.where(p[outer:] == 0.0, np.inf, p[outer:])))) :] = 0.0
    return lowest, p / np.sqrt(np.sum(p * p * r) * h)


def hartree_potential(r: Floats, h: float, radial: Floats) -> Floats:
    """Trapezoidal ``q(r) / r`` and the integral from r outwards."""
    inside, outside = radial * r * h, radial * h
    within = np.cumsum(inside) - 0.5 * inside
    without = np.cumsum(outside[::-1])[::-1] - 0.5 * outside
    return np.asarray(within / r + without)


def exchange_correlation_energy(density: Floats) -> Floats:
    """Energy per electron of Dirac exchange and Perdew-Wang 1992 correlation."""
    rs = np.cbrt(3.0 / (4.0 * np.pi * density))
    series = sum(b * rs ** (0.5 * i) for i, b in enumerate((7.5957, 3.5876, 1.6382, 0.49294), start=1))
    correlation = -0.062182 * (1.0 + 0.21370 * rs) * np.log1p(1.0 / (0.062182 * series))
    return np.asarray(-0.75 * np.cbrt(3.0 * density / np.pi) + correlation)


def lda_potential(density: Floats) -> Floats:
    """Derivative of ``n e_xc(n)`` by central differences; 0 below ``1e-14``."""
    up, down = density * (1.0 + 1e-4), density * (1.0 - 1e-4)
    slope = up * exchange_correlation_energy(up) - down * exchange_correlation_energy(down)
    return np.asarray(np.where(density < 1e-14, 0.0, slope / (up - down)))


def _at(table: Floats, x0: float, h: float, r: Floats) -> Floats:
    """Cubic Lagrange interpolation of every row, zero beyond the mesh."""
    x = (np.log(r) - x0) / h
    i = np.maximum(x.astype(int), 1)
    kept = i <= table.shape[1] - 3
    i = np.where(kept, i, 1)
    out = np.zeros((len(table), *r.shape))
    for t in range(-1, 3):
        basis = np.prod([(x - i - o) / (t - o) for o in range(-1, 3) if o != t], axis=0)
        out += basis * table[:, i + t]
    return np.asarray(out * kept)


def _legendre(cosine: Floats) -> dict[tuple[int, int], Floats]:
    sine = np.sqrt(np.maximum(1.0 - cosine**2, 0.0))
    return {
        (0, 0): np.full_like(cosine, np.sqrt(1 / 2)),
        (1, 0): np.sqrt(3 / 2) * cosine,
        (1, 1): np.sqrt(3 / 4) * sine,
        (2, 0): np.sqrt(5 / 8) * (3.0 * cosine**2 - 1.0),
        (2, 1): np.sqrt(15 / 4) * sine * cosine,
        (2, 2): np.sqrt(15 / 16) * sine**2,
    }


def two_centre_integrals(
    table_a: Floats,
    table_b: Floats,
    x0_a: float,
    x0_b: float,
    h: float,
    distance: Floats,
    radius: Floats,
    radius_weight: Floats,
    cosine: Floats,
    cosine_weight: Floats,
) -> tuple[Floats, Floats]:
    """Becke quadrature, whole grids at a time."""
    h_out, s_out = np.zeros((len(distance), 14)), np.zeros((len(distance), 14))
    near = radius <= 24.0
    r, c = np.meshgrid(radius[near], cosine, indexing="ij")
    weight = np.outer(radius_weight[near], cosine_weight)
    for q, bond in enumerate(distance):
        for side in (1.0, -1.0):
            other = np.sqrt(np.maximum(r * r + bond * bond - side * 2.0 * r * c * bond, 1e-14))
            r_a, r_b = (r, other) if side > 0 else (other, r)
            across = (r * c - side * bond) / other
            cos_a, cos_b = (c, across) if side > 0 else (across, c)
            fuzzy = side * (r_a - r_b) / bond
            for _ in range(3):
                fuzzy = 1.5 * fuzzy - 0.5 * fuzzy**3
            w = weight * 0.5 * (1.0 - fuzzy)
            a, b = _at(table_a, x0_a, h, r_a), _at(table_b, x0_b, h, r_b)
            potential = a[6] + b[6] + lda_potential(np.maximum(a[7] + b[7], 1e-15))
            polar_a, polar_b = _legendre(cos_a), _legendre(cos_b)
            for t, (la, lb, m) in enumerate(SHELLS):
                product = w * a[la] * b[lb] * polar_a[la, m] * polar_b[lb, m]
                s_out[q, t] += product.sum()
                h_out[q, t] += (product * (potential + 0.5 * (a[3 + la] + b[3 + lb]))).sum()
    return h_out, s_out


def real_harmonics(directions: Floats) -> Floats:
    """``[n, 9]`` orbitals s | z x y | z2 xz yz x2-y2 xy at unit vectors, each with the mean square 1."""
    x, y, z = directions.T
    d = [(3 * z * z - 1) / np.sqrt(12), x * z, y * z, (x * x - y * y) / 2, x * y]
    return np.stack([np.ones_like(x), *(np.sqrt(3) * p for p in (z, x, y)), *(np.sqrt(15) * f for f in d)], axis=1)


def bond_blocks(frames: Floats, h_values: Floats, s_values: Floats) -> tuple[Floats, Floats]:
    """Blocks of bonds along the third column of rotations ``frames [n, 3, 3]``, turned by fitting the harmonics."""
    points = np.random.default_rng(0).normal(size=(40, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    begin = (0, 1, 4)
    blocks = np.zeros((2, len(frames), 9, 9))
    for kind, values in enumerate((h_values, s_values)):
        for n, frame in enumerate(frames):
            local = np.zeros((9, 9))
            for t, (la, lb, m) in enumerate(SHELLS):
                for o in {max(2 * m - 1, 0), 2 * m}:
                    local[begin[la] + o, begin[lb] + o] = values[n, t]
            turn = np.linalg.lstsq(real_harmonics(points), real_harmonics(points @ frame), rcond=None)[0]
            blocks[kind, n] = turn @ local @ turn.T
    return blocks[0], blocks[1]


def bloch_sum(
    k: Floats,
    vector: Floats,
    first: Ints,
    second: Ints,
    n_first: Ints,
    n_second: Ints,
    block: Floats,
    size: int,
) -> tuple[Complex, Complex]:
    """``[n_q, N, N]`` sum and ``[3, n_q, N, N]`` gradient, atom blocks of the lower triangle."""
    total = np.zeros((len(block), size, size), dtype=np.complex128)
    gradient = np.zeros((3, *total.shape), dtype=np.complex128)
    for b in np.flatnonzero(first >= second):
        rows, columns = slice(first[b], first[b] + n_first[b]), slice(second[b], second[b] + n_second[b])
        part = np.exp(1j * k @ vector[b]) * block[:, b, : n_first[b], : n_second[b]]
        total[:, rows, columns] += part
        gradient[:, :, rows, columns] += 1j * vector[b][:, None, None, None] * part
    return total, gradient


def spin_berry_curvature(
    current: Complex,
    velocity: Complex,
    low: Floats,
    high: Floats,
    shared: Bools,
    speed_low: Floats,
    speed_high: Floats,
    step: float,
    width: float,
    widest: float,
) -> tuple[Floats, Floats]:
    """All pairs at once; index order current, field, spin."""
    spread = np.linalg.norm(speed_low[:, None] - speed_high[None], axis=-1)
    eta = np.maximum(width, np.minimum(widest, step * spread))
    factor = np.where(shared, 1.0, 2.0) / ((low[:, None] - high[None]) ** 2 + eta**2)
    # <m|v|n> is the conjugate of <n|v|m>.
    pairs = -np.einsum("nm,kinm,jnm->nmijk", factor, current, velocity.conj()).imag
    return np.asarray(pairs.sum(axis=1)), np.asarray(-pairs.sum(axis=0))


def fill_bands(energy: Floats, width: Floats, weight: float, curvature: Floats, grid: Floats) -> Floats:
    """``[n_e, 27]`` sum over bands of their occupation times curvature."""
    x = (energy[None, :] - grid[:, None]) / width
    return np.asarray(weight * np.vectorize(lambda y: 0.5 * erfc(y))(x) @ curvature)


def density_of_states(energy: Floats, width: Floats, weight: float, grid: Floats) -> Floats:
    """``[n_e]`` sum of normalised Gaussians."""
    x = (energy[None, :] - grid[:, None]) / width
    return np.asarray(weight * (np.exp(-x * x) / (width * np.sqrt(np.pi))).sum(axis=1))
