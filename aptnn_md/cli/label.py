"""``aptnn-md label``: reference tensors from electronic structure."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from aptnn_md.errors import InputError

if TYPE_CHECKING:
    from aptnn_md.labels.labelled_file import FrameToLabel, Summary

HELP = """Label frames with atomic polar tensors (`apt`, nine columns: row = dipole, column =
displacement, e) and polarizability gradients (`pgt`, 27 columns, row-major [dipole, dipole,
displacement], Å²) by an electronic-structure program. By default from forces in small electric
fields: seven single points a frame for the APTs of all atoms, 13 with the PGTs; dipole,
polarizability, energy and forces come along.

Engines: tblite (GFN2-xTB, GFN1-xTB: molecules and clusters), pyscf (any functional and basis:
molecules and clusters), cp2k (periodic cells, by a template with your FORCE_EVAL), and
package.module:callable for an ASE calculator; settings follow in JSON.

Every single point is kept in OUT.work, so that the same command goes on after a stop and calculates
nothing twice. Labels are checked by sum rules; what fails, and a frame whose SCF does not converge,
is written with NaN, label_status=failed and label_reason.

--import takes what was calculated already: Born effective charges from VASP's vasprun.xml and what
else ASE reads, or from phonopy's BORN with --structure; and dipole and polarizability derivatives
of molecules from Gaussian's formatted checkpoint (freq, or freq=raman for `pgt`) and ORCA's .hess,
which is for neutral molecules."""

EXAMPLE = """  aptnn-md label --engine tblite --property apt,pgt --data in.extxyz --out label.extxyz
  aptnn-md label --engine 'pyscf {"xc": "pbe0", "basis": "def2-svp"}' --jobs 8 \\
      --cluster 4.5 --every 8 --data liquid.extxyz --out clusters.extxyz
  aptnn-md label --engine 'cp2k {"template": "water.inp"}' --data box.extxyz --out box-apt.extxyz
  mpirun -n 65 python -m mpi4py.futures $(which aptnn-md) label --mpi --engine pyscf ...
  aptnn-md label --import BORN --structure POSCAR --out crystal.extxyz
  aptnn-md label --import a.fchk b.fchk --out molecules.extxyz"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--engine", help="tblite, pyscf, cp2k, module:callable")
    parser.add_argument("--data", type=Path, help="frames, any format ASE reads")
    parser.add_argument("--out", type=Path, required=True, help="extxyz file to write")
    parser.add_argument(
        "--property", default="apt", metavar="LIST", help="apt, pgt or apt,pgt (default apt)"
    )
    parser.add_argument(
        "--scheme",
        choices=["field", "space"],
        help="forces in fields, or dipoles of displaced atoms (default: field where known)",
    )
    parser.add_argument(
        "--field", type=float, metavar="AU", help="strength, atomic units (default: the engine's)"
    )
    parser.add_argument(
        "--step", type=float, metavar="Å", help="displacement (default: the engine's)"
    )
    parser.add_argument(
        "--linearity", action="store_true", help="two more points with half the field, as a check"
    )
    parser.add_argument(
        "--atoms", metavar="SELECTION", help="label these only, e.g. index:0-2 or element:O"
    )
    parser.add_argument("--charge", type=float, help="of frames without charge=... (default 0)")
    parser.add_argument(
        "--cluster", type=float, metavar="RADIUS", help="cut whole molecules within this many Å"
    )
    parser.add_argument(
        "--every", type=int, default=1, metavar="N", help="a cluster around every N-th molecule"
    )
    parser.add_argument(
        "--molecule-charges", default="", metavar="LIST", help="for clusters, e.g. Na=1,HO=-1"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="processes, which share the cores (default 1)",
    )
    parser.add_argument("--mpi", action="store_true", help="the processes of mpi4py.futures")
    parser.add_argument("--work", type=Path, help="directory of single points (default OUT.work)")
    parser.add_argument(
        "--limit", action="append", default=[], metavar="NAME=VALUE", help="largest check figure"
    )
    parser.add_argument(
        "--import", dest="files", nargs="+", type=Path, metavar="FILE",
        help="instead of --engine: outputs that ASE reads, .fchk of Gaussian, .hess of ORCA, BORN",
    )  # fmt: skip
    parser.add_argument(
        "--structure", type=Path, help="with --import BORN (phonopy): its primitive cell"
    )
    parser.add_argument(
        "--transpose",
        action="store_true",
        help="with --import of Born charges: columns are the dipole's",
    )
    parser.add_argument("--retry", action="store_true", help="calculate failed points again")
    parser.add_argument("--collect", action="store_true", help="calculate nothing, write what is")


