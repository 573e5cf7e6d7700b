"""The command line ``aptnn-md``.

Each command is a module of this package with ``HELP``, ``EXAMPLE``, ``add_arguments(parser)`` and
``run(arguments)``. Only the module of the command that was asked for is imported, and command
modules import the library inside ``run``, so ``aptnn-md --help`` answers at once.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import logging
import os
import select
import signal
import sys
from collections.abc import Sequence

from aptnn_md.errors import InputError, RunError
from aptnn_md.provenance import running

DESCRIPTION = "Infrared and Raman spectra from machine-learned molecular dynamics."

EPILOG = """Start with `aptnn-md demo`. `aptnn-md COMMAND --help` explains a command, with examples.

example:
  aptnn-md md start.xyz --potential water-mace --model water-apt --stream water.zarr --ps 20
  aptnn-md spectrum ir water.zarr --out ir.csv --plot ir.png --experiment water"""

COMMANDS = {
    "demo": "liquid water with the bundled models: MD, stream, IR spectrum, picture",
    "learn": "from a structure and a reference engine to models and a spectrum of known error",
    "train": "train a network for APTs or PGTs on labelled frames",
    "evaluate": "errors of a model on labelled frames",
    "predict": "write predicted tensors onto frames",
    "export": "write a model as a program that other programs run",
    "label": "reference tensors from electronic structure, calculated or imported",
    "md": "ASE molecular dynamics with the dipole rate streamed to disk",
    "driver": "forces, tensors and streams for a server of the i-PI protocol",
    "ipi": "i-PI simulation (classical or path integral) with the dipole rate streamed to disk",
    "lammps": "LAMMPS script with the dipole rate streamed to disk",
    "trajectory": "the stream of a stored trajectory, or of a series of dipoles",
    "spectrum": "infrared, Raman and velocity spectra from streams; normal modes",
    "info": "describe a model file, a stream or a spectrum",
}
"""Command name -> one line of help."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``aptnn-md`` with ``argv`` (default: the process's) and return its exit code.

    0: done; 2: bad input; 1: failure; 141: whoever read the output, such as ``head``, is gone.
    Tracebacks are shown with ``--debug`` only.
    """
    try:
        try:
            return _main(list(sys.argv[1:] if argv is None else argv))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # what is left in the buffer would be tried again at the exit
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def command_parser(*commands: str) -> argparse.ArgumentParser:
    """The parser of ``aptnn-md``.

    Parameters
    ----------
    commands : whose options it knows; of the others it has the names only, because their modules
        are not imported
    """
    parser = argparse.ArgumentParser(
        prog="aptnn-md",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, help_line in COMMANDS.items():
        if name in commands:
            module = importlib.import_module(f"aptnn_md.cli.{name}")
            subparser = subparsers.add_parser(
                name,
                help=help_line,
                description=module.HELP,
                epilog=f"example:\n{module.EXAMPLE}",
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )
            module.add_arguments(subparser)
            subparser.set_defaults(run=module.run)
        else:
            subparsers.add_parser(name, help=help_line)
    return parser


def _let_waiting_threads_sleep() -> None:
    """Threads of OpenMP that wait for others leave the core to whoever has work.

    By default they turn round and round, which on a busy machine makes several threads slower than
    one. OpenMP reads this when torch is imported, and processes that are started inherit it.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def _main(arguments: list[str]) -> int:
    _let_waiting_threads_sleep()
    chosen = [word for word in arguments if word in COMMANDS][:1]
    parser = command_parser(*chosen)
    _refuse_nothing(parser, arguments)
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        _parser_of(parser, options).error(f"unrecognized arguments: {' '.join(unknown)}")
    if options.version:
        from aptnn_md._version import __version__

        print(__version__)
        return 0
    if options.command is None:
        parser.print_help()
        return 0
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    with running(["aptnn-md", *arguments]):
        return _run(options)


def _parser_of(
    parser: argparse.ArgumentParser, options: argparse.Namespace
) -> argparse.ArgumentParser:
    """The parser of the command that was asked for, whose usage helps more than that of all."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            chosen = action.choices.get(getattr(options, action.dest))
            return parser if chosen is None else _parser_of(chosen, options)
    return parser


def _refuse_nothing(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """An empty word is a variable of the shell that was not set, and no value of any option."""
    for number, word in enumerate(arguments):
        flag, sign, value = word.partition("=")
        if not word.strip():
            before = [other for other in arguments[:number] if other.startswith("--")]
            parser.error(f"argument {before[-1] if before else number + 1}: found nothing")
        if flag.startswith("--") and sign and not value.strip():
            parser.error(f"argument {flag}: found nothing after =")


def _run(options: argparse.Namespace) -> int:
    try:
        return int(options.run(options) or 0)
    except InputError as error:
        if options.debug:
            raise
        print(f"aptnn-md {options.command}: {error}", file=sys.stderr)
        return 2
    except (RunError, OSError) as error:
        if options.debug or (isinstance(error, BrokenPipeError) and not _has_reader()):
            raise
        print(f"aptnn-md {options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"aptnn-md {options.command}: interrupted", file=sys.stderr)
        return 130


def _has_reader() -> bool:
    """Whether somebody still reads what is printed; a broken pipe may also be another one."""
    try:
        sys.stdout.flush()
        output = select.poll()
        output.register(sys.stdout, 0)
    except BrokenPipeError:
        return False
    except (OSError, ValueError, AttributeError):
        return True  # no file, or a system without poll
    return not any(event & select.POLLERR for _, event in output.poll(0))
