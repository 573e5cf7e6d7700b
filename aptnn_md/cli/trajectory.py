"""``aptnn-md trajectory``: the stream of a stored trajectory, or of a series of dipoles."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from aptnn_md.cli.executor_options import add_executor_options
from aptnn_md.cli.next_spectra import print_next_spectra
from aptnn_md.cli.settings_options import checked, option_adder, settings_from
from aptnn_md.settings import Count

if TYPE_CHECKING:
    from aptnn_md.engines.trajectory.dipole_stream import StreamSummary

HELP = """\
Write the stream of a run that was stored; a stream that is not complete is continued.

A trajectory, whose tensors --model gives: extended xyz (ASE, GPUMD, QUIP), xyz of CP2K and i-PI,
LAMMPS dumps, whatever else ASE reads; with MDAnalysis DCD, XTC, TRR, H5MD and Amber's netCDF. With
velocities in the file, or in --velocity-files, frames hold rates; it is checked that velocities are
of the time of the positions. Without, frames hold increments of the dipole over the time between
two frames, and spectrum corrects for that.

Or, with --dipoles, a series of dipoles that any program calculated (with --rates their time
derivatives): .npy of shape (frames, 3); columns of CSV or text; CP2K (&MOMENTS, and &DIPOLE of
force fields, where jumps between branches of the Berry phase are taken out); LAMMPS (fix ave/time,
thermo output); i-PI (properties, extras)."""
EXAMPLE = """\
  aptnn-md trajectory dump.lammpstrj --lammps-units metal --model water-apt --timestep 0.5 \\
    --stream run.zarr --jobs 8
  aptnn-md trajectory sim-pos-1.xyz --velocity-files sim-vel-1.xyz --cell-file sim-1.cell \\
    --model water-apt --stream run.zarr                                              (CP2K)
  aptnn-md trajectory sim.pos_*.xyz --velocity-files sim.vel_*.xyz --beads 8 --timestep 0.25 \\
    --model water-apt --stream run.zarr                                              (i-PI)
  aptnn-md trajectory dump.lammpstrj --model water-apt --stream run.zarr \
    --executor parsl:slurm.py                                                     (on a cluster)
  aptnn-md trajectory run.dcd --structure start.pdb --timestep 0.5 --model water-apt --stream r.zarr
  aptnn-md trajectory --dipoles sim-moments.dat --timestep 0.5 --run-of run.zarr --stream truth.zarr
  aptnn-md spectrum compare truth.zarr run.zarr --plot both.png"""


_OF_DIPOLES = ("rates", "columns", "units", "unwrap")
_OF_TRAJECTORIES = (
    "model",
    "velocity_files",
    "velocity_unit",
    "increments",
    "velocities",
    "executor",
)
"""Options that have no default."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the command."""
    from aptnn_md.engines.trajectory.settings import TrajectorySettings

    setting = option_adder(parser, TrajectorySettings)
    parser.add_argument(
        "trajectory",
        nargs="*",
        type=checked(Path),
        metavar="TRAJ",
        help="files of one run in their order; with --beads all of the first bead first",
    )
    setting("path", "--stream", metavar="DIR", help="stream to write or to complete")
    setting("timestep", metavar="FS", help="MD time step, fs (default: by the times in the files)")
    setting("stride", help="steps between frames (default: by the steps in the files, else 1)")
    setting("first_step", help="step of the first frame of files without steps (%(default)s)")
    parser.add_argument(
        "--structure",
        type=checked(Path),
        metavar="FILE",
        help="the atoms: elements, masses, charge, and a cell for files without one",
    )
    parser.add_argument(
        "--beads", dest="n_beads", type=checked(Count), default=1, metavar="P",
        help="beads of a path integral, also of one whose centroids the files hold (%(default)s)",
    )  # fmt: skip
    setting("temperature", metavar="K", help="of the thermostat, for the header")
    setting(
        "run_of",
        metavar="STREAM",
        help="a stream of the same run: spectrum compare then gives the paired difference",
    )
    _add_trajectory_options(parser)
    _add_dipole_options(parser)


def _add_trajectory_options(parser: argparse.ArgumentParser) -> None:
    from aptnn_md.engines.trajectory.settings import (
        VELOCITY_OPTION,
        TrajectoryFiles,
        TrajectorySettings,
    )

    group = parser.add_argument_group("of trajectories")
    setting = option_adder(group, TrajectorySettings)
    file = option_adder(group, TrajectoryFiles)
    add = group.add_argument
    add("--model", help="as for aptnn-md md, by which tensors are calculated")
    add(
        "--velocity-files",
        nargs="+",
        type=checked(Path),
        default=(),
        metavar="FILE",
        help="velocities of CP2K or i-PI, a file for each TRAJ",
    )
    add(
        "--velocity-unit",
        choices=tuple(VELOCITY_OPTION),
        help="of velocities (default: what is known of the program, see the log)",
    )
    file("lammps_units", help="of dumps that do not say it")
    add(
        "--elements",
        nargs="+",
        default=(),
        metavar="SYMBOL",
        help="of LAMMPS' types 1, 2, ... in dumps without elements",
    )
    file("cell_file", metavar="FILE", help="CP2K's file of cells, NAME-1.cell")
    file("frames", metavar="START:STOP", help="some of the frames, counted from 0")
    setting("increments", help="use positions alone, though there are velocities")
    setting("groups", help="as for aptnn-md md (%(default)s)")
    add(
        "--estimator",
        default="bead",
        help="one or more of bead,centroid-apt,apt-at-centroid, with commas between (%(default)s)",
    )
    setting("velocities", help="write the velocities of all atoms, too (spectrum vdos)")
    setting("batch", help="frames that are evaluated in one call (%(default)s)")
    add("--jobs", type=checked(Count), default=1, help="processes (%(default)s)")
    add_executor_options(group)
    add(
        "--total-charge",
        type=checked(float),
        metavar="E",
        help="of structures that do not give their own; must agree with those that do",
    )
    add("--device", default="cpu", help="where the model runs (%(default)s)")
    add("--dtype", choices=("float32", "float64"), help="precision of the model")


