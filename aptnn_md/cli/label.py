"""``aptnn-md label``: reference tensors from electronic structure."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from aptnn_md.cli.executor_options import add_executor_options
from aptnn_md.cli.settings_options import checked, option_adder, settings_from
from aptnn_md.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

    from aptnn_md.labels.labelled_file import FrameToLabel, Summary

HELP = """Label frames with atomic polar tensors (`apt`, nine columns: row = dipole, column =
displacement, e) and polarizability gradients (`pgt`, 27 columns, row-major [dipole, dipole,
displacement], Å²) by an electronic-structure program. By default from forces in small electric
fields: seven single points a frame for the APTs of all atoms, 13 with the PGTs; dipole
(`REF_dipole`, e Å), polarizability, energy and forces are written, too.

Engines: tblite (GFN2-xTB, GFN1-xTB: molecules and clusters), pyscf (any functional and basis:
molecules and clusters), cp2k (periodic cells, by a template with your FORCE_EVAL), and
package.module:callable for an ASE calculator; settings follow in JSON. The charge of a frame is its
charge (or total_charge); --charge is for frames that have none.

Every single point is kept in OUT.work, so that the same command continues after an interruption and
calculates nothing twice. Labels are checked by sum rules; what fails, and a frame whose SCF does
not converge, is written with NaN, label_status=failed and label_reason.

--import takes what was calculated already:
- Born effective charges from VASP's vasprun.xml and OUTCAR, and from phonopy's BORN with
  --structure (POSCAR or a phonopy.yaml) or its YAML files;
- dipole and polarizability derivatives of molecules from Gaussian's formatted checkpoint (freq, or
  freq=raman for `pgt`) and ORCA's .hess, which is for neutral molecules;
- tensors under a usual name (born_effective_charges, born_charge, bec, REF_apt, ...) or under
  --key apt=NAME in whatever ASE reads, e.g. extxyz. Which index is the dipole's is found out by the
  rotational sum rule where molecules are isolated; otherwise say it by --index-order."""

EXAMPLE = """  aptnn-md label --engine tblite --property apt,pgt --data in.extxyz --out label.extxyz
  aptnn-md label --engine 'pyscf xc=pbe0 basis=def2-svp' --jobs 8 \\
      --cluster 4.5 --every 8 --data liquid.extxyz --out clusters.extxyz
  aptnn-md label --engine 'cp2k {"template": "water.inp"}' --data box.extxyz --out box-apt.extxyz
  mpirun -n 65 python -m mpi4py.futures $(which aptnn-md) label --executor mpi --engine pyscf ...
  aptnn-md label --executor parsl:slurm.py --engine pyscf --data in.extxyz --out label.extxyz
  aptnn-md label --import BORN --structure POSCAR --out crystal.extxyz
  aptnn-md label --import a.fchk b.fchk --out molecules.extxyz
  aptnn-md label --import set.extxyz --key apt=born_charge --out labelled.extxyz"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    from aptnn_md.labels.job import LabelJob

    add, setting = parser.add_argument, option_adder(parser, LabelJob)
    setting(
        "engine",
        required=False,
        default=None,
        help="tblite, pyscf, cp2k or module:callable, followed by settings if there are "
        "any: words key=value with blanks between, or JSON",
    )
    add("--data", type=Path, help="frames, any format ASE reads")
    setting("out", help="extxyz file to write")
    setting(
        "properties",
        "--property",
        type=_names,
        metavar="LIST",
        help=f"apt, pgt or apt,pgt (default {','.join(LabelJob.properties)})",
    )
    setting(
        "scheme",
        help="forces in fields, or dipoles of displaced atoms (default: field where known)",
    )
    setting("field", metavar="AU", help="strength, atomic units (default: the engine's)")
    setting("step", metavar="Å", help="displacement (default: the engine's)")
    setting("linearity", help="two more points with half the field, as a check")
    add("--atoms", metavar="SELECTION", help="label these only, e.g. index:0-2 or element:O")
    add("--charge", type=checked(float), help="of frames that have none, e (default 0)")
    add(
        "--cluster",
        type=checked(float),
        metavar="RADIUS",
        help="cut whole molecules within this many Å",
    )
    add(
        "--every",
        type=checked(int),
        metavar="N",
        help="a cluster around every N-th molecule (default 1)",
    )
    add("--molecule-charges", default="", metavar="LIST", help="for clusters, e.g. Na=1,HO=-1")
    setting("jobs", metavar="N", help="processes, which share the cores (default %(default)s)")
    add_executor_options(parser)
    setting("work", help="directory of single points (default OUT.work)")
    add(
        "--limit",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="largest figure of a check that is accepted; sums over atoms: per atom",
    )
    parser.add_argument(
        "--import", dest="files", nargs="+", type=Path, metavar="FILE",
        help="instead of --engine: files with labels, recognised by their content",
    )  # fmt: skip
    parser.add_argument(
        "--structure",
        type=Path,
        help="with --import BORN (phonopy): its primitive cell, POSCAR or phonopy.yaml",
    )
    parser.add_argument(
        "--key",
        action="append",
        default=[],
        metavar="TARGET=NAME",
        help="with --import: the name of a tensor in the file, e.g. apt=born_charge",
    )
    parser.add_argument(
        "--index-order",
        metavar="ORDER",
        help="with --import: dipole-first (row = dipole) or displacement-first",
    )
    parser.add_argument(
        "--transpose",
        action="store_true",
        help="with --import: short for --index-order displacement-first",
    )
    setting("retry", help="calculate failed points again")
    setting("collect", help="calculate nothing, write what is")


