"""Streams count as independent runs only where they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.paired_streams import (
    FIRST_CHARGES,
    SECOND_CHARGES,
    rates_of,
    temperatures_of,
    trajectories,
    write_stream,
)

from aptnn_md.cli import main
from aptnn_md.errors import InputError
from aptnn_md.spectra import spectrum_of_streams
from aptnn_md.spectra.sources import opening
from aptnn_md.spectra.sources.opening import opened_runs

N_FRAMES = 1200
FIRST, SECOND = trajectories(N_FRAMES, 2, seed=4)
RATES = rates_of(FIRST, FIRST_CHARGES, 0)
OTHERS = rates_of(FIRST, SECOND_CHARGES, 1)
HEAT, OTHER_HEAT = temperatures_of(FIRST), temperatures_of(SECOND)


@pytest.mark.parametrize("heat", [HEAT, None])
def test_two_models_on_one_trajectory(
    tmp_path: Path, heat: np.ndarray | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Found out by the temperature, or by the id; one of them alone is a run as before."""
    a = write_stream(tmp_path / "a", RATES, heat, run_id="one")
    b = write_stream(tmp_path / "b", OTHERS, heat, run_id="one")
    with pytest.raises(InputError, match=r"b: stream: found the same trajectory as .*a in 1200 fr"):
        spectrum_of_streams([a, b], 100.0)
    assert main(["spectrum", "ir", str(a), str(b), "--resolution", "100"]) == 2
    assert "spectrum compare" in capsys.readouterr().err
    assert spectrum_of_streams([b], 100.0).run_lengths == (2.0 * N_FRAMES,)


def test_temperatures_tell_more_than_ids(tmp_path: Path) -> None:
    """The same ones without an id; others with the same id; those of a copy that went on."""
    a = write_stream(tmp_path / "a", RATES, HEAT, run_id="one")
    same = write_stream(tmp_path / "same", OTHERS, HEAT, run_id="")
    with pytest.raises(InputError, match="same: stream: found the same trajectory"):
        opened_runs([a, same], 0.0)
    other = write_stream(tmp_path / "other", OTHERS, OTHER_HEAT, run_id="one")
    assert len(opened_runs([a, other], 0.0)) == 2
    copied = np.concatenate([HEAT[:500], OTHER_HEAT[500:]])
    copy = write_stream(tmp_path / "copy", OTHERS, copied, run_id="one")
    with pytest.raises(InputError, match=r"copy: stream: found .* in 500 frames"):
        opened_runs([a, copy], 0.0)
    # what is left out of both is not shared
    assert len(opened_runs([a, copy], 1e-3 * 2.0 * 500)) == 2


def test_pieces_of_one_trajectory(tmp_path: Path) -> None:
    """One after the other they share no frame, whatever their id."""
    a = write_stream(tmp_path / "a", RATES[:600], HEAT[:600], run_id="one")
    b = write_stream(tmp_path / "b", RATES[600:], HEAT[600:], first_frame=600, run_id="one")
    assert len(opened_runs([a, b], 0.0)) == 2


def test_runs_from_one_start(tmp_path: Path) -> None:
    """The first temperature is the same, and nothing else."""
    heat = np.concatenate([HEAT[:1], OTHER_HEAT[1:]])
    a = write_stream(tmp_path / "a", RATES, HEAT, run_id="one")
    b = write_stream(tmp_path / "b", OTHERS, heat, run_id="two")
    assert len(opened_runs([a, b], 0.0)) == 2


def test_a_large_ensemble_is_told_apart_at_a_glance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs that begin at one step have two temperatures compared, and no more is read."""
    rng = np.random.default_rng(0)
    paths = [
        write_stream(tmp_path / f"{k}", RATES[:40], 300.0 + rng.normal(size=40), run_id=f"{k}")
        for k in range(12)
    ]
    monkeypatch.setattr(opening, "shared_frames", lambda *_: pytest.fail("looked closer"))
    assert len(opened_runs(paths, 0.0)) == 12


def test_runs_without_fingerprints(tmp_path: Path) -> None:
    """No temperatures and no ids: nothing speaks against independence."""
    a = write_stream(tmp_path / "a", RATES)
    b = write_stream(tmp_path / "b", OTHERS)
    assert len(opened_runs([a, b], 0.0)) == 2
