"""Run i-PI in this process with streams beside it: what ``aptnn-md ipi`` does."""

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
from aptnn_md.engines.ipi.streaming import StreamSettings, SystemStream, one_stream_each
from aptnn_md.errors import InputError, RunError
from aptnn_md.prediction.interface import PolarTensorPredictor, as_predictor
from aptnn_md.progress import Progress
from aptnn_md.spectra.analysis.convergence import Monitor
from aptnn_md.spectra.analysis.stopping import ConvergenceStop


@dataclass(frozen=True)
class IPISummary:
    """What a run did.

    Attributes
    ----------
    first_step, last_step : steps of this part of the run
    total_steps : steps that i-PI was asked for
    streams : the streams that were written
    convergence : for each of them how far its spectrum has, where the run was to stop by that
    converged : the run ended because all of them have
    """

    first_step: int
    last_step: int
    total_steps: int
    streams: tuple[Path, ...]
    convergence: tuple[str, ...] = ()
    converged: bool = False

    @property
    def finished(self) -> bool:
        """False where a signal, an EXIT file or i-PI's time limit ended it early."""
        return self.converged or self.last_step >= self.total_steps


def run_ipi(
    source: str | os.PathLike[str],
    settings: StreamSettings,
    model: str | os.PathLike[str] | PolarTensorPredictor | None = "water-apt",
    *,
    tensors: Sequence[str] = (),
    device: str = "cpu",
    total_charge: float | None = None,
    verbosity: str | None = None,
    total_steps: int | None = None,
    until: Callable[[Path], Monitor | None] | None = None,
) -> IPISummary:
    """Run an i-PI input, or go on from one of its checkpoints, and stream dipole rates.

    Parameters
    ----------
    source : input file, or a checkpoint or RESTART of i-PI
    settings : what to write; of several systems each gets a stream of its own
    model : model file, bundled name, several of them with commas between
        (``"water-apt,water-pgt"`` streams polarizability rates, too), or a callable
        ``model(atoms) -> (n_atoms, 3, 3)``; not used where ``tensors`` are given
    tensors : forcefields of the input whose clients send the tensors; see
        :mod:`aptnn_md.engines.ipi.remote_tensors`
    device, total_charge : for a model that is loaded here
    verbosity : of i-PI; default: what the input says
    total_steps : in place of the input's ``<total_steps>``
    until : gives for a stream what tells whether its spectrum has converged; the run stops when
        all have

    Raises
    ------
    InputError
        i-PI refuses the input, or a stream cannot be of this run.
    RunError
        The run cannot go on, e.g. full disk; stream and checkpoints on disk are whole.
    """
    predictor = None
    if not tensors:
        if model is None:
            raise InputError("i-PI run", "model", "None", "a model, or forcefields with tensors")
        predictor = as_predictor(model, device=device, total_charge=total_charge)
    streams: list[SystemStream] = []

    def make(simulation: Any) -> list[SystemStream]:
        made = one_stream_each(settings, simulation.syslist)
        streams.extend(
            SystemStream(system, part, source_of(predictor, tensors))
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
        return _run(simulation, streams, until)
    finally:
        for stream in streams:
            with contextlib.suppress(RunError):
                stream.close()
        softexit.reset()


def _bind(simulation: Any, bind: Callable[..., None], make: Any, read_only: bool = False) -> None:
    bind_with_streams(simulation, functools.partial(bind, read_only), make)


def _load(path: Path, prepare: Callable[[Any], None], verbosity: str | None) -> Any:
    try:
        with path.open(encoding="utf-8") as file:
            return Simulation.load_from_xml(
                file, custom_verbosity=verbosity, post_init_hook=prepare
            )
    except (InputError, RunError):
        raise
    except FileNotFoundError as error:
        found = f"no such file ({error.filename})"
        raise InputError(path, "i-PI input", found, "the files it needs") from error
    except (Exception, SystemExit) as error:
        # i-PI says what is wrong in exceptions of many kinds
        message = " ".join(str(error).split()) or type(error).__name__
        raise InputError(path, "i-PI input", message, "an input that i-PI accepts") from error


def _run(
    simulation: Any,
    streams: list[SystemStream],
    until: Callable[[Path], Monitor | None] | None,
) -> IPISummary:
    first = int(simulation.step)
    total = int(simulation.tsteps)
    stops = _stop_when_converged(simulation, streams, until)
    with _progress(simulation, streams):
        try:
            simulation.run()
        except SystemExit:
            # how i-PI leaves a step when a soft exit was asked for
            if not softexit.triggered:
                raise
        except BaseException:
            simulation.stop()
            raise
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
    """Look before steps whether all spectra are good enough, and then ask for a soft exit."""
    monitors = [] if until is None else [until(stream.settings.path) for stream in streams]
    stops = []
    for monitor, stream in zip(monitors, streams, strict=False):
        watched: Any = stream  # it commits and has a header, like an observer
        if monitor is not None:
            stops.append(ConvergenceStop(monitor, watched))
    run_step = simulation.run_step

    def run_step_unless_converged(step: int) -> None:
        # behind the last step everything is written and the state for RESTART is stored
        for stop in stops:
            stop()
        if all(stop.reached for stop in stops):
            softexit.trigger(status="success", message=" @ SIMULATION: spectrum converged.")
        run_step(step)

    if stops:
        simulation.run_step = run_step_unless_converged
    return stops


def _steps_done(simulation: Any) -> int:
    """Steps that RESTART is behind."""
    return min(int(simulation.chk.status.step.fetch()), int(simulation.tsteps))


@contextlib.contextmanager
def _progress(simulation: Any, streams: list[SystemStream]) -> Iterator[None]:
    """Show the steps that were done, on stderr."""
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
