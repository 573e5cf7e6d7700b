"""Closed forms of harmonics, 3j symbols and irreps against e3nn, whichever version is installed."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from aptnn_md.models.angular import spherical_harmonics, wigner_3j
from aptnn_md.models.cartesian import cartesian_basis
from aptnn_md.models.e3nn_compat import o3
from aptnn_md.models.irreps import Irreps
from aptnn_md.targets import TARGETS

TRIPLES = [
    (l1, l2, l3)
    for l1 in range(6)
    for l2 in range(6)
    for l3 in range(abs(l1 - l2), min(l1 + l2, 5) + 1)
]


@pytest.mark.parametrize("lmax", [0, 1, 3, 6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_harmonics_are_those_of_e3nn(lmax: int, dtype: torch.dtype) -> None:
    vectors = torch.from_numpy(np.random.default_rng(0).normal(size=(50, 3))).to(dtype)
    vectors[3], vectors[4] = 0.0, torch.tensor([0.0, 7.0, 0.0])
    found = spherical_harmonics(lmax, vectors)
    expected = o3.spherical_harmonics(
        list(range(lmax + 1)), vectors, normalize=True, normalization="component"
    )
    assert found.dtype == dtype
    assert found.shape == (50, (lmax + 1) ** 2)
    largest = 1e-12 if dtype == torch.float64 else 5e-6
    assert float((found - expected).abs().max()) < largest * math.sqrt(2 * lmax + 1)


def test_harmonics_can_be_differentiated() -> None:
    vectors = torch.from_numpy(np.random.default_rng(1).normal(size=(4, 3))).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: spherical_harmonics(4, v), vectors)


def test_symbols_are_those_of_e3nn_but_for_signs_that_its_versions_differ_in() -> None:
    for degrees in TRIPLES:
        found = wigner_3j(*degrees)
        expected = o3.wigner_3j(*degrees, dtype=torch.float64)
        if sum(degrees) % 2:
            # one sign for all permutations of the degrees
            ascending = sorted(degrees)
            same = o3.wigner_3j(*ascending, dtype=torch.float64) * wigner_3j(*ascending)
            expected = expected * same.sum().sign()
            first = wigner_3j(*ascending).flatten()
            assert float(first[first.abs() > 1e-6][0]) > 0.0
        assert float((found - expected).abs().max()) < 1e-7, degrees
        assert abs(float(found.square().sum()) - 1.0) < 1e-13


def test_symbols_couple_harmonics_invariantly() -> None:
    """Σ C_abc Y_a Y_b is a multiple of Y_c, by the sign of ∫ Y_a Y_b Y_c a positive one."""
    directions = torch.from_numpy(np.random.default_rng(2).normal(size=(20, 3)))
    harmonics = spherical_harmonics(5, directions)
    parts = [harmonics[:, degree**2 : (degree + 1) ** 2] for degree in range(6)]
    for l1, l2, l3 in TRIPLES:
        symbol = wigner_3j(l1, l2, l3)
        coupled = torch.einsum("abc,na,nb->nc", symbol, parts[l1], parts[l2])
        if (l1 + l2 + l3) % 2:
            assert float(coupled.abs().max()) < 1e-12
        else:
            factor = (coupled * parts[l3]).sum(dim=1) / (2 * l3 + 1)
            assert float(factor.min()) > 1e-3
            assert torch.allclose(coupled, factor[:, None] * parts[l3], atol=1e-12)


def test_degrees_that_do_not_couple_are_refused() -> None:
    with pytest.raises(ValueError, match="do not couple"):
        wigner_3j(1, 1, 3)


@pytest.mark.parametrize("symmetry", [*(t.index_symmetry for t in TARGETS.values()), "ij=-ji", "i"])
def test_bases_span_what_e3nn_finds(symmetry: str) -> None:
    irreps, basis = cartesian_basis(symmetry)
    indices = dict.fromkeys(symmetry.split("=")[0], "1o")
    products = o3.ReducedTensorProducts(symmetry, **indices)
    assert o3.Irreps(str(irreps)).sort().irreps.simplify() == products.irreps_out.simplify()
    rows = basis.flatten(1)
    assert torch.allclose(rows @ rows.T, torch.eye(len(rows), dtype=rows.dtype), atol=1e-13)
    theirs = products.change_of_basis.double().flatten(1)
    assert torch.allclose(theirs @ rows.T @ rows, theirs, atol=1e-6)


def test_symmetries_that_mix_couplings_are_refused() -> None:
    with pytest.raises(ValueError, match="no symmetry of indices coupled in this order"):
        cartesian_basis("ijk=ikj")


@pytest.mark.parametrize("text", ["1x0e+1x1e+1x2e", "0e+2x1o", "2x1o + 1x2o+1x3o", "10x11e"])
def test_irreps_are_read_and_written_as_by_e3nn(text: str) -> None:
    irreps, theirs = Irreps.parse(text), o3.Irreps(text)
    assert (str(irreps), irreps.dim, irreps.lmax) == (str(theirs), theirs.dim, theirs.lmax)
    assert Irreps.parse(str(irreps)) == irreps
    for bad in ("", "1x", "e", "1x0", "-1x0e", "0e+", "0e 1e", "1x0x0e"):
        with pytest.raises(ValueError, match="not of the form"):
            Irreps.parse(bad)
