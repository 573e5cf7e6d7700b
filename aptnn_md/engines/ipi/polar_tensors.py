"""Where the tensors of a ring polymer's atoms come from: a model in this process.

(For a model in the client of a force component see
:mod:`aptnn_md.engines.ipi.remote_tensors`.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.domain_watch import DomainWatch
from aptnn_md.errors import InputError
from aptnn_md.prediction.loading import ModelSource, as_model
from aptnn_md.prediction.watch import watch_of
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

    @property
    def committee_sizes(self) -> Mapping[str, int]:
        """Target -> number of members."""

    @property
    def domain(self) -> DomainWatch | None:
        """What judges structures by the spread of the model's committee, where that is known."""

    def check(self, beads: bool, centroid: bool) -> None:
        """Raise InputError where it cannot give tensors of the beads, or of the centroid."""

    def evaluate(
        self, state: BeadState, beads: bool, centroid: bool
    ) -> tuple[Tensors | None, Tensors | None]:
        """All targets, each by the members of its committee (one member for a single model).

        Parameters
        ----------
        state : where
        beads, centroid : which of the two to evaluate

        Returns
        -------
        target -> (n_members, n_beads, n_atoms, *shape) at the beads, and
        target -> (n_members, n_atoms, *shape) at the centroid; None for what was not asked for
        """


class ModelTensors:
    """A model in this process; all structures go into one call.

    Parameters
    ----------
    model : of APTs at least, see :func:`aptnn_md.prediction.loading.as_model`
    template : the atoms in i-PI's order

    Attributes
    ----------
    committee_sizes, domain : see :class:`TensorSource`
    n_calls : how often the model was called

    Raises
    ------
    InputError
        Elements that the model does not know.
    """

    def __init__(self, model: ModelSource, template: Atoms) -> None:
        self.model, self.template = as_model(model), template
        self.name, self.sha256 = self.model.name, self.model.sha256
        self.committee_sizes = self.model.committee_sizes
        self.domain = watch_of(self.model, template.numbers)
        self.n_calls = 0
        known = self.model.elements
        unknown = [] if known is None else sorted(set(template.numbers) - set(known))
        if unknown:
            symbols = ", ".join(Atoms(unknown).get_chemical_symbols())
            raise InputError("i-PI input", "elements", symbols, f"those of model {self.name}")

    def check(self, beads: bool, centroid: bool) -> None:
        """A model gives both."""

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
        found = self.model.evaluate(structures)
        members = {name: np.stack([each[name] for each in found], axis=1) for name in found[0]}
        at_beads = {name: values[:, :n_beads] for name, values in members.items()}
        at_centroid = {name: values[:, 0 if one else -1] for name, values in members.items()}
        return at_beads if beads else None, at_centroid if centroid else None

    def _atoms(self, positions: FloatArray, state: BeadState) -> Atoms:
        atoms: Atoms = self.template.copy()
        atoms.positions = positions
        atoms.cell[:] = state.cell
        return atoms
