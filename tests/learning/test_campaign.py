"""A whole campaign on a molecule whose forces, dipole and polar tensors are analytic."""

from __future__ import annotations

import errno
import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.constraints import FixAtoms
from helpers.campaigns import make_settings, results
from helpers.paths import EXAMPLES
from helpers.processes import environment
from helpers.toy_molecules import polar_tensors, structure

from aptnn_md.errors import InputError, RunError
from aptnn_md.learning import campaign as module
from aptnn_md.learning.campaign import run_campaign
from aptnn_md.learning.cycle import Work
from aptnn_md.learning.directory import CampaignDirectory, identity, read_frames, write_frames
from aptnn_md.learning.documents import read_document, write_document
from aptnn_md.learning.harmonic import read_lines
from aptnn_md.learning.honest import HonestTest
from aptnn_md.learning.judgement import Judgement
from aptnn_md.learning.seals import FrameSeals
from aptnn_md.learning.settings import (
    ForceSettings,
    JudgingSettings,
    TensorSettings,
)
from aptnn_md.locks import DirectoryLock
from aptnn_md.potentials.loading import load_potential
from aptnn_md.spectra import read_table
from aptnn_md.stream import StreamReader
from aptnn_md.stream.ensemble import complete_runs


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


@pytest.mark.thorough
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


@pytest.mark.thorough
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


@pytest.mark.thorough
def test_the_report_says_what_was_found(unbroken):
    settings, _ = unbroken
    text = (settings.out / "report.md").read_text()
    assert "The campaign has ended" in text
    for words in ("| cycle 2 | 11 |", "| final | 16 |", "Not good enough yet:"):
        assert words in text
    assert f"Tables of the spectra: infrared-toy.csv, in {settings.out / 'final'}." in text
    assert (settings.out / "infrared-toy.png").stat().st_size > 10_000
    assert (settings.out / "errors.png").exists()
    assert (settings.out / "errors-infrared-toy.png").exists()
    columns, _ = read_table(settings.out / "final" / "infrared-toy.csv")
    assert len(next(iter(columns.values()))) > 50


@pytest.mark.thorough
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
    assert (
        len(seen) == 17
    )  # three of the start, five of each cycle, three of the end, the end itself
    assert results(killed) == results(settings)


@pytest.mark.thorough
def test_a_file_that_is_missing_is_made_again(unbroken, tmp_path, monkeypatch):
    """Removing what a step left is the same as being killed before it."""
    settings, found = unbroken
    final = CampaignDirectory(settings.out).final
    content = json.loads(final.judgement.read_text())
    final.judgement.unlink()
    assert run_campaign(settings) == found
    assert json.loads(final.judgement.read_text()) == content


