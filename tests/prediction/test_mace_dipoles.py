"""Dipole networks of mace-torch as models, against the dipole of mace-torch's own calculator."""

from __future__ import annotations

import importlib.util
import json
import pickle
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms, units
from helpers.mace_networks import mace_network
from helpers.systems import random_checkpoint, triclinic
from helpers.tiers import slow, thorough_but

from aptnn_md.cli import main
from aptnn_md.errors import InputError, RunError
from aptnn_md.models.quiet_mace import quiet_mace
from aptnn_md.prediction.loading import as_model
from aptnn_md.prediction.mace_dipoles import MACEDipoles
from aptnn_md.prediction.mace_file import is_mace_file
from aptnn_md.prediction.model_file import write_model_file
from aptnn_md.testing import check_tensor_model

pytestmark = [
    pytest.mark.mace,
    # not by importing it: that would change settings of the whole process
    pytest.mark.skipif(importlib.util.find_spec("mace") is None, reason="needs mace-torch"),
]

CALCULATOR_TYPE = {
    "AtomicDipolesMACE": "DipoleMACE",
    "EnergyDipolesMACE": "EnergyDipoleMACE",
    "AtomicDielectricMACE": "DipolePolarizabilityMACE",
}
IN_E_ANGSTROM = {
    "AtomicDipolesMACE": units.Debye,
    "EnergyDipolesMACE": units.Debye,
    "AtomicDielectricMACE": 1.0,
}
NETWORKS: dict[str, torch.nn.Module] = {}


def network(kind: str) -> torch.nn.Module:
    """Each is made once, as that takes a second."""
    if kind not in NETWORKS:
        NETWORKS[kind] = mace_network(kind)
    return NETWORKS[kind]


def calculator(kind: str):
    with quiet_mace():
        from mace.calculators import MACECalculator

        # its argument charges_key has no effect in mace-torch 0.3.16
        return MACECalculator(
            models=[network(kind)],
            default_dtype="float64",
            model_type=CALCULATOR_TYPE[kind],
            arrays_keys={"charges": "Qs"},
        )


def ion(charge: float = 1.0, charges: bool = True) -> Atoms:
    """A molecule with a charge, off the origin, with fixed charges that are not alike."""
    atoms = Atoms("OHHNa", [[3.0, 0, 0], [3.9, 0.2, 0], [2.7, 0.9, 0.1], [3.3, -0.7, 2.1]])
    atoms.info["charge"] = charge
    if charges:
        atoms.set_array("Qs", np.array([-0.9, 0.35, 0.55, charge]))
    return atoms


def periodic() -> Atoms:
    """In a cell shorter than twice the cutoff, some atoms outside of it."""
    atoms = triclinic(seed=3, n_atoms=11, size=5.0)
    atoms.positions[::3] += atoms.cell.array[1]
    return atoms


def differences(kind: str, atoms: Atoms, step: float = 1e-3) -> np.ndarray:
    """∂M_α/∂r_iβ of the calculator's dipole by differences of fourth order, in its own unit."""
    theirs = calculator(kind)
    apt = np.zeros((len(atoms), 3, 3))
    for atom, axis in np.ndindex(len(atoms), 3):
        for n, weight in ((-2, 1.0), (-1, -8.0), (1, 8.0), (2, -1.0)):
            moved = atoms.copy()
            moved.positions[atom, axis] += n * step
            dipole = np.array(theirs.get_property("dipole", moved), dtype=np.float64)
            apt[atom, :, axis] += weight * dipole / (12.0 * step)
    return apt


CASES = [
    ("AtomicDipolesMACE", ion()),
    ("AtomicDipolesMACE", periodic()),
    ("EnergyDipolesMACE", ion(-1.0)),
    ("EnergyDipolesMACE", periodic()),
    ("AtomicDielectricMACE", ion(charges=False)),
    ("AtomicDielectricMACE", ion(0.0, charges=False)),
]


@pytest.mark.thorough
@pytest.mark.parametrize(("kind", "atoms"), [*CASES[3:5], *thorough_but([*CASES[:3], *CASES[5:]])])
def test_apts_are_the_gradients_of_mace_torchs_own_dipole(kind, atoms):
    expected = differences(kind, atoms) * IN_E_ANGSTROM[kind]
    size = np.abs(expected).max()
    asymmetry = np.abs(expected - expected.transpose(0, 2, 1)).max()
    assert size > 0.1
    assert asymmetry > 0.02 * size
    for dtype, tolerance in (("float64", 1e-7), ("float32", 1e-4)):
        model = MACEDipoles([network(kind)], dtype=dtype, neutral=False)
        assert np.abs(model(atoms) - expected).max() < tolerance * size, dtype


