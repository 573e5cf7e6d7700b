"""The ``polarizability`` network: local symmetric tensors, and PGTs as the derivative of their sum.

On the features of the ``ace`` network stand symmetric tensors of the atoms, a_i (0e + 2e). The
polarizability (volume) of a structure is their sum, α = Σ_i c_i 1 + a_i, with a constant c of each
element. It depends on edge vectors alone, so it is single-valued and continuous in periodic systems
as in finite ones, and its derivatives PGT_i = ∂α/∂r_i add up to nothing without any projection.
They are exact, and so is α̇ = Σ_i PGT_i·v_i, by one derivative in forward mode.

Limits: parts of a system that are farther apart than the network's cutoffs reach do not polarize
each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from aptnn_md.atoms.neighbours import Graph
from aptnn_md.errors import InputError
from aptnn_md.models.ace import ACENetwork
from aptnn_md.models.cartesian import cartesian_basis
from aptnn_md.models.densities import ACEConfig
from aptnn_md.models.dipole_geometry import DipoleGeometry, edges_of
from aptnn_md.models.duals import forward_mode
from aptnn_md.targets import PGT

SYMMETRIC = "ij=ji"
"""Index symmetry of polarizabilities."""

LENGTH = 1.0
"""Å, over which polarizabilities change by as much as they vary."""


@dataclass(frozen=True)
class PolarizabilityConfig(ACEConfig):
    """Shape of a :class:`PolarizabilityNetwork`, that of its ``ace`` body."""

    def __post_init__(self) -> None:
        super().__post_init__()
        irreps, _ = cartesian_basis(PGT.index_symmetry)
        if self.target_irreps != str(irreps):
            expected = f"{irreps}, those of PGTs: --target polarizability or pgt"
            raise InputError(
                "network polarizability", "target_irreps", self.target_irreps, expected
            )

    @property
    def body(self) -> ACEConfig:
        """Shape of the ``ace`` network that gives the tensors of the atoms."""
        irreps, _ = cartesian_basis(SYMMETRIC)
        own = {f.name: getattr(self, f.name) for f in fields(ACEConfig)}
        return ACEConfig(**{**own, "target_irreps": str(irreps)})


class PolarizabilityNetwork(nn.Module):
    """Polarizabilities of structures and PGTs; see the module's docstring.

    ``network(network.geometry(graph))`` gives the PGTs as (n_atoms, target_irreps.dim), Å².
    """

    constant: Tensor
    size: Tensor
    tensor_basis: Tensor
    pgt_basis: Tensor

    def __init__(self, config: PolarizabilityConfig) -> None:
        super().__init__()
        self.config = config
        self.body = ACENetwork(config.body)
        # Å³: of one atom of each element, and what is learned of an atom in units of
        self.register_buffer("constant", torch.ones(len(config.elements)))
        self.register_buffer("size", torch.ones(()))
        for name, symmetry in (("tensor", SYMMETRIC), ("pgt", PGT.index_symmetry)):
            _, basis = cartesian_basis(symmetry)
            self.register_buffer(f"{name}_basis", basis, persistent=False)

    @staticmethod
    def least_weights(config: PolarizabilityConfig) -> int:
        """How many numbers a network of a configuration has at least, known before it is made."""
        return ACENetwork.least_weights(config.body) + len(config.elements)

    def geometry(self, graph: Graph) -> DipoleGeometry:
        """Edges of a graph whose elements are all in the configuration; charges are not read."""
        return edges_of(graph, self.config.elements, self.constant)

    def fit_scales(self, geometries: Sequence[DipoleGeometry]) -> None:
        """Set the scales of the body's inputs, see :meth:`ACENetwork.fit_scales`."""
        self.body.fit_scales([each.densities(self.body, each.edge_vectors) for each in geometries])

    @torch.no_grad()
    def fit_polarizabilities(self, compositions: Tensor, polarizabilities: Tensor) -> float:
        """Set the elements' constants to what fits labels best, and the scale of the rest.

        Parameters
        ----------
        compositions : (n_structures, n_elements): atoms of each element
        polarizabilities : (n_structures, 3, 3), Å³

        Returns
        -------
        root mean square of what the constants leave, Å³
        """
        compositions, tensors = compositions.double(), polarizabilities.double()
        isotropic = tensors.diagonal(dim1=1, dim2=2).mean(dim=1)
        # of all that fit alike, as for one composition, the smallest
        constant = torch.linalg.pinv(compositions) @ isotropic
        one = torch.eye(3).to(tensors)
        rest = tensors - (compositions @ constant)[:, None, None] * one
        spread = rest.square().mean().sqrt()
        self.constant.copy_(constant)
        if spread > 0.0:
            # what atoms add is independent
            self.size.copy_(3.0 * spread / compositions.sum(dim=1).mean().sqrt())
        return float(spread)

    @torch.no_grad()
    def fit_gradients(self, tensors: Tensor) -> None:
        """Set the scale of what is learned from PGTs, (n, 3, 3, 3), Å².

        They vary over about :data:`LENGTH`.
        """
        spread = tensors.square().mean().sqrt()
        if spread > 0.0:
            self.size.copy_(LENGTH * spread)

    # ------------------------------------------------------------------ what it says

    def polarizabilities(
        self, geometry: DipoleGeometry, edge_vectors: Tensor | None = None
    ) -> Tensor:
        """α of each structure, (n_structures, 3, 3), Å³, with other edge vectors if given."""
        vectors = geometry.edge_vectors if edge_vectors is None else edge_vectors
        local = self.body(geometry.densities(self.body, vectors))
        local = geometry.sum_of_structures(self.size * local)
        sums = torch.tensordot(local, self.tensor_basis, dims=1)
        constants = geometry.sum_of_structures(self.constant[geometry.species])
        return sums + constants[:, None, None] * torch.eye(3).to(sums)

    def rates(self, geometry: DipoleGeometry, velocities: Tensor) -> tuple[Tensor, Tensor]:
        """α and α̇ of each structure, (n_structures, 3, 3), by one derivative in forward mode.

        Parameters
        ----------
        geometry : of the structures
        velocities : (n_atoms, 3); α̇ has their unit times Å²
        """
        with forward_mode():
            along = geometry.change_along_edges(velocities)
            vectors = forward_ad.make_dual(geometry.edge_vectors, along)
            found = self.polarizabilities(geometry, vectors)
            polarizabilities, rates = forward_ad.unpack_dual(found)
        return polarizabilities, torch.zeros_like(found) if rates is None else rates

    def gradients(self, geometry: DipoleGeometry) -> tuple[Tensor, Tensor]:
        """α (n_structures, 3, 3) and PGT = ∂α/∂r, (n_atoms, 3, 3, 3), Å², by reverse mode.

        Both can be differentiated with respect to the weights where gradients are enabled.
        """
        basis = self.tensor_basis.to(geometry.edge_vectors)
        found, rows = self._rows(geometry, [part.unsqueeze(0) for part in basis])
        return found, torch.einsum("kab,kic->iabc", basis, torch.stack(rows))

    def gradient_rows(self, geometry: DipoleGeometry, directions: Tensor) -> tuple[Tensor, Tensor]:
        """α (n_structures, 3, 3) and u : PGT, (n_atoms, 3), for one tensor u a structure.

        It takes about a sixth of the work of :meth:`gradients`.

        Parameters
        ----------
        geometry : of the structures
        directions : (n_structures, 3, 3), symmetric
        """
        found, (rows,) = self._rows(geometry, [directions])
        return found, rows

    def _rows(
        self, geometry: DipoleGeometry, directions: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """α, and u : PGT of each of several directions (n_structures or 1, 3, 3)."""
        differentiable = torch.is_grad_enabled()
        with torch.enable_grad():
            vectors = geometry.edge_vectors.detach().requires_grad_()
            found = self.polarizabilities(geometry, vectors)
            rows = []
            for number, direction in enumerate(directions, start=1):
                (of_edges,) = torch.autograd.grad(
                    (found * direction).sum(),
                    vectors,
                    retain_graph=differentiable or number < len(directions),
                    create_graph=differentiable,
                )
                of_atoms = vectors.new_zeros(len(geometry.species), 3)
                of_atoms = of_atoms.index_add(0, geometry.neighbours, of_edges)
                rows.append(of_atoms.index_add(0, geometry.centres, -of_edges))
        if differentiable:
            return found, rows
        return found.detach(), [row.detach() for row in rows]

    def forward(self, geometry: DipoleGeometry) -> Tensor:
        _, tensors = self.gradients(geometry)
        return tensors.flatten(1) @ self.pgt_basis.flatten(1).T
