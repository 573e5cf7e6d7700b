"""Curves of a Raman spectrum: two invariants, and what follows from them for polarised light."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from aptnn_md.arrays import FloatArray
from aptnn_md.spectra.estimation.power import PowerBlocks, integration_weights

ISOTROPIC, ANISOTROPIC = "isotropic", "anisotropic"


@dataclass(frozen=True, eq=False)
class RamanCurves:
    """The Raman spectrum of a system or of a part of it, in one unit.

    Attributes
    ----------
    isotropic : 45 ā², with its statistics
    anisotropic : γ²
    components : name -> 45 times a single component, of oriented samples
    """

    isotropic: PowerBlocks
    anisotropic: PowerBlocks
    components: Mapping[str, PowerBlocks] = field(default_factory=dict)

    @property
    def polarised(self) -> PowerBlocks:
        """VV, 45 ā² + 4 γ²."""
        return self.isotropic.plus(self.anisotropic.scaled(4.0))

    @property
    def depolarised(self) -> PowerBlocks:
        """VH, 3 γ²."""
        return self.anisotropic.scaled(3.0)

    @property
    def unpolarised(self) -> PowerBlocks:
        """VV + VH, 45 ā² + 7 γ²."""
        return self.isotropic.plus(self.anisotropic.scaled(7.0))

    @property
    def named(self) -> dict[str, PowerBlocks]:
        """All of them by name."""
        return {
            ISOTROPIC: self.isotropic,
            ANISOTROPIC: self.anisotropic,
            "VV": self.polarised,
            "VH": self.depolarised,
            "unpolarised": self.unpolarised,
            **self.components,
        }

    def depolarisation(self) -> tuple[FloatArray, FloatArray]:
        """ρ = 3γ²/(45ā² + 4γ²) at each wavenumber and its standard error, (n,) each."""
        return self.depolarised.ratio(self.polarised)

    def band_depolarisation(self, low: float, high: float) -> tuple[float, float]:
        """ρ of the integrals from ``low`` to ``high`` (cm⁻¹), and its standard error."""
        weights = integration_weights(self.isotropic.wavenumber, low, high)[:, None]
        value, error = self.depolarised.ratio(self.polarised, weights)
        return float(value[0]), float(error[0])

    def mapped(self, operator: Callable[[PowerBlocks], PowerBlocks]) -> RamanCurves:
        """A linear operator applied to all curves."""
        return RamanCurves(
            operator(self.isotropic),
            operator(self.anisotropic),
            {name: operator(curve) for name, curve in self.components.items()},
        )
