"""Options of commands that spread their work."""

from __future__ import annotations

import argparse

from aptnn_md.executors import MPI


def add_executor_options(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add ``--executor`` and ``--mpi``; ``executor`` is None where none is chosen."""
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument(
        "--executor",
        metavar="NAME",
        help="where work is done: processes (default, --jobs N); mpi: those of mpirun -n N python "
        "-m mpi4py.futures; parsl:FILE: a cluster's queue by a configuration of parsl, as in "
        "examples/cluster",
    )
    choice.add_argument(
        "--mpi",
        dest="executor",
        action="store_const",
        const=MPI,
        help="short for --executor mpi",
    )
