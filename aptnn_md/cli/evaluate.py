"""``aptnn-md evaluate``: errors of a model on labelled frames."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aptnn_md.cli.json_output import json_text
from aptnn_md.cli.model_options import add_label_options, add_model_options, model_of
from aptnn_md.cli.settings_options import checked
from aptnn_md.errors import InputError
from aptnn_md.settings import NewPath

if TYPE_CHECKING:
    from aptnn_md.prediction.interface import TensorModel
    from aptnn_md.training.dataset import LabelledFrame
    from aptnn_md.training.evaluation import Evaluation
    from aptnn_md.training.frame_evaluation import FrameEvaluation

HELP = """Compare a model's predictions with labels: component-wise RMSE and MAE over all labelled
atoms, in e for APTs and Å² for PGTs, for each element and each irrep, next to the spread of the
labels (the RMSE of a model that knows only each element's mean tensor) and RMSE/spread; and the
residue of the acoustic sum rule. Of a committee also the error of atoms against the standard
deviation of its members (the spread) in bins of it: their factor calibrates the spread. Irreps of
APTs: 0e trace, 1e antisymmetric, 2e symmetric traceless; of PGTs: 1o of the trace and of the rest,
2o, 3o. A model of the network dipole is also compared with total dipoles, e Å, one of the network
polarizability with polarizabilities, Å³, where frames have them. With --json a model of several
targets gives one object for each. --potential compares energies and forces of a potential instead:
RMSE of the energy of an atom, and of the components of the forces on each element; of a committee
next to the standard deviation of its members."""

EXAMPLE = """  aptnn-md evaluate --model water-apt --data test.extxyz --plot parity.png
  aptnn-md evaluate --model both.pt --target pgt --data test.extxyz --json
  aptnn-md evaluate --potential potential.json --data test.extxyz"""


PARITY = Path("parity.png")
"""Where the parity plot goes that has no other name."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    add_model_options(parser, required=False)
    parser.add_argument(
        "--potential",
        help="potential to compare instead of a model: bundled name, NAME.json, MACE model file or "
        "module:callable",
    )
    parser.add_argument("--data", type=Path, required=True, help="labelled frames, extxyz")
    add_label_options(parser)
    parser.add_argument(
        "--target", help="apt, pgt, dipole or polarizability (default: all that the model knows)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--plot",
        type=checked(NewPath),
        nargs="?",
        const=PARITY,
        metavar="FILE",
        help=f"parity plot to write; without a name {PARITY}, which must not exist (default: none)",
    )
    parser.add_argument(
        "--raw", action="store_true", help="the model as it is, without the sum rule imposed"
    )


def run(arguments: argparse.Namespace) -> None:
    """Evaluate, print, draw."""
    if (arguments.model is None) == (arguments.potential is None):
        raise InputError(
            "options",
            "--model and --potential",
            "both" if arguments.model else "neither",
            "one of them",
        )
    if arguments.potential is not None:
        _evaluate_potential(arguments)
    else:
        _evaluate_model(arguments)


def _evaluate_potential(arguments: argparse.Namespace) -> None:
    from aptnn_md.cli.train_potential import label_keys, table
    from aptnn_md.potentials.loading import load_potential
    from aptnn_md.training.potential import potential_errors, read_energy_frames

    frames = read_energy_frames(arguments.data, label_keys(arguments.key or [], "options"))
    potential = load_potential(arguments.potential, device=arguments.device, dtype=arguments.dtype)
    errors = potential_errors(potential, frames)
    print(json_text(errors.as_dict()) if arguments.json else table(errors))


def _evaluate_model(arguments: argparse.Namespace) -> None:
    from aptnn_md.domain import UNCALIBRATED
    from aptnn_md.prediction.watch import domain_of
    from aptnn_md.structure_labels import parse_keys
    from aptnn_md.training.dataset import read_labelled
    from aptnn_md.training.evaluation import draw_parity, evaluate_targets

    replaces = arguments.plot is not None and arguments.plot.exists()
    if replaces and arguments.plot == PARITY:
        raise InputError("options", "--plot", f"{PARITY}, which exists", "--plot FILE, another one")
    model = model_of(arguments, neutral=not arguments.raw)
    own = _label_of_frames(model)
    known = (*model.targets, own) if own else model.targets
    if arguments.target not in {None, *known}:
        raise InputError("options", "--target", arguments.target, " or ".join(known))
    targets = (arguments.target,) if arguments.target else known
    keys = parse_keys(arguments.key or [])
    frames = read_labelled(
        arguments.data,
        "+".join(targets),
        keys,
        arguments.transpose,
        complete=not own,
    )
    present = [name for name in targets if any(frame.has(name) for frame in frames)]
    tensors = [name for name in present if name != own]
    results = evaluate_targets(model, frames, tensors, arguments.total_charge) if tensors else {}
    of_frames = _of_frames(model, frames, arguments.total_charge) if own in present else None
    if arguments.plot is not None and results:
        title = f"{model.name} on {arguments.data.name}"
        draw_parity(list(results.values()), arguments.plot, title)
    if arguments.json:
        figures = {target: result.as_dict() for target, result in results.items()}
        figures |= {} if of_frames is None else {own: of_frames.as_dict()}
        print(json_text(figures if len(figures) > 1 else figures[present[0]]))
    else:
        texts = [table(result) for result in results.values()]
        texts += [] if of_frames is None else [frame_table(of_frames)]
        if any(result.by_spread for result in results.values()) and domain_of(model) is None:
            texts.append(f"calibration in the model card: {UNCALIBRATED}")
        print("\n\n".join(texts))
        if results and arguments.plot is not None:
            print(f"parity plot: {arguments.plot}{', in place of an older file' * replaces}")


def _label_of_frames(model: TensorModel) -> str:
    """Name of the label of frames that the model gives, or an empty text."""
    from aptnn_md.prediction.predictor import Predictor
    from aptnn_md.structure_labels import DIPOLE, POLARIZABILITY

    if not isinstance(model, Predictor):
        return ""
    return DIPOLE * model.gives_dipoles + POLARIZABILITY * model.gives_polarizabilities


def _of_frames(
    model: TensorModel, frames: Sequence[LabelledFrame], charge: float | None
) -> FrameEvaluation | None:
    from aptnn_md.prediction.predictor import Predictor
    from aptnn_md.training.frame_evaluation import evaluate_dipoles, evaluate_polarizabilities

    if not isinstance(model, Predictor):
        return None
    if model.gives_polarizabilities:
        return evaluate_polarizabilities(model, frames)
    return evaluate_dipoles(model, frames, charge)


def frame_table(result: FrameEvaluation) -> str:
    """The figures of labels of frames as text."""
    relative = "" if result.relative is None else f"{100.0 * result.relative:12.1f} %"
    return (
        f"{result.target}: {result.n_frames} frames; all figures in {result.unit}\n"
        f"{'':16}{'RMSE':>10}{'MAE':>10}{'spread':>10}{'RMSE/spread':>14}\n"
        f"{'all':16}{result.rmse:10.5f}{result.mae:10.5f}{result.spread:10.5f}{relative}"
    )


def table(result: Evaluation) -> str:
    """The figures as text."""
    from aptnn_md.training.evaluation import Errors

    everything = Errors(result.rmse, result.mae, result.spread, result.relative)
    lines = [
        f"{result.target}: {result.n_frames} frames, {result.n_atoms} labelled atoms; "
        f"all figures in {result.unit}",
        f"{'':16}{'RMSE':>10}{'MAE':>10}{'spread':>10}{'RMSE/spread':>14}",
    ]
    for name, errors in {"all": everything, **result.by_element, **result.by_irrep}.items():
        relative = "" if errors.relative is None else f"{100.0 * errors.relative:12.1f} %"
        lines.append(
            f"{name:16}{errors.rmse:10.5f}{errors.mae:10.5f}{errors.spread:10.5f}{relative}"
        )
    if result.sum_rule_model is not None and result.sum_rule_labels is not None:
        lines.append(
            f"sum rule, rms of a component: model {result.sum_rule_model:.2e}, "
            f"labels {result.sum_rule_labels:.2e}"
        )
    if len(result.by_charge) > 1:
        for charge, part in result.by_charge.items():
            line = f"charge {charge} e: {part.n_frames} frames, RMSE {part.rmse:.5f}"
            if part.sum_rule_model is not None and part.sum_rule_labels is not None:
                line += f", sum rule: model {part.sum_rule_model:.2e}"
                line += f", labels {part.sum_rule_labels:.2e}"
            lines.append(line)
    return "\n".join([*lines, *_spread_lines(result)])


def _spread_lines(result: Evaluation) -> list[str]:
    """Error against spread of a committee."""
    if not result.by_spread:
        return []
    lines = [
        "errors of atoms by the committee's standard deviation (spread); factor = error/spread",
        f"{'':16}{'spread':>10}{'error':>10}{'factor':>10}{'atoms':>10}",
    ]
    names = ("all", *(f"bin {n}" for n in range(1, len(result.by_spread))))
    for name, part in zip(names, result.by_spread, strict=True):
        factor = "" if part.factor is None else f"{part.factor:.2f}"
        lines.append(
            f"{name:16}{part.spread:10.5f}{part.error:10.5f}{factor:>10}{part.n_atoms:10d}"
        )
    return lines
