"""The ``dipole`` network: charges that depend on the environment, atomic dipoles, and APTs as their
exact derivative.

On the features of the ``ace`` network stand two local quantities:

* flows of charge along the edges, j_ij = F_ij − F_ji from j to i, where F_ij = Σ_k g_k(r_ij) a_ik
  b_jk with a and b scalars of the two atoms. They vanish smoothly at the cutoff. The charge of an
  atom is q_i = q⁰_i + Σ_j j_ij; as flows are antisymmetric, charges add up to Σ q⁰ = Q exactly;
* atomic dipoles μ_i (1o), which the setting ``atomic_dipoles`` can switch off. Charges alone are
  the model of Gastegger, Behler and Marquetand, Chem. Sci. 8, 6924 (2017).

The dipole is M = Σ_i q⁰_i r_i + Σ_i (μ_i − Σ_j F_ij r_ij), where r_ij is the vector of the edge
from i to j. For a finite system this is Σ_i q_i r_i + μ_i. For a periodic one the second sum is as
local as the flows: it has no branches, and is continuous when an atom crosses the boundary of the
cell. Its derivatives add up to nothing, as it depends on edge vectors alone, so Σ_i P_i =
Σ_i q⁰_i 1 = Q·1 without any projection.

The reference charges q⁰ do not depend on the geometry, only on what the structure is made of: the
``formal_charges`` of its elements, 0 by default, and the rest of Q, which the elements share in
proportions that are learned. Where all of them are 0, as in neutral systems without formal charges,
M is the local sum alone. Else the positions in Σ q⁰_i r_i decide: the origin is that of the
coordinates, and in periodic systems M changes by a quantum q⁰_i L when an atom is wrapped into the
cell by a lattice vector L; there the changes of M along unwrapped positions have a meaning.

Limits: charge flows over one or several edges, never between parts of a system that are farther
apart than the cutoff. Such parts keep the charge that their elements bring along. Ions that diffuse
or are far apart need ``formal_charges`` (Na 1, Cl −1), without which a neutral system's M returns
to the same value whenever the atoms, or images of them, return to the same places, and nothing
conducts. A charge that hops from molecule to molecule, such as an excess proton in water, has
the right Σ_i P_i, but is spread by the shares beyond the reach of the flows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from ase.data import atomic_numbers
from torch import Tensor, nn
from torch.autograd import forward_ad

from aptnn_md.atoms.neighbours import Graph
from aptnn_md.models.ace import ACENetwork
from aptnn_md.models.cartesian import cartesian_basis
from aptnn_md.models.chunks import edges_at_once
from aptnn_md.models.dipole_geometry import DipoleConfig, DipoleGeometry, edges_of
from aptnn_md.models.duals import bilinear, elementwise, forward_mode, in_forward_mode, linear
from aptnn_md.models.layers import ElementMLP, Readout
from aptnn_md.models.pair_tables import PairTables
from aptnn_md.models.radial import bessel_functions
from aptnn_md.targets import APT

FLOW_RADIAL = 8
"""Radial functions of the flows."""


class Moments(NamedTuple):
    """What the network says of atoms and edges.

    Attributes
    ----------
    flows : (n_edges,): F_ij, e, from centre i to neighbour j
    dipoles : (n_atoms, 3): μ_i, e Å; None without atomic dipoles
    """

    flows: Tensor
    dipoles: Tensor | None


class _MomentReadout(nn.Module):
    """Features of an atom -> (n_atoms, 2 flow_channels [+ 3]): a, b and the atomic dipole."""

    def __init__(self, config: DipoleConfig) -> None:
        super().__init__()
        n_elements, n_channels = len(config.elements), config.n_channels
        self.scalars = ElementMLP(n_elements, n_channels, 64, 2 * config.flow_channels)
        self.vector = (
            Readout(n_elements, n_channels, config.lmax, "1x1o") if config.atomic_dipoles else None
        )

    def forward(self, x: Tensor, element: int) -> Tensor:
        scalars: Tensor = self.scalars(x[:, 0], element).T
        if self.vector is None:
            return scalars
        return torch.cat([scalars, self.vector(x, element)], dim=1)


class DipoleNetwork(nn.Module):
    """Dipoles of structures, charges of their atoms, and APTs; see the module's docstring.

    ``network(network.geometry(graph))`` gives the APTs as (n_atoms, target_irreps.dim), e.
    """

    formal: Tensor
    apt_basis: Tensor

    def __init__(self, config: DipoleConfig) -> None:
        super().__init__()
        self.config = config
        self.body = ACENetwork(config.body, _MomentReadout(config))
        self.radial_weight = nn.Parameter(
            torch.randn(config.flow_channels, FLOW_RADIAL) / math.sqrt(FLOW_RADIAL)
        )
        # logarithms of the elements' shares of the charge
        self.share = nn.Parameter(torch.zeros(len(config.elements)))
        charges = {atomic_numbers[symbol]: q for symbol, q in config.formal_charges.items()}
        formal = torch.tensor([charges.get(z, 0.0) for z in config.elements], dtype=torch.float64)
        self.register_buffer("formal", formal, persistent=False)
        _, basis = cartesian_basis(APT.index_symmetry)
        self.register_buffer("apt_basis", basis, persistent=False)

    @staticmethod
    def least_weights(config: DipoleConfig) -> int:
        """How many numbers a network of a configuration has at least, known before it is made."""
        return ACENetwork.least_weights(config.body) + FLOW_RADIAL * config.flow_channels

    def geometry(self, graph: Graph) -> DipoleGeometry:
        """Edges of a graph whose elements are all in the configuration; a charge not given is 0."""
        return edges_of(graph, self.config.elements, self.radial_weight)

    def geometry_of_tables(self, tables: PairTables, charges: Tensor) -> DipoleGeometry:
        """The same of tables on the network's device, whose atoms are sorted by element.

        Parameters
        ----------
        tables : their places are the edges; those of no neighbour have a flow of zero
        charges : (n_structures,), e
        """
        vectors = tables.vectors(slice(0, tables.bounds[-1])).to(self.radial_weight.dtype)
        return DipoleGeometry(
            pairs=tables,
            species=tables.species,
            structures=tables.structures.structure_of_atom,
            charges=charges.to(vectors.dtype),
            centres=tables.centres(),
            neighbours=tables.neighbours.flatten(),
            edge_vectors=vectors.flatten(1).T.contiguous(),
            order=tables.structures.order,
        )

    def fit_scales(self, geometries: Sequence[DipoleGeometry]) -> None:
        """Set the scales of the body's inputs, see :meth:`ACENetwork.fit_scales`."""
        self.body.fit_scales([each.densities(self.body, each.edge_vectors) for each in geometries])

    # ------------------------------------------------------------------ what it says

    def moments(self, geometry: DipoleGeometry, edge_vectors: Tensor | None = None) -> Moments:
        """Flows and atomic dipoles, with other edge vectors than the geometry's if given."""
        vectors = geometry.edge_vectors if edge_vectors is None else edge_vectors
        channels = self.config.flow_channels
        outputs = self.body(geometry.densities(self.body, vectors))
        gives, takes = outputs[:, :channels], outputs[:, channels : 2 * channels]
        step = edges_at_once(vectors.device)
        if torch.is_grad_enabled():
            step = max(1, len(vectors))
        flows = [
            self._flows(geometry, vectors, gives, takes, slice(first, first + step))
            for first in range(0, max(1, len(vectors)), step)
        ]
        dipoles = outputs[:, 2 * channels :] if self.config.atomic_dipoles else None
        return Moments(torch.cat(flows), dipoles)

    def _flows(
        self, geometry: DipoleGeometry, vectors: Tensor, gives: Tensor, takes: Tensor, edges: slice
    ) -> Tensor:
        """F of some edges."""
        radial = self._radial(vectors[edges])
        gives = gives.index_select(0, geometry.centres[edges])
        takes = takes.index_select(0, geometry.neighbours[edges])
        if in_forward_mode():
            return bilinear(_row_products, bilinear(_products, gives, takes), radial)
        return _row_products([(_products([(gives, takes)]), radial)])

    def _radial(self, vectors: Tensor) -> Tensor:
        """g(r) / flow_channels, (n_edges, flow_channels)."""

        def functions(vectors: Tensor) -> tuple[Tensor]:
            distances = vectors.square().sum(dim=1).sqrt()
            return (torch.stack(bessel_functions(distances, self.config.cutoff, FLOW_RADIAL)),)

        weight = self.radial_weight.T / self.config.flow_channels
        if in_forward_mode():
            return linear(lambda x: x.T @ weight, *elementwise(functions, vectors))
        return functions(vectors)[0].T @ weight

    def reference_charges(self, geometry: DipoleGeometry) -> Tensor:
        """q⁰, (n_atoms,), e: what the elements bring along and their shares of the rest of Q."""
        formal = self.formal[geometry.species].to(self.share.dtype)
        shares = self.share.exp()[geometry.species]
        rest = geometry.charges - geometry.sum_of_structures(formal)
        rest = rest / geometry.sum_of_structures(shares)
        return formal + shares * rest[geometry.structures]

    def charges(self, geometry: DipoleGeometry) -> Tensor:
        """q, (n_atoms,), e; of each structure they add up to Q."""
        flows = self.moments(geometry).flows
        charges = self.reference_charges(geometry).index_add(0, geometry.centres, flows)
        return charges.index_add(0, geometry.neighbours, -flows)

    def local_dipoles(self, geometry: DipoleGeometry, edge_vectors: Tensor | None = None) -> Tensor:
        """M of each structure without Σ q⁰_i r_i, (n_structures, 3), e Å."""
        vectors = geometry.edge_vectors if edge_vectors is None else edge_vectors
        flows, dipoles = self.moments(geometry, vectors)
        of_atoms = vectors.new_zeros(len(geometry.species), 3) if dipoles is None else dipoles
        of_atoms = of_atoms.index_add(0, geometry.centres, -flows.unsqueeze(1) * vectors)
        return geometry.sum_of_structures(of_atoms)

    def dipole_rates(self, geometry: DipoleGeometry, velocities: Tensor) -> tuple[Tensor, Tensor]:
        """Local dipoles and Ṁ (whole), each (n_structures, 3), by one derivative in forward mode.

        Parameters
        ----------
        geometry : of the structures
        velocities : (n_atoms, 3); Ṁ has their unit times e
        """
        with forward_mode():
            along = geometry.change_along_edges(velocities)
            vectors = forward_ad.make_dual(geometry.edge_vectors, along)
            dipoles, rates = forward_ad.unpack_dual(self.local_dipoles(geometry, vectors))
        charges = self.reference_charges(geometry)
        reference = geometry.sum_of_structures(charges.unsqueeze(1) * velocities)
        return dipoles, reference if rates is None else rates + reference

    def polar_tensors(self, geometry: DipoleGeometry) -> tuple[Tensor, Tensor]:
        """Local dipoles (n_structures, 3), e Å, and P = ∂M/∂r, (n_atoms, 3, 3), e, by reverse mode.

        Both can be differentiated with respect to the weights where gradients are enabled.
        """
        like = geometry.edge_vectors
        axes = torch.eye(3, device=like.device, dtype=like.dtype)
        dipoles, rows = self._polar_rows(geometry, [axes[k].expand(1, 3) for k in range(3)])
        return dipoles, torch.stack(rows, dim=1)

    def polar_rows(self, geometry: DipoleGeometry, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Local dipoles (n_structures, 3) and u·P, (n_atoms, 3), for one direction u a structure.

        It takes about a third of the work of :meth:`polar_tensors`.

        Parameters
        ----------
        geometry : of the structures
        directions : (n_structures, 3)
        """
        dipoles, (rows,) = self._polar_rows(geometry, [directions])
        return dipoles, rows

    def _polar_rows(
        self, geometry: DipoleGeometry, directions: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Local dipoles, and u·P of each of several directions (n_structures or 1, 3)."""
        differentiable = torch.is_grad_enabled()
        charges = self.reference_charges(geometry).unsqueeze(1)
        with torch.enable_grad():
            vectors = geometry.edge_vectors.detach().requires_grad_()
            dipoles = self.local_dipoles(geometry, vectors)
            rows = []
            for number, direction in enumerate(directions, start=1):
                (of_edges,) = torch.autograd.grad(
                    (dipoles * direction).sum(),
                    vectors,
                    retain_graph=differentiable or number < len(directions),
                    create_graph=differentiable,
                )
                of_atoms = direction.expand_as(dipoles)[geometry.structures] * charges
                of_atoms = of_atoms.index_add(0, geometry.neighbours, of_edges)
                rows.append(of_atoms.index_add(0, geometry.centres, -of_edges))
        if differentiable:
            return dipoles, rows
        return dipoles.detach(), [row.detach() for row in rows]

    def forward(self, geometry: DipoleGeometry) -> Tensor:
        _, tensors = self.polar_tensors(geometry)
        return tensors.flatten(1) @ self.apt_basis.flatten(1).T


def _products(terms: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Sum over pairs of their products, element by element."""
    (x, y), *others = terms
    products = x * y
    for x, y in others:
        products = torch.addcmul(products, x, y)
    return products


def _row_products(terms: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Sum over pairs of the scalar products of their rows, (n, k), (n, k) -> (n,)."""
    products = [torch.linalg.vecdot(x, y) for x, y in terms]
    return products[0] if len(products) == 1 else products[0] + products[1]
