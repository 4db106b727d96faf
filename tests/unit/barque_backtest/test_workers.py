"""Work over processes: every result, in any order of completion, and nobody left behind."""

from __future__ import annotations

import os
import signal
import time
from functools import partial

import psutil
import pytest

from barque.errors import ConfigError, InvariantError
from barque_backtest.workers import Work, each_of


def begin(offset: int) -> int:
    return offset


def add(state: int, task: int) -> tuple[int, int]:
    return state + task, os.getpid()


def misbehave(state: int, task: str) -> str:
    if task == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "refuse":
        raise ConfigError("no")
    if task == "break":
        raise ZeroDivisionError("zero")
    if task == "sleep":
        time.sleep(60)
    return task


def children() -> list[psutil.Process]:
    """Our workers; not the one process by which Python tracks semaphores."""
    alive = [p for p in psutil.Process().children() if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    return [p for p in alive if "resource_tracker" not in " ".join(p.cmdline())]


@pytest.mark.parametrize("processes", [1, 2])
def test_every_task_is_done_once_whatever_the_number_of_processes(processes: int) -> None:
    before = len(children())
    found = dict(each_of(Work(begin=partial(begin, 100), do=add), list(range(7)), processes))
    assert {place: result[0] for place, result in found.items()} == {i: 100 + i for i in range(7)}
    assert len({pid for _, pid in found.values()}) <= processes
    assert (os.getpid() in {pid for _, pid in found.values()}) == (processes == 1)
    assert len(children()) == before


def test_without_tasks_nothing_is_begun() -> None:
    assert list(each_of(Work(begin=partial(begin, 1), do=add), [], 2)) == []


@pytest.mark.parametrize(
    ("task", "kind", "text"),
    [
        ("die", InvariantError, r"ended \(exit code -9\) at task 1 of 2"),
        ("refuse", ConfigError, "no"),
        ("break", InvariantError, "ZeroDivisionError"),
    ],
)
def test_what_goes_wrong_in_a_worker_is_raised_here_and_all_workers_end(task: str, kind: type[Exception], text: str) -> None:
    before = len(children())
    began = time.monotonic()
    with pytest.raises(kind, match=text):
        list(each_of(Work(begin=partial(begin, 0), do=misbehave), [task, "sleep"], 2))
    assert time.monotonic() - began < 30
    assert len(children()) == before


def test_workers_end_when_nobody_wants_more() -> None:
    before = len(children())
    work = each_of(Work(begin=partial(begin, 0), do=misbehave), ["a", "sleep", "b"], 2)
    assert next(work) == (0, "a")
    assert len(children()) > before
    work.close()  # type: ignore[attr-defined]
    assert len(children()) == before
