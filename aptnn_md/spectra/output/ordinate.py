"""What the values of a spectrum are: their name and unit, and how tables scale their integrals."""

from __future__ import annotations

from dataclasses import dataclass

from aptnn_md.errors import InputError


@dataclass(frozen=True)
class Ordinate:
    """Name and units of the values of a spectrum; all that is printed, written and drawn asks here.

    Attributes
    ----------
    name : in sentences and headings, e.g. ``"n·α"``
    meaning : the same in more words
    unit : of the curve
    integral_unit : of its integral over wavenumbers
    symbol, symbol_unit, symbol_integral_unit : name and units in pictures, in the notation of
        matplotlib
    variable : name in NetCDF files
    units : of the curve in NetCDF files
    table_scale : what integrals are divided by in tables
    table_unit : of integrals in tables, the scale in it
    """

    name: str
    meaning: str
    unit: str
    integral_unit: str
    symbol: str
    symbol_unit: str
    symbol_integral_unit: str
    variable: str
    units: str
    table_scale: float
    table_unit: str

    def label(self, power: int = 0, prefix: str = "") -> str:
        """What a vertical axis says whose values were divided by 10 to a power."""
        factor = "" if power == 0 else f"$10^{{{power}}}$ "
        return f"{prefix}{self.symbol}  ({factor}{self.symbol_unit})"

    def same_as(self, other: Ordinate, what: str) -> None:
        """Refuse values of another kind.

        Parameters
        ----------
        what : is compared, for the message

        Raises
        ------
        InputError
            Quantity, unit or axis differ.
        """
        if other != self:
            found = f"{other.name} ({other.unit}) beside {self.name} ({self.unit})"
            expected = (
                "the same quantity in all of them; --volume gives n·α of a system without one"
            )
            raise InputError(what, "quantity", found, expected)


N_ALPHA = Ordinate(
    name="n·α",
    meaning="neperian absorption coefficient times refractive index",
    unit="cm⁻¹",
    integral_unit="cm⁻²",
    symbol="$n(\\tilde{\\nu})\\,\\alpha(\\tilde{\\nu})$",
    symbol_unit="cm$^{-1}$",
    symbol_integral_unit="cm$^{-2}$",
    variable="n_alpha",
    units="cm-1",
    table_scale=1e3,
    table_unit="10³ cm⁻²",
)
"""What a system with a volume absorbs."""

MOLAR_ABSORPTION = Ordinate(
    name="molar absorption",
    meaning="neperian molar absorption of a molecule in vacuum, n = 1",
    unit="km/mol per cm⁻¹",
    integral_unit="km/mol",
    symbol="molar absorption",
    symbol_unit="km mol$^{-1}$ / cm$^{-1}$",
    symbol_integral_unit="km mol$^{-1}$",
    variable="molar_absorption",
    units="km mol-1 cm",
    table_scale=1.0,
    table_unit="km/mol",
)
"""What a system without a volume absorbs."""
