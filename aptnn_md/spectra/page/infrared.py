"""The page of an infrared spectrum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aptnn_md.spectra.analysis.reference_bands import Reference
from aptnn_md.spectra.analysis.sticks import Sticks
from aptnn_md.spectra.infrared.dielectric import Quantity
from aptnn_md.spectra.infrared.intensity import check_comparable
from aptnn_md.spectra.infrared.report import (
    SIMULATION,
    Experiments,
    all_bands,
    common_ranges,
    describe_integral,
    describe_quantum,
    describe_system,
)
from aptnn_md.spectra.infrared.spectrum import InfraredSpectrum
from aptnn_md.spectra.infrared.table import infrared_table
from aptnn_md.spectra.output.band_files import bands_text
from aptnn_md.spectra.output.band_table import band_rows, describe_moments, part_rows
from aptnn_md.spectra.output.canvas import end_of_absorption
from aptnn_md.spectra.output.columns import columns_text
from aptnn_md.spectra.output.plot_sticks import sticks_seen
from aptnn_md.spectra.page.content import (
    Curve,
    Grid,
    Line,
    Page,
    PageOptions,
    Panel,
    error_facts,
    error_panels,
    integrals_of_parts,
    marks_of,
    part_panels,
    with_sticks,
)

_FIRST_PART = 3  # after wavenumber, absorption and its standard error


def infrared_page(
    spectrum: InfraredSpectrum,
    options: PageOptions,
    experiments: Experiments = (None, ()),
    *,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    baseline: bool = False,
    sticks: Sticks | None = None,
    quantities: Sequence[Quantity] = (),
) -> Page:
    """Everything that is known of a spectrum, for a browser.

    Parameters
    ----------
    experiments : known bands, and curves
    ranges, baseline, sticks : see :func:`aptnn_md.spectra.infrared.report.report`
    quantities : by :func:`aptnn_md.spectra.infrared.dielectric.quantities`

    Raises
    ------
    InputError
        Experiments of another quantity, or a range without values.
    """
    reference, curves = experiments
    check_comparable(spectrum.ordinate, reference, curves)
    columns, lines = infrared_table(spectrum, options.wavenumbers, options.provenance, quantities)
    label = f"{spectrum.ordinate.name}  ({spectrum.ordinate.unit})"
    of_parts = {part: _FIRST_PART + 2 * k for k, part in enumerate(spectrum.parts)}
    first_quantity = _FIRST_PART + 2 * len(spectrum.parts)
    panels = [_spectrum_panel(spectrum, experiments, sticks, label)]
    panels += error_panels(options, label)
    panels += part_panels(spectrum.parts, of_parts, label)
    panels += [
        Panel("", _label(quantity), (Curve(quantity.symbol, first_quantity + 2 * k),))
        for k, quantity in enumerate(quantities)
    ]
    grids, bands = _grids(spectrum, experiments, ranges, baseline, sticks)
    return Page(
        title="Infrared spectrum",
        subtitle=f"{spectrum.temperature:.4g} K, {describe_system(spectrum)}, "
        f"{1e-3 * spectrum.length:.4g} ps, resolution {spectrum.resolution:.3g} cm⁻¹",
        facts=[describe_integral(spectrum), describe_quantum(spectrum), *error_facts(options)],
        table=columns_text(columns, lines),
        table_name="infrared.csv",
        panels=panels,
        limits=options.wavenumbers or (0.0, _end(spectrum, reference, sticks)),
        grids=grids,
        bands=bands,
        alarms=spectrum.alarms,
        notes=spectrum.notes,
        convergence=options.convergence,
        convergence_range=options.convergence_range,
        quantity=spectrum.ordinate.name,
    )


def _spectrum_panel(
    spectrum: InfraredSpectrum, experiments: Experiments, sticks: Sticks | None, label: str
) -> Panel:
    """The spectrum with what it is compared with."""
    reference, curves = experiments
    panel = Panel(
        title="",
        label=label,
        curves=(Curve("simulation ± 1 standard error", 1),),
        lines=tuple(Line(c.name, c.wavenumber, c.absorption) for c in curves),
        marks=marks_of(reference),
        marks_name="" if reference is None else f"maxima of {reference.text}",
    )
    return with_sticks(panel, sticks, f"intensity  ({spectrum.ordinate.integral_unit})")


def _grids(
    spectrum: InfraredSpectrum,
    experiments: Experiments,
    ranges: Mapping[str, tuple[float, float]] | None,
    baseline: bool,
    sticks: Sticks | None,
) -> tuple[list[Grid], str]:
    """Bands and integrals of parts for people, and bands as CSV."""
    reference = experiments[0]
    spectra = {SIMULATION: spectrum}
    wanted = common_ranges(spectra, reference, ranges)
    if not wanted:
        return [], ""
    columns = all_bands(spectra, ranges, experiments, baseline, sticks)
    rows = band_rows(columns, None if baseline else reference, spectrum.ordinate)
    grids = [Grid("Bands", rows, describe_moments(baseline))]
    if spectrum.parts:
        grids.append(integrals_of_parts(part_rows(spectrum, wanted)))
    return grids, bands_text(columns, spectrum.ordinate)


def _end(spectrum: InfraredSpectrum, reference: Reference | None, sticks: Sticks | None) -> float:
    positions = [band.position for band in reference.bands] if reference is not None else []
    positions += sticks_seen(sticks)
    return end_of_absorption(spectrum.wavenumber, spectrum.absorption, positions)


def _label(quantity: Quantity) -> str:
    return f"{quantity.symbol}  ({quantity.unit})" if quantity.unit else quantity.symbol
