"""By how much the spectrum of a cycle is wrong, and whether that is good enough.

Three errors are told apart, and never one alone decides:

* statistical, from the scatter of the runs; longer dynamics reduce it;
* of the tensors, from the spectra of the committee's members on one trajectory; more labels do;
* of the potential, from harmonic spectra, which have no noise: of the learned potential against the
  engine's own, or of the potential's members among each other, whichever is larger.

In a cycle runs are few. What is printed there is the statistical error that the final dynamics will
have, which falls as one over the root of the length. More cycles do not reduce it, so the loop ends
where the models are good enough, and the end may take more runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aptnn_md.errors import InputError
from aptnn_md.learning.documents import read_document, write_document
from aptnn_md.learning.honest import HonestTest
from aptnn_md.learning.settings import JudgingSettings
from aptnn_md.targets import TARGETS

WHAT_HELPS = {
    "statistical": "longer dynamics (final_runs)",
    "tensors": "more labels, or a longer training of the tensors",
    "potential": "more labels, or a longer training of the potential",
}
"""Part of the error -> what reduces it."""


@dataclass(frozen=True)
class BandError:
    """A number of a band with its errors.

    Attributes
    ----------
    value : of the spectrum
    statistical, tensors, potential : errors, in the same unit; NaN where not known
    """

    value: float
    statistical: float
    tensors: float
    potential: float

    @property
    def total(self) -> float:
        """All that are known together: the parts are independent of each other."""
        parts = (self.statistical, self.tensors, self.potential)
        return math.hypot(*(part for part in parts if not math.isnan(part)))


@dataclass(frozen=True)
class BandErrors:
    """A band with its errors.

    Attributes
    ----------
    low, high : limits, cm⁻¹
    integral : in the unit of the spectrum
    centroid : cm⁻¹
    """

    low: float
    high: float
    integral: BandError
    centroid: BandError


@dataclass(frozen=True)
class SpectrumErrors:
    """Errors of one spectrum of one system, relative to its integral over the range.

    Attributes
    ----------
    system, kind : e.g. ``"start"`` and ``"infrared"``
    statistical, tensors, potential : the parts; potential NaN where it is unknown
    final_statistical : what the statistical error of the final dynamics will be
    picoseconds : length of all runs
    change : ∫ |difference from the cycle before| / ∫; NaN in the first one
    bands : with their errors
    unit : of the integral; empty in old files
    """

    system: str
    kind: str
    statistical: float
    tensors: float
    potential: float
    final_statistical: float
    picoseconds: float
    change: float = math.nan
    bands: tuple[BandErrors, ...] = ()
    unit: str = ""

    @property
    def parts(self) -> dict[str, float]:
        """Part -> its size in the final spectrum, those that are known."""
        values = {
            "statistical": self.final_statistical,
            "tensors": self.tensors,
            "potential": self.potential,
        }
        return {name: value for name, value in values.items() if not math.isnan(value)}

    @property
    def total(self) -> float:
        """Sum of the parts that are known."""
        return sum(self.parts.values())

    @property
    def left_out(self) -> str:
        """What the total lacks, to be said after it; empty where all parts are known."""
        unknown = [name for name in ("tensors", "potential") if name not in self.parts]
        return f" without that of the {' and the '.join(unknown)}, not known" if unknown else ""

    @property
    def dominant(self) -> str:
        """The largest part."""
        return max(self.parts, key=self.parts.__getitem__)


@dataclass(frozen=True)
class Judgement:
    """How good the models of a cycle are, and what is still missing.

    Attributes
    ----------
    spectra : of each system and kind
    harmonic_shift : largest difference of a wavenumber from the reference of the harmonic check,
        whatever its intensity, cm⁻¹; NaN where there was none
    broken_runs : runs, and replicas that were to begin some, that ended early: bonds broke, or the
        members of the potential disagreed too much
    missing : what is not good enough, one sentence each; empty: nothing
    models_good : whether nothing but longer dynamics is missing, so that the loop stops: no label
        reduces the statistical error
    """

    spectra: tuple[SpectrumErrors, ...]
    harmonic_shift: float
    broken_runs: int
    missing: tuple[str, ...] = ()
    models_good: bool = False

    def write(self, path: Path) -> None:
        """As JSON, whole or not at all."""
        write_document(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> Judgement:
        """What :meth:`write` wrote.

        Raises
        ------
        InputError
            The file is damaged.
        """
        expected = "a judgement; remove it to judge again"
        values = read_document(path, "judgement", expected)
        try:
            spectra = tuple(_spectrum(each) for each in values.pop("spectra"))
            return cls(spectra=spectra, **{**values, "missing": tuple(values["missing"])})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(path, "judgement", f"other content ({error})", expected) from error


def what_is_missing(
    spectra: Sequence[SpectrumErrors],
    honest: HonestTest,
    harmonic_shift: float,
    broken_runs: int,
    resolution: float,
    settings: JudgingSettings,
) -> tuple[str, ...]:
    """Reasons to continue, one sentence each; none where all criteria agree that it is enough.

    Parameters
    ----------
    spectra : their errors
    honest : the honest test of the same models
    harmonic_shift : cm⁻¹, NaN where the potential is not learned
    broken_runs : runs, and replicas that were to begin some, that ended early: bonds broke, or the
        members of the potential disagreed too much
    resolution : of the spectra, cm⁻¹
    settings : the limits
    """
    return (
        *_missing_in_spectra(spectra, settings),
        *_missing_in_honest_test(honest, settings),
        *_missing_in_dynamics(harmonic_shift, broken_runs, resolution),
    )


def unknown_potential_errors(names: Sequence[str], shifts: Sequence[float]) -> tuple[str, ...]:
    """Of which systems the error of a learned potential is unknown, and why; a sentence each.

    Parameters
    ----------
    names : of the systems
    shifts : largest difference of a wavenumber of each, cm⁻¹; NaN where nothing was compared
    """
    why = "no minimum of the learned potential has the bonds of the start"
    return tuple(
        f"harmonic check: the error of the potential is unknown of {name}: {why}"
        for name, shift in zip(names, shifts, strict=True)
        if math.isnan(shift)
    )


def _missing_in_spectra(spectra: Sequence[SpectrumErrors], settings: JudgingSettings) -> list[str]:
    found = []
    for spectrum in spectra:
        name = f"{spectrum.kind} spectrum of {spectrum.system}"
        if spectrum.total > settings.tolerance:
            found.append(
                f"{name}: total error {_percent(spectrum.total)}{spectrum.left_out}, wanted "
                f"{_percent(settings.tolerance)}; most of it {spectrum.dominant} "
                f"({_percent(spectrum.parts[spectrum.dominant])}); "
                f"{WHAT_HELPS[spectrum.dominant]} would reduce it"
            )
        allowed = spectrum.statistical + settings.tolerance
        if math.isnan(spectrum.change):
            found.append(f"{name}: no cycle before to compare with")
        elif spectrum.change > math.sqrt(2.0) * allowed:
            found.append(
                f"{name}: changed by {_percent(spectrum.change)} since the cycle before, more "
                f"than its error"
            )
    return found


def _missing_in_honest_test(honest: HonestTest, settings: JudgingSettings) -> list[str]:
    found = []
    for name, test in (honest.of_systems or {"": honest}).items():
        of_system = f" of {name}" if name else ""
        if not test.n_frames:
            found.append(f"honest test: no random frame{of_system} has labels")
        if test.force_rmse is not None and test.force_rmse > settings.force_rmse:
            found.append(
                f"honest test: forces{of_system} are off by {test.force_rmse:.3f} eV/Å, wanted "
                f"{settings.force_rmse:g}"
            )
        for target, relative in test.tensor_relative.items():
            if relative > settings.tensor_error:
                title, wanted = TARGETS[target].title, _percent(settings.tensor_error)
                found.append(
                    f"honest test: {title}s{of_system} are off by {_percent(relative)} of their "
                    f"spread, wanted {wanted}"
                )
    return found


def _missing_in_dynamics(shift: float, broken_runs: int, resolution: float) -> list[str]:
    found = []
    if shift > resolution:
        found.append(
            f"harmonic check: a wavenumber is off by {shift:.0f} cm⁻¹, more than the resolution"
        )
    if broken_runs:
        runs = "1 run, which is" if broken_runs == 1 else f"{broken_runs} runs, which are"
        why = "bonds broke, or the members of the potential disagreed too much"
        found.append(f"dynamics: {why}, in {runs} set aside")
    return found


def _percent(value: float) -> str:
    return f"{100.0 * value:.3g} %"


def _spectrum(values: Mapping[str, Any]) -> SpectrumErrors:
    bands = tuple(
        BandErrors(
            band["low"],
            band["high"],
            BandError(**band["integral"]),
            BandError(**band["centroid"]),
        )
        for band in values["bands"]
    )
    return SpectrumErrors(**{**values, "bands": bands})
