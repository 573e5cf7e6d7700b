"""Frames of increments: what two geometries one step apart give, and what their stream says.

How increments are made, and what they are worth: :mod:`aptnn_md.engines.client.increments`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from ase import Atoms

from aptnn_md.arrays import AnyArray, FloatArray
from aptnn_md.atoms.partition import parse_groups
from aptnn_md.atoms.snapshot import Snapshot
from aptnn_md.domain_watch import DomainWatch
from aptnn_md.engines.client.bead_order import Step
from aptnn_md.engines.client.flat_frames import FlatFrames
from aptnn_md.engines.client.settings import IncrementSettings
from aptnn_md.engines.open_space import warn_of_a_thin_cell
from aptnn_md.errors import InputError
from aptnn_md.stream import StreamHeader, StreamReader, stream_exists
from aptnn_md.stream.frame import FrameRates, Instant
from aptnn_md.stream.increments import increment_arrays
from aptnn_md.stream.members import streamed_members
from aptnn_md.targets import APT, Tensors


class IncrementFrames:
    """Makes frames and their header.

    Parameters
    ----------
    settings : what to write
    template : atoms in the server's order
    model, sha256 : of the network
    committee_sizes : name of each target that it gives -> number of members; default: one of APTs
    domain : judges structures by the spread of the model's committee; None: not known

    Attributes
    ----------
    masses : (n_atoms,), amu
    timestep : fs, between two steps; None until the server sends it
    """

    def __init__(
        self,
        settings: IncrementSettings,
        template: Atoms,
        model: str,
        sha256: str,
        committee_sizes: Mapping[str, int] | None,
        domain: DomainWatch | None,
    ) -> None:
        self._settings, self._template = settings, template
        self._model, self._sha256 = model, sha256
        self.masses = np.asarray(template.get_masses(), dtype=np.float64)
        groups = parse_groups(settings.groups, template)
        sizes = committee_sizes or {APT.name: 1}
        sizes = {name: size for name, size in sizes.items() if size > 0}
        there = StreamReader(settings.path).header if stream_exists(settings.path) else None
        members = streamed_members(sizes, len(groups.labels), there)
        self._rates = FrameRates(groups, self.masses, n_members=members, domain=domain)
        self._arrays = self._rates.array_names(sizes)
        self.timestep = settings.timestep

    @property
    def spacing(self) -> float:
        """Time between frames, fs.

        Raises
        ------
        InputError
            It is not known.
        """
        if self.timestep is None:
            self.use_parameters({})
        assert self.timestep is not None
        return self.timestep

    def use_parameters(self, parameters: Mapping[str, str]) -> None:
        """Take the time step from the parameters of the server, if it sends one.

        Raises
        ------
        InputError
            It is not a number, not the one that was given, or missing altogether.
        """
        text = parameters.get("dt_fs")
        if text is not None:
            try:
                sent = float(text)
                if not (math.isfinite(sent) and sent > 0.0):
                    raise ValueError
            except ValueError as error:
                expected = "a time step in fs, more than 0"
                raise InputError("server", "dt_fs", repr(text), expected) from error
            if self.timestep is not None and abs(sent - self.timestep) > 1e-9 * sent:
                raise InputError("server", "dt_fs", sent, f"{self.timestep} fs as given here")
            self.timestep = sent
        if self.timestep is None:
            expected = "--timestep, or <parameters>{dt_fs: ...}</parameters> in <ffsocket> of i-PI"
            raise InputError("stream", "time step", "none", expected)

    def header(self, cell: FloatArray) -> StreamHeader:
        """Header of the stream of a run in this cell, (3, 3), rows, Å."""
        atoms = self._template.copy()
        atoms.cell[:], atoms.pbc = cell, self._periodic(cell)
        warn_of_a_thin_cell(atoms, "--no-cell")
        constants: dict[str, Any] = {
            "timestep": self.spacing,
            "rate": "difference",
            "n_beads": self._settings.n_beads,
            "model": self._model,
            "model_sha256": self._sha256,
        }
        return self._rates.header(atoms, **(constants | dict(self._settings.header or {})))

    def rows(self, header: StreamHeader) -> FlatFrames:
        """Frames of the stream with this header as rows of numbers."""
        return FlatFrames(header, self._arrays)

    def arrays(self, moved: FloatArray, before: Tensors, step: Step) -> dict[str, FloatArray]:
        """Arrays of the frame of a step.

        Parameters
        ----------
        moved : (n_beads, n_atoms, 3), Å, since the step before
        before : tensors of that step, as those of ``step``
        step : where the increment ends
        """
        # of each bead's tensors the members come first in an instant
        first, last = (
            {name: np.swapaxes(values, 0, 1) for name, values in tensors.items()}
            for tensors in (before, step.tensors)
        )
        velocities = moved / self.spacing
        return increment_arrays(
            self._rates,
            Instant(velocities, None, first),
            Instant(velocities, self._snapshot(step), last),
        )

    def _snapshot(self, step: Step) -> Snapshot:
        x, y, z = (bool(periodic) for periodic in self._periodic(step.cell))
        return Snapshot(step.positions, step.cell, (x, y, z))

    def _periodic(self, cell: FloatArray) -> AnyArray:
        if not self._settings.pbc:
            return np.zeros(3, dtype=bool)
        pbc = np.asarray(self._template.pbc)
        return pbc if pbc.any() else np.full(3, abs(np.linalg.det(cell)) > 0.0)
