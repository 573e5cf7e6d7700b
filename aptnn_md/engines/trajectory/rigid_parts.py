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
from aptnn_md.engines.trajectory.first_look import FEWEST_LOOKED_AT, looked_at
from aptnn_md.engines.trajectory.frames import Frame
from aptnn_md.engines.trajectory.joined import Joined
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
    if not kept.any():
        return None
    pairs = pairs[kept]
    n_removed = sum(
        _removed(part, pairs[numbers], sample) for part, numbers in _parts(len(atoms), pairs)
    )
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
            if frame.velocities is not None:
                velocities = True
                difference = frame.velocities[pairs[:, 1]] - frame.velocities[pairs[:, 0]]
                along += ((difference * vectors).sum(axis=1) / distances) ** 2
                relative += (difference**2).sum(axis=1)
        n = len(self.numbers)
        deviations = np.sqrt(np.maximum(squares / n - (changes / n) ** 2, 0.0))
        lengths = first + changes / n
        tolerances = np.hypot(_SOLVED * lengths, _ROUNDED * self.unit)
        kept = deviations < tolerances
        if velocities:  # of atoms that move, but not along the line between them
            kept &= (relative > 0.0) & (along < _ALONG * relative)
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


def _parts(n_atoms: int, pairs: IntArray) -> list[tuple[IntArray, IntArray]]:
    """Atoms that constant distances connect, and the numbers of these."""
    shape = (n_atoms, n_atoms)
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=shape)
    _, part = connected_components(graph, directed=False)
    of_pair = part[pairs[:, 0]]
    order = np.argsort(of_pair, kind="stable")
    starts = np.flatnonzero(np.diff(of_pair[order], prepend=-1))
    return [(np.unique(pairs[numbers]), numbers) for numbers in np.split(order, starts[1:])]


def _removed(atoms: IntArray, pairs: IntArray, sample: _Sample) -> int:
    """Degrees of freedom that the constant distances of a part take."""
    n = len(atoms)
    if len(pairs) < n:  # a tree
        return len(pairs)
    if n > _MOST_ATOMS:
        return min(len(pairs), 3 * n - 6)
    first = _unfolded(sample.frames.read(int(sample.numbers[0])), atoms, pairs)
    every = atoms[np.column_stack(np.triu_indices(n, 1))]
    # bars in a plane or a line do not show by their rank that a part is rigid
    if len(pairs) >= 2 * n - 3 and sample.constant(every)[0].all():
        axes = np.linalg.svd(first - first.mean(axis=0), compute_uv=False)
        return 3 * n - (5 if axes[1] < _STRAIGHT * axes[0] else 6)
    at = np.searchsorted(atoms, pairs)
    vectors = first[at[:, 1]] - first[at[:, 0]]
    matrix = np.zeros((len(pairs), n, 3))
    matrix[np.arange(len(pairs)), at[:, 0]] = -vectors
    matrix[np.arange(len(pairs)), at[:, 1]] = vectors
    return int(np.linalg.matrix_rank(matrix.reshape(len(pairs), -1), tol=1e-3))


def _unfolded(frame: Frame, atoms: IntArray, pairs: IntArray) -> FloatArray:
    """(n, 3) positions of a part that is whole, Å."""
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
