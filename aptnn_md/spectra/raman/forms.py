"""The two forms of a Raman spectrum: activity, and cross section for a laser."""

from __future__ import annotations

from aptnn_md.spectra.output.ordinate import Ordinate

REDUCED_UNIT = "Å⁴/amu per cm⁻¹"

ACTIVITY = Ordinate(
    name="Raman activity",
    meaning="Raman activity in each wavenumber, reduced form",
    unit=REDUCED_UNIT,
    integral_unit="Å⁴/amu",
    symbol="activity",
    symbol_unit="Å$^4$ amu$^{-1}$ / cm$^{-1}$",
    symbol_integral_unit="Å$^4$ amu$^{-1}$",
    variable="unpolarised",
    units=REDUCED_UNIT,
    table_scale=1.0,
    table_unit="Å⁴/amu",
)
"""What the reduced form is."""

CROSS_SECTION_UNIT = "cm²/sr per cm⁻¹"

CROSS_SECTION = Ordinate(
    name="Stokes cross section",
    meaning="cross section of Stokes scattering in each wavenumber",
    unit=CROSS_SECTION_UNIT,
    integral_unit="cm²/sr",
    symbol="cross section",
    symbol_unit="cm$^2$ sr$^{-1}$ / cm$^{-1}$",
    symbol_integral_unit="cm$^2$ sr$^{-1}$",
    variable="unpolarised",
    units=CROSS_SECTION_UNIT,
    table_scale=1e-30,
    table_unit="10⁻³⁰ cm²/sr",
)
"""What the measured form is."""
