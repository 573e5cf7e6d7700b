"""What the package does not know: made-up targets, engines and partitions give stream and spectrum.

The engine is ``helpers.made_up_engine``, some twenty lines. The targets are gradients of a scalar
and of five numbers, registered here in a few lines each.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from ase import Atoms
from ase.io import read, write
from helpers import toy_molecules
from helpers.made_up_engine import vibrate
from helpers.observed_runs import stream_run
from helpers.systems import SMALL_ACE

from aptnn_md.atoms.groups import Groups
from aptnn_md.cli import main
from aptnn_md.spectra.estimation.plan import plan_spectrum
from aptnn_md.spectra.estimation.runs import power_blocks
from aptnn_md.spectra.estimation.terms import total
from aptnn_md.spectra.options import InfraredOptions
from aptnn_md.stream import StreamReader
from aptnn_md.targets import TARGETS, Target
from aptnn_md.units import LIGHT_SPEED_CM_PER_FS

WAVENUMBER, SPACING = 1600.0, 1.0


def made_up(n_numbers: int) -> Target:
    """Gradients of some numbers, one row of each atom's tensor for each."""
    return Target(
        name=f"made-up-{n_numbers}",
        title=f"gradient of {n_numbers} numbers",
        shape=(3,) if n_numbers == 1 else (n_numbers, 3),
        unit="1/Å",
        index_symmetry="i",
        ase_name="made_up_gradients",
        rate_name="made_up_rate",
        rate_unit="1/fs",
        rate_axis="number",
        rate_components=tuple(f"n{k}" for k in range(n_numbers)),
        rows=lambda tensors: (
            tensors.reshape(*tensors.shape[:-1], 1, 3) if n_numbers == 1 else tensors
        ),
        project=lambda tensors, total_charge: tensors,
        residue=lambda tensors, total_charge: tensors.sum(axis=0),
        parts=lambda tensors: {"all": tensors},
    )


@pytest.mark.thorough
@pytest.mark.parametrize("n_numbers", [1, 5])
def test_a_made_up_target_of_a_made_up_engine(tmp_path, monkeypatch, n_numbers):
    target = made_up(n_numbers)
    monkeypatch.setitem(TARGETS, target.name, target)
    atoms = toy_molecules.structure(2, pbc=True)
    rng = np.random.default_rng(0)
    constant = rng.normal(size=(3, len(atoms), *target.shape))  # three members of a committee

    def tensors_of(structure: Atoms):
        apt = toy_molecules.polar_tensors(structure.positions)
        return {"apt": apt[None], target.name: constant}

    amplitudes = vibrate(
        tmp_path / "s",
        atoms,
        tensors_of,
        range(3000),
        wavenumber=WAVENUMBER,
        spacing=SPACING,
        groups="element",
    )
    reader = StreamReader(tmp_path / "s")
    rates = reader.rate(target)
    assert rates.shape == (3000, 3, n_numbers)
    assert reader.read("made_up_rate_std").shape == rates.shape
    assert reader.dipole_rate().shape == (3000, 3, 3)

    (density,) = power_blocks(
        [rates], plan_spectrum(InfraredOptions(resolution=40.0), SPACING), total(3)
    ).values()
    peak = density.wavenumber[density.mean.argmax()]
    assert abs(peak - WAVENUMBER) < 0.6 * (density.wavenumber[1] - density.wavenumber[0])
    # ⟨Ẋ²⟩ from the velocities' own phases: ½ |Σ c·v exp(iφ)|² for each number
    phases = np.random.default_rng(5)
    phases.normal(size=(len(atoms), 3))
    waves = amplitudes * np.exp(1j * phases.uniform(0.0, 2.0 * np.pi, size=(len(atoms), 3)))
    rows = target.rows(constant.mean(axis=0))
    mean_square = 0.5 * (np.abs(np.einsum("nkb,nb->k", rows, waves)) ** 2).sum()
    found, _ = density.integral(WAVENUMBER - 120.0, WAVENUMBER + 120.0)
    assert 2.0 * LIGHT_SPEED_CM_PER_FS * found == pytest.approx(mean_square, rel=5e-3)


