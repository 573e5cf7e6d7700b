"""Streams of i-PI pass the check of engines that the package ships."""

from __future__ import annotations

import importlib

import pytest

pytest.importorskip("ipi")

from helpers.ipi_inputs import PILE, write_input

from aptnn_md.engines.ipi.runner import run_ipi
from aptnn_md.engines.ipi.settings import StreamSettings
from aptnn_md.testing.engines import check_engine

pytestmark = [pytest.mark.ipi, pytest.mark.filterwarnings("ignore::DeprecationWarning:ipi")]


# a linear dipole of a ring polymer is that of its centroid, whose thermostat is hardly felt
WEAK = PILE.replace(">40<", ">1e9<")


@pytest.mark.parametrize(
    "dynamics", [{"mode": "nve"}, {"n_beads": 4, "mode": "nvt", "thermostat": WEAK}]
)
def test_positions_and_velocities_belong_together_and_no_step_is_lost(
    tmp_path, monkeypatch, dynamics
):
    monkeypatch.setattr(importlib.import_module("ipi.utils.softexit"), "SOFTEXITLATENCY", 0.05)
    monkeypatch.chdir(tmp_path)
    write_input(".", steps=24, checkpoint=12, **dynamics)

    def run(source, model, path, steps):
        settings = StreamSettings(path, stride=1, estimators=("bead",), groups="element")
        assert run_ipi(source, settings, model, total_steps=steps).finished

    check_engine(
        lambda model, path: run("input.xml", model, path, 24),
        tmp_path / "s.zarr",
        lambda model, path: run("run.state_1", model, path, 40),
    )
