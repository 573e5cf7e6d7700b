"""PySCF: Hartree-Fock and any density functional, for molecules and clusters.

In a field E the electrons' part of the Hamiltonian is +E·r and the nuclei's −Z E·R; the forces get
the derivative of the first through the basis functions, and +Z E on the nuclei.

The points of a frame share what does not depend on the field: integrals, the grid, and the basis
functions on it. Each starts from the density extrapolated linearly to its field from those of the
points before it; from that of the opposite field it differs in second order only.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from pyscf import dft, gto, scf

from aptnn_md.arrays import AnyArray, FloatArray
from aptnn_md.atomic_units import BOHR, FIELD, FORCE, HARTREE
from aptnn_md.labels.engines.interface import check_charge, check_isolated, check_spin
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
    grid_response : forces are the exact slope of the energy on a grid that moves with the atoms.
        Without it the functional's part of the gradient takes a third of the time, and tensors
        carry the grid's error: about 2e-4 e, and 1e-3 e in the acoustic sum, which training and
        models take out
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
        grid_response: bool = True,
        conv_tol: float = 1e-11,
        conv_tol_grad: float = 1e-8,
        max_cycle: int = 100,
        unpaired: int = 0,
        max_memory: float = 4000.0,
    ) -> None:
        self.xc, self.basis, self.unpaired = xc, basis, unpaired
        self.density_fit, self.grid, self.max_memory = density_fit, grid, max_memory
        self.grid_response = grid_response
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
        if not grid_response:  # named only then: points of earlier versions stay valid
            self.identity["grid_response"] = False
        self._frame: _Frame | None = None

    def check(self, atoms: Atoms, charge: float) -> None:
        """Refuse periodic cells, parts of a charge and other multiplicities:
        :meth:`aptnn_md.labels.engines.interface.Engine.check`."""
        check_isolated(atoms, "PySCF")
        check_charge(atoms, charge, "PySCF")
        check_spin(atoms, self.unpaired, "PySCF")

    def identity_of(self, atoms: Atoms) -> dict[str, Any]:
        """What the basis adds to the identity for a structure: pseudopotentials of its elements."""
        found = self._pseudopotentials(atoms)
        return {"ecp": sorted(found)} if found else {}

    def _pseudopotentials(self, atoms: Atoms) -> dict[str, str]:
        """Elements whose basis functions are made for a pseudopotential -> its name."""
        symbols = set(atoms.get_chemical_symbols())
        return {
            symbol: self.basis for symbol in symbols if _has_pseudopotential(self.basis, symbol)
        }

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
        frame = self._frame_of(atoms, charge)
        method = frame.in_field(strength)
        start = scratch / DENSITY
        # the first point does not start from what a killed run left: it would differ a little
        restart = start.is_file() and not keep
        method.kernel(dm0=frame.extrapolated(np.load(start), strength) if restart else None)
        if not method.converged:
            raise PointFailure(f"SCF did not converge in {self.scf['max_cycle']} cycles")
        density = np.asarray(method.make_rdm1())
        if keep:
            partial = scratch / f".{os.getpid()}.partial.npy"
            np.save(partial, density)
            partial.replace(start)
        elif np.any(strength):
            frame.densities.append((strength, density))
        return PointResult(
            energy=float(method.e_tot) * HARTREE,
            forces=self._forces(frame, strength) * FORCE if with_forces else None,
            dipole=np.asarray(method.dip_moment(dm=density, unit="AU", verbose=0)) * BOHR,
        )

    def _frame_of(self, atoms: Atoms, charge: float) -> _Frame:
        """What points of this structure share; kept until another structure comes."""
        key = (atoms.numbers.tobytes(), atoms.positions.tobytes(), round(charge))
        if self._frame is None or self._frame.key != key:
            self._frame = None  # its memory is needed
            self._frame = _Frame(key, self.method(atoms, charge), self.max_memory)
        return self._frame

    def _forces(self, frame: _Frame, field: FloatArray) -> FloatArray:
        """Forces (n_atoms, 3) of the converged molecule in a field, atomic units."""
        molecule = frame.method.mol
        gradient = frame.method.nuc_grad_method()
        gradient.verbose = 0
        if hasattr(gradient, "grid_response"):
            gradient.grid_response = self.grid_response
        core: AnyArray = gradient.get_hcore(molecule)
        core = core - np.einsum("a,acji->cij", field, frame.moved_dipoles)
        gradient.get_hcore = lambda *_: core
        forces: FloatArray = -gradient.kernel() + molecule.atom_charges()[:, None] * field
        return forces

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
            ecp=self._pseudopotentials(atoms),
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
        """Remove the density matrices."""
        self._frame = None
        (scratch / DENSITY).unlink(missing_ok=True)


@functools.cache
def _has_pseudopotential(basis: str, symbol: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it might be found in the internet
            return bool(gto.basis.load_ecp(basis, symbol))
    except Exception:  # PySCF raises whatever it meets where a basis has none
        return False


class _Frame:
    """What the points of a structure share.

    Attributes
    ----------
    key : of the structure and its charge
    method : PySCF's object, used for all points
    dipoles : (3, n, n), ⟨i| r_a |j⟩
    moved_dipoles : (3, 3, n, n), ⟨i| r_a ∇_c j⟩ as [a, c, i, j]; ⟨∇_c i| r_a |j⟩ is its transpose
    densities : fields (3,) calculated so far, and the density matrices in them
    """

    def __init__(self, key: object, method: Any, max_memory: float) -> None:
        self.key, self.method = key, method
        molecule = method.mol
        with molecule.with_common_orig((0.0, 0.0, 0.0)):
            self.dipoles: AnyArray = molecule.intor("int1e_r")
            moved = molecule.intor("int1e_irp")
        self.moved_dipoles: AnyArray = moved.reshape(3, 3, molecule.nao, molecule.nao)
        self.densities: list[tuple[FloatArray, AnyArray]] = []
        self._core, overlap = method.get_hcore(), method.get_ovlp()
        method.get_ovlp = lambda *_: overlap
        if hasattr(method, "_numint"):
            method._numint = _KeptOrbitals(max_memory)

    def in_field(self, field: FloatArray) -> Any:
        """The method for a point, a field (3,) in atomic units, as if it were new."""
        method, molecule = self.method, self.method.mol
        core = self._core + np.einsum("x,xij->ij", field, self.dipoles)
        nuclei = molecule.energy_nuc() - float(
            molecule.atom_charges() @ (molecule.atom_coords() @ field)
        )
        method.get_hcore = lambda *_: core
        method.energy_nuc = lambda *_: nuclei
        method.mo_coeff = method.mo_occ = method.mo_energy = None  # no start from another point
        return method

    def extrapolated(self, zero: AnyArray, field: FloatArray) -> AnyArray:
        """Density matrix in a field, linear in the fields calculated so far, from that without."""
        if not self.densities:
            return zero
        fields = np.array([known for known, _ in self.densities])
        # a direction in which no field was calculated gets no change
        weights = field @ np.linalg.pinv(fields)
        changes = [density - zero for _, density in self.densities]
        extrapolated: AnyArray = zero + np.tensordot(weights, changes, axes=1)
        return extrapolated


class _KeptOrbitals(dft.numint.NumInt):  # type: ignore[misc]  # PySCF has no types
    """Integration on grids that evaluates the basis functions on each stretch of them once.

    Parameters
    ----------
    max_memory : MB, half of which their values may fill; beyond it they are evaluated anew
    """

    def __init__(self, max_memory: float) -> None:
        super().__init__()
        self._room = 0.5e6 * max_memory
        self._kept: dict[bytes, tuple[int, AnyArray]] = {}

    def eval_ao(
        self, mol: Any, coords: AnyArray, deriv: int = 0, *args: Any, **named: Any
    ) -> AnyArray:
        """Basis functions with their derivatives at points of a grid, as PySCF evaluates them."""
        key = hashlib.blake2b(np.ascontiguousarray(coords).tobytes()).digest()
        order, values = self._kept.get(key, (-1, np.empty(0)))
        if order < deriv:
            self._room += values.nbytes
            self._kept.pop(key, None)
            found: AnyArray = super().eval_ao(mol, coords, deriv, *args, **named)
            if found.nbytes > self._room:
                return found
            # PySCF fills one buffer again and again; K keeps the order that its routines need
            order, values = deriv, found.copy(order="K")
            self._kept[key] = order, values
            self._room -= values.nbytes
        if order == deriv:
            return values
        n_components = (deriv + 1) * (deriv + 2) * (deriv + 3) // 6
        lower: AnyArray = values[:n_components] if deriv else values[0]
        return lower
