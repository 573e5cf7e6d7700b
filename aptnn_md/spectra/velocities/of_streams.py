"""Velocity spectra of stream files with velocities."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from aptnn_md.errors import InputError
from aptnn_md.spectra.analysis.energy_drift import drift_alarms
from aptnn_md.spectra.analysis.temperatures import said
from aptnn_md.spectra.estimation.nyquist import stride_note
from aptnn_md.spectra.estimation.plan import plan_spectrum
from aptnn_md.spectra.estimation.power import PowerBlocks
from aptnn_md.spectra.options import VelocityOptions, chosen
from aptnn_md.spectra.sources.conditions import of_each_stream
from aptnn_md.spectra.sources.merging import merge_groups
from aptnn_md.spectra.sources.opening import opened_runs
from aptnn_md.spectra.sources.stream_run import StreamRun
from aptnn_md.spectra.sources.stream_signal import rotation_note
from aptnn_md.spectra.velocities.spectrum import (
    AtomGroups,
    GroupTerm,
    VelocityAccumulator,
    VelocityRuns,
    VelocitySpectrum,
    velocities_of,
)
from aptnn_md.stream import StreamHeader

_EXPECTED = "velocities (aptnn-md md --velocities, StreamObserver(velocities=True))"


def velocity_spectrum_of_streams(
    paths: Sequence[str | os.PathLike[str]],
    resolution: float | None = None,
    options: VelocityOptions | None = None,
    **changes: Any,
) -> VelocitySpectrum:
    """Velocity spectra of streams that are independent runs of one system.

    Parameters
    ----------
    paths : stream directories, written with velocities
    resolution : full width at half maximum of an infinitely narrow line, cm⁻¹; default: that of
        the options
    options : what of the streams is used, and how
    changes : fields of the options, e.g. ``by="element"``

    Raises
    ------
    InputError
        A stream without velocities, streams that do not belong together, a temperature that is
        unknown or differs, or a run that is too short.
    """
    settings = chosen(VelocityOptions, options, resolution, changes)
    runs = opened_runs(paths, settings.skip)
    for run in runs:
        if "velocity" not in run.reader.arrays:
            raise InputError(run.name, "velocity", "none in the stream", _EXPECTED)
    header = runs[0].reader.header
    atoms = _atoms(runs[0].name, header, settings)
    plan = plan_spectrum(settings, runs[0].reader.spacing)
    plan.check_lengths({run.name: max(0, run.reader.n_frames - run.first) for run in runs})
    at_once = max(1, settings.pass_values // (6 * plan.needed))
    curves: dict[GroupTerm, PowerBlocks] = {}
    momentum = 0.0
    for first in range(0, len(atoms.masses), at_once):
        # only what was there when the first pass began: the streams may grow
        runs = [_same_extent(run, settings.skip) for run in runs]
        accumulator = VelocityAccumulator(plan, atoms, slice(first, first + at_once))
        for run in runs:
            number = accumulator.lags.add_run(run.name)
            for piece in run.pieces("velocity"):
                accumulator.feed(number, piece)
        found, momentum = accumulator.result(), accumulator.momentum
        curves = {key: _sum(curves[key], c) for key, c in found.items()} if curves else found
    temperatures = of_each_stream(
        "temperature", settings.temperature, [run.condition("temperature") for run in runs]
    )
    known = VelocityRuns(
        tuple(run.name for run in runs), tuple(run.n_frames for run in runs), temperatures[0]
    )
    spectrum = velocities_of(curves, atoms, plan, known, momentum)
    notes = (stride_note(header.masses, plan.spacing), rotation_note(header), *spectrum.notes)
    return said(
        replace(
            spectrum,
            n_beads=header.n_beads,
            notes=tuple(note for note in notes if note),
            alarms=drift_alarms(runs, spectrum.temperature),
        )
    )


def _same_extent(run: StreamRun, skip: float) -> StreamRun:
    """A run read from its beginning again, up to where it was read before."""
    if run.n_frames == 0:
        return run
    again = StreamRun(run.name, skip)
    again.reader = run.reader
    return again


def _sum(first: PowerBlocks, second: PowerBlocks) -> PowerBlocks:
    """Densities of different atoms of the same runs, added."""
    values = first.values + second.values
    variance_shape = (first.weights @ values) ** 2 * first.plan.gaussian_variance
    return replace(first, values=values, variance_shape=variance_shape)


def _atoms(where: str, header: StreamHeader, options: VelocityOptions) -> AtomGroups:
    if len(header.atom_masses) != header.n_atoms:
        raise InputError(where, "atom_masses", len(header.atom_masses), f"{header.n_atoms}")
    if options.by == "element":
        from ase.data import chemical_symbols

        numbers, index = np.unique(header.atom_numbers, return_inverse=True)
        labels = tuple(chemical_symbols[z] for z in numbers)
    else:
        labels, index = header.atom_labels, np.array(header.atom_groups)
    if options.merge:
        merged = merge_groups(labels, options.merge)
        labels, index = merged.labels, merged.index[index]
    freedom = np.array(header.atom_freedom or (3.0,) * header.n_atoms)
    masses = np.array(header.atom_masses)
    return AtomGroups(masses, labels, np.asarray(index, dtype=np.int64), freedom)
