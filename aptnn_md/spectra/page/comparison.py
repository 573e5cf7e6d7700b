"""The page of several infrared spectra side by side."""

from __future__ import annotations

from collections.abc import Mapping

from aptnn_md.spectra.analysis.sticks import Sticks
from aptnn_md.spectra.infrared.comparison import (
    Difference,
    common_ordinate,
    comparison_table,
    describe_each,
    difference_rows,
)
from aptnn_md.spectra.infrared.intensity import check_comparable
from aptnn_md.spectra.infrared.report import Experiments, all_bands, common_ranges
from aptnn_md.spectra.infrared.spectrum import InfraredSpectrum
from aptnn_md.spectra.output.band_files import bands_text
from aptnn_md.spectra.output.band_table import band_rows, describe_moments
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
    marks_of,
    with_sticks,
)


def comparison_page(
    spectra: Mapping[str, InfraredSpectrum],
    options: PageOptions,
    experiments: Experiments = (None, ()),
    *,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    baseline: bool = False,
    differences: Mapping[str, Difference] | None = None,
    sticks: Sticks | None = None,
) -> Page:
    """Spectra, their bands and their differences, for a browser.

    Parameters
    ----------
    spectra : name -> spectrum
    experiments : known bands, and curves
    ranges, baseline, sticks : see :func:`aptnn_md.spectra.infrared.comparison.comparison_report`
    differences : name -> difference

    Raises
    ------
    InputError
        Spectra or experiments of different quantities, or a range without values.
    """
    reference, curves = experiments
    ordinate, differences = common_ordinate(spectra), differences or {}
    check_comparable(ordinate, reference, curves)
    columns, lines = comparison_table(spectra, differences, options.wavenumbers, options.provenance)
    label = f"{ordinate.name}  ({ordinate.unit})"
    column_of = {name: 1 + 2 * k for k, name in enumerate((*spectra, *differences))}
    panels = [
        Panel(
            title="",
            label=label,
            curves=tuple(Curve(name, column_of[name]) for name in spectra),
            lines=tuple(Line(c.name, c.wavenumber, c.absorption) for c in curves),
            marks=marks_of(reference),
            marks_name="" if reference is None else f"maxima of {reference.text}",
        )
    ]
    panels[0] = with_sticks(panels[0], sticks, f"intensity  ({ordinate.integral_unit})")
    if differences:
        shown = tuple(Curve(name, column_of[name]) for name in differences)
        panels.append(Panel("Differences", label, shown))
    wanted = common_ranges(spectra, reference, ranges)
    found = all_bands(spectra, ranges, experiments, baseline, sticks)
    grids = []
    if wanted:
        rows = band_rows(found, None if baseline else reference, ordinate)
        grids.append(Grid("Bands", rows, describe_moments(baseline)))
    if differences:
        remark = "; ".join(f"{name}: {one.text}" for name, one in differences.items())
        tables = difference_rows(differences, wanted, baseline)
        grids += [Grid(rows[0][0].capitalize(), rows, remark) for rows in tables]
    seen = sticks_seen(sticks)
    ends = [end_of_absorption(one.wavenumber, one.absorption, seen) for one in spectra.values()]
    return Page(
        title="Infrared spectra",
        subtitle=", ".join(spectra),
        facts=[line.strip() for line in describe_each(spectra)],
        table=columns_text(columns, lines),
        table_name="comparison.csv",
        panels=panels,
        limits=options.wavenumbers or (0.0, max(ends)),
        grids=grids,
        bands=bands_text(found, ordinate) if wanted else "",
        alarms=[alarm for one in spectra.values() for alarm in one.alarms],
        quantity=ordinate.name,
    )
