"""``aptnn-md export``: a model as a program that other programs run."""

from __future__ import annotations

import argparse

from aptnn_md.cli.settings_options import checked
from aptnn_md.settings import NewPath

HELP = """Write a model as a program that runs without aptnn_md. --to torch-export makes a file of
torch.export (.pt2), which PyTorch loads in Python and compiles for C++ (AOTInductor). It takes
atomic numbers and a list of neighbours, for any number of atoms and structures, and gives what
`predict` gives, sum rules included. Inputs, outputs, units and the model card are in the file
(README.txt and aptnn_md.json)."""

EXAMPLE = """  aptnn-md export water-apt --to torch-export --out water-apt.pt2
  unzip -p water-apt.pt2 '*README.txt'

  import torch
  model = torch.export.load("water-apt.pt2").module()
  apt = model(atomic_numbers, edge_index, edge_vectors, structure, charges)["apt"]"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("model", metavar="MODEL", help="model file or bundled name")
    parser.add_argument(
        "--to",
        choices=["torch-export"],
        default="torch-export",
        help="kind of program (default torch-export)",
    )
    parser.add_argument(
        "-o", "--out", type=checked(NewPath), required=True, help="file to write, e.g. model.pt2"
    )
    parser.add_argument(
        "--dtype",
        choices=["float32", "float64"],
        default="float32",
        help="of the program's numbers (default float32)",
    )


def run(arguments: argparse.Namespace) -> None:
    """Export and say what was written."""
    from aptnn_md.prediction.model_file import read_model_file
    from aptnn_md.prediction.torch_export import export_model

    facts = export_model(read_model_file(arguments.model), arguments.out, dtype=arguments.dtype)
    print(
        f"{arguments.out}: {', '.join(facts['outputs'])} of {', '.join(facts['elements'])}, "
        f"{facts['n_members']} network(s), {facts['dtype']}, torch {facts['torch']}; "
        f"README.txt in it says how it is called"
    )
