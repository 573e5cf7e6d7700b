"""Potentials by name: the bundled one, a MACE model file, or any ASE calculator."""

from __future__ import annotations

import os
from pathlib import Path

from ase.calculators.calculator import Calculator

from aptnn_md.bundled import bundled_path
from aptnn_md.callables import call_by_name
from aptnn_md.errors import InputError
from aptnn_md.names import split_names

BUNDLED = ("water-mace", "water-mace-0.1")
"""Potentials that come with the package."""

REPLACED = {"water-mace": "water-mace-0.1"}
"""Bundled name -> name of the potential that had it before streams recorded potentials."""

_EXPECTED = (
    f"{', '.join(map(repr, BUNDLED))}, NAME.json of weights or several with commas between, a MACE "
    "model file, "
    "or package.module:callable, with keyword arguments as words key=value or in JSON"
)


def load_potential(
    spec: str | os.PathLike[str], *, device: str = "cpu", dtype: str | None = None
) -> Calculator:
    """Make an ASE calculator from its name, file or callable.

    Parameters
    ----------
    spec : one of

        * ``"water-mace"``, bundled: liquid water, RPBE-D3, for temperatures near 300 K; and
          ``"water-mace-0.1"``, that of version 0.1, to resume runs that were made with it;
        * ``NAME.json``, a potential stored by :func:`aptnn_md.potentials.stored.write_potential`:
          weights and plain data, no code; or a committee of such potentials, stored by
          :func:`aptnn_md.potentials.stored_committee.write_committee`, whose mean is taken;
        * ``A.json,B.json``, a committee of stored potentials;
        * another file: a MACE model as ``mace_run_train`` writes it. Such a file is a pickle, and
          reading it runs what is in it: take it from those you trust;
        * ``module:callable`` or ``module:Class.method``, followed by keyword arguments if there
          are any, e.g. ``ase.calculators.lj:LennardJones sigma=3.4 epsilon=0.01``
          (:mod:`aptnn_md.callables`).
    device, dtype : for MACE; by default the CPU, single precision for the bundled potential and a
        model file's own precision

    Raises
    ------
    InputError
        Nothing has this name, the file is not a model or a damaged one, or no such device.
    RunError
        mace-torch is needed and not installed, or the user's callable raised an error.
    """
    text = os.fspath(spec)
    if text in BUNDLED:
        return _stored(bundled_path(f"{text}.json"), device, dtype)
    path = Path(text)
    names = split_names(text)
    if len(names) > 1 and all(name.endswith(".json") for name in names):
        from aptnn_md.potentials.committee import PotentialCommittee

        return PotentialCommittee.from_files(names, device=device, dtype=dtype or "float32")
    if path.is_file():
        if path.suffix == ".json":
            return _stored(path, device, dtype)
        from aptnn_md.potentials.mace_model import mace_model

        return mace_model(path, device, dtype)
    if path.suffix == ".json":
        raise InputError(path, "potential", "no such file", "NAME.json of weights")
    return _from_callable(text)


def stored_path(name: str | os.PathLike[str]) -> Path:
    """File of a bundled potential, or of a stored one."""
    text = os.fspath(name)
    return bundled_path(f"{text}.json") if text in BUNDLED else Path(text)


def _stored(path: Path, device: str, dtype: str | None) -> Calculator:
    from aptnn_md.potentials.committee import PotentialCommittee
    from aptnn_md.potentials.mace import MACEPotential
    from aptnn_md.potentials.stored_committee import is_committee

    if is_committee(path):
        return PotentialCommittee.from_file(path, device=device, dtype=dtype or "float32")
    return MACEPotential.from_file(path, device=device, dtype=dtype or "float32")


def _from_callable(text: str) -> Calculator:
    calculator = call_by_name("potential", text, _EXPECTED)
    if not hasattr(calculator, "get_potential_energy"):
        raise InputError(
            f"potential {text}", "result", type(calculator).__name__, "an ASE calculator"
        )
    made: Calculator = calculator
    return made
