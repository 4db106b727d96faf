"""The supervisor over real, tiny processes: who is started again, who is not, and that nothing is left."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from barque_cli.supervisor import BACKOFF_S, Child, Supervisor
from tests.support.books import wait_until

SLEEP = "import time; time.sleep(60)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    supervisor = Supervisor()
    yield supervisor
    supervisor.stop(timeout_s=1.0)


def start(supervisor: Supervisor, folder: Path, code: str, name: str = "child", **environment: str) -> Child:
    child = Child(name, [sys.executable, "-S", "-c", code], folder / "logs" / f"{name}.log", environment=environment)
    supervisor.start(child)
    return child


def pid_of(child: Child) -> int:
    assert child.process is not None
    return child.process.pid


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_killed_child_is_started_again_at_once(supervisor: Supervisor, tmp_path: Path) -> None:
    child = start(supervisor, tmp_path, SLEEP)
    killed = supervisor.kill("child")
    began = time.monotonic()
    wait_until(lambda: child.restarts == 1 and child.alive, 2, "the restart")
    assert time.monotonic() - began < 0.5
    assert pid_of(child) != killed
    assert supervisor.restarts == 1


def test_a_child_that_ends_by_itself_is_started_again_and_its_output_is_kept(supervisor: Supervisor, tmp_path: Path) -> None:
    child = start(supervisor, tmp_path, "import os; print('hello from', os.environ['WHO']); raise SystemExit(1)", WHO="me")
    wait_until(lambda: child.restarts >= 2, 3, "two restarts")
    lines = child.log_path.read_text().splitlines()
    assert lines[:2] == ["hello from me"] * 2
    assert child.last_line() == "hello from me"
    assert not child.given_up


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"event": "service_failed", "reason": "key \'gateway.port\': 8000 is taken"}', "key 'gateway.port': 8000 is taken"),
        ('{"event": "service_started"}', "service_started"),
        ("ModuleNotFoundError: no module", "ModuleNotFoundError: no module"),
        ("[1]", "[1]"),
    ],
)
def test_why_a_child_ended_is_said_in_the_words_of_its_log_alone(tmp_path: Path, line: str, reason: str) -> None:
    (tmp_path / "log").write_text(f"before\n{line}\n")
    assert Child("it", (), tmp_path / "log").reason() == reason


@pytest.mark.parametrize("code", [2, 3, 4])
def test_a_child_that_ends_for_good_is_left_alone(supervisor: Supervisor, tmp_path: Path, code: int) -> None:
    child = start(supervisor, tmp_path, f"print('why'); raise SystemExit({code})")
    wait_until(lambda: child.given_up, 3, "giving up")
    time.sleep(3 * 0.02)
    assert (child.restarts, child.alive, child.last_line()) == (0, False, "why")


def test_the_others_go_on_when_one_gives_up(supervisor: Supervisor, tmp_path: Path) -> None:
    bad = start(supervisor, tmp_path, "raise SystemExit(2)", "bad")
    good = start(supervisor, tmp_path, SLEEP, "good")
    wait_until(lambda: bad.given_up, 3, "giving up")
    supervisor.kill("good")
    wait_until(lambda: good.restarts == 1 and good.alive, 2, "the restart of the other")


def test_a_child_that_keeps_dying_is_started_ever_less_often(supervisor: Supervisor, tmp_path: Path) -> None:
    child = start(supervisor, tmp_path, "import time; print(time.monotonic(), flush=True)")
    wait_until(lambda: child.restarts >= 4, 6, "four restarts")
    starts = [float(line) for line in child.log_path.read_text().split()]
    pauses = [after - before for before, after in pairwise(starts)]
    for pause, least in zip(pauses, BACKOFF_S, strict=False):
        assert pause >= least
    assert sum(pauses[:3]) < 3.0, "and still as often as it may be"


def test_stop_leaves_nothing_behind_not_even_what_is_deaf_or_frozen(tmp_path: Path) -> None:
    supervisor = Supervisor()
    polite = start(supervisor, tmp_path, SLEEP, "polite")
    deaf = start(supervisor, tmp_path, DEAF, "deaf")
    frozen = start(supervisor, tmp_path, SLEEP, "frozen")
    wait_until(lambda: deaf.last_line() == "deaf", 3, "the deaf one's start")
    supervisor.kill("frozen", signal.SIGSTOP)
    pids = [pid_of(child) for child in (polite, deaf, frozen)]
    began = time.monotonic()
    supervisor.stop(timeout_s=0.5)
    assert time.monotonic() - began < 3
    assert all(map(gone, pids))
    assert [child.restarts for child in (polite, deaf, frozen)] == [0, 0, 0]


def test_a_child_that_waits_for_its_restart_is_not_started_by_stop(tmp_path: Path) -> None:
    supervisor = Supervisor()
    child = start(supervisor, tmp_path, "raise SystemExit(1)")
    wait_until(lambda: child.failures >= 3, 3, "three failures")
    supervisor.stop(timeout_s=1.0)
    restarts = child.restarts
    time.sleep(0.4)
    assert child.restarts == restarts
    assert not child.alive


def test_a_removed_child_is_ended_and_stays_away(supervisor: Supervisor, tmp_path: Path) -> None:
    child = start(supervisor, tmp_path, SLEEP)
    pid = pid_of(child)
    supervisor.remove("child", timeout_s=2.0)
    time.sleep(0.1)
    assert gone(pid)
    assert supervisor.children == []
    assert child.restarts == 0


def test_nobody_else_is_ever_killed(supervisor: Supervisor, tmp_path: Path) -> None:
    child = start(supervisor, tmp_path, "raise SystemExit(2)")
    wait_until(lambda: child.given_up, 3, "giving up")
    with pytest.raises(ProcessLookupError):
        supervisor.kill("child")
