"""Alarms are in everything that shows a spectrum, and in nothing where there are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.tiers import thorough_but

from aptnn_md.cli import main
from aptnn_md.spectra import spectrum_of_streams
from aptnn_md.stream import StreamHeader, StreamWriter


def stream(path: Path, motions: tuple[float, float, float] | None, n_frames: int = 4000) -> Path:
    """White noise of a molecule whose f-sum is right; by default without temperatures of motions,
    as streams of before."""
    rng = np.random.default_rng(1)
    freedom = () if motions is None else (0.0, 3.0, 12.0)
    header = StreamHeader(
        timestep=1.0, n_atoms=6, temperature=300.0, volume=1000.0, motion_freedom=freedom
    )
    with StreamWriter(path, header) as writer:
        for k, rate in enumerate(rng.normal(size=(n_frames, 2, 3))):
            noise = 1.0 + 0.1 * rng.normal()
            extra = {} if motions is None else {"motion_temperature": noise * np.array(motions)}
            writer.append(
                k,
                float(k),
                {"bead": rate[:1]},
                polarizability_rates={"bead": rng.normal(size=(1, 6))},
                temperature=300.0 * noise,
                **extra,
            )
    return path


@pytest.mark.thorough
@pytest.mark.parametrize(
    "motions",
    [(0.0, 1000.0, 125.0), *thorough_but([pytest.param((0.0, 310.0, 297.5)), pytest.param(None)])],
)
@pytest.mark.parametrize("kind", ["ir", "raman"])
def test_all_outputs(
    kind: str,
    motions: tuple[float, float, float] | None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    xarray = pytest.importorskip("xarray")
    path = stream(tmp_path / "s", motions)
    table, picture, data = (tmp_path / f"a.{suffix}" for suffix in ("csv", "svg", "nc"))
    command = ["spectrum", kind, str(path), "--resolution", "60"]
    main([*command, "--out", str(table), "--plot", str(picture), "--netcdf", str(data)])
    printed = capsys.readouterr().out
    wrong = motions == (0.0, 1000.0, 125.0)
    with xarray.open_dataset(data) as found:
        warnings = found.attrs["warnings"]
    assert any("equipartition: " in message for message in caplog.messages) == wrong
    assert printed.splitlines()[1].startswith("WARNING (equipartition): ") == wrong
    assert ("WARNING (equipartition): " in table.read_text()) == wrong
    assert ("libration 100" in warnings) == wrong  # 1000 or 1001 K
    assert (warnings == "") == (not wrong)
    # letters of a picture are outlines, unless it says so in a comment
    assert (picture.read_text().count("WARNING: equipartition") > 0) == wrong


def test_temperature_given_on_the_command_line_counts(tmp_path: Path) -> None:
    path = stream(tmp_path / "s", None)
    assert spectrum_of_streams([path], 60.0).alarms == ()
    (alarm,) = spectrum_of_streams([path], 60.0, temperature=400.0).alarms
    assert alarm.name == "temperature"
    assert "300 ± " in alarm.text
    assert "400 K" in alarm.text


@pytest.mark.parametrize(("every", "alarmed"), [(40, True), (200, False)])
@pytest.mark.parametrize("kind", ["ir", "raman"])
def test_frames_that_the_model_does_not_know(
    kind: str, every: int, alarmed: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """2.5 % of the frames matter, 0.5 % do not."""
    rng = np.random.default_rng(1)
    header = StreamHeader(timestep=1.0, n_atoms=6, temperature=300.0, volume=1000.0)
    with StreamWriter(tmp_path / "s", header) as writer:
        for k, rate in enumerate(rng.normal(size=(4000, 2, 3))):
            writer.append(
                k,
                float(k),
                {"bead": rate[:1]},
                polarizability_rates={"bead": rng.normal(size=(1, 6))},
                spread_ratio=2.5 if k % every == 7 else 0.9,
            )
    assert main(["spectrum", kind, str(tmp_path / "s"), "--resolution", "60"]) == 0
    printed = capsys.readouterr().out
    assert ("WARNING (unknown structures): in 100 of 4000 frames (2.5 %)" in printed) == alarmed
    assert printed.count("WARNING") == int(alarmed)
    assert main(["info", str(tmp_path / "s")]) == 0
    share = "100 of 4000 frames (2.5 %)" if alarmed else "20 of 4000 frames (0.5 %)"
    assert (
        f"{share} are unlike those of the training, spread_ratio up to 2.5"
        in capsys.readouterr().out
    )
