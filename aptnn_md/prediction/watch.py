"""What of a model judges the structures of a run: the limits of its committee's spread."""

from __future__ import annotations

from numpy.typing import ArrayLike

from aptnn_md.domain import Domain
from aptnn_md.domain_watch import DomainWatch
from aptnn_md.prediction.calls import DirectCalls
from aptnn_md.prediction.interface import TensorModel


def domain_of(model: TensorModel) -> Domain | None:
    """Limits of the spread of a model's committee; None where they are not known."""
    domain = model.domain if isinstance(model, DirectCalls) else None
    return domain if domain is not None and domain.judges(model.committee_sizes) else None


def watch_of(model: TensorModel, numbers: ArrayLike) -> DomainWatch | None:
    """What judges the structures of a run by the spread of the model's committee.

    Parameters
    ----------
    model : that gives the tensors
    numbers : (n_atoms,) atomic numbers

    Returns
    -------
    None for a single model, and where the limits are not known
    """
    domain = domain_of(model)
    return None if domain is None else DomainWatch(domain, numbers)
