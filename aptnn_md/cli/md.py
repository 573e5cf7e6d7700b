"""``aptnn-md md``: ASE molecular dynamics with the dipole rate streamed to disk."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from aptnn_md.cli.convergence_options import add_convergence_options, convergence_monitor
from aptnn_md.cli.model_options import add_charge_option, add_field_option
from aptnn_md.cli.next_spectra import print_next_spectra
from aptnn_md.cli.settings_options import checked, option_adder, settings_from
from aptnn_md.errors import InputError
from aptnn_md.settings import NewPath, Positive

if TYPE_CHECKING:
    from aptnn_md.engines.ase.uncertain_frames import UncertainFrames

HELP = """\
Run molecular dynamics with any ASE calculator, evaluate an APT network along the way, and write the
dipole rate (and the polarizability rate, if the model gives it) to a stream. No trajectory is
stored. The run can be killed at any moment and resumes with --restart, without a duplicate or
missing frame. A molecule or small cluster (2 to 100 atoms, not periodic) gets an ensemble by
default: many short runs at constant energy from starts that Langevin dynamics gives, each with a
stream of its own in the directory that --stream names; `aptnn-md spectrum` takes that directory.
A MACE model file is a pickle: reading it runs the code in it, so use only files from sources that
you trust."""
EXAMPLE = """\
  aptnn-md md start.xyz --potential water-mace --model water-apt --stream water.zarr --ps 20
  (the same with --restart resumes)
  aptnn-md md start.xyz --potential 'ase.calculators.lj:LennardJones sigma=3.4 epsilon=0.01' ..."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the command."""
    from aptnn_md.engines.ase.settings import THERMOSTATS, MDSettings

    add, setting = parser.add_argument, option_adder(parser, MDSettings)
    add("start", metavar="START", help="structure, in any format of ASE; of several the last one")
    add(
        "--potential",
        required=True,
        help="water-mace, NAME.json of weights beside it, a MACE model file, or module:callable "
        "(also module:Class.method) of an installed package or of this directory, followed by "
        "keyword arguments if there are any: words key=value with blanks between, or JSON. A MACE "
        "model file is a pickle: reading it "
        "runs the code in it, so take it from those you trust; NAME.json holds no code and is made "
        "of a MACE model by examples/water_mace/pack.py",
    )
    add(
        "--model",
        default="water-apt",
        help="APT model: file, bundled name or module:callable key=value ...; followed by a comma "
        "and a model of polarizability gradients (water-apt,water-pgt) it streams polarizability "
        "rates, too (%(default)s)",
    )
    add(
        "--stream",
        type=checked(NewPath),
        required=True,
        metavar="DIR",
        help="stream to write; of an ensemble the directory of its streams, run-001.zarr, ...",
    )
    setting(
        "picoseconds",
        "--ps",
        metavar="PS",
        help="length of the whole run, ps; of all runs of an ensemble together",
    )
    setting(
        "n_runs",
        "--ensemble",
        metavar="N",
        help="runs of an ensemble, of PS/N each; 0: a single run (default: as many as are long "
        "enough for spectra of the default resolution, of a molecule or small cluster; else 0)",
    )
    setting(
        "sampling",
        metavar="PS",
        help="Langevin dynamics between the starts of an ensemble, ps (%(default)s)",
    )
    setting(
        "sampling_friction",
        metavar="PER_PS",
        help="of that dynamics and of its equilibration, 1/ps (%(default)s)",
    )
    setting(
        "rotation",
        help="of a molecule or cluster as a whole: keep it, for rotational envelopes of bands, or "
        "remove it, for bands at their origins (%(default)s)",
    )
    setting(
        "equilibrate",
        metavar="PS",
        help="before the stream begins, ps of Langevin dynamics at the same temperature, friction "
        "and time step (default: none; before an ensemble 20 times 1/--sampling-friction)",
    )
    setting("timestep", metavar="FS", help="fs (%(default)s)")
    setting("stride", help="steps between frames of the stream (%(default)s)")
    setting("temperature", metavar="K", help="K (%(default)s)")
    setting(
        "thermostat",
        choices=THERMOSTATS,
        help="bussi hardly disturbs the dynamics, and is wrong for a few atoms in open space; "
        "langevin broadens bands; none: constant energy (default: an ensemble of runs for a "
        "molecule or small cluster, else bussi)",
    )
    setting("tau", metavar="FS", help="of bussi, fs (%(default)s)")
    setting(
        "friction", metavar="PER_PS", help="of langevin and of --equilibrate, 1/ps (%(default)s)"
    )
    add(
        "--groups",
        default="all",
        help="parts of the dipole rate kept apart: all, element, molecule, molecule-kind, a "
        "selection (index:0-2,7, element:O, within:3.5:index:0), several with names and a rest "
        "('solute=index:0-4 shell=within:3.5:index:0-4'), with +each-step at the end found anew in "
        "each frame, or a file with a label for each atom; with +motion added also by "
        "translation, libration and vibration of molecules, with +motion-each-step of molecules "
        "found anew in each frame (%(default)s)",
    )
    add(
        "--velocities",
        action="store_true",
        help="write the velocities of all atoms, too, for their power spectrum (spectrum vdos)",
    )
    add(
        "--potential-dipole",
        action="store_true",
        help="also stream the rate of the potential's own dipole, as the estimator "
        "potential-dipole: two more evaluations for each part in each frame; to compare the model "
        "with (spectrum compare RUN RUN@potential-dipole)",
    )
    add(
        "--members",
        action=argparse.BooleanOptionalAction,
        help="stream the rates of each member of a committee, too, from which `spectrum` tells the "
        "error of the model (default: where the model is a committee, and the groups are few)",
    )
    add(
        "--save-frames",
        type=checked(NewPath),
        metavar="DIR",
        help="keep structures on which the members of a committee disagree, to label them: "
        "DIR/RUN-STEP.extxyz (with --above)",
    )
    add(
        "--above",
        type=checked(Positive),
        metavar="E",
        help="least disagreement of the members about the APT of an atom for a structure to be "
        "kept, e: the array extrapolation of the stream",
    )
    add_field_option(parser)
    add_charge_option(parser)
    add("--device", default="cpu", help="where model and potential run (%(default)s)")
    setting("seed", help="of velocities and thermostat; default: a new one each time")
    add(
        "--checkpoint",
        type=checked(NewPath),
        metavar="FILE",
        help="default: STREAM with the suffix .checkpoint.npz",
    )
    setting(
        "checkpoint_seconds",
        "--checkpoint-every",
        metavar="S",
        help="seconds between checkpoints (%(default)s)",
    )
    add_convergence_options(parser)
    add(
        "--restart",
        action="store_true",
        help="resume from the checkpoint, or begin if there is none",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from aptnn_md.engines.ase.calculator import APTCalculator
    from aptnn_md.engines.ase.md import run_md
    from aptnn_md.engines.ase.settings import MDSettings
    from aptnn_md.potentials.loading import load_potential
    from aptnn_md.spectra.analysis.alarms import Measured, drift_text
    from aptnn_md.structure_files import read_structure
    from aptnn_md.structures import total_charge

    settings = settings_from(arguments, MDSettings)
    if (arguments.save_frames is None) != (arguments.above is None):
        found = "one alone"
        raise InputError("options", "--save-frames and --above", found, "both or none")
    atoms = read_structure(arguments.start)
    atoms.calc = APTCalculator(
        arguments.model,
        load_potential(arguments.potential, device=arguments.device),
        efield=arguments.efield,
        total_charge=arguments.total_charge,
        device=arguments.device,
    )
    total_charge(atoms, arguments.total_charge)  # refuses a conflict before anything is written
    dipole_calculator = None
    if arguments.potential_dipole:
        # of its own: evaluations beside the run do not disturb the one that moves the atoms
        dipole_calculator = load_potential(arguments.potential, device=arguments.device)
    stream = arguments.stream
    checkpoint = arguments.checkpoint or stream.with_suffix(".checkpoint.npz")
    summary = run_md(
        atoms,
        stream,
        settings,
        groups=arguments.groups,
        velocities=arguments.velocities,
        checkpoint=checkpoint,
        restart=arguments.restart,
        until=convergence_monitor(arguments, stream),
        dipole_calculator=dipole_calculator,
        members=arguments.members,
        saved=_frames_to_save(arguments),
    )
    print(f"steps {summary.first_step} to {summary.last_step}, {settings.timestep} fs each")
    if summary.n_runs:
        print(f"{summary.n_runs} complete runs")
    if summary.mean_temperature == summary.mean_temperature:
        error = f" ± {summary.temperature_error:.1f}"
        error = error if summary.temperature_error == summary.temperature_error else ""
        print(f"mean temperature {summary.mean_temperature:.1f}{error} K")
    if summary.drift == summary.drift:
        drift = Measured(summary.drift, summary.drift_error)
        print(f"drift of the conserved energy {drift_text(drift)}")
    if summary.convergence:
        print(summary.convergence)
    print(f"stream: {stream}")
    print(f"checkpoint: {checkpoint}")
    if not summary.finished:
        print("stopped before its end; the same command with --restart resumes")
        return 130
    print_next_spectra([stream])
    return 0


def _frames_to_save(arguments: argparse.Namespace) -> UncertainFrames | None:
    """What ``--save-frames`` asks for."""
    if arguments.save_frames is None:
        return None
    from aptnn_md.engines.ase.uncertain_frames import UncertainFrames

    return UncertainFrames(arguments.save_frames, arguments.above)