def run(arguments: argparse.Namespace) -> None:
    """Label and say what came out."""
    from aptnn_md.atomic_units import FIELD
    from aptnn_md.labels.checks import parse_limits
    from aptnn_md.labels.job import LabelJob, run_labels

    if arguments.files:
        _import(arguments)
        return
    for name in ("engine", "data"):
        if getattr(arguments, name) is None:
            raise InputError("options", f"--{name}", "nothing", "an engine and a file of frames")
    properties = tuple(dict.fromkeys(arguments.property.split(",")))
    if not set(properties) <= {"apt", "pgt"}:
        raise InputError("options", "--property", repr(arguments.property), "apt, pgt or apt,pgt")
    for name in ("jobs", "every"):
        if getattr(arguments, name) < 1:
            raise InputError("options", f"--{name}", getattr(arguments, name), "at least 1")
    job = LabelJob(
        frames=make_frames(arguments),
        engine=arguments.engine,
        out=arguments.out,
        properties=properties,
        scheme=arguments.scheme,
        field=None if arguments.field is None else arguments.field * FIELD,
        step=arguments.step,
        linearity=arguments.linearity,
        jobs=arguments.jobs,
        mpi=arguments.mpi,
        work=arguments.work,
        limits=parse_limits(arguments.limit),
        retry=arguments.retry,
        collect=arguments.collect,
    )
    _report(arguments.out, run_labels(job))


def _import(arguments: argparse.Namespace) -> None:
    from aptnn_md.labels.checks import parse_limits
    from aptnn_md.labels.job import import_labels

    if arguments.engine or arguments.data:
        raise InputError("options", "--import", "with --engine or --data", "one or the other")
    limits = parse_limits(arguments.limit)
    summary = import_labels(
        arguments.files,
        arguments.structure,
        arguments.out,
        limits,
        arguments.charge or 0.0,
        arguments.transpose,
    )
    _report(arguments.out, summary)


def _report(out: Path, summary: Summary) -> None:
    n_frames = summary.n_labelled + len(summary.failures)
    print(
        f"{out}: {summary.n_labelled} of {n_frames} frames labelled"
        + "".join(f"; {name} at most {value:.2g}" for name, value in summary.largest.items())
    )
    for number, reason in summary.failures.items():
        print(f"frame {number} failed: {reason}")


def make_frames(arguments: argparse.Namespace) -> list[FrameToLabel]:
    """The structures to label: the file's frames, or clusters cut from them.

    Raises
    ------
    InputError
        A file that cannot be read, a selection of no atoms, options that do not go together.
    """
    import numpy as np

    from aptnn_md.atoms.selection import select_atoms
    from aptnn_md.labels.clusters import cut_clusters
    from aptnn_md.labels.labelled_file import FrameToLabel
    from aptnn_md.structure_files import read_structures

    structures = read_structures(arguments.data)
    if arguments.cluster is None:
        frames = []
        for atoms in structures:
            chosen = np.ones(len(atoms), dtype=bool)
            if arguments.atoms:
                chosen = select_atoms(arguments.atoms, atoms)
            default = arguments.charge or 0.0
            frames.append(FrameToLabel(atoms, chosen, float(atoms.info.get("charge", default))))
        return frames
    if arguments.atoms or arguments.charge is not None:
        raise InputError(
            "options",
            "--cluster",
            "with --atoms or --charge",
            "labels of the central molecule only",
        )
    if not arguments.cluster > 0.0:
        raise InputError("options", "--cluster", arguments.cluster, "a radius above 0, Å")
    charges = _molecule_charges(arguments.molecule_charges)
    frames = []
    for number, atoms in enumerate(structures):
        for cluster in cut_clusters(atoms, arguments.cluster, arguments.every, charges):
            cluster.atoms.info["source_frame"] = number
            cluster.atoms.info["cluster_radius"] = arguments.cluster
            frames.append(FrameToLabel(cluster.atoms, cluster.central, cluster.charge))
    return frames


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
