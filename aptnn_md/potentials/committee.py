"""A committee of potentials: its mean moves atoms, its members' disagreement estimates the error.

Files of committees are described in :mod:`aptnn_md.potentials.stored_committee`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from aptnn_md.atoms.neighbours import batches, build_graph
from aptnn_md.errors import InputError
from aptnn_md.models.archive import content_sha256
from aptnn_md.models.resident import stays_on
from aptnn_md.potentials.interface import BatchedCalculator, BatchedPotential, as_batched
from aptnn_md.potentials.mace import BATCH_ATOMS, LARGE_BATCH_ATOMS, MACEPotential
from aptnn_md.potentials.stored_committee import read_committee

_MEANS = ("energy", "free_energy", "energies", "forces", "stress")
"""Results of which the mean is taken, where all members have them."""


class PotentialCommittee(BatchedCalculator):
    """Mean energy, forces and stress of several potentials, and what each of them says.

    Parameters
    ----------
    members : potentials; of MACE potentials of one cutoff the neighbour lists are shared
    name : shown in messages
    card : model card

    Attributes
    ----------
    members : as given
    n_members : how many there are

    Raises
    ------
    InputError
        No members, or one that is no potential.
    """

    name = "committee"
    implemented_properties = list(_MEANS)  # noqa: RUF012

    def __init__(
        self,
        members: Sequence[MACEPotential | BatchedPotential | BaseCalculator],
        *,
        name: str = "committee",
        card: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        if not members:
            raise InputError(name, "members", "none", "at least one potential")
        self.members, self.n_members = tuple(members), len(members)
        self.name, self.card = name, dict(card or {})
        self._batched = [as_batched(member) for member in self.members]

    @property
    def sha256(self) -> str:
        """Digest of the members' digests, in any order; empty where a member has none."""
        digests = sorted(str(getattr(member, "sha256", "")) for member in self.members)
        return content_sha256(digests) if all(digests) else ""

    @classmethod
    def from_files(
        cls,
        paths: Sequence[str | os.PathLike[str]],
        *,
        device: str = "cpu",
        dtype: str = "float32",
    ) -> PotentialCommittee:
        """Read several stored potentials, ``NAME.json`` with their weights."""
        members = [MACEPotential.from_file(path, device=device, dtype=dtype) for path in paths]
        return cls(members, name=", ".join(member.name for member in members))

    @classmethod
    def from_file(
        cls, path: str | os.PathLike[str], *, device: str = "cpu", dtype: str = "float32"
    ) -> PotentialCommittee:
        """Read the file of a committee and the potentials that it names."""
        stored = read_committee(path)
        members = [
            MACEPotential.from_file(member, device=device, dtype=dtype) for member in stored.members
        ]
        return cls(members, name=stored.name, card=stored.card)

    def evaluate(self, structures: Sequence[Atoms]) -> list[dict[str, Any]]:
        """Results of several structures in one call, each member having all of them in a batch.

        Returns
        -------
        For each structure the means of what all members give: ``energy`` (eV), ``forces``
        (n_atoms, 3) in eV/Å, ``stress`` (6,) in eV/Å³, ...; and ``member_energies`` (n_members,)
        and ``member_forces`` (n_members, n_atoms, 3)
        """
        by_member = self._shared(structures) or [m.evaluate(structures) for m in self._batched]
        return [_joined(results) for results in zip(*by_member, strict=True)]

    def _shared(self, structures: Sequence[Atoms]) -> list[list[dict[str, Any]]] | None:
        """Results by member, from neighbour lists found once; None where each needs its own."""
        members = [member for member in self.members if isinstance(member, MACEPotential)]
        alike = {(member.cutoff, member.device.type) for member in members}
        if len(members) < self.n_members or len(alike) != 1 or stays_on(members[0].device):
            return None  # on a GPU each member keeps the structures there
        cutoff, device = next(iter(alike))
        by_member: list[list[dict[str, Any]]] = [[] for _ in members]
        for batch in batches(structures, BATCH_ATOMS.get(device, LARGE_BATCH_ATOMS)):
            graph = build_graph(batch, cutoff)
            for results, member in zip(by_member, members, strict=True):
                results += member.evaluate_graph(batch, graph)
        return by_member


def _joined(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means and members of the results of one structure."""
    joined: dict[str, Any] = {}
    for name in _MEANS:
        if all(name in result for result in results):
            mean = np.mean([np.asarray(result[name], dtype=np.float64) for result in results], 0)
            joined[name] = mean if mean.ndim else float(mean)
    joined["member_energies"] = np.array([float(result["energy"]) for result in results])
    joined["member_forces"] = np.array([result["forces"] for result in results], dtype=np.float64)
    return joined
