"""Potentials: the bundled MACE against mace-torch, against itself, and load_potential's errors."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import make_supercell
from ase.calculators.lj import LennardJones
from helpers.flips import Flippable
from helpers.paths import ROOT
from helpers.tiers import thorough_but
from helpers.verdicts import FOUND, HARMLESS

from aptnn_md.bundled import bundled_path
from aptnn_md.errors import InputError, RunError
from aptnn_md.models.archive import content_sha256
from aptnn_md.models.quiet_mace import quiet_mace
from aptnn_md.potentials.loading import load_potential
from aptnn_md.potentials.mace import MACEPotential, _sums
from aptnn_md.potentials.mace_network import build_network, new_network
from aptnn_md.potentials.stored import read_potential, write_potential

pytestmark = [
    pytest.mark.mace,
    # not by importing it: that would change settings of the whole process
    pytest.mark.skipif(importlib.util.find_spec("mace") is None, reason="needs mace-torch"),
]

BUNDLED = bundled_path("water-mace.json")
PACK = ROOT / "examples" / "water_mace" / "pack.py"
TRICLINIC = np.array([[5.1, 0.3, -0.4], [1.7, 4.6, 0.2], [-0.6, 1.1, 4.9]])
"""Shorter than twice the cutoff: atoms see several images of each other and of themselves."""


def water(seed: int = 0, cell: np.ndarray = TRICLINIC, n_molecules: int = 4) -> Atoms:
    """Molecules at random places and orientations, some outside the cell."""
    rng = np.random.default_rng(seed)
    shape = np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])
    grid = np.array([[x, y, z] for x in (0, 0.5) for y in (0, 0.5) for z in (0, 0.5)])
    positions = []
    for place in grid[:n_molecules]:
        rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        place = place + rng.integers(-1, 2, size=3)
        positions.append(place @ cell + shape @ rotation + rng.normal(scale=0.08, size=(3, 3)))
    return Atoms("OHH" * n_molecules, np.concatenate(positions), cell=cell, pbc=True)


@pytest.fixture(scope="module")
def double() -> MACEPotential:
    return load_potential("water-mace", dtype="float64")


@pytest.fixture(scope="module")
def mace_module() -> torch.nn.Module:
    """The bundled network for mace-torch's own calculator."""
    header, weights = read_potential(BUNDLED)
    return build_network(BUNDLED, header["configuration"], weights)


def without_walls(dtype: str, path: Path = BUNDLED) -> MACEPotential:
    header, weights = read_potential(path)
    network = build_network(path, header["configuration"], weights)
    return MACEPotential(network, dtype=dtype)


def mace_calculator(module: torch.nn.Module, dtype: str):
    import copy

    with quiet_mace():
        from mace.calculators import MACECalculator

        model = copy.deepcopy(module).to(getattr(torch, dtype))
        # its lists of neighbours have the default dtype
        torch.set_default_dtype(getattr(torch, dtype))
        return MACECalculator(models=[model], device="cpu", default_dtype=dtype)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), thorough_but([("float64", 1e-7), ("float32", 3e-4)], "float64")
)
def test_agrees_with_mace_torch(mace_module, dtype, tolerance):
    ours, theirs = without_walls(dtype), mace_calculator(mace_module, dtype)
    for seed in range(2):
        atoms = water(seed)
        size = np.abs(ours.get_forces(atoms)).max()
        assert size > 1.0
        assert ours.get_forces(atoms) == pytest.approx(
            theirs.get_property("forces", atoms), abs=tolerance * size
        )
        assert ours.get_stress(atoms) == pytest.approx(
            theirs.get_property("stress", atoms), abs=tolerance * size
        )
        # mace-torch adds the atoms' large energies in the network's precision
        offset = 2e-3 if dtype == "float32" else 1e-6
        assert ours.get_potential_energy(atoms) == pytest.approx(
            theirs.get_property("energy", atoms), abs=offset
        )


