"""Experimental n(ν̃)α(ν̃) of seven organic liquids at 26 °C, which come with the package.

Optical constants n and k from 400 to 4000 cm⁻¹ of T. L. Myers et al., Appl. Spectrosc. 72, 535
(2018), as the refractiveindex.info database gives them (CC0), every cm⁻¹; n·α = 4πν̃nk. Density and
molar mass are not needed: n and k are of the liquid as it is, and n·α of a simulation is, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.bundled import bundled_path
from aptnn_md.spectra.analysis.bands import Band, bands_of_curve
from aptnn_md.spectra.analysis.experiment import ReferenceCurve
from aptnn_md.spectra.analysis.reference_bands import WATER, Reference, ReferenceBand

_FIRST = 400.0  # cm⁻¹
_INDEX = 1e-5  # n is tabulated in whole numbers of it
_TOP = 0.99
_CITATION = "Myers et al., Appl. Spectrosc. 72, 535 (2018)"
_ERRORS = "± half the width of the top within 1 % (positions); heights have no published error here"
_CH = {"CH stretch": (2700.0, 3080.0)}

LIQUIDS: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "methanol": {
        "libration of OH": (450.0, 900.0),
        "CO stretch": (960.0, 1080.0),
        "CH₃ bend": (1300.0, 1580.0),
        "CH stretch": (2750.0, 3050.0),
        "OH stretch": (3050.0, 3700.0),
    },
    "ethanol": {
        "libration of OH": (450.0, 800.0),
        "CO and CC stretch": (980.0, 1180.0),
        "CH bend": (1230.0, 1550.0),
        **_CH,
        "OH stretch": (3080.0, 3700.0),
    },
    "isopropanol": {
        "skeletal": (780.0, 1220.0),
        "CH bend": (1270.0, 1540.0),
        **_CH,
        "OH stretch": (3080.0, 3700.0),
    },
    "acetonitrile": {
        "CC stretch": (880.0, 960.0),
        "CH₃ rock": (990.0, 1090.0),
        "CH₃ bend": (1330.0, 1520.0),
        "CN stretch": (2220.0, 2320.0),
        "CH stretch": (2900.0, 3050.0),
    },
    "benzene": {
        "CH out of plane": (620.0, 730.0),
        "CH in plane": (1000.0, 1070.0),
        "ring stretch": (1440.0, 1520.0),
        "CH stretch": (2990.0, 3130.0),
    },
    "toluene": {
        "out of plane": (660.0, 780.0),
        "ring stretch": (1420.0, 1530.0),
        "CH stretch, methyl": (2840.0, 2970.0),
        "CH stretch, ring": (2990.0, 3130.0),
    },
    "octane": {
        "CH₂ rock": (700.0, 750.0),
        "CH bend": (1330.0, 1500.0),
        "CH stretch": (2800.0, 3000.0),
    },
}
"""Name of a liquid -> its bands, name -> range, cm⁻¹."""


def liquid_curve(name: str) -> ReferenceCurve:
    """n(ν̃)α(ν̃) of one of :data:`LIQUIDS`."""
    with np.load(bundled_path("liquids.npz")) as tables:
        n = _INDEX * tables[f"{name}_n"].astype(np.float64)
        k = tables[f"{name}_k"].astype(np.float64)
    nu: FloatArray = _FIRST + np.arange(len(k), dtype=np.float64)
    title = f"{name}, 26 °C, {_CITATION}"
    return ReferenceCurve(title, nu, 4.0 * np.pi * nu * n * k, "n·α = 4πν̃nk")


def liquid(name: str) -> Reference:
    """Bands of one of :data:`LIQUIDS`, with the curve that they are measured in."""
    curve = liquid_curve(name)
    bands = tuple(_with_error(band, curve) for band in bands_of_curve(curve, LIQUIDS[name]))
    return Reference(f"liquid {name}, 26 °C", _CITATION, _ERRORS, bands, curve)


def _with_error(band: Band, curve: ReferenceCurve) -> ReferenceBand:
    inside = (curve.wavenumber >= band.low) & (curve.wavenumber <= band.high)
    nu, values = curve.wavenumber[inside], curve.absorption[inside]
    top = nu[values > _TOP * values.max()]
    return ReferenceBand(
        band.name,
        band.low,
        band.high,
        # the table's own maximum: nothing is noisy here
        position=float(nu[values.argmax()]),
        position_error=max(0.5, 0.5 * float(np.ptp(top))),
        height=float(values.max()),
        height_error=0.0,
        width=band.width,
        integral=band.integral,
        centroid=band.centroid,
        spread=band.spread,
    )


class _References(Mapping[str, Reference]):
    """Experiments by name; tables are read when they are asked for."""

    def __getitem__(self, name: str) -> Reference:
        if name == "water":
            return WATER
        if name not in LIQUIDS:
            raise KeyError(name)
        return liquid(name)

    def __iter__(self) -> Iterator[str]:
        return iter(("water", *LIQUIDS))

    def __len__(self) -> int:
        return 1 + len(LIQUIDS)


REFERENCES: Mapping[str, Reference] = _References()
"""Name on the command line -> experiment."""
