"""The ``ace`` network of version 0.1, against which its faster form is tested and timed.

It stays as it was, down to the numbers with which weights begin, and shares with today's network
only what holds no formula of its own: counts of components, 3j symbols, matrices that are kept.
:mod:`aptnn_md.models.plain_ace` is another thing: the form of today's network that is exported,
which takes harmonics and radial functions of it, and has neither training nor neighbour tables.
"""

from __future__ import annotations

from aptnn_md.models.ace import ACENetwork
from helpers.plain_ace.ace import ACENetwork as PlainACE

__all__ = ["PlainACE", "plain_form"]


def plain_form(network: ACENetwork) -> PlainACE:
    """The plain network with the weights of a fast one, in its precision."""
    plain = PlainACE(network.config).to(network.density_mean.dtype)
    weights = network.state_dict()
    plain.load_state_dict(weights)
    return plain.train(network.training)
