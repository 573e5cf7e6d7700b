"""Distances between atoms that a program kept constant, found in the trajectory.

A trajectory does not say what was constrained (SHAKE, SETTLE, LINCS, rigid bodies), but bonds that
never change their length do, and temperature and f-sum are wrong where that is not known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.constraints import FixBondLengths
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.atoms.molecules import bonds
from aptnn_md.atoms.snapshot import nearest_images
from aptnn_md.engines.trajectory.frames import Frame
from aptnn_md.engines.trajectory.joined import Joined
from aptnn_md.engines.trajectory.resting import FEWEST_LOOKED_AT, looked_at
from aptnn_md.engines.trajectory.rounding import rounded_to
from aptnn_md.errors import RunError
from aptnn_md.structures import Mobility

_SOLVED = 3e-4  # of a length: what iterations of SHAKE leave; a bond at 1 K fluctuates by more
_ROUNDED = 0.6  # of the last digit of the positions, as standard deviation of a distance
_COARSEST = 0.01  # Å: of rounder positions a vibration cannot be told from nothing
_ALONG = 0.02  # of the square of the relative velocity; a third of it in a bond that vibrates
_CHANGED = 20.0  # standard deviations
_STRAIGHT = 1e-3
_MOST_ATOMS = 300  # of a part that is looked at in detail
_MOVED = 0.1  # Å
_ALIKE, _MOST = 0.05, 0.5  # Å, and share


class RigidParts(FixBondLengths):
    """What constant distances take of the degrees of freedom, as a constraint of ASE."""

    def __init__(self, pairs: IntArray, n_removed: int) -> None:
        super().__init__(pairs)  # type: ignore[no-untyped-call]
        self.n_removed = n_removed

    def get_removed_dof(self, atoms: Atoms) -> int:
        """Fewer than there are pairs where these depend on each other."""
        return self.n_removed


@dataclass(frozen=True, eq=False)
class ConstantDistances:
    """Pairs of atoms whose distance is the same in all frames that were looked at.

    Attributes
    ----------
    pairs : (n, 2)
    lengths : (n,) Å
    tolerances : (n,) Å, standard deviations that rounding and solvers leave
    n_removed : degrees of freedom that they take
    """

    pairs: IntArray
    lengths: FloatArray
    tolerances: FloatArray
    n_removed: int

    @property
    def constraint(self) -> RigidParts:
        """For the structure, so that its temperature and mobility are right."""
        return RigidParts(self.pairs, self.n_removed)

    def check(self, where: str, frame: Frame) -> None:
        """Refuse a frame in which one of the distances has changed.

        Raises
        ------
        RunError
        """
        found = np.linalg.norm(_vectors(frame, self.pairs), axis=1)
        changed = np.abs(found - self.lengths) > _CHANGED * self.tolerances
        if changed.any():
            k = int(np.argmax(changed))
            raise RunError(
                f"{where}: atoms {self.pairs[k, 0]} and {self.pairs[k, 1]} are {found[k]:.4f} Å "
                f"apart, {self.lengths[k]:.4f} Å in all frames that were looked at, as if "
                "constrained: the frames of this part need a stream of their own (--frames)"
            )


def constant_distances(frames: Joined, atoms: Atoms) -> ConstantDistances | None:
    """Bonds, and distances of atoms with a common neighbour, that do not change; None without any.

    Parameters
    ----------
    frames : the trajectory
    atoms : where they are in the first frame; fixed ones do not count
    """
    some = looked_at(len(frames))
    if len(some) < FEWEST_LOOKED_AT or frames.n_beads > 1 or Mobility.of(atoms).n_coupled:
        return None
    pairs = _candidates(atoms)
    unit = rounded_to(np.array([frames.read(int(k)).positions for k in some[:2]]))
    if not len(pairs) or unit > _COARSEST:
        return None
    sample = _Sample(frames, some, unit)
    kept, lengths, tolerances = sample.constant(pairs)
    kept &= _of_most_alike(atoms, pairs, lengths, kept)
    if not kept.any():
        return None
    pairs = pairs[kept]
    n_removed = _removed(_parts(len(atoms), pairs), sample)
    return ConstantDistances(pairs, lengths[kept], tolerances[kept], n_removed)


@dataclass(frozen=True, eq=False)
class _Sample:
    """Frames that are looked at, one after the other.

    Attributes
    ----------
    frames, numbers : the trajectory, and which of it
    unit : of the last digit of its positions, Å
    """

    frames: Joined
    numbers: IntArray
    unit: float

    def constant(self, pairs: IntArray) -> tuple[np.ndarray, FloatArray, FloatArray]:
        """Which distances do not change, their mean, and what deviation would be none, Å."""
        first = np.linalg.norm(_vectors(self.frames.read(int(self.numbers[0])), pairs), axis=1)
        changes, squares = np.zeros(len(pairs)), np.zeros(len(pairs))
        along, relative = np.zeros(len(pairs)), np.zeros(len(pairs))
        velocities = False
        for k in self.numbers:
            frame = self.frames.read(int(k))
            vectors = _vectors(frame, pairs)
            distances = np.linalg.norm(vectors, axis=1)
            changes += distances - first
            squares += (distances - first) ** 2
            if frame.velocities is not None and frame.velocities.any():
                velocities = True
                difference = frame.velocities[pairs[:, 1]] - frame.velocities[pairs[:, 0]]
                along += ((difference * vectors).sum(axis=1) / distances) ** 2
                relative += (difference**2).sum(axis=1)
        n = len(self.numbers)
        deviations = np.sqrt(np.maximum(squares / n - (changes / n) ** 2, 0.0))
        lengths = first + changes / n
        tolerances = np.hypot(_SOLVED * lengths, _ROUNDED * self.unit)
        kept = deviations < tolerances
        if velocities:  # not along the line between them
            kept &= along <= _ALONG * relative
        return kept, lengths, tolerances


def _vectors(frame: Frame, pairs: IntArray) -> FloatArray:
    """(n, 3) Å, from the first to the second atom."""
    vectors = frame.positions[pairs[:, 1]] - frame.positions[pairs[:, 0]]
    if frame.cell is None or not any(frame.pbc):
        return np.asarray(vectors)
    return nearest_images(vectors, frame.cell, frame.pbc)


def _candidates(atoms: Atoms) -> IntArray:
    """(n, 2): bonded atoms, and those with a common neighbour."""
    free = Mobility.of(atoms).atoms > 0.5
    i, j, _ = bonds(atoms)
    shape = (len(atoms), len(atoms))
    bonded = coo_matrix((np.ones(len(i)), (i, j)), shape=shape).tocsr()
    near = (bonded + bonded @ bonded).tocoo()
    first, second = near.row.astype(np.int64), near.col.astype(np.int64)
    chosen = (first < second) & (free[first] | free[second])
    return np.column_stack([first[chosen], second[chosen]])


def _of_most_alike(
    atoms: Atoms, pairs: IntArray, lengths: FloatArray, kept: np.ndarray
) -> np.ndarray:
    """Whether most of the distances of the same elements and length are constant: of many that
    vibrate some do not seem to."""
    elements = np.sort(atoms.numbers[pairs], axis=1)
    keys = np.column_stack([elements, np.round(lengths / _ALIKE).astype(np.int64)])
    _, kind = np.unique(keys, axis=0, return_inverse=True)
    share = np.bincount(kind, weights=kept) / np.bincount(kind)
    return np.asarray(share[kind] >= _MOST)


@dataclass(frozen=True, eq=False)
class _Part:
    """Atoms that constant distances connect, and these, (n, 2)."""

    atoms: IntArray
    pairs: IntArray

    @property
    def every(self) -> IntArray:
        """All pairs of its atoms."""
        return np.asarray(self.atoms[np.column_stack(np.triu_indices(len(self.atoms), 1))])

    @property
    def may_be_rigid(self) -> bool:
        """Whether there are as many as hold a body together, if only in a plane."""
        n = len(self.atoms)
        return 2 < n <= _MOST_ATOMS and len(self.pairs) >= 2 * n - 3


def _parts(n_atoms: int, pairs: IntArray) -> list[_Part]:
    shape = (n_atoms, n_atoms)
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=shape)
    _, part = connected_components(graph, directed=False)
    of_pair = part[pairs[:, 0]]
    order = np.argsort(of_pair, kind="stable")
    starts = np.flatnonzero(np.diff(of_pair[order], prepend=-1))
    return [
        _Part(np.unique(pairs[numbers]), pairs[numbers]) for numbers in np.split(order, starts[1:])
    ]


def _removed(parts: list[_Part], sample: _Sample) -> int:
    """Degrees of freedom that constant distances take."""
    rigid = [part.may_be_rigid for part in parts]
    unsure = [k for k, part in enumerate(parts) if rigid[k] and len(part.pairs) < len(part.every)]
    if unsure:
        constant = sample.constant(np.concatenate([parts[k].every for k in unsure]))[0]
        sizes = [len(parts[k].every) for k in unsure]
        for k, found in zip(unsure, np.split(constant, np.cumsum(sizes)[:-1]), strict=True):
            rigid[k] = bool(found.all())
    first = sample.frames.read(int(sample.numbers[0]))
    return sum(
        _of_body(part, first, sample.unit) if whole else _of_framework(part, first)
        for part, whole in zip(parts, rigid, strict=True)
    )


def _of_body(part: _Part, frame: Frame, unit: float) -> int:
    """All but six, or five where it is linear."""
    positions = _unfolded(frame, part)
    axes = np.linalg.svd(positions - positions.mean(axis=0), compute_uv=False)
    straight = axes[1] < max(_STRAIGHT * axes[0], unit * np.sqrt(len(positions)))
    return 3 * len(positions) - (5 if straight else 6)


def _of_framework(part: _Part, frame: Frame) -> int:
    """The rank of bars between points. Bars in a plane hold nothing perpendicular to it at first
    order, so it is that of points that were moved a little."""
    n, pairs = len(part.atoms), part.pairs
    if len(pairs) < n:  # a tree
        return len(pairs)
    if n > _MOST_ATOMS:
        return min(len(pairs), 3 * n - 6)
    at = np.searchsorted(part.atoms, pairs)
    positions = _unfolded(frame, part)
    positions = positions + np.random.default_rng(0).normal(scale=_MOVED, size=positions.shape)
    vectors = positions[at[:, 1]] - positions[at[:, 0]]
    matrix = np.zeros((len(pairs), n, 3))
    matrix[np.arange(len(pairs)), at[:, 0]] = -vectors
    matrix[np.arange(len(pairs)), at[:, 1]] = vectors
    return int(np.linalg.matrix_rank(matrix.reshape(len(pairs), -1), tol=1e-3))


def _unfolded(frame: Frame, part: _Part) -> FloatArray:
    """(n, 3) positions of a part that is whole, Å."""
    atoms, pairs = part.atoms, part.pairs
    vectors: dict[int, list[tuple[int, FloatArray]]] = {}
    for (i, j), vector in zip(pairs.tolist(), _vectors(frame, pairs), strict=True):
        vectors.setdefault(i, []).append((j, vector))
        vectors.setdefault(j, []).append((i, -vector))
    places, waiting = {int(atoms[0]): np.zeros(3)}, [int(atoms[0])]
    for i in waiting:
        for j, vector in vectors[i]:
            if j not in places:
                places[j] = places[i] + vector
                waiting.append(j)
    return np.array([places[int(i)] for i in atoms])