@pytest.mark.thorough
@pytest.mark.parametrize("dtype", [None, "float64"])
def test_mace_model_file(tmp_path, mace_module, dtype):
    """Evaluated on tables, and in several structures at once, it gives what mace-torch gives."""
    torch.save(mace_module, tmp_path / "water.model")
    calculator = load_potential(tmp_path / "water.model", dtype=dtype)
    assert isinstance(calculator, MACEPotential)
    assert calculator.name == "water"
    theirs = mace_calculator(mace_module, dtype or "float32")
    frames = [water(), water(3, n_molecules=2)]
    for atoms, found in zip(frames, calculator.evaluate(frames), strict=True):
        for name, tolerance in (("forces", 1e-4), ("stress", 1e-5), ("energy", 2e-3)):
            assert found[name] == pytest.approx(theirs.get_property(name, atoms), abs=tolerance)


@pytest.mark.thorough
def test_a_mace_model_of_another_kind_is_left_to_mace_torch(tmp_path):
    header, _ = read_potential(BUNDLED)
    configuration = {**header["configuration"], "correlation": 4, "max_ell": 1}
    network = new_network(configuration, seed=0)
    torch.save(network, tmp_path / "other.model")
    calculator = load_potential(tmp_path / "other.model")
    assert not isinstance(calculator, MACEPotential)
    assert np.isfinite(calculator.get_property("forces", water())).all()


@pytest.mark.thorough
def test_mace_leaves_no_lasting_settings():
    """In a new process: importing mace-torch's calculators changes settings when it happens."""
    code = (
        "import os, torch\n"
        "from aptnn_md.models.quiet_mace import quiet_mace\n"
        "with quiet_mace():\n"
        "    import mace.calculators\n"
        "assert 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD' not in os.environ\n"
        "assert torch.get_default_dtype() == torch.float32\n"
    )
    # another test of this process may have imported mace as it is
    environment = {k: v for k, v in os.environ.items() if k != "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"}
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


