"""What constraints of a run mean for its stream, said in the log."""

from __future__ import annotations

from aptnn_md.atoms.motion import MotionGroups
from aptnn_md.atoms.partition import Partition
from aptnn_md.progress import log
from aptnn_md.structures import Mobility


def say_mobility(mobility: Mobility | None, partition: Partition) -> None:
    """Say once of which motion the f-sum of a stream is.

    Parameters
    ----------
    mobility : what constraints let move; None: everything
    partition : the groups of the stream
    """
    if mobility is None:
        return
    if mobility.unaccounted:
        log.warning(
            "%s: the f-sum of what can move is not known, so the stream has none and spectra have "
            "no f-sum rule",
            ", ".join(mobility.unaccounted),
        )
    elif not mobility.is_free:
        log.info("%s: the f-sum is that of what can move", mobility.summary())
        if isinstance(partition, MotionGroups):
            log.warning(
                "groups by motion: the f-sums of translation, libration and vibration are right "
                "only where molecules are fixed as a whole; their sum is right in any case"
            )
