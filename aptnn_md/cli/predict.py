"""``aptnn-md predict``: tensors onto frames."""

from __future__ import annotations

import argparse
from pathlib import Path

from aptnn_md.cli.model_options import add_model_options, model_of
from aptnn_md.cli.settings_options import checked
from aptnn_md.settings import NewPath

HELP = """Predict tensors for every frame of a file and write them as per-atom arrays, row-major:
APTs as `apt`, nine columns (row = dipole, column = displacement, e), PGTs as `pgt`, 27 columns
([dipole, dipole, displacement], Å²), whichever the model knows. A committee also gives `apt_std`
and `pgt_std`. Where training stored what it knows (with validation frames), `spread_ratio` is the
spread of each atom's tensor in units of its limit, above 1 in an environment that the model does
not know well, and `apt_error` and `pgt_error` in the comment line are the errors that are expected
of each frame, root mean squares. A model of the network dipole also gives the `dipole` of each
frame, e Å, in its comment line, one of the network polarizability the `polarizability`, nine
numbers, Å³."""

EXAMPLE = """  aptnn-md predict --model water-apt --data frames.extxyz --out predicted.extxyz
  aptnn-md predict --model water-apt,pgt.pt --data frames.extxyz --out predicted.extxyz"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    add_model_options(parser)
    parser.add_argument("--data", type=Path, required=True, help="frames, any format ASE reads")
    parser.add_argument("--out", type=checked(NewPath), required=True, help="extxyz file to write")


def run(arguments: argparse.Namespace) -> None:
    """Predict and write."""
    import io

    import ase.io

    from aptnn_md.domain import SPREAD_RATIO
    from aptnn_md.files import refuse_overwriting, refuse_unwritable, write_output
    from aptnn_md.prediction.predictor import Predictor
    from aptnn_md.prediction.watch import domain_of
    from aptnn_md.progress import Progress, log
    from aptnn_md.structure_files import read_structures

    refuse_overwriting(arguments.out, arguments.data)
    refuse_unwritable(arguments.out)
    model = model_of(arguments)
    text = io.StringIO()
    frames = read_structures(arguments.data)
    domain, n_outside = domain_of(model), 0
    with Progress(len(frames), "predicting", "frame") as progress:
        for atoms in frames:
            tensors = model.evaluate([atoms])[0]
            ratios = None if domain is None else domain.ratios(tensors, atoms.numbers)
            if ratios is not None:
                atoms.arrays[SPREAD_RATIO] = ratios
                n_outside += bool((ratios > 1.0).any())
            for target, expected in (
                {} if domain is None else domain.expected_errors(tensors).items()
            ):
                atoms.info[f"{target}_error"] = float(expected.structure)
            for target, members in tensors.items():
                columns = members.reshape(*members.shape[:2], -1)
                atoms.arrays[target] = columns.mean(axis=0)
                if len(members) > 1:
                    atoms.arrays[f"{target}_std"] = columns.std(axis=0, ddof=1)
            if isinstance(model, Predictor) and model.gives_dipoles:
                dipoles = model.dipoles([atoms])[0]
                if atoms.calc is not None:
                    atoms.calc.results.pop("dipole", None)  # that of the file
                atoms.info["dipole"] = dipoles.mean(axis=0)
                if len(dipoles) > 1:
                    atoms.info["dipole_std"] = dipoles.std(axis=0, ddof=1)
            if isinstance(model, Predictor) and model.gives_polarizabilities:
                found = model.polarizabilities([atoms])[0]
                atoms.info["polarizability"] = found.mean(axis=0).ravel()
                if len(found) > 1:
                    atoms.info["polarizability_std"] = found.std(axis=0, ddof=1).ravel()
            ase.io.write(text, atoms, format="extxyz")
            progress.update()
    write_output(arguments.out, text.getvalue().encode())
    if n_outside:
        log.warning(
            "%d of %d frames have atoms in environments that the networks of model %s do not know "
            "well (%s above 1): label such frames and train with them",
            *(n_outside, len(frames), model.name, SPREAD_RATIO),
        )
    print(f"{arguments.out}: {len(frames)} frames, model {model.name} {model.sha256[:12]}")
