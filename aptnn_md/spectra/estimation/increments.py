"""Spectra of frames that hold increments of the dipole or polarizability instead of rates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.spectra.estimation.accumulate import LagAccumulator
from aptnn_md.spectra.estimation.plan import SpectralPlan
from aptnn_md.spectra.estimation.power import PowerBlocks, densities
from aptnn_md.units import LIGHT_SPEED_CM_PER_FS


def increments_correction(plan: SpectralPlan) -> FloatArray:
    """(n,) what the density of (M(t) - M(t - Δt))/Δt is multiplied by to be that of Ṁ.

    The difference is the mean of Ṁ over Δt, which damps the amplitude by sin(x)/x with x = ωΔt/2.
    At the Nyquist wavenumber x = π/2, far from the first zero at π, so the factor stays between 1
    and π²/4. What lies beyond the Nyquist wavenumber is gone before, by aliasing.
    """
    return np.asarray(np.sinc(LIGHT_SPEED_CM_PER_FS * plan.wavenumber * plan.spacing) ** -2)


def rate_densities(
    accumulator: LagAccumulator, factors: Sequence[float] = (), *, difference: bool = False
) -> dict[str, PowerBlocks]:
    """Densities of rates, times a factor for each run; with ``difference`` of increments, whose
    damping is divided out."""
    curves = densities(accumulator, factors)
    if not difference:
        return curves
    correction = increments_correction(accumulator.plan)
    return {name: curve.scaled(correction) for name, curve in curves.items()}


def increments_note(plan: SpectralPlan, quantity: str = "dipole") -> str:
    """What was done, for people."""
    return (
        f"frames hold differences of the {quantity} over Δt = {plan.spacing:g} fs: the spectrum "
        "was divided by (sin(x)/x)², x = ωΔt/2, which is "
        f"{1 / increments_correction(plan)[-1]:.3f} at the highest wavenumber"
    )
