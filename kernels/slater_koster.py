"""Compiled Slater-Koster kernels: two-centre integrals, bond blocks in the crystal frame, Bloch sums.

Real orbitals of an atom in the order s | z x y | z2 xz yz x2-y2 xy, so that the integrals along a bond are diagonal
in sigma, pi, pi, delta, delta. The 14 independent integrals of s, p, d shells stand in the order of ``SHELLS``.

Source: J. C. Slater and G. F. Koster, Phys. Rev. 94, 1498 (1954).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from shc.kernels.radial import lda

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Complex = NDArray[np.complex128]

N_INTEGRALS: Final = 14
SHELLS: Final = (
    (0, 0, 0),
    (0, 1, 0),
    (1, 0, 0),
    (0, 2, 0),
    (2, 0, 0),
    (1, 1, 0),
    (1, 1, 1),
    (1, 2, 0),
    (1, 2, 1),
    (2, 1, 0),
    (2, 1, 1),
    (2, 2, 0),
    (2, 2, 1),
    (2, 2, 2),
)
"""``(l_a, l_b, m)`` of every integral; a bond points from a to b."""
_LA = np.array([s[0] for s in SHELLS])
_LB = np.array([s[1] for s in SHELLS])
_M = np.array([s[2] for s in SHELLS])
RADIAL_ROWS: Final = 8
"""Rows of a radial table: R_s, R_p, R_d, w_s, w_p, w_d, electrostatic potential, density."""
_REACH = 24.0


@njit(cache=True, nogil=True, inline="always")
def _interpolate(table: Floats, x0: float, h: float, r: float, out: Floats) -> None:
    """All rows of a table on a logarithmic mesh at one radius, by cubic Lagrange interpolation."""
    x = (math.log(r) - x0) / h
    i = max(int(x), 1)
    if i > table.shape[1] - 3:
        out[:] = 0.0
        return
    u = x - i
    a = -u * (u - 1.0) * (u - 2.0) / 6.0
    b = (u + 1.0) * (u - 1.0) * (u - 2.0) / 2.0
    c = -(u + 1.0) * u * (u - 2.0) / 2.0
    d = (u + 1.0) * u * (u - 1.0) / 6.0
    for f in range(table.shape[0]):
        out[f] = a * table[f, i - 1] + b * table[f, i] + c * table[f, i + 1] + d * table[f, i + 2]


@njit(cache=True, nogil=True, inline="always")
def _theta(cosine: float, out: Floats) -> None:
    """Polar parts ``[l, m]`` of the spherical harmonics, normalised over ``sin(theta) d(theta)``."""
    s2 = max(1.0 - cosine * cosine, 0.0)
    s = math.sqrt(s2)
    out[0, 0] = math.sqrt(0.5)
    out[1, 0] = math.sqrt(1.5) * cosine
    out[1, 1] = math.sqrt(0.75) * s
    out[2, 0] = math.sqrt(2.5) * 0.5 * (3.0 * cosine * cosine - 1.0)
    out[2, 1] = math.sqrt(3.75) * s * cosine
    out[2, 2] = math.sqrt(0.9375) * s2


@njit(cache=True, nogil=True)
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
    """Hamiltonian and overlap integrals of two atoms at several distances.

    ``H = <a| T + v_a + v_b + v_xc(n_a + n_b) |b>``; the kinetic energy acts through the radial equation of either
    orbital, ``T R = w R``, and both ways are averaged. Space is divided between the atoms by Becke's fuzzy cells.

    Args:
        table_a: ``[RADIAL_ROWS, n_r]`` of the first atom, Hartree atomic units.
        table_b: The same of the second atom.
        x0_a: ``ln r_0`` of the first mesh.
        x0_b: ``ln r_0`` of the second mesh.
        h: Step of both meshes in ``ln r``.
        distance: ``[n]`` Bohr.
        radius: ``[n_q]`` radial nodes of the quadrature, Bohr.
        radius_weight: ``[n_q]`` with ``r^2 dr``.
        cosine: ``[n_c]`` Gauss-Legendre nodes.
        cosine_weight: ``[n_c]``.

    Returns:
        ``[n, 14]`` Hamiltonian, Hartree, and ``[n, 14]`` overlap.

    Source: A. D. Becke, J. Chem. Phys. 88, 2547 (1988), for the partition; D. Porezag et al., Phys. Rev. B 51, 12947
    (1995), for the superposed-density two-centre Hamiltonian.
    """
    n = distance.size
    h_out = np.zeros((n, N_INTEGRALS))
    s_out = np.zeros((n, N_INTEGRALS))
    at_a = np.zeros(RADIAL_ROWS)
    at_b = np.zeros(RADIAL_ROWS)
    polar_a = np.zeros((3, 3))
    polar_b = np.zeros((3, 3))
    for q in range(n):
        bond = distance[q]
        for side in range(2):
            for i in range(radius.size):
                r = radius[i]
                if r > _REACH:
                    continue
                if side == 0:
                    _interpolate(table_a, x0_a, h, r, at_a)
                else:
                    _interpolate(table_b, x0_b, h, r, at_b)
                for j in range(cosine.size):
                    z = r * cosine[j]
                    if side == 0:
                        r_a = r
                        r_b = math.sqrt(max(r * r + bond * bond - 2.0 * z * bond, 1e-14))
                        cos_a, cos_b = cosine[j], (z - bond) / r_b
                    else:
                        r_b = r
                        r_a = math.sqrt(max(r * r + bond * bond + 2.0 * z * bond, 1e-14))
                        cos_a, cos_b = (z + bond) / r_a, cosine[j]
                    fuzzy = (r_a - r_b) / bond
                    for _ in range(3):
                        fuzzy = 1.5 * fuzzy - 0.5 * fuzzy**3
                    weight = 0.5 * (1.0 - fuzzy) if side == 0 else 0.5 * (1.0 + fuzzy)
                    weight *= radius_weight[i] * cosine_weight[j]
                    if weight < 1e-13:
                        continue
                    if side == 0:
                        _interpolate(table_b, x0_b, h, r_b, at_b)
                    else:
                        _interpolate(table_a, x0_a, h, r_a, at_a)
                    potential = at_a[6] + at_b[6] + lda(at_a[7] + at_b[7])[1]
                    _theta(cos_a, polar_a)
                    _theta(cos_b, polar_b)
                    for t in range(N_INTEGRALS):
                        la, lb, m = _LA[t], _LB[t], _M[t]
                        product = weight * at_a[la] * at_b[lb] * polar_a[la, m] * polar_b[lb, m]
                        s_out[q, t] += product
                        h_out[q, t] += product * (potential + 0.5 * (at_a[3 + la] + at_b[3 + lb]))
    return h_out, s_out


@njit(cache=True, nogil=True)
def d_tensors() -> Floats:
    """``[5, 3, 3]`` symmetric traceless matrices of the d orbitals, in the order of the module."""
    out = np.zeros((5, 3, 3))
    out[0, 0, 0] = out[0, 1, 1] = -1.0 / math.sqrt(6.0)
    out[0, 2, 2] = 2.0 / math.sqrt(6.0)
    half = 1.0 / math.sqrt(2.0)
    out[1, 0, 2] = out[1, 2, 0] = half
    out[2, 1, 2] = out[2, 2, 1] = half
    out[3, 0, 0] = half
    out[3, 1, 1] = -half
    out[4, 0, 1] = out[4, 1, 0] = half
    return out


@njit(cache=True, nogil=True)
def rotation_matrix(direction: Floats, out: Floats) -> None:
    """Orbitals of a frame whose third axis is ``direction``, in the crystal frame.

    Args:
        direction: ``[3]`` unit vector.
        out: ``[9, 9]``; columns are the local orbitals.
    """
    frame = np.empty((3, 3))
    helper = np.zeros(3)
    helper[2 if abs(direction[2]) < 0.9 else 0] = 1.0
    x0 = helper[1] * direction[2] - helper[2] * direction[1]
    x1 = helper[2] * direction[0] - helper[0] * direction[2]
    x2 = helper[0] * direction[1] - helper[1] * direction[0]
    length = math.sqrt(x0 * x0 + x1 * x1 + x2 * x2)
    frame[0, 0], frame[1, 0], frame[2, 0] = x0 / length, x1 / length, x2 / length
    frame[:, 2] = direction
    frame[0, 1] = direction[1] * frame[2, 0] - direction[2] * frame[1, 0]
    frame[1, 1] = direction[2] * frame[0, 0] - direction[0] * frame[2, 0]
    frame[2, 1] = direction[0] * frame[1, 0] - direction[1] * frame[0, 0]
    out[:] = 0.0
    out[0, 0] = 1.0
    order = (2, 0, 1)
    for a in range(3):
        for b in range(3):
            out[1 + a, 1 + b] = frame[order[a], order[b]]
    tensors = d_tensors()
    for b in range(5):
        turned = frame @ tensors[b] @ frame.T
        for a in range(5):
            out[4 + a, 4 + b] = np.sum(tensors[a] * turned)


@njit(cache=True, nogil=True)
def _local_block(values: Floats, out: Floats) -> None:
    """Nine by nine block in the frame of the bond from the 14 integrals."""
    out[:] = 0.0
    first = (0, 1, 4)
    for t in range(N_INTEGRALS):
        a, b, m = first[_LA[t]], first[_LB[t]], _M[t]
        if m == 0:
            out[a, b] = values[t]
        elif m == 1:
            out[a + 1, b + 1] = values[t]
            out[a + 2, b + 2] = values[t]
        else:
            out[a + 3, b + 3] = values[t]
            out[a + 4, b + 4] = values[t]


@njit(cache=True, nogil=True)
def bond_blocks(direction: Floats, h_values: Floats, s_values: Floats) -> tuple[Floats, Floats]:
    """Hamiltonian and overlap blocks of bonds in the crystal frame.

    Args:
        direction: ``[n, 3]`` unit vectors from atom i to atom j.
        h_values: ``[n, 14]`` integrals, any unit.
        s_values: ``[n, 14]``.

    Returns:
        ``[n, 9, 9]`` each; rows are orbitals of i, columns those of j.
    """
    n = direction.shape[0]
    h_out = np.empty((n, 9, 9))
    s_out = np.empty((n, 9, 9))
    turn = np.empty((9, 9))
    local = np.empty((9, 9))
    for b in range(n):
        rotation_matrix(direction[b], turn)
        _local_block(h_values[b], local)
        h_out[b] = turn @ local @ turn.T
        _local_block(s_values[b], local)
        s_out[b] = turn @ local @ turn.T
    return h_out, s_out


@njit(cache=True, nogil=True, fastmath=True)
def bloch_sum(
    k: Floats,
    vector: Floats,
    first: Ints,
    second: Ints,
    n_first: Ints,
    n_second: Ints,
    block: Floats,
    out: Complex,
) -> None:
    """Add ``sum_b exp(i k d_b) block_b`` to a matrix, lower triangle of atom blocks only.

    Args:
        k: ``[3]`` wave vector, 1/Angstrom.
        vector: ``[n, 3]`` bond vectors, Angstrom.
        first: ``[n]`` first orbital of atom i; bonds with ``first < second`` are skipped.
        second: ``[n]`` first orbital of atom j.
        n_first: ``[n]`` orbitals of atom i.
        n_second: ``[n]`` orbitals of atom j.
        block: ``[n_q, n, m, m]`` real blocks of ``n_q`` quantities.
        out: ``[n_q, N, N]``.
    """
    for b in range(vector.shape[0]):
        p0, q0 = first[b], second[b]
        if p0 < q0:
            continue
        phase = k[0] * vector[b, 0] + k[1] * vector[b, 1] + k[2] * vector[b, 2]
        factor = complex(math.cos(phase), math.sin(phase))
        for a in range(block.shape[0]):
            for p in range(n_first[b]):
                for q in range(n_second[b]):
                    out[a, p0 + p, q0 + q] += factor * block[a, b, p, q]


@njit(cache=True, nogil=True, fastmath=True)
def bloch_gradient(
    k: Floats,
    vector: Floats,
    first: Ints,
    second: Ints,
    n_first: Ints,
    n_second: Ints,
    block: Floats,
    out: Complex,
) -> None:
    """Add ``sum_b i d_b exp(i k d_b) block_b`` to ``[3, n_q, N, N]``, lower triangle of blocks; see ``bloch_sum``."""
    for b in range(vector.shape[0]):
        p0, q0 = first[b], second[b]
        if p0 < q0:
            continue
        phase = k[0] * vector[b, 0] + k[1] * vector[b, 1] + k[2] * vector[b, 2]
        factor = complex(-math.sin(phase), math.cos(phase))
        for c in range(3):
            along = factor * vector[b, c]
            for a in range(block.shape[0]):
                for p in range(n_first[b]):
                    for q in range(n_second[b]):
                        out[c, a, p0 + p, q0 + q] += along * block[a, b, p, q]


@njit(cache=True, nogil=True)
def mirror_lower(matrices: Complex) -> None:
    """Fill the upper triangle of ``[n, N, N]`` Hermitian matrices from the lower one, in place."""
    for a in range(matrices.shape[0]):
        for p in range(matrices.shape[1]):
            matrices[a, p, p] = matrices[a, p, p].real
            for q in range(p):
                matrices[a, q, p] = matrices[a, p, q].conjugate()
