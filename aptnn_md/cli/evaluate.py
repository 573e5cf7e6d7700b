"""``aptnn-md evaluate``: errors of a model on labelled frames."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from aptnn_md.cli.model_options import add_model_options, load_predictor

if TYPE_CHECKING:
    from aptnn_md.evaluation import Evaluation

HELP = """Compare a model's predictions with labels: component-wise RMSE and MAE in e over all
labelled atoms, for each element and each irrep (0e trace, 1e antisymmetric, 2e symmetric
traceless), and the residue of the acoustic sum rule. Draws the parity plot."""

EXAMPLE = "  aptnn-md evaluate --model water-apt --data test.extxyz --plot parity.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    add_model_options(parser)
    parser.add_argument("--data", type=Path, required=True, help="labelled frames, extxyz")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--plot", type=Path, help="parity plot to write (default: parity.png, with --json none)"
    )
    parser.add_argument(
        "--raw", action="store_true", help="the network as it is, without the sum rule imposed"
    )


def run(arguments: argparse.Namespace) -> None:
    """Evaluate, print, draw."""
    from aptnn_md.dataset import read_labelled
    from aptnn_md.evaluation import draw_parity, evaluate

    predictor = load_predictor(arguments, neutral=not arguments.raw)
    result = evaluate(predictor, read_labelled(arguments.data, predictor.target))
    plot = arguments.plot or (None if arguments.json else Path("parity.png"))
    if plot is not None:
        draw_parity(result, plot, f"{predictor.name} on {arguments.data.name}")
    if arguments.json:
        print(json.dumps(result.as_dict(), indent=2))
    else:
        print(table(result))
        print(f"parity plot: {plot}")


def table(result: Evaluation) -> str:
    """The figures as text."""
    lines = [
        f"{result.n_frames} frames, {result.n_atoms} labelled atoms; all figures in e",
        f"{'':10}{'RMSE':>10}{'MAE':>10}{'spread':>10}",
        f"{'all':10}{result.rmse:10.5f}{result.mae:10.5f}",
    ]
    for parts in (result.by_element, result.by_irrep):
        lines += [
            f"{name:10}{errors.rmse:10.5f}{errors.mae:10.5f}{errors.spread:10.5f}"
            for name, errors in parts.items()
        ]
    if result.sum_rule_model is not None and result.sum_rule_labels is not None:
        lines.append(
            f"sum rule, rms of a component: model {result.sum_rule_model:.2e}, "
            f"labels {result.sum_rule_labels:.2e}"
        )
    return "\n".join(lines)