@pytest.mark.thorough
def test_bundled_says_nothing_and_names_what_is_missing():
    code = (
        "import sys\n"
        "{}"
        "from ase.build import molecule\n"
        "from aptnn_md.potentials.loading import load_potential\n"
        "atoms = molecule('H2O')\n"
        "atoms.calc = load_potential('water-mace')\n"
        "assert abs(atoms.get_forces()).max() < 5\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code.format("")], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    missing = code.format("sys.modules['mace'] = None\n")
    run = subprocess.run(
        [sys.executable, "-c", missing], capture_output=True, text=True, check=False
    )
    assert 'pip install "aptnn_md[mace]"' in run.stderr.splitlines()[-1]


@pytest.mark.parametrize("periodic", [True, (True, False, True), False])
def test_forces_are_the_gradient(double, periodic):
    atoms = water(3)
    atoms.pbc = periodic
    forces = double.get_forces(atoms)
    rng, h = np.random.default_rng(0), 1e-4
    for _ in range(4):
        direction = rng.normal(size=forces.shape)
        energies = []
        for factor in (2, 1, -1, -2):
            moved = atoms.copy()
            moved.positions += factor * h * direction
            energies.append(double.get_potential_energy(moved))
        slope = np.dot([-1.0, 8.0, -8.0, 1.0], energies) / (12 * h)
        assert -np.sum(forces * direction) == pytest.approx(slope, rel=1e-6, abs=1e-5)
    assert np.abs(forces.sum(axis=0)).max() < 1e-9


def test_stress_is_the_gradient(double):
    atoms, h = water(4), 1e-5
    stress = double.get_stress(atoms)
    for column, (a, b) in enumerate([(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]):
        energies = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[a, b] += sign * h / 2
            strain[b, a] += sign * h / 2
            strained = atoms.copy()
            strained.set_cell(atoms.cell.array @ strain, scale_atoms=False)
            strained.positions = atoms.positions @ strain
            energies.append(double.get_potential_energy(strained))
        slope = (energies[0] - energies[1]) / (2 * h) / atoms.get_volume()
        assert stress[column] == pytest.approx(slope, rel=1e-5, abs=1e-8)


def test_symmetries(double):
    atoms = water(5)
    energy, forces = double.get_potential_energy(atoms), double.get_forces(atoms)
    rng = np.random.default_rng(1)
    order = rng.permutation(len(atoms))
    moved = atoms[order]
    moved.positions += [3.1, -7.0, 0.4]
    moved.wrap()
    assert double.get_potential_energy(moved) == pytest.approx(energy, abs=1e-8)
    assert double.get_forces(moved) == pytest.approx(forces[order], abs=1e-8)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    if np.linalg.det(rotation) > 0:
        rotation *= -1  # an improper rotation tests inversion as well
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ rotation.T, scale_atoms=False)
    turned.positions = atoms.positions @ rotation.T
    assert double.get_potential_energy(turned) == pytest.approx(energy, abs=1e-8)
    # the generalised Clebsch-Gordan coefficients in the file are mace-torch's single precision ones
    assert double.get_forces(turned) == pytest.approx(forces @ rotation.T, abs=2e-7)


def test_supercell(double):
    atoms = water(6)
    repeated = make_supercell(atoms, [[2, 0, 0], [1, 1, 0], [0, 0, 1]], order="cell-major")
    assert double.get_potential_energy(repeated) == pytest.approx(
        2 * double.get_potential_energy(atoms), abs=1e-7
    )
    assert double.get_forces(repeated)[: len(atoms)] == pytest.approx(
        double.get_forces(atoms), abs=1e-8
    )


def test_batch_gives_the_single_results(double):
    big = 2.4 * TRICLINIC
    frames = [water(7), water(8, big, 8), Atoms("H", [[0, 0, 0]]), water(9)]
    for batched, atoms in zip(double.evaluate(frames), frames, strict=True):
        single = double.evaluate([atoms])[0]
        assert batched.keys() == single.keys()
        assert ("stress" in single) == bool(atoms.pbc.all())
        for name, value in single.items():
            assert batched[name] == pytest.approx(value, abs=1e-9)
        assert single["energies"].sum() == pytest.approx(single["energy"], abs=1e-9)


def test_nothing_jumps_at_the_cutoff(double):
    def energy(distance: float) -> float:
        return double.get_potential_energy(Atoms("OH", [[0, 0, 0], [0, 0, distance]]))

    apart = energy(100.0)
    assert energy(4.5 - 1e-4) == pytest.approx(apart, abs=1e-9)
    assert energy(4.5 + 1e-4) == pytest.approx(apart, abs=1e-12)
    assert abs(energy(3.5) - apart) > 1e-4


@pytest.mark.parametrize(
    ("name", "bare", "with_walls"),
    thorough_but(
        [
            ("water-mace", -1873.27887931, -1873.27887931),
            ("water-mace-0.1", -1872.87794411, -1872.85832828),
        ],
        "water-mace",
    ),
)
def test_bundled_weights_give_the_known_numbers(name, bare, with_walls):
    """With any version of e3nn."""
    atoms, path = water(0), bundled_path(f"{name}.json")
    found = without_walls("float64", path).get_potential_energy(atoms)
    assert found == pytest.approx(bare, abs=1e-7)
    found = load_potential(name, dtype="float64").get_potential_energy(atoms)
    assert found == pytest.approx(with_walls, abs=1e-7)


@pytest.mark.thorough
def test_walls_stand_only_where_liquid_water_never_is(double):
    start = ase.io.read(BUNDLED.with_name("water64.extxyz"))
    assert double.get_forces(start) == pytest.approx(
        without_walls("float64").get_forces(start), abs=0
    )
    # two molecules pushed into each other: the network alone is attractive there
    oxygen = np.arange(0, len(start), 3)
    near = 3 + 3 * int(start.get_distances(0, oxygen[1:], mic=True).argmin())
    vector = start.get_distance(0, near, mic=True, vector=True)
    length = np.linalg.norm(vector)
    energies = []
    for distance in np.arange(2.6, 1.2, -0.1):
        pushed = start.copy()
        pushed.positions[:3] += vector * (1 - distance / length)
        energies.append(double.get_potential_energy(pushed))
    assert (np.diff(energies) > 0).all()
    assert energies[-1] - energies[0] > 20


@pytest.mark.thorough
def test_walls_of_the_right_height():
    """A pair of atoms: energy k (r₀ - r)³ for each pair of elements."""
    header, weights = read_potential(BUNDLED)
    network = build_network(BUNDLED, header["configuration"], weights)
    bare = without_walls("float64")
    for wall in header["walls"]:
        r = wall["below"] - 0.2
        atoms = Atoms(wall["elements"], [[0, 0, 0], [0, 0, r]])
        higher = MACEPotential(network, [wall], dtype="float64").get_potential_energy(atoms)
        lower = bare.get_potential_energy(atoms)
        assert higher - lower == pytest.approx(wall["strength"] * 0.2**3, rel=1e-9)


@pytest.mark.thorough
def test_files_round_trip(tmp_path):
    header, weights = read_potential(BUNDLED)
    write_potential(
        tmp_path / "copy.json", header["configuration"], weights, header["card"], header["walls"]
    )
    atoms = water()
    assert load_potential(tmp_path / "copy.json").get_forces(atoms) == pytest.approx(
        load_potential("water-mace").get_forces(atoms), abs=0
    )
    assert BUNDLED.with_suffix(".pt").stat().st_size < 1e6
    for field in ("elements", "cutoff", "level_of_theory", "training_data", "licence_of_data"):
        assert header["card"][field]


def test_any_ase_calculator():
    text = 'ase.calculators.lj:LennardJones {"sigma": 2.5, "epsilon": 0.02}'
    calculator = load_potential(text)
    assert isinstance(calculator, LennardJones)
    assert calculator.parameters["sigma"] == 2.5


@pytest.mark.parametrize(
    ("spec", "part"),
    [
        ("watermace", "'watermace'"),
        ("no.such.module:thing", "no.such.module:thing"),
        ("ase.calculators.lj:Nothing", "callable"),
        ("ase.calculators.lj:LennardJones {sigma: 1}", "JSON"),
        ('ase.data:Formula {"formula": 1}', "callable"),
        ('ase.calculators.emt:EMT {"nothing": [}', "JSON"),
        ('ase:Atoms {"nothing": 1}', "keyword arguments"),
        ("collections:OrderedDict", "ASE calculator"),
    ],
)
def test_wrong_names(spec, part):
    with pytest.raises(InputError) as error:
        load_potential(spec)
    assert part in str(error.value)
    assert "\n" not in str(error.value)


def wall(**changes):
    return {"elements": ["O", "H"], "below": 0.7, "strength": 10.0, **changes}


def damaged(tmp_path: Path, change) -> Path:
    header, weights = read_potential(BUNDLED)
    write_potential(tmp_path / "bad.json", header["configuration"], weights, header["card"])
    header = json.loads((tmp_path / "bad.json").read_text())
    before = header.pop("sha256")
    assert before == content_sha256(header)
    change(header, tmp_path / "bad.pt")
    header = {"sha256": content_sha256(header), **header}
    (tmp_path / "bad.json").write_text(json.dumps(header))
    return tmp_path / "bad.json"


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda header, pt: header.update(format="aptnn_md.other"), "aptnn_md.other"),
        (lambda header, pt: header.update(version=3), "version"),
        (lambda header, pt: pt.write_bytes(pt.read_bytes()[:-100]), "SHA-256"),
        (lambda header, pt: pt.unlink(), "bad.pt"),
        (lambda header, pt: header["configuration"].update(no_such_key=1), "no_such_key"),
        (lambda header, pt: header["configuration"].update(hidden_irreps="8x0e+8x1o"), "weights"),
        (lambda header, pt: header.update(version=0), "version: found 0"),
        (lambda header, pt: header.update(version=True), "version: found True"),
        (lambda header, pt: header.update(sha256="none"), "SHA-256 of the content"),
        (lambda header, pt: header.update(card=[]), "card: found list"),
        (lambda header, pt: header.update(name=3), "name: found int"),
        (lambda header, pt: header.pop("configuration"), "configuration: found nothing"),
        (lambda header, pt: header.pop("weights_sha256"), "weights_sha256: found nothing"),
        (lambda header, pt: header.update(weights_sha256=3), "weights_sha256: found int"),
        (lambda header, pt: header.update(walls=[3]), "walls[0]: found 3"),
        (lambda header, pt: header.update(walls=[wall(elements=["O", "C"])]), "walls[0]: elements"),
        (lambda header, pt: header.update(walls=[wall(below=-1.0)]), "walls[0]: found (-1.0"),
        (lambda header, pt: header.update(walls=[wall(below="1")]), "walls[0]: found ('1'"),
        *[
            (lambda header, pt, c=changes: header["configuration"].update(c), part)
            for changes, part in (
                ({"r_max": 1e9}, "r_max: found 1000000000.0"),
                ({"r_max": "4"}, "r_max: found 4"),
                ({"num_bessel": 10**5}, "num_bessel: found 100000"),
                ({"num_bessel": 8.5}, "num_bessel: found 8.5"),
                ({"max_ell": 40}, "max_ell: found"),
                ({"correlation": 9}, "correlation: found 9"),
                ({"correlation": 2}, "correlation: found 2"),
                ({"correlation": []}, "correlation: found []"),
                ({"num_interactions": 900}, "num_interactions: found 900"),
                ({"num_elements": 100}, "num_elements: found 100"),
                ({"atomic_numbers": [8, 1]}, "atomic_numbers: found [8, 1]"),
                ({"atomic_numbers": [1.0, 8]}, "atomic_numbers: found"),
                ({"hidden_irreps": "10000000x0e"}, "hidden_irreps: found what needs"),
                ({"hidden_irreps": "16x0e+16x99o"}, "hidden_irreps: found 16x0e+16x99o"),
                ({"MLP_irreps": "99999999x0e"}, "MLP_irreps: found what needs"),
                ({"radial_MLP": [900000, 900000]}, "radial_MLP: found what needs"),
                ({"radial_MLP": "wide"}, "radial_MLP: found wide"),
                ({"gate": "embedding"}, "configuration and weights"),
                ({"readout_cls": "torch"}, "configuration and weights"),
                ({"interaction_cls": 3}, "interaction_cls: found 3"),
                ({"atomic_energies": "none"}, "configuration and weights"),
            )
        ],
    ],
)
def test_damaged_files(tmp_path, change, part):
    with pytest.raises(InputError) as error:
        load_potential(damaged(tmp_path, change))
    assert part in str(error.value)
    assert "bad." in str(error.value)
    assert "\n" not in str(error.value)


