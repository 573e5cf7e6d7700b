"""Signals that end a run, and what they find when it has ended."""

from __future__ import annotations

import signal
import threading

import pytest

from aptnn_md.signals import hangup_terminates, interrupted, stop_requested

ALL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _handlers_come_back() -> object:
    before = [signal.getsignal(number) for number in ALL]
    yield
    assert [signal.getsignal(number) for number in ALL] == before


@pytest.mark.parametrize("number", ALL)
def test_a_signal_sets_the_event_and_a_second_one_interrupts(number: signal.Signals) -> None:
    with stop_requested() as stop:
        assert not stop.is_set()
        signal.raise_signal(number)
        assert stop.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize("number", ALL)
def test_signals_interrupt(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt), interrupted():
        signal.raise_signal(number)


def test_a_hangup_is_a_termination() -> None:
    seen = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        with hangup_terminates():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [signal.SIGTERM]


def test_nohup_is_respected() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_requested() as stop, interrupted(), hangup_terminates():
            signal.raise_signal(signal.SIGHUP)
            assert not stop.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_other_threads_have_no_signals() -> None:
    found = []

    def run() -> None:
        with stop_requested() as stop, interrupted():
            found.append(stop.is_set())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [False]