@pytest.mark.thorough
def test_frames_that_have_changed_are_refused(tmp_path, monkeypatch):
    """One digit of a label; a file that was removed is made again as it was."""
    settings = make_settings(tmp_path)
    write_report, at = module.write_report, []

    def dies(work, seconds, now):
        at.append(now)
        if len(at) == 4:  # the first labels and modes are there
            raise KeyboardInterrupt
        write_report(work, seconds, now)

    monkeypatch.setattr(module, "write_report", dies)
    with pytest.raises(KeyboardInterrupt):
        run_campaign(settings)
    path = CampaignDirectory(settings.out).first.labelled
    whole = path.read_bytes()
    place = whole.index(b".", len(whole) // 2) + 1
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    read_frames(path)  # it is a file of frames as before
    with pytest.raises(InputError, match=r"labelled\.extxyz: checksum: found another one"):
        run_campaign(settings)
    path.unlink()
    at.clear()
    with pytest.raises(KeyboardInterrupt):
        run_campaign(settings)
    assert path.read_bytes() == whole


def test_a_stage_that_is_made_again_has_other_frames(tmp_path):
    directory = CampaignDirectory(tmp_path)
    write_frames(directory.final.training, [structure(1)])
    write_frames(directory.start, [structure(2)])
    FrameSeals(directory).add()
    FrameSeals(directory).forget(directory.final)
    write_frames(directory.final.training, [structure(3)])
    FrameSeals(directory).check()
    write_frames(directory.start, [structure(3)])
    with pytest.raises(InputError, match=r"start\.extxyz: .*another --out"):
        FrameSeals(directory).check()


@pytest.mark.thorough
def test_another_campaign_in_the_same_directory_is_refused(unbroken):
    settings, _ = unbroken
    with pytest.raises(InputError, match="temperature: found 400"):
        run_campaign(replace(settings, temperature=400.0))
    # what only says how much and where may change
    assert run_campaign(replace(settings, cycles=7, jobs=2)).spectra
    assert "cycles" not in identity(settings)


@pytest.mark.thorough
def test_a_setting_of_a_table_is_named(unbroken):
    settings, _ = unbroken
    sampling = replace(settings.sampling, labels=6)
    with pytest.raises(
        InputError, match=r"sampling\.labels: found 6, expected 5, as when it began"
    ):
        run_campaign(replace(settings, sampling=sampling))


def test_settings_of_the_end_may_change_until_it_begins(tmp_path):
    settings = make_settings(tmp_path)
    directory = CampaignDirectory(settings.out)
    settings.out.mkdir()
    directory.open(settings)
    fewer = replace(settings, dynamics=replace(settings.dynamics, final_runs=9))
    longer = replace(fewer, forces=replace(settings.forces, final_steps=77))
    for changed in (fewer, longer, longer):
        directory.open(changed)
    # what of the cycles may have been done already may not
    with pytest.raises(InputError, match=r"dynamics\.runs: found 99, expected \d+, as when"):
        directory.open(replace(longer, dynamics=replace(longer.dynamics, runs=99)))
    directory.final.path.mkdir()
    directory.open(longer)
    more = replace(longer, dynamics=replace(longer.dynamics, final_runs=10))
    with pytest.raises(InputError, match=r"dynamics\.final_runs: found 10, expected 9, as when"):
        directory.open(more)


def test_a_campaign_of_before_path_integrals_is_classical(tmp_path):
    settings = make_settings(tmp_path)
    directory = CampaignDirectory(settings.out)
    settings.out.mkdir()
    directory.open(settings)
    content = read_document(directory.settings, "settings", "")
    assert content["dynamics"].pop("beads") == 1
    write_document(directory.settings, content)
    directory.open(settings)
    dynamics = replace(settings.dynamics, beads=4, timestep=0.25)
    with pytest.raises(InputError, match=r"dynamics\.(beads|timestep): found .*as when it began"):
        directory.open(replace(settings, dynamics=dynamics))


@pytest.mark.slow
def test_a_campaign_of_ring_polymers(tmp_path):
    """TRPMD by i-PI with the models of each stage; beads are labelled and test them."""
    engine = "helpers.toy_molecules:StrongBonds"
    settings = make_settings(tmp_path, engine=engine, potential=engine, cycles=1)
    dynamics = replace(settings.dynamics, beads=4, timestep=0.25, stride=8, resolution=700.0)
    settings = replace(settings, dynamics=dynamics)
    found = run_campaign(settings)
    (spectrum,) = found.spectra
    assert spectrum.picoseconds > 0.4
    assert spectrum.tensors > 0.0
    directory = CampaignDirectory(settings.out)
    for stage in (directory.cycle(0), directory.final):
        runs = complete_runs(stage.runs(0))
        assert len(runs) == 8
        assert StreamReader(runs[0]).header.n_beads == 4
    report = directory.report.read_text()
    assert "300 K, TRPMD of 4 beads" in report
    assert (
        "ready for other runs, of classical nuclei here; inputs of i-PI take them, too:" in report
    )
    again = run_campaign(settings)
    assert again == found


@pytest.mark.thorough
def test_a_campaign_of_another_version_is_refused(unbroken, tmp_path):
    settings, _ = unbroken
    old = replace(settings, out=tmp_path / "old")
    old.out.mkdir()
    content = read_document(CampaignDirectory(settings.out).settings, "settings", "")
    assert content.pop("version") == 2
    write_document(CampaignDirectory(old.out).settings, content)
    with pytest.raises(InputError, match=r"version: found 1, expected 2: .*another --out"):
        run_campaign(old)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"engine": "nobody"}, "engine"),
        ({"potential": "no-such"}, "no-such"),
        ({"device": "cuda:99"}, "--device"),
        ({"start_from": "no-such.pt"}, "no-such.pt"),
        ({"tensors": TensorSettings(network="nobody")}, "nobody"),
        ({"tensors": TensorSettings(network_settings={"lmin": 1})}, "lmin"),
    ],
)
def test_what_a_later_step_would_refuse_is_refused_at_once(tmp_path, changes, message):
    settings = make_settings(tmp_path, **changes)
    with pytest.raises((InputError, RunError), match=message):
        run_campaign(settings)
    assert list(settings.out.iterdir()) == []