def test_the_first_version_is_read_as_before():
    path = bundled_path("water-mace-0.1.json")
    assert json.loads(path.read_text())["version"] == 1
    assert read_potential(path)[0]["card"]["elements"] == ["H", "O"]


@pytest.mark.parametrize(
    "text", ["", "{", "[1, 2]", '{"format": NaN}', "[" * 100_000, '{"format": "aptnn_md.mace"}']
)
def test_other_json_is_named(tmp_path, text):
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(InputError, match=r"bad\.json: (file|format|version)") as error:
        load_potential(tmp_path / "bad.json")
    assert len(str(error.value)) < 400


@pytest.mark.thorough
def test_weights_of_another_kind_are_named(tmp_path):
    header, weights = read_potential(BUNDLED)
    with pytest.raises(InputError, match=r"weights: r_max: found nan"):
        write_potential(
            tmp_path / "bad.json",
            header["configuration"],
            {**weights, "r_max": torch.tensor(float("nan"))},
            {},
        )

    def replaced(content):
        def change(header, pt):
            torch.save(content, pt)
            header["weights_sha256"] = hashlib.sha256(pt.read_bytes()).hexdigest()

        return change

    for content, part in (
        ([1, 2], "weights: found list"),
        ({"a": 1}, "a: found int"),
        ({**weights, "r_max": torch.tensor(float("inf"))}, "r_max: found inf"),
        ({**weights, "scale_shift.scale": torch.zeros(7)}, "scale_shift.scale"),
    ):
        with pytest.raises(InputError) as error:
            load_potential(damaged(tmp_path, replaced(content)))
        assert part in str(error.value)


