"""What gives a run its tensors, and how many members of a committee are streamed."""

from __future__ import annotations

import os
from collections.abc import Callable

from ase import Atoms

from aptnn_md.engines.ase.calculator import APTCalculator
from aptnn_md.errors import InputError
from aptnn_md.prediction.calculator_model import CalculatorModel
from aptnn_md.prediction.interface import TensorModel, check_elements
from aptnn_md.prediction.loading import ModelSource, as_model
from aptnn_md.stream import StreamReader, stream_exists
from aptnn_md.stream.members import streamed_members
from aptnn_md.targets import APT, Tensors


def source_of_tensors(
    atoms: Atoms, model: ModelSource | None
) -> tuple[Callable[[Atoms], Tensors], TensorModel]:
    """What gives the tensors of a structure, and what it is to be called after.

    Raises
    ------
    InputError
        There is nothing, or it does not know all elements.
    """
    if model is not None:
        given = as_model(model)
        check_elements(given, atoms)
        return lambda structure: given.evaluate([structure])[0], given
    calculator = atoms.calc
    if isinstance(calculator, APTCalculator):
        check_elements(calculator.model, atoms)
        return calculator.tensors, calculator.model
    if calculator is None or APT.ase_name not in calculator.implemented_properties:
        found = "no calculator" if calculator is None else type(calculator).__name__
        expected = "a model, or an APTCalculator on the atoms"
        raise InputError("StreamObserver", "model", f"None, with {found}", expected)
    wrapped = CalculatorModel(calculator)
    return lambda structure: wrapped.evaluate([structure])[0], wrapped


def committee_size(model: TensorModel) -> int:
    """Members of a model of several.

    Raises
    ------
    InputError
        It is a single one.
    """
    size = model.committee_sizes[APT.name]
    if size < 2:
        expected = "a committee (aptnn-md train --committee K), whose members can disagree"
        raise InputError(f"model {model.name}", "committee", "one network", expected)
    return size


def n_members(
    model: TensorModel,
    wanted: bool | None,
    n_groups: int,
    continued: str | os.PathLike[str] | None,
) -> int:
    """Members of a committee whose rates are written; 0: the mean alone.

    Parameters
    ----------
    wanted : None: see :func:`aptnn_md.stream.members.streamed_members`
    n_groups : of the rates
    continued : the stream, where there is one
    """
    if wanted is not None:
        return committee_size(model) if wanted else 0
    earlier = None
    if continued is not None and stream_exists(continued):
        earlier = StreamReader(continued).header
    return streamed_members(model.committee_sizes, n_groups, earlier)
