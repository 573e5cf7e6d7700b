"""Errors of a model on labelled frames."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.files import write_output
from aptnn_md.prediction.interface import TensorModel
from aptnn_md.structures import total_charge
from aptnn_md.targets import TARGETS, Target, mean_of_members
from aptnn_md.tensors import atom_deviations
from aptnn_md.training.calibration import SpreadBin, atom_errors, spread_bins
from aptnn_md.training.dataset import LabelledFrame

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Errors:
    """Root mean square and mean absolute error of components, and rms of the labels' spread.

    ``spread`` is the RMSE of a model that knows only each element's mean tensor: what the errors
    are to be compared with. ``relative`` is rmse / spread.
    """

    rmse: float
    mae: float
    spread: float
    relative: float | None

    @classmethod
    def of(cls, predicted: FloatArray, reference: FloatArray, deviation: FloatArray) -> Errors:
        """From tensors (n, 3, 3, ...); ``deviation`` is the reference less its element's mean."""
        difference = predicted - reference
        rmse = float(np.sqrt(np.mean(difference**2)))
        spread = float(np.sqrt(np.mean(deviation**2)))
        return cls(
            rmse=rmse,
            mae=float(np.mean(np.abs(difference))),
            spread=spread,
            relative=rmse / spread if spread > 0.0 else None,
        )


@dataclass(frozen=True)
class ErrorsOfCharge:
    """Errors and sums of frames of one charge.

    Attributes
    ----------
    n_frames : number of frames
    rmse : of components of labelled atoms
    sum_rule_model, sum_rule_labels : as of :class:`Evaluation`
    """

    n_frames: int
    rmse: float
    sum_rule_model: float | None
    sum_rule_labels: float | None


@dataclass(frozen=True)
class Evaluation:
    """Errors of one target; everything in its unit.

    Attributes
    ----------
    target, unit : ``"apt"``, e; ``"pgt"``, Å²
    rmse, mae, spread, relative : of all components of all labelled atoms, see :class:`Errors`
    n_frames, n_atoms : that were compared
    by_element, by_irrep : the same for parts; of an irrep the error of its Cartesian part
    by_charge : charge of a frame, e.g. ``"-2"`` -> errors and sums of the frames of that charge
    sum_rule_model, sum_rule_labels : root mean square over components and fully labelled frames of
        Σᵢ Pᵢ − Q·1 or Σᵢ PGTᵢ, None where no frame is fully labelled; the model's is that of the
        model as it is, zero after the projection
    by_spread : of a committee error against spread, of all atoms and then of bins of the spread
        (:func:`aptnn_md.training.calibration.spread_bins`); empty of a single model
    predicted, reference, atomic_numbers : (n_atoms, 3, 3, ...) twice and (n_atoms,)
    """

    target: str
    unit: str
    rmse: float
    mae: float
    spread: float
    relative: float | None
    n_frames: int
    n_atoms: int
    by_element: dict[str, Errors]
    by_irrep: dict[str, Errors]
    by_charge: dict[str, ErrorsOfCharge]
    sum_rule_model: float | None
    sum_rule_labels: float | None
    by_spread: tuple[SpreadBin, ...]
    predicted: FloatArray
    reference: FloatArray
    atomic_numbers: IntArray

    def as_dict(self) -> dict[str, Any]:
        """The figures, without the tensors."""
        figures = asdict(self)
        for name in ("predicted", "reference", "atomic_numbers"):
            del figures[name]
        return figures


def evaluate(model: TensorModel, frames: Sequence[LabelledFrame]) -> Evaluation:
    """Compare predictions of the first target with the labels of every labelled atom."""
    return evaluate_targets(model, frames, model.targets[:1])[model.targets[0]]


def evaluate_targets(
    model: TensorModel,
    frames: Sequence[LabelledFrame],
    targets: Sequence[str] | None = None,
    charge: float | None = None,
) -> dict[str, Evaluation]:
    """The same for several targets, all that the model knows by default.

    The sum rules are imposed on whole frames, including atoms without labels; they also hold for a
    cluster of whole molecules around a labelled one. Through the mean, predictions for atoms at the
    rim of the cluster then enter the comparison, too.

    Parameters
    ----------
    model : to judge
    frames : with labels
    targets : of the model; None: all of them
    charge : of frames that do not give their own, e; None: 0
    """
    wanted = tuple(targets or model.targets)
    found = model.for_targets(wanted).evaluate([frame.atoms for frame in frames])
    means = [mean_of_members(tensors) for tensors in found]
    evaluations = {}
    for target in wanted:
        members = [tensors[target] for tensors in found]
        of_target = TARGETS[target], [mean[target] for mean in means], frames
        evaluations[target] = replace(
            _evaluation(*of_target, charge), by_spread=_by_spread(*of_target, members)
        )
    return evaluations


