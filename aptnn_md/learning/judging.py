"""Judging a stage: its runs, their spectra, the harmonic spectra, and the errors of all that."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import RunError
from aptnn_md.learning import harmonic
from aptnn_md.learning.bonds import BondGraph
from aptnn_md.learning.directory import Stage, read_frames
from aptnn_md.learning.harmonic import Lines
from aptnn_md.learning.judgement import BandError, BandErrors, SpectrumErrors
from aptnn_md.learning.replicas import Replica, ReplicaSettings, run_replicas
from aptnn_md.learning.runs import RunsJob, make_runs
from aptnn_md.learning.sampling import draw_starts
from aptnn_md.learning.settings import CampaignSettings
from aptnn_md.learning.stage_models import StageModels
from aptnn_md.progress import log
from aptnn_md.spectra.analysis.bands import find_bands
from aptnn_md.spectra.analysis.error_parts import ErrorParts, committee_error
from aptnn_md.spectra.estimation.plan import plan_spectrum
from aptnn_md.spectra.estimation.power import PowerBlocks, integration_weights
from aptnn_md.spectra.infrared.of_streams import InfraredStreams
from aptnn_md.spectra.options import InfraredOptions, RamanOptions
from aptnn_md.spectra.raman.of_streams import RamanStreams
from aptnn_md.spectra.sources.members import member_blocks
from aptnn_md.targets import PGT, mean_of_members

ENGINE, MEAN, MEMBER = "engine", "mean", "member"
"""Names of lines: of the engine, of the mean potential, and of its members with a number."""


def kinds_of(settings: CampaignSettings) -> tuple[str, ...]:
    """Kinds of spectra that the targets give."""
    return ("infrared", "raman") if PGT.name in settings.properties else ("infrared",)


# ---------------------------------------------------------------------- runs


def equilibrated(
    stage: Stage,
    settings: CampaignSettings,
    systems: Sequence[Atoms],
    models: StageModels,
    n_runs: int,
    seed: int,
) -> list[list[Replica]]:
    """Replicas of each system at the temperature of the campaign, from training frames."""
    dynamics, found = settings.dynamics, []
    training = read_frames(stage.training)
    n_steps = round(1000.0 * dynamics.equilibrate / dynamics.timestep)
    for number, system in enumerate(systems):
        found.append(
            run_replicas(
                draw_starts(training, number, n_runs, seed),
                [settings.temperature] * n_runs,
                models.potential,
                ReplicaSettings(
                    steps=n_steps,
                    every=n_steps,
                    timestep=dynamics.timestep,
                    friction=dynamics.friction,
                ),
                stage.equilibration(number),
                seed + number,
                [BondGraph.of(system)] * n_runs,
            )
        )
    return found


def run_dynamics(
    stage: Stage,
    settings: CampaignSettings,
    systems: Sequence[Atoms],
    models: StageModels,
    replicas: Sequence[Sequence[Replica]],
    work: tuple[int, int],
) -> int:
    """Runs of each system with the models of a stage; the number of those whose bonds broke.

    Parameters
    ----------
    replicas : of each system; where those at the temperature of the campaign ended, runs begin.
        Those that were stopped count as broken
    work : number of runs of each system, and seed of their momenta

    Raises
    ------
    RunError
        All replicas were stopped, or bonds broke in all runs.
    """
    (n_runs, seed), dynamics, n_broken = work, settings.dynamics, 0
    for number, system in enumerate(systems):
        cold = [r for r in replicas[number] if r.temperature == settings.temperature]
        whole = [replica.frames[-1] for replica in cold if not replica.stopped]
        if not whole:
            raise RunError(
                f"{stage.path}: all {len(cold)} replicas at {settings.temperature:g} K were "
                "stopped: the potential is not yet good enough for dynamics"
            )
        complete = make_runs(
            RunsJob(
                stage.runs(number),
                [whole[k % len(whole)] for k in range(n_runs)],
                models.potential,
                models.tensors,
                settings.temperature,
                dynamics.timestep,
                dynamics.stride,
                steps_of_run(settings),
                seed + 104729 + number,
                BondGraph.of(system),
            )
        )
        n_broken += n_runs - complete + len(cold) - len(whole)
    return n_broken


def steps_of_run(settings: CampaignSettings) -> int:
    """Steps of a run that gives the resolution."""
    dynamics = settings.dynamics
    options = InfraredOptions(resolution=dynamics.resolution)
    plan = plan_spectrum(options, dynamics.timestep * dynamics.stride)
    return int((plan.needed - 1) * dynamics.stride)


@dataclass(frozen=True, eq=False)
class Measured:
    """A spectrum of runs with those of the members of the tensors' committee.

    Attributes
    ----------
    blocks : the spectrum with its statistics
    members : of each member
    picoseconds : of all runs
    """

    blocks: PowerBlocks
    members: Sequence[PowerBlocks]
    picoseconds: float

    @classmethod
    def of(cls, runs: Path, kind: str, resolution: float) -> Measured:
        """From an ensemble of streams."""
        streams: Any
        if kind == "raman":
            streams, options = RamanStreams, RamanOptions(resolution=resolution, parts=False)
        else:
            streams, options = InfraredStreams, InfraredOptions(resolution=resolution, parts=False)  # type: ignore[assignment]
        found = streams([runs], options)
        found.read()
        spectrum = found.spectrum()
        members = member_blocks(streams, [runs], options)
        return cls(spectrum.blocks, members, 1e-3 * sum(spectrum.run_lengths))


# ---------------------------------------------------------------------- normal modes


def model_lines(
    stage: Stage, number: int, system: Atoms, models: StageModels, reference: Lines | None
) -> dict[str, Lines]:
    """Harmonic lines of the mean potential and of its members; an empty one where none was found.

    Parameters
    ----------
    number, system : of the system, which is periodic in no direction
    reference : of the engine, whose minimum is where the search begins
    """
    path = stage.harmonic(number)
    if path.exists():
        return harmonic.read_lines(path)
    start = system.copy()
    if reference is not None:
        start.positions = reference.positions
    calculators = {MEAN: models.calculator}
    calculators |= {f"{MEMBER}-{k}": m for k, m in enumerate(models.members, start=1)}
    found: dict[str, Lines] = {}
    for name, calculator in calculators.items():
        try:
            hessian, positions = harmonic.relaxed_hessian(start, calculator)
        except RunError as error:
            log.warning("harmonic check of %s, %s: %s", stage.name, name, error)
            continue
        at_minimum = start.copy()
        at_minimum.positions = positions
        (tensors,) = models.tensors.evaluate([at_minimum])
        found[name] = harmonic.lines_of(at_minimum, hessian, mean_of_members(tensors))
    harmonic.write_lines(path, found)
    return found


def harmonic_shift(lines: Mapping[str, Lines], reference: Lines | None) -> float:
    """Largest difference of a wavenumber to the reference, or among members; NaN without lines."""
    if MEAN not in lines:
        return math.nan
    mean = lines[MEAN].wavenumber
    if reference is not None:
        return float(np.abs(mean - reference.wavenumber).max())
    members = _members(lines)
    if len(members) < 2:
        return math.nan
    return float(committee_error([member.wavenumber for member in members]).max())


def _members(lines: Mapping[str, Lines]) -> list[Lines]:
    return [found for name, found in lines.items() if name.startswith(MEMBER)]


# ---------------------------------------------------------------------- errors


def potential_error(
    measured: Measured, kind: str, lines: Mapping[str, Lines], reference: Lines | None
) -> FloatArray | None:
    """(n,) error of a spectrum by the potential, in its unit; None where nothing tells it.

    It is the larger one of two differences of harmonic spectra: of the mean potential to the
    engine, and of the members to their mean.
    """
    if MEAN not in lines:
        return None
    blocks = measured.blocks
    grid, spectrum = blocks.wavenumber, np.maximum(blocks.mean, 0.0)
    width = harmonic.matching_width(lines[MEAN], kind, grid, spectrum, blocks.resolution)
    curves = [harmonic.curve_of(each, kind, grid, width) for each in _members(lines)]
    mean = harmonic.curve_of(lines[MEAN], kind, grid, width)
    scale = float(spectrum.sum()) / max(float(mean.sum()), 1e-300)
    found = committee_error(curves) if len(curves) > 1 else np.zeros(len(grid))
    if reference is not None:
        off = np.abs(mean - harmonic.curve_of(reference, kind, grid, width))
        found = off if off.sum() > found.sum() else found
    elif len(curves) < 2:
        return None
    return np.asarray(scale * found)


def spectrum_errors(
    names: tuple[str, str],
    measured: Measured,
    lines: Mapping[str, Lines],
    reference: Lines | None,
    before: PowerBlocks | None,
    settings: CampaignSettings,
) -> tuple[SpectrumErrors, ErrorParts]:
    """Errors of one spectrum, as numbers and as curves.

    Parameters
    ----------
    names : of the system, and the kind of the spectrum
    measured : the spectrum
    lines, reference : harmonic lines of the models, and of the engine
    before : the spectrum of the cycle before
    settings : of the campaign
    """
    system, kind = names
    low, high = settings.judging.wavenumbers
    parts = ErrorParts.of(measured.blocks, measured.members)
    error = potential_error(measured, kind, lines, reference)
    parts = ErrorParts(parts.wavenumber, parts.curve, parts.statistical, parts.tensors, error)
    relative = parts.relative(low, high)
    final_length = 1e-3 * settings.dynamics.final_runs * steps_of_run(settings)
    final_length *= settings.dynamics.timestep
    shorter = min(1.0, math.sqrt(measured.picoseconds / final_length))
    return (
        SpectrumErrors(
            system,
            kind,
            relative["statistical"],
            relative.get("tensors", math.nan),
            relative.get("potential", math.nan),
            relative["statistical"] * shorter,
            measured.picoseconds,
            _change(measured.blocks, before, low, high),
            _bands(measured, kind, lines, reference),
        ),
        parts,
    )


def _change(now: PowerBlocks, before: PowerBlocks | None, low: float, high: float) -> float:
    if before is None:
        return math.nan
    weights = integration_weights(now.wavenumber, low, high)
    return float(np.abs(now.mean - before.mean) @ weights / (now.mean @ weights))


def _bands(
    measured: Measured, kind: str, lines: Mapping[str, Lines], reference: Lines | None
) -> tuple[BandErrors, ...]:
    """Bands where the harmonic spectrum has some, with all errors of integral and centroid."""
    of_model = lines.get(MEAN)
    if of_model is None:
        return ()
    modes = harmonic.bands_of_lines(of_model, kind)
    limits = harmonic.band_limits(of_model, modes)
    ranges = {str(k): pair for k, pair in enumerate(limits)}
    bands = find_bands(measured, ranges)
    by_member = [find_bands(_Blocks(member), ranges) for member in measured.members]
    found = []
    for number, (band, which) in enumerate(zip(bands, modes, strict=True)):
        harmonic_values = [harmonic.band_values(each, kind, which) for each in _members(lines)]
        mean = harmonic.band_values(of_model, kind, which)
        off = committee_error(harmonic_values) if len(harmonic_values) > 1 else np.zeros(2)
        if reference is not None:
            of_engine = harmonic.band_values(reference, kind, which)
            off = np.maximum(off, np.abs(np.subtract(mean, of_engine)))
        scale = band.integral / mean[0] if mean[0] > 0.0 else 1.0
        tensors = np.zeros(2)
        if len(by_member) > 1:
            values = [(of[number].integral, of[number].centroid) for of in by_member]
            tensors = committee_error(values)
        found.append(
            BandErrors(
                band.low,
                band.high,
                BandError(
                    band.integral, band.integral_error, float(tensors[0]), float(scale * off[0])
                ),
                BandError(band.centroid, band.centroid_error, float(tensors[1]), float(off[1])),
            )
        )
    return tuple(found)


@dataclass(frozen=True, eq=False)
class _Blocks:
    """A spectrum of which only the curve with its statistics is known."""

    blocks: PowerBlocks
