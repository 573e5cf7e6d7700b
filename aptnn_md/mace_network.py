"""A small MACE potential, evaluated fast on one core.

The network is that of Batatia et al., "MACE" (NeurIPS 2022), as mace-torch trains it
(``ScaleShiftMACE``); its weights are read under mace-torch's own names. Only the order of the
sums differs:

* pairs are kept once: lengths, radial functions and spherical harmonics serve both directions;
* messages are summed over the neighbours before the Clebsch-Gordan contraction, which is then done
  once an atom, not once an edge (:class:`aptnn_md.mace_sums.SumOverNeighbours`);
* the symmetric contraction is a polynomial in each channel's features: its monomials are made
  once and multiplied by one matrix of folded coefficients (weights × generalised
  Clebsch-Gordan coefficients × multiplicity of the monomial).

It needs neither mace-torch nor a global default dtype, and forces and virial come from one
gradient with respect to the pair vectors. Features are ((l, m), channels, atoms) throughout.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from ase.data import atomic_numbers
from torch import Tensor
from torch.nn.functional import silu

from aptnn_md.e3nn_compat import o3
from aptnn_md.errors import InputError
from aptnn_md.mace_sums import Pairs, monomials, polynomials, sum_over_neighbours

SILU_NORMALIZATION = 1.6791767923989418
"""1/sqrt(⟨silu(x)²⟩) for normally distributed x, as e3nn's ``normalize2mom`` estimates it."""

_COVERED: dict[str, Any] = {
    "interaction_cls": "RealAgnosticResidualInteractionBlock",
    "interaction_cls_first": "RealAgnosticResidualInteractionBlock",
    "gate": "silu",
    "radial_type": "bessel",
    "distance_transform": "None",
    "pair_repulsion": False,
    "apply_cutoff": True,
    "use_so3": False,
    "use_agnostic_product": False,
    "use_last_readout_only": False,
    "use_embedding_readout": False,
    "keep_last_layer_irreps": False,
    "readout_cls": "NonLinearReadoutBlock",
    "edge_irreps": None,
    "heads": ["Default"],
}
"""What is covered of the choices that ``ScaleShiftMACE`` offers."""


