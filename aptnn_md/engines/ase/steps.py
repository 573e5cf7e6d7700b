"""Steps of an ASE run: with progress, until the end, a signal, or whatever else ends it."""

from __future__ import annotations

from collections.abc import Callable

from ase.md.md import MolecularDynamics

from aptnn_md.errors import InputError, RunError, exception_text
from aptnn_md.progress import Progress
from aptnn_md.signals import stop_requested
from aptnn_md.structure_checks import check_structure


def run_steps(
    dynamics: MolecularDynamics,
    n_steps: int,
    title: str,
    every: int,
    note: Callable[[], str] = str,
    done: Callable[[], bool] = bool,
) -> None:
    """Run ``n_steps`` more steps; a signal, or ``done()``, ends them early after a whole step.

    Parameters
    ----------
    dynamics : with its observers
    n_steps : number of steps
    title : what is being done, for the progress
    every : steps between updates of the progress
    note : what is shown beside it
    done : asked after each step whether the run may end

    Raises
    ------
    RunError
        The structure blew up, or potential or model raised an error of their own.
    """
    first_step = dynamics.nsteps
    with stop_requested() as stop, Progress(n_steps, title) as progress:
        try:
            for _ in dynamics.irun(n_steps):
                n_done = dynamics.nsteps - first_step
                if n_done - progress.done >= every or n_done == n_steps:
                    progress.update(n_done - progress.done, note())
                if stop.is_set() or done():
                    break
        except InputError as error:
            # the input was checked by the first forces: these positions the run has made
            try:
                check_structure(dynamics.atoms)
            except InputError:
                where = f"step {dynamics.nsteps + 1}: the structure blew up"
                raise RunError(f"{where}: {error}; a shorter time step may help") from error
            raise
        except RunError as error:
            if str(error).startswith("step "):
                raise
            raise RunError(f"step {dynamics.nsteps + 1}: {error}") from error
        except OSError:
            raise
        except Exception as error:
            # calculators of users may raise anything
            text = exception_text(error)
            raise RunError(f"step {dynamics.nsteps + 1}: {text}") from error
