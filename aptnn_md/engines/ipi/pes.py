"""Force providers for i-PI's own driver, ``ffdirect`` and ``ffmpi``.

The files in ``drivers/`` name these classes for ``<pes_path>`` and ``i-pi-py_driver -P``. i-PI
hands over positions and cells without names of atoms, so each takes a ``template``: any structure
file that ASE reads, with the atoms in i-PI's order (e.g. that of ``<initialize>``). Batches
(``<batch_size>``) are evaluated in one call.

i-PI's ``<parameters>`` are ``{name: value, name: value}`` and hold no commas, braces or lists of
their own. Keyword arguments of a potential or a model are words with blanks between::

    {potential: ase.calculators.lj:LennardJones sigma=3.4 epsilon=0.01, template: start.xyz}

(:mod:`aptnn_md.callables`), and ``;`` stands for a comma: ``model: water-apt;water-pgt``.

All of them also take

=================  ===============================================================================
``template``       structure file
``pbc``            ``False``: open boundaries in spite of the cell that i-PI always has
``device``         where models run: ``cpu``, ``cuda``
``dtype``          ``float32`` or ``float64``; default: of the model
``total_charge``   e, where the template gives none; APTs add up to it
``beads``          number of beads whose dipoles are followed (``bec``, ``field``)
``no_stress``      ``True``: accept a cell that changes without a stress of the potential
=================  ===============================================================================

An electric field changes with time in i-PI's driven dynamics (``eda-nve``, ``eda-nvt``) only, to
which :class:`DrivenDriver` gives what it needs; a force component does not know the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ipi.pes.dummy import Dummy_driver

from aptnn_md.atomic_units import IPI
from aptnn_md.engines.client.answers import Answer, Answers
from aptnn_md.engines.client.evaluator import Evaluator
from aptnn_md.errors import InputError
from aptnn_md.potentials.loading import load_potential
from aptnn_md.prediction.charges import log_charge
from aptnn_md.prediction.loading import as_model
from aptnn_md.structure_files import read_structure
from aptnn_md.structures import charge_of
from aptnn_md.targets import APT


class EvaluatorDriver(Dummy_driver):  # type: ignore[misc]  # i-PI has no types
    """What the drivers share: a batch of structures in, answers out.

    Parameters
    ----------
    evaluator : potential and model with the atoms
    answers : what is made of the results
    keywords : what i-PI gives to every driver
    """

    def __init__(self, evaluator: Evaluator, answers: Answers, **keywords: Any) -> None:
        self.evaluator, self.answers = evaluator, answers
        refuse_unknown(type(self).__name__, keywords)
        super().__init__(**keywords)

    def compute(self, cell: Any, pos: Any) -> Any:
        """One structure, or lists of them when i-PI sends a batch; atomic units.

        Parameters
        ----------
        cell : (3, 3), lattice vectors in columns
        pos : (n_atoms, 3)

        Returns
        -------
        energy, forces (n_atoms, 3), virial (3, 3), extras
        """
        batched = isinstance(cell, list)
        cells = np.array(cell if batched else [cell], dtype=np.float64)
        positions = np.array(pos if batched else [pos], dtype=np.float64)
        cells = cells.reshape(-1, 3, 3).transpose(0, 2, 1) * IPI.bohr
        positions = positions.reshape(len(cells), -1, 3) * IPI.bohr
        results = self.evaluator(cells, positions, tensors=self.answers.need_tensors)
        answers = [_tuple(answer) for answer in self.answers(cells, positions, results)]
        return answers if batched else answers[0]


class PotentialDriver(EvaluatorDriver):
    """Forces of any potential of :func:`aptnn_md.potentials.loading.load_potential`.

    Parameters
    ----------
    potential : name, file, or ``package.module:callable key=value ...``
    template, pbc, device, dtype : see :mod:`aptnn_md.engines.ipi.pes`
    """

    def __init__(
        self,
        potential: str = "",
        template: str = "",
        *,
        pbc: bool = True,
        device: str = "cpu",
        dtype: str | None = None,
        no_stress: bool = False,
        **keywords: Any,
    ) -> None:
        refuse_unknown(type(self).__name__, keywords)
        _require(type(self).__name__, "potential", potential, "a name, file, or module:callable")
        calculator = _potential(potential, device, dtype)
        evaluator = Evaluator(
            _atoms(type(self).__name__, template),
            calculator,
            periodic=pbc,
            no_stress=no_stress,
        )
        super().__init__(evaluator, Answers(), **keywords)


class _TensorDriver(EvaluatorDriver):
    """A model, and a potential if one is given."""

    def __init__(
        self,
        model: str = "",
        template: str = "",
        *,
        extras: str,
        efield: str | None = None,
        potential: str | None = None,
        pbc: bool = True,
        device: str = "cpu",
        dtype: str | None = None,
        total_charge: float | None = None,
        beads: int = 1,
        no_stress: bool = False,
        **keywords: Any,
    ) -> None:
        options: dict[str, Any] = {"device": device, "dtype": dtype, "total_charge": total_charge}
        refuse_unknown(type(self).__name__, keywords)
        _require(type(self).__name__, "model", model, "a model file or bundled name")
        loaded = as_model(model, **options)
        calculator = None if potential is None else _potential(potential, device, None)
        # forces in a field and BEC need APTs only
        targets = None if extras == "tensors" else (APT.name,)
        atoms = _atoms(type(self).__name__, template)
        log_charge(loaded, charge_of(atoms, total_charge), f"the template {template}")
        evaluator = Evaluator(
            atoms,
            calculator,
            loaded,
            periodic=pbc,
            targets=targets,
            no_stress=no_stress,
        )
        name, sha256 = evaluator.model_name, evaluator.model_sha256
        super().__init__(evaluator, Answers(extras, efield, beads, name, sha256), **keywords)


class TensorDriver(_TensorDriver):
    """Tensors in compact extras for aptnn_md in the i-PI process; no energy and forces.

    As a force component of weight 0 it is evaluated only when the stream asks for it.

    Parameters
    ----------
    model : model file, bundled name or ``package.module:callable key=value ...``; with
        ``water-apt;water-pgt`` PGTs, too
    template : see :mod:`aptnn_md.engines.ipi.pes`, as for the others
    """

    def __init__(self, model: str = "", template: str = "", **keywords: Any) -> None:
        super().__init__(model, template, extras="tensors", **keywords)


class DrivenDriver(_TensorDriver):
    """Extras ``BEC`` and ``dipole`` for i-PI's driven dynamics, and forces of a potential if given.

    ``dipole`` is the change since the first geometry after the start of the client; the APTs say
    nothing of its value there. i-PI moves atoms by ``BEC`` alone and only prints the dipole.

    Parameters
    ----------
    model : model file or bundled name
    template : see :mod:`aptnn_md.engines.ipi.pes`, as for the others
    potential : as for :class:`PotentialDriver`; default: no energy and forces
    """

    def __init__(self, model: str = "", template: str = "", **keywords: Any) -> None:
        super().__init__(model, template, extras="bec", **keywords)


class FieldDriver(_TensorDriver):
    """Force of a constant homogeneous field, to be added to a potential's as a component.

    Parameters
    ----------
    model : model file or bundled name
    template : see :mod:`aptnn_md.engines.ipi.pes`, as for the others
    efield : three numbers between blanks, V/Å
    """

    def __init__(
        self, model: str = "", template: str = "", efield: str = "", **keywords: Any
    ) -> None:
        if not efield:
            raise InputError(type(self).__name__, "efield", "none", "efield: EX EY EZ, V/Å")
        super().__init__(model, template, extras="none", efield=efield, **keywords)


def _require(name: str, parameter: str, value: str, expected: str) -> None:
    """Refuse a missing parameter; ``name`` is that of the driver."""
    if not str(value):
        raise InputError(name, parameter, "none", f"{parameter}: {expected}")


def refuse_unknown(name: str, keywords: Mapping[str, Any]) -> None:
    """Refuse parameters of i-PI's input that no driver has.

    Parameters
    ----------
    name : of the driver
    keywords : what is left of the parameters; i-PI itself adds ``verbose`` or ``verbosity``

    Raises
    ------
    InputError
        There are some.
    """
    unknown = sorted(set(keywords) - {"verbose", "verbosity"})
    if unknown:
        expected = (
            "none of these; a comma in a value ends it for i-PI, so keyword arguments are words "
            "(potential: module:callable key=value key=value), and ; stands for a comma"
        )
        raise InputError(name, "parameter", ", ".join(unknown), expected)


def _atoms(name: str, template: str) -> Atoms:
    if not template:
        expected = "a structure file with the atoms in i-PI's order (template: start.xyz)"
        raise InputError(name, "template", "none", expected)
    return read_structure(template, positions=False)


def _potential(text: str, device: str, dtype: str | None) -> Calculator:
    return load_potential(text, device=device, dtype=dtype)


def _tuple(answer: Answer) -> tuple[float, Any, Any, str]:
    return answer.energy, answer.forces, answer.virial, answer.extras
