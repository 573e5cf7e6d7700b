"""The analytic APTs and PGTs of the toy molecules as models of both, single and as committees."""

from __future__ import annotations

import numpy as np

from helpers import toy_field, toy_molecules


class Both(toy_molecules.Tensors):
    """APTs and PGTs in one evaluation, which is counted."""

    name = "toy-both"
    targets = ("apt", "pgt")

    def tensors(self, structures):
        self.n_calls += len(structures)
        return [
            {
                "apt": toy_molecules.polar_tensors(atoms.positions)[None],
                "pgt": toy_field.gradients(atoms.positions)[None],
            }
            for atoms in structures
        ]

    def __call__(self, atoms):
        raise AssertionError("a model of both is to be asked for both")


class BothCommittee(Both):
    """Committees of three, whose members differ by factors."""

    name = "toy-both-committee"
    n_members = 3
    factors = toy_molecules.Committee.factors
    pgt_factors = np.array([1.1, 0.7, 1.5])

    def tensors(self, structures):
        scaled = {"apt": self.factors, "pgt": self.pgt_factors}
        return [
            {
                name: scaled[name].reshape(-1, *[1] * (values.ndim - 1)) * values
                for name, values in single.items()
            }
            for single in super().tensors(structures)
        ]


class CommitteeAndOne(BothCommittee):
    """A committee of three for APTs beside a single network for PGTs."""

    name = "toy-committee-and-one"

    @property
    def committee_sizes(self):
        return {"apt": self.n_members, "pgt": 1}

    def tensors(self, structures):
        return [{**found, "pgt": found["pgt"][:1]} for found in super().tensors(structures)]