@pytest.mark.thorough
@pytest.mark.parametrize(("kind", "atoms"), CASES)
@pytest.mark.parametrize("dtype", thorough_but(["float64", "float32"], "float32"))
def test_sum_rule_holds_by_construction_and_exactly(kind, atoms, dtype):
    charge = atoms.info.get("charge", 0.0)
    raw = MACEDipoles([network(kind)], dtype=dtype, neutral=False)(atoms)
    size = np.abs(raw).max()
    rounding = 1e-12 if dtype == "float64" else 1e-5
    assert np.abs(raw.sum(axis=0) - charge * np.eye(3)).max() < rounding * size
    exact = MACEDipoles([network(kind)], dtype=dtype)(atoms)
    assert np.abs(exact.sum(axis=0) - charge * np.eye(3)).max() < 1e-12 * size
    assert np.abs(exact - raw).max() < rounding * size


@pytest.mark.thorough
@pytest.mark.parametrize("kind", slow(IN_E_ANGSTROM, "AtomicDipolesMACE", "AtomicDielectricMACE"))
def test_interface(kind):
    free = [ion(charges=kind != "AtomicDielectricMACE"), Atoms("HONa", np.diag([0.9, -0.4, 2.0]))]
    boxes = [] if kind == "AtomicDielectricMACE" else [periodic(), triclinic(1, n_atoms=5)]
    for dtype, tolerance in (("float64", 1e-9), ("float32", 1e-4)):
        committee = [network(kind), mace_network(kind, seed=1)]
        model = MACEDipoles(committee, dtype=dtype)
        check_tensor_model(model, [*free, *boxes], tolerance=tolerance)
        single = MACEDipoles(committee[1:], dtype=dtype).evaluate(free)[0]["apt"]
        both = model.evaluate(free)[0]["apt"]
        np.testing.assert_allclose(both[1:], single, atol=1e-12)
        assert np.abs(both[0] - both[1]).max() > 1e-3
    assert network(kind).products[0].linear.weight.dtype == torch.float64  # not the user's own


def test_charges_that_the_dipole_does_not_have_are_refused():
    """Whose share of the missing charge is an atom's depends on the dipole's origin."""
    atoms = ion(charges=False)
    model = MACEDipoles([network("AtomicDipolesMACE")])
    with pytest.raises(InputError, match=r"charge: found -?0 e by .*, expected 1 e; .* array 'Qs'"):
        model(atoms)
    loose = MACEDipoles([network("AtomicDipolesMACE")], neutral=False)
    assert np.abs(loose(atoms).sum(axis=0)).max() < 1e-9
    atoms.info.clear()
    with pytest.raises(InputError, match="expected -2 e"):
        MACEDipoles([network("AtomicDipolesMACE")], total_charge=-2.0)(atoms)


def test_unit_of_the_dipole_is_what_the_user_says():
    atoms = ion(0.0, charges=False)
    debye, other = (
        MACEDipoles([network("EnergyDipolesMACE")], dipole_unit=unit)(atoms)
        for unit in (None, "e*angstrom")
    )
    np.testing.assert_allclose(debye, other * 0.208194334, rtol=1e-7, atol=1e-12)


@pytest.mark.thorough
def test_lone_atoms_and_none():
    """Networks that have no pair to see have no gradient of it."""
    for kind in IN_E_ANGSTROM:
        model = MACEDipoles([network(kind)])
        cation = Atoms("Na", info={"charge": 1.0})
        cation.set_array("Qs", np.ones(1))
        empty, one, far = model.evaluate([Atoms(), cation, Atoms("OH", [[0, 0, 0], [90, 0, 0]])])
        assert empty["apt"].shape == (1, 0, 3, 3)
        np.testing.assert_allclose(one["apt"], np.eye(3)[None, None], atol=1e-12)
        assert np.abs(far["apt"].sum(axis=1)).max() < 1e-12
        assert not model.evaluate([])


# ------------------------------------------------------------------ recognised


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("mace")
    for kind in ("AtomicDipolesMACE", "ScaleShiftMACE"):
        torch.save(mace_network(kind), place / f"{kind}.model")
    return place


@pytest.mark.thorough
def test_as_model_knows_files_networks_and_calculators(place, monkeypatch):
    atoms, kind = ion(), "AtomicDipolesMACE"
    expected = MACEDipoles([network(kind)])(atoms)
    path = place / f"{kind}.model"
    monkeypatch.syspath_prepend(str(place))
    (place / "makes_a_network.py").write_text(
        "from helpers.mace_networks import mace_network as make\n"
    )
    options = {"dtype": "float64", "device": "cpu", "total_charge": None, "neutral": True}
    by_class = f"aptnn_md.prediction.mace_dipoles:MACEDipoles.from_file path={path}"
    for source in (
        path,
        by_class,
        network(kind),
        calculator(kind),
        f"makes_a_network:make kind={kind}",
    ):
        model = as_model(source, **options)
        assert isinstance(model, MACEDipoles)
        np.testing.assert_allclose(model(atoms), expected, atol=1e-12)
    named = as_model(path)
    assert (named.name, len(named.sha256), named.elements) == (kind, 64, (1, 8, 11))
    assert named.cutoff == 4.0


