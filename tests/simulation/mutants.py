"""Faults put into the order path on purpose: each must be caught by the simulation or by the tests of its part.

`python -m tests.simulation.mutants [name …]` copies the sources, changes one place at a time, runs the simulation and, where that
sees nothing, the tests, and prints who caught it. A fault that nobody catches ends it with 1: there is a test to write.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("services/router/src", "libs/paper/src", "libs/common/src")
ROUTER, SENDING = "services/router/src/router/core/", "services/router/src/router/core/sending/"
ROUTER_TESTS = ("tests/unit/router",)
SIMULATION = ("-m", "tests.simulation", "--seed", "2026", "--steps", "3000")
TIMEOUT_S = 600


@dataclass(frozen=True)
class Mutant:
    """One place changed: `old`, which is there once, becomes `new`."""

    name: str
    path: str
    old: str
    new: str
    tests: tuple[str, ...] = ROUTER_TESTS


MUTANTS = (
    Mutant(
        "UNKNOWN orders count against no limit",
        ROUTER + "exposure.py",
        "if order.side != side or order.symbol != symbol:",
        'if order.side != side or order.symbol != symbol or each.state == "UNKNOWN":',
    ),
    Mutant(
        "a fill of an order that has ended is not booked",
        ROUTER + "desk.py",
        "        if signed:\n            self._state.move",
        "        if signed and fill.order_id in self._state.orders:\n            self._state.move",
    ),
    Mutant(
        "a fill that is told twice is booked twice",
        ROUTER + "reports.py",
        "if self._executions.knows(fill.exec_id):",
        "if False:",
    ),
    Mutant(
        "an execution that is reported twice is said twice",
        SENDING + "executions.py",
        "known = executions.get(execution.exec_id)",
        "known = None",
    ),
    Mutant(
        "a correction is added to what it corrects",
        ROUTER + "executions.py",
        "return signed - before",
        "return signed",
    ),
    Mutant(
        "what was executed before the first books is booked again",
        SENDING + "executions.py",
        "if not desk.state.opened:",
        "if False:",
    ),
    Mutant(
        "no cancel leaves under a halt",
        SENDING + "outbound.py",
        "        _cancels(desk)\n        _changes(desk)",
        "        if not desk.state.halted:\n            _cancels(desk)\n        _changes(desk)",
    ),
    Mutant(
        "silence is taken for a refusal",
        SENDING + "outbound.py",
        'desk.lose(live, f"the broker has not answered for {config.ack_timeout_s:g} s; its books are asked")',
        'requests.reject(desk, live, RejectReason.VENUE, "the broker has not answered")',
    ),
    Mutant(
        "orders leave before the books have been compared",
        SENDING + "outbound.py",
        "if desk.state.ready and not desk.state.halted and not desk.state.disabled:",
        "if not desk.state.halted and not desk.state.disabled:",
    ),
    Mutant(
        "exits leave under a halt",
        SENDING + "outbound.py",
        "if desk.state.ready and not desk.state.halted and not desk.state.disabled:",
        "if desk.state.ready and not desk.state.disabled:",
    ),
    Mutant("the sender minds no breaker", SENDING + "desk.py", "        if not order.closes:\n", "        if False:\n"),
    Mutant(
        "orders leave after their time",
        SENDING + "outbound.py",
        "if order.valid_until_ns is not None and order.valid_until_ns <= state.now_ns:",
        "if False:",
    ),
    Mutant(
        "an order is sent again to a broker that does not know its token",
        SENDING + "outbound.py",
        'if desk.capabilities.dedupe != "forever" or live.resent or',
        "if live.resent or",
    ),
    Mutant("one look that does not show an order is enough", SENDING + "books.py", "if not live.absent_ns:", "if False:"),
    Mutant(
        "a bracket that could not leave at once leaves in pieces",
        SENDING + "outbound.py",
        "return parent is None or parent.accepted or parent.filled > 0",
        "return parent is None or parent.number > 0",
    ),
    Mutant("tokens are given twice", SENDING + "outbound.py", "state.number += 1", "state.number = 1"),
    Mutant(
        "a session ends and what was under way is not UNKNOWN",
        SENDING + "reports.py",
        "    outbound.lose_under_way(desk, detail)\n",
        "",
    ),
    Mutant(
        "an order that fills after it was cancelled stays cancelled",
        ROUTER + "lifecycle.py",
        "**_rows(OrderState, _E.FILLED, _S.FILLED)",
        "**_rows(LIVE, _E.FILLED, _S.FILLED)",
    ),
    Mutant(
        "a flatten sends orders while the book is halted",
        ROUTER + "stops.py",
        '        if state.halted:\n            text = (\n                f"flatten {cause}',
        '        if False:\n            text = (\n                f"flatten {cause}',
    ),
    Mutant(
        "a flatten leaves the exits of an entry that has filled in part",
        ROUTER + "desk.py",
        "if not (flat and each.filled > 0)}",
        "if each}",
    ),
    Mutant(
        "a signal that comes twice is two orders",
        ROUTER + "node.py",
        "if order_id in state.orders or not is_new(state.decided, order_id):",
        "if False:",
    ),
    Mutant(
        "rates are counted over six seconds",
        ROUTER + "checks/flow.py",
        "MINUTE_NS = 60_000_000_000",
        "MINUTE_NS = 6_000_000_000",
    ),
    Mutant(
        "a change that an order outran is never answered",
        SENDING + "desk.py",
        "if live.change is not None and not live.own_change:",
        "if False:",
    ),
    Mutant(
        "a restarted router has forgotten that the book is halted",
        ROUTER + "node.py",
        "state = self._state = _decode(blob) if blob else RouterState()",
        "state = self._state = _decode(blob) if blob else RouterState()\n        state.halted = False",
    ),
    Mutant(
        "a halt waits behind the commands before it",
        "libs/common/src/barque/bus/step.py",
        "is not Halt:",
        "is not None:",
        ("tests/unit/barque/test_step.py",),
    ),
    Mutant(
        "the paper exchange minds no breaker",
        "libs/paper/src/barque_paper/node.py",
        "if not state.tripped or closes:",
        "if True:",
        ("tests/unit/barque_paper",),
    ),
)


def main(names: Sequence[str]) -> int:
    """0: every fault was caught."""
    survivors = []
    for mutant in MUTANTS:
        if not names or any(name in mutant.name for name in names):
            caught = caught_by(mutant)
            print(f"{caught or 'NOBODY':<11} {mutant.name}", flush=True)
            survivors += [] if caught else [mutant.name]
    return 1 if survivors else 0


def caught_by(mutant: Mutant) -> str:
    """`simulation` or `tests`; empty: nobody noticed."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder)
        for source in SOURCES:
            shutil.copytree(ROOT / source, copy / source)
        path = copy / mutant.path
        text = path.read_text(encoding="utf-8")
        assert text.count(mutant.old) == 1, f"'{mutant.name}': its place is there {text.count(mutant.old)} times"
        path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
        if _fails(copy, SIMULATION, "again: python -m tests.simulation"):
            return "simulation"
        return "tests" if _fails(copy, ("-m", "pytest", "-x", "-q", *mutant.tests), "FAILED tests/") else ""


def _fails(copy: Path, command: Sequence[str], sign: str) -> bool:
    """Whether `command` ends with 1 over the changed sources, and says by `sign` that it is for a law or a test."""
    path = os.pathsep.join(str(copy / source) for source in SOURCES)
    environment = os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, timeout=TIMEOUT_S, check=False
    )
    told = done.stdout if "pytest" in command else done.stderr
    told = done.stdout.decode() + done.stderr.decode()
    if done.returncode not in (0, 1) or (done.returncode == 1 and sign not in told):
        raise RuntimeError(f"{command} did not run: {told[-2000:]}")
    return done.returncode == 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
