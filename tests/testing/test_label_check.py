"""The check of engines passes what is right and names what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from helpers import toy_molecules

from aptnn_md.labels.engines.interface import load_engine
from aptnn_md.labels.points import PointResult
from aptnn_md.testing import check_label_engine

MOLECULE = toy_molecules.structure(1, seed=2)
MOLECULE.rattle(0.05, seed=1)
SOUND = load_engine("helpers.toy_field:FieldPotential")


class Wrong:
    """The analytic engine with one mistake."""

    name = "wrong"
    has_field, has_polarizability, restarts = True, False, False
    field, step = SOUND.field, SOUND.step

    def __init__(self, mistake: str) -> None:
        self.mistake, self.n_calls = mistake, 0
        self.identity: dict[str, object] = {}

    def calculate(
        self,
        atoms: Atoms,
        field: np.ndarray,
        *,
        charge: float,
        with_forces: bool,
        scratch: Path,
        keep: bool,
    ) -> PointResult:
        self.n_calls += 1
        true = SOUND.calculate(
            atoms, field, charge=charge, with_forces=with_forces, scratch=scratch, keep=keep
        )
        energy, forces, dipole = true.energy, true.forces, true.dipole
        assert energy is not None
        assert dipole is not None
        if self.mistake == "forces in eV/bohr" and forces is not None:
            forces = forces * 0.529177
        if self.mistake == "sign of the dipole":
            dipole = -dipole
        if self.mistake == "dipole in Debye":
            dipole = dipole * 4.80320
        if self.mistake == "no energy of the field":
            energy += float(dipole @ field)
        if self.mistake == "field backwards":
            other = SOUND.calculate(
                atoms, -field, charge=charge, with_forces=True, scratch=scratch, keep=keep
            )
            forces, dipole = other.forces, other.dipole
        if self.mistake == "no induced dipole":
            at_rest = SOUND.calculate(
                atoms, 0 * field, charge=charge, with_forces=True, scratch=scratch, keep=keep
            )
            assert at_rest.dipole is not None
            dipole = at_rest.dipole
            dipole = dipole - 0.01 * field
        if self.mistake == "noise":
            energy += 1e-4 * self.n_calls
        if self.mistake == "dipole with forces only" and forces is None:
            dipole = None
        if self.mistake == "moves the atoms":
            MOLECULE.positions += 1e-6
        return PointResult(energy, forces, dipole)

    def clean(self, scratch: Path) -> None:
        pass


def test_a_sound_engine_passes() -> None:
    check_label_engine(SOUND, MOLECULE, atom=1)
    check_label_engine(Wrong("nothing"), MOLECULE)


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        ("forces in eV/bohr", "forces, eV/Å: not -dE/dr"),
        ("sign of the dipole", "APT, e: the dipole's derivative in space"),
        ("dipole in Debye", "APT, e: the dipole's derivative in space"),
        ("field backwards", "APT, e: the dipole's derivative in space"),
        ("no energy of the field", r"dipole, e Å: not -dE/d\(field\)"),
        ("no induced dipole", "falls along the field"),
        ("noise", "energy: two equal calculations differ"),
        ("dipole with forces only", "dipole: not given where no forces are asked for"),
        ("moves the atoms", "moved atoms of what it was given"),
    ],
)
def test_a_mistake_is_named(mistake: str, words: str) -> None:
    positions = MOLECULE.positions.copy()
    try:
        with pytest.raises(AssertionError, match=words):
            check_label_engine(Wrong(mistake), MOLECULE, atom=1)
    finally:
        MOLECULE.positions = positions
