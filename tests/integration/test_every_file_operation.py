"""A short run, killed at each file operation in turn and restarted: the same files as unbroken."""

from __future__ import annotations

import functools
from pathlib import Path

import helpers.toy_molecules as toy
import numpy as np
import pytest
from helpers.die_at import run_and_die

from aptnn_md.engines.ase.calculator import APTCalculator
from aptnn_md.engines.ase.md import run_md
from aptnn_md.engines.ase.settings import MDSettings
from aptnn_md.stream import StreamReader


def short_run(directory: Path, restart: bool) -> None:
    atoms = toy.structure(2, pbc=True)
    atoms.calc = APTCalculator(toy.Tensors(), toy.Potential())
    settings = MDSettings(
        picoseconds=30 * 5e-4, stride=3, thermostat="langevin", seed=5, checkpoint_seconds=0.0
    )
    checkpoint = directory / "run.npz"
    run_md(atoms, directory / "stream", settings, checkpoint=checkpoint, restart=restart)


def content(directory: Path) -> dict[str, np.ndarray]:
    reader = StreamReader(directory / "stream")
    names = ("step", "time", "temperature", "f_sum")
    return {name: reader.read(name) for name in names} | {"rate": reader.dipole_rate()}


def check(tmp_path: Path, operations: range) -> int:
    expected_directory = tmp_path / "unbroken"
    expected_directory.mkdir()
    run_and_die(functools.partial(short_run, expected_directory, False), expected_directory)
    expected = content(expected_directory)
    for number in operations:
        directory = tmp_path / f"at-{number}"
        directory.mkdir()
        work = functools.partial(short_run, directory, True)
        if run_and_die(work, directory, number):
            return number - 1  # there are no more operations
        run_and_die(work, directory)
        found = content(directory)
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values, err_msg=f"{name}, {number}")
    return operations[-1]


def test_kill_at_the_first_file_operations(tmp_path: Path) -> None:
    """Where stream and checkpoint are made."""
    assert check(tmp_path, range(1, 31)) == 30


@pytest.mark.slow
def test_kill_at_every_file_operation(tmp_path: Path) -> None:
    n_operations = check(tmp_path, range(1, 10_000))
    print(f"killed at each of {n_operations} file operations")
    assert n_operations > 100
