"""Rates of the single members of a committee in a stream, as estimators of their own.

The spectrum of each member, on one trajectory, tells the error of the model
(:mod:`aptnn_md.spectra.sources.members`). The rates of ``member-1``, ``member-2``, ... are those of
the first estimator with the tensors of one member. A rate is there for all estimators, so the
committees of all targets have as many members; of a target with a single network all are the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from aptnn_md.stream.header import StreamHeader

MEMBER = "member-"
"""Beginning of the names of the estimators."""

MOST_GROUPS = 32
"""Of a stream that has members' rates unasked: of a group for each molecule of a liquid they would
be most of the stream, though only their sum is looked at."""


def has_members(header: StreamHeader) -> bool:
    """Whether a stream has the rates of the members of a committee, each apart."""
    return any(name.startswith(MEMBER) for name in header.estimators)


def streamed_members(
    committee_sizes: Mapping[str, int], n_groups: int, earlier: StreamHeader | None = None
) -> int:
    """Members whose rates a stream has where nobody says anything else; 0: the mean alone.

    Parameters
    ----------
    committee_sizes : target -> number of members, the same for all that have several
    n_groups : of the rates, see :data:`MOST_GROUPS`
    earlier : header of the stream that is continued, which stays as it was begun; None: it is new
    """
    sizes = set(committee_sizes.values()) - {1}
    size = sizes.pop() if len(sizes) == 1 else 1
    wanted = n_groups <= MOST_GROUPS if earlier is None else has_members(earlier)
    return size if wanted and size > 1 else 0
