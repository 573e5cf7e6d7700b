"""The fast form of the ``ace`` network against the plain one, and its derivatives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.autograd.forward_ad as forward_ad
from ase import Atoms
from helpers.plain_ace import PlainACE, plain_form
from helpers.plain_ace.layers import ChannelMixing as PlainMixing
from helpers.plain_ace.layers import Coupling as PlainCoupling
from helpers.plain_ace.radial import bessel_basis as plain_bessel
from helpers.systems import ELEMENTS, SMALL_ACE, triclinic
from helpers.tiers import thorough_but
from torch import Tensor

from aptnn_md.atoms.neighbours import build_graph
from aptnn_md.models import chunks
from aptnn_md.models.ace import ACENetwork
from aptnn_md.models.angular import components_by_parity, harmonics_of
from aptnn_md.models.coupling import Coupling, CouplingOfProducts, coupled, outer
from aptnn_md.models.layers import FEW_ATOMS, ChannelMixing
from aptnn_md.models.radial import bessel_basis
from aptnn_md.models.tensor_network import TensorNetwork
from aptnn_md.prediction.model_file import BUNDLED_MODELS
from aptnn_md.prediction.predictor import Predictor

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
DTYPES = list(TOLERANCE)
WATER = Atoms("OH2", positions=[[0, 0, 0], [0.9, 0.2, 0.0], [-0.3, 0.9, 0.1]])
ODD_SHAPES = [
    {},
    {"message_channels": 3, "multiplicity": 1},
    {"lmax": 5, "message_lmax": 5, "message_multiplicity": 1},
    {"lmax": 4, "message_lmax": 1},
    {"lmax": 2, "message_lmax": 0, "n_radial": 1},
]


def assert_close(found: Tensor, expected: Tensor, tolerance: float) -> None:
    found, expected = found.detach(), expected.detach()
    size = float(expected.square().mean().sqrt())
    assert float((found - expected).abs().max()) <= tolerance * size


def small_model(dtype: torch.dtype = torch.float64, **settings: int) -> TensorNetwork:
    """A network whose features are of order one."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        # of full precision: tables that were rounded once would stay so
        model = TensorNetwork("ace", ELEMENTS, "apt", {**SMALL_ACE, **settings}).to(dtype)
    graph = build_graph(triclinic(seed=5), model.config.cutoff)
    model.fit_inputs([model.geometry(graph)])
    return model


@pytest.fixture(params=["whole", "in pieces"])
def pieces(request, monkeypatch) -> None:
    if request.param == "in pieces":
        monkeypatch.setitem(chunks.PRODUCTS, "cpu", 2**14)
        monkeypatch.setitem(chunks.BLOCK, "cpu", 30)
        monkeypatch.setitem(chunks.TABLE, "cpu", 7)


# ---------------------------------------------------------------------- numbers


