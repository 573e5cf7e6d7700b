"""The ``ace`` network of version 0.1, against which its faster form is tested and timed."""

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
