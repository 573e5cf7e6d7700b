"""A small MACE potential, evaluated fast on one core.

The network is that of Batatia et al., "MACE" (NeurIPS 2022), as mace-torch trains it
(``ScaleShiftMACE``); its weights are read under mace-torch's own names. Only the order of the
sums differs:

* pairs are kept once: lengths, radial functions and spherical harmonics serve both directions;
* messages are summed over the neighbours before the Clebsch-Gordan contraction,
  ``S[m₂, p, m₁, c] = Σ_j Y_m₂(ij) R_pc(ij) h_c,m₁(j)``, so the contraction is done once an atom,
  not once an edge;
* the symmetric contraction is a polynomial in each channel's features: its monomials are made
  once and multiplied by one matrix of folded coefficients (weights × generalised
  Clebsch-Gordan coefficients × multiplicity of the monomial).

It needs neither mace-torch nor a global default dtype, and forces and virial come from one
gradient with respect to the pair vectors.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aptnn_md.arrays import IntArray
from aptnn_md.e3nn_compat import o3
from aptnn_md.errors import InputError
from aptnn_md.graph import Graph
from aptnn_md.mace_sums import Pairs, Polynomials, SumOverNeighbours, monomials

SILU_NORMALIZATION = 1.6791767923989418
"""1/sqrt(⟨silu(x)²⟩) for normally distributed x, as e3nn's ``normalize2mom`` estimates it."""

