"""Scripts of LAMMPS for tests, and whether LAMMPS is there."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from aptnn_md.engines.lammps.library import open_lammps
from aptnn_md.engines.lammps.runner import LammpsSummary, run_lammps
from aptnn_md.engines.lammps.settings import LammpsSettings
from aptnn_md.errors import InputError
from helpers import same_forces


@functools.cache
def why_not() -> str:
    """Why LAMMPS cannot run here; empty where it can."""
    try:
        open_lammps(["-log", "none"]).close()
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
    directory: Path, model, stream="s.zarr", restart=False, script="in.lmp", **settings
) -> LammpsSummary:
    """Run a script in its directory and stream it."""
    made = LammpsSettings(path=directory / stream, **{"stride": 1, **settings})
    log = ["-log", str(directory / "log.lammps")]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        return run_lammps(directory / script, made, model, restart=restart, options=log)
