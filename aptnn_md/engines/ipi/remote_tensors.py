"""Atomic tensors from a client of i-PI: a model on its own node, GPU or MPI ranks.

The client (``drivers/aptnn_md_tensors.py``, or anything that sends the same extras) is a
forcefield of i-PI that a system refers to with weight 0, so i-PI itself never asks it. Access to
its extras makes i-PI do so, for the present positions, hence only at the stride. With
``nbeads='1'`` i-PI contracts the ring polymer to its centroid for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ipi.engine.forcefields import FFMPI, FFDirect, FFSocket

from aptnn_md.domain_watch import DomainWatch
from aptnn_md.engines.client.extras import MODEL_KEY, read_tensor_extras
from aptnn_md.engines.ipi.polar_tensors import ModelTensors, TensorSource
from aptnn_md.engines.ipi.state import BeadState
from aptnn_md.errors import InputError, RunError
from aptnn_md.prediction.interface import TensorModel
from aptnn_md.progress import log
from aptnn_md.targets import TARGETS, Tensors


def source_of(
    model: TensorModel | None, forcefields: Sequence[str]
) -> Callable[[Atoms, Any], TensorSource]:
    """What makes the source of a system's tensors: a model here, or else forcefields."""

    def make(atoms: Atoms, system: Any) -> TensorSource:
        if model is None:
            return RemoteTensors(system, forcefields)
        return ModelTensors(model, atoms)

    return make


class RemoteTensors:
    """Tensors in the extras of force components.

    Parameters
    ----------
    system : bound system of i-PI
    forcefields : names of the forcefields; one component with all beads, one with one, or both

    Raises
    ------
    InputError
        The system has no such component, or one with another number of beads.
    """

    def __init__(self, system: Any, forcefields: Sequence[str]) -> None:
        self._forces = system.forces
        self._n_beads, self._n_atoms = int(system.beads.nbeads), int(system.beads.natoms)
        self._components: dict[int, int] = {}  # beads -> index of the component
        names = [component.ffield for component in self._forces.mforces]
        for name in forcefields:
            if name not in names:
                expected = f"<force forcefield='{name}' weight='0.0'/> in each system"
                raise InputError("i-PI input", "forces", ", ".join(names) or "none", expected)
            for index in [k for k, found in enumerate(names) if found == name]:
                self._add(name, index)
        self._model: tuple[str, str] | None = None
        self.domain: DomainWatch | None = None  # clients send no limits

    def _add(self, name: str, index: int) -> None:
        component = self._forces.mforces[index]
        if not isinstance(component.ff, FFSocket | FFDirect | FFMPI):
            # rotations and committees change what is sent
            expected = "ffsocket, ffdirect or ffmpi"
            raise InputError(f"forcefield {name}", "kind", type(component.ff).__name__, expected)
        beads = int(component.nbeads)
        if beads not in (1, self._n_beads):
            expected = f"{self._n_beads}, or 1 for the centroid"
            raise InputError(f"force component {name}", "nbeads", beads, expected)
        self._components[beads] = index

    @property
    def name(self) -> str:
        """Of the model; waits for the client."""
        return self._model_of_client()[0]

    @property
    def sha256(self) -> str:
        """Of the model's file; waits for the client."""
        return self._model_of_client()[1]

    @property
    def committee_sizes(self) -> dict[str, int]:
        """Target -> number of members that the client sends; waits for it."""
        self._model_of_client()
        of_first = self._tensors(next(iter(self._components)))
        return {name: len(members) for name, members in of_first.items()}

    def evaluate(
        self, state: BeadState, beads: bool, centroid: bool
    ) -> tuple[Tensors | None, Tensors | None]:
        """See :class:`aptnn_md.engines.ipi.polar_tensors.TensorSource`; ``state`` is i-PI's own."""
        at_beads = self._tensors(self._n_beads) if beads else None
        at_centroid = self._tensors(1) if centroid else {}
        of_centroid = {name: values[:, 0] for name, values in at_centroid.items()}
        return at_beads, of_centroid if centroid else None

    def check(self, beads: bool, centroid: bool) -> None:
        """Refuse estimators whose tensors no component gives.

        Raises
        ------
        InputError
            There is none for all beads, or none for the centroid.
        """
        for needed, n_beads, attribute in (
            (beads, self._n_beads, ""),
            (centroid, 1, " nbeads='1'"),
        ):
            if needed and n_beads not in self._components:
                expected = f"also one <force forcefield='NAME' weight='0.0'{attribute}/>"
                found = f"tensors of {', '.join(map(str, self._components))} beads"
                raise InputError("i-PI input", "forces", found, expected)

    def _tensors(self, n_beads: int) -> Tensors:
        """Target -> (n_members, n_beads, n_atoms, *shape), all that the client sends."""
        found = read_tensor_extras(self._forces.extras_component(self._components[n_beads]))
        for name, values in found.items():
            expected = (n_beads, self._n_atoms, *TARGETS[name].shape)
            if (values.shape[0], *values.shape[2:]) != expected:
                raise RunError(
                    f"the client of tensors sent shape {values.shape}, expected {n_beads} beads of "
                    f"{self._n_atoms} atoms"
                )
        return {name: np.moveaxis(values, 0, 1) for name, values in found.items()}

    def _model_of_client(self) -> tuple[str, str]:
        if self._model is None:
            index = next(iter(self._components.values()))
            name = self._forces.mforces[index].ffield
            log.info("waiting for the client of forcefield %s, which sends the tensors", name)
            text = str(self._forces.extras_component(index).get(MODEL_KEY, [""])[0])
            name, _, sha256 = text.rpartition(" ") if " " in text else (text, "", "")
            self._model = name, sha256
        return self._model
