"""Temperature and conserved energy of a run of molecular dynamics."""

from __future__ import annotations

import math

import numpy as np
from ase import units
from ase.md.md import MolecularDynamics

from aptnn_md.atoms.rotation import WholeRotation
from aptnn_md.engines.ase.conserved_energy import conserved_energy, conserves_energy
from aptnn_md.engines.ase.observer import temperature
from aptnn_md.errors import RunError


class EnergyMonitor:
    """Observer of temperature and conserved energy in constant memory.

    The conserved energy is that of :mod:`aptnn_md.engines.ase.conserved_energy`.

    Parameters
    ----------
    dynamics : the run
    no_rotation : see :class:`aptnn_md.engines.ase.observer.StreamObserver`
    """

    def __init__(
        self, dynamics: MolecularDynamics, no_rotation: WholeRotation | None = None
    ) -> None:
        self.dynamics, self.no_rotation = dynamics, no_rotation
        self.note = ""
        self._start: tuple[float, float] | None = None
        # of x = time since the start, y = energy less that of the start: n, Σx, Σy, Σxx, Σxy
        self._sums = np.zeros(5)

    def __call__(self) -> None:
        """Record the present step; called by ASE."""
        atoms = self.dynamics.atoms
        now = temperature(atoms, self.no_rotation)
        potential = float(atoms.get_potential_energy())
        energy = conserved_energy(self.dynamics)
        time = self.dynamics.nsteps * self.dynamics.dt / (1000.0 * units.fs)
        if not math.isfinite(energy):
            raise RunError(f"step {self.dynamics.nsteps}: the energy is {energy}: the run blew up")
        if self._start is None:
            self._start = (time, energy)
        x, y = time - self._start[0], energy - self._start[1]
        self._sums += (1.0, x, y, x * x, x * y)
        self.note = f"{time:.3f} ps, {now:.0f} K, E_pot {potential:.3f} eV, E {energy:.3f} eV"

    @property
    def drift(self) -> float:
        """Slope of the conserved energy, meV per atom and ps; NaN where no energy is conserved."""
        n, x, y, xx, xy = self._sums
        spread = n * xx - x * x
        if spread <= 0 or not conserves_energy(self.dynamics):
            return math.nan
        return 1000.0 * float((n * xy - x * y) / spread) / len(self.dynamics.atoms)