@pytest.mark.thorough
def test_no_file_of_another_name_is_unpickled(place, tmp_path):
    """Nor is one that names mace-torch with a wrong suffix, whatever it would run."""
    (tmp_path / "a.pt").write_bytes((place / "AtomicDipolesMACE.model").read_bytes())
    with pytest.raises(InputError, match=r"runs the code in it, expected the name NAME.model"):
        as_model(tmp_path / "a.pt")
    marker = tmp_path / "ran"
    evil = Evil(f"open({str(marker)!r}, 'w').close() # mace.modules")
    for name in ("plain.model", "zip.pt"):
        if name == "plain.model":
            (tmp_path / name).write_bytes(pickle.dumps(evil))
        else:
            torch.save(evil, tmp_path / name)
        with pytest.raises(InputError):
            as_model(tmp_path / name)
        assert not marker.exists()
    # a model file of ours may be called so
    write_model_file(tmp_path / "ours.model", random_checkpoint())
    assert not is_mace_file(tmp_path / "ours.model")
    assert as_model(tmp_path / "ours.model").cutoff == 4.0


class Evil:
    def __init__(self, code: str) -> None:
        self.code = code

    def __reduce__(self):
        return exec, (self.code,)


@pytest.mark.thorough
def test_commands(place, tmp_path, capfd, caplog):
    path = place / "AtomicDipolesMACE.model"
    caplog.set_level("INFO", logger="aptnn_md")
    main(["info", "--json", str(path)])
    facts = json.loads(capfd.readouterr().out)
    assert facts["kind"] == "model (MACE)"
    assert facts["dipole_unit"] == "debye"
    assert "not in the file" in facts["licence"]
    atoms = ion()
    ase.io.write(tmp_path / "in.extxyz", atoms)
    arguments = ["--model", path, "--data", tmp_path / "in.extxyz", "--out", tmp_path / "o.extxyz"]
    main(["predict", *map(str, arguments), "--dtype", "float64"])
    assert "dipole in debye; licence of the weights not in the file" in caplog.text
    found = ase.io.read(tmp_path / "o.extxyz").arrays["apt"].reshape(-1, 3, 3)
    expected = differences("AtomicDipolesMACE", atoms) * units.Debye
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dtype": "float16"}, "dtype: found 'float16', expected one of float32, float64"),
        ({"dipole_unit": "au"}, r"dipole_unit: found 'au', expected one of debye, e\*angstrom"),
        ({"networks": []}, "networks: found none, expected at least one"),
        ({"networks": ("AtomicDipolesMACE", "EnergyDipolesMACE")}, "networks: found several"),
        ({"networks": ("ScaleShiftMACE",)}, "network: found ScaleShiftMACE, expected one that"),
        ({"atoms": Atoms("C")}, r"element: found C, expected H, O, Na \(model MACE\)"),
        ({"qs": [np.nan] * 4}, "Qs: found shape .*, expected .* finite charges"),
    ],
)
def test_what_cannot_be_is_refused(change, message):
    options = {key: value for key, value in change.items() if key in ("dtype", "dipole_unit")}
    atoms = change.get("atoms", ion())
    if "qs" in change:
        atoms.set_array("Qs", np.array(change["qs"]))
    networks = [network(kind) for kind in change.get("networks", ("AtomicDipolesMACE",))]
    with pytest.raises(InputError, match=message):
        MACEDipoles(networks, **options)(atoms)


def test_dipoles_of_positions_are_refused_in_a_cell():
    with pytest.raises(InputError, match="expected open space"):
        MACEDipoles([network("AtomicDielectricMACE")])(periodic())


@pytest.mark.thorough
def test_files_that_cannot_be_used_are_named(place, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="found ScaleShiftMACE, expected one that gives a dipole"):
        as_model(place / "ScaleShiftMACE.model")
    with pytest.raises(InputError, match=r"none.model: file: found No such file"):
        MACEDipoles.from_file(tmp_path / "none.model")
    content = (place / "AtomicDipolesMACE.model").read_bytes()
    (tmp_path / "half.model").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError):
        as_model(tmp_path / "half.model")
    monkeypatch.setitem(sys.modules, "mace.modules", None)
    with pytest.raises(RunError, match=r"MACE models need mace-torch: pip install"):
        as_model(place / "AtomicDipolesMACE.model")