def _spoiled(atoms, how):
    if how == "one atom":
        return atoms[:1]
    if how == "constraints":
        atoms.set_constraint(FixAtoms([0]))
    if how == "charge":
        atoms.info["charge"] = 1
    if how == "element":
        atoms.numbers[0] = 10
    return atoms


@pytest.mark.parametrize(
    ("how", "changes", "message"),
    [
        ("one atom", {}, "atoms: found 1, expected two atoms or more"),
        ("constraints", {}, "constraints: found FixAtoms, expected none"),
        ("charge", {"potential": "neutral:Neutral"}, "1 e by 'charge' of the frame and 0 e by"),
        ("element", {"start_from": "water-apt"}, "start_from: found water-apt, expected another"),
    ],
)
def test_systems_that_a_later_step_would_refuse(tmp_path, monkeypatch, how, changes, message):
    lines = ["from helpers import toy_molecules", "class Neutral(toy_molecules.Potential):"]
    (tmp_path / "neutral.py").write_text("\n".join([*lines, "    charge = 0.0", ""]))
    monkeypatch.syspath_prepend(str(tmp_path))
    start = _spoiled(structure(), how)
    ase.io.write(tmp_path / "toy.xyz", start, format="extxyz")
    settings = make_settings(tmp_path, **changes)
    with pytest.raises(InputError, match=message):
        run_campaign(settings)
    assert list(settings.out.iterdir()) == []


def test_a_file_in_the_place_of_the_directory(tmp_path):
    settings = make_settings(tmp_path)
    settings.out.write_text("mine")
    with pytest.raises(InputError, match="out: found a file, expected a directory"):
        run_campaign(settings)
    assert settings.out.read_text() == "mine"


def test_a_start_that_changed_since_the_campaign_began(tmp_path, caplog):
    settings = make_settings(tmp_path)
    directory = CampaignDirectory(settings.out)
    settings.out.mkdir()
    systems = directory.open(settings)
    assert len(directory.open(settings)) == len(systems) == 1
    (start,) = settings.structures
    moved = structure()
    moved.positions[1, 0] += 0.01
    charged = structure()
    charged.info["charge"] = -1
    for other in (moved, charged):
        ase.io.write(start, other, format="extxyz")
        with pytest.raises(InputError, match="structure: found another one, expected the struct"):
            directory.open(settings)
    start.unlink()
    assert len(directory.open(settings)) == 1
    ase.io.write(start, [moved, structure()], format="extxyz")
    directory.open(settings)
    assert "of its 2 structures the last one is the system" in caplog.text


def test_settings_of_trainings_are_checked_with_the_others():
    with pytest.raises(InputError, match="learning_rte"):
        TensorSettings(training={"learning_rte": 1e-3})
    with pytest.raises(InputError, match="channels"):
        ForceSettings(settings={"channels": 0})


