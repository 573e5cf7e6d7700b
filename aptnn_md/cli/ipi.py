"""``aptnn-md ipi``: an i-PI simulation with the dipole rate streamed to disk."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Sequence
from typing import Any

from aptnn_md.cli.convergence_options import add_convergence_options, convergence_monitor
from aptnn_md.cli.next_spectra import print_next_spectra
from aptnn_md.cli.settings_options import checked, option_adder, settings_from
from aptnn_md.errors import InputError
from aptnn_md.settings import AtLeastZero, Count

HELP = """\
Run i-PI (classical, RPMD, TRPMD, CMD), evaluate an APT network along the way, and write the dipole
rate (and the polarizability rate, if the model gives it) to a stream. Forces come from the input's
forcefields; velocities are i-PI's own; the network sees all beads in one call, at the stride only.
To resume, give i-PI's RESTART or checkpoint in place of the input: no frame is missing or
duplicated."""
EXAMPLE = """\
  aptnn-md ipi input.xml --model water-apt --stream water.zarr --stride 4 \\
      --estimator bead,centroid-apt,apt-at-centroid --groups element
  aptnn-md ipi RESTART --model water-apt --stream water.zarr --stride 4 ...   (resumes)"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the command."""
    from aptnn_md.engines.ipi.settings import StreamSettings

    add, setting = parser.add_argument, option_adder(parser, StreamSettings)
    add(
        "input", metavar="INPUT", help="i-PI input (XML), or a RESTART or checkpoint to resume from"
    )
    add(
        "--model",
        default="water-apt",
        help="APT model: file, bundled name or module:callable key=value ...; followed by a comma "
        "and a model of polarizability gradients (water-apt,water-pgt) it "
        "streams polarizability rates, too (%(default)s)",
    )
    setting(
        "path",
        "--stream",
        metavar="DIR",
        help="stream to write; of several systems one each, DIR_0, DIR_1, ... or by the prefix of "
        "the system",
    )
    setting("stride", help="steps between frames of the stream (%(default)s)")
    setting(
        "estimators",
        "--estimator",
        type=_names,
        default=",".join(StreamSettings.estimators),
        metavar="LIST",
        help="bead (exact for RPMD and TRPMD), centroid-apt, apt-at-centroid (one evaluation), or "
        "several separated by commas, the default of readers first (%(default)s)",
    )
    setting(
        "groups",
        help="parts of the dipole rate kept apart: all, element, molecule, molecule-kind, or a "
        "file with a label for each atom; with +motion also by kind of motion (%(default)s)",
    )
    add(
        "--tensors-from",
        default="",
        metavar="LIST",
        help="in place of --model: forcefields of the input whose clients "
        "(drivers/aptnn_md_tensors.py) send the tensors, separated by commas",
    )
    setting("velocities", help="also write the centroid velocities of all atoms")
    setting("beads_too", help="also write the dipole rate of every bead")
    setting(
        "pbc",
        "--no-cell",
        action="store_false",
        help="a molecule or cluster in open space: the cell, which i-PI always wants, is made up; "
        "no periodic images, and no volume in the stream",
    )
    add(
        "--total-charge",
        type=checked(float),
        metavar="E",
        help="charge of the system, e, to which the APTs add up; i-PI knows none (default 0)",
    )
    add("--device", default="cpu", help="where the model runs (%(default)s)")
    add(
        "--total-steps",
        type=checked(Count),
        metavar="N",
        help="in place of the input's total_steps",
    )
    add(
        "--client-limit",
        type=checked(AtLeastZero),
        default=0.0,
        metavar="S",
        help="end the run, with RESTART, where clients of a socket have been gone for this time "
        "(default: wait for ever)",
    )
    add_convergence_options(parser)
    add(
        "--driver-file",
        action=_PrintDriverFile,
        metavar="NAME",
        help="print the path of a file for <pes_path> and i-pi-py_driver -P: "
        "bec, field, potential, stream or tensors",
    )
    add(
        "--verbosity",
        choices=("quiet", "low", "medium", "high", "debug"),
        help="of i-PI's own log; default: what the input says",
    )


class _PrintDriverFile(argparse.Action):
    """Print where a driver file is, and nothing else."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        from aptnn_md.engines.ipi.driver_files import driver_file

        try:
            print(driver_file(str(values)))
        except InputError as error:
            parser.error(f"argument {option_string}: {error}")
        parser.exit()


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from aptnn_md.engines.ipi.version import require_ipi

    require_ipi()
    from aptnn_md.engines.ipi.runner import run_ipi
    from aptnn_md.engines.ipi.settings import StreamSettings

    settings = settings_from(arguments, StreamSettings)
    summary = run_ipi(
        arguments.input,
        settings,
        arguments.model,
        tensors=_names(arguments.tensors_from),
        device=arguments.device,
        total_charge=arguments.total_charge,
        verbosity=arguments.verbosity,
        total_steps=arguments.total_steps,
        until=functools.partial(convergence_monitor, arguments),
        client_limit=arguments.client_limit,
    )
    print(f"steps {summary.first_step} to {summary.last_step} of {summary.total_steps}")
    for text in summary.convergence:
        print(text)
    for stream in summary.streams:
        print(f"stream: {stream}")
    if not summary.finished:
        print("stopped early; the same command with RESTART in place of the input resumes")
        return 130
    print_next_spectra(summary.streams)
    return 0


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
