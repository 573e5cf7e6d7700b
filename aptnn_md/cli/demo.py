"""``aptnn-md demo``: everything on the bundled water box."""

from __future__ import annotations

import argparse

from aptnn_md.cli.settings_options import checked
from aptnn_md.settings import NewPath, Positive, Seed

HELP = """\
Molecular dynamics of 64 water molecules with the bundled MACE potential and the bundled APT
network; the dipole rate is streamed to disk and becomes an infrared spectrum with error bars.
About five minutes on two cores. Run again in the same directory, it resumes."""
EXAMPLE = "  aptnn-md demo --ps 1.0 --out aptnn-demo"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the command."""
    parser.add_argument(
        "--ps", type=checked(Positive), default=1.0, help="length of the run, ps (%(default)s)"
    )
    parser.add_argument(
        "--out",
        type=checked(NewPath),
        default="aptnn-demo",
        metavar="DIR",
        help="where files go (%(default)s)",
    )
    parser.add_argument(
        "--seed", type=checked(Seed), default=1, help="of the thermostat (%(default)s)"
    )
    parser.add_argument(
        "--device", default="cpu", help="where model and potential run (%(default)s)"
    )


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    from aptnn_md.demo import run_demo

    run_demo(arguments.out, arguments.ps, arguments.seed, device=arguments.device)