_FIXED: dict[str, Any] = {
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
"""What this implementation covers of the choices that ``ScaleShiftMACE`` offers."""


class MACENetwork(torch.nn.Module):
    """Energies of the atoms from their neighbour pairs.

    Parameters
    ----------
    configuration : the arguments of ``mace.modules.ScaleShiftMACE``, irreps and classes as text
    weights : its ``state_dict``

    Attributes
    ----------
    atomic_numbers : elements that the network knows, ascending
    cutoff : Å
    atomic_energies : eV for each element, float64, kept apart from the interaction energy so
        that single precision does not cut the latter off

    Raises
    ------
    InputError
        A kind of MACE that this implementation does not cover, or weights that do not belong to
        the configuration.
    """

    def __init__(self, configuration: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        _check_configuration(configuration)
        weights = {name: array.double() for name, array in weights.items()}
        hidden = o3.Irreps(configuration["hidden_irreps"])
        n_layers = int(configuration["num_interactions"])
        self.atomic_numbers = tuple(int(z) for z in configuration["atomic_numbers"])
        self.cutoff = float(configuration["r_max"])
        self.envelope_power = int(configuration["num_polynomial_cutoff"])
        self.max_ell = int(configuration["max_ell"])
        self.register_buffer("bessel", weights["radial_embedding.bessel_fn.bessel_weights"])
        self.atomic_energies = weights["atomic_energies_fn.atomic_energies"].reshape(-1).tolist()
        n_elements, n_channels = len(self.atomic_numbers), hidden[0].mul
        embedding = weights["node_embedding.linear.weight"].reshape(n_elements, n_channels)
        # channels first, atoms last: the layout of all features below, (2l+1, channels, atoms)
        self.register_buffer("embedding", (embedding / math.sqrt(n_elements)).T[None])
        self.layers = torch.nn.ModuleList()
        for t in range(n_layers):
            self.layers.append(
                _Layer(
                    configuration,
                    weights,
                    t,
                    l_in=0 if t == 0 else hidden.lmax,
                    l_out=0 if t == n_layers - 1 else hidden.lmax,
                )
            )
        last = n_layers - 1
        for t in range(last):
            self.register_buffer(
                f"readout_{t}",
                weights[f"readouts.{t}.linear.weight"][:n_channels] / math.sqrt(n_channels),
            )
        inner = o3.Irreps(configuration["MLP_irreps"]).dim
        self.register_buffer(
            "readout_inner",
            weights[f"readouts.{last}.linear_1.weight"].reshape(n_channels, inner).T
            / math.sqrt(n_channels),
        )
        self.register_buffer(
            "readout_outer",
            weights[f"readouts.{last}.linear_2.weight"] * SILU_NORMALIZATION / math.sqrt(inner),
        )
        self.scale = float(weights["scale_shift.scale"].reshape(-1)[0])
        self.shift = float(weights["scale_shift.shift"].reshape(-1)[0])

    def forward(self, pairs: Pairs, species: Tensor) -> Tensor:
        """Interaction energy (eV) of each atom, (n_atoms,).

        ``species`` (n_atoms,) are places in :attr:`atomic_numbers`.
        """
        n_atoms = len(species)
        radial = self._radial(pairs.vectors)
        harmonics = self._harmonics(pairs.vectors)
        features = self.embedding[:, :, species]
        energies = torch.zeros(n_atoms, dtype=radial.dtype, device=radial.device)
        for t, layer in enumerate(self.layers):
            features = layer(features, radial, harmonics, pairs, species)
            if t < len(self.layers) - 1:
                energies = energies + getattr(self, f"readout_{t}") @ features[0]
        inner = torch.nn.functional.silu(self.readout_inner @ features[0])
        energies = energies + self.readout_outer @ inner
        return self.scale * energies + self.shift

    def _radial(self, vectors: Tensor) -> Tensor:
        """Bessel functions times the cutoff's envelope, (n_pairs, n_bessel)."""
        r = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
        x, p = r / self.cutoff, self.envelope_power
        bessel = math.sqrt(2.0 / self.cutoff) * torch.sin(self.bessel * r) / r
        envelope = 1.0 - x**p * ((p + 1) * (p + 2) / 2 - p * (p + 2) * x + p * (p + 1) / 2 * x**2)
        return bessel * (envelope * (x < 1.0))

    def _harmonics(self, vectors: Tensor) -> Tensor:
        """Spherical harmonics of the pair vectors, (n_pairs, (l, m))."""
        degrees = list(range(self.max_ell + 1))
        harmonics: Tensor = o3.spherical_harmonics(degrees, vectors, True, "component")
        return harmonics


class _Layer(torch.nn.Module):
    """One message-passing round: messages, symmetric contraction, update."""

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
        n_elements = len(configuration["atomic_numbers"])
        interaction, product = f"interactions.{t}.", f"products.{t}."
        self.l_in, self.l_out, self.n_channels = l_in, l_out, n_channels
        self.max_ell = int(configuration["max_ell"])
        self.paths = _paths(l_in, self.max_ell)

        up = weights[interaction + "linear_up.weight"].reshape(l_in + 1, n_channels, n_channels)
        self.register_buffer("up", _per_component(up / math.sqrt(n_channels)).transpose(1, 2))
        self.n_radial = 0
        for n in range(len(configuration["radial_MLP"]) + 1):
            matrix = weights[f"{interaction}conv_tp_weights.layer{n}.weight"]
            factor = SILU_NORMALIZATION if n > 0 else 1.0
            matrix = matrix * (factor / math.sqrt(matrix.shape[0]))
            if n == len(configuration["radial_MLP"]):
                # paths sorted by the degree that they read, as the messages are made
                order = sorted(range(len(self.paths)), key=lambda k: self.paths[k][0])
                matrix = matrix.reshape(-1, len(self.paths), n_channels)[:, order].flatten(1)
            self.register_buffer(f"radial_{n}", matrix)
            self.n_radial += 1
        self.register_buffer("coupling", _coupling(self.paths, l_in, self.max_ell))
        self._mixing(
            weights[interaction + "linear.weight"], float(configuration["avg_num_neighbors"])
        )

        skip = weights[interaction + "skip_tp.weight"].reshape(
            -1, n_channels, n_elements, n_channels
        )
        skip = skip.permute(0, 2, 3, 1) / math.sqrt(n_channels * n_elements)
        # -> (element, (l, m), out, in)
        self.register_buffer("skip", _per_component(skip).transpose(0, 1).contiguous())
        correlation = int(configuration["correlation"])
        self.monomials = monomials((self.max_ell + 1) ** 2, correlation)
        self.correlation = correlation
        coefficients = torch.cat(
            [
                _polynomial(
                    weights, f"{product}symmetric_contractions.contractions.{l}.", self.monomials, l
                )
                for l in range(l_out + 1)
            ],
            dim=1,
        )  # (element, (l, m), monomial, channel)
        self.n_elements = n_elements
        self.register_buffer(
            "polynomial", coefficients.permute(3, 0, 1, 2).flatten(1, 2).contiguous()
        )
        linear = weights[product + "linear.weight"].reshape(l_out + 1, n_channels, n_channels)
        self.register_buffer(
            "update", _per_component(linear / math.sqrt(n_channels)).transpose(1, 2).contiguous()
        )

    def _mixing(self, flat: Tensor, avg_num_neighbors: float) -> None:
        """Channel mixing of the messages; paths to one degree are summed."""
        blocks = flat.reshape(len(self.paths), self.n_channels, self.n_channels)
        for l in range(self.max_ell + 1):
            to_l = [k for k, path in enumerate(self.paths) if path[2] == l]
            fan_in = len(to_l) * self.n_channels
            matrix = blocks[to_l].flatten(0, 1).T / (math.sqrt(fan_in) * avg_num_neighbors)
            self.register_buffer(f"mix_{l}", matrix.contiguous())

    def forward(
        self, features: Tensor, radial: Tensor, harmonics: Tensor, pairs: Pairs, species: Tensor
    ) -> Tensor:
        """New features ((l, m) up to l_out, channels, n_atoms)."""
        messages = self._messages(self.up @ features, radial, harmonics, pairs)
        new = self.update @ self._contract(messages, species)
        residual = self._residual(features, species)
        return torch.cat([new[: len(residual)] + residual, new[len(residual) :]])

    def _messages(
        self, features: Tensor, radial: Tensor, harmonics: Tensor, pairs: Pairs
    ) -> Tensor:
        n_atoms, n_channels = features.shape[2], self.n_channels
        inner = radial
        for n in range(self.n_radial - 1):
            inner = torch.nn.functional.silu(inner @ getattr(self, f"radial_{n}"))
        last = getattr(self, f"radial_{self.n_radial - 1}")
        by_atom = features.permute(2, 0, 1).contiguous()
        paths = [sum(path[0] == l1 for path in self.paths) for l1 in range(self.l_in + 1)]
        summed = SumOverNeighbours.apply(inner, by_atom, harmonics, last, pairs, paths)
        summed = summed.reshape(n_atoms, -1, n_channels, harmonics.shape[1])
        # -> ((path, m1, l2, m2), channels, atoms), then Clebsch-Gordan
        coupled = (self.coupling @ summed.permute(1, 3, 2, 0).flatten(0, 1).flatten(1)).reshape(
            -1, n_channels, n_atoms
        )
        return self._mix(coupled, n_atoms)

    def _mix(self, coupled: Tensor, n_atoms: int) -> Tensor:
        mixed, row = [], 0
        for l in range(self.max_ell + 1):
            n_paths = sum(path[2] == l for path in self.paths)
            d = 2 * l + 1
            part = coupled[row : row + n_paths * d].reshape(n_paths, d, self.n_channels, n_atoms)
            row += n_paths * d
            part = part.transpose(0, 1).reshape(d, n_paths * self.n_channels, n_atoms)
            mixed.append(getattr(self, f"mix_{l}") @ part)
        return torch.cat(mixed)

    def _contract(self, a: Tensor, species: Tensor) -> Tensor:
        """Symmetric contraction of ((l, m), channels, atoms) to ((l, m) up to l_out, ...)."""
        every = Polynomials.apply(a, self.polynomial, self.correlation)
        every = every.reshape(self.n_channels, self.n_elements, -1, a.shape[2])
        index = species.expand(self.n_channels, 1, every.shape[2], -1)
        return every.gather(1, index)[:, 0].transpose(0, 1)

    def _residual(self, features: Tensor, species: Tensor) -> Tensor:
        every = self.skip @ features[: self.skip.shape[1]]
        return every.gather(0, species.expand(1, *every.shape[1:3], -1))[0]


def _check_configuration(configuration: Mapping[str, Any]) -> None:
    for name, expected in _FIXED.items():
        if configuration.get(name, expected) != expected:
            raise InputError("MACE configuration", name, configuration[name], expected)
    hidden = o3.Irreps(configuration["hidden_irreps"])
    natural = [(hidden[0].mul, (l, (-1) ** l)) for l in range(hidden.lmax + 1)]
    if list(hidden) != list(o3.Irreps(natural)):
        raise InputError("MACE configuration", "hidden_irreps", hidden, o3.Irreps(natural))


def _paths(l_in: int, max_ell: int) -> list[tuple[int, int, int]]:
    """(l of the neighbour, l of the harmonics, l of the message), sorted by the last."""
    degrees = itertools.product(range(l_in + 1), range(max_ell + 1), range(max_ell + 1))
    allowed = [
        (l1, l2, l3)
        for l1, l2, l3 in degrees
        if abs(l1 - l2) <= l3 <= l1 + l2 and (l1 + l2 + l3) % 2 == 0
    ]
    return sorted(allowed, key=lambda path: path[2])


def _coupling(paths: list[tuple[int, int, int]], l_in: int, max_ell: int) -> Tensor:
    """Clebsch-Gordan matrix ((path, m₃), (path by l₁, m₁, l₂ m₂)), component normalised."""
    columns = [
        (k, m1)
        for l1 in range(l_in + 1)
        for k, p in enumerate(paths)
        if p[0] == l1
        for m1 in range(2 * l1 + 1)
    ]
    place = {column: n for n, column in enumerate(columns)}
    n_rows = sum(2 * path[2] + 1 for path in paths)
    matrix = torch.zeros(n_rows, len(columns), (max_ell + 1) ** 2, dtype=torch.float64)
    row = 0
    for k, (l1, l2, l3) in enumerate(paths):
        w3j = o3.wigner_3j(l1, l2, l3, dtype=torch.float64) * math.sqrt(2 * l3 + 1)
        for m1 in range(2 * l1 + 1):
            matrix[row : row + 2 * l3 + 1, place[k, m1], l2**2 : (l2 + 1) ** 2] = w3j[m1].T
        row += 2 * l3 + 1
    return matrix.flatten(1)


def _per_component(matrices: Tensor) -> Tensor:
    """(l, ...) -> ((l, m), ...)."""
    repeats = torch.tensor([2 * l + 1 for l in range(len(matrices))])
    return matrices.repeat_interleave(repeats, dim=0)


def _polynomial(
    weights: Mapping[str, Tensor], prefix: str, monomials: list[list[tuple[int, ...]]], l: int
) -> Tensor:
    """Coefficients (element, m, monomial, channel) of one output degree."""
    parts = []
    correlation = len(monomials)
    for nu, products in enumerate(monomials, start=1):
        name = "weights_max" if nu == correlation else f"weights.{correlation - 1 - nu}"
        u = weights[f"{prefix}U_matrix_{nu}"]
        u = u.reshape(2 * l + 1, *u.shape[-nu - 1 :])  # (m, i₁ … i_ν, parameter)
        places = torch.tensor(products).T
        multiplicity = [
            math.factorial(nu) // math.prod(math.factorial(n) for n in Counter(p).values())
            for p in products
        ]
        # the U tensors are symmetric only after the sum over orders of the indices
        symmetric = torch.stack(
            [
                u.permute(0, *(1 + i for i in order), nu + 1)
                for order in itertools.permutations(range(nu))
            ]
        ).mean(0)
        chosen = symmetric[(slice(None), *places)] * torch.tensor(multiplicity)[:, None]
        parts.append(torch.einsum("mqk,ekc->emqc", chosen, weights[prefix + name]))
    return torch.cat(parts, dim=2)