@pytest.mark.parametrize("name", BUNDLED_MODELS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_bundled_models_give_the_numbers_of_the_plain_form(name, dtype):
    predictor = Predictor.from_file(name, dtype=str(dtype).removeprefix("torch."))
    for member in predictor.networks:
        network = member.network
        plain = plain_form(network)
        for atoms in (WATER, WATER * (1, 1, 1), Atoms("O")):
            graph = build_graph(atoms, predictor.cutoff)
            with torch.inference_mode():
                found = network(network.geometry(graph))
                expected = plain(plain.geometry(graph))
            assert_close(found, expected, TOLERANCE[dtype])


@pytest.mark.thorough
@pytest.mark.parametrize("dtype", thorough_but(DTYPES, torch.float64))
@pytest.mark.parametrize("settings", ODD_SHAPES)
def test_networks_of_any_shape_give_the_numbers_of_the_plain_form(dtype, settings, pieces):
    network = small_model(dtype, **settings).network.eval()
    plain = plain_form(network)
    large = triclinic() * (2, 2, 2)  # enough atoms of an element for one product a component
    assert sum(large.numbers == 11) > FEW_ATOMS
    for structures in ([triclinic()], [large, WATER, Atoms("Na")]):
        graph = build_graph(structures, network.config.cutoff)
        expected = plain(plain.geometry(graph)).detach()
        for mode in (torch.inference_mode, torch.no_grad, torch.enable_grad):
            with mode():
                found = network(network.geometry(graph)).detach()
            assert_close(found, expected, 3 * TOLERANCE[dtype])


def test_densities_and_their_scales_are_those_of_the_plain_form(pieces):
    network = small_model().network
    plain = plain_form(network)
    graphs = [build_graph(triclinic(seed), network.config.cutoff) for seed in range(3)]
    own, others = [[n.geometry(g) for g in graphs] for n in (network, plain)]
    for mine, theirs in zip(own, others, strict=True):
        assert_close(mine.density, theirs.density, 1e-13)
        assert mine.element_bounds == theirs.element_bounds
        assert torch.equal(mine.order, theirs.order)
    network.fit_scales(own)
    plain.fit_scales(others)
    assert_close(network.density_scale, plain.density_scale, 1e-12)
    assert_close(network.density_mean, plain.density_mean, 1e-12)


def test_weights_have_the_names_and_shapes_of_before():
    network = ACENetwork(small_model().config)
    shapes, plain = (
        {name: tuple(weight.shape) for name, weight in each.state_dict().items()}
        for each in (network, plain_form(network))
    )
    assert shapes == plain
    assert list(shapes) == list(plain)


def test_fresh_weights_are_those_of_before():
    """A seed gives the same model as in version 0.1."""
    torch.manual_seed(7)
    network = ACENetwork(config := small_model().config)
    torch.manual_seed(7)
    plain = PlainACE(config)
    assert all(
        torch.equal(a, b) for a, b in zip(network.parameters(), plain.parameters(), strict=True)
    )


@pytest.mark.parametrize(
    "lmaxs", [(3, 3, 3), (2, 3, 1), (0, 2, 2), (1, 0, 1), (0, 0, 0), (4, 3, 4)]
)
@pytest.mark.parametrize("multiplicity", [1, 3])
def test_couplings_are_those_of_the_plain_form(lmaxs, multiplicity, pieces):
    torch.manual_seed(0)
    fast, plain = (kind(2, 6, multiplicity, lmaxs).eval() for kind in (Coupling, PlainCoupling))
    of_products = CouplingOfProducts(2, 6, multiplicity, lmaxs).eval()
    for each in (fast, plain, of_products):
        each.double()
        each.load_state_dict(
            {
                "weight": torch.linspace(-1, 1, fast.weight.numel())
                .double()
                .cos()
                .view_as(fast.weight)
            }
        )
    x, y = (torch.randn(6, (lmax + 1) ** 2, 41, dtype=torch.float64) for lmax in lmaxs[:2])
    first, second, out = (components_by_parity(lmax) for lmax in lmaxs)
    for mode in (torch.inference_mode, torch.enable_grad):
        with mode():
            expected = plain(outer(x, y), 1)[:, out]
            assert_close(fast(x[:, first], y[:, second], 1), expected, 1e-13)
            assert_close(of_products(outer(x, y[:, second]), 1), expected, 1e-13)


@pytest.mark.parametrize("n_atoms", [1, FEW_ATOMS - 1, FEW_ATOMS, 50])
def test_mixing_is_that_of_the_plain_form(n_atoms):
    torch.manual_seed(0)
    fast, plain = ChannelMixing(2, 5, 4, 3).eval(), PlainMixing(2, 5, 4, 3)
    by_parity = ChannelMixing(2, 5, 4, 3, by_parity=True)
    for each in (fast, by_parity, plain):
        each.double()
        each.load_state_dict(
            {
                "weight": torch.linspace(-1, 1, fast.weight.numel())
                .double()
                .cos()
                .view_as(fast.weight)
            }
        )
    x, order = torch.randn(5, 16, n_atoms, dtype=torch.float64), components_by_parity(3)
    expected = plain(x, 1)
    assert_close(fast(x, 1), expected, 1e-13)
    assert_close(fast([x[:2], x[2:3], x[3:]], 1), expected, 1e-13)
    assert_close(by_parity([x[:4, order], x[4:, order]], 1), expected[:, order], 1e-13)


@pytest.mark.parametrize("dtype", DTYPES)
def test_radial_functions_are_those_of_the_plain_form(dtype):
    distances = torch.cat([torch.zeros(1), torch.linspace(1e-9, 7.0, 2000)]).to(dtype)
    distances[-2], distances[-1] = 6.0, 12.0
    found = bessel_basis(distances, 6.0, 12)
    expected = plain_bessel(distances.double(), 6.0, 12).to(dtype)
    assert float((found - expected).abs().max()) < (3e-4 if dtype == torch.float32 else 2e-12)
    assert float(found[distances >= 6.0].abs().max()) == 0.0
    assert float(plain_bessel(distances[-4:], 6.0, 12).abs().max()) < 1e-9


# ---------------------------------------------------------------------- derivatives


def test_gradients_of_weights_are_those_of_the_plain_form(pieces):
    network = small_model().network.train()
    plain = plain_form(network)
    graph = build_graph([triclinic(), WATER, triclinic(3) * (1, 2, 2)], network.config.cutoff)
    out = network(network.geometry(graph))
    weights = torch.randn_like(out)
    (out * weights).sum().backward()
    (plain(plain.geometry(graph)) * weights).sum().backward()
    for (name, mine), theirs in zip(network.named_parameters(), plain.parameters(), strict=True):
        assert mine.grad is not None, name
        assert_close(mine.grad, theirs.grad, 1e-10)


@pytest.mark.thorough
@pytest.mark.parametrize("lmaxs", [(2, 0, 2), pytest.param((1, 2, 1), marks=pytest.mark.slow)])
def test_couplings_can_be_differentiated_twice_and_in_both_modes(lmaxs, monkeypatch):
    monkeypatch.setitem(chunks.PRODUCTS, "cpu", 8 * 2 * 12 * 2)
    torch.manual_seed(0)
    coupling = Coupling(1, 3, 2, lmaxs).double()
    x, y = (torch.randn(3, (l + 1) ** 2, 2, dtype=torch.float64) for l in lmaxs[:2])  # noqa: E741
    inputs = [t.detach().requires_grad_() for t in (x, y, *coupling.matrices(0))]

    def function(x, y, even, odd):
        return coupled(x, y, (even, odd), coupling.n_even, 2)

    assert torch.autograd.gradcheck(function, inputs, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(function, inputs, check_fwd_over_rev=True, fast_mode=True)
    for wanted in range(4):
        some = [t.detach().requires_grad_(k == wanted) for k, t in enumerate(inputs)]
        assert torch.autograd.gradcheck(function, some, check_forward_ad=True)


def test_couplings_have_jacobians_by_vectorised_derivatives():
    torch.manual_seed(0)
    coupling = Coupling(1, 3, 2, (1, 2, 2)).double()
    x, y = (torch.randn(3, n, 2, dtype=torch.float64) for n in (4, 9))
    by_rows = torch.func.jacrev(lambda x: coupling(x, y, 0))(x)
    by_columns = torch.func.jacfwd(lambda x: coupling(x, y, 0))(x)
    plain = torch.autograd.functional.jacobian(lambda x: coupling(x, y, 0), x)
    assert_close(by_rows, plain, 1e-13)
    assert_close(by_columns, plain, 1e-13)


def test_couplings_keep_no_products():
    """What a backward pass keeps is inputs and matrices, not the 256 products of a channel."""
    coupling = Coupling(1, 8, 2, (3, 3, 3)).float()
    x, y = (torch.randn(8, 16, 400, requires_grad=True) for _ in range(2))
    kept: dict[int, int] = {}

    def pack(tensor):
        kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        coupling(x, y, 0)
    assert 0 < sum(kept.values()) < 8 * 256 * 400 / 4


@pytest.fixture(scope="module")
def edges_to_tensors():
    """A function of edge vectors, vectors of a graph with padded places, and a direction."""
    network = small_model().network.eval()
    structures = [triclinic(), WATER, Atoms("Na"), Atoms("OH", positions=[[0, 0, 0], [0, 0, 3.99]])]
    graph = build_graph(structures, network.config.cutoff)
    geometry = network.geometry(graph)
    assert (geometry.message_radial.abs().sum(dim=(0, 2)) == 0).any()  # rows without a neighbour
    vectors = torch.from_numpy(graph.edge_vectors)
    direction = torch.from_numpy(np.random.default_rng(0).normal(size=vectors.shape))

    def function(vectors):
        return network(network.geometry(replace(graph, edge_vectors=vectors)))

    return function, vectors, direction


def test_forward_mode_agrees_with_differences(edges_to_tensors):
    function, vectors, direction = edges_to_tensors
    value, change = torch.func.jvp(function, (vectors,), (direction,))
    step = 1e-5 * direction
    expected = (function(vectors + step) - function(vectors - step)).detach() / 2e-5
    assert_close(change, expected, 1e-6)
    assert_close(value, function(vectors).detach(), 1e-13)
    with torch.no_grad(), forward_ad.dual_level():
        dual = function(forward_ad.make_dual(vectors, direction))
        assert_close(forward_ad.unpack_dual(dual).tangent, change, 1e-12)


def test_reverse_mode_agrees_with_forward_mode(edges_to_tensors):
    function, vectors, direction = edges_to_tensors
    value, change = (t.detach() for t in torch.func.jvp(function, (vectors,), (direction,)))
    weights = torch.cos(torch.arange(value.numel(), dtype=torch.float64)).view_as(value)
    (gradient,) = torch.func.vjp(function, vectors)[1](weights)
    assert bool(torch.isfinite(gradient).all())
    along = float((weights * change).sum())
    assert float((gradient.detach() * direction).sum()) == pytest.approx(along, rel=1e-10)
    leaf = vectors.clone().requires_grad_()
    (function(leaf) * weights).sum().backward()
    assert_close(leaf.grad, gradient.detach(), 1e-12)

    def slope(vectors):
        return torch.func.grad(lambda v: (function(v) * weights).sum())(vectors)

    _, second = torch.func.jvp(slope, (vectors,), (direction,))
    step = 1e-5 * direction
    expected = (slope(vectors + step) - slope(vectors - step)).detach() / 2e-5
    assert_close(second, expected, 1e-5)


def test_coincident_atoms_have_finite_derivatives():
    """An edge of length zero: an atom on another one."""
    network = small_model().network.eval()
    atoms = Atoms("OH2", positions=[[0, 0, 0], [0, 0, 0], [0.9, 0.2, 0.0]])
    graph = build_graph(atoms, network.config.cutoff)
    assert (graph.edge_vectors == 0.0).all(axis=1).any()
    leaf = torch.from_numpy(graph.edge_vectors).requires_grad_()
    out = network(network.geometry(replace(graph, edge_vectors=leaf)))
    out.sum().backward()
    assert bool(torch.isfinite(out).all() and torch.isfinite(leaf.grad).all())


@pytest.mark.parametrize("lmax", [0, 1, 2, 3, 4])
def test_harmonics_of_nothing_vanish_and_can_be_differentiated(lmax):
    nothing = torch.zeros(3, 2, dtype=torch.float64)
    values = torch.stack(harmonics_of(lmax, *nothing))
    assert float(values[0].min()) == 1.0
    assert not values[1:].any()
    points = torch.nn.functional.normalize(torch.randn(3, 4, dtype=torch.float64), dim=0)
    points.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda p: torch.stack(harmonics_of(lmax, *p)), points, check_forward_ad=True
    )
