"""``aptnn-md trajectory``: the stream of a series of dipoles."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from aptnn_md.cli.next_spectra import print_next_spectra
from aptnn_md.cli.settings_options import checked, option_adder, settings_from

if TYPE_CHECKING:
    from aptnn_md.engines.trajectory.settings import DipoleSettings

HELP = """\
Write the stream of a run that was stored.

--dipoles: a series of dipoles that any program calculated, or with --rates of their time
derivatives: .npy of shape (frames, 3); columns of CSV or text; CP2K (&MOMENTS, and &DIPOLE of force
fields, where jumps between branches of the Berry phase are taken out); LAMMPS (fix ave/time, thermo
output); i-PI (properties, extras). Frames hold increments of the dipole over the time between two
frames, and spectrum corrects for that."""
EXAMPLE = """\
  aptnn-md trajectory --dipoles dipoles.npy --timestep 0.5 --stream truth.zarr
  aptnn-md trajectory --dipoles run-moments.dat --timestep 0.5 --run-of run.zarr --stream truth.zarr
  aptnn-md spectrum compare truth.zarr run.zarr --plot both.png"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the command."""
    from aptnn_md.engines.trajectory.settings import UNITS, DipoleSettings

    setting = option_adder(parser, DipoleSettings)
    setting("path", "--stream", metavar="DIR", help="stream to write or to complete")
    parser.add_argument(
        "--dipoles",
        nargs="+",
        type=checked(Path),
        metavar="FILE",
        help="of one run in their order; with --beads all of the first bead first",
    )
    setting("rates", help="the files hold the dipole's rate")
    parser.add_argument(
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
    setting("timestep", metavar="FS", help="MD time step, fs (default: by the times in the files)")
    setting("stride", help="steps between frames (default: by the steps in the files, else 1)")
    setting("first_step", help="step of the first row of files without steps (%(default)s)")
    setting("n_beads", "--beads", metavar="P", help="beads of a path integral (%(default)s)")
    setting(
        "unwrap",
        help="dipoles are Berry phases of the cell of --structure: take jumps between branches "
        "out where it is clear which is nearest (of CP2K this is known)",
    )
    setting("structure", metavar="FILE", help="the atoms, for the header: system and volume")
    setting("temperature", metavar="K", help="of the thermostat, for the header")
    setting(
        "run_of",
        metavar="STREAM",
        help="a stream of the same trajectory: spectrum compare then gives the paired difference",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from aptnn_md.engines.trajectory.dipole_stream import stream_dipoles
    from aptnn_md.errors import InputError

    if arguments.dipoles is None:
        raise InputError("aptnn-md trajectory", "--dipoles", "none", "files of dipoles")
    settings = _dipole_settings(arguments)
    summary = stream_dipoles(settings)
    already = summary.n_frames - summary.n_new
    old = f", {already} of them from before" if already else ""
    print(f"{summary.n_frames} frames, {summary.axis.spacing:g} fs apart{old}")
    print(f"stream: {settings.path}")
    print_next_spectra([settings.path])
    return 0


def _dipole_settings(arguments: argparse.Namespace) -> DipoleSettings:
    from aptnn_md.engines.trajectory.settings import DipoleSettings

    columns = tuple(arguments.columns)
    return settings_from(
        arguments, DipoleSettings, dipoles=tuple(arguments.dipoles), columns=columns
    )
