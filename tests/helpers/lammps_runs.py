"""Scripts of LAMMPS for tests, and whether LAMMPS is there."""

from __future__ import annotations

import functools
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aptnn_md.engines.lammps.library import lammps_class
from aptnn_md.engines.lammps.runner import LammpsSummary, run_lammps
from aptnn_md.engines.lammps.settings import LammpsSettings
from aptnn_md.errors import InputError
from aptnn_md.stream import StreamReader
from helpers import same_forces, toy_molecules
from helpers.processes import environment


@functools.cache
def why_not() -> str:
    """Why LAMMPS cannot run here; empty where it can."""
    try:
        lammps_class()
    except InputError as error:
        return str(error)
    return ""


needs_lammps = pytest.mark.skipif(bool(why_not()), reason="needs LAMMPS")


def write_script(
    directory: Path,
    run: str = "run 40",
    fixes: str = "fix 1 all nve",
    timestep: float = 0.5,
    before: str = "",
    start: str = "read_data start.data",
    name: str = "in.lmp",
) -> Path:
    """The molecules of :mod:`helpers.same_forces`; ``timestep`` in fs."""
    directory.mkdir(exist_ok=True)
    data = directory / "start.data"
    if not data.exists():
        data.write_text(same_forces.lammps_data(same_forces.structure()))
    lines = [
        "units metal",
        "atom_style molecular",
        # angles of a style that is not there are none
        start,
        same_forces.FORCES,
        f"timestep {timestep * 1e-3:.12g}",
        "thermo 10",
        before,
        fixes,
        run,
    ]
    path = directory / name
    path.write_text("\n".join(lines) + "\n")
    return path


def stream_of(
    directory: Path, model, stream="s.zarr", restart=False, script="in.lmp", until=None, **settings
) -> LammpsSummary:
    """Run a script in its directory and stream it."""
    made = LammpsSettings(path=directory / stream, **{"stride": 1, **settings})
    log = ["-log", str(directory / "log.lammps")]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        return run_lammps(
            directory / script, made, model, restart=restart, options=log, until=until
        )


# ---------------------------------------------------------------------- a run that is killed


class SlowTensors(toy_molecules.Tensors):
    """Polar tensors that take a millisecond."""

    def __call__(self, atoms):
        """Wait, then evaluate."""
        time.sleep(1e-3)
        return super().__call__(atoms)


def resumed(directory: Path = Path()) -> int:
    """Begin a run of 600 steps, or resume it from the newest restart file that is whole; 0 or 130.

    LAMMPS writes its restart files where they will be, so one may be cut off by a kill.
    """
    directory = directory.absolute()
    files = sorted(directory.glob("run.*.restart"), key=lambda path: -int(path.name.split(".")[1]))
    for start in [*(f"read_restart {path}" for path in files), "read_data start.data"]:
        write_script(directory, "run 600 upto", before="restart 40 run.*.restart", start=start)
        try:
            summary = stream_of(directory, SlowTensors(), restart=True, stride=3, groups="element")
        except InputError as error:
            if "read_restart" not in str(error):
                raise
            continue
        return 0 if summary.finished else 130
    raise AssertionError("no start")


def start_resumed(directory: Path) -> subprocess.Popen[bytes]:
    """:func:`resumed` in a process of its own; what it prints goes to ``log``."""
    program = "import sys; from helpers.lammps_runs import resumed; sys.exit(resumed())"
    with (directory / "log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=directory,
            env=environment(),
            stdout=log,
            stderr=subprocess.STDOUT,
        )


class Near:
    """Rates that are equal to what LAMMPS's restart files keep of a trajectory."""

    def __init__(self, values):
        self.values = values

    def __eq__(self, other):
        largest = np.abs(self.values).max()
        return bool(np.allclose(self.values, other.values, rtol=0.0, atol=1e-5 * largest))

    __hash__ = None  # type: ignore[assignment]


def resumed_content(directory: Path) -> dict[str, object]:
    """Steps and rates of the stream."""
    reader = StreamReader(directory / "s.zarr")
    header = replace(reader.header, run_id="", provenance="", start_positions=())
    return {"steps": reader.step.tolist(), "rates": Near(reader.dipole_rate()), "of": repr(header)}