class MACENetwork(torch.nn.Module):
    """Energies of the atoms from their neighbour pairs.

    Parameters
    ----------
    configuration : the arguments of ``mace.modules.ScaleShiftMACE``, irreps and classes as text
    weights : its ``state_dict``
    walls : repulsion that keeps atoms out of distances that the network was never trained on, where
        it may well be attractive: for each pair of elements
        ``{"elements": ["O", "O"], "below": r₀ (Å), "strength": k (eV/Å³)}``, energy k (r₀ - r)³
        for r < r₀

    Attributes
    ----------
    atomic_numbers : elements that the network knows, ascending
    cutoff : Å
    atomic_energies : eV for each element, kept apart from the interaction energy so that single
        precision does not cut the latter off

    Raises
    ------
    InputError
        A kind of MACE that is not covered, or weights that do not belong to the configuration.
    """

    embedding: Tensor
    bessel: Tensor
    readout_inner: Tensor
    readout_outer: Tensor

    wall_distance: Tensor
    wall_strength: Tensor

    def __init__(
        self,
        configuration: Mapping[str, Any],
        weights: Mapping[str, Tensor],
        walls: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__()
        _check(configuration)
        self.atomic_numbers = tuple(int(z) for z in configuration["atomic_numbers"])
        self.cutoff = float(configuration["r_max"])
        self.envelope_power = int(configuration["num_polynomial_cutoff"])
        self.max_ell = int(configuration["max_ell"])
        try:
            self._take({name: tensor.double() for name, tensor in weights.items()}, configuration)
        except (KeyError, RuntimeError) as error:
            raise InputError(
                "MACE weights", "tensors", error, "those of the configuration"
            ) from error
        self._take_walls(walls)

    def _take(self, weights: Mapping[str, Tensor], configuration: Mapping[str, Any]) -> None:
        """Read the weights and fold e3nn's normalisations into them."""
        hidden = o3.Irreps(configuration["hidden_irreps"])
        n_elements, n_channels = len(self.atomic_numbers), hidden[0].mul
        last = int(configuration["num_interactions"]) - 1
        self.atomic_energies = weights["atomic_energies_fn.atomic_energies"].reshape(-1).tolist()
        self.scale = float(weights["scale_shift.scale"].reshape(-1)[0])
        self.shift = float(weights["scale_shift.shift"].reshape(-1)[0])
        self.prefactor = float(weights["radial_embedding.bessel_fn.prefactor"])
        self.register_buffer("bessel", weights["radial_embedding.bessel_fn.bessel_weights"])
        embedding = weights["node_embedding.linear.weight"].reshape(n_elements, n_channels)
        self.register_buffer("embedding", (embedding / math.sqrt(n_elements)).T[None])
        self.layers = torch.nn.ModuleList(
            _Layer(
                configuration,
                weights,
                t,
                l_in=0 if t == 0 else hidden.lmax,
                l_out=0 if t == last else hidden.lmax,
            )
            for t in range(last + 1)
        )
        for t in range(last):
            linear = weights[f"readouts.{t}.linear.weight"][:n_channels]
            self.register_buffer(f"readout_{t}", linear / math.sqrt(n_channels))
        inner = weights[f"readouts.{last}.linear_1.weight"].reshape(n_channels, -1).T
        outer = weights[f"readouts.{last}.linear_2.weight"] * SILU_NORMALIZATION
        self.register_buffer("readout_inner", inner / math.sqrt(n_channels))
        self.register_buffer("readout_outer", outer / math.sqrt(len(outer)))

    def _take_walls(self, walls: Sequence[Mapping[str, Any]]) -> None:
        n_elements = len(self.atomic_numbers)
        distance = torch.zeros(n_elements, n_elements, dtype=torch.float64)
        strength = torch.zeros_like(distance)
        for wall in walls:
            a, b = (self.atomic_numbers.index(atomic_numbers[name]) for name in wall["elements"])
            distance[a, b] = distance[b, a] = float(wall["below"])
            strength[a, b] = strength[b, a] = float(wall["strength"])
        self.register_buffer("wall_distance", distance)
        self.register_buffer("wall_strength", strength)

    def forward(self, pairs: Pairs, species: Tensor) -> Tensor:
        """Interaction energy (eV) of each atom, (n_atoms,).

        ``species`` (n_atoms,) are places in :attr:`atomic_numbers`.
        """
        r = torch.linalg.vector_norm(pairs.vectors, dim=1, keepdim=True)
        radial = self._radial(r)
        harmonics = o3.spherical_harmonics(
            list(range(self.max_ell + 1)), pairs.vectors, True, normalization="component"
        )
        features = self.embedding[:, :, species]
        energies = torch.zeros(len(species), dtype=radial.dtype, device=radial.device)
        for t, layer in enumerate(self.layers):
            features = layer(features, radial, harmonics, pairs, species)
            if t < len(self.layers) - 1:
                energies = energies + self.get_buffer(f"readout_{t}") @ features[0]
        energies = energies + self.readout_outer @ silu(self.readout_inner @ features[0])
        energies = self.scale * energies + self.shift
        half = 0.5 * self._walls(r[:, 0], species[pairs.first], species[pairs.second])
        return energies.index_add(0, pairs.first, half).index_add(0, pairs.second, half)

    def _walls(self, r: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """Repulsion of pairs closer than any in the training data, (n_pairs,), eV."""
        depth = (self.wall_distance[a, b] - r).clamp(min=0.0)
        result: Tensor = self.wall_strength[a, b] * depth**3
        return result

    def _radial(self, r: Tensor) -> Tensor:
        """Bessel functions times the cutoff's envelope, (n_pairs, n_bessel)."""
        x, p = r / self.cutoff, self.envelope_power
        bessel = self.prefactor * torch.sin(self.bessel * r) / r
        envelope = 1.0 - x**p * ((p + 1) * (p + 2) / 2 - p * (p + 2) * x + p * (p + 1) / 2 * x**2)
        result: Tensor = bessel * (envelope * (x < 1.0))
        return result


class _Layer(torch.nn.Module):
    """One round of messages, symmetric contraction and update.

    A path is (l of the neighbour's features, l of the harmonics, l of the message).
    """

    up: Tensor
    coupling: Tensor
    skip: Tensor
    polynomial: Tensor
    update: Tensor

    def __init__(
        self,
        configuration: Mapping[str, Any],
        weights: Mapping[str, Tensor],
        t: int,
        *,
        l_in: int,
        l_out: int,
    ) -> None:
        super().__init__()
        n_channels = o3.Irreps(configuration["hidden_irreps"])[0].mul
        interaction, product = f"interactions.{t}.", f"products.{t}."
        self.l_in, self.n_channels = l_in, n_channels
        self.max_ell, self.correlation = configuration["max_ell"], configuration["correlation"]
        self.n_elements = len(configuration["atomic_numbers"])
        self.paths = _paths(l_in, self.max_ell)
        self.register_buffer("coupling", _coupling(self.paths, l_in, self.max_ell))
        self.register_buffer(
            "up", _per_degree(weights[interaction + "linear_up.weight"], n_channels)
        )
        self.register_buffer("update", _per_degree(weights[product + "linear.weight"], n_channels))
        self._take_radial(weights, interaction, len(configuration["radial_MLP"]) + 1)
        self._take_mixing(
            weights[interaction + "linear.weight"], configuration["avg_num_neighbors"]
        )
        skip = weights[interaction + "skip_tp.weight"]
        skip = skip.reshape(-1, n_channels, self.n_elements, n_channels).permute(2, 0, 3, 1)
        skip = torch.stack([_repeat(s) for s in skip]) / math.sqrt(n_channels * self.n_elements)
        self.register_buffer("skip", skip)  # (element, (l, m), out, in)
        contraction = [
            _polynomial(
                weights,
                f"{product}symmetric_contractions.contractions.{ell}.",
                monomials((self.max_ell + 1) ** 2, self.correlation),
                ell,
            )
            for ell in range(l_out + 1)
        ]
        polynomial = torch.cat(contraction, dim=1).permute(3, 0, 1, 2).flatten(1, 2)
        self.register_buffer("polynomial", polynomial.contiguous())

    def _take_radial(self, weights: Mapping[str, Tensor], interaction: str, n_layers: int) -> None:
        self.n_radial = n_layers
        for n in range(n_layers):
            matrix = weights[f"{interaction}conv_tp_weights.layer{n}.weight"]
            matrix = matrix * ((SILU_NORMALIZATION if n > 0 else 1.0) / math.sqrt(len(matrix)))
            if n == n_layers - 1:
                # paths by the degree that they read, as the sums over neighbours want them
                order = sorted(range(len(self.paths)), key=lambda k: self.paths[k][0])
                matrix = matrix.reshape(-1, len(self.paths), self.n_channels)[:, order].flatten(1)
            self.register_buffer(f"radial_{n}", matrix)

    def _take_mixing(self, flat: Tensor, avg_num_neighbors: float) -> None:
        """Channel mixing of the messages; paths to one degree are summed."""
        blocks = flat.reshape(len(self.paths), self.n_channels, self.n_channels)
        for ell in range(self.max_ell + 1):
            matrix = blocks[[k for k, path in enumerate(self.paths) if path[2] == ell]].flatten(
                0, 1
            )
            matrix = matrix.T / (math.sqrt(len(matrix)) * avg_num_neighbors)
            self.register_buffer(f"mix_{ell}", matrix.contiguous())

    def forward(
        self, features: Tensor, radial: Tensor, harmonics: Tensor, pairs: Pairs, species: Tensor
    ) -> Tensor:
        """New features ((l, m) up to l_out, channels, n_atoms)."""
        messages = self._messages(self.up @ features, radial, harmonics, pairs)
        new = self.update @ self._contract(messages, species)
        residual = self.skip @ features[: self.skip.shape[1]]
        residual = residual.gather(0, species.expand(1, *residual.shape[1:3], -1))[0]
        return torch.cat([new[: len(residual)] + residual, new[len(residual) :]])

    def _messages(
        self, features: Tensor, radial: Tensor, harmonics: Tensor, pairs: Pairs
    ) -> Tensor:
        n_atoms, n_channels = features.shape[2], self.n_channels
        inner = radial
        for n in range(self.n_radial - 1):
            inner = silu(inner @ self.get_buffer(f"radial_{n}"))
        summed = sum_over_neighbours(
            inner,
            features.permute(2, 0, 1).contiguous(),
            harmonics,
            self.get_buffer(f"radial_{self.n_radial - 1}"),
            pairs,
            [sum(path[0] == l1 for path in self.paths) for l1 in range(self.l_in + 1)],
        )
        # -> ((path, m₁, l₂ m₂), channels * atoms), then Clebsch-Gordan, then channels
        summed = summed.reshape(n_atoms, -1, n_channels, harmonics.shape[1])
        coupled = self.coupling @ summed.permute(1, 3, 2, 0).flatten(0, 1).flatten(1)
        mixed, row = [], 0
        for ell in range(self.max_ell + 1):
            n_paths, d = sum(path[2] == ell for path in self.paths), 2 * ell + 1
            part = coupled[row : row + n_paths * d].reshape(n_paths, d, n_channels, n_atoms)
            part = part.transpose(0, 1).reshape(d, n_paths * n_channels, n_atoms)
            mixed.append(self.get_buffer(f"mix_{ell}") @ part)
            row += n_paths * d
        return torch.cat(mixed)

    def _contract(self, messages: Tensor, species: Tensor) -> Tensor:
        """Symmetric contraction: polynomials of the messages with the element's coefficients."""
        every = polynomials(messages, self.polynomial, self.correlation)
        every = every.reshape(self.n_channels, self.n_elements, -1, len(species))
        index = species.expand(self.n_channels, 1, every.shape[2], -1)
        return every.gather(1, index)[:, 0].transpose(0, 1)


def _check(configuration: Mapping[str, Any]) -> None:
    for name, expected in _COVERED.items():
        if configuration.get(name, expected) != expected:
            raise InputError("MACE configuration", name, configuration[name], expected)
    hidden = o3.Irreps(configuration["hidden_irreps"])
    natural = o3.Irreps([(hidden[0].mul, (ell, (-1) ** ell)) for ell in range(hidden.lmax + 1)])
    if list(hidden) != list(natural):
        raise InputError("MACE configuration", "hidden_irreps", hidden, natural)


def _paths(l_in: int, max_ell: int) -> list[tuple[int, int, int]]:
    """Paths of natural parity, sorted by the degree of the message (the order of the weights)."""
    degrees = itertools.product(range(l_in + 1), range(max_ell + 1), range(max_ell + 1))
    allowed = [
        (l1, l2, l3)
        for l1, l2, l3 in degrees
        if abs(l1 - l2) <= l3 <= l1 + l2 and (l1 + l2 + l3) % 2 == 0
    ]
    return sorted(allowed, key=lambda path: path[2])


def _coupling(paths: list[tuple[int, int, int]], l_in: int, max_ell: int) -> Tensor:
    """Clebsch-Gordan matrix ((path, m₃), (path by l₁, m₁, l₂ m₂)), component normalised."""
    by_l1 = [(k, l1) for l1 in range(l_in + 1) for k, path in enumerate(paths) if path[0] == l1]
    columns = [(k, m1) for k, l1 in by_l1 for m1 in range(2 * l1 + 1)]
    blocks = []
    for k, (l1, l2, l3) in enumerate(paths):
        w3j = o3.wigner_3j(l1, l2, l3, dtype=torch.float64) * math.sqrt(2 * l3 + 1)
        block = torch.zeros(2 * l3 + 1, len(columns), (max_ell + 1) ** 2, dtype=torch.float64)
        first = columns.index((k, 0))
        block[:, first : first + 2 * l1 + 1, l2**2 : (l2 + 1) ** 2] = w3j.permute(2, 0, 1)
        blocks.append(block)
    return torch.cat(blocks).flatten(1)


def _repeat(per_degree: Tensor) -> Tensor:
    """(l, ...) -> ((l, m), ...)."""
    repeats = torch.tensor([2 * ell + 1 for ell in range(len(per_degree))])
    return per_degree.repeat_interleave(repeats, dim=0)


def _per_degree(flat: Tensor, n_channels: int) -> Tensor:
    """Weights of an ``o3.Linear`` that keeps the irreps -> ((l, m), out, in)."""
    matrices = flat.reshape(-1, n_channels, n_channels) / math.sqrt(n_channels)
    return _repeat(matrices.transpose(1, 2))


def _polynomial(
    weights: Mapping[str, Tensor], prefix: str, by_degree: list[list[tuple[int, ...]]], ell: int
) -> Tensor:
    """Coefficients (element, m, monomial, channel) for one degree of the output."""
    parts = []
    for nu, products in enumerate(by_degree, start=1):
        name = "weights_max" if nu == len(by_degree) else f"weights.{len(by_degree) - 1 - nu}"
        u = weights[f"{prefix}U_matrix_{nu}"]
        u = u.reshape(2 * ell + 1, *u.shape[-nu - 1 :])  # (m, i₁ … i_ν, parameter)
        orders = itertools.permutations(range(1, nu + 1))
        u = torch.stack([u.permute(0, *order, nu + 1) for order in orders]).mean(0)
        multiplicity = [
            math.factorial(nu) / math.prod(math.factorial(n) for n in Counter(p).values())
            for p in products
        ]
        chosen = u[(slice(None), *torch.tensor(products).T)]
        chosen = chosen * torch.tensor(multiplicity, dtype=u.dtype)[:, None]
        parts.append(torch.einsum("mqk,ekc->emqc", chosen, weights[prefix + name]))
    return torch.cat(parts, dim=2)
