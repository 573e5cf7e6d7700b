"""Raman activities of normal modes, and their depolarisation ratios."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.normal_modes.broadening import DEFAULT_LINE, LineShape, broadened
from aptnn_md.normal_modes.committee import error_of_mean
from aptnn_md.normal_modes.modes import NormalModes
from aptnn_md.spectra.raman.polarizability import (
    ANISOTROPIC_COORDINATES,
    ISOTROPIC_COORDINATES,
    coordinates,
)
from aptnn_md.spectra.raman.scattering import cross_section_factor
from aptnn_md.tensors import to_voigt


@dataclass(frozen=True, eq=False)
class RamanModes:
    """Normal modes with their Raman activities.

    Attributes
    ----------
    modes : the modes
    polarizability_derivative : (n_modes, 3, 3) ∂a/∂Q of the polarizability volume, Å²/√amu
    model_error : (n_modes,) standard error of the activity by that of the tensors, Å⁴/amu; None if
        that is not known
    """

    modes: NormalModes
    polarizability_derivative: FloatArray
    model_error: FloatArray | None = None

    @property
    def isotropic(self) -> FloatArray:
        """(n_modes,) 45 a'², Å⁴/amu, with the mean a' = tr(∂a/∂Q)/3."""
        return self._sum(ISOTROPIC_COORDINATES)

    @property
    def anisotropic(self) -> FloatArray:
        """(n_modes,) γ'², Å⁴/amu; see :mod:`aptnn_md.spectra.raman.polarizability`."""
        return self._sum(ANISOTROPIC_COORDINATES)

    @property
    def activity(self) -> FloatArray:
        """(n_modes,) S = 45 a'² + 7 γ'², Å⁴/amu."""
        return self.isotropic + 7.0 * self.anisotropic

    @property
    def depolarisation(self) -> FloatArray:
        """(n_modes,) 3γ'²/(45a'² + 4γ'²), of a laser whose light is polarised; NaN of modes that
        are not active."""
        above, below = 3.0 * self.anisotropic, self.isotropic + 4.0 * self.anisotropic
        return np.where(below > 0.0, above / np.where(below > 0.0, below, 1.0), np.nan)

    def cross_section(self, laser: float, temperature: float, counting: bool = False) -> FloatArray:
        """(n_modes,) dσ/dΩ of Stokes scattering, cm²/sr; NaN of imaginary modes and of those beyond
        the laser. See :mod:`aptnn_md.spectra.raman.scattering`.

        Parameters
        ----------
        laser : its wavenumber, cm⁻¹
        temperature : K
        counting : photons are counted, not their energy
        """
        found = np.full(len(self.modes), np.nan)
        seen = (self.modes.wavenumber > 0.0) & (self.modes.wavenumber < laser)
        where = self.modes.wavenumber[seen]
        found[seen] = cross_section_factor(where, laser, temperature, counting)
        return found * self.activity

    def broadened(self, wavenumber: FloatArray, line: LineShape = DEFAULT_LINE) -> FloatArray:
        """(n,) activity in each wavenumber, Å⁴/amu per cm⁻¹; see
        :func:`aptnn_md.normal_modes.broadening.broadened`."""
        return broadened(self.modes.wavenumber, self.activity, wavenumber, line)

    def _sum(self, numbers: tuple[int, ...]) -> FloatArray:
        values = coordinates(to_voigt(self.polarizability_derivative))
        return np.asarray((values[:, numbers] ** 2).sum(axis=1))


def raman_modes(
    modes: NormalModes, pgt: FloatArray, members: FloatArray | None = None
) -> RamanModes:
    """Raman activities S = 45 a'² + 7 γ'² of molecules that turn freely.

    Parameters
    ----------
    modes : normal modes
    pgt : (n_atoms, 3, 3, 3), Å²; ``[i, α, β, γ] = ∂a_αβ/∂r_iγ``, symmetric in αβ
    members : (n_members, n_atoms, 3, 3, 3), Å², for the error of the activities, as for
        :func:`aptnn_md.normal_modes.infrared_modes`

    Raises
    ------
    InputError
        Tensors of other atoms, not finite, or not symmetric.
    """
    expected = (len(modes.masses), 3, 3, 3)
    if pgt.shape != expected or not np.isfinite(pgt).all():
        raise InputError("Raman activities", "pgt", f"shape {pgt.shape}", f"{expected}, finite")
    asymmetry = float(np.abs(pgt - pgt.swapaxes(1, 2)).max())
    if asymmetry > 0.05 * float(np.abs(pgt).max(initial=0.0)):
        found = f"polarizabilities whose xy and yx differ by up to {asymmetry:.2g} Å²"
        raise InputError("Raman activities", "pgt", found, "[atom, a, a, displacement], symmetric")
    raman = _symmetric_modes(modes, pgt)
    if members is None or len(members) < 2:
        return raman
    of_members = np.array([_symmetric_modes(modes, one).activity for one in members])
    return replace(raman, model_error=error_of_mean(raman.activity, of_members))


def _symmetric_modes(modes: NormalModes, pgt: FloatArray) -> RamanModes:
    """Those of the part of ``pgt`` that is symmetric as a polarizability is."""
    symmetric = 0.5 * (pgt + pgt.swapaxes(1, 2))
    return RamanModes(modes, np.asarray(modes.derivative(symmetric)))
