"""What every model of atomic tensors must obey: :func:`check_tensor_model`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.prediction.interface import TensorModel
from aptnn_md.targets import TARGETS, Tensors, targets_of


def check_tensor_model(
    model: TensorModel,
    structures: Sequence[Atoms],
    *,
    rotations: bool = True,
    tolerance: float = 1e-4,
) -> None:
    """Demand of a model what the rest of the package relies on.

    That is: what it says of itself; finite tensors of the right shapes for every structure; the
    same numbers one by one and in a batch; the members that slices select, taken together, are the
    whole committee; ``for_targets`` gives the same tensors; tensors follow their atoms when these
    are put into another order; nothing changes when all atoms are moved; and, with ``rotations``,
    tensors turn with the structure.

    Parameters
    ----------
    model : to check
    structures : that it knows, at least one, of several sizes if possible
    rotations : False for a model that is not covariant, e.g. one fitted in a fixed frame
    tolerance : largest difference of two numbers that should be equal, in units of the largest
        number of the same target

    Raises
    ------
    AssertionError
        What is not so, with the name of the model and the structure.
    """
    assert len(structures) > 0, "check_tensor_model needs at least one structure"
    _check_description(model)
    found = model.evaluate(structures)
    assert len(found) == len(structures), f"{model.name}: {len(found)} results for a batch"
    for atoms, tensors in zip(structures, found, strict=True):
        _check_arrays(model, atoms, tensors)
        compare = _Comparison(model.name, atoms.get_chemical_formula(), tolerance)
        compare(model.evaluate([atoms])[0], tensors, "one by one and in a batch")
        _check_members(model, atoms, tensors, compare)
        _check_targets(model, atoms, tensors, compare)
        _check_symmetry(model, atoms, tensors, compare)
        if rotations:
            turned, rotation = _turned(atoms)
            expected = {name: _rotated(name, values, rotation) for name, values in tensors.items()}
            compare(model.evaluate([turned])[0], expected, "turned with the structure")


class _Comparison:
    """Says which tensors of which model and structure differ."""

    def __init__(self, model: str, structure: str, tolerance: float) -> None:
        self.where, self.tolerance = f"{model}, {structure}", tolerance

    def __call__(self, found: Tensors, expected: Tensors, what: str) -> None:
        assert set(found) == set(expected), f"{self.where}: {what}: targets {sorted(found)}"
        for name, values in expected.items():
            same = found[name].shape == values.shape
            assert same, f"{self.where}: {what}: {name}: shape {found[name].shape}"
            scale = max(float(np.abs(values).max(initial=0.0)), 1e-12)
            largest = float(np.abs(found[name] - values).max(initial=0.0)) / scale
            assert largest <= self.tolerance, (
                f"{self.where}: {what}: {name} differs by {largest:.1e} of its largest value"
            )


def _check_description(model: TensorModel) -> None:
    assert isinstance(model, TensorModel), f"{type(model).__name__} is no TensorModel"
    assert model.name, "a model needs a name, for headers and messages"
    assert isinstance(model.sha256, str), f"{model.name}: sha256 is no text"
    targets_of(model.targets, f"model {model.name}")
    sizes = model.committee_sizes
    assert tuple(sizes) == model.targets, f"{model.name}: committee sizes of {tuple(sizes)}"
    assert min(sizes.values()) > 0, f"{model.name}: committee sizes {dict(sizes)}"


def _check_arrays(model: TensorModel, atoms: Atoms, tensors: Tensors) -> None:
    assert tuple(tensors) == model.targets, f"{model.name}: gives {tuple(tensors)}"
    for name, values in tensors.items():
        expected = (model.committee_sizes[name], len(atoms), *TARGETS[name].shape)
        assert values.shape == expected, f"{model.name}: {name}: {values.shape}, not {expected}"
        assert values.dtype == np.float64, f"{model.name}: {name}: {values.dtype}"
        assert np.isfinite(values).all(), f"{model.name}: {name}: values that are not finite"


def _check_members(
    model: TensorModel, atoms: Atoms, tensors: Tensors, compare: _Comparison
) -> None:
    """Each way to cut the first committee in two gives each member of each target once."""
    n_first = model.committee_sizes[model.targets[0]]
    for cut in range(1, n_first):
        parts = [model.select(slice(0, cut)), model.select(slice(cut, n_first))]
        sizes = [part.committee_sizes[model.targets[0]] for part in parts]
        assert sizes == [cut, n_first - cut], f"{model.name}: {sizes} members selected at {cut}"
        found = [part.evaluate([atoms])[0] for part in parts]
        joined = {name: np.concatenate([part[name] for part in found]) for name in tensors}
        compare(joined, tensors, f"members cut at {cut}")
    whole = model.select(slice(0, n_first))
    compare(whole.evaluate([atoms])[0], tensors, "all members selected")


def _check_targets(
    model: TensorModel, atoms: Atoms, tensors: Tensors, compare: _Comparison
) -> None:
    for name in model.targets:
        part = model.for_targets((name,))
        assert name in part.targets, f"{model.name}: for_targets({name!r}) gives {part.targets}"
        found = part.evaluate([atoms])[0]
        compare({name: found[name]}, {name: tensors[name]}, "for one target")


def _check_symmetry(
    model: TensorModel, atoms: Atoms, tensors: Tensors, compare: _Comparison
) -> None:
    order = np.random.default_rng(0).permutation(len(atoms))
    expected = {name: values[:, order] for name, values in tensors.items()}
    compare(model.evaluate([atoms[order]])[0], expected, "atoms in another order")
    moved = atoms.copy()
    moved.positions += (0.31, -1.7, 0.93)
    compare(model.evaluate([moved])[0], tensors, "all atoms moved")


def _turned(atoms: Atoms) -> tuple[Atoms, FloatArray]:
    """The structure, its cell with it, after a rotation that mixes all axes, and its matrix."""
    matrix, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    rotation: FloatArray = matrix * np.linalg.det(matrix)
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ rotation.T)
    turned.set_positions(atoms.positions @ rotation.T, apply_constraint=False)
    return turned, rotation


def _rotated(target: str, tensors: FloatArray, rotation: FloatArray) -> FloatArray:
    """Tensors (n_members, n_atoms, *shape), every index of their shape rotated."""
    for axis in range(2, 2 + len(TARGETS[target].shape)):
        tensors = np.moveaxis(np.tensordot(tensors, rotation, axes=(axis, 1)), -1, axis)
    return tensors
