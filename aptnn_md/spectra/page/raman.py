"""The page of a Raman spectrum."""

from __future__ import annotations

from collections.abc import Mapping

from aptnn_md.spectra.analysis.peaks import peak_ranges
from aptnn_md.spectra.analysis.sticks import Sticks
from aptnn_md.spectra.output.band_table import describe_moments
from aptnn_md.spectra.output.canvas import end_of_absorption
from aptnn_md.spectra.output.columns import columns_text
from aptnn_md.spectra.output.plot_sticks import sticks_seen
from aptnn_md.spectra.page.content import (
    Curve,
    Grid,
    Page,
    PageOptions,
    Panel,
    error_facts,
    error_panels,
    integrals_of_parts,
    part_panels,
    with_sticks,
)
from aptnn_md.spectra.raman.forms import ACTIVITY
from aptnn_md.spectra.raman.report import (
    TITLES,
    describe_form,
    describe_quantum,
    raman_band_rows,
    raman_part_rows,
)
from aptnn_md.spectra.raman.spectrum import RamanSpectrum
from aptnn_md.spectra.raman.table import curves_of_part, raman_table

_SHOWN = ("VV", "VH", "isotropic")
_LARGEST_RATIO = 0.75


def raman_page(
    spectrum: RamanSpectrum,
    options: PageOptions,
    *,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    sticks: Sticks | None = None,
) -> Page:
    """Everything that is known of a spectrum, for a browser.

    Parameters
    ----------
    ranges, sticks : see :func:`aptnn_md.spectra.raman.report.report_raman`

    Raises
    ------
    InputError
        A range without values.
    """
    columns, lines = raman_table(spectrum, options.wavenumbers, options.provenance)
    label = f"{spectrum.ordinate.name}  ({spectrum.unit})"
    named = spectrum.total.named
    columns_of = {name: 1 + 2 * k for k, name in enumerate(named)}
    curves = tuple(
        Curve(TITLES.get(name, name), columns_of[name], name in _SHOWN)
        for name in dict.fromkeys((*_SHOWN, *named))
    )
    ratio = 1 + 2 * len(named)
    per_part = 2 * len(curves_of_part(spectrum.total))
    # of a part the table has only the isotropic and the anisotropic curve, of which the former is
    # drawn
    of_parts = {part: ratio + 2 + per_part * k for k, part in enumerate(spectrum.parts)}
    isotropic = {part: curves.isotropic for part, curves in spectrum.parts.items()}
    activity = f"activity, unpolarised  ({spectrum.ordinate.integral_unit})"
    spectrum_panel = with_sticks(Panel("", label, curves), sticks, activity)
    ratio_panel = Panel(
        "",
        "depolarisation ratio  VH/VV",
        (Curve("depolarisation ratio", ratio),),
        ceiling=_LARGEST_RATIO,
    )
    end = end_of_absorption(spectrum.wavenumber, spectrum.total.polarised.mean, sticks_seen(sticks))
    of_errors = error_panels(options, f"{ACTIVITY.name} 45a² + 7γ²  ({ACTIVITY.unit})")
    of_groups = part_panels(isotropic, of_parts, f"45a²  ({spectrum.unit})")
    return Page(
        title="Raman spectrum",
        subtitle=f"{spectrum.temperature:.4g} K, {1e-3 * spectrum.length:.4g} ps, "
        f"resolution {spectrum.resolution:.3g} cm⁻¹",
        facts=[describe_form(spectrum), describe_quantum(spectrum), *error_facts(options)],
        table=columns_text(columns, lines),
        table_name="raman.csv",
        panels=[spectrum_panel, ratio_panel, *of_errors, *of_groups],
        limits=options.wavenumbers or (0.0, end),
        grids=_grids(spectrum, ranges, sticks),
        alarms=spectrum.alarms,
        notes=spectrum.notes,
        convergence=options.convergence,
        convergence_range=options.convergence_range,
        quantity="45a² + 7γ²",
    )


def _grids(
    spectrum: RamanSpectrum,
    ranges: Mapping[str, tuple[float, float]] | None,
    sticks: Sticks | None,
) -> list[Grid]:
    """Bands and integrals of parts for people."""
    if ranges is None and spectrum.isolated:
        parts = {part: curves.unpolarised for part, curves in spectrum.parts.items()}
        ranges = peak_ranges(spectrum.blocks, parts)
    if not ranges:
        return []
    grids = [Grid("Bands", raman_band_rows(spectrum, ranges, sticks), describe_moments())]
    if spectrum.parts:
        grids.append(integrals_of_parts(raman_part_rows(spectrum, ranges)))
    return grids
