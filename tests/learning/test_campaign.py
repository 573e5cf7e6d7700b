"""A whole campaign on a molecule whose forces, dipole and polar tensors are analytic."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
from helpers.toy_molecules import polar_tensors, structure

from aptnn_md.errors import InputError
from aptnn_md.learning import campaign as module
from aptnn_md.learning.campaign import run_campaign
from aptnn_md.learning.directory import CampaignDirectory, identity
from aptnn_md.learning.harmonic import read_lines
from aptnn_md.learning.honest import HonestTest
from aptnn_md.learning.judgement import Judgement
from aptnn_md.learning.settings import (
    CampaignSettings,
    DynamicsSettings,
    ForceSettings,
    JudgingSettings,
    SamplingSettings,
    TensorSettings,
)
from aptnn_md.locks import DirectoryLock
from aptnn_md.potentials.loading import load_potential
from aptnn_md.prediction.loading import as_model
from aptnn_md.spectra import read_table
from aptnn_md.stream import StreamReader
from aptnn_md.stream.ensemble import complete_runs

TOY = "helpers.toy_molecules:Potential"
NETWORK = {"n_channels": 4, "lmax": 2, "n_radial": 4, "cutoff": 4.0, "message_radial": 3}


def make_settings(path, **changes):
    start = path / "toy.xyz"
    if not start.exists():
        ase.io.write(start, structure(), format="extxyz")
    settings = CampaignSettings(
        structures=(start,),
        engine=TOY,
        potential=TOY,
        out=path / "out",
        cycles=2,
        sampling=SamplingSettings(
            first_frames=6, first_picoseconds=0.02, labels=5, replicas=4, picoseconds=0.04
        ),
        tensors=TensorSettings(committee=2, steps=20, final_steps=30, network_settings=NETWORK),
        dynamics=DynamicsSettings(runs=8, final_runs=8, resolution=400.0, equilibrate=0.02),
        judging=JudgingSettings(tolerance=0.01),
    )
    return replace(settings, **changes)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """A campaign from its start to its end."""
    path = tmp_path_factory.mktemp("unbroken")
    settings = make_settings(path)
    return settings, run_campaign(settings)


def contents(directory: Path) -> dict[str, str]:
    """Digest of each file, but for those that say when and by whom they were made."""
    found = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            found[str(path.relative_to(directory))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def results(settings: CampaignSettings) -> dict[str, object]:
    """What a campaign found, without names of files and times."""
    directory, found = CampaignDirectory(settings.out), {}
    for stage in (*(directory.cycle(n) for n in range(settings.cycles)), directory.final):
        frames = ase.io.read(stage.training, index=":")
        found[f"{stage.name} positions"] = [atoms.positions.tolist() for atoms in frames]
        found[f"{stage.name} labels"] = [atoms.arrays["apt"].tolist() for atoms in frames]
        for n, tensors in enumerate(as_model(stage.tensors).evaluate(frames[:2])):
            found[f"{stage.name} tensors {n}"] = tensors["apt"].tolist()
        for run in complete_runs(stage.runs(0)):
            found[f"{stage.name} {run.name}"] = StreamReader(run).dipole_rate().tolist()
        found[f"{stage.name} judgement"] = json.loads(stage.judgement.read_text())
    return found


def test_labels_are_those_of_the_engine(unbroken):
    settings, _ = unbroken
    final = CampaignDirectory(settings.out).final
    frames = ase.io.read(final.training, index=":")
    assert len(frames) == 6 + 2 * 5
    origins = [atoms.info["origin"] for atoms in frames]
    assert [origins.count(name) for name in ("first", "selected", "random")] == [6, 8, 2]
    for atoms in frames:
        expected = polar_tensors(atoms.positions).reshape(3, 9)
        assert atoms.arrays["apt"] == pytest.approx(expected, abs=1e-4)


def test_the_judgement_tells_the_errors_apart(unbroken):
    settings, found = unbroken
    (spectrum,) = found.spectra
    assert (spectrum.system, spectrum.kind) == ("toy", "infrared")
    assert set(spectrum.parts) == {"statistical", "tensors"}  # the potential is not learned
    assert spectrum.total == pytest.approx(spectrum.final_statistical + spectrum.tensors)
    assert found.missing  # a tolerance of 1 % asks for more
    first = Judgement.read(CampaignDirectory(settings.out).cycle(0).judgement).spectra[0]
    # half as many runs would have √2 times the error; there as many, so it is the same number
    assert first.final_statistical == pytest.approx(first.statistical)


def test_the_report_says_what_was_found(unbroken):
    settings, _ = unbroken
    text = (settings.out / "report.md").read_text()
    for words in ("The campaign has ended", "| cycle-01 | 11 |", "| final | 16 |", "Missing:"):
        assert words in text
    assert (settings.out / "infrared-toy.png").stat().st_size > 10_000
    assert (settings.out / "errors.png").exists()
    assert (settings.out / "errors-infrared-toy.png").exists()
    columns, _ = read_table(settings.out / "final" / "infrared-toy.csv")
    assert len(next(iter(columns.values()))) > 50


def test_run_twice_it_does_nothing(unbroken):
    settings, found = unbroken
    before = contents(settings.out)
    assert run_campaign(settings) == found
    assert contents(settings.out) == before


@pytest.mark.slow
def test_killed_before_every_step_the_result_is_the_same(unbroken, tmp_path, monkeypatch):
    settings, _ = unbroken
    killed = replace(settings, out=tmp_path / "out")
    seen: list[str] = []
    write_report = module.write_report

    def dies_once(work, seconds, now):
        write_report(work, seconds, now)
        if now not in seen:
            seen.append(now)
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "write_report", dies_once)
    for _ in range(40):
        try:
            run_campaign(killed)
            break
        except KeyboardInterrupt:
            continue
    assert len(seen) == 16  # three of the start, five of each cycle, two of the end, the end itself
    assert results(killed) == results(settings)


def test_a_file_that_is_missing_is_made_again(unbroken, tmp_path, monkeypatch):
    """Removing what a step left is the same as being killed before it."""
    settings, found = unbroken
    final = CampaignDirectory(settings.out).final
    content = json.loads(final.judgement.read_text())
    final.judgement.unlink()
    assert run_campaign(settings) == found
    assert json.loads(final.judgement.read_text()) == content


def test_another_campaign_in_the_same_directory_is_refused(unbroken):
    settings, _ = unbroken
    with pytest.raises(InputError, match="temperature: found 400"):
        run_campaign(replace(settings, temperature=400.0))
    # what only says how much and where may change
    assert run_campaign(replace(settings, cycles=7, jobs=2)).spectra
    assert "cycles" not in identity(settings)


def test_two_processes_do_not_work_in_one_directory(tmp_path):
    settings = make_settings(tmp_path)
    settings.out.mkdir()
    with (
        DirectoryLock(settings.out),
        pytest.raises(InputError, match="another process at work"),
    ):
        run_campaign(settings)


def test_a_loop_that_is_content_stops_before_the_last_cycle(tmp_path):
    judging = JudgingSettings(tolerance=100.0, tensor_error=100.0)
    settings = make_settings(tmp_path, cycles=9, judging=judging)
    found = run_campaign(settings)
    assert not found.missing
    cycles = sorted(path.name for path in settings.out.glob("cycle-*"))
    assert cycles == ["cycle-00", "cycle-01"]  # one alone has nothing to compare with
    assert np.isnan(found.harmonic_shift)


@pytest.mark.mace
@pytest.mark.slow
def test_a_potential_that_is_learned_is_judged_by_normal_modes(tmp_path):
    pytest.importorskip("mace")
    small = {"channels": 4, "max_ell": 1, "correlation": 1, "cutoff": 3.5, "radial_width": 8}
    forces = ForceSettings(committee=2, steps=150, final_steps=150, settings=small)
    settings = make_settings(tmp_path, potential="learn", forces=forces, cycles=1)
    found = run_campaign(settings)
    directory = CampaignDirectory(settings.out)
    (spectrum,) = found.spectra
    assert set(spectrum.parts) == {"statistical", "tensors", "potential"}
    # the engine's own lines are those of the analytic potential, which has three modes
    engine = read_lines(directory.engine_lines(0))["engine"]
    models = read_lines(directory.final.harmonic(0))
    assert set(models) == {"mean", "member-1", "member-2"}
    shift = np.abs(models["mean"].wavenumber - engine.wavenumber).max()
    assert found.harmonic_shift == pytest.approx(shift)
    # the members differ, and their mean lies between them or near
    first, second = models["member-1"].wavenumber, models["member-2"].wavenumber
    assert not np.allclose(first, second, atol=0.01)
    honest = HonestTest.read(directory.cycle(0).honest)
    assert honest.force_rmse is not None
    assert 0.0 < honest.force_rmse < 2.0 * honest.force_scale
    # what users get runs in ASE, and its members disagree
    calculator = load_potential(directory.final.potential)
    atoms = ase.io.read(settings.structures[0])
    result = calculator.evaluate([atoms])[0]
    assert result["member_forces"].shape == (2, 3, 3)
    assert result["forces"] == pytest.approx(result["member_forces"].mean(axis=0), abs=1e-9)
    assert spectrum.bands
    for band in spectrum.bands:
        assert band.integral.total >= band.integral.potential
