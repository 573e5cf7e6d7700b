"""PySCF: Hartree-Fock and any density functional, for molecules and clusters.

In a field E the electrons' part of the Hamiltonian is +E·r and the nuclei's −Z E·R; the forces get
the derivative of the first through the basis functions, and +Z E on the nuclei.
"""

from __future__ import annotations

import importlib.metadata
import os
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from pyscf import dft, gto, scf

from aptnn_md.arrays import AnyArray, FloatArray
from aptnn_md.atomic_units import BOHR, FIELD, FORCE, HARTREE
from aptnn_md.labels.engines.interface import check_isolated
from aptnn_md.labels.points import PointFailure, PointResult

DENSITY = "zero.npy"
"""Density matrix of the point without a field, from which the others start."""


class PySCF:
    """Single points by PySCF, for molecules and clusters.

    Parameters
    ----------
    xc : functional, or ``"hf"``
    basis : of all atoms, as PySCF names it
    density_fit : Coulomb and exchange by density fitting: faster, its error is below 1e-4 e
    grid : 0 to 9, of the density functional
    conv_tol, conv_tol_grad : of the SCF, Hartree and its gradient
    max_cycle : of the SCF
    unpaired : number of unpaired electrons
    max_memory : MB

    Raises
    ------
    TypeError
        Other settings.
    """

    has_field = True
    has_polarizability = False
    restarts = True
    field = 1e-3 * FIELD
    step = 0.005

    def __init__(
        self,
        xc: str = "pbe0",
        basis: str = "def2-svp",
        density_fit: bool = False,
        grid: int = 3,
        conv_tol: float = 1e-11,
        conv_tol_grad: float = 1e-8,
        max_cycle: int = 100,
        unpaired: int = 0,
        max_memory: float = 4000.0,
    ) -> None:
        self.xc, self.basis, self.unpaired = xc, basis, unpaired
        self.density_fit, self.grid, self.max_memory = density_fit, grid, max_memory
        self.scf = {"conv_tol": conv_tol, "conv_tol_grad": conv_tol_grad, "max_cycle": max_cycle}
        self.name = f"PySCF {xc}/{basis}"
        self.identity: dict[str, Any] = {
            "program": f"pyscf {importlib.metadata.version('pyscf')}",
            "xc": xc,
            "basis": basis,
            "density_fit": density_fit,
            "grid": grid,
            "unpaired": unpaired,
            **self.scf,
        }

    def check(self, atoms: Atoms, charge: float) -> None:
        """Refuse periodic cells: :meth:`aptnn_md.labels.engines.interface.Engine.check`."""
        check_isolated(atoms, "PySCF")

    def calculate(
        self,
        atoms: Atoms,
        field: FloatArray,
        *,
        charge: float,
        with_forces: bool,
        scratch: Path,
        keep: bool,
    ) -> PointResult:
        """Calculate one point: :meth:`aptnn_md.labels.engines.interface.Engine.calculate`."""
        self.check(atoms, charge)
        strength = np.asarray(field, dtype=np.float64) / FIELD
        method = self.method(atoms, charge)
        in_field(method, strength)
        start = scratch / DENSITY
        # the first point does not start from what a killed run left: it would differ a little
        restart = start.is_file() and not keep
        method.kernel(dm0=np.load(start) if restart else None)
        if not method.converged:
            raise PointFailure(f"SCF did not converge in {self.scf['max_cycle']} cycles")
        density = method.make_rdm1()
        if keep:
            partial = scratch / f".{os.getpid()}.partial.npy"
            np.save(partial, density)
            partial.replace(start)
        return PointResult(
            energy=float(method.e_tot) * HARTREE,
            forces=_forces(method, strength) * FORCE if with_forces else None,
            dipole=np.asarray(method.dip_moment(dm=density, unit="AU", verbose=0)) * BOHR,
        )

    def method(self, atoms: Atoms, charge: float) -> Any:
        """PySCF's object for this level of theory, not yet converged."""
        molecule = gto.M(
            atom=[
                (symbol, position / BOHR)
                for symbol, position in zip(
                    atoms.get_chemical_symbols(), atoms.positions, strict=True
                )
            ],
            unit="Bohr",
            basis=self.basis,
            charge=round(charge),
            spin=self.unpaired,
            verbose=0,
            max_memory=self.max_memory,
        )
        if self.xc.lower() == "hf":
            method = scf.HF(molecule)
        else:
            method = dft.KS(molecule, xc=self.xc)
            method.grids.level = self.grid
        if self.density_fit:
            method = method.density_fit()
        for name, value in self.scf.items():
            setattr(method, name, value)
        return method

    def clean(self, scratch: Path) -> None:
        """Remove the density matrix."""
        (scratch / DENSITY).unlink(missing_ok=True)


def in_field(method: Any, field: FloatArray) -> None:
    """Put a molecule into a field (3,), atomic units."""
    if not np.any(field):
        return
    molecule = method.mol
    with molecule.with_common_orig((0.0, 0.0, 0.0)):
        core = method.get_hcore() + np.einsum("x,xij->ij", field, molecule.intor("int1e_r"))
    nuclei = molecule.energy_nuc() - float(
        molecule.atom_charges() @ (molecule.atom_coords() @ field)
    )
    method.get_hcore = lambda *_: core
    method.energy_nuc = lambda *_: nuclei


def _forces(method: Any, field: FloatArray) -> FloatArray:
    """Forces (n_atoms, 3) of a converged molecule in a field, atomic units."""
    molecule = method.mol
    gradient = method.nuc_grad_method()
    gradient.verbose = 0
    if hasattr(gradient, "grid_response"):
        gradient.grid_response = True  # or the forces are not the energy's slope
    core: AnyArray = gradient.get_hcore(molecule)
    with molecule.with_common_orig((0.0, 0.0, 0.0)):
        # <i| r_a ∇_c j>, so that <∇_c i| r_a |j> is its transpose
        moved = molecule.intor("int1e_irp").reshape(3, 3, molecule.nao, molecule.nao)
    core = core - np.einsum("a,acji->cij", field, moved)
    gradient.get_hcore = lambda *_: core
    forces: FloatArray = -gradient.kernel() + molecule.atom_charges()[:, None] * field
    return forces
