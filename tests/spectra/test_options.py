"""Settings of spectra: checks, what arrays refuse, and that command lines show their defaults."""

from __future__ import annotations

import argparse
from dataclasses import fields

import numpy as np
import pytest

from aptnn_md.cli import spectrum_ir, spectrum_raman, spectrum_vdos
from aptnn_md.cli.convergence_options import add_convergence_options
from aptnn_md.cli.spectrum_options import options_of
from aptnn_md.errors import InputError
from aptnn_md.spectra import infrared_spectrum, raman_spectrum
from aptnn_md.spectra.estimation.windows import FUNCTIONS
from aptnn_md.spectra.options import (
    CONVERGENCE_RANGE,
    WINDOWS,
    InfraredOptions,
    RamanOptions,
    SpectrumOptions,
    VelocityOptions,
)

RUN = np.random.default_rng(0).normal(size=(900, 3))


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (SpectrumOptions, "resolution", 0.0),
        (SpectrumOptions, "resolution", float("inf")),
        (SpectrumOptions, "method", "fft"),
        (SpectrumOptions, "window", "kaiser"),
        (SpectrumOptions, "temperature", -1.0),
        (SpectrumOptions, "skip", -0.1),
        (SpectrumOptions, "skip", float("nan")),
        (InfraredOptions, "volume", 0.0),
        (InfraredOptions, "resolution", -3.0),
        (RamanOptions, "n_molecules", 0.0),
        (VelocityOptions, "by", "colour"),
    ],
)
def test_settings_are_checked_when_made(
    kind: type[SpectrumOptions], field: str, value: object
) -> None:
    with pytest.raises(InputError, match=f"spectrum: (number of molecules|{field}): found {value}"):
        kind(**{field: value})  # type: ignore[arg-type]


def test_every_window_has_a_formula() -> None:
    assert tuple(FUNCTIONS) == WINDOWS


def test_arrays_refuse_what_only_streams_have() -> None:
    for field, value in {"skip": 1.0, "estimator": "bead", "merge": ("all",), "mix": True}.items():
        with pytest.raises(InputError, match=f"spectrum of arrays: {field}: found .*only streams"):
            infrared_spectrum([RUN], 1.0, 300.0, 1000.0, 100.0, **{field: value})
    options = RamanOptions(temperature=300.0)
    with pytest.raises(InputError, match=r"spectrum of arrays: temperature: found 300\.0"):
        raman_spectrum([np.ones((900, 6))], 1.0, 300.0, 100.0, options)


def test_options_and_their_changes() -> None:
    """Fields by name and a resolution change the options given; parts can be left out."""
    options = InfraredOptions(resolution=150.0, window="gaussian")
    one = infrared_spectrum([RUN], 1.0, 300.0, 1000.0, options=options)
    other = infrared_spectrum([RUN], 1.0, 300.0, 1000.0, 150.0, window="gaussian")
    np.testing.assert_array_equal(one.absorption, other.absorption)
    finer = infrared_spectrum([RUN], 1.0, 300.0, 1000.0, 120.0, options)
    assert finer.blocks.plan.window == "gaussian"
    assert finer.resolution < 125.0 < one.resolution
    two = np.stack([RUN, RUN], axis=1)
    assert infrared_spectrum([two], 1.0, 300.0, 1000.0, 150.0, group_labels="ab").parts
    whole = infrared_spectrum([two], 1.0, 300.0, 1000.0, 150.0, group_labels="ab", parts=False)
    assert not whole.parts
    assert whole.absorption.max() > one.absorption.max()


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (spectrum_ir, InfraredOptions),
        (spectrum_raman, RamanOptions),
        (spectrum_vdos, VelocityOptions),
    ],
)
def test_command_lines_without_options_give_the_defaults(command, kind) -> None:  # type: ignore[no-untyped-def]
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    assert options_of(kind, parser.parse_args(["a.zarr"])) == kind()
    words = ["a.zarr", "--biased", "--skip", "2", "--merge", "all"]
    changed = options_of(kind, parser.parse_args(words))
    assert changed == kind(unbiased=False, skip=2.0, merge=("all",))
    # an option for each field, except what only Python users need
    missing = {f.name for f in fields(kind)} - set(vars(parser.parse_args(["a.zarr"])))
    assert missing <= {"parts", "pass_values"}


def test_convergence_options_have_the_defaults_of_spectra() -> None:
    parser = argparse.ArgumentParser()
    add_convergence_options(parser)
    arguments = parser.parse_args([])
    assert arguments.converge_resolution == InfraredOptions().resolution
    assert arguments.converge_skip == InfraredOptions().skip
    assert arguments.converge_range == CONVERGENCE_RANGE