def test_without_mace_a_potential_that_is_to_be_learned_is_refused_at_once(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mace", None)
    settings = make_settings(tmp_path, potential="learn")
    with pytest.raises(RunError, match="mace-torch"):
        run_campaign(settings)
    assert list(settings.out.iterdir()) == []


@pytest.mark.thorough
def test_an_engine_that_fails_on_some_frames_costs_these_frames(tmp_path):
    """Its self-consistent field does not converge where a bond is long."""
    engine = 'helpers.toy_field:FieldPotential {"longest": 1.03}'
    settings = make_settings(tmp_path, engine=engine, cycles=1)
    dynamics = replace(settings.dynamics, resolution=1500.0)
    tensors = replace(settings.tensors, steps=4, final_steps=4)
    settings = replace(settings, dynamics=dynamics, tensors=tensors)
    run_campaign(settings)
    directory = CampaignDirectory(settings.out)
    first = ase.io.read(directory.first.frames, index=":")
    assert 0 < len(first) <= 6
    assert all(atoms.get_distance(0, 1) <= 1.03 for atoms in first)
    final = ase.io.read(directory.final.training, index=":")
    assert all(np.isfinite(atoms.arrays["apt"]).all() for atoms in final)


def test_an_engine_that_can_calculate_nothing_is_said(tmp_path):
    settings = make_settings(tmp_path, engine='helpers.toy_field:FieldPotential {"longest": 0.5}')
    with pytest.raises(RunError, match="could not calculate any start"):
        run_campaign(settings)


@pytest.mark.slow
def test_a_full_disk_ends_in_words_and_the_campaign_resumes(unbroken, tmp_path, monkeypatch):
    settings, _ = unbroken
    full = replace(settings, out=tmp_path / "out")
    left, said = [60], []
    replace_file = Path.replace

    def fails(self, target):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return replace_file(self, target)

    monkeypatch.setattr(Path, "replace", fails)
    for n in range(2, 60):
        try:
            run_campaign(full)
            break
        except (InputError, RunError, OSError) as error:
            said.append(str(error))
            left[0] = 60 * n
    assert len(said) > 3
    assert all("No space left on device" in text for text in said)
    assert results(full) == results(settings)


@pytest.mark.slow
def test_more_cycles_after_the_end_was_begun_are_learned_from(tmp_path):
    settings = make_settings(tmp_path, cycles=1)
    run_campaign(settings)
    directory = CampaignDirectory(settings.out)
    directory.final.judgement.unlink()  # as if killed before
    run_campaign(replace(settings, cycles=2))
    assert len(ase.io.read(directory.final.training, index=":")) == 6 + 2 * 5
    assert (settings.out / "final-11-labels" / "tensors.pt").exists()


@pytest.mark.slow
def test_labels_by_two_workers_of_parsl_are_those_of_one_process(unbroken, tmp_path, monkeypatch):
    pytest.importorskip("parsl")
    settings, _ = unbroken
    for name, value in environment(XDG_CACHE_HOME=str(tmp_path / "cache")).items():
        monkeypatch.setenv(name, value)
    executor = f"parsl:{EXAMPLES / 'cluster' / 'local.py'}"
    by_parsl = replace(settings, out=tmp_path / "out", executor=executor)
    run_campaign(by_parsl)
    one, two = CampaignDirectory(settings.out), CampaignDirectory(by_parsl.out)
    pairs = [(one.first, two.first), *((one.cycle(n), two.cycle(n)) for n in range(2))]
    for here, there in pairs:
        assert there.labelled.read_bytes() == here.labelled.read_bytes()
    assert results(by_parsl) == results(settings)


def test_two_processes_do_not_work_in_one_directory(tmp_path):
    settings = make_settings(tmp_path)
    settings.out.mkdir()
    with (
        DirectoryLock(settings.out),
        pytest.raises(InputError, match="another process at work"),
    ):
        run_campaign(settings)


@pytest.mark.slow
def test_two_systems_are_learned_and_tested_each(tmp_path):
    one = make_settings(tmp_path, cycles=1)
    other = tmp_path / "turned.xyz"
    turned = ase.io.read(one.structures[0])
    turned.rotate(40.0, (1.0, 2.0, -1.0))
    ase.io.write(other, turned, format="extxyz")
    settings = replace(one, structures=(*one.structures, other))
    found = run_campaign(settings)
    assert [spectrum.system for spectrum in found.spectra] == ["toy", "turned"]
    directory = CampaignDirectory(settings.out)
    for stage in (directory.cycle(0), directory.final):
        honest = HonestTest.read(stage.honest)
        assert {name: test.n_frames for name, test in honest.of_systems.items()} == {
            "toy": 1,
            "turned": 1,
        }
        squares = [test.tensor_rmse["apt"] ** 2 for test in honest.of_systems.values()]
        assert honest.tensor_rmse["apt"] == pytest.approx(np.sqrt(np.mean(squares)))
    text = directory.report.read_text()
    assert "| system (final) | random frames |" in text
    for name in ("toy", "turned"):
        assert f"| {name} | 1 | – |" in text
        assert (settings.out / f"infrared-{name}.png").exists()


@pytest.mark.slow
def test_a_loop_that_is_content_stops_before_the_last_cycle(tmp_path):
    judging = JudgingSettings(tolerance=100.0, tensor_error=100.0)
    settings = make_settings(tmp_path, cycles=9, judging=judging)
    found = run_campaign(settings)
    assert not found.missing
    cycles = sorted(path.name for path in settings.out.glob("cycle-*"))
    assert cycles == ["cycle-00", "cycle-01"]  # one alone has nothing to compare with
    assert np.isnan(found.harmonic_shift)


@pytest.mark.slow
def test_a_loop_that_only_lacks_statistics_stops_too(tmp_path, unbroken):
    """No label makes the dynamics longer."""
    _, found = unbroken
    (spectrum,) = found.spectra
    judging = JudgingSettings(tolerance=0.9 * spectrum.statistical, tensor_error=100.0)
    settings = make_settings(tmp_path, cycles=9, judging=judging)
    assert spectrum.tensors < judging.tolerance
    found = run_campaign(settings)
    assert found.models_good
    (reason,) = found.missing
    assert "most of it statistical" in reason
    assert len(list(settings.out.glob("cycle-*"))) == 2


@pytest.mark.thorough
def test_the_end_is_tested_on_frames_that_nothing_learns_from(unbroken):
    settings, _ = unbroken
    final = CampaignDirectory(settings.out).final
    honest = HonestTest.read(final.honest)
    assert honest.n_frames == 1  # as many as in a cycle
    (tested,) = ase.io.read(final.labelled, index=":")
    known = [atoms.positions for atoms in ase.io.read(final.training, index=":")]
    assert not any(np.allclose(tested.positions, positions) for positions in known)
    assert tested.arrays["apt"] == pytest.approx(
        polar_tensors(tested.positions).reshape(3, 9), abs=1e-4
    )


def test_the_engine_is_not_asked_for_the_modes_of_a_large_periodic_system(tmp_path):
    """They would take as many single points as the labels of as many frames as there are atoms."""
    settings = make_settings(tmp_path, potential="learn")
    few = replace(settings, sampling=replace(settings.sampling, first_frames=2))
    directory, start = CampaignDirectory(few.out), structure(pbc=True)
    work = Work(few, directory, [start], lambda step: None, {}, FrameSeals(directory))
    assert work.engine_lines(0) is None


@pytest.mark.mace
@pytest.mark.slow
@pytest.mark.parametrize("pbc", [False, True])
def test_a_potential_that_is_learned_is_judged_by_normal_modes(pbc, tmp_path):
    pytest.importorskip("mace")
    small = {"channels": 4, "max_ell": 1, "correlation": 1, "cutoff": 3.5, "radial_width": 8}
    forces = ForceSettings(committee=2, steps=150, final_steps=150, settings=small)
    settings = make_settings(tmp_path, potential="learn", forces=forces, cycles=1)
    ase.io.write(settings.structures[0], structure(pbc=pbc), format="extxyz")
    found = run_campaign(settings)
    directory = CampaignDirectory(settings.out)
    (spectrum,) = found.spectra
    assert spectrum.unit == ("cm⁻²" if pbc else "km/mol")
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
