"""The charge of structures that a model sees, and doubts about it, which are said once."""

from __future__ import annotations

from collections.abc import Sequence

from ase import Atoms

from aptnn_md.progress import log
from aptnn_md.structures import charge_is_said, total_charge


class ChargeOfStructures:
    """Charges of structures; the first that a model may not know, or nobody said, is told.

    Parameters
    ----------
    name : of the model, for messages
    option : e, as the user says it for all structures; None: they say it, or are neutral
    trained : charges of the structures that it was trained on, e; empty where it does not say
    """

    def __init__(self, name: str, option: float | None, trained: Sequence[float]) -> None:
        self.name, self.option, self.trained = name, option, tuple(trained)
        self._unknown: set[float] = set()
        self._doubted: set[str] = set()
        self._said_neutral = False

    def __call__(self, atoms: Atoms) -> float:
        """Charge of a structure, e.

        Raises
        ------
        InputError
            The structure says another charge than the option.
        """
        charge = total_charge(atoms, self.option)
        if self.trained and charge not in {*self.trained, *self._unknown}:
            self._unknown.add(charge)
            log.warning(
                "model %s: a structure of charge %g e (%s); it was trained on charges %s",
                *(self.name, charge, atoms.get_chemical_formula()),
                ", ".join(f"{q:g}" for q in self.trained),
            )
        if self.option is None and not charge_is_said(atoms) and not atoms.pbc.any():
            if int(atoms.numbers.sum()) % 2:
                self._doubt(atoms)
            elif any(self.trained):
                self._say_neutral(atoms)
        return charge

    def _say_neutral(self, atoms: Atoms) -> None:
        """Say once of a model that knows ions what it takes a molecule for."""
        if not self._said_neutral:
            self._said_neutral = True
            log.info(
                "model %s knows ions: %s, of which no charge is said, is taken for neutral",
                *(self.name, atoms.get_chemical_formula()),
            )

    def _doubt(self, atoms: Atoms) -> None:
        """Warn of a molecule with an odd number of electrons."""
        formula = atoms.get_chemical_formula()
        if formula not in self._doubted:
            self._doubted.add(formula)
            log.warning(
                "model %s: %s, of which no charge is said, has an odd number of electrons and is "
                "taken for neutral: of an ion say the charge (charge=-1 in the comment line of an "
                "extxyz file, atoms.info, or --total-charge; and to a potential that has one)",
                *(self.name, formula),
            )
