"""The check of symmetries finds each symmetry that is broken."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from ase import Atoms
from helpers.systems import triclinic

from aptnn_md.arrays import FloatArray
from aptnn_md.testing.equivariance import assert_equivariant, turned


def pair_tensors(atoms: Atoms, rank: int = 2) -> FloatArray:
    """Σ_j w(r_ij) r̂⊗r̂ and a cross product of two such sums: APT-like, with all irreps of rank 2."""
    vectors = atoms.get_all_distances(mic=True, vector=True)
    distances = atoms.get_all_distances(mic=True)
    weights = np.exp(-(distances**2)) * atoms.numbers[None, :] * (distances > 0.0)
    vector = np.einsum("ij,ija->ia", weights, vectors)
    other = np.einsum("ij,ija->ia", weights**2, vectors)
    if rank == 3:
        return np.einsum("ia,ib,ic->iabc", vector, vector, other)
    return np.einsum("ij,ija,ijb->iab", weights, vectors, vectors) + np.einsum(
        "ia,ib->iab", vector, other
    )


def of_fixed_axis(atoms: Atoms) -> FloatArray:
    tensors = pair_tensors(atoms)
    tensors[:, 2, 2] += 0.01
    return tensors


def of_order(atoms: Atoms) -> FloatArray:
    return pair_tensors(atoms) * (1.0 + 0.01 * np.arange(len(atoms)))[:, None, None]


def of_place(atoms: Atoms) -> FloatArray:
    lengths = np.linalg.norm(atoms.positions, axis=1)
    return pair_tensors(atoms) * (1.0 + 1e-3 * lengths)[:, None, None]


def of_one_image(atoms: Atoms) -> FloatArray:
    free = atoms.copy()
    free.pbc = False
    return pair_tensors(free)


def not_finite(atoms: Atoms) -> FloatArray:
    return pair_tensors(atoms) * np.nan


@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize("periodic", [True, False])
def test_what_is_equivariant_passes(rank: int, periodic: bool) -> None:
    atoms = triclinic()
    atoms.pbc = periodic
    assert_equivariant(lambda a: pair_tensors(a, rank), atoms, 1e-10)


@pytest.mark.parametrize(
    ("function", "operation"),
    [
        (of_fixed_axis, "rotation"),
        (of_order, "permutation"),
        (of_place, "translation"),
        (of_one_image, "wrapping"),
        (not_finite, "rotation"),
        (lambda atoms: pair_tensors(atoms)[:-1], "shape"),
        (lambda atoms: np.repeat(pair_tensors(atoms), 2, axis=2), "shape"),
    ],
)
def test_what_is_not_is_named(function: Callable[[Atoms], FloatArray], operation: str) -> None:
    with pytest.raises(AssertionError, match=operation):
        assert_equivariant(function, triclinic(), 1e-6)


def test_wrong_parity_is_named() -> None:
    """The Levi-Civita tensor is invariant under rotations but not, as a tensor, under inversion."""
    epsilon = np.zeros((3, 3, 3))
    for a, b, c in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        epsilon[a, b, c], epsilon[a, c, b] = 1.0, -1.0
    with pytest.raises(AssertionError, match="inversion"):
        assert_equivariant(lambda atoms: np.tile(epsilon, (len(atoms), 1, 1, 1)), triclinic())


def test_every_index_is_turned() -> None:
    random = np.random.default_rng(0)
    operation, tensors = random.normal(size=(3, 3)), random.normal(size=(4, 3, 3, 3))
    expected = np.einsum("ax,by,cz,nxyz->nabc", operation, operation, operation, tensors)
    assert np.allclose(turned(operation, tensors), expected)
