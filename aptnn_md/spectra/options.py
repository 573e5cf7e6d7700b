"""Settings of spectra: their defaults and their checks, for Python and the command line alike.

Nothing but the standard library is imported here, so that a command can show its defaults at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, TypeVar

from aptnn_md.errors import InputError
from aptnn_md.settings import AtLeastZero, Positive, Range, check_settings, fitting

METHODS = {"welch": "Welch", "blackman-tukey": "Blackman-Tukey"}
"""Name of a method -> who it is named after."""

WINDOWS = ("hann", "gaussian", "blackman-harris", "none")
"""Names of the windows; their formulas are in :mod:`aptnn_md.spectra.estimation.windows`."""

GROUPINGS = ("groups", "element")
"""How velocity spectra group atoms: by the stream's groups, or by element."""

CORRECTIONS = ("harmonic", "standard", "schofield", "mixed", "egelstaff")
"""Quantum corrections; the first one is in every spectrum as it is computed."""

EXPERIMENTS = (
    "water",
    "methanol",
    "ethanol",
    "isopropanol",
    "acetonitrile",
    "benzene",
    "toluene",
    "octane",
)
"""Liquids whose measured bands come with the package (:mod:`aptnn_md.spectra.analysis.liquids`)."""

CONVERGENCE_RANGE = (0.0, 4000.0)
"""Range over which convergence is judged unless another is given, cm⁻¹."""


@dataclass(frozen=True)
class SpectrumOptions:
    """How a spectrum is estimated, and which part of a stream is used.

    Attributes
    ----------
    resolution : full width at half maximum of an infinitely narrow line, cm⁻¹
    method : one of :data:`METHODS`
    window : one of :data:`WINDOWS`
    unbiased : Blackman-Tukey: divide the sum at a lag by the number of its terms, not by the
        number of frames
    temperature : K; None: as in the streams
    skip : time to leave out at the beginning of each stream, ps
    merge : rules by which groups are merged; see
        :func:`aptnn_md.spectra.sources.merging.merge_groups`

    Raises
    ------
    InputError
        A value of another type or out of its range, or an unknown name.
    """

    resolution: Positive = 20.0
    method: str = "welch"
    window: str = "hann"
    unbiased: bool = True
    temperature: Positive | None = None
    skip: AtLeastZero = 0.0
    merge: Sequence[str] = ()

    def __post_init__(self) -> None:
        check_settings(self, "spectrum")
        check_one_of("method", self.method, METHODS)
        check_one_of("window", self.window, WINDOWS)


@dataclass(frozen=True)
class RateOptions(SpectrumOptions):
    """What infrared and Raman spectra have in common.

    Attributes
    ----------
    mix : accept streams at different temperatures or volumes; each counts with its own
    estimator : estimator of the rate; None: the first one of the streams
    molecules : intramolecular and intermolecular parts, where groups are molecules; motions of a
        molecule are taken together
    parts : whether to compute the parts of the spectrum, too
    regress : regress runs of a molecule on the kinetic temperatures of its bonds, angles, torsions
        and rotations, where streams have them: on those that tell something of the spectrum, or on
        these kinds
    """

    mix: bool = False
    estimator: str | None = None
    molecules: bool = False
    parts: bool = True
    regress: bool | Sequence[str] = True


@dataclass(frozen=True)
class InfraredOptions(RateOptions):
    """Settings of an infrared spectrum.

    Attributes
    ----------
    volume : Å³; None: as in the streams; of a system that has none there, a molecule or cluster
        alone, the molar absorption is computed
    n_molecules : in a system without a volume, whose absorption is divided by it; None: 1
    """

    volume: Positive | None = None
    n_molecules: Positive | None = None


@dataclass(frozen=True)
class RamanOptions(RateOptions):
    """Settings of a Raman spectrum.

    Attributes
    ----------
    components : single components to give, too, e.g. ``("zz", "xy")``
    n_molecules : divide by this number of molecules in the system
    """

    components: Sequence[str] = ()
    n_molecules: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("number of molecules", self.n_molecules)


@dataclass(frozen=True)
class VelocityOptions(SpectrumOptions):
    """Settings of velocity spectra.

    Attributes
    ----------
    by : one of :data:`GROUPINGS`
    pass_values : numbers to hold in memory; for more atoms streams are read several times
    """

    by: str = "groups"
    pass_values: Annotated[int, Range(at_least=1)] = 2**25

    def __post_init__(self) -> None:
        super().__post_init__()
        check_one_of("by", self.by, GROUPINGS)


Options = TypeVar("Options", bound=SpectrumOptions)

_OF_STREAMS = (
    "temperature",
    "volume",
    "mix",
    "estimator",
    "skip",
    "merge",
    "regress",
    "by",
    "pass_values",
)


def chosen(
    kind: type[Options], options: Options | None, resolution: float | None, changes: dict[str, Any]
) -> Options:
    """Options with a resolution and other fields changed.

    Parameters
    ----------
    kind : of the options
    options : to begin with; None: the defaults
    resolution : None: that of the options
    changes : other fields by name
    """
    if resolution is not None:
        changes = {"resolution": resolution, **changes}
    return replace(options or kind(), **changes)


def chosen_for_arrays(
    kind: type[Options], options: Options | None, resolution: float | None, changes: dict[str, Any]
) -> Options:
    """:func:`chosen`, for arrays: settings that only streams have are refused.

    Raises
    ------
    InputError
        Such a setting was changed.
    """
    found = chosen(kind, options, resolution, changes)
    for field in fields(found):
        value = getattr(found, field.name)
        if field.name in _OF_STREAMS and value != field.default:
            expected = f"{field.default!r}: arrays are used as they are; only streams have it"
            raise InputError("spectrum of arrays", field.name, repr(value), expected)
    return found


def check_positive(field: str, value: float | None) -> None:
    """Refuse what is not a positive finite number.

    Raises
    ------
    InputError
        There is no number, or it is not positive and finite.
    """
    if value is None:
        raise InputError("spectrum", field, "nothing", "a positive number")
    fitting(value, Positive, "spectrum", field)


def check_one_of(field: str, value: str, names: Sequence[str] | dict[str, str]) -> None:
    """Refuse an unknown name.

    Raises
    ------
    InputError
        It is unknown.
    """
    if value not in names:
        raise InputError("spectrum", field, value, "one of " + ", ".join(names))
