"""What a frame of a stream holds, and how it is made: the one way from tensors to a stream.

An engine gives an :class:`Instant`: where the atoms are, their velocities *at the same time*, and
the tensors there. :class:`FrameRates` makes the frame and the header of it; the engine knows
nothing of targets, groups, estimators or committees.

Estimators of Ṁ for path integrals (P beads, positions q_k, velocities v_k = q̇_k; a classical run
is the case of one bead, where all three agree). Those of other rates are the same with other
tensors in place of APTs:

====================  ==========================  =================================================
``bead``              (1/P) Σ_k P(q_k)·v_k        exactly d/dt of (1/P) Σ_k M(q_k): the one of RPMD
                                                  and TRPMD
``centroid-apt``      ⟨P(q_k)⟩_k · ⟨v_k⟩_k        mean APT times centroid velocity: CMD-like methods
``apt-at-centroid``   P(⟨q_k⟩_k) · ⟨v_k⟩_k        one evaluation per step instead of P
====================  ==========================  =================================================
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.atoms.coordinate_temperature import CoordinateTemperatures
from aptnn_md.atoms.motion_temperature import MotionTemperatures
from aptnn_md.atoms.partition import Partition
from aptnn_md.atoms.rotation import WholeRotation
from aptnn_md.atoms.snapshot import Snapshot
from aptnn_md.domain import SPREAD_RATIO
from aptnn_md.domain_watch import DomainWatch
from aptnn_md.errors import InputError
from aptnn_md.provenance import command_line
from aptnn_md.stream.header import StreamHeader
from aptnn_md.stream.layout import StreamFrame
from aptnn_md.stream.members import MEMBER
from aptnn_md.stream.run_id import new_run_id
from aptnn_md.structures import Mobility
from aptnn_md.targets import APT, TARGETS, Target, Tensors
from aptnn_md.tensors import largest_deviation

ESTIMATORS = ("bead", "centroid-apt", "apt-at-centroid")
"""Names of the estimators of a rate, the exact one first."""

_AT_CENTROID = "apt-at-centroid"


@dataclass(frozen=True)
class Instant:
    """What an engine knows of one time.

    Parameters
    ----------
    velocities : (n_beads, n_atoms, 3), or (n_atoms, 3) for classical atoms, Å/fs: the time
        derivatives of the positions, at the time of the positions
    snapshot : positions with the same axes, and the cell; None will do for groups that never
        change
    at_beads : tensors at these positions, (n_members, n_beads, n_atoms, *shape) or, classically,
        (n_members, n_atoms, *shape)
    at_centroid : tensors (n_members, n_atoms, *shape) at the mean of the bead positions; only the
        estimator ``apt-at-centroid`` needs them
    given : estimator that needs no tensors -> its dipole rate (n_groups, 3), e Å/fs
    conserved_energy : eV, of a run that conserves one, in every frame of it or in none
    """

    velocities: FloatArray
    snapshot: Snapshot | None = None
    at_beads: Tensors | None = None
    at_centroid: Tensors | None = None
    given: Mapping[str, FloatArray] = field(default_factory=dict)
    conserved_energy: float | None = None

    @property
    def tensors(self) -> Tensors:
        """Those at the beads, or else those at the centroid."""
        return self.at_beads or self.at_centroid or {}

    def seen_by(
        self, estimator: str, target: Target
    ) -> tuple[FloatArray, FloatArray, Snapshot | None]:
        """What an estimator multiplies; the mean over the bead axis of the products is the rate.

        Returns
        -------
        tensors (n_members, b, n_atoms, *shape), velocities (b, n_atoms, 3) and where these are:
        all beads, or b = 1 for estimators of the centroid

        Raises
        ------
        InputError
            Another estimator, or the tensors that it needs are missing.
        """
        if estimator not in ESTIMATORS:
            expected = f"one of {', '.join(ESTIMATORS)}"
            raise InputError("rate", "estimator", repr(estimator), expected)
        field = "at_centroid" if estimator == _AT_CENTROID else "at_beads"
        known: Tensors | None = getattr(self, field)
        if known is None:
            raise InputError(
                f"estimator {estimator}", field, "nothing", "the tensors that it needs"
            )
        if target.name not in known:
            expected = f"a model that gives {target.title}s, too"
            found = ", ".join(known) + " only"
            raise InputError(target.rate_name, "model", found, expected)
        tensors, velocities = known[target.name], self.velocities
        bead_axis = -2 - len(target.shape)
        if velocities.ndim == 2 or field == "at_centroid":
            tensors = np.expand_dims(tensors, bead_axis)
        velocities = velocities.reshape(-1, *velocities.shape[-2:])
        if estimator == "bead":
            return tensors, velocities, self.snapshot
        centroid = None if self.snapshot is None else self.snapshot.centroid()
        mean_velocities = velocities.mean(axis=0, keepdims=True)
        return tensors.mean(axis=bead_axis, keepdims=True), mean_velocities, centroid


def estimate(estimator: str, target: Target, instant: Instant, partition: Partition) -> FloatArray:
    """Rate of a target by one of :data:`ESTIMATORS`, (n_members, n_groups, n_components).

    Raises
    ------
    InputError
        See :meth:`Instant.seen_by` and :meth:`aptnn_md.atoms.partition.Partition.rates`.
    """
    tensors, velocities, snapshot = instant.seen_by(estimator, target)
    of_beads = partition.rates(target.rows(tensors), velocities, snapshot)
    mean: FloatArray = of_beads.mean(axis=-3)
    return mean


@dataclass(frozen=True)
class FrameRates:
    """Makes frames, and the header that tells what they are.

    Parameters
    ----------
    partition : groups of atoms or motions whose rates are kept apart
    masses : (n_atoms,), amu
    estimators : of :data:`ESTIMATORS`; the first one is the default of readers, and what
        ``f_sum`` and the deviations of a committee belong to
    beads_too : also the dipole rate of every bead
    velocities : also the velocities of all atoms, those of the centroids for path integrals
    variable_cell : also the volume of each frame
    mobility : what constraints let move: in other directions velocities do not count. ``f_sum`` is
        of that, and there is none where velocities of atoms depend on each other in an unknown way.
        None: everything moves
    no_rotation : the rotation of the whole, where velocities have none of it; ``f_sum`` is that of
        the other motions. None: it turns, or cannot
    motions : also the temperatures of translation, libration and vibration of molecules
    coordinates : also the temperatures of the bonds, angles and rotations of a molecule
    given_estimators : of the dipole rate, that need no tensors, after the others
    n_members : also the rates of each member of a committee of this size, by the first estimator,
        as the estimators ``member-1``, ``member-2``, ...; a target with one network has the same
        rate for every member (:mod:`aptnn_md.stream.members`). 0: the mean alone
    domain : judges how far structures are from what a committee knows, for ``spread_ratio``; None:
        not known (:mod:`aptnn_md.domain`)
    """

    partition: Partition
    masses: FloatArray
    estimators: tuple[str, ...] = ("bead",)
    beads_too: bool = False
    velocities: bool = False
    variable_cell: bool = False
    mobility: Mobility | None = None
    no_rotation: WholeRotation | None = None
    motions: MotionTemperatures | None = None
    coordinates: CoordinateTemperatures | None = None
    given_estimators: tuple[str, ...] = ()
    n_members: int = 0
    domain: DomainWatch | None = None

    @property
    def member_estimators(self) -> tuple[str, ...]:
        """Names of the estimators of single members."""
        return tuple(f"{MEMBER}{number}" for number in range(1, self.n_members + 1))

    @property
    def has_f_sum(self) -> bool:
        """Whether what the constraints let move is known."""
        return self.mobility is None or not self.mobility.unaccounted

    def needs(self, estimators: Collection[str] = ()) -> tuple[bool, bool]:
        """Whether tensors are needed at the beads, and at the centroid.

        Parameters
        ----------
        estimators : others besides those of the frames
        """
        names = {*self.estimators, *estimators}
        return bool(names - {_AT_CENTROID}) or self.beads_too, _AT_CENTROID in names

    def header(self, atoms: Atoms, **constants: Any) -> StreamHeader:
        """Header of the stream.

        Parameters
        ----------
        atoms : the structure at the start
        constants : what the engine knows: ``timestep``, ``stride``, ``temperature``, ...; they
            win over what is found here. Where several streams can be written beside one run,
            ``run_id`` by :func:`aptnn_md.stream.run_id.run_id_of`
        """
        fields: dict[str, Any] = {
            "estimators": (*self.estimators, *self.member_estimators, *self.given_estimators),
            "groups": self.partition.labels,
            "provenance": command_line(),
            "run_id": new_run_id(),
        }
        if self.domain is not None:
            fields["spread_factors"] = self.domain.domain.factors
        if self.variable_cell:
            fields["volume"] = None
        if self.motions is not None:
            fields["motion_freedom"] = tuple(self.motions.freedom.tolist())
        if self.coordinates is not None:
            fields["coordinates"] = self.coordinates.kinds
        if self.velocities:
            fields |= atom_fields(atoms, self.partition, self.mobility, self.no_rotation)
        return StreamHeader.for_atoms(atoms, **(fields | constants))

    def frame(
        self, step: int, time: float, instant: Instant, temperature: float | None = None
    ) -> StreamFrame:
        """The frame of an instant.

        Parameters
        ----------
        step : MD step
        time : fs
        instant : with the tensors of :meth:`needs`
        temperature : kinetic temperature, K
        """
        if self.mobility is not None:
            instant = replace(instant, velocities=self.mobility.allowed(instant.velocities))
        arrays = self.rates(instant) | self.strengths(instant, step)
        if temperature is not None:
            arrays["temperature"] = np.asarray(temperature)
        if instant.conserved_energy is not None:
            arrays["conserved_energy"] = np.asarray(instant.conserved_energy)
        if self.motions is not None and instant.snapshot is not None:
            arrays["motion_temperature"] = self.motions.of_instant(
                instant.velocities, instant.snapshot
            )
        if self.coordinates is not None and instant.snapshot is not None:
            arrays["coordinate_temperature"] = self.coordinates.of_instant(
                instant.velocities, instant.snapshot
            )
        if self.variable_cell and instant.snapshot is not None:
            arrays["volume"] = np.asarray(instant.snapshot.volume)
        if self.velocities:
            arrays["velocity"] = instant.velocities.reshape(-1, len(self.masses), 3).mean(axis=0)
        return StreamFrame(step, time, arrays)

    def rates(self, instant: Instant) -> dict[str, FloatArray]:
        """Arrays of the rates of all targets: committee means, and standard deviations."""
        arrays: dict[str, FloatArray] = {}
        targets = [TARGETS[name] for name in instant.tensors]
        for estimator in self.estimators:
            for target in targets:
                members = estimate(estimator, target, instant, self.partition)
                arrays[f"{target.rate_name}/{estimator}"] = members.mean(axis=0)
                if estimator != self.estimators[0]:
                    continue
                if len(members) > 1:
                    arrays[f"{target.rate_name}_std"] = members.std(axis=0, ddof=1)
                if self.n_members:
                    arrays |= self._of_members(target, members)
        for estimator in self.given_estimators:
            arrays[f"{APT.rate_name}/{estimator}"] = instant.given[estimator]
        if self.beads_too:
            arrays["dipole_rate_beads"] = self.of_beads(instant)
        return arrays

    def _of_members(self, target: Target, members: FloatArray) -> dict[str, FloatArray]:
        if len(members) not in (1, self.n_members):
            found = f"{len(members)} {target.title} networks"
            raise InputError("rates of members", "committee", found, f"{self.n_members} of each")
        names = self.member_estimators
        members = np.broadcast_to(members, (len(names), *members.shape[1:]))
        return {f"{target.rate_name}/{name}": m for name, m in zip(names, members, strict=True)}

    def strengths(self, instant: Instant, step: int | None = None) -> dict[str, FloatArray]:
        """Arrays that tensors give without velocities: ``f_sum``, and ``extrapolation`` and
        ``spread_ratio`` of a committee; ``step`` is for messages.
        """
        arrays: dict[str, FloatArray] = {}
        if self.has_f_sum:
            members_apt, _, snapshot = instant.seen_by(self.estimators[0], APT)
            apt = members_apt.mean(axis=0)
            if self.mobility is not None:
                apt = self.mobility.restrict(apt)
            if self.no_rotation is not None:
                if snapshot is None:
                    raise InputError("f-sum", "snapshot", "None", "where the atoms are")
                apt = self.no_rotation.restrict(apt, snapshot.positions)
            arrays["f_sum"] = self.partition.f_sums(apt, self.masses, snapshot).mean(axis=0)
        members = instant.tensors[APT.name]
        if len(members) > 1:
            arrays["extrapolation"] = np.asarray(largest_deviation(members))
        ratio = None if self.domain is None else self.domain.largest(instant.tensors, step)
        if ratio is not None:
            arrays[SPREAD_RATIO] = np.asarray(ratio)
        return arrays

    def of_beads(self, instant: Instant) -> FloatArray:
        """Dipole rate of each bead, (n_beads, n_groups, 3), e Å/fs; the mean of a committee."""
        apt, velocities, snapshot = instant.seen_by("bead", APT)
        return self.partition.rates(APT.rows(apt.mean(axis=0)), velocities, snapshot)

    def array_names(self, committee_sizes: dict[str, int]) -> tuple[str, ...]:
        """Names of the arrays of :meth:`rates` and :meth:`strengths`.

        Parameters
        ----------
        committee_sizes : name of each target that the model gives -> number of its members
        """
        names = ["f_sum"] if self.has_f_sum else []
        for name, n_members in committee_sizes.items():
            rate_name = TARGETS[name].rate_name
            estimators = (*self.estimators, *self.member_estimators)
            names += [f"{rate_name}/{estimator}" for estimator in estimators]
            if n_members > 1:
                names += [f"{rate_name}_std"]
                names += ["extrapolation"] if TARGETS[name] is APT else []
        if self.domain is not None and self.domain.domain.judges(committee_sizes):
            names.append(SPREAD_RATIO)
        return (*names, "dipole_rate_beads") if self.beads_too else tuple(names)


def atom_fields(
    atoms: Atoms,
    partition: Partition,
    mobility: Mobility | None = None,
    no_rotation: WholeRotation | None = None,
) -> dict[str, Any]:
    """Fields of :class:`aptnn_md.stream.StreamHeader` that a stream with velocities needs."""
    groups = partition.atom_groups
    freedom: tuple[float, ...] = ()
    if mobility is not None and not mobility.is_free:
        # of bonds and the like it is not known whose freedom they take
        known = not mobility.unaccounted
        freedom = tuple(mobility.atoms.tolist()) if known else (-1.0,) * len(atoms)
    elif no_rotation is not None:
        freedom = tuple((3.0 - no_rotation.share(atoms.positions)).tolist())
    return {
        "atom_freedom": freedom,
        "atom_numbers": tuple(int(z) for z in atoms.numbers),
        "atom_masses": tuple(float(m) for m in atoms.get_masses()),
        "atom_groups": tuple(int(g) for g in groups.index),
        "atom_labels": groups.labels,
    }