def run(arguments: argparse.Namespace) -> None:
    """Label and say what came out."""
    from aptnn_md.atomic_units import FIELD
    from aptnn_md.files import refuse_overwriting
    from aptnn_md.labels.checks import parse_limits
    from aptnn_md.labels.job import LabelJob, run_labels

    if arguments.files:
        _import(arguments)
        return
    for name in ("engine", "data"):
        if getattr(arguments, name) is None:
            raise InputError("options", f"--{name}", "nothing", "an engine and a file of frames")
    for name in ("structure", "key", "index_order", "transpose"):
        if getattr(arguments, name):
            option = "--" + name.replace("_", "-")
            raise InputError("options", option, "with --engine", "--import, to which it belongs")
    refuse_overwriting(arguments.out, arguments.data)
    job = settings_from(
        arguments,
        LabelJob,
        frames=(),
        executor=arguments.executor or LabelJob.executor,
        field=None if arguments.field is None else arguments.field * FIELD,
        limits=parse_limits(arguments.limit),
    )
    job = replace(job, frames=make_frames(arguments))
    _report(arguments.out, run_labels(job))


def _import(arguments: argparse.Namespace) -> None:
    from aptnn_md.labels.checks import parse_limits
    from aptnn_md.labels.importers.options import DISPLACEMENT_FIRST, ImportOptions
    from aptnn_md.labels.job import ImportJob, import_labels
    from aptnn_md.structure_labels import parse_keys

    if arguments.engine or arguments.data:
        raise InputError("options", "--import", "with --engine or --data", "one or the other")
    order = arguments.index_order
    if arguments.transpose:
        if order not in (None, DISPLACEMENT_FIRST):
            raise InputError(
                "options", "--transpose", f"with --index-order {order}", "one of the two"
            )
        order = DISPLACEMENT_FIRST
    options = ImportOptions(
        structure=arguments.structure,
        charge=arguments.charge or 0.0,
        index_order=order,
        keys=parse_keys(arguments.key),
    )
    job = ImportJob(arguments.files, arguments.out, options, parse_limits(arguments.limit))
    _report(arguments.out, import_labels(job))


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text.split(",")))


def _report(out: Path, summary: Summary) -> None:
    n_frames = summary.n_labelled + len(summary.failures)
    print(
        f"{out}: {summary.n_labelled} of {n_frames} frames labelled"
        + "".join(f"; {name} at most {value:.2g}" for name, value in summary.largest.items())
    )
    for number, reason in summary.failures.items():
        name = summary.names.get(number)
        print(f"frame {number}{f' ({name})' if name else ''} failed: {reason}")


def make_frames(arguments: argparse.Namespace) -> list[FrameToLabel]:
    """The structures to label: the file's frames, or clusters cut from them.

    Raises
    ------
    InputError
        A file that cannot be read, a selection of no atoms, options that do not go together.
    """
    from aptnn_md.structure_files import read_structures

    structures = read_structures(arguments.data)
    if arguments.cluster is None:
        return _whole_frames(arguments, structures)
    if arguments.atoms or arguments.charge is not None:
        raise InputError(
            "options",
            "--cluster",
            "with --atoms or --charge",
            "labels of the central molecule only; charges by --molecule-charges",
        )
    return _clusters(arguments, structures)


def _whole_frames(arguments: argparse.Namespace, structures: Sequence[Atoms]) -> list[FrameToLabel]:
    import numpy as np

    from aptnn_md.atoms.selection import select_atoms
    from aptnn_md.labels.labelled_file import FrameToLabel
    from aptnn_md.structures import charge_of

    frames = []
    for number, atoms in enumerate(structures):
        chosen = np.ones(len(atoms), dtype=bool)
        if arguments.atoms:
            chosen = select_atoms(arguments.atoms, atoms)
        name = f"{arguments.data}, frame {number}"
        with _named(name):
            charge = charge_of(atoms, arguments.charge or 0.0) or 0.0
        frames.append(FrameToLabel(atoms, chosen, charge, name))
    return frames


def _clusters(arguments: argparse.Namespace, structures: Sequence[Atoms]) -> list[FrameToLabel]:
    from aptnn_md.labels.clusters import cut_clusters
    from aptnn_md.labels.labelled_file import FrameToLabel

    charges = _molecule_charges(arguments.molecule_charges)
    every = {} if arguments.every is None else {"every": arguments.every}
    frames = []
    for number, atoms in enumerate(structures):
        name = f"{arguments.data}, frame {number}"
        with _named(name):
            clusters = cut_clusters(atoms, arguments.cluster, charges=charges, **every)
        for cluster in clusters:
            cluster.atoms.info["source_frame"] = number
            cluster.atoms.info["cluster_radius"] = arguments.cluster
            frames.append(FrameToLabel(cluster.atoms, cluster.central, cluster.charge, name))
    return frames


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Errors name the frame."""
    try:
        yield
    except InputError as error:
        raise InputError(name, error.field, error.found, error.expected) from None


def _molecule_charges(text: str) -> dict[str, float]:
    charges = {}
    for item in filter(None, text.split(",")):
        formula, _, charge = item.partition("=")
        try:
            charges[formula] = float(charge)
        except ValueError:
            raise InputError(
                "options", "--molecule-charges", repr(item), "FORMULA=CHARGE, e.g. Na=1"
            ) from None
    return charges
