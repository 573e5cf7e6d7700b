"""Errors of a model on labelled frames."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.dataset import LabelledFrame
from aptnn_md.files import write_output
from aptnn_md.predictor import Predictor
from aptnn_md.tensors import acoustic_sum, irreducible_parts


@dataclass(frozen=True)
class Errors:
    """Root mean square and mean absolute error of components, and rms of the labels' spread.

    ``spread`` is the RMSE of a model that knows only each element's mean tensor: what the errors
    are to be compared with.
    """

    rmse: float
    mae: float
    spread: float

    @classmethod
    def of(cls, predicted: FloatArray, reference: FloatArray, deviation: FloatArray) -> Errors:
        """From tensors (n, 3, 3); ``deviation`` is the reference less its element's mean."""
        difference = predicted - reference
        return cls(
            rmse=float(np.sqrt(np.mean(difference**2))),
            mae=float(np.mean(np.abs(difference))),
            spread=float(np.sqrt(np.mean(deviation**2))),
        )


@dataclass(frozen=True)
class Evaluation:
    """What :func:`evaluate` finds; everything in e.

    Attributes
    ----------
    rmse, mae : of all components of all labelled atoms
    n_frames, n_atoms : that were compared
    by_element, by_irrep : the same for parts; of an irrep the error of its Cartesian part
    sum_rule_model, sum_rule_labels : root mean square over components and fully labelled frames of
        Σᵢ Pᵢ − Q·1, None where no frame is fully labelled; the model's is that of the predictor as
        it is, zero after the projection
    predicted, reference, atomic_numbers : (n_atoms, 3, 3) twice and (n_atoms,)
    """

    rmse: float
    mae: float
    n_frames: int
    n_atoms: int
    by_element: dict[str, Errors]
    by_irrep: dict[str, Errors]
    sum_rule_model: float | None
    sum_rule_labels: float | None
    predicted: FloatArray
    reference: FloatArray
    atomic_numbers: IntArray

    def as_dict(self) -> dict[str, Any]:
        """The figures, without the tensors."""
        figures = asdict(self)
        for name in ("predicted", "reference", "atomic_numbers"):
            del figures[name]
        return figures


def evaluate(predictor: Predictor, frames: Sequence[LabelledFrame]) -> Evaluation:
    """Compare predictions with the labels of every labelled atom."""
    tensors = predictor([frame.atoms for frame in frames])
    masks = [frame.labelled for frame in frames]
    predicted = np.concatenate([p[mask] for p, mask in zip(tensors, masks, strict=True)])
    reference = np.concatenate([f.tensors[mask] for f, mask in zip(frames, masks, strict=True)])
    numbers = np.concatenate([f.atoms.numbers[mask] for f, mask in zip(frames, masks, strict=True)])
    elements = np.unique(numbers)
    deviation = reference.copy()
    for z in elements:
        deviation[numbers == z] -= reference[numbers == z].mean(axis=0)
    triple = (predicted, reference, deviation)
    overall = Errors.of(*triple)
    parts = [irreducible_parts(tensors) for tensors in triple]
    complete = [
        (p, frame.tensors)
        for p, frame, mask in zip(tensors, frames, masks, strict=True)
        if mask.all() and len(mask)
    ]
    charge = predictor.total_charge
    return Evaluation(
        rmse=overall.rmse,
        mae=overall.mae,
        n_frames=len(frames),
        n_atoms=len(numbers),
        by_element={
            chemical_symbols[z]: Errors.of(*(tensors[numbers == z] for tensors in triple))
            for z in elements
        },
        by_irrep={name: Errors.of(*(part[name] for part in parts)) for name in parts[0]},
        sum_rule_model=_rms_of([acoustic_sum(p, charge) for p, _ in complete]),
        sum_rule_labels=_rms_of([acoustic_sum(t, charge) for _, t in complete]),
        predicted=predicted,
        reference=reference,
        atomic_numbers=numbers,
    )


def _rms_of(residues: Sequence[FloatArray]) -> float | None:
    return float(np.sqrt(np.mean(np.square(residues)))) if residues else None


def draw_parity(evaluation: Evaluation, path: Path, title: str) -> None:
    """Predicted against reference components: diagonal and off-diagonal ones of each element."""
    from matplotlib.figure import Figure

    elements = np.unique(evaluation.atomic_numbers)
    figure = Figure(figsize=(4.2 * len(elements), 4.4), layout="constrained")
    panels = figure.subplots(1, len(elements), squeeze=False)[0]
    diagonal = np.eye(3, dtype=bool)
    for axes, z in zip(panels, elements, strict=True):
        chosen = evaluation.atomic_numbers == z
        reference, predicted = evaluation.reference[chosen], evaluation.predicted[chosen]
        for mask, colour, label in (
            (~diagonal, "C0", "off-diagonal"),
            (diagonal, "C1", "diagonal"),
        ):
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
        symbol = chemical_symbols[z]
        axes.set_title(f"{symbol}: RMSE {evaluation.by_element[symbol].rmse:.4f} e")
        axes.set(xlabel="reference APT component / e", ylabel="predicted / e", aspect="equal")
        axes.legend(frameon=False, markerscale=4)
    figure.suptitle(title)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    write_output(path, buffer.getvalue())
