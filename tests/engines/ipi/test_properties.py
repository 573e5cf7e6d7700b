"""Rates of all targets as properties of i-PI, whatever the targets are."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("ipi")

from ipi.utils.units import UnitMap

from aptnn_md.engines.ipi.attach import RateUnit, register_properties
from aptnn_md.engines.ipi.state import ATOMIC_TIME, BOHR, VELOCITY
from aptnn_md.errors import InputError
from aptnn_md.stream.frame import ESTIMATORS
from aptnn_md.targets import APT, PGT, TARGETS

pytestmark = pytest.mark.ipi

QUADRUPOLE = replace(
    APT,
    name="quad",
    title="quadrupole gradient",
    rate_name="quadrupole_rate",
    rate_unit="e Å²/fs",
    rate_axis="component",
    rate_components=("xx", "yy", "zz", "yz", "xz", "xy"),
)


class Stream:
    """What properties ask of a stream: two groups, rates that say target and estimator."""

    def __init__(self):
        self.groups = SimpleNamespace(labels=("a", "b"))
        self.system = SimpleNamespace(properties=SimpleNamespace(property_dict={}))

    def rate_of(self, target, estimator):
        number = 1.0 + list(TARGETS).index(target.name) + 10.0 * ESTIMATORS.index(estimator)
        return number * np.array([np.ones(target.n_components), np.arange(target.n_components)])

    def bead_rates(self):
        return np.arange(12.0).reshape(2, 2, 3)


@pytest.fixture
def stream(monkeypatch):
    monkeypatch.setitem(TARGETS, QUADRUPOLE.name, QUADRUPOLE)
    made = Stream()
    register_properties(made)
    yield made
    UnitMap.pop("quadrupole-rate", None)


def test_names_sizes_and_units(stream):
    found = stream.system.properties.property_dict
    known = {name: (each["dimension"], each["size"]) for name, each in found.items()}
    expected = {}
    for rate, dimension, size in (
        ("dipole_rate", "velocity", 3),
        ("polarizability_rate", "polarizability-rate", 6),
        ("quadrupole_rate", "quadrupole-rate", 6),
    ):
        for suffix in ("", "_centroid_apt", "_apt_at_centroid"):
            expected[rate + suffix] = (dimension, size)
    assert known == expected
    assert UnitMap["velocity"]["ang/fs"] == 1.0 / VELOCITY
    assert UnitMap["polarizability-rate"]["ang3/fs"] == 1.0 / (BOHR**3 / ATOMIC_TIME)
    assert UnitMap["quadrupole-rate"]["ang2/fs"] == 1.0 / (BOHR**2 / ATOMIC_TIME)
    for dimension in ("velocity", "polarizability-rate", "quadrupole-rate"):
        assert UnitMap[dimension]["atomic_unit"] == 1.0


def test_values(stream):
    found = stream.system.properties.property_dict
    for target in (APT, PGT, QUADRUPOLE):
        unit = RateUnit.of(target)
        rates = stream.rate_of(target, "centroid-apt")
        ask = found[f"{target.rate_name}_centroid_apt"]["func"]
        np.testing.assert_allclose(ask() * unit.atomic, rates.sum(axis=0))
        np.testing.assert_allclose(ask(group="b") * unit.atomic, rates[1])
        with pytest.raises(InputError, match=f"{target.rate_name}.*group: found c, expected one"):
            ask(group="c")
    dipole = found["dipole_rate"]["func"]
    np.testing.assert_allclose(dipole(bead="1", group="b") * VELOCITY, [9.0, 10.0, 11.0])
    with pytest.raises(InputError, match="dipole_rate: bead: found 2, expected a number below 2"):
        dipole(bead="2")
    for name in ("quadrupole_rate", "dipole_rate_centroid_apt"):
        with pytest.raises(InputError, match=f"{name}: bead: found 0, expected no bead"):
            found[name]["func"](bead="0")


@pytest.mark.parametrize(
    ("text", "name", "atomic"),
    [
        ("1/fs", "1/fs", 1.0 / ATOMIC_TIME),
        ("e Å/fs", "ang/fs", BOHR / ATOMIC_TIME),
        ("e² Å⁴/fs", "ang4/fs", BOHR**4 / ATOMIC_TIME),
    ],
)
def test_units_of_rates(text, name, atomic):
    unit = RateUnit.of(replace(QUADRUPOLE, rate_unit=text))
    assert (unit.name, unit.atomic) == (name, pytest.approx(atomic, rel=1e-15))


def test_a_unit_that_is_not_known():
    with pytest.raises(InputError, match="rate_unit: found D/fs, expected powers of e, Å, fs"):
        RateUnit.of(replace(QUADRUPOLE, rate_unit="D/fs"))
