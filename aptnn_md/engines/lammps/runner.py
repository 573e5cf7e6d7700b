"""Run a LAMMPS script in this process and stream from it: what ``aptnn-md lammps`` does."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from aptnn_md.engines.lammps.elements import elements_of_types
from aptnn_md.engines.lammps.library import open_lammps
from aptnn_md.engines.lammps.mobility import description_of, mobility_of
from aptnn_md.engines.lammps.notes import RestartTimes, Thermostats
from aptnn_md.engines.lammps.ranks import Ranks
from aptnn_md.engines.lammps.recorder import Recorder, stoppable
from aptnn_md.engines.lammps.runs import chosen_runs, has_pre_no, without_pre_no
from aptnn_md.engines.lammps.script import Interpreter, Line
from aptnn_md.engines.lammps.settings import LammpsSettings
from aptnn_md.engines.lammps.state import LammpsAtoms, LammpsState
from aptnn_md.engines.lammps.streaming import LammpsStream, System
from aptnn_md.engines.lammps.units import unit_style
from aptnn_md.errors import InputError
from aptnn_md.prediction.charges import log_charge
from aptnn_md.prediction.loading import ModelSource, as_model
from aptnn_md.progress import Progress, log
from aptnn_md.signals import stop_requested
from aptnn_md.spectra.convergence.monitor import Monitor

_HARMLESS = (
    "dump", "dump_modify", "echo", "log", "print", "restart", "run", "shell", "thermo",
    "thermo_modify", "thermo_style", "undump", "variable",
)  # fmt: skip
"""Commands after which the fixes of the recorder may stay."""


@dataclass(frozen=True)
class LammpsSummary:
    """What a run did.

    Attributes
    ----------
    first_step, last_step : of LAMMPS, from the first frame to the end of the last streamed run
    mean_temperature : K, over the frames of this part of the run
    finished : False if a signal ended it early
    restart_file : that was written at an early end; empty where the script writes none
    is_first_rank : whether this process wrote the stream
    convergence : how well the spectrum has converged, if the run is to end by it
    """

    first_step: int
    last_step: int
    mean_temperature: float
    finished: bool
    restart_file: str = ""
    is_first_rank: bool = True
    convergence: str = ""


def run_lammps(
    script: str | os.PathLike[str],
    settings: LammpsSettings,
    model: ModelSource,
    *,
    restart: bool = False,
    options: Sequence[str] = (),
    device: str = "cpu",
    total_charge: float | None = None,
    until: Monitor | None = None,
) -> LammpsSummary:
    """Run a LAMMPS script and stream the dipole rate of its molecular dynamics.

    On several MPI ranks LAMMPS divides the atoms as usual; the first rank gathers them once for
    each frame, evaluates the model and writes.

    Parameters
    ----------
    script : LAMMPS input; nothing in it is changed
    settings : what to write
    model : as for :func:`aptnn_md.prediction.loading.as_model`
    restart : continue an existing stream; the script resumes from LAMMPS's own restart file, and
        frames from its step on are replaced
    options : of LAMMPS's command line
    device, total_charge : for a model that is loaded here
    until : end the run early when this finds that the spectrum of the stream has converged

    Raises
    ------
    InputError
        LAMMPS refuses the script, types whose element is not clear, or an existing stream that is
        of another run.
    RunError
        The run cannot continue; the stream on disk is whole.
    """
    path = Path(script)
    streamed = chosen_runs(path, settings.runs)
    lmp = open_lammps(options)
    try:
        ranks = Ranks(int(lmp.extract_setting("world_size")))
        with stop_requested() as stop, _together(ranks):
            loaded = None
            if ranks.is_first:
                loaded = as_model(model, device=device, total_charge=total_charge)
                log_charge(loaded, total_charge, "LAMMPS")
            run = _Run(lmp, ranks, LammpsStream(settings, loaded, restart, stop, until), streamed)
            with contextlib.closing(run.stream):
                run.interpreter.execute(path)
            return run.summary(path)
    finally:
        with contextlib.suppress(Exception):
            lmp.close()


@contextlib.contextmanager
def _together(ranks: Ranks) -> Iterator[None]:
    """A rank that fails ends the others, which would wait for it for ever."""
    try:
        yield
    except BaseException as error:
        ranks.abort(error)
        raise


class _Run:
    """A script that is being executed."""

    def __init__(
        self,
        lmp: Any,
        ranks: Ranks,
        stream: LammpsStream,
        streamed: set[tuple[Path, int]] | None,
    ) -> None:
        self.lmp, self.ranks, self.stream, self.streamed = lmp, ranks, stream, streamed
        self.interpreter = Interpreter(lmp, self._before, self._run)
        self.restarts, self.thermostats = RestartTimes(lmp), Thermostats()
        self.pair_coeff: list[str] = []
        self.recorder: Recorder | None = None
        self.end: LammpsState | None = None
        self.restart_file = ""
        self.run_style: list[str] = []
        self.ended_early = False

    def summary(self, path: Path) -> LammpsSummary:
        """What was done.

        Raises
        ------
        InputError
            Nothing was streamed.
        """
        stream, recorder = self.stream, self.recorder
        if recorder is None or recorder.last_step is None:
            if self.ended_early:
                step = int(self.lmp.extract_global("ntimestep"))
                return LammpsSummary(step, step, math.nan, False, "", self.ranks.is_first)
            raise InputError(path, "run", "no run of more than 0 steps", "molecular dynamics")
        temperatures = stream.temperatures
        return LammpsSummary(
            recorder.last_step if stream.first_step is None else stream.first_step,
            recorder.last_step,
            float(np.mean(temperatures)) if temperatures else math.nan,
            self.ranks.agreed(stream.has_converged) or not self.ended_early,
            self.restart_file,
            self.ranks.is_first,
            "" if stream.convergence is None else stream.convergence.final_text(),
        )

    def _before(self, line: Line, words: list[str]) -> None:
        """Note what a command says, and have the stream on disk before a file of LAMMPS."""
        name = words[0]
        if self.recorder is not None and name not in _HARMLESS:
            self.recorder.unwatch()
        if name == "restart":
            self.restarts.note(self.interpreter.expanded(line))
        elif name == "fix":
            self.thermostats.note(self.interpreter.expanded(line))
        elif name == "pair_coeff" and words[1:3] == ["*", "*"]:
            self.pair_coeff = self.interpreter.expanded(line)[3:]
        elif name == "run_style":
            self.run_style = self.interpreter.expanded(line)[1:2]
        elif name in ("write_restart", "write_data"):
            self.stream.commit()
        elif name == "clear" and self.recorder is not None:
            raise InputError(line.where, "clear", "after a streamed run", "one system in a script")

    def _run(self, line: Line, words: list[str]) -> None:
        n_steps = self._n_steps(self.interpreter.expanded(line))
        is_chosen = self.streamed is None or (line.path, line.number) in self.streamed
        # killed after its last restart file, a run may lack its last frame and nothing else
        is_over = n_steps == 0 and "upto" in words and self.stream.continues
        if (n_steps == 0 and not is_over) or not is_chosen:
            if n_steps:
                log.info("%s: %d steps that are not streamed", line.where, n_steps)
            self._run_unstreamed(line, words)
            return
        recorder = self._prepared(line)
        if "every" in words:
            # commands in the middle of the run may write restart files
            recorder.commits_at = lambda step: True
        text = line.text
        if not (recorder.watches and has_pre_no(words)):
            recorder.watch()
            text = without_pre_no(text)
        with contextlib.ExitStack() as stack:
            if self.ranks.is_first:
                title = f"LAMMPS, {line.where}"
                self.stream.progress = stack.enter_context(Progress(n_steps, title))
            with recorder.recording():
                self.interpreter.command(line, text)
        self.stream.progress = None
        recorder.commits_at = self.restarts.written_at
        assert recorder.last_step is not None
        self.end = recorder.atoms.present(recorder.last_step)
        self.stream.commit()
        if recorder.stopped:
            self.interpreter.stopped = self.ended_early = True
            self.restart_file = self.restarts.write_now(recorder.last_step)

    def _run_unstreamed(self, line: Line, words: list[str]) -> None:
        """A run of which nothing is kept; a signal ends it, too."""
        if self.recorder is not None:
            self.recorder.unwatch()
        if "pre" in words or "every" in words:
            self.interpreter.command(line)
            return
        with stoppable(self.lmp, self.ranks, self.stream.wants_to_stop) as has_stopped:
            self.interpreter.command(line)
        if has_stopped():
            self.interpreter.stopped = self.ended_early = True

    def _n_steps(self, words: list[str]) -> int:
        try:
            number = int(float(words[1]))
        except (IndexError, ValueError):
            return 0  # LAMMPS will say what is wrong
        if "upto" in words:
            number -= int(self.lmp.extract_global("ntimestep"))
        return max(0, number)

    def _prepared(self, line: Line) -> Recorder:
        """The recorder of a run, once it is clear what runs."""
        lmp = self.lmp
        if self.run_style[:1] == ["respa"] or self.run_style[:1] == ["respa/omp"]:
            expected = "verlet: in the middle of the steps of respa LAMMPS calls nobody"
            raise InputError(line.where, "run_style", self.run_style[0], expected)
        step = int(lmp.extract_global("ntimestep"))
        units = unit_style(str(lmp.extract_global("units")))
        atoms = LammpsAtoms(lmp, units, self.ranks)
        if self.recorder is None:
            self.recorder = Recorder(
                atoms, self.stream, self.stream.settings.stride, self.restarts.written_at
            )
        fixes = atoms.fixes()
        for fix in fixes:
            if fix.style.partition("/")[0] in ("pimd", "ipi"):
                expected = "classical atoms that LAMMPS moves: i-PI has the velocities of its "
                expected += "clients and of path integrals, and aptnn-md ipi streams them"
                raise InputError(line.where, "fix", fix.style, expected)
        bits, state = atoms.group_bits(), atoms.present(step)
        types_and_masses, periodic = atoms.types_and_masses(), atoms.periodic
        numbers = elements_of_types(
            atoms.type_masses(), self.stream.settings.elements, atoms.labels(), self.pair_coeff
        )
        if bits is None or state is None or types_and_masses is None:
            return self.recorder
        self._check_continues(line, state, periodic)
        types, masses = types_and_masses
        structure = Atoms(
            numbers[types - 1], state.positions, cell=state.cell, pbc=periodic, masses=masses
        )
        system = System(
            structure,
            mobility_of(fixes, bits),
            atoms.timestep,
            self.thermostats.temperature(fixes),
            description_of(fixes),
            str(lmp.version()),
        )
        self.stream.prepare(atoms, system, step)
        return self.recorder

    def _check_continues(
        self, line: Line, state: LammpsState, periodic: tuple[bool, bool, bool]
    ) -> None:
        """Refuse a run that does not go on where the one before ended."""
        end = self.end
        if end is None:
            return
        same = end.step == state.step and end.positions.shape == state.positions.shape
        if same:
            moved = np.abs(state.positions - end.positions).max()
            faster = np.abs(state.velocities - end.velocities).max()
            same = moved < 1e-6 and faster <= 1e-6 * np.abs(end.velocities).max()
        if not same:
            found = "another state than at the end of the streamed run before (velocity, minimize, "
            found += "reset_timestep, a run that is not streamed, ...)"
            expected = "one trajectory: --runs with the number of the run, or 'last'"
            raise InputError(line.where, "run", found, expected)
