"""The charge of structures that a model sees, and doubts about it, which are said once."""

from __future__ import annotations

from collections.abc import Sequence

from ase import Atoms

from aptnn_md.progress import log
from aptnn_md.structures import charge_of, total_charge


class ChargeOfStructures:
    """Charges of structures, with a warning of the first that a model may not know.

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
        if self.option is None and int(atoms.numbers.sum()) % 2 and not atoms.pbc.any():
            self._doubt(atoms)
        return charge

    def _doubt(self, atoms: Atoms) -> None:
        """Warn of a molecule with an odd number of electrons where nobody said a charge."""
        formula = atoms.get_chemical_formula()
        if formula not in self._doubted and charge_of(atoms) is None:
            self._doubted.add(formula)
            log.warning(
                "model %s: %s, of which no charge is said, has an odd number of electrons and is "
                "taken for neutral: of an ion say the charge (charge=-1 in the comment line of an "
                "extxyz file, atoms.info, or --total-charge)",
                *(self.name, formula),
            )
