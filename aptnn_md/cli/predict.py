"""``aptnn-md predict``: tensors onto frames."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = """Predict APTs for every frame of a file and write them as the per-atom array `apt`, nine
columns, row-major: row = dipole, column = displacement, e. A committee also gives `apt_std`."""

EXAMPLE = "  aptnn-md predict --model water-apt --data frames.extxyz --out predicted.extxyz"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--model", required=True, help="model file or bundled name")
    parser.add_argument("--data", type=Path, required=True, help="frames, any format ASE reads")
    parser.add_argument("--out", type=Path, required=True, help="extxyz file to write")
    parser.add_argument("--total-charge", type=float, default=0.0, help="of a frame, e (default 0)")
    parser.add_argument("--dtype", choices=["float32", "float64"], help="default float32")
    parser.add_argument("--device", default="cpu", help="torch device (default cpu)")


def run(arguments: argparse.Namespace) -> None:
    """Predict and write."""
    import io

    import ase.io

    from aptnn_md.dataset import read_structures
    from aptnn_md.files import write_output
    from aptnn_md.predictor import Predictor
    from aptnn_md.progress import Progress

    predictor = Predictor.from_file(
        arguments.model,
        device=arguments.device,
        dtype=arguments.dtype,
        total_charge=arguments.total_charge,
    )
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
