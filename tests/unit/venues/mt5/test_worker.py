"""One thread for all calls: what had begun when time was over is not known, what had not begun never begins."""

from __future__ import annotations

import ast
import asyncio
import inspect
import threading

import pytest

from barque.errors import VenueUnavailable
from venues.mt5 import flatten, worker
from venues.mt5.worker import Overdue, Worker


async def test_a_call_that_waited_too_long_behind_another_is_never_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "SLACK_S", 0.0)
    calls, free, made = Worker("test"), threading.Event(), []
    first = asyncio.create_task(calls.run("first", free.wait, 30.0))
    await asyncio.sleep(0.05)
    with pytest.raises(VenueUnavailable, match="not sent"):
        await calls.run("second", lambda: made.append("second"), 0.1)
    free.set()
    assert await first
    await calls.run("third", lambda: made.append("third"), 30.0)
    assert made == ["third"]
    calls.stop()


async def test_a_call_that_does_not_come_back_is_overdue_and_others_are_refused_until_it_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker, "SLACK_S", 0.0)
    calls, free = Worker("test"), threading.Event()
    with pytest.raises(Overdue):
        await calls.run("first", free.wait, 0.1)
    with pytest.raises(VenueUnavailable, match="not come back from first"):
        await calls.run("second", lambda: None, 30.0)
    free.set()
    for _ in range(200):
        try:
            assert await calls.run("third", lambda: "done", 30.0) == "done"
            break
        except VenueUnavailable:
            await asyncio.sleep(0.01)
    else:
        pytest.fail("it refuses calls though the first has come back")
    calls.stop()


async def test_whoever_stops_waiting_takes_back_what_has_not_begun() -> None:
    calls, free, made = Worker("test"), threading.Event(), []
    first = asyncio.create_task(calls.run("first", free.wait, 30.0))
    await asyncio.sleep(0.05)
    second = asyncio.create_task(calls.run("second", lambda: made.append("second"), 30.0))
    await asyncio.sleep(0.05)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    free.set()
    await first
    await calls.run("third", lambda: None, 30.0)
    assert made == []
    calls.stop()


def test_what_is_sent_to_a_bridge_is_python_3_9_and_imports_nothing_but_types() -> None:
    tree = ast.parse(inspect.getsource(flatten), feature_version=(3, 9))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [ast.unparse(node) for node in imports] == ["from typing import Any"]
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr)]
