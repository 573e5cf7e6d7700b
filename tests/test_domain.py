"""The spread of a committee and its limits, against numbers written out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from aptnn_md.domain import Domain
from aptnn_md.domain_watch import DomainWatch
from aptnn_md.errors import InputError
from aptnn_md.tensors import atom_deviations, largest_deviation

FACTORS = np.array([0.8, 1.0, 1.3])
STD = np.sqrt(((FACTORS - FACTORS.mean()) ** 2).sum() / 2.0)
NUMBERS = [8, 1, 17, 1]
KNOWN = {"apt": {"H": 0.01, "O": 0.04}, "pgt": {"H": 0.2, "O": 0.1, "Cl": 0.3}}


def members(sizes: list[float], shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Tensors by three members of atoms whose root mean squares are ``sizes``; not symmetric."""
    single = np.random.default_rng(seed).normal(size=(len(sizes), *shape))
    axes = tuple(range(1, single.ndim))
    single /= np.sqrt((single**2).mean(axis=axes, keepdims=True))
    single *= np.reshape(sizes, (-1, *[1] * len(shape)))
    return np.multiply.outer(FACTORS, single)


def test_spread_of_atoms() -> None:
    sizes = [0.3, 0.1, 0.9, 0.2]
    for shape in ((3, 3), (3, 3, 3)):
        found = atom_deviations(members(sizes, shape), len(shape))
        np.testing.assert_allclose(found, STD * np.array(sizes), rtol=1e-12)
    beads = np.stack([members(sizes, (3, 3), seed) for seed in range(5)], axis=1)
    assert atom_deviations(beads).shape == (5, 4)
    assert largest_deviation(beads) == pytest.approx(STD * 0.9, rel=1e-12)


def test_ratios_are_those_of_the_elements_limits() -> None:
    """1.5 times the known spread; chlorine, without an APT's, has the smallest one."""
    domain = Domain("m", KNOWN)
    sizes = np.array([0.3, 0.1, 0.9, 0.2])
    of_apt = STD * sizes / (1.5 * np.array([0.04, 0.01, 0.01, 0.01]))
    of_pgt = STD * 7.0 * sizes / (1.5 * np.array([0.1, 0.2, 0.3, 0.2]))
    apt, pgt = members(list(sizes), (3, 3)), members(list(7.0 * sizes), (3, 3, 3))
    np.testing.assert_allclose(domain.ratios({"apt": apt}, NUMBERS), of_apt)
    both = domain.ratios({"apt": apt, "pgt": pgt}, NUMBERS)
    np.testing.assert_allclose(both, np.maximum(of_apt, of_pgt))
    assert (of_apt > of_pgt).any()
    assert (of_pgt > of_apt).any()
    # a target of one member, or none with limits, says nothing
    single = domain.ratios({"apt": apt, "pgt": pgt[:1]}, NUMBERS)
    np.testing.assert_allclose(single, of_apt)
    assert domain.ratios({"pgt": pgt[:1]}, NUMBERS) is None
    assert Domain("m", {"pgt": {"H": 1.0}}).ratios({"apt": apt}, NUMBERS) is None
    assert domain.judges({"apt": 1, "pgt": 2})
    assert not domain.judges({"apt": 1})


def test_no_limit_is_one_of_rounding() -> None:
    domain = Domain("m", {"apt": {"H": 0.0}})
    assert domain.limits("apt", [1, 6]) == pytest.approx([1e-4, 1e-4])


def test_first_structure_outside_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    domain = Domain("organic", {"apt": {"H": 0.01, "O": 0.04}})
    watch, again = DomainWatch(domain, [8, 1, 1]), DomainWatch(domain, [8, 1, 1])
    inside = members([0.2, 0.05, 0.05], (3, 3))
    outside = np.stack([inside, members([0.2, 0.05, 0.12], (3, 3))], axis=1)  # two beads
    assert watch.largest({"apt": inside}, 0) == pytest.approx(STD * 0.2 / 0.06)
    assert not caplog.messages
    assert watch.largest({"apt": outside}, 7) == pytest.approx(STD * 0.12 / 0.015)
    assert watch.largest({"apt": outside}, 8) > 1.0  # type: ignore[operator]
    assert again.largest({"apt": outside}) > 1.0  # type: ignore[operator]
    (message,) = caplog.messages
    assert "organic, H2O: its networks disagree about atom 2 (H) at step 7" in message
    assert "(APT by 0.03 e, limit 0.015 e)" in message
    assert "--save-frames DIR --above 0.015" in message


def test_each_molecule_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    domain = Domain("organic", {"apt": {"H": 0.01, "O": 0.01}}, {"apt": 1.0})
    caplog.set_level("INFO", logger="aptnn_md")
    for numbers in ([8, 1, 1], [8, 8, 1, 1], [8, 1, 1], [8, 8, 1, 1]):
        DomainWatch(domain, numbers).largest({"apt": members([0.2] * len(numbers), (3, 3))})
    molecules = [message.split(":")[0] for message in caplog.messages]
    assert molecules == [f"model organic, {name}" for name in ("H2O", "H2O", "H2O2", "H2O2")]


SIZE = float(FACTORS.mean())
"""Size of the mean tensors whose single ones have root mean squares of 1."""


