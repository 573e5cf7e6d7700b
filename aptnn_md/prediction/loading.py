"""Models by name, and whatever else gives tensors, as a :class:`TensorModel`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any, TypeAlias

from ase.calculators.calculator import BaseCalculator

from aptnn_md.callables import call_by_name, is_callable_name
from aptnn_md.errors import InputError
from aptnn_md.names import split_names
from aptnn_md.prediction.calculator_model import CalculatorModel, known_targets
from aptnn_md.prediction.callable_model import CallableModel
from aptnn_md.prediction.dipole_calculator import DipoleCalculatorModel
from aptnn_md.prediction.interface import TensorModel
from aptnn_md.prediction.joined import JoinedModel
from aptnn_md.prediction.mace_file import is_mace_file
from aptnn_md.progress import log
from aptnn_md.targets import APT, targets_of

ModelSource: TypeAlias = "str | PathLike[str] | TensorModel | BaseCalculator | Callable[..., Any]"
"""Whatever :func:`as_model` makes a model of."""


def as_model(
    source: ModelSource, *, require: Sequence[str] = (APT.name,), **options: Any
) -> TensorModel:
    """A model from whatever gives atomic tensors.

    Parameters
    ----------
    source : one of

        * model file, bundled name or ``module:callable``, or several of them for different targets
          with commas between (``"water-apt,water-pgt"``); see :func:`load_model`;
        * a :class:`TensorModel`, e.g. a :class:`aptnn_md.prediction.predictor.Predictor`, which is
          given back as it is;
        * an ASE calculator with ``born_effective_charges`` (e, [atom, dipole, displacement]) among
          its properties, or, for molecules, ``dipole``
          (:class:`aptnn_md.prediction.dipole_calculator.DipoleCalculatorModel`);
        * a network of mace-torch that gives dipoles, or mace-torch's calculator of such
          (:class:`aptnn_md.prediction.mace_dipoles.MACEDipoles`);
        * a callable ``model(atoms) -> (n_atoms, 3, 3)``, or an object with ``tensors(structures)``;
          what else it may say of itself: :class:`aptnn_md.prediction.callable_model.CallableModel`
    require : targets that the model must know
    options : of :meth:`aptnn_md.prediction.predictor.Predictor.from_file`, for files; those that
        say something of dipoles also hold for models that are made of dipoles

    Raises
    ------
    InputError
        No such file, nothing that gives tensors, a target that is unknown, or a model without one
        that is required.
    """
    model = _wrapped(source, options)
    targets_of(model.targets, f"model {model.name}")
    missing = [target for target in require if target not in model.targets]
    if missing:
        example = ",".join(f"water-{name}" for name in dict.fromkeys((APT.name, *model.targets)))
        expected = f"{', '.join(missing)}, too: a model of both, or two with a comma between"
        raise InputError(
            f"model {model.name}", "targets", ", ".join(model.targets), f"{expected} ({example})"
        )
    return model


def _wrapped(source: ModelSource, options: dict[str, Any]) -> TensorModel:
    if isinstance(source, str | PathLike):
        return load_model(source, **options)
    if isinstance(source, TensorModel):
        return _with_its_own_sum(source, options)
    if known_targets(source):
        calculator: Any = source
        return _with_its_own_sum(CalculatorModel(calculator), options)
    if mace := _of_mace(source, options):
        return mace
    if isinstance(source, BaseCalculator):
        return _of_dipoles(source, options)
    if callable(source) or hasattr(source, "tensors"):
        return _with_its_own_sum(CallableModel(source), options)
    expected = f"a file, a name, a callable or an ASE calculator with {APT.ase_name} or dipole"
    raise InputError("APT model", "type", type(source).__name__, expected)


def _with_its_own_sum(model: TensorModel, options: dict[str, Any]) -> TensorModel:
    """A model whose tensors are used as it gives them, whatever charge they should add up to."""
    charge = options.get("total_charge")
    if charge not in (None, getattr(model, "total_charge", None)):
        log.warning(
            "model %s: its tensors are used as it gives them; nothing makes them add up to the "
            "total charge of %g e that was asked for",
            *(model.name, charge),
        )
    return model


def _of_mace(source: Any, options: dict[str, Any]) -> TensorModel | None:
    """The model of networks or of a calculator of mace-torch; None of anything else."""
    if not type(source).__module__.startswith("mace."):
        return None
    from aptnn_md.prediction.mace_dipoles import MACEDipoles  # imports torch
    from aptnn_md.prediction.mace_kinds import is_mace_network

    if is_mace_network(source):
        return MACEDipoles([source], name=type(source).__name__, **options)
    # its dipole is in debye, and has gradients
    networks = getattr(source, "models", None)
    if not networks or not all(is_mace_network(network) for network in networks):
        return None
    charges = getattr(source, "arrays_keys", {}).get("charges", source.charges_key)
    name = type(networks[0]).__name__
    return MACEDipoles(networks, name=name, charges_key=charges, **options)


def _of_dipoles(calculator: Any, options: dict[str, Any]) -> DipoleCalculatorModel:
    if "dipole" in calculator.implemented_properties:
        of_dipoles = {k: v for k, v in options.items() if k in ("total_charge", "neutral")}
        return DipoleCalculatorModel(calculator, **of_dipoles)
    properties = ", ".join(calculator.implemented_properties)
    expected = f"{APT.ase_name}, or dipole"
    raise InputError(f"calculator {type(calculator).__name__}", "properties", properties, expected)


def load_model(source: str | PathLike[str], **options: Any) -> TensorModel:
    """The model of a file or a bundled name; of several, joined by commas, all of them as one.

    Parameters
    ----------
    source : e.g. ``"water-apt"`` or ``"water-apt,pgt.pt"``, or whatever gives atomic tensors by
        the name of what makes it, ``module:callable key=value``; a path that exists may hold
        commas (:func:`aptnn_md.names.split_names`). ``NAME.model`` of mace-torch, which gives
        dipoles, is a pickle, and reading it runs what is in it: take it from those you trust
    options : of :meth:`aptnn_md.prediction.predictor.Predictor.from_file`, for each file

    Raises
    ------
    InputError
        A file that cannot be read, or two models for one target.
    RunError
        The user's callable raised an error.
    """
    names = split_names(fspath(source))
    models = [_named(name, options) for name in names]
    return models[0] if len(models) == 1 else JoinedModel(models)


def _named(name: str, options: dict[str, Any]) -> TensorModel:
    if is_callable_name(name) and not Path(name).exists():
        made = call_by_name("model", name, "a model file, a bundled name or module:callable")
        if not isinstance(made, str | PathLike):
            return _wrapped(made, options)
        name = fspath(made)
    if is_mace_file(name):
        from aptnn_md.prediction.mace_dipoles import MACEDipoles  # imports torch

        return MACEDipoles.from_file(name, **options)
    from aptnn_md.prediction.predictor import Predictor  # imports torch

    return Predictor.from_file(name, **options)
