"""What files do not say about their labels, said by options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.labels.frame_labels import Labels
from aptnn_md.settings import check_settings
from aptnn_md.structures import charge_of

DIPOLE_FIRST, DISPLACEMENT_FIRST = "dipole-first", "displacement-first"
ORDERS = (DIPOLE_FIRST, DISPLACEMENT_FIRST)
"""Row = dipole, column = displacement, as everywhere in this package; and the other way round."""


@dataclass(frozen=True)
class ImportOptions:
    """What files do not say about their labels.

    Parameters
    ----------
    structure : the primitive cell of a ``BORN`` file, in a format that ASE reads or phonopy's YAML
    charge : e, of frames that do not give their own
    index_order : one of :data:`ORDERS`, of Born charges and of tensors under a name; None: as the
        format has it, or found out
    keys : target -> its name in the file, where it is not a usual one

    Raises
    ------
    InputError
        Another order.
    """

    structure: Path | None = None
    charge: float = 0.0
    index_order: str | None = None
    keys: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.index_order not in (None, *ORDERS):
            found = repr(self.index_order)
            raise InputError("options", "--index-order", found, " or ".join(ORDERS))
        check_settings(self, "options")

    @property
    def transpose(self) -> bool | None:
        """Whether the displacement's index is the first one; None: not known."""
        return None if self.index_order is None else self.index_order == DISPLACEMENT_FIRST


def labels_of(
    atoms: Atoms,
    tensors: Mapping[str, FloatArray],
    options: ImportOptions,
    dipole: FloatArray | None = None,
) -> tuple[Atoms, Labels]:
    """The structure alone with its charge in its info, and its labels with energy and forces."""
    bare: Atoms = atoms.copy()
    bare.info["charge"] = charge_of(atoms, options.charge)
    results = {} if atoms.calc is None else atoms.calc.results
    energy, forces = results.get("energy"), results.get("forces")
    return bare, Labels(
        tensors=dict(tensors),
        dipole=dipole,
        energy=None if energy is None else float(energy),
        forces=None if forces is None else np.array(forces, dtype=np.float64),
    )