def test_expected_errors_are_spreads_times_the_factor() -> None:
    """Of three beads of four atoms, for tensors of both ranks."""
    sizes = np.array([0.3, 0.1, 0.9, 0.2])
    beads = np.stack([members(list(k * sizes), (3, 3), k) for k in (1, 2, 4)], axis=1)
    pgt = members(list(sizes), (3, 3, 3))
    domain = Domain("m", KNOWN, {"apt": 2.5, "pgt": 3.0})
    found = domain.expected_errors({"apt": beads, "pgt": pgt})
    scale = np.array([1.0, 2.0, 4.0])
    np.testing.assert_allclose(found["apt"].atoms, 2.5 * STD * np.outer(scale, sizes), rtol=1e-12)
    rms = np.sqrt((sizes**2).mean())
    np.testing.assert_allclose(found["apt"].structure, 2.5 * STD * scale * rms, rtol=1e-12)
    np.testing.assert_allclose(found["apt"].size, SIZE * scale * rms, rtol=1e-12)
    assert found["pgt"].structure == pytest.approx(3.0 * STD * rms, rel=1e-12)
    # of a single member, and of a target whose factor is not known, nothing is expected
    assert not domain.expected_errors({"apt": beads[:1]})
    assert not Domain("m", KNOWN).expected_errors({"apt": beads, "pgt": pgt})


def test_large_expected_errors_are_outside_however_large_the_known_spreads_are() -> None:
    """A quarter of the tensors' size for all atoms, half of it for a single one."""
    wide = {"apt": {"H": 100.0, "O": 100.0, "Cl": 100.0}}
    factor = 0.5 * SIZE / STD  # the error of all atoms is half of their size, twice the limit
    same = members([0.4] * 4, (3, 3))
    ratios = Domain("m", wide, {"apt": factor}).ratios({"apt": same}, NUMBERS)
    np.testing.assert_allclose(ratios, np.full(4, 2.0), rtol=1e-12)
    # a single atom that is off among a hundred that are right
    mean = members([0.4] * 100, (3, 3)).mean(axis=0)
    one = np.zeros((3, 100, 3, 3))
    one[:, 7] = members([0.4], (3, 3))[:, 0] - mean[7]
    ratios = Domain("m", wide, {"apt": factor}).ratios({"apt": mean + one}, [1] * 100)
    assert ratios is not None
    assert ratios[7] == pytest.approx(0.5 / 0.5, rel=1e-12)
    np.testing.assert_allclose(np.delete(ratios, 7), 0.5 / 10.0 / 0.25, rtol=1e-12)
    # small tensors are compared as if their size was 0.1 e: those of N2 vanish
    small = members([0.05 / SIZE] * 4, (3, 3))
    ratios = Domain("m", wide, {"apt": factor}).ratios({"apt": small}, NUMBERS)
    np.testing.assert_allclose(ratios, np.full(4, 1.0), rtol=1e-12)
    ratios = Domain("m", wide, {"apt": factor}).ratios({"apt": 0.0 * same}, NUMBERS)
    np.testing.assert_array_equal(ratios, np.zeros(4))


def test_expected_error_of_the_first_structure_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    domain = Domain("organic", {"apt": {"H": 10.0, "O": 10.0}}, {"apt": 2.0})
    watch = DomainWatch(domain, [8, 1, 1])
    first = members([0.2] * 3, (3, 3))
    mean = first.mean(axis=0)
    second = mean + np.array([1.0, 1.0, 3.0])[:, None, None] * (first - mean)
    beads = np.stack([first, second], axis=1)
    caplog.set_level("INFO", logger="aptnn_md")
    error, share = 2.0 * STD * 0.2, 200.0 * STD / SIZE
    said = f"expected error of the APTs {error:.2g} e, {share:.2g} % of their size"
    assert watch.largest({"apt": beads}, 3) > 1.0  # type: ignore[operator]
    watch.largest({"apt": beads}, 4)
    told, warned = caplog.messages
    assert told == f"model organic, H2O: {said}; of one atom up to {error:.2g}"
    # the second bead is farther outside, by the error of its last atom
    assert "its networks disagree about atom 2 (H) at step 3 (expected error" in warned
    assert f"of one atom up to {3.0 * error:.2g})" in warned


def test_cards_say_the_limits() -> None:
    assert Domain.of_card("m", {"elements": ["H"]}) is None
    domain = Domain.of_card("m", {"known_spread": KNOWN})
    assert domain is not None
    assert domain.known == KNOWN
    assert domain.factors == {}
    known = Domain.of_card("m", {"known_spread": KNOWN, "spread_factor": {"apt": 2.5}})
    assert known is not None
    assert known.factors == {"apt": 2.5}
    parts = [Domain("a", {"pgt": KNOWN["pgt"]}, {"pgt": 1.5}), None]
    joined = Domain.joined("a,b", [*parts, Domain("b", {"apt": KNOWN["apt"]})])
    assert joined is not None
    assert joined.known == KNOWN
    assert joined.factors == {"pgt": 1.5}
    assert Domain.joined("a,b", [None, None]) is None


def damaged() -> Iterator[Any]:
    yield 3.0
    yield {"apt": 0.1}
    yield {"apt": {}}
    yield {"dipole": {"H": 0.1}}
    for wrong in ("0.1", -0.1, float("nan"), float("inf"), None):
        yield {"apt": {"H": wrong}}
    yield {"apt": {"Xx": 0.1}}


@pytest.mark.parametrize("wrong", list(damaged()))
def test_damaged_cards_are_refused(wrong: Any) -> None:
    with pytest.raises(InputError, match=r"model m: known_spread: found .*target -> element"):
        Domain.of_card("m", {"known_spread": wrong})


@pytest.mark.parametrize("wrong", [2.0, {"apt": "2"}, {"apt": -1.0}, {"dipole": 1.0}])
def test_damaged_factors_are_refused(wrong: Any) -> None:
    with pytest.raises(InputError, match=r"model m: spread_factor: found .*error over spread"):
        Domain.of_card("m", {"known_spread": KNOWN, "spread_factor": wrong})