def _add_dipole_options(parser: argparse.ArgumentParser) -> None:
    from aptnn_md.engines.trajectory.settings import UNITS, DipoleSettings

    group = parser.add_argument_group("of series of dipoles")
    setting = option_adder(group, DipoleSettings)
    group.add_argument(
        "--dipoles",
        nargs="+",
        type=checked(Path),
        metavar="FILE",
        help="of one run in their order; with --beads all of the first bead first",
    )
    setting("rates", help="the files hold the dipole's rate")
    group.add_argument(
        "--columns",
        nargs=3,
        default=(),
        metavar=("X", "Y", "Z"),
        help="of the files, by names or numbers from 1 on (default: by their names)",
    )
    setting(
        "units",
        choices=UNITS,
        help="of the files (default: what they say, else e-angstrom, or e-angstrom/fs of rates)",
    )
    setting(
        "unwrap",
        help="dipoles are Berry phases of the cell of --structure: take jumps between branches "
        "out where it is clear which is nearest (of CP2K this is known)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from aptnn_md.errors import InputError

    given = bool(arguments.trajectory), arguments.dipoles is not None
    if given[0] == given[1]:
        found = "both" if given[0] else "neither"
        raise InputError("aptnn-md trajectory", "TRAJ or --dipoles", found, "one of them: a file")
    _refuse_others(arguments, dipoles=given[1])
    summary = _of_dipoles(arguments) if given[1] else _of_trajectory(arguments)
    already = summary.n_frames - summary.n_new
    old = f", {already} of them from before" if already else ""
    print(f"{summary.n_frames} frames, {summary.axis.spacing:g} fs apart{old}")
    print(f"stream: {arguments.path}")
    if not summary.finished:
        print("stopped; the same command continues it")
        return 130
    print_next_spectra([arguments.path])
    return 0


def _refuse_others(arguments: argparse.Namespace, dipoles: bool) -> None:
    """Options of the other kind of input would do nothing."""
    from aptnn_md.errors import InputError

    unused = _OF_TRAJECTORIES if dipoles else _OF_DIPOLES
    expected = "a trajectory, not --dipoles" if dipoles else "--dipoles, not a trajectory"
    for name in unused:
        if getattr(arguments, name):
            flag = "--" + name.replace("_", "-")
            raise InputError("aptnn-md trajectory", flag, "given", expected)


def _of_dipoles(arguments: argparse.Namespace) -> StreamSummary:
    from aptnn_md.engines.trajectory.dipole_stream import stream_dipoles
    from aptnn_md.engines.trajectory.settings import DipoleSettings

    files = {"dipoles": tuple(arguments.dipoles), "columns": tuple(arguments.columns)}
    return stream_dipoles(settings_from(arguments, DipoleSettings, **files))


def _of_trajectory(arguments: argparse.Namespace) -> StreamSummary:
    from aptnn_md.engines.trajectory.evaluation import ModelSource
    from aptnn_md.engines.trajectory.opening import open_trajectory
    from aptnn_md.engines.trajectory.settings import (
        VELOCITY_OPTION,
        TrajectoryFiles,
        TrajectorySettings,
    )
    from aptnn_md.engines.trajectory.trajectory_stream import Workers, stream_trajectory
    from aptnn_md.errors import InputError
    from aptnn_md.executors import PROCESSES, check_executor, workers

    if arguments.model is None:
        raise InputError("aptnn-md trajectory", "--model", "none", "one, e.g. water-apt")
    executor = arguments.executor or PROCESSES
    check_executor("aptnn-md trajectory", executor, arguments.jobs)
    estimators = tuple(name.strip() for name in arguments.estimator.split(","))
    settings = settings_from(arguments, TrajectorySettings, estimators=estimators)
    files = settings_from(
        arguments,
        TrajectoryFiles,
        trajectory=tuple(arguments.trajectory),
        velocity_files=tuple(arguments.velocity_files),
        velocity_unit=VELOCITY_OPTION.get(arguments.velocity_unit),
        elements=tuple(arguments.elements),
    )
    options = {name: getattr(arguments, name) for name in ("device", "dtype", "total_charge")}
    source = ModelSource(arguments.model, tuple(options.items()))
    model = source.load()
    with (
        open_trajectory(files) as frames,
        workers(executor, arguments.jobs) as (executor, n),
    ):
        others = None if executor is None else Workers(source, executor, n)
        return stream_trajectory(frames, model, settings, others)
