"""Infrared intensities of normal modes, and the spectrum of broadened lines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.normal_modes.broadening import DEFAULT_LINE, LineShape, broadened
from aptnn_md.normal_modes.committee import error_of_mean
from aptnn_md.normal_modes.modes import NormalModes
from aptnn_md.units import KM_PER_MOL, PER_CM2_PER_KM_PER_MOL


@dataclass(frozen=True, eq=False)
class InfraredModes:
    """Normal modes with their infrared intensities.

    Attributes
    ----------
    modes : the modes
    dipole_derivative : (n_modes, 3) ∂M/∂Q, e/√amu
    intensity : (n_modes,) integrated molar absorption (neperian), km/mol of structures
    volume : of the cell of a crystal, Å³; None for a molecule
    model_error : (n_modes,) standard error of the intensity by that of the tensors, km/mol; None if
        that is not known
    """

    modes: NormalModes
    dipole_derivative: FloatArray
    intensity: FloatArray
    volume: float | None = None
    model_error: FloatArray | None = None

    @property
    def absorption(self) -> FloatArray | None:
        """(n_modes,) ∫ n(ν̃)α(ν̃) dν̃ of a crystal in random orientation, cm⁻²."""
        if self.volume is None:
            return None
        return self.intensity * PER_CM2_PER_KM_PER_MOL / self.volume

    @property
    def unit(self) -> str:
        """Of :meth:`broadened`."""
        return "km/mol cm" if self.volume is None else "cm^-1"

    def broadened(self, wavenumber: FloatArray, line: LineShape = DEFAULT_LINE) -> FloatArray:
        """Sum of lines of unit area times their intensities.

        Parameters
        ----------
        wavenumber : (n,) cm⁻¹
        line : width and shape of all lines

        Returns
        -------
        (n,) molecules: km/mol per cm⁻¹; crystals: n(ν̃)α(ν̃), cm⁻¹. Imaginary modes are left out
        """
        area = self.intensity if self.absorption is None else self.absorption
        return broadened(self.modes.wavenumber, area, wavenumber, line)


def infrared_modes(
    modes: NormalModes,
    apt: FloatArray,
    volume: float | None = None,
    members: FloatArray | None = None,
) -> InfraredModes:
    """Infrared intensities A = N_A/(12 ε₀ c²) |∂M/∂Q|² (neperian).

    Parameters
    ----------
    modes : normal modes
    apt : (n_atoms, 3, 3), e; row = dipole, column = displacement
    volume : of the cell of a crystal, Å³
    members : (n_members, n_atoms, 3, 3), e, tensors that differ from ``apt`` as much as it is
        expected to be wrong (:func:`aptnn_md.normal_modes.committee.widened`), for the error of the
        intensities; None, or a single member: not known

    Raises
    ------
    InputError
        Tensors of other atoms, or not finite.
    """
    expected = (len(modes.masses), 3, 3)
    if apt.shape != expected or not np.isfinite(apt).all():
        raise InputError("infrared intensities", "apt", f"shape {apt.shape}", f"{expected}, finite")
    derivative, intensity = _intensity(modes, apt)
    error = None
    if members is not None and len(members) > 1:
        error = error_of_mean(intensity, np.array([_intensity(modes, one)[1] for one in members]))
    return InfraredModes(modes, derivative, intensity, volume, error)


def _intensity(modes: NormalModes, apt: FloatArray) -> tuple[FloatArray, FloatArray]:
    """∂M/∂Q (n_modes, 3), e/√amu, and the intensity (n_modes,), km/mol."""
    derivative = np.asarray(modes.derivative(apt))
    return derivative, KM_PER_MOL * (derivative**2).sum(axis=1)


def wavenumber_grid(
    infrared: InfraredModes, width: float, wavenumbers: tuple[float, float] | None = None
) -> FloatArray:
    """Wavenumbers for a broadened spectrum, cm⁻¹: ten in each width.

    Parameters
    ----------
    width : of the lines, cm⁻¹
    wavenumbers : range; default: from 0 to beyond the last mode

    Raises
    ------
    InputError
        A range that is empty, or a width that is not positive.
    """
    if not width > 0:
        raise InputError("broadened spectrum", "width", width, "a positive number, cm⁻¹")
    last = float(infrared.modes.wavenumber.max(initial=0.0))
    low, high = wavenumbers or (0.0, 100.0 * np.ceil((1.05 * last + 2.0 * width) / 100.0))
    if not 0 <= low < high:
        found = f"{low:g} to {high:g} cm⁻¹"
        raise InputError("broadened spectrum", "range", found, "0 <= low < high")
    return np.linspace(low, high, 1 + int(np.ceil(10.0 * (high - low) / width)))
