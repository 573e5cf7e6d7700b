"""Frames of a LAMMPS run while it runs.

Nothing of the run is broken up, and not a number of it changes. Three fixes that are defined right
before each ``run`` command, so that they come last, do the work:

* ``store/state`` keeps positions and velocities at the end of every step that is a frame's, when
  all other fixes are done with the step; ``ave/time`` keeps box and temperature;
* ``external``, which adds no force, calls back in the middle of every step. There the velocities
  are half a step late, but what was stored at the end of the step before is whole.

So the frame of a step is read in the middle of the next one. In a step at whose end LAMMPS writes a
restart file all frames before are committed; a run that resumes there makes the frame of that step
again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from aptnn_md.engines.lammps.ranks import Ranks
from aptnn_md.engines.lammps.state import CELL_QUANTITIES, LammpsAtoms, LammpsState
from aptnn_md.errors import RunError

_STORE, _AVERAGES, _CALLBACK = "aptnn_md_store", "aptnn_md_cell", "aptnn_md_callback"
_NEVER = 2**31 - 1


class Sink(Protocol):
    """Where frames go, on rank 0."""

    def begin(self) -> None:
        """The run has been set up: what LAMMPS says of its box is true."""

    def append(self, state: LammpsState) -> None:
        """Write the frame of a state."""

    def commit(self) -> None:
        """Write all frames to disk."""

    def wants_to_stop(self) -> bool:
        """Whether the run is to end."""


class Recorder:
    """Reads the frames of runs and hands them to a sink.

    Parameters
    ----------
    atoms : of LAMMPS
    sink : of which only rank 0 calls anything
    stride : steps between frames
    commits_at : whether the stream must be on disk before the end of a step; asked for each step,
        in order, with the same answer on every rank

    Attributes
    ----------
    stopped : a run was ended early, because the sink wanted it
    last_step : at which the last run ended
    watches : the fixes are defined
    """

    def __init__(
        self, atoms: LammpsAtoms, sink: Sink, stride: int, commits_at: Callable[[int], bool]
    ) -> None:
        self.atoms, self.sink, self.stride = atoms, sink, stride
        self.commits_at = commits_at
        self.stopped, self.watches = False, False
        self.last_step: int | None = None
        self._failure: BaseException | None = None
        self._called_at: int | None = None
        self._last_frame: int | None = None

    def watch(self) -> None:
        """Define the fixes, after all others."""
        self.unwatch()
        lmp, every = self.atoms.lmp, self.stride
        for name in CELL_QUANTITIES:
            lmp.command(f"variable aptnn_md_{name} equal {name}")
        cell = " ".join(f"v_aptnn_md_{name}" for name in CELL_QUANTITIES)
        lmp.command(f"fix {_AVERAGES} all ave/time {every} 1 {every} {cell} c_thermo_temp")
        lmp.command(f"fix {_STORE} all store/state {every} xu yu zu vx vy vz")
        lmp.command(f"fix {_CALLBACK} all external pf/callback 1 {_NEVER}")
        lmp.set_fix_external_callback(_CALLBACK, self._called)
        self.watches = True

    def unwatch(self) -> None:
        """Take the fixes away."""
        if not self.watches:
            return
        self.watches = False
        for fix in (_CALLBACK, _STORE, _AVERAGES):
            self.atoms.lmp.command(f"unfix {fix}")
        for name in CELL_QUANTITIES:
            self.atoms.lmp.command(f"variable aptnn_md_{name} delete")

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Write the frames of what LAMMPS runs inside.

        Raises
        ------
        BaseException
            What writing a frame raised; LAMMPS has ended its run after a whole step.
        """
        self._called_at = None
        yield
        # not where LAMMPS failed: what it says then is the error to show
        self.last_step = step = int(self.atoms.lmp.extract_global("ntimestep"))
        if self._called_at != step and not self.stopped:
            raise RunError(
                f"LAMMPS did {step} steps, but did not call back after {self._called_at}"
            )
        if not self.stopped:
            self._guarded(lambda: self._record(step + 1, after_last=True))
        if self._failure is not None:
            raise self._failure

    def _called(self, _: Any, step: int, *__: Any) -> None:
        """In the middle of a step, or where a run has been set up."""
        if not self.stopped:
            self._guarded(lambda: self._record(int(step)))
        if self.stopped:
            self.atoms.lmp.force_timeout()

    def _guarded(self, work: Callable[[], None]) -> None:
        """Do what may fail; of an exception in a callback nobody would hear."""
        try:
            work()
        except BaseException as error:
            self.atoms.ranks.abort(error)
            self._failure, self.stopped = error, True

    def _record(self, step: int, after_last: bool = False) -> None:
        begins, is_set_up = self._called_at is None, self._called_at in (None, step)
        self._called_at = step
        # between steps the atoms have their velocities; in the middle of one, what was stored has
        frame = step if is_set_up else step - 1
        is_due = frame % self.stride == 0 and frame != self._last_frame
        state = None
        if is_due:
            self._last_frame = frame
            state = (
                self.atoms.present(frame, self.atoms.averages(_AVERAGES)[-1])
                if is_set_up
                else self.atoms.stored(frame, _STORE, _AVERAGES)
            )
        commits = not after_last and self.commits_at(step)
        alone = self.atoms.ranks.n_ranks == 1
        if begins or is_due or commits or alone:
            if self.atoms.ranks.is_first and self._failure is None:
                self._write(begins, state, commits)
            # all ranks stop after the same step
            wanted = self._failure is not None or self.sink.wants_to_stop()
            self.stopped = self.atoms.ranks.agreed(wanted)

    def _write(self, begins: bool, state: LammpsState | None, commits: bool) -> None:
        """What rank 0 does; its failure is told to the others, which wait for it."""
        try:
            if begins:
                self.sink.begin()
            if state is not None:
                self.sink.append(state)
            if commits:
                self.sink.commit()
        except BaseException as error:
            self._failure = error


@contextlib.contextmanager
def stoppable(lmp: Any, ranks: Ranks, wanted: Callable[[], bool]) -> Iterator[Callable[[], bool]]:
    """A run of LAMMPS inside ends early, after a whole step, where ``wanted()`` says so.

    It is asked every hundred steps. Gives a function that says whether the run was ended.
    """
    stopped = False

    def called(*_: Any) -> None:
        nonlocal stopped
        stopped = stopped or ranks.agreed(wanted())
        if stopped:
            lmp.force_timeout()

    lmp.command(f"fix {_CALLBACK} all external pf/callback 100 {_NEVER}")
    lmp.set_fix_external_callback(_CALLBACK, called)
    yield lambda: stopped
    lmp.command(f"unfix {_CALLBACK}")
