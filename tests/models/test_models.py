"""Symmetries of the networks, to the precision that the arithmetic allows."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from ase import Atoms
from helpers.systems import SMALL_ACE, random_checkpoint, triclinic
from helpers.tiers import thorough_but

from aptnn_md.atoms.neighbours import build_graph
from aptnn_md.errors import InputError
from aptnn_md.models import chunks
from aptnn_md.models.cartesian import cartesian_basis
from aptnn_md.models.tensor_network import TensorNetwork, fresh_model
from aptnn_md.prediction.predictor import Predictor
from aptnn_md.tensors import gradient_parts
from aptnn_md.testing.equivariance import assert_equivariant

# relative to the rms of the tensors
TOLERANCE = {"float32": 1e-5, "float64": 1e-11}
PRECISIONS = list(TOLERANCE)
NETWORKS = ["ace", "dipole", "simple"]


@cache
def predictor(network, dtype, target="apt"):
    return Predictor(random_checkpoint(network, target=target), dtype=dtype, neutral=False)


def assert_close(found, expected, dtype):
    rms = np.sqrt(np.mean(expected**2))
    assert np.abs(found - expected).max() < TOLERANCE[dtype] * rms


@pytest.mark.parametrize("network", thorough_but(NETWORKS, "ace", "dipole"))
@pytest.mark.parametrize("dtype", thorough_but(PRECISIONS, "float64"))
def test_symmetries(network, dtype):
    predict, atoms = predictor(network, dtype), triclinic()
    tensors = predict(atoms)
    # every irrep is there, or the test would see nothing of it
    assert np.abs(tensors - np.swapaxes(tensors, 1, 2)).max() > 0.1
    assert_equivariant(predict, atoms, TOLERANCE[dtype])


def members_of(predict, atoms):
    """The tensors of a single model, by target."""
    return {target: members[0] for target, members in predict.tensors([atoms])[0].items()}


@pytest.mark.parametrize(
    ("network", "target", "dtype"),
    [
        *thorough_but([("ace", "apt+pgt", "float32")]),
        ("ace", "apt+pgt", "float64"),
        *thorough_but([("simple", "pgt", "float64")]),
    ],
)
def test_symmetries_of_gradients(network, target, dtype):
    predict = predictor(network, dtype, target)
    atoms = triclinic()
    tensors = members_of(predict, atoms)
    assert tuple(tensors) == tuple(target.split("+"))
    pgt = tensors["pgt"]
    assert np.abs(pgt - np.swapaxes(pgt, 1, 2)).max() < (1e-6 if dtype == "float32" else 1e-14)
    # every irrep is there, or the test would see nothing of it
    assert all(np.abs(part).max() > 0.1 for part in gradient_parts(pgt).values())
    for name in tensors:
        assert_equivariant(
            lambda a, name=name: members_of(predict, a)[name], atoms, TOLERANCE[dtype]
        )


@pytest.fixture
def small_chunks(monkeypatch):
    """Everything is cut into pieces that do not divide it evenly."""
    monkeypatch.setitem(chunks.PRODUCTS, "cpu", 2**16)
    monkeypatch.setitem(chunks.BLOCK, "cpu", 50)
    monkeypatch.setitem(chunks.TABLE, "cpu", 32)


def test_gradients_of_chunks_and_supercells(small_chunks):
    predict = predictor("ace", "float64", "apt+pgt")
    cell = triclinic(n_atoms=3, size=3.0)
    small, large = members_of(predict, cell), members_of(predict, cell * (3, 5, 6))
    assert len(large["pgt"]) > 2 * chunks.BLOCK["cpu"]
    assert_close(large["pgt"], np.tile(small["pgt"], (90, 1, 1, 1)), "float64")
    assert_close(large["apt"], np.tile(small["apt"], (90, 1, 1)), "float64")


def test_basis_of_gradients_is_the_same_with_every_e3nn():
    irreps, basis = cartesian_basis("ijk=jik")
    assert str(irreps) == "2x1o+1x2o+1x3o"
    rows = basis.flatten(1)
    assert torch.allclose(rows @ rows.T, torch.eye(18, dtype=rows.dtype), atol=1e-12)
    unit = np.eye(3)
    trace = np.einsum("ab,mc->mabc", unit, unit) / np.sqrt(3.0)
    assert np.allclose(basis[:3], trace, atol=1e-12)
    assert torch.allclose(basis, basis.transpose(1, 2), atol=1e-14)
    # signs, and which copy is which: a model file counts on them
    figures = [basis[3, 0, 0, 0], basis[6, 0, 1, 0], basis[6, 0, 0, 1], basis[11, 0, 0, 0]]
    expected = [2 / np.sqrt(15), np.sqrt(1 / 12), -np.sqrt(1 / 3), -0.5]
    assert np.allclose(figures, expected, atol=1e-12)
    parts = gradient_parts(basis.numpy())
    for name, part in zip(parts, (slice(3), slice(3, 6), slice(6, 11), slice(11, 18)), strict=True):
        assert np.allclose(parts[name][part], basis[part], atol=1e-12)


@pytest.mark.parametrize("network", thorough_but(NETWORKS, "ace", "dipole"))
def test_supercell(network):
    predict = predictor(network, "float64")
    # smaller than the cutoff: atoms see several images of each other
    atoms = triclinic(n_atoms=3, size=3.0)
    tensors = predict(atoms)
    assert_close(predict(atoms * (2, 1, 3)), np.tile(tensors, (6, 1, 1)), "float64")


@pytest.mark.parametrize("network", thorough_but(NETWORKS, "ace", "dipole"))
@pytest.mark.parametrize("cutoff", ["cutoff", "message_cutoff"])
def test_no_jump_when_an_atom_crosses_a_cutoff(network, cutoff):
    if network == "simple" and cutoff == "message_cutoff":
        pytest.skip("one cutoff only")
    predict = predictor(network, "float64")
    radius = getattr(predict.networks[0].config, cutoff)
    base = np.array([[0.0, 0.0, 0.0], [0.9, 0.2, 0.0], [-0.3, 0.9, 0.1]])

    def tensors(distance):
        there = np.array([[0.0, distance * 0.6, distance * 0.8]])
        return predict(Atoms("OH2Na", positions=np.vstack([base, there])))[0]

    # the neighbour matters inside the cutoff
    assert np.abs(tensors(radius - 1.0) - tensors(radius + 1.0)).max() > 1e-3
    # what is smooth cancels to third order in the step; two thirds of a jump would stay
    step = 1e-4
    narrow = tensors(radius + step) - tensors(radius - step)
    wide = tensors(radius + 3 * step) - tensors(radius - 3 * step)
    assert np.abs(narrow - wide / 3.0).max() < 1e-8


@pytest.mark.parametrize("network", NETWORKS)
def test_chunks_and_batches_change_nothing(network, small_chunks):
    predict = predictor(network, "float64")
    cell = triclinic(n_atoms=3, size=3.0)
    large = cell * (5, 6, 6)
    assert len(large) > 2 * max(chunks.BLOCK["cpu"], chunks.TABLE["cpu"])
    small = triclinic()
    isolated = Atoms("OH2", positions=[[0, 0, 0], [0.9, 0.2, 0.0], [-0.3, 0.9, 0.1]])
    single = [predict(atoms) for atoms in (large, small, isolated)]
    assert_close(single[0], np.tile(predict(cell), (180, 1, 1)), "float64")
    for one, other in zip(predict([large, small, isolated]), single, strict=True):
        assert_close(one, other, "float64")


@pytest.mark.parametrize("network", NETWORKS)
def test_lonely_atoms_and_absent_elements(network):
    tensors = predictor(network, "float64")(Atoms("Na"))
    assert np.isfinite(tensors).all()
    # nothing but a multiple of the unit matrix is invariant
    assert np.allclose(tensors[0], tensors[0, 0, 0] * np.eye(3), atol=1e-10)
    assert predictor(network, "float64")(Atoms()).shape == (0, 3, 3)


def test_weights_depend_on_the_seed_only():
    states = [fresh_model("ace", "apt", (1, 8), {}, seed).state_dict() for seed in (3, 3, 4)]
    assert all((states[0][key] == states[1][key]).all() for key in states[0])
    assert (states[0]["network.mix_a.weight"] != states[2]["network.mix_a.weight"]).all()


def test_unknown_settings_are_refused():
    with pytest.raises(InputError, match="chanels"):
        TensorNetwork("ace", (1, 8), "apt", {"chanels": 3})
    with pytest.raises(InputError, match="one of ace, dipole, polarizability, simple"):
        TensorNetwork("transformer", (1, 8), "apt", {})


def test_targets_that_a_network_cannot_give_are_refused():
    with pytest.raises(InputError, match="network ace: lmax: found 2, expected at least 3"):
        TensorNetwork("ace", (1, 8), "apt+pgt", {"lmax": 2})
    with pytest.raises(InputError, match="network simple: lmax: found 1, expected at least 2"):
        TensorNetwork("simple", (1, 8), "pgt", {"lmax": 1})
    for target in ("dipole", "apt+apt", ""):
        with pytest.raises(InputError, match=r"expected apt, pgt or apt\+pgt"):
            TensorNetwork("ace", (1, 8), target, {})


def test_kept_couplings_follow_the_weights():
    """eval() keeps matrices; new weights, another dtype and train() drop them."""
    model = fresh_model("ace", "apt", (1, 8, 11), SMALL_ACE, 0).eval()
    other = fresh_model("ace", "apt", (1, 8, 11), SMALL_ACE, 1)
    graph = build_graph(triclinic(), model.config.cutoff)

    @torch.no_grad()
    def tensors():
        return model(model.geometry(graph), model.species(graph))["apt"].clone()

    coupling = model.network.couple_pair
    first = tensors()
    assert coupling.matrices(0)[0].requires_grad
    with torch.no_grad():
        assert coupling.matrices(0) is coupling.matrices(0)
    model.load_state_dict(other.state_dict())
    second = tensors()
    assert not torch.allclose(first, second)
    model.train()
    assert torch.equal(tensors(), second)
    with torch.no_grad():
        assert coupling.matrices(0) is not coupling.matrices(0)
        for parameter in model.parameters():
            parameter.mul_(0.9)
    third = tensors()
    assert not torch.allclose(second, third)
    assert torch.equal(model.eval() and tensors(), third)
    double = model.double()
    assert double.network.couple_pair.matrices(0)[0].dtype == torch.float64
    assert float((tensors() - third).abs().max()) < 1e-4 * float(third.abs().max())


def test_frozen_networks_can_be_differentiated_after_inference():
    model = fresh_model("ace", "apt", (1, 8, 11), SMALL_ACE, 0).eval().requires_grad_(False)
    graph = build_graph(triclinic(), model.config.cutoff)
    geometry, species = model.geometry(graph), model.species(graph)
    with torch.inference_mode():
        expected = model(geometry, species)["apt"]
    density = geometry.density.clone().requires_grad_()
    found = model(replace(geometry, density=density), species)["apt"]
    assert torch.allclose(found, expected, atol=1e-5)
    found.sum().backward()
    assert float(density.grad.abs().max()) > 0.0


@pytest.mark.thorough
def test_threads_evaluate_one_network_together():
    model = fresh_model("ace", "apt", (1, 8, 11), SMALL_ACE, 0).double()
    graphs = [build_graph(triclinic(seed), model.config.cutoff) for seed in range(8)]

    def tensors(graph):
        with torch.inference_mode():
            return model(model.geometry(graph), model.species(graph))["apt"]

    expected = [tensors(graph) for graph in graphs]
    for _ in range(5):
        model.eval()  # nothing is kept yet: all threads start at once
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(tensors, graphs))
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
        model.train()


def test_default_message_cutoff_is_never_longer_than_the_cutoff():
    """Beyond the cutoff there are no neighbours: messages would jump there."""
    for cutoff, expected in ((6.0, 4.5), (4.0, 4.0)):
        config = TensorNetwork("ace", (1, 8), "apt", {"cutoff": cutoff}).config
        assert config.message_cutoff == expected
    # model files say it in full
    given = {"cutoff": 4.0, "message_cutoff": 4.5}
    assert TensorNetwork("ace", (1, 8), "apt", given).config.message_cutoff == 4.5


@pytest.mark.parametrize(
    ("network", "name", "value"),
    [
        ("ace", "cutoff", float("nan")),
        ("ace", "cutoff", -1.0),
        ("ace", "n_channels", 10**7),
        ("ace", "n_channels", "48"),
        ("ace", "lmax", 3.5),
        ("ace", "message_lmax", 4),
        ("simple", "n_layers", -1),
        ("simple", "cutoff", "6"),
    ],
)
def test_impossible_settings_are_refused(network, name, value):
    with pytest.raises(InputError, match=f"network {network}: {name}: found"):
        TensorNetwork(network, (1, 8), "apt", {name: value})
    with pytest.raises(InputError, match="elements"):
        TensorNetwork(network, (1, 8), "apt", {"elements": (1,)})
