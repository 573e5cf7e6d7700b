"""``aptnn-md md``: ASE molecular dynamics with the dipole rate streamed to disk."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from aptnn_md.cli.convergence_options import add_convergence_options, convergence_monitor
from aptnn_md.cli.next_spectra import print_next_spectra

HELP = """\
Run molecular dynamics with any ASE calculator and an APT network beside it, and write the dipole
rate, and the polarizability rate where the model knows it, to a stream. No trajectory is stored.
The run can be killed at any moment and goes on with --restart, without a duplicate or missing
frame."""
EXAMPLE = """\
  aptnn-md md start.xyz --potential water-mace --model water-apt --stream water.zarr --ps 20
  (the same with --restart goes on)
  aptnn-md md start.xyz --potential 'ase.calculators.lj:LennardJones {"sigma": 3.4}' ..."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the command."""
    add = parser.add_argument
    add("start", metavar="START", help="structure, in any format of ASE; of several the last one")
    add(
        "--potential",
        required=True,
        help="water-mace, a MACE model file, or module:callable of an installed package or of this "
        "directory, followed by keyword arguments in JSON if there are any",
    )
    add(
        "--model",
        default="water-apt",
        help="APT model: file or bundled name; with a model of polarizability gradients behind a "
        "comma (water-apt,water-pgt) polarizability rates are streamed, too (%(default)s)",
    )
    add("--stream", required=True, metavar="DIR", help="stream to write")
    add("--ps", type=float, required=True, help="length of the whole run, ps")
    add("--timestep", type=float, default=0.5, metavar="FS", help="fs (%(default)s)")
    add("--stride", type=int, default=4, help="steps between frames of the stream (%(default)s)")
    add("--temperature", type=float, default=300.0, metavar="K", help="K (%(default)s)")
    add(
        "--thermostat",
        choices=("bussi", "langevin", "none"),
        default="bussi",
        help="bussi hardly disturbs the dynamics, langevin broadens bands (%(default)s)",
    )
    add("--tau", type=float, default=1000.0, metavar="FS", help="of bussi, fs (%(default)s)")
    add(
        "--friction",
        type=float,
        default=1.0,
        metavar="PER_PS",
        help="of langevin, 1/ps (%(default)s)",
    )
    add(
        "--groups",
        default="all",
        help="parts of the dipole rate kept apart: all, element, molecule, molecule-kind, a "
        "selection (index:0-2,7, element:O, within:3.5:index:0, the last with +each-step behind it "
        "in each frame), or a file with a label for each atom; with +motion behind it also by "
        "translation, libration and vibration of molecules, with +motion-each-step of molecules "
        "found anew in each frame (%(default)s)",
    )
    add(
        "--velocities",
        action="store_true",
        help="write the velocities of all atoms, too, for their power spectrum (spectrum vdos)",
    )
    add("--efield", type=float, nargs=3, metavar=("EX", "EY", "EZ"), help="electric field, V/Å")
    add(
        "--total-charge",
        type=float,
        metavar="E",
        help="of a structure that does not give its own, e (default 0)",
    )
    add("--device", default="cpu", help="where model and potential run (%(default)s)")
    add("--seed", type=int, help="of velocities and thermostat; default: a new one each time")
    add("--checkpoint", metavar="FILE", help="default: STREAM with the suffix .checkpoint.npz")
    add(
        "--checkpoint-every",
        type=float,
        default=60.0,
        metavar="S",
        help="seconds between checkpoints (%(default)s)",
    )
    add_convergence_options(parser)
    add("--restart", action="store_true", help="go on from the checkpoint, or begin without one")


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from aptnn_md.engines.ase.calculator import APTCalculator
    from aptnn_md.engines.ase.md import MDSettings, run_md
    from aptnn_md.potentials.loading import load_potential
    from aptnn_md.structure_files import read_structure
    from aptnn_md.structures import total_charge

    settings = MDSettings(
        picoseconds=arguments.ps,
        timestep=arguments.timestep,
        stride=arguments.stride,
        temperature=arguments.temperature,
        thermostat=arguments.thermostat,
        tau=arguments.tau,
        friction=arguments.friction,
        seed=arguments.seed,
        checkpoint_seconds=arguments.checkpoint_every,
    )
    atoms = read_structure(arguments.start)
    # a module of the user beside the input; last, so that it hides nothing
    sys.path.append(os.getcwd())
    atoms.calc = APTCalculator(
        arguments.model,
        load_potential(arguments.potential, device=arguments.device),
        efield=arguments.efield,
        total_charge=arguments.total_charge,
        device=arguments.device,
    )
    total_charge(atoms, arguments.total_charge)  # refuses a conflict before anything is written
    stream = Path(arguments.stream)
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
    )
    print(f"steps {summary.first_step} to {summary.last_step}, {settings.timestep} fs each")
    print(f"mean temperature {summary.mean_temperature:.1f} K")
    if summary.drift == summary.drift:
        print(f"drift of the conserved energy {summary.drift:.3g} meV per atom and ps")
    if summary.convergence:
        print(summary.convergence)
    print(f"stream: {stream}")
    print(f"checkpoint: {checkpoint}")
    if not summary.finished:
        print(f"stopped before step {settings.n_steps}; the same command with --restart goes on")
        return 130
    print_next_spectra([stream])
    return 0
