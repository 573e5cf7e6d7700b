"""The honest test: random frames, predicted before they are learned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.learning.directory import SYSTEM
from aptnn_md.learning.documents import read_record, write_document
from aptnn_md.potentials.interface import BatchedPotential
from aptnn_md.prediction.interface import TensorModel
from aptnn_md.spectra.analysis.error_parts import committee_error
from aptnn_md.training.dataset import LabelledFrame
from aptnn_md.training.evaluation import evaluate_targets

_TINY = 1e-12


@dataclass(frozen=True)
class HonestTest:
    """Errors on frames that no model had seen.

    Attributes
    ----------
    n_frames : that have labels
    force_rmse : of all components, eV/Å; None where the potential is not learned, or no frame has
        labels
    force_scale : root mean square of the reference forces, eV/Å
    tensor_rmse : target -> RMSE in its unit
    tensor_relative : target -> RMSE over the spread of the labels: that is the error of a model
        which knows nothing but the mean tensor of each element
    of_systems : name of a system -> the test of its frames alone; empty where there is only one
    force_spread : what the members of the potential say that ``force_rmse`` is, twice their mean
        deviation (root mean square), eV/Å; None where there are no members, and in old files
    """

    n_frames: int
    force_rmse: float | None
    force_scale: float
    tensor_rmse: Mapping[str, float]
    tensor_relative: Mapping[str, float]
    of_systems: Mapping[str, HonestTest] = field(default_factory=dict)
    force_spread: float | None = None

    @property
    def members_factor(self) -> float:
        """By how much forces are wrong beyond what members say; 1 where that is not known, or they
        say more."""
        if not self.force_rmse or not self.force_spread:
            return 1.0
        return max(1.0, self.force_rmse / self.force_spread)

    def of(self, system: str) -> HonestTest:
        """The test of a system by name; that of all frames where it has none of its own."""
        own = self.of_systems.get(system, self)
        return own if own.n_frames else self

    def write(self, path: Path) -> None:
        """As JSON, whole or not at all."""
        write_document(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> HonestTest:
        """What :meth:`write` wrote.

        Raises
        ------
        InputError
            The file is damaged.
        """
        expected = "an honest test; remove it to make it again"
        found = read_record(cls, path, "honest test", expected)
        try:
            parts = {name: cls(**values) for name, values in dict(found.of_systems).items()}  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            raise InputError(path, "honest test", f"other content ({error})", expected) from error
        return replace(found, of_systems=parts)


def honest_test(
    model: TensorModel,
    potential: BatchedPotential | None,
    frames: Sequence[LabelledFrame],
    known: Sequence[LabelledFrame],
) -> HonestTest:
    """Compare predictions with the labels of frames that neither model was trained on.

    Parameters
    ----------
    model : of tensors
    potential : that is learned; None: it is not
    frames : with labels; those without are left out
    known : frames on which they were trained
    """
    labelled = [frame for frame in frames if frame.any_label]
    found = evaluate_targets(model, labelled) if labelled else {}
    reference = [_forces(frame.atoms) for frame in labelled]
    scale = _rms(reference)
    rmse = spread = None
    if potential is not None and labelled:
        predicted = potential.evaluate([_moved(frame.atoms) for frame in labelled])
        pairs = zip(predicted, reference, strict=True)
        rmse = _rms([np.asarray(result["forces"]) - forces for result, forces in pairs])
        if len(predicted[0].get("member_forces", ())) > 1:
            spread = _rms([committee_error(result["member_forces"]) for result in predicted])
    return HonestTest(
        len(labelled),
        rmse,
        scale,
        {name: e.rmse for name, e in found.items()},
        {name: e.rmse / max(_spread(name, labelled, known), _TINY) for name, e in found.items()},
        force_spread=spread,
    )


def honest_test_of_systems(
    model: TensorModel,
    potential: BatchedPotential | None,
    frames: Sequence[LabelledFrame],
    known: Sequence[LabelledFrame],
    names: Sequence[str],
) -> HonestTest:
    """:func:`honest_test` of all frames and, of several systems, also of those of each.

    A model may be good for one system and poor for another, which the error of all does not show.

    Parameters
    ----------
    model, potential, frames, known : see :func:`honest_test`
    names : of the systems
    """
    found = honest_test(model, potential, frames, known)
    if len(names) < 2:
        return found
    parts = {}
    for number, name in enumerate(names):
        own = [frame for frame in frames if frame.atoms.info.get(SYSTEM) == number]
        parts[name] = honest_test(model, potential, own, known)
    return replace(found, of_systems=parts)


def _spread(target: str, frames: Sequence[LabelledFrame], known: Sequence[LabelledFrame]) -> float:
    """Root mean square difference of labels to the mean tensor of their element in known frames.

    The frames of a test are too few for means of their own.
    """
    labels = np.concatenate([frame.labels[target] for frame in known])
    elements = np.concatenate([frame.atoms.numbers for frame in known])
    there = np.isfinite(labels).reshape(len(labels), -1).all(axis=1)
    means = {z: labels[there & (elements == z)].mean(axis=0) for z in np.unique(elements[there])}
    differences = [
        frame.labels[target][atom] - means[z]
        for frame in frames
        for atom, z in enumerate(frame.atoms.numbers)
        if np.isfinite(frame.labels[target][atom]).all()
    ]
    return _rms(differences)


def _forces(atoms: Atoms) -> FloatArray:
    results: dict[str, Any] = atoms.calc.results if atoms.calc is not None else {}
    return np.asarray(results.get("forces", np.zeros((0, 3))), dtype=np.float64)


def _moved(atoms: Atoms) -> Atoms:
    """Without labels."""
    copy: Atoms = atoms.copy()
    copy.calc = None
    return copy


def _rms(arrays: Sequence[FloatArray]) -> float:
    values = np.concatenate([a.ravel() for a in arrays]) if arrays else np.zeros(0)
    return float(np.sqrt(np.mean(values**2))) if len(values) else 0.0
