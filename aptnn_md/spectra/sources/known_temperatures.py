"""How far the temperatures of bonds, angles and rotations in single runs are from the known one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.spectra.estimation.known_means import n_usable, select_quantities
from aptnn_md.spectra.estimation.power import PowerBlocks
from aptnn_md.spectra.sources.stream_run import StreamRun


@dataclass(frozen=True, eq=False)
class KnownTemperatures:
    """What densities of runs are regressed on.

    Attributes
    ----------
    kinds : of bonds, angles, torsions and rotations
    deviations : (n_runs, n_kinds), mean temperature of each run over the known one, less 1
    """

    kinds: tuple[str, ...]
    deviations: FloatArray

    @classmethod
    def of(cls, runs: Sequence[StreamRun], temperature: float | None) -> KnownTemperatures | None:
        """Those of runs that were read; None where their temperature is not known, or there are
        too few runs.

        ``temperature`` is that of all runs, K; None: that of the header of each.
        """
        headers = [run.reader.header for run in runs]
        kinds = headers[0].coordinates
        usable = n_usable(np.array([run.n_frames for run in runs], dtype=float))
        same = all((h.coordinates, h.n_beads) == (kinds, 1) for h in headers)
        known = [temperature or header.temperature for header in headers]
        means = [run.mean("coordinate_temperature") for run in runs]
        if not kinds or not usable or not same:
            return None
        found = [
            m / t for m, t in zip(means, known, strict=True) if m is not None and t is not None
        ]
        return cls(kinds, np.array(found) - 1.0) if len(found) == len(runs) else None

    def selected_for(self, density: PowerBlocks) -> KnownTemperatures | None:
        """Those that are worth a regression of the density of the runs
        (:func:`~aptnn_md.spectra.estimation.known_means.select_quantities`); None where none is."""
        return self._only(select_quantities(density, self.deviations))

    def named(self, kinds: Sequence[str]) -> KnownTemperatures | None:
        """Those of these kinds; None where there is none of them."""
        return self._only([k for k, kind in enumerate(self.kinds) if kind in kinds])

    def joined(self, other: KnownTemperatures) -> KnownTemperatures:
        """These and those kinds of the same runs that are not among them."""
        new = [k for k, kind in enumerate(other.kinds) if kind not in self.kinds]
        kinds = self.kinds + tuple(other.kinds[k] for k in new)
        return KnownTemperatures(kinds, np.hstack([self.deviations, other.deviations[:, new]]))

    def _only(self, numbers: list[int]) -> KnownTemperatures | None:
        if not numbers:
            return None
        return KnownTemperatures(tuple(self.kinds[k] for k in numbers), self.deviations[:, numbers])

    @property
    def note(self) -> str:
        """What was done, for the reader of a spectrum."""
        return (
            f"runs are weighed so that {', '.join(self.kinds)} have the kinetic energies that they "
            "have on average: single runs keep those that they begin with"
        )
