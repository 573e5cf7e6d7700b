"""Streams of a client: increments of the dipole instead of rates.

The protocol never sends velocities. Differences of positions are no velocities either (under TRPMD
and 32 beads they are off by 45 %), but with them the dipole's increment over a step is known:

    ΔM = (1/P) Σ_k ½ (P(q_k) + P(q'_k))·(q'_k - q_k),

the trapezoidal rule for the bead average, with an error of third order in the time step (10⁻⁴ of
the dipole's range at 0.5 fs). Frame n of the stream holds ΔM/Δt of the step that ends at n, and
likewise Δa/Δt, made of PGTs, where the model knows them.

A spectrum of increments, once their damping sin(ωΔt/2)/(ωΔt/2) is divided out, is that of the
derivative of M along the path. Velocities of velocity Verlet, which streams with rates are made of,
are central differences of positions and smaller than that by sin(ωΔt)/(ωΔt). So the two differ by
an error of the integrator: 4 % of the intensity at 3700 cm⁻¹ and 0.5 fs, 1 % at 0.25 fs.

Increments are right only if no step is missing and positions change by motion alone. What can be
seen to be otherwise is refused: steps that cannot follow each other
(:mod:`aptnn_md.engines.client.continuity`), beads that another client took
(:mod:`aptnn_md.engines.client.bead_order`), other atoms (``<activelist>``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.domain_watch import DomainWatch
from aptnn_md.engines.client.bead_order import BeadOrder, Step
from aptnn_md.engines.client.beads_file import Bead
from aptnn_md.engines.client.continuity import Pace, displacements, follows
from aptnn_md.engines.client.evaluator import Results
from aptnn_md.engines.client.flat_frames import FlatFrames
from aptnn_md.engines.client.increment_frames import IncrementFrames
from aptnn_md.engines.client.settings import IncrementSettings
from aptnn_md.engines.client.trail import StepGeometry, Trail, remove_trail
from aptnn_md.errors import InputError
from aptnn_md.progress import log
from aptnn_md.stream import StreamReader, StreamWriter, stream_exists
from aptnn_md.stream.ring_polymers import WARNING, ring_polymer_notes
from aptnn_md.targets import Tensors


class IncrementStream:
    """Takes requests with their tensors, writes a frame for each complete step.

    Parameters
    ----------
    settings : what to write
    template : atoms in the server's order
    evaluate : an :class:`aptnn_md.engines.client.evaluator.Evaluator` or a pool of them, for the
        geometry that a client which was killed had answered last
    model, sha256 : of the network
    committee_sizes : name of each target that it gives -> number of members; default: one of APTs
    domain : judges structures by the spread of the model's committee; None: not known
    """

    def __init__(
        self,
        settings: IncrementSettings,
        template: Atoms,
        evaluate: Callable[[FloatArray, FloatArray, bool], Results],
        *,
        model: str = "",
        sha256: str = "",
        committee_sizes: Mapping[str, int] | None = None,
        domain: DomainWatch | None = None,
    ) -> None:
        self.settings, self.evaluate = settings, evaluate
        self.n_steps = 0
        self._frames = IncrementFrames(settings, template, model, sha256, committee_sizes, domain)
        self._rows: FlatFrames | None = None
        self._order = BeadOrder(settings.n_beads)
        self._call = self._client = 0
        self._last: tuple[StepGeometry, Tensors] | None = None
        self._pace = Pace()
        self._writer: StreamWriter | None = None
        self._trail: Trail | None = None
        if stream_exists(settings.path) and StreamReader(settings.path).n_frames > 0:
            self._check_trail()

    @property
    def timestep(self) -> float | None:
        """Time between two steps, fs; None until the server sends it."""
        return self._frames.timestep

    def use_parameters(self, parameters: Mapping[str, str]) -> None:
        """See :meth:`aptnn_md.engines.client.increment_frames.IncrementFrames.use_parameters`."""
        self._frames.use_parameters(parameters)

    def add(
        self,
        replica: int,
        cell: FloatArray,
        positions: FloatArray,
        tensors: Tensors,
        is_copy: bool = False,
        call: int | None = None,
    ) -> None:
        """Take a request.

        Parameters
        ----------
        replica : its number
        cell : (3, 3), rows, Å
        positions : (n_atoms, 3), Å
        tensors : of each member of a committee
        is_copy : the same as the one before in a batch, perhaps only to fill it
        call : number of the call in which it was evaluated; None: of its own

        Raises
        ------
        InputError, RunError
            It cannot be a part of this stream.
        """
        if self._trail is None:
            self._open(cell)
        assert self._trail is not None
        self._call = self._call + 1 if call is None else call
        bead = Bead(replica, cell, positions, self._call, self._client)
        if not self._order.takes(bead, is_copy):
            return
        if len(self._trail) > 0:
            self._keep(bead, first=self._order.is_empty)
        step = self._order.add(bead, tensors)
        if step is None:
            return
        if self._last is None:
            self._begin(step)
        else:
            self._advance(step)

    def interrupt(self) -> None:
        """The connection is lost: commit; the next geometry tells where to resume."""
        self._order.forget()
        self.close()

    def close(self) -> None:
        """Commit and release the files."""
        self._last = None
        writer, self._writer = self._writer, None
        trail, self._trail = self._trail, None
        try:
            if writer is not None:
                writer.close()
        finally:
            if trail is not None:
                trail.close()

    def _open(self, cell: FloatArray) -> None:
        """Open the files, and find the beads of the step in which an earlier client was killed."""
        path, trail_path = self.settings.path, self.settings.trail_path
        header = self._frames.header(cell)
        for note in ring_polymer_notes(header):
            log.warning("%s", note.removeprefix(WARNING))
        self._rows = self._frames.rows(header)
        if stream_exists(path):
            header.check_same_run(path, StreamReader(path).header)
        else:
            # the stream first: a trail without a stream is what is left of a deleted one
            remove_trail(trail_path)
            self._writer = StreamWriter(path, header, 1)
        shape = (header.n_beads, header.n_atoms, 3)
        self._trail = Trail(trail_path, shape, self._rows.n_values)
        beads = self._trail.beads() if len(self._trail) else []
        self._client = 1 + max((bead.client for bead in beads), default=-1)
        if len(self._trail) == 0:
            self._order.join()
        if not beads:
            return
        cells, positions = (
            np.stack([getattr(bead, name) for bead in beads]) for name in ("cell", "positions")
        )
        results = self.evaluate(cells, positions, True)
        for k, bead in enumerate(beads):
            self._order.expect(bead, {name: v[k] for name, v in results.tensors.items()})

    def _begin(self, step: Step) -> None:
        """The first step of a connection: new, known, or the one after the last."""
        assert self._trail is not None
        path, trail, header = self.settings.path, self._trail, self._frames.header(step.cell)
        if len(trail) == 0:
            self._writer = self._writer or StreamWriter(path, header, 1)
            # its beads first, as the answer to the last one may be lost
            for n, positions in enumerate(step.positions):
                self._keep(Bead(self._order.lowest + n, step.cell, positions), first=n == 0)
            geometry = StepGeometry(0, step.cell, step.positions)
            trail.append(geometry, np.zeros(trail.n_values))
            self._last, self.n_steps = (geometry, step.tensors), 0
            return
        found = trail.find(step.positions)
        known = trail.last()
        if found is None and not (known and follows(known, step, self._frames.masses)):
            if len(set(step.clients)) > 1:
                self._order.without_oldest(step)
                return
            raise InputError(
                path,
                "first geometry of the server",
                f"none of the {len(trail)} of this stream and not the next one",
                "one to resume from; for a new run give another --stream",
            )
        n_frames = StreamReader(path).n_frames
        last = len(trail) - 1 if found is None else found
        self._writer = StreamWriter(path, header, min(n_frames, last) + 1)
        for values in trail.values(min(n_frames, last) + 1)[: max(last - n_frames, 0)]:
            self._write(values)
        self.n_steps = last
        log.info("%s: resumed after step %d", path, last)
        if found is not None:
            geometry = StepGeometry(found, step.cell, step.positions)
            trail.cut(geometry)
            self._last = (geometry, step.tensors)
        else:
            geometry = known[-1]
            cells = np.broadcast_to(geometry.cell, (*step.positions.shape[:1], 3, 3))
            self._last = (geometry, self.evaluate(cells, geometry.positions, True).tensors)
            self._advance(step)

    def _keep(self, bead: Bead, first: bool) -> None:
        """Write down a bead of the present step; a single bead is its step."""
        assert self._trail is not None
        if self.settings.n_beads > 1:
            self._trail.add_bead(bead, first)

    def write_out_trail(self) -> None:
        """Write the frames of a client that was killed and that only its trail holds.

        For the case that no server comes any more, as after its last step. One that comes later
        decides as always which of them stay.

        Raises
        ------
        InputError
            Trail and stream do not belong together, or the trail is damaged.
        """
        path, trail_path = self.settings.path, self.settings.trail_path
        if self._trail is not None or not (trail_path / "steps").exists():
            return
        if not stream_exists(path):
            return
        reader = StreamReader(path)
        header, n_frames = reader.header, reader.n_frames
        self._rows = self._frames.rows(header)
        try:
            shape = (header.n_beads, header.n_atoms, 3)
            self._trail = Trail(trail_path, shape, self._rows.n_values)
            left = self._trail.values(n_frames + 1)
            if len(left):
                self._frames.timestep = header.timestep
                self._writer = StreamWriter(path, header, n_frames + 1)
                for values in left:
                    self._write(values)
                log.info("%s: %d frames that only %s had", path, len(left), trail_path.name)
        finally:
            self.close()

    def _advance(self, step: Step) -> None:
        """The increment from the last geometry to this one."""
        assert self._last is not None
        assert self._trail is not None
        last, before = self._last
        moved = displacements(self.settings.path, last, step)
        self._pace.look_at(f"{self.settings.path}: step {last.step + 1}", moved)
        arrays = self._frames.arrays(moved, before, step)
        geometry = StepGeometry(last.step + 1, step.cell, step.positions)
        assert self._rows is not None
        row = self._rows.row(arrays)
        self._trail.append(geometry, row)
        self._write(row)
        self._last = (geometry, step.tensors)

    def _write(self, row: FloatArray) -> None:
        """Append a frame to the stream from the values of a step."""
        assert self._writer is not None
        assert self._rows is not None
        step = 1 if self._writer.last_step is None else self._writer.last_step + 1
        frame = self._rows.frame(row, step, step * self._frames.spacing)
        self._writer.append_frame(frame)
        self.n_steps = step

    def _check_trail(self) -> None:
        if not (self.settings.trail_path / "steps").exists():
            found = f"a stream without {self.settings.trail_path.name}"
            expected = "no such path, or the stream of a client that was stopped"
            raise InputError(self.settings.path, "stream", found, expected)
