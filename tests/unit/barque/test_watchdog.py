"""A call that runs too long is stopped where it is; anything else is left alone."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable

import pytest

from barque.errors import Overrun
from barque.watchdog import Watchdog

BUDGET_S = 0.1


def call(work: Callable[[], None]) -> None:
    """What calls a user's code here."""
    work()


def watched(budget_s: float = BUDGET_S) -> Watchdog:
    return Watchdog((call.__code__,), budget_s)


def for_ever() -> None:
    while True:
        pass


def test_an_endless_loop_is_stopped_within_about_its_budget() -> None:
    began = time.monotonic()
    with watched(), pytest.raises(Overrun, match=r"it ran longer than 0\.1 s for one message"):
        call(for_ever)
    assert BUDGET_S * 0.8 < time.monotonic() - began < 2.0


def test_the_traceback_leads_into_the_loop() -> None:
    with watched(), pytest.raises(Overrun) as caught:
        call(for_ever)
    assert "for_ever" in [entry.name for entry in caught.traceback]


def test_code_that_swallows_exceptions_is_stopped_too() -> None:
    def stubborn() -> None:
        while True:
            try:
                for_ever()
            except Exception:  # noqa: S112
                continue

    with watched(), pytest.raises(Overrun):
        call(stubborn)


def test_code_that_swallows_everything_is_stopped_again_and_again() -> None:
    stops = []

    def very_stubborn() -> None:
        while len(stops) < 3:
            try:
                for_ever()
            except BaseException as error:
                stops.append(type(error))

    with watched():
        call(very_stubborn)
    assert stops == [Overrun] * 3


def test_a_sleep_is_cut_short() -> None:
    began = time.monotonic()
    with watched(), pytest.raises(Overrun):
        call(lambda: time.sleep(30))
    assert time.monotonic() - began < 5


def test_many_short_calls_are_no_long_one() -> None:
    calls = 0

    def short() -> None:
        nonlocal calls
        calls += 1
        time.sleep(0.001)

    with watched():
        end = time.monotonic() + 5 * BUDGET_S
        while time.monotonic() < end:
            call(short)
    assert calls > 100


def test_what_is_not_a_users_code_may_take_its_time() -> None:
    with watched():
        time.sleep(3 * BUDGET_S)


def test_each_call_has_a_budget_of_its_own() -> None:
    with watched():
        for _ in range(2):
            with pytest.raises(Overrun):
                call(for_ever)
        call(lambda: None)


def test_the_signal_is_given_back_and_the_thread_ends() -> None:
    before, threads = signal.getsignal(signal.SIGURG), threading.active_count()
    with watched():
        assert signal.getsignal(signal.SIGURG) is not before
    assert signal.getsignal(signal.SIGURG) is before
    assert threading.active_count() == threads


def test_a_signal_that_comes_for_another_reason_harms_nobody() -> None:
    with watched():
        call(lambda: signal.raise_signal(signal.SIGURG))


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="it must be positive"):
        Watchdog((), 0.0)
