"""Random damage to every kind of input: an error in words or the right result, and no code run."""

from __future__ import annotations

import pytest
from helpers.fuzz import CANARY, PICKLES, Fuzzed
from helpers.fuzzed_inputs import FUZZED


@pytest.mark.parametrize("most", [12, pytest.param(150, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", FUZZED)
def test_a_second_of_each(name, most, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    verdicts = FUZZED[name](tmp_path).run(tmp_path, seconds=1.5, most=most)
    assert verdicts.counts["found"] > 0
    assert not verdicts.failures


@pytest.mark.slow
@pytest.mark.parametrize("name", FUZZED)
def test_a_minute_of_each(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    verdicts = FUZZED[name](tmp_path).run(tmp_path, seconds=60, seed=1)
    print(f"{name}: {verdicts}")
    assert not verdicts.failures


def test_the_canary_sings(tmp_path, monkeypatch):
    """Whoever unpickles what comes is found out."""
    import pickle

    monkeypatch.chdir(tmp_path)

    def use(data: object) -> None:
        assert isinstance(data, bytes)
        pickle.loads(data).close()

    verdicts = Fuzzed(lambda rng: PICKLES[0], use).run(tmp_path, seconds=20, most=1)
    assert "code ran" in verdicts.failures[0]
    assert not (tmp_path / CANARY).exists()
