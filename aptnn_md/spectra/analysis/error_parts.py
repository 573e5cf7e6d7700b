"""What a spectrum of learned models is wrong by: statistics, tensors and potential, each apart.

The members of a committee of tensors see one trajectory, so what their spectra I_k differ by is
not noise. It is less than their error, because members share their data: for methanol, whose truth
is known, the error of their mean was 1.5 to 2.6 times the mean deviation Σ_k |I_k - Ī|/K, for 13 to
100 labels. So :data:`FACTOR` times that deviation is taken for the error: right within a factor of
two for the whole of a spectrum, less so for a single band. Where the committee was calibrated on
frames that it had not seen, its own factor is taken instead, times the standard deviation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from aptnn_md.arrays import FloatArray
from aptnn_md.spectra.estimation.power import PowerBlocks, integration_weights

FACTOR = 2.0
"""Error of a committee's mean over the mean deviation of its members from it."""

STATISTICAL_ERRORS = (
    "errors: standard errors, by the length of the runs alone; errors of the models (potential, "
    "tensors) are not in them"
)
"""What the errors of every spectrum, table and band are."""

UNKNOWN_POTENTIAL = "the error of the potential is not known, and not in these"
"""Where those of other models are."""


def committee_error(members: ArrayLike, spread_factor: float | None = None) -> FloatArray:
    """:data:`FACTOR` times the mean deviation of curves, or numbers, from their mean.

    Parameters
    ----------
    members : (n_members, ...)
    spread_factor : of a calibrated committee (:mod:`aptnn_md.domain`), error over spread: this
        times the standard deviation is returned instead
    """
    values = np.asarray(members, dtype=np.float64)
    if spread_factor is not None:
        return np.asarray(spread_factor * values.std(axis=0, ddof=1))
    return np.asarray(FACTOR * np.abs(values - values.mean(axis=0)).mean(axis=0))


def trajectory_error(spectra: Sequence[PowerBlocks]) -> FloatArray:
    """(n,) error of a potential from runs with each of its members, on trajectories of its own.

    Such spectra also differ by their statistics. The mean deviation of K curves with noise of the
    standard error s alone is s √(2/π) √((K-1)/K); that is taken out in quadrature.

    Parameters
    ----------
    spectra : of each member, two or more, on the same wavenumbers
    """
    curves = np.stack([blocks.mean for blocks in spectra])
    variance = np.mean([blocks.standard_error**2 for blocks in spectra], axis=0)
    share = 1.0 - 1.0 / len(spectra)
    noise = FACTOR * np.sqrt(2.0 / np.pi * share * variance)
    return np.asarray(np.sqrt(np.maximum(committee_error(curves) ** 2 - noise**2, 0.0)))


@dataclass(frozen=True, eq=False)
class ErrorParts:
    """Errors of a spectrum by their origin.

    Attributes
    ----------
    wavenumber : (n,) cm⁻¹
    curve : (n,) the spectrum
    statistical : (n,) standard error: of the finite length of the runs
    tensors : (n,) error of the model of APTs or PGTs; None where its members are not in the streams
    potential : (n,) error of the potential; None where nothing tells it
    spread_factor : by which that of the tensors was calibrated; None: it was not
    """

    wavenumber: FloatArray
    curve: FloatArray
    statistical: FloatArray
    tensors: FloatArray | None = None
    potential: FloatArray | None = None
    spread_factor: float | None = None

    @classmethod
    def of(
        cls,
        blocks: PowerBlocks,
        members: Sequence[PowerBlocks] = (),
        spread_factor: float | None = None,
    ) -> ErrorParts:
        """From a spectrum and those of the members of its committee, with its calibration."""
        curves = [member.mean for member in members]
        tensors = committee_error(curves, spread_factor) if members else None
        return cls(
            blocks.wavenumber,
            blocks.mean,
            blocks.standard_error,
            tensors,
            spread_factor=spread_factor if members else None,
        )

    @property
    def how_of_tensors(self) -> str:
        """What the error of the tensors is, in a few words."""
        if self.spread_factor is None:
            return f"{FACTOR:g} x mean deviation of its members"
        return f"{self.spread_factor:.2g} x standard deviation of its members, as calibrated"

    def relative(self, low: float, high: float) -> dict[str, float]:
        """∫ error / ∫ spectrum over a range (cm⁻¹), of each part that is known; 0 where nothing
        absorbs and none of the errors says that something might."""
        weights = integration_weights(self.wavenumber, low, high)
        integral = float(self.curve @ weights)
        parts = {name: getattr(self, name) for name in ("statistical", "tensors", "potential")}
        return {
            name: _ratio(float(values @ weights), integral)
            for name, values in parts.items()
            if values is not None
        }


def _ratio(error: float, value: float) -> float:
    if value == 0.0:
        return 0.0 if error == 0.0 else math.inf
    return error / value


def describe_parts(parts: ErrorParts, low: float, high: float) -> list[str]:
    """Lines for a report: the errors over a range, relative to its integral."""
    found = parts.relative(low, high)
    texts = {
        "statistical": "statistical (standard errors)",
        "tensors": f"model of tensors ({parts.how_of_tensors})",
        "potential": "potential (deviation of its members, without their statistics)",
    }
    lines = [f"errors from {low:.0f} to {high:.0f} cm⁻¹, relative to the integral there:"]
    lines += [f"  {100.0 * value:5.1f} %  {texts[name]}" for name, value in found.items()]
    if "potential" not in found:
        lines.append(
            f"  {UNKNOWN_POTENTIAL}: one trajectory cannot tell it (--other-potentials STREAM ...)"
        )
    return lines
