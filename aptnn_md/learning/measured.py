"""A spectrum of the runs of a campaign, with those of the members of the tensors' committee."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aptnn_md.provenance import command_line
from aptnn_md.spectra.estimation.power import PowerBlocks
from aptnn_md.spectra.infrared.of_streams import InfraredStreams
from aptnn_md.spectra.infrared.spectrum import InfraredSpectrum
from aptnn_md.spectra.infrared.table import write_table
from aptnn_md.spectra.options import InfraredOptions, RamanOptions
from aptnn_md.spectra.raman.of_streams import RamanStreams
from aptnn_md.spectra.raman.spectrum import RamanSpectrum
from aptnn_md.spectra.raman.table import write_raman
from aptnn_md.spectra.sources.members import member_blocks


@dataclass(frozen=True, eq=False)
class Measured:
    """A spectrum of runs with those of the members of the tensors' committee.

    Attributes
    ----------
    spectrum : with its conditions
    members : statistics of the spectrum of each member
    picoseconds : of all runs
    """

    spectrum: InfraredSpectrum | RamanSpectrum
    members: Sequence[PowerBlocks]
    picoseconds: float

    @classmethod
    def of(cls, runs: Path, kind: str, resolution: float) -> Measured:
        """From an ensemble of streams."""
        streams: Any
        if kind == "raman":
            streams, options = RamanStreams, RamanOptions(resolution=resolution, parts=False)
        else:
            streams, options = InfraredStreams, InfraredOptions(resolution=resolution, parts=False)  # type: ignore[assignment]
        found = streams([runs], options)
        found.read()
        spectrum = found.spectrum()
        members = member_blocks(streams, [runs], options)
        return cls(spectrum, members, 1e-3 * sum(spectrum.run_lengths))

    @property
    def blocks(self) -> PowerBlocks:
        """The spectrum with its statistics."""
        return self.spectrum.blocks

    def write(self, path: Path) -> None:
        """Write the table of the spectrum."""
        if isinstance(self.spectrum, InfraredSpectrum):
            write_table(path, self.spectrum, None, command_line())
        else:
            write_raman(path, self.spectrum, None, command_line())
