"""What a program held fixed: a trajectory does not say it, but its positions do."""

from __future__ import annotations

from dataclasses import dataclass

from ase import Atoms
from ase.constraints import FixAtoms, FixCom

from aptnn_md.engines.trajectory.frames import Frame
from aptnn_md.engines.trajectory.joined import Joined
from aptnn_md.engines.trajectory.resting import Resting, centre_rests, resting_atoms
from aptnn_md.engines.trajectory.rigid_parts import ConstantDistances, constant_distances
from aptnn_md.progress import log
from aptnn_md.structures import Mobility


@dataclass(frozen=True, eq=False)
class Held:
    """Atoms that never move, and distances that never change, as far as was looked.

    Attributes
    ----------
    resting : may be none
    distances : None: none
    centre : whether the centre of mass rests, of atoms that nothing else holds
    """

    resting: Resting
    distances: ConstantDistances | None
    centre: bool

    @classmethod
    def constrain(cls, atoms: Atoms, frames: Joined, spacing: float) -> Held:
        """Find what is held, and give ``atoms`` constraints that say so.

        Parameters
        ----------
        atoms : where they are in the first frame; changed
        frames : the trajectory
        spacing : between frames, fs
        """
        resting = resting_atoms(frames, spacing)
        if n_resting := len(resting.atoms):
            log.info(
                "%d of %d atoms never move: temperature and f-sum are those of the others",
                *(n_resting, len(atoms)),
            )
            fixed = FixAtoms(resting.atoms)  # whatever velocities the file has for them
            atoms.set_constraint([*atoms.constraints, fixed])
        distances = constant_distances(frames, atoms)
        if distances is not None:
            log.info(
                "%d distances between atoms never change, and take %d degrees of freedom: the "
                "temperature is that of the others, and there is no f-sum",
                *(len(distances.pairs), distances.n_removed),
            )
            atoms.set_constraint([*atoms.constraints, distances.constraint])
        centre = not atoms.constraints and centre_rests(frames, atoms.get_masses())
        return cls(resting, distances, centre)

    def mobility(self, atoms: Atoms) -> Mobility | None:
        """What can move of ``atoms``, which have the constraints; None: everything."""
        if not self.centre:
            return Mobility.of(atoms) if atoms.constraints else None
        held: Atoms = atoms.copy()
        held.set_constraint(FixCom())
        return Mobility.of(held)

    def check(self, where: str, frame: Frame) -> None:
        """Refuse a frame in which something of it has moved.

        Raises
        ------
        RunError
            An atom, or a distance, is not as it was.
        """
        self.resting.check(where, frame.positions)
        if self.distances is not None:
            self.distances.check(where, frame)
