"""Options of the commands that evaluate a model."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aptnn_md.predictor import Predictor


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """--model, --total-charge, --dtype and --device."""
    parser.add_argument("--model", required=True, help="model file or bundled name")
    parser.add_argument("--total-charge", type=float, default=0.0, help="of a frame, e (default 0)")
    parser.add_argument("--dtype", choices=["float32", "float64"], help="default float32")
    parser.add_argument("--device", default="cpu", help="torch device (default cpu)")


def load_predictor(arguments: argparse.Namespace, neutral: bool = True) -> Predictor:
    """The predictor that these options describe."""
    from aptnn_md.predictor import Predictor

    return Predictor.from_file(
        arguments.model,
        device=arguments.device,
        dtype=arguments.dtype,
        total_charge=arguments.total_charge,
        neutral=neutral,
    )
