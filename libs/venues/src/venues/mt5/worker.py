"""One thread for all calls into the terminal, so that they follow one another and the event loop never waits.

In:   functions that block.   Out: what they return, or raise.
Not:  interrupting a function: nothing in Python can. While one is overdue, others are refused at once.
"""

from __future__ import annotations

import asyncio
import itertools
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

from barque.errors import VenueUnavailable

T = TypeVar("T")
SLACK_S = 1.0
"""A call that minds its own time-out is given so much longer before it is overdue here."""


class Overdue(Exception):
    """The call had begun and has not come back in time."""


class Worker:
    """Calls of lower `rank` go first; of one rank, in their order."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.PriorityQueue[tuple[int, int, Future[Any] | None, Callable[[], Any]]] = queue.PriorityQueue()
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None
        self._overdue: tuple[str, float, Future[Any]] | None = None

    async def run(self, what: str, work: Callable[[], T], timeout_s: float, rank: int = 1) -> T:
        """Raises `Overdue` where nobody knows, `VenueUnavailable` where `work` surely has not begun, or what `work` raises."""
        self._refuse_while_overdue(what)
        self._start()
        future: Future[T] = Future()
        self._jobs.put((rank, next(self._numbers), future, work))
        try:
            async with asyncio.timeout(timeout_s + SLACK_S):  # not wait_for: before 3.12 that may swallow a cancellation
                return await asyncio.wrap_future(future)
        except TimeoutError:
            if future.cancel() or future.cancelled():
                raise VenueUnavailable(f"{what}: other calls have held the terminal up for {timeout_s:g} s; not sent") from None
            if future.done():
                return future.result()  # it raised its own time-out
            self._overdue = (what, time.monotonic(), future)
            raise Overdue(f"{what} has not come back for {timeout_s:g} s") from None

    def stop(self) -> None:
        """The thread ends after what it is at; a call that never comes back ends with the process."""
        if self._thread is not None:
            self._jobs.put((10**9, next(self._numbers), None, _nothing))
            self._thread = None

    def _refuse_while_overdue(self, what: str) -> None:
        if self._overdue is None:
            return
        name, since, future = self._overdue
        if not future.done():
            age = time.monotonic() - since
            raise VenueUnavailable(f"{what}: not sent; the terminal has not come back from {name}, overdue for {age:.0f} s")
        self._overdue = None

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            _, _, future, work = self._jobs.get()
            if future is None:
                return
            try:
                if not future.set_running_or_notify_cancel():
                    continue
                future.set_result(work())
            except CancelledError:
                continue
            except BaseException as error:
                future.set_exception(error)


def _nothing() -> None:
    return None
