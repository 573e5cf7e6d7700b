"""The optimiser: steps against singular value decompositions and against PyTorch's AdamW."""

import copy
import math

import pytest
import torch
from helpers.systems import SMALL_ACE

from aptnn_md.errors import InputError
from aptnn_md.models.layers import ChannelMixing
from aptnn_md.models.tensor_network import fresh_model
from aptnn_md.training.optimizer import Optimizer, orthogonalised
from aptnn_md.training.settings import TrainingSettings


def model(seed=0):
    return fresh_model("ace", "apt", (1, 8, 11), SMALL_ACE, seed)


def gradients(network, seed):
    """Random gradients for all weights, from a few directions as those of a training."""
    random = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=random) * 0.01


@pytest.mark.parametrize("shape", [(5, 12), (3, 2, 12, 5), (4, 7, 7)], ids=str)
def test_singular_values_become_equal(shape):
    random = torch.Generator().manual_seed(1)
    matrices = torch.randn(shape, generator=random, dtype=torch.float64)
    # of very different sizes
    u, sizes, v = torch.linalg.svd(matrices, full_matrices=False)
    sizes = torch.logspace(0.0, -1.5, sizes.shape[-1], dtype=torch.float64).expand(sizes.shape)
    matrices = 30.0 * u @ torch.diag_embed(sizes) @ v
    found = orthogonalised(matrices)
    assert found.shape == matrices.shape
    # in the basis of singular vectors they are diagonal, and their elements are near one
    values = u.mT @ found @ v.mT
    diagonal = values.diagonal(dim1=-2, dim2=-1)
    assert float((values - torch.diag_embed(diagonal)).abs().max()) < 1e-10
    assert 0.65 < float(diagonal.min()) < float(diagonal.max()) < 1.25
    # whatever the unit of the gradient
    assert torch.allclose(orthogonalised(1e-6 * matrices), found, atol=1e-9)


@pytest.mark.parametrize("size", [1e-12, 1e-20, 1e-30, 1e-38])
def test_very_small_matrices(size):
    """As gradients of what vanishes by symmetry, e.g. in diatomic molecules."""
    torch.manual_seed(0)
    matrices = torch.randn(2, 5, 4)
    found = orthogonalised(size * matrices)
    assert torch.allclose(found, orthogonalised(matrices), atol=1e-3)


def test_nothing_stays_nothing():
    assert not orthogonalised(torch.zeros(2, 3, 4)).any()
    first = torch.randn(3, 4, dtype=torch.float64)
    both = orthogonalised(torch.stack([first, torch.zeros_like(first)]))
    assert torch.allclose(both[0], orthogonalised(first))
    assert not both[1].any()


def test_steps_of_matrices_have_the_size_of_adams():
    network = model()
    optimizer = Optimizer(network, "muon", 0.02, 0.0)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    gradients(network, 0)
    optimizer.step()
    matrices = {id(m.weight) for m in network.modules() if isinstance(m, ChannelMixing)}
    assert len(matrices) > 5
    for parameter, old in zip(network.parameters(), before, strict=True):
        size = float((parameter.detach() - old).square().mean().sqrt()) / 0.02
        if id(parameter) in matrices:
            narrow, wide = sorted(parameter.shape[-2:])
            # a matrix with equal singular values of about one
            expected = 0.2 * math.sqrt(wide) * math.sqrt(narrow / (narrow * wide))
            assert size == pytest.approx(expected, rel=0.25)
            assert expected == pytest.approx(0.2)
        else:
            assert size == pytest.approx(1.0, rel=1e-3)


def test_elements_that_a_batch_lacks_stay_as_they_are():
    network = model()
    optimizer = Optimizer(network, "muon", 0.02, 0.0)
    mixing = next(m for m in network.modules() if isinstance(m, ChannelMixing))
    gradients(network, 0)
    optimizer.step()
    before = mixing.weight.detach().clone()
    gradients(network, 1)
    mixing.weight.grad[1] = 0.0
    optimizer.step()
    assert torch.equal(mixing.weight[1], before[1])
    assert float((mixing.weight.detach()[0] - before[0]).abs().min()) > 0.0


def test_adamw_is_that_of_torch():
    ours, theirs = model(), model()
    optimizer = Optimizer(ours, "adamw", 0.01, 0.1)
    reference = torch.optim.AdamW(theirs.parameters(), lr=0.01, weight_decay=0.1)
    for step in range(3):
        for network, taken in ((ours, optimizer), (theirs, reference)):
            taken.zero_grad()
            gradients(network, step)
            taken.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)
    optimizer.zero_grad()
    assert all(parameter.grad is None for parameter in ours.parameters())


def test_weights_decay():
    network = model()
    mixing = next(m for m in network.modules() if isinstance(m, ChannelMixing))
    optimizer = Optimizer(network, "muon", 0.02, 0.5)
    before = mixing.weight.detach().clone()
    gradients(network, 0)
    mixing.weight.grad.zero_()
    optimizer.step()
    assert torch.allclose(mixing.weight, 0.99 * before, atol=1e-7)


@pytest.mark.parametrize("kind", ["muon", "adamw"])
def test_a_resumed_optimiser_takes_the_same_steps(kind):
    whole, other = model(), model()
    first = Optimizer(whole, kind, 0.01, 0.0)
    for step in range(2):
        gradients(whole, step)
        first.step()
    second = Optimizer(other, kind, 0.01, 0.0)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    with torch.no_grad():
        for a, b in zip(other.parameters(), whole.parameters(), strict=True):
            a.copy_(b)
    for network, optimizer in ((whole, first), (other, second)):
        gradients(network, 2)
        optimizer.learning_rate = 0.003
        optimizer.step()
    pairs = zip(whole.parameters(), other.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_unknown_optimisers_are_refused():
    with pytest.raises(InputError, match="optimizer"):
        TrainingSettings(optimizer="sgd")
