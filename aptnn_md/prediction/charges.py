"""Which charge the tensors of a run add up to, for engines that know none."""

from __future__ import annotations

from collections.abc import Sequence

from aptnn_md.prediction.calculator_model import CalculatorModel
from aptnn_md.prediction.callable_model import CallableModel
from aptnn_md.prediction.interface import TensorModel
from aptnn_md.prediction.joined import JoinedModel
from aptnn_md.prediction.predictor import Predictor
from aptnn_md.progress import log


def trained_charges(model: TensorModel) -> tuple[float, ...]:
    """Charges of the structures that a model was trained on, e; empty where it does not say."""
    found = (part.card.get("charges") for part in _predictors(model))
    return tuple(sorted({float(charge) for charges in found for charge in charges or ()}))


def log_charge(model: TensorModel, charge: float | None, engine: str) -> None:
    """Say in the log to which charge the APTs of a run add up.

    An ion of which nobody said so gets the tensors of a neutral structure, and nothing looks wrong.

    Parameters
    ----------
    model : of the run
    charge : as the user says it, e; None: not said, so that it is that of the model, or 0
    engine : what says no charge, in words
    """
    if all(isinstance(part, CallableModel | CalculatorModel) for part in _parts(model)):
        log.info("model %s: its tensors are used as it gives them", model.name)
        return
    of_model = [part.total_charge for part in _predictors(model) if part.total_charge is not None]
    if charge is None and of_model:
        charge = of_model[0]
    if charge is not None:
        log.info("charge of the system: %g e", charge)
        return
    trained = trained_charges(model)
    if any(trained):
        log.warning(
            "%s says no charge, so the APTs add up to 0 e; model %s was trained on charges %s: if "
            "the system is an ion, give --total-charge (total_charge in i-PI's parameters)",
            *(engine, model.name, ", ".join(f"{q:g}" for q in trained)),
        )
        return
    log.info(
        "%s says no charge, so the APTs add up to 0 e; --total-charge (total_charge in i-PI's "
        "parameters) says that of an ion",
        engine,
    )


def _parts(model: TensorModel) -> Sequence[TensorModel]:
    return model.parts if isinstance(model, JoinedModel) else (model,)


def _predictors(model: TensorModel) -> list[Predictor]:
    """The model files among the parts of a model."""
    return [part for part in _parts(model) if isinstance(part, Predictor)]
