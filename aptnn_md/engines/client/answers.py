"""What a client answers: forces, and what goes with them, in atomic units.

The force of a homogeneous electric field E on atom i is ``apt[i].T @ E``: with it as a component
beside a potential's, molecular dynamics runs in a finite field (perturbed neural network potential:
Joll, Schienbein, Rosso, Blumberger, Nat. Commun. 15, 8192 (2024)). The energy that belongs to it is
-E·(M(r) - M(r₀)), with the dipole's change since the client's first geometry r₀ from
:mod:`aptnn_md.engines.client.dipole_change`; with it the conserved quantity of i-PI is conserved.
There is no virial of the field: it needs the strain derivative of M, which polar tensors do not
give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from aptnn_md.arrays import FloatArray
from aptnn_md.atomic_units import IPI, AtomicUnits
from aptnn_md.engines.client.dipole_change import DipoleChange
from aptnn_md.engines.client.evaluator import Results
from aptnn_md.engines.client.extras import driven_extras, tensor_extras, to_text
from aptnn_md.engines.electric_field import checked_field, field_forces
from aptnn_md.errors import InputError, RunError
from aptnn_md.targets import APT

EXTRAS = ("none", "tensors", "bec")
"""What to send beside forces: nothing, tensors in compact form, or what driven dynamics needs."""


@dataclass(frozen=True)
class Answer:
    """Energy, forces (n_atoms, 3), virial (3, 3) in atomic units, and text of the extras."""

    energy: float
    forces: FloatArray
    virial: FloatArray
    extras: str = ""


class Answers:
    """Makes answers of results.

    Parameters
    ----------
    extras : one of :data:`EXTRAS`
    efield : (Ex, Ey, Ez), V/Å, or None
    n_beads : number of beads whose dipoles are followed
    model, sha256 : what makes the tensors
    """

    def __init__(
        self,
        extras: str = "none",
        efield: ArrayLike | None = None,
        n_beads: int = 1,
        model: str = "",
        sha256: str = "",
    ) -> None:
        if extras not in EXTRAS:
            raise InputError("client", "extras", repr(extras), f"one of {', '.join(EXTRAS)}")
        self.extras = extras
        self.efield = None if efield is None else checked_field(efield)
        self.model, self.sha256 = model, sha256
        self._dipole_change = DipoleChange(n_beads)

    @property
    def need_tensors(self) -> bool:
        """Whether results must have APTs."""
        return self.extras != "none" or self.efield is not None

    def __call__(
        self,
        cells: FloatArray,
        positions: FloatArray,
        results: Results,
        atomic_units: AtomicUnits = IPI,
    ) -> list[Answer]:
        """An answer for each structure.

        Parameters
        ----------
        cells : (n, 3, 3), rows, Å
        positions : (n, n_atoms, 3), Å
        results : of the same structures
        atomic_units : of the server

        Raises
        ------
        RunError
            A number that is not finite; a server would continue with it.
        """
        check_finite(results)
        hartree, answers = atomic_units.hartree, []
        dipoles = self._dipoles(cells, positions, results)
        for n in range(len(positions)):
            energy, forces = results.energy[n], results.forces[n]
            if self.efield is not None:
                energy = energy - float(dipoles[n] @ self.efield)
                forces = forces + field_forces(results.mean(APT)[n], self.efield)
            text = to_text(self._extras(results, n, dipoles, atomic_units.bohr))
            virial = results.virial[n] / hartree
            answers.append(
                Answer(float(energy / hartree), forces / atomic_units.force, virial, text)
            )
        return answers

    def _dipoles(
        self, cells: FloatArray, positions: FloatArray, results: Results
    ) -> Sequence[FloatArray]:
        if self.extras != "bec" and self.efield is None:
            return ()
        each = zip(cells, positions, results.mean(APT), strict=True)
        return [self._dipole_change(*one) for one in each]

    def _extras(
        self, results: Results, n: int, dipoles: Sequence[FloatArray], bohr: float
    ) -> dict[str, Any]:
        if self.extras == "tensors":
            tensors = {name: values[n] for name, values in results.tensors.items()}
            return tensor_extras(tensors, self.model, self.sha256)
        if self.extras == "bec":
            return driven_extras(results.mean(APT)[n], dipoles[n], bohr)
        return {}


def check_finite(results: Results) -> None:
    """Refuse results that are not finite.

    Raises
    ------
    RunError
        Which number of which atom and structure is not, and where it comes from.
    """
    n_structures = len(results.energy)
    named = {"energy": results.energy, "forces": results.forces, "virial": results.virial}
    of_potential = {name: (values, "the potential") for name, values in named.items()}
    of_model = {name: (values, "the model") for name, values in results.tensors.items()}
    for name, (values, source) in (of_potential | of_model).items():
        bad = np.argwhere(~np.isfinite(values))
        if not len(bad):
            continue
        first = tuple(bad[0])
        # axes: structure, then atom in forces, member and atom in tensors
        atom = {"forces": f" of atom {first[1]}"} if name == "forces" else {}
        if name in of_model:
            atom[name] = f" of atom {first[2]} by member {first[1] + 1}"
        which = f" (structure {first[0] + 1} of {n_structures})" if n_structures > 1 else ""
        raise RunError(
            f"{source} gives {name}{atom.get(name, '')} = {values[first]}{which}, which is not "
            "finite; nothing was sent to the server"
        )
