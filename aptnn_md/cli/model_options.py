"""Options of the commands that evaluate a model."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from aptnn_md.cli.settings_options import checked

if TYPE_CHECKING:
    from aptnn_md.prediction.interface import TensorModel


def add_model_options(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """--model, --total-charge, --dtype and --device."""
    parser.add_argument(
        "--model",
        required=required,
        help="model file, bundled name, NAME.model of a MACE network of dipoles (a pickle, which "
        "runs the code in it) or module:callable key=value ...; of models for different targets "
        "several, comma-separated",
    )
    parser.add_argument(
        "--total-charge",
        type=checked(float),
        metavar="E",
        help="of frames that do not give their own, e; must agree with those that do (default 0)",
    )
    parser.add_argument(
        "--dtype", choices=["float32", "float64"], help="default float32, of a MACE model its own"
    )
    parser.add_argument("--device", default="cpu", help="torch device (default cpu)")


def add_charge_option(parser: argparse.ArgumentParser) -> None:
    """--total-charge, of commands that read a structure."""
    parser.add_argument(
        "--total-charge",
        type=checked(float),
        metavar="E",
        help="of a structure that does not give its own, e (default 0)",
    )


def add_field_option(parser: argparse.ArgumentParser) -> None:
    """--efield, of commands that compute forces."""
    parser.add_argument(
        "--efield",
        type=checked(float),
        nargs=3,
        metavar=("EX", "EY", "EZ"),
        help="electric field, V/Å",
    )


def add_label_options(parser: argparse.ArgumentParser) -> None:
    """--key and --transpose, for the commands that read labels."""
    parser.add_argument(
        "--key",
        action="append",
        metavar="TARGET=NAME",
        help="name of the labels in the files, e.g. apt=born_charge; default: any usual name",
    )
    parser.add_argument(
        "--transpose",
        action="store_true",
        default=None,
        help="APTs are stored with the displacement first; default: found out where the "
        "rotational sum rule tells, else the dipole first",
    )


def model_of(arguments: argparse.Namespace, neutral: bool = True) -> TensorModel:
    """The model that these options describe."""
    from aptnn_md.prediction.loading import load_model

    return load_model(
        arguments.model,
        device=arguments.device,
        dtype=arguments.dtype,
        total_charge=arguments.total_charge,
        neutral=neutral,
    )
