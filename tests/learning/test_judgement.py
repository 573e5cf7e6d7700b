"""When the loop stops: each criterion alone keeps it going."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from aptnn_md.errors import InputError
from aptnn_md.learning.honest import HonestTest
from aptnn_md.learning.judgement import (
    BandError,
    BandErrors,
    Judgement,
    SpectrumErrors,
    what_is_missing,
)
from aptnn_md.learning.report import band_lines
from aptnn_md.learning.settings import JudgingSettings

GOOD = SpectrumErrors(
    "molecule",
    "infrared",
    statistical=0.08,
    tensors=0.01,
    potential=0.03,
    final_statistical=0.04,
    picoseconds=20.0,
    change=0.1,
)
TEST = HonestTest(5, 0.02, 1.3, {"apt": 0.005}, {"apt": 0.04})
SETTINGS = JudgingSettings(tolerance=0.1)


def missing(spectrum=GOOD, test=TEST, shift=5.0, broken=0, settings=SETTINGS):
    return what_is_missing([spectrum], test, shift, broken, 20.0, settings)


def test_where_all_agree_nothing_is_missing():
    assert missing() == ()


def test_the_sum_of_the_three_errors_decides_not_the_largest():
    # 4 % + 3.5 % + 3 %: each below the tolerance
    found = missing(replace(GOOD, tensors=0.035))
    assert len(found) == 1
    for words in ("total error 10.5 %", "most of it statistical", "longer dynamics"):
        assert words in found[0]
    assert "potential" in missing(replace(GOOD, potential=0.2))[0]


def test_what_counts_is_the_statistical_error_of_the_final_dynamics():
    assert missing(replace(GOOD, statistical=0.5)) == ()
    assert missing(replace(GOOD, final_statistical=0.07))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"test": replace(TEST, force_rmse=0.05)}, "forces are off by 0.050"),
        ({"test": replace(TEST, tensor_relative={"apt": 0.3})}, "APTs are off by 30 %"),
        ({"test": replace(TEST, n_frames=0)}, "no random frame"),
        ({"shift": 21.0}, "a wavenumber is off by 21"),
        (
            {"broken": 2},
            "bonds broke, or the members of the potential disagreed too much, in 2 runs",
        ),
        ({"broken": 1}, "disagreed too much, in 1 run, which is set aside"),
        ({"spectrum": replace(GOOD, change=0.4)}, "changed by 40 %"),
        ({"spectrum": replace(GOOD, change=math.nan)}, "no cycle before"),
    ],
)
def test_each_criterion_alone_keeps_the_loop_going(changes, words):
    (found,) = missing(**changes)
    assert words in found


def test_each_system_must_be_known():
    """Errors of one that is poor are hidden among those of others."""
    poor = replace(TEST, force_rmse=0.05, tensor_relative={"apt": 0.3})
    empty = replace(TEST, n_frames=0, force_rmse=None, tensor_relative={})
    found = missing(test=replace(TEST, of_systems={"a": TEST, "b": poor, "c": empty}))
    assert [text.split(", wanted")[0] for text in found] == [
        "honest test: forces of b are off by 0.050 eV/Å",
        "honest test: APTs of b are off by 30 % of their spread",
        "honest test: no random frame of c has labels",
    ]


def test_a_potential_that_is_not_learned_has_no_criteria():
    spectrum, test = replace(GOOD, potential=math.nan), replace(TEST, force_rmse=None)
    assert missing(spectrum, test, shift=math.nan) == ()
    assert spectrum.parts == {"statistical": 0.04, "tensors": 0.01}
    assert spectrum.total == pytest.approx(0.05)
    assert spectrum.dominant == "statistical"
    # what is not in the total is said with it
    (reason,) = missing(replace(spectrum, tensors=0.2), test, shift=math.nan)
    assert "total error 24 % without that of the potential, not known, wanted 10 %" in reason
    assert GOOD.left_out == ""


def test_errors_of_a_band_are_independent():
    assert BandError(10.0, 2.0, 1.0, 2.0).total == pytest.approx(3.0)


def test_errors_of_a_band_that_are_not_known_are_not_zero():
    unknown = BandError(10.0, 3.0, 4.0, math.nan)
    assert unknown.total == pytest.approx(5.0)
    band = BandErrors(0.0, 500.0, unknown, BandError(250.0, 3.0, math.nan, 0.0))
    *_, line = band_lines(replace(GOOD, bands=(band,)))
    assert line == "| 0–500 | 10.0 ± 5.0 (3.0, 4.0, –) | 250.0 ± 3.0 (3.0, –, 0) |"


def test_judgements_are_read_as_they_were_written(tmp_path):
    band = BandErrors(0.0, 500.0, BandError(1.0, 0.1, 0.2, 0.3), BandError(250.0, 3.0, 2.0, 1.0))
    judgement = Judgement((replace(GOOD, bands=(band, band)),), 3.5, 1, ("one reason",))
    judgement.write(tmp_path / "judgement.json")
    assert Judgement.read(tmp_path / "judgement.json") == judgement
    test = replace(TEST, of_systems={"a": TEST, "b": replace(TEST, force_rmse=None)})
    for expected in (TEST, test):
        expected.write(tmp_path / "honest.json")
        assert HonestTest.read(tmp_path / "honest.json") == expected
    for name, kind in (("judgement.json", Judgement), ("honest.json", HonestTest)):
        (tmp_path / name).write_text('{"spectra": [1]')
        with pytest.raises(InputError, match="remove it"):
            kind.read(tmp_path / name)
