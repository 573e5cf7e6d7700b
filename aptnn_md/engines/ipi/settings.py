"""What to stream of an i-PI run: numbers, their defaults and checks; i-PI is not needed for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from aptnn_md.errors import InputError
from aptnn_md.settings import Count, NewPath, Text, check_settings


@dataclass(frozen=True)
class StreamSettings:
    """What to write down of a run.

    Parameters
    ----------
    path : directory of the stream
    stride : steps between frames
    estimators : of :data:`aptnn_md.stream.frame.ESTIMATORS`; the first one is the default of
        readers, and what ``f_sum`` and the committee's deviation belong to
    groups : name for :func:`aptnn_md.atoms.partition.parse_groups`
    beads_too : also write the dipole rate of every bead
    velocities : also write the centroid velocities of all atoms, for their power spectrum
    pbc : False: open boundaries in spite of the cell that i-PI always has, so that the stream of a
        molecule or cluster has no volume

    Raises
    ------
    InputError
        A value of another type or out of its range; another estimator, or one twice.
    """

    path: NewPath
    stride: Count = 4
    estimators: tuple[str, ...] = ("bead",)
    groups: Text = "all"
    beads_too: bool = False
    velocities: bool = False
    pbc: bool = True

    def __post_init__(self) -> None:
        where = "i-PI stream"
        check_settings(self, where)
        from aptnn_md.stream.frame import ESTIMATORS  # reads zarr, which help texts do not need

        names = self.estimators
        if not names or len(set(names)) != len(names) or not set(names) <= set(ESTIMATORS):
            expected = f"one or more of {', '.join(ESTIMATORS)}, each once"
            raise InputError(where, "estimators", ", ".join(names) or "none", expected)


def one_stream_each(settings: StreamSettings, systems: list[Any]) -> list[StreamSettings]:
    """Settings for each of several systems: ``S.zarr`` becomes ``S_0.zarr``, ``S_1.zarr``, ...

    Where the systems have a ``prefix`` in i-PI, that is used in place of the number.
    """
    if len(systems) == 1:
        return [settings]
    names = [str(system.prefix) or str(n) for n, system in enumerate(systems)]
    if len(set(names)) < len(names):
        names = [str(n) for n in range(len(systems))]
    path = settings.path
    return [
        replace(settings, path=path.with_name(f"{path.stem}_{name}{path.suffix}")) for name in names
    ]
