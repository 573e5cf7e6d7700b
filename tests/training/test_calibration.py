"""Error against spread: committees of known scatter and bias, and a committee that was trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.calculator import Calculator, all_changes
from ase.md.verlet import VelocityVerlet
from ase.units import fs

from aptnn_md.cli import main
from aptnn_md.domain import Domain
from aptnn_md.engines.ase.observer import StreamObserver
from aptnn_md.prediction.calls import DirectCalls
from aptnn_md.prediction.model_file import read_model_file, write_model_file
from aptnn_md.prediction.predictor import Predictor
from aptnn_md.prediction.watch import domain_of, watch_of
from aptnn_md.stream import StreamReader
from aptnn_md.targets import Tensors
from aptnn_md.training.calibration import calibration, spread_bins
from aptnn_md.training.dataset import LabelledFrame
from aptnn_md.training.evaluation import evaluate

NUMBERS = np.array([8, 1, 1, 17])


class Scattered(DirectCalls):
    """A committee whose members scatter about the label by a width of each element, and are all
    off by the same bias, for frames that carry their label."""

    name, sha256, targets, elements, cutoff = "scattered", "", ("apt",), None, None

    def __init__(self, n_members: int, widths: dict[int, float], bias: float) -> None:
        self.committee_sizes = {"apt": n_members}
        self.widths, self.bias = widths, bias
        self.random = np.random.default_rng(5)

    def evaluate(self, structures: list[Atoms]) -> list[Tensors]:
        found = []
        for atoms in structures:
            width = np.array([self.widths[z] for z in atoms.numbers])[:, None, None]
            shape = (self.committee_sizes["apt"], len(atoms), 3, 3)
            scatter = width * self.random.normal(size=shape)
            found.append({"apt": atoms.arrays["truth"] + self.bias + scatter})
        return found

    def select(self, members: slice) -> Scattered:
        raise NotImplementedError

    def for_targets(self, targets: tuple[str, ...]) -> Scattered:
        return self


def frames(n_frames: int, seed: int, unlabelled: int | None = None) -> list[LabelledFrame]:
    random = np.random.default_rng(seed)
    found = []
    for _ in range(n_frames):
        atoms = Atoms(NUMBERS, positions=random.normal(size=(4, 3)))
        atoms.arrays["truth"] = random.normal(size=(4, 3, 3))
        labels = atoms.arrays["truth"].copy()
        if unlabelled is not None:
            labels[unlabelled] = np.nan
        found.append(LabelledFrame(atoms, {"apt": labels}))
    return found


def test_factor_of_independent_members_and_of_a_bias() -> None:
    """The mean of K members is off by σ/√K, and by the bias that all of them share."""
    widths = {1: 0.02, 8: 0.02, 17: 0.02}
    for n_members, bias in ((2, 0.0), (4, 0.0), (4, 0.03)):
        model = Scattered(n_members, widths, bias)
        card = calibration(model, frames(20, 1), frames(400, 2))
        expected = np.sqrt(1.0 / n_members + (bias / 0.02) ** 2)
        assert card["spread_factor"]["apt"] == pytest.approx(expected, rel=0.03)
        (everything, *bins) = evaluate(model, frames(400, 2)).by_spread
        assert everything.factor == pytest.approx(expected, rel=0.03)
        assert everything.spread == pytest.approx(0.02, rel=0.03)
        assert [part.n_atoms for part in bins] == [267, 267, 267, 267, 266, 266]
        assert everything.n_atoms == 1600


def test_bins_go_by_the_spread() -> None:
    """Three widths, 300, 600 and 300 atoms: each bin of 200 is of one width or of
    two, and the factor is one and the same."""
    model = Scattered(8, {1: 0.1, 8: 0.01, 17: 1.0}, 0.0)
    (_, *bins) = evaluate(model, frames(300, 2)).by_spread
    assert [part.n_atoms for part in bins] == [200] * 6
    mixed = [np.sqrt((small**2 + large**2) / 2) for small, large in ((0.01, 0.1), (0.1, 1.0))]
    expected = np.array([0.01, mixed[0], 0.1, 0.1, mixed[1], 1.0])
    np.testing.assert_allclose([part.spread for part in bins], expected, rtol=0.25)
    factors = [part.factor for part in bins]
    np.testing.assert_allclose(factors, 1 / np.sqrt(8), rtol=0.25)


def test_few_atoms_are_not_binned_and_equal_members_have_no_factor() -> None:
    (everything,) = spread_bins(np.full(30, 0.5), np.full(30, 0.25))
    assert (everything.factor, everything.n_atoms) == (0.5, 30)
    assert spread_bins(np.zeros(3), np.ones(3))[0].factor is None
    model = Scattered(3, {1: 0.0, 8: 0.0, 17: 0.0}, 0.1)
    card = calibration(model, frames(2, 1), frames(2, 2))
    assert card["spread_factor"] == {}
    assert card["known_spread"]["apt"] == pytest.approx(dict.fromkeys(("H", "O", "Cl"), 0.0))


def test_known_spread_of_each_element_without_rims() -> None:
    """Chlorine, which has no labels, is the rim of a cluster; a spread of 9 K - 9 components has a
    relative scatter of 1/√(2·9·(K-1))."""
    model = Scattered(11, {1: 0.1, 8: 0.01, 17: 5.0}, 0.0)
    card = calibration(model, frames(200, 1, unlabelled=3), frames(200, 2, unlabelled=3))
    known = card["known_spread"]["apt"]
    assert set(known) == {"H", "O"}
    tail = 1.0 + 3.09 / np.sqrt(2 * 9 * 10)  # of the 99.9th percentile
    assert known["H"] == pytest.approx(0.1 * tail, rel=0.05)
    assert known["O"] == pytest.approx(0.01 * tail, rel=0.05)
    # without any label, as where dipoles alone are learned, all atoms count
    bare = [LabelledFrame(frame.atoms, {}) for frame in frames(20, 3)]
    card = calibration(model, bare, bare[:5])
    assert card["spread_factor"] == {}
    assert set(card["known_spread"]["apt"]) == {"H", "O", "Cl"}


def test_single_models_and_trainings_without_validation_have_none() -> None:
    widths = {1: 0.1, 8: 0.1, 17: 0.1}
    assert calibration(Scattered(1, widths, 0.0), frames(2, 1), frames(2, 2)) == {}
    assert calibration(Scattered(3, widths, 0.0), frames(2, 1), []) == {}


def thermal_water(seed: int, width: float = 0.05) -> Atoms:
    atoms = molecule("H2O")
    atoms.rattle(width, seed=seed)
    return atoms


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small committee trained by the command on water molecules near their minimum."""
    path = tmp_path_factory.mktemp("trained")
    teacher = Predictor.from_file("water-apt")
    for name, seeds in (("train", range(40)), ("valid", range(40, 60))):
        written = []
        for seed in seeds:
            atoms = thermal_water(seed)
            atoms.arrays["apt"] = teacher(atoms).reshape(-1, 9)
            written.append(atoms)
        ase.io.write(path / f"{name}.extxyz", written)
    train = ["train", "--data", str(path / "train.extxyz"), "--valid", str(path / "valid.extxyz")]
    train += ["--committee", "3", "--epochs", "12", "--out", str(path / "model.pt")]
    assert main([*train, "--settings", "n_channels=6"]) == 0
    return path