@pytest.mark.parametrize("every", [*thorough_but([997]), pytest.param(41, marks=pytest.mark.slow)])
def test_each_flipped_bit_is_named_or_harmless(tmp_path, every):
    header, weights = read_potential(BUNDLED)
    path = tmp_path / "small.json"
    write_potential(path, header["configuration"], weights, header["card"], header["walls"])

    def content():
        header, weights = read_potential(path)
        header.pop("sha256")
        return content_sha256([header, weights])

    for file, step in ((path, every // 40 + 1), (path.with_suffix(".pt"), every)):
        verdicts = Flippable([file], content, ("small.",)).flip(step)
        print(f"{file.name}: {verdicts}")
        assert not verdicts.failures
        assert verdicts.counts[FOUND] > verdicts.counts[HARMLESS]


@pytest.mark.thorough
def test_results_that_are_not_finite_are_refused():
    header, weights = read_potential(BUNDLED)
    name = "readouts.1.linear_2.weight"
    weights[name] = torch.full_like(weights[name], 3e38)
    network = build_network(BUNDLED, header["configuration"], weights)
    with pytest.raises(RunError, match=r"potential MACE: energy of H8O4: (inf|-inf|nan), which is"):
        MACEPotential(network).get_forces(water())


@pytest.mark.parametrize("name", ["frames.extxyz", "half.model"])
def test_not_a_model_file(tmp_path, name, capfd):
    (tmp_path / name).write_bytes(b"3\n\nO 0 0 0\nH 0 0 1\nH 0 1 0\n")
    with pytest.raises(InputError, match="expected a MACE model"):
        load_potential(tmp_path / name)
    assert capfd.readouterr() == ("", "")


@pytest.mark.thorough
def test_unknown_element_and_precision():
    with pytest.raises(InputError, match="found C, N, expected H, O"):
        load_potential("water-mace").get_forces(Atoms("OCN", np.eye(3)))
    with pytest.raises(InputError, match="float16"):
        load_potential("water-mace", dtype="float16")
    with pytest.raises(InputError, match="positions"):
        load_potential("water-mace").get_forces(Atoms("O", [[np.nan, 0, 0]]))


@pytest.mark.thorough
def test_foreign_weights_are_refused():
    header, weights = read_potential(BUNDLED)
    del weights["interactions.0.linear.weight"]
    with pytest.raises(InputError, match=r"interactions\.0\.linear\.weight"):
        build_network("here", header["configuration"], weights)


def test_forces_are_sums_over_the_edges_of_each_atom():
    rng = np.random.default_rng(0)
    vectors, owners = rng.normal(size=(400, 3)), rng.integers(0, 20, 400)
    expected = np.zeros((25, 3))
    np.add.at(expected, owners, vectors)
    np.testing.assert_allclose(_sums(vectors, owners, 25), expected, rtol=0, atol=1e-13)
    assert not _sums(np.zeros((0, 3)), owners[:0], 2).any()