def test_other_programs_are_told_what_it_is(tmp_path, monkeypatch):
    target = made_up(5)
    monkeypatch.setitem(TARGETS, target.name, target)
    atoms = toy_molecules.structure(1)
    tensors = {"apt": np.ones((1, 3, 3, 3)), target.name: np.ones((1, 3, 5, 3))}
    vibrate(tmp_path / "s", atoms, lambda _: tensors, range(3))
    group = zarr.open_group(tmp_path / "s", mode="r")
    assert group["made_up_rate/bead"].metadata.dimension_names == ("frame", "group", "number")
    assert group.attrs["units"]["made_up_rate"] == "1/fs"
    assert "made_up_rate/<estimator>[frame, group, number], numbers n0, n1" in str(
        group.attrs["index_order"]
    )
    monkeypatch.delitem(TARGETS, target.name)
    assert StreamReader(tmp_path / "s").dipole_rate().shape == (3, 1, 3)


def test_a_made_up_target_is_learned_and_evaluated_by_the_commands(tmp_path, monkeypatch, capsys):
    target = made_up(1)
    monkeypatch.setitem(TARGETS, target.name, target)
    monkeypatch.chdir(tmp_path)
    frames = [toy_molecules.structure(2, pbc=False) for _ in range(3)]
    rng = np.random.default_rng(1)
    for atoms in frames:
        atoms.positions += rng.normal(scale=0.05, size=atoms.positions.shape)
        atoms.arrays["REF_made_up_gradients"] = atoms.positions - atoms.get_center_of_mass()
    write("frames.extxyz", frames, format="extxyz")
    options = ["--target", target.name, "--data", "frames.extxyz"]
    settings = "\n".join(f"{name} = {value}" for name, value in SMALL_ACE.items())
    Path("small.toml").write_text(f"[network]\n{settings}\n")
    learn = ["train", *options, "--config", "small.toml", "--epochs", "2", "--out", "m.pt"]
    assert main(learn) == 0
    assert main(["evaluate", "--model", "m.pt", *options, "--plot", "parity.png"]) == 0
    assert "1/Å" in capsys.readouterr().out
    assert Path("parity.png").stat().st_size > 1000
    assert main(["predict", "--model", "m.pt", "--data", "frames.extxyz", "--out", "p.extxyz"]) == 0
    found = read("p.extxyz", index=0).arrays[target.name]
    assert found.shape == (len(frames[0]), 3)
    assert 1e-3 < np.abs(found).max() < np.inf


class AlongAndAcross:
    """A partition of velocities by direction: along z, and across."""

    labels = ("along", "across")

    def __init__(self, atoms: Atoms) -> None:
        self.n_atoms, self.atom_groups = len(atoms), Groups.all_atoms(atoms)

    def __len__(self):
        return 2

    def rates(self, rows, velocities, snapshot=None):
        along = np.einsum("...nk,...n->...k", rows[..., 2], velocities[..., 2])
        total = np.einsum("...nkb,...nb->...k", rows, velocities)
        return np.stack([along, total - along], axis=-2)

    def f_sums(self, apt, masses, snapshot=None):
        of_atoms = (apt**2).sum(axis=-2) / (3.0 * masses[:, None])
        along = of_atoms[..., 2].sum(axis=-1)
        return np.stack([along, of_atoms.sum(axis=(-1, -2)) - along], axis=-1)


def test_a_made_up_partition_in_an_engine_of_ours(tmp_path):
    def stream(name, groups):
        atoms = toy_molecules.structure(2)
        atoms.calc = toy_molecules.Potential()
        model = toy_molecules.Committee()
        return stream_run(tmp_path / name, atoms, 0.5, 6, model, groups=groups)[0]

    whole = stream("whole", "all")
    parts = stream("parts", AlongAndAcross(toy_molecules.structure(2)))
    assert parts.header.groups == ("along", "across")
    np.testing.assert_allclose(parts.dipole_rate().sum(axis=1), whole.dipole_rate()[:, 0])
    assert np.abs(parts.dipole_rate()).min(axis=(0, 2)).min() > 0.0
    np.testing.assert_allclose(parts.f_sum.sum(), whole.f_sum[0])
    assert parts.read("dipole_rate_std").shape == (7, 2, 3)
