"""Harmonic calculations beside spectra: the modes that ``aptnn-md spectrum normal-modes`` wrote."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.spectra.analysis.sticks import Sticks
from aptnn_md.spectra.output.columns import read_table

_COLUMNS = {
    "wavenumber": "wavenumber (cm^-1)",
    "intensity": "intensity (km/mol)",
    "raman_activity": "Raman activity (A^4/amu)",
}
_EXPECTED = (
    "modes that aptnn-md spectrum normal-modes wrote by --out, as CSV or JSON; Raman activities "
    "need a model or file that has polarizability gradients"
)


@dataclass(frozen=True, eq=False)
class HarmonicModes:
    """Modes with their intensities; imaginary ones are left out.

    Attributes
    ----------
    name : of the file
    wavenumber : (n,) cm⁻¹
    intensity : (n,) km/mol
    activity : (n,) Raman activity, Å⁴/amu; None where the file has none
    """

    name: str
    wavenumber: FloatArray
    intensity: FloatArray
    activity: FloatArray | None

    def infrared(self, factor: float) -> Sticks:
        """Sticks of an infrared spectrum.

        Parameters
        ----------
        factor : what 1 km/mol adds to the integral of the spectrum
        """
        return Sticks("harmonic", self.wavenumber, factor * self.intensity)

    def raman(self) -> Sticks:
        """Sticks of a reduced Raman spectrum.

        Raises
        ------
        InputError
            The file has no Raman activities.
        """
        if self.activity is None:
            raise InputError(self.name, "Raman activity", "none", _EXPECTED)
        return Sticks("harmonic", self.wavenumber, self.activity)


def read_harmonic(path: str | os.PathLike[str]) -> HarmonicModes:
    """Read the modes of a harmonic calculation.

    Parameters
    ----------
    path : CSV or, with the suffix ``.json``, JSON by ``aptnn-md spectrum normal-modes --out``

    Raises
    ------
    InputError
        No such file, or another kind of file.
    """
    found = _json(Path(path)) if Path(path).suffix == ".json" else _csv(path)
    missing = [name for name in ("wavenumber", "intensity") if name not in found]
    if missing or not all(np.isfinite(values).all() for values in found.values()):
        shown = f"no {missing[0]}" if missing else "numbers that are not finite"
        raise InputError(path, "modes", shown, _EXPECTED)
    real = found["wavenumber"] > 0.0
    activity = found.get("raman_activity")
    return HarmonicModes(
        str(path),
        found["wavenumber"][real],
        found["intensity"][real],
        None if activity is None else activity[real],
    )


def _csv(path: str | os.PathLike[str]) -> dict[str, FloatArray]:
    columns, _ = read_table(path)
    return {name: columns[title] for name, title in _COLUMNS.items() if title in columns}


def _json(path: Path) -> dict[str, FloatArray]:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        found = {name: np.asarray(facts[name], float) for name in _COLUMNS if name in facts}
        shapes = {values.shape for values in found.values()}
        if len(shapes) > 1 or any(len(shape) != 1 for shape in shapes):
            raise ValueError("columns of different lengths")
    except OSError as error:
        raise InputError(path, "modes", error.strerror or error, "a readable file") from error
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(path, "modes", "another file", _EXPECTED) from error
    return found