def _evaluation(
    target: Target,
    tensors: Sequence[FloatArray],
    frames: Sequence[LabelledFrame],
    charge: float | None,
) -> Evaluation:
    masks = [frame.has_label(target.name) for frame in frames]
    labels = [frame.labels[target.name] for frame in frames]
    predicted = np.concatenate([p[mask] for p, mask in zip(tensors, masks, strict=True)])
    reference = np.concatenate([t[mask] for t, mask in zip(labels, masks, strict=True)])
    numbers = np.concatenate([f.atoms.numbers[mask] for f, mask in zip(frames, masks, strict=True)])
    elements = np.unique(numbers)
    deviation = reference.copy()
    for z in elements:
        deviation[numbers == z] -= reference[numbers == z].mean(axis=0)
    triple = (predicted, reference, deviation)
    overall = Errors.of(*triple)
    parts = [target.parts(tensors) for tensors in triple]
    complete = [
        (p, label, total_charge(frame.atoms, charge))
        for p, label, mask, frame in zip(tensors, labels, masks, frames, strict=True)
        if mask.all() and len(mask)
    ]
    return Evaluation(
        target=target.name,
        unit=target.unit,
        rmse=overall.rmse,
        mae=overall.mae,
        spread=overall.spread,
        relative=overall.relative,
        n_frames=len(frames),
        n_atoms=len(numbers),
        by_element={
            chemical_symbols[z]: Errors.of(*(tensors[numbers == z] for tensors in triple))
            for z in elements
        },
        by_irrep={name: Errors.of(*(part[name] for part in parts)) for name in parts[0]},
        by_charge=_by_charge(target, tensors, frames, charge),
        sum_rule_model=_rms_of([target.residue(p, q) for p, _, q in complete]),
        sum_rule_labels=_rms_of([target.residue(label, q) for _, label, q in complete]),
        by_spread=(),
        predicted=predicted,
        reference=reference,
        atomic_numbers=numbers,
    )


def _by_charge(
    target: Target,
    tensors: Sequence[FloatArray],
    frames: Sequence[LabelledFrame],
    option: float | None,
) -> dict[str, ErrorsOfCharge]:
    residue, found = target.residue, {}
    charges = [total_charge(frame.atoms, option) for frame in frames]
    for charge in sorted(set(charges)):
        pairs = [
            (p, frame.labels[target.name])
            for p, frame, q in zip(tensors, frames, charges, strict=True)
            if q == charge and frame.has_label(target.name).any()
        ]
        if not pairs:
            continue
        errors = np.concatenate([(p - label).ravel() for p, label in pairs])
        complete = [(p, label) for p, label in pairs if np.isfinite(label).all()]
        found[f"{charge:+g}" if charge else "0"] = ErrorsOfCharge(
            n_frames=len(pairs),
            rmse=float(np.sqrt(np.nanmean(errors**2))),
            sum_rule_model=_rms_of([residue(p, charge) for p, _ in complete]),
            sum_rule_labels=_rms_of([residue(label, charge) for _, label in complete]),
        )
    return found


def _by_spread(
    target: Target,
    tensors: Sequence[FloatArray],
    frames: Sequence[LabelledFrame],
    members: Sequence[FloatArray],
) -> tuple[SpreadBin, ...]:
    """Error against spread of all labelled atoms; ``members`` (n_members, n_atoms, *shape)."""
    if not members or len(members[0]) < 2:
        return ()
    n_indices = len(target.shape)
    spreads, errors = [], []
    for mean, frame, of_frame in zip(tensors, frames, members, strict=True):
        labelled = frame.has_label(target.name)
        spreads.append(atom_deviations(of_frame, n_indices)[labelled])
        difference = (mean - frame.labels[target.name])[labelled]
        errors.append(atom_errors(difference, n_indices))
    return spread_bins(np.concatenate(spreads), np.concatenate(errors))


def _rms_of(residues: Sequence[FloatArray]) -> float | None:
    return float(np.sqrt(np.mean(np.square(residues)))) if residues else None


def draw_parity(evaluations: Sequence[Evaluation], path: Path, title: str) -> None:
    """Predicted against reference components, each target a row, each element a panel.

    Diagonal and off-diagonal components have colours of their own; of PGTs by their first two
    indices.
    """
    from matplotlib.figure import Figure

    widths = [len(evaluation.by_element) for evaluation in evaluations]
    shape = len(evaluations), max(widths)
    figure = Figure(figsize=(4.2 * shape[1], 4.6 * shape[0]), layout="constrained")
    rows = figure.subplots(*shape, squeeze=False)
    for evaluation, row in zip(evaluations, rows, strict=True):
        elements = np.unique(evaluation.atomic_numbers)
        for axes in row[len(elements) :]:
            axes.set_axis_off()
        for axes, z in zip(row, elements, strict=False):
            _draw_panel(axes, evaluation, int(z))
    figure.suptitle(title)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    write_output(path, buffer.getvalue())


def _component_kinds(shape: tuple[int, ...]) -> list[tuple[NDArray[np.bool_], str, str]]:
    """Which components of a tensor are drawn alike: a mask, its colour and its name."""
    if shape[:2] != (3, 3):
        return [(np.ones(shape, dtype=bool), "C0", "components")]
    diagonal = np.eye(3, dtype=bool)
    return [(~diagonal, "C0", "off-diagonal"), (diagonal, "C1", "diagonal")]


def _draw_panel(axes: Axes, evaluation: Evaluation, z: int) -> None:
    chosen = evaluation.atomic_numbers == z
    reference, predicted = evaluation.reference[chosen], evaluation.predicted[chosen]
    for mask, colour, label in _component_kinds(reference.shape[1:]):
        axes.plot(
            reference[:, mask].ravel(),
            predicted[:, mask].ravel(),
            ".",
            color=colour,
            markersize=2,
            alpha=0.5,
            label=label,
            rasterized=True,
        )
    low, high = float(reference.min()), float(reference.max())
    axes.plot([low, high], [low, high], "k-", linewidth=0.8)
    symbol, unit, name = chemical_symbols[z], evaluation.unit, TARGETS[evaluation.target].title
    axes.set_title(f"{symbol}: RMSE {evaluation.by_element[symbol].rmse:.4f} {unit}")
    axes.set_box_aspect(1.0)
    axes.set(xlabel=f"reference {name} component / {unit}", ylabel=f"predicted / {unit}")
    axes.legend(frameon=False, markerscale=4)