def stretched_water() -> Atoms:
    atoms = molecule("H2O")
    atoms.set_distance(0, 1, 1.8, fix=0)
    return atoms


@pytest.mark.thorough
def test_a_trained_committee_knows_what_it_has_not_seen(trained: Path) -> None:
    model = Predictor.from_file(trained / "model.pt")
    assert 0.2 < model.card["spread_factor"]["apt"] < 10.0
    assert set(model.card["known_spread"]["apt"]) == {"H", "O"}
    domain = domain_of(model)
    assert domain is not None

    def largest(atoms: Atoms) -> float:
        return float(domain.ratios(model.evaluate([atoms])[0], atoms.numbers).max())  # type: ignore[union-attr]

    like_training = [largest(thermal_water(seed)) for seed in range(100, 200)]
    assert np.mean(np.array(like_training) > 1.0) <= 0.02
    for atoms in (stretched_water(), molecule("H2O2"), molecule("H2O") + Atoms("O", [(0, 0, 1.9)])):
        assert largest(atoms) > 1.3
    assert watch_of(model.select(slice(0, 1)), [8, 1, 1]) is None


@pytest.mark.thorough
def test_commands_say_the_calibration(
    trained: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    model, out = str(trained / "model.pt"), trained / "out.extxyz"
    assert main(["info", model]) == 0
    (line,) = [row for row in capsys.readouterr().out.splitlines() if row.startswith("calibration")]
    factor = Predictor.from_file(model).card["spread_factor"]["apt"]
    assert f"APT: error of an atom = {factor:.2f} x spread, " in line
    assert main(["evaluate", "--model", model, "--data", str(trained / "valid.extxyz")]) == 0
    rows = capsys.readouterr().out.splitlines()
    heading = next(n for n, row in enumerate(rows) if row.split()[:2] == ["spread", "error"])
    assert rows[heading + 1].split()[0] == "all"
    assert float(rows[heading + 1].split()[3]) == pytest.approx(factor, abs=0.006)
    assert len([row for row in rows if row.startswith("bin ")]) == 3
    ase.io.write(trained / "some.extxyz", [thermal_water(300), stretched_water()])
    data = ["--data", str(trained / "some.extxyz"), "--out", str(out)]
    assert main(["predict", "--model", model, *data]) == 0
    near, far = ase.io.read(out, ":")
    assert near.arrays["spread_ratio"].max() < 1.0 < far.arrays["spread_ratio"].max()
    assert [text for text in caplog.messages if text.startswith("1 of 2 frames have atoms in env")]
    assert main(["evaluate", "--model", "water-apt", "--data", str(trained / "valid.extxyz")]) == 0
    assert "factor" not in capsys.readouterr().out


@pytest.mark.thorough
def test_commands_say_that_a_committee_has_no_calibration(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its spread is not judged, so that a run would be silent about what it has not seen."""
    file = read_model_file(trained / "model.pt")
    card = {name: value for name, value in file.card.items() if "spread" not in name}
    model = str(tmp_path / "model.pt")
    write_model_file(tmp_path / "model.pt", replace(file, card=card))
    assert main(["info", model]) == 0
    rows = capsys.readouterr().out.splitlines()
    (line,) = [row for row in rows if row.startswith("calibration")]
    assert line.split(maxsplit=1)[1].startswith("none, so that no run says where its structures")
    assert main(["evaluate", "--model", model, "--data", str(trained / "valid.extxyz")]) == 0
    assert (
        capsys.readouterr().out.splitlines()[-1].startswith("calibration in the model card: none")
    )
    assert main(["evaluate", "--model", "water-apt", "--data", str(trained / "valid.extxyz")]) == 0
    assert "calibration" not in capsys.readouterr().out
    for name, source in (("with", trained / "model.pt"), ("without", tmp_path / "model.pt")):
        run_free(tmp_path / name, Predictor.from_file(source), 2)
        assert main(["info", str(tmp_path / name)]) == 0
        printed = capsys.readouterr().out
        (line,) = [row for row in printed.splitlines() if row.startswith("outside")]
        assert ("not known: the committee of the model has no calibration" in line) == (
            name == "without"
        )
    run_free(tmp_path / "single", Predictor.from_file(tmp_path / "model.pt").select(slice(0, 1)), 2)
    assert main(["info", str(tmp_path / "single")]) == 0
    assert "outside" not in capsys.readouterr().out


class Free(Calculator):
    """Atoms that feel no force."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):  # type: ignore[no-untyped-def]
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": 0.0, "forces": np.zeros((3, 3))}


def run_free(path: Path, model: Predictor, n_steps: int) -> None:
    """A molecule of which one atom flies away, streamed."""
    atoms = molecule("H2O")
    atoms.calc = Free()
    velocities = np.zeros((3, 3))
    velocities[1] = 0.04 / fs * (atoms.positions[1] - atoms.positions[0])
    atoms.set_velocities(velocities)
    dynamics = VelocityVerlet(atoms, 1.0 * fs)
    with StreamObserver(dynamics, path, model) as observer:
        dynamics.attach(observer)
        dynamics.run(n_steps)


@pytest.mark.thorough
def test_a_run_that_leaves_the_domain(
    trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A molecule whose bond is being pulled apart: the stream, the log and info say it."""
    model = Predictor.from_file(trained / "model.pt")
    run_free(tmp_path / "s", model, 20)
    ratios = StreamReader(tmp_path / "s").read("spread_ratio")
    assert ratios is not None
    assert ratios[0] < 1.0 < ratios[-1]
    assert len([text for text in caplog.messages if "disagree about atom" in text]) == 1
    first = int(np.argmax(ratios > 1.0))
    assert f"at step {first} (APT by" in next(t for t in caplog.messages if "disagree" in t)
    assert isinstance(domain_of(model), Domain)


@pytest.mark.thorough
def test_a_stored_trajectory_that_leaves_the_domain(
    trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Frames hold the ratio of the structure where their step ends."""
    model = Predictor.from_file(trained / "model.pt")
    domain, frames = domain_of(model), []
    assert domain is not None
    for step in range(12):
        atoms = molecule("H2O")
        atoms.set_distance(0, 1, atoms.get_distance(0, 1) + 0.06 * step, fix=0)
        frames.append(atoms)
    ase.io.write(tmp_path / "t.xyz", frames, format="extxyz")
    command = ["trajectory", str(tmp_path / "t.xyz"), "--model", str(trained / "model.pt")]
    command += ["--timestep", "1", "--increments", "--stream", str(tmp_path / "s")]
    assert main(command) == 0
    found = StreamReader(tmp_path / "s").read("spread_ratio")
    expected = [domain.ratios(model.evaluate([a])[0], a.numbers) for a in frames[1:]]
    np.testing.assert_allclose(found, np.max(expected, axis=1), rtol=1e-3)  # type: ignore[arg-type]
    assert len([text for text in caplog.messages if "disagree about atom" in text]) == 1
