"""Whether a molecular-dynamics engine streams what it should, to be called from an engine's tests.

The classic silent error of an engine is a velocity that belongs to another time than the positions:
leapfrog integrators keep velocities at half steps, and observers may be called in the middle of a
step. Spectra do not show it at once. Here the model is a made-up linear dipole whose value is
known, so the streamed Ṁ can be compared with the dipole's own change along the same trajectory.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.atoms.snapshot import Snapshot, nearest_images
from aptnn_md.stream import StreamReader

FEWEST_FRAMES = 10
"""That a run must write to be checked."""


class LinearDipole:
    """A made-up model: M = Σᵢ Pᵢ·rᵢ with constant tensors without symmetry.

    It remembers the structures that it was asked about, so the dipole's change along the engine's
    own trajectory is known.

    Parameters
    ----------
    seed : of the tensors

    Attributes
    ----------
    name : ``"linear-dipole"``
    snapshots : where the atoms were at each evaluation, in order
    """

    def __init__(self, seed: int = 0) -> None:
        self.name = "linear-dipole"
        self.snapshots: list[Snapshot] = []
        self._seed = seed

    def __call__(self, atoms: Atoms) -> FloatArray:
        """APTs (n_atoms, 3, 3), e, always the same."""
        self.snapshots.append(Snapshot.of(atoms))
        return self.tensors(len(atoms))

    def tensors(self, n_atoms: int) -> FloatArray:
        """APTs (n_atoms, 3, 3), e."""
        tensors: FloatArray = np.random.default_rng(self._seed).normal(size=(n_atoms, 3, 3))
        return tensors

    def changes(self, n_beads: int, n_frames: int) -> FloatArray:
        """Change of the bead-averaged dipole between the last frames, (n_frames - 1, 3), e Å.

        Atoms that a periodic boundary folds back have moved by the nearest image.
        """
        last = self.snapshots[len(self.snapshots) - n_beads * n_frames :]
        cell, pbc = last[0].cell, last[0].pbc
        positions = np.array([snapshot.positions for snapshot in last])
        positions = positions.reshape(n_frames, n_beads, -1, 3)
        moved = nearest_images(np.diff(positions, axis=0), cell, pbc).mean(axis=1)
        changes: FloatArray = np.einsum("nab,fnb->fa", self.tensors(positions.shape[2]), moved)
        return changes


def check_engine(
    run: Callable[[LinearDipole, Path], object],
    path: Path,
    resume: Callable[[LinearDipole, Path], object] | None = None,
    *,
    largest_error: float = 0.25,
) -> None:
    """Check that positions and velocities of each frame belong to the same time, that the streamed
    rate is the dipole's change, and that no step is missing or there twice.

    Ṁ must equal the central difference of M along the same trajectory, (M(t+Δ) - M(t-Δ))/2Δ, up to
    the second order in the time Δ between frames. Velocities half a frame late or early would
    deviate by half of Ṁ's own change from frame to frame, of first order in Δ: that is the measure
    of the error. Swapped indices of tensors, wrong units, and times that are not those of the
    frames are noticed, too. Frames should be less than a tenth of the fastest period apart, in a
    cell that does not change, without or with weak friction and noise.

    Parameters
    ----------
    run : called with a model and the path of the stream; runs a new simulation of
        :data:`FEWEST_FRAMES` frames or more with the estimator ``bead`` first. The engine must
        evaluate the model at each frame's beads, once and in their order
    path : where the stream will be; there must be nothing
    resume : called in the same way after ``run``; resumes the simulation from its last state or an
        earlier one, and writes new frames
    largest_error : root mean square deviation of Ṁ from the central difference, in units of what
        half a frame of delay would cause

    Raises
    ------
    AssertionError
        The engine fails the check; the message says in what.
    """
    model = LinearDipole()
    run(model, path)
    reader = StreamReader(path)
    n_beads = reader.header.n_beads
    _check_frames(reader, n_beads, model)
    changes = model.changes(n_beads, reader.n_frames)
    if resume is not None:
        before, n_before = reader.dipole_rate(), reader.n_frames
        model.snapshots = model.snapshots[-n_beads:]
        resume(model, path)
        reader = StreamReader(path)
        n_new = reader.n_frames - n_before
        _require(n_new > 0, f"no new frame after {n_before}: the resumed run wrote none")
        kept = np.abs(reader.dipole_rate()[:n_before] - before).max()
        _require(kept <= 1e-6 * np.abs(before).max(), "frames from before the restart changed")
        after = _changes_after(model, n_beads, n_new)
        changes = np.concatenate([changes, after])
    _check_steps(reader)
    _check_rates(reader, changes, largest_error)


def _changes_after(model: LinearDipole, n_beads: int, n_new: int) -> FloatArray:
    """Changes to each new frame, the first one from the last frame of the run before."""
    last_before = model.snapshots[:n_beads]
    new = model.snapshots[len(model.snapshots) - n_beads * n_new :]
    _require(
        len(model.snapshots) >= n_beads * (n_new + 1),
        f"{n_new} new frames of {n_beads} beads, but the model was asked "
        f"{len(model.snapshots) - n_beads} times",
    )
    model.snapshots = [*last_before, *new]
    return model.changes(n_beads, n_new + 1)


def _check_frames(reader: StreamReader, n_beads: int, model: LinearDipole) -> None:
    n_frames = reader.n_frames
    _require(n_frames >= FEWEST_FRAMES, f"{n_frames} frames, expected {FEWEST_FRAMES} or more")
    n_calls = len(model.snapshots)
    _require(
        n_calls == n_beads * n_frames,
        f"the model was asked {n_calls} times for {n_frames} frames of {n_beads} beads",
    )
    first = reader.header.estimators[0]
    _require(first == "bead", f"estimator {first} first, expected bead")


def _check_steps(reader: StreamReader) -> None:
    gaps = np.diff(reader.step)
    stride = reader.header.stride
    _require(bool((gaps == stride).all()), f"steps {np.unique(gaps)} apart, expected {stride}")
    spacings = np.diff(reader.time)
    even = np.allclose(spacings, reader.spacing, rtol=1e-6)
    _require(even, f"frames {spacings.min()} to {spacings.max()} fs apart, not {reader.spacing}")


def _check_rates(reader: StreamReader, changes: FloatArray, largest_error: float) -> None:
    rates = reader.dipole_rate().sum(axis=1)
    central = (changes[1:] + changes[:-1]) / (2.0 * reader.spacing)
    half_a_frame = _rms(np.diff(rates, axis=0)) / 2.0
    _require(half_a_frame > 0.0, "the streamed rate never changes: nothing moves")
    error = _rms(rates[1:-1] - central) / half_a_frame
    worst = 1 + int(np.abs(rates[1:-1] - central).max(axis=1).argmax())
    _require(
        error <= largest_error,
        f"the streamed rate is off from the dipole's change by {error:.3g} times what a delay of "
        f"half a frame causes, most at step {reader.step[worst]}; expected at most "
        f"{largest_error:g}: do velocities, positions and tensors belong to the same time?",
    )


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)
