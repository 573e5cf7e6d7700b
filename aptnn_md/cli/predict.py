"""``aptnn-md predict``: tensors onto frames."""

from __future__ import annotations

import argparse
from pathlib import Path

from aptnn_md.cli.model_options import add_model_options, load_predictor

HELP = """Predict APTs for every frame of a file and write them as the per-atom array `apt`, nine
columns, row-major: row = dipole, column = displacement, e. A committee also gives `apt_std`."""

EXAMPLE = "  aptnn-md predict --model water-apt --data frames.extxyz --out predicted.extxyz"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    add_model_options(parser)
    parser.add_argument("--data", type=Path, required=True, help="frames, any format ASE reads")
    parser.add_argument("--out", type=Path, required=True, help="extxyz file to write")


def run(arguments: argparse.Namespace) -> None:
    """Predict and write."""
    import io

    import ase.io

    from aptnn_md.dataset import read_structures
    from aptnn_md.files import write_output
    from aptnn_md.progress import Progress

    predictor = load_predictor(arguments)
    text = io.StringIO()
    frames = read_structures(arguments.data)
    with Progress(len(frames), "predicting", "frame") as progress:
        for atoms in frames:
            mean, deviation = predictor.with_std(atoms)
            atoms.arrays["apt"] = mean.reshape(len(atoms), -1)
            if deviation is not None:
                atoms.arrays["apt_std"] = deviation.reshape(len(atoms), -1)
            ase.io.write(text, atoms, format="extxyz")
            progress.update()
    write_output(arguments.out, text.getvalue().encode())
    print(f"{arguments.out}: {len(frames)} frames, model {predictor.name} {predictor.sha256[:12]}")
