"""Run i-PI in this process and stream from it: what ``aptnn-md ipi`` does."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ipi.engine.simulation import Simulation
from ipi.utils.softexit import softexit

from aptnn_md.engines.ipi import state as ipi_state
from aptnn_md.engines.ipi.attach import bind_with_streams
from aptnn_md.engines.ipi.remote_tensors import source_of
from aptnn_md.engines.ipi.settings import StreamSettings, one_stream_each
from aptnn_md.engines.ipi.streaming import SystemStream
from aptnn_md.engines.ipi.watch import ForceWatch
from aptnn_md.errors import InputError, RunError
from aptnn_md.prediction.charges import log_charge
from aptnn_md.prediction.loading import ModelSource, as_model
from aptnn_md.progress import Progress, log
from aptnn_md.signals import hangup_terminates
from aptnn_md.spectra.convergence.monitor import Monitor
from aptnn_md.spectra.convergence.stopping import ConvergenceStop


@dataclass(frozen=True)
class IPISummary:
    """What a run did.

    Attributes
    ----------
    first_step, last_step : steps of this part of the run
    total_steps : steps that i-PI was asked for
    streams : the streams that were written
    convergence : for each stream, how well its spectrum has converged, if the run is to stop by it
    converged : the run ended because all spectra have converged
    """

    first_step: int
    last_step: int
    total_steps: int
    streams: tuple[Path, ...]
    convergence: tuple[str, ...] = ()
    converged: bool = False

    @property
    def finished(self) -> bool:
        """False if a signal, an EXIT file or i-PI's time limit ended it early."""
        return self.converged or self.last_step >= self.total_steps


def run_ipi(
    source: str | os.PathLike[str],
    settings: StreamSettings,
    model: ModelSource | None = "water-apt",
    *,
    tensors: Sequence[str] = (),
    device: str = "cpu",
    total_charge: float | None = None,
    verbosity: str | None = None,
    total_steps: int | None = None,
    until: Callable[[Path], Monitor | None] | None = None,
    client_limit: float = 0.0,
) -> IPISummary:
    """Run an i-PI input, or resume from one of its checkpoints, and stream dipole rates.

    Parameters
    ----------
    source : input file, or a checkpoint or RESTART of i-PI
    settings : what to write; of several systems each gets a stream of its own
    model : as for :func:`aptnn_md.prediction.loading.as_model`; ``"water-apt,water-pgt"`` streams
        polarizability rates, too. Not used where ``tensors`` are given
    tensors : forcefields of the input whose clients send the tensors; see
        :mod:`aptnn_md.engines.ipi.remote_tensors`
    device, total_charge : for a model that is loaded here
    verbosity : of i-PI; default: what the input says
    total_steps : in place of the input's ``<total_steps>``
    until : gives, for a stream, the monitor of its spectrum's convergence; the run stops when all
        have converged
    client_limit : end the run where a socket forcefield that waits for forces has been without a
        client for this time, s, after it has had one; 0: wait for ever

    Raises
    ------
    InputError
        i-PI refuses the input, or an existing stream is of another run.
    RunError
        The run cannot continue, e.g. full disk, or no one to give forces any more; stream and
        checkpoints on disk are whole.
    """
    loaded = None
    if not tensors:
        if model is None:
            raise InputError("i-PI run", "model", "None", "a model, or forcefields with tensors")
        loaded = as_model(model, device=device, total_charge=total_charge)
        log_charge(loaded, total_charge, "i-PI")
    streams: list[SystemStream] = []

    def make(simulation: Any) -> list[SystemStream]:
        made = one_stream_each(settings, simulation.syslist)
        streams.extend(
            SystemStream(system, part, source_of(loaded, tensors))
            for system, part in zip(simulation.syslist, made, strict=True)
        )
        return streams

    def prepare(simulation: Any) -> None:
        if total_steps is not None:
            simulation.tsteps = total_steps
        simulation.bind = functools.partial(_bind, simulation, simulation.bind, make)

    path = Path(source)
    try:
        simulation = _load(path, prepare, verbosity)
        return _run(simulation, streams, until, client_limit)
    except _NothingToDo as done:
        simulation = done.args[0]
        log.info("the run is at step %s of %s already", simulation.step, simulation.tsteps)
        paths = tuple(part.path for part in one_stream_each(settings, simulation.syslist))
        return IPISummary(int(simulation.step), int(simulation.step), int(simulation.tsteps), paths)
    finally:
        for stream in streams:
            with contextlib.suppress(RunError):
                stream.close()
        softexit.reset()


_WAYS_OUT = {
    "could not initialize the cell": "a cell, which i-PI needs for a molecule, too: <cell "
    "mode='abc' units='angstrom'> [50, 50, 50] </cell> after the file in <initialize>, or "
    "Lattice or CELL in the comment line of the file",
    "Format for a key:value": "parameters {name: value, ...} without commas in a value: keyword "
    "arguments as words (potential: module:callable key=value key=value), ; for a comma",
}
"""Part of a message of i-PI -> what to do."""


