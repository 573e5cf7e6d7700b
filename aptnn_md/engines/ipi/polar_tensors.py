"""Where the polar tensors of a ring polymer come from: a network in this process.

(Or one behind a force component of i-PI: :mod:`aptnn_md.engines.ipi.remote_tensors`.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.prediction.interface import PolarTensorPredictor, all_tensors, predictor_name
from aptnn_md.targets import Tensors

if TYPE_CHECKING:
    # clients of other servers do without i-PI
    from aptnn_md.engines.ipi.state import BeadState


class TensorSource(Protocol):
    """Gives tensors of beads and of the centroid."""

    @property
    def name(self) -> str:
        """Of the model."""

    @property
    def sha256(self) -> str:
        """Of the model's file; empty where there is none."""

    def check(self, beads: bool, centroid: bool) -> None:
        """Raise InputError where it cannot give tensors of the beads, or of the centroid."""

    def evaluate(
        self, state: BeadState, beads: bool, centroid: bool
    ) -> tuple[Tensors | None, Tensors | None]:
        """All that is known, of the members of a committee (one member for a single model).

        Parameters
        ----------
        state : where
        beads, centroid : which of the two to evaluate

        Returns
        -------
        APTs (n_members, n_beads, n_atoms, 3, 3) at the beads, (n_members, n_atoms, 3, 3) at the
        centroid, e, and so PGTs, Å², where they are known; None for what was not asked for
        """


class NetworkTensors:
    """A network in this process; all structures go into one call.

    Parameters
    ----------
    predictor : the network or several, or any callable that gives APTs of ``Atoms``
    template : the atoms in i-PI's order

    Attributes
    ----------
    n_calls : how often the network was called
    """

    def __init__(self, predictor: PolarTensorPredictor, template: Atoms) -> None:
        self.predictor, self.template = predictor, template
        self.name = predictor_name(predictor)
        self.sha256 = str(getattr(predictor, "sha256", ""))
        self.n_calls = 0
        unknown = sorted(set(template.numbers) - set(getattr(predictor, "elements", ())))
        if unknown and hasattr(predictor, "elements"):
            symbols = ", ".join(Atoms(unknown).get_chemical_symbols())
            raise InputError("i-PI input", "elements", symbols, f"those of model {self.name}")

    def check(self, beads: bool, centroid: bool) -> None:
        """A network gives both."""

    def evaluate(
        self, state: BeadState, beads: bool, centroid: bool
    ) -> tuple[Tensors | None, Tensors | None]:
        """See :class:`TensorSource`."""
        n_beads = len(state.positions)
        one = n_beads == 1 and beads  # then the centroid is the bead
        structures = [self._atoms(q, state) for q in state.positions] if beads else []
        if centroid and not one:
            structures.append(self._atoms(state.centroid, state))
        self.n_calls += 1
        found = all_tensors(self.predictor, structures)
        members = {name: np.stack([each[name] for each in found], axis=1) for name in found[0]}
        at_beads = {name: values[:, :n_beads] for name, values in members.items()}
        at_centroid = {name: values[:, 0 if one else -1] for name, values in members.items()}
        return at_beads if beads else None, at_centroid if centroid else None

    def _atoms(self, positions: FloatArray, state: BeadState) -> Atoms:
        atoms: Atoms = self.template.copy()
        atoms.positions = positions
        atoms.cell[:] = state.cell
        return atoms