class _NothingToDo(Exception):
    """The checkpoint is at the last step already."""


def _bind(simulation: Any, bind: Callable[..., None], make: Any, read_only: bool = False) -> None:
    if simulation.step > 0 and simulation.step >= simulation.tsteps:
        raise _NothingToDo(simulation)
    bind_with_streams(simulation, functools.partial(bind, read_only), make)


def _load(path: Path, prepare: Callable[[Any], None], verbosity: str | None) -> Any:
    try:
        with path.open(encoding="utf-8") as file:
            return Simulation.load_from_xml(
                file, custom_verbosity=verbosity, post_init_hook=prepare
            )
    except (InputError, RunError, _NothingToDo):
        raise
    except FileNotFoundError as error:
        found = f"no such file ({error.filename})"
        raise InputError(path, "i-PI input", found, "the files it needs") from error
    except (Exception, SystemExit) as error:
        # i-PI says what is wrong in exceptions of many kinds; one that begins here is a fault here
        if _raised_here(error):
            raise
        message = " ".join(str(error).split()) or type(error).__name__
        raise InputError(path, "i-PI input", message, _way_out(message)) from error


def _way_out(message: str) -> str:
    """What to do about an error of i-PI, which says only what is wrong."""
    for part, way_out in _WAYS_OUT.items():
        if part in message:
            return way_out
    return "an input that i-PI accepts"


def _raised_here(error: BaseException) -> bool:
    """Whether an exception was raised by a line of this package, not by one that it called."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    name = "" if trace is None else str(trace.tb_frame.f_globals.get("__name__"))
    return name.partition(".")[0] == __name__.partition(".")[0]


def _run(
    simulation: Any,
    streams: list[SystemStream],
    until: Callable[[Path], Monitor | None] | None,
    client_limit: float,
) -> IPISummary:
    first = int(simulation.step)
    total = int(simulation.tsteps)
    stops = _stop_when_converged(simulation, streams, until)
    watch = ForceWatch(simulation, client_limit)
    with _progress(simulation, streams), hangup_terminates(), watch:
        try:
            simulation.run()
        except SystemExit:
            # how i-PI leaves a step when a soft exit was asked for
            if not softexit.triggered:
                raise
        except (InputError, RunError):
            simulation.stop()
            raise
        except Exception as error:
            # of the force provider, if it runs in this process; its frames are safe
            simulation.stop()
            raise RunError(f"i-PI stopped: {type(error).__name__}: {error}") from error
        except BaseException:
            simulation.stop()
            raise
    if watch.failure:
        softexit.cleanup()  # what it held back while outputs were written
        raise RunError(f"{watch.failure}; the run continues from RESTART")
    softexit.cleanup(status=simulation.exit_status, message=simulation.exit_message)
    converged = bool(stops) and all(stop.reached for stop in stops)
    convergence = tuple(stop.final_text() for stop in stops)
    for stream in streams:
        stream.close()
    return IPISummary(
        first_step=first,
        last_step=_steps_done(simulation),
        total_steps=total,
        streams=tuple(stream.settings.path for stream in streams),
        convergence=convergence,
        converged=converged,
    )


def _stop_when_converged(
    simulation: Any,
    streams: list[SystemStream],
    until: Callable[[Path], Monitor | None] | None,
) -> list[ConvergenceStop]:
    """Before each step, ask for a soft exit if all spectra have converged."""
    monitors = [] if until is None else [until(stream.settings.path) for stream in streams]
    stops = []
    for monitor, stream in zip(monitors, streams, strict=False):
        watched: Any = stream  # it commits and has a header, like an observer
        if monitor is not None:
            stops.append(ConvergenceStop(monitor, watched))
    run_step = simulation.run_step

    def run_step_unless_converged(step: int) -> None:
        # after the last step everything is written and the state for RESTART is stored
        for stop in stops:
            stop()
        if all(stop.reached for stop in stops):
            softexit.trigger(status="success", message=" @ SIMULATION: spectrum converged.")
        run_step(step)

    if stops:
        simulation.run_step = run_step_unless_converged
    return stops


def _steps_done(simulation: Any) -> int:
    """Number of steps after which RESTART was written."""
    return min(int(simulation.chk.status.step.fetch()), int(simulation.tsteps))


@contextlib.contextmanager
def _progress(simulation: Any, streams: list[SystemStream]) -> Iterator[None]:
    """Show on stderr how many steps are done."""
    write = simulation.write_outputs
    with Progress(int(simulation.tsteps) - int(simulation.step), "i-PI") as progress:

        def write_outputs() -> None:
            write()
            if (done := int(simulation.step) + 1) > 0:
                system = simulation.syslist[0]
                picoseconds = done * streams[0].timestep / 1000.0
                note = f"{picoseconds:.3f} ps, {ipi_state.temperature(system):.0f} K"
                progress.update(1, note)

        simulation.write_outputs = write_outputs
        yield
