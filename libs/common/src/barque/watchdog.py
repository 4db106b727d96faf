"""Stops a user's code that runs too long, from outside: an endless loop raises `Overrun` where it is.

In:   the functions that call a user's code; a budget for each such call.   Out: `Overrun`, raised inside the call.
Not:  a cost for the calls themselves. They are not counted and no clock is read: a thread looks now and then at the main
      thread's stack, and when it has seen one and the same call often enough, sends a signal whose handler raises.

What it cannot stop: a loop inside one call of compiled code, before that call returns.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterable
from types import CodeType, FrameType, TracebackType
from typing import Any, Self

from barque.errors import Overrun

LOOKS = 10
"""A call is stopped when so many looks have seen it. Looks, not time: a process that was frozen has not overrun."""
_SIGNAL = signal.SIGURG
"""Ignored by default, so that a late one harms nobody."""


class Watchdog:
    """While the block runs, in the main thread: calls by one of `callers` must end within about `budget_s` seconds."""

    def __init__(self, callers: Iterable[CodeType], budget_s: float) -> None:
        if budget_s <= 0:
            raise ValueError(f"budget_s is {budget_s}; it must be positive")
        self._callers = frozenset(callers)
        self._budget_s = budget_s
        self._call: FrameType | None = None
        """The user's call that the last look saw; kept, so that no later call can be taken for it."""
        self._seen = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._main = threading.main_thread().ident or 0
        self._former: Any = None

    def __enter__(self) -> Self:
        self._former = signal.signal(_SIGNAL, self._strike)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._done.set()
        self._thread.join()
        signal.signal(_SIGNAL, self._former)
        self._call = None

    def _watch(self) -> None:
        while not self._done.wait(self._budget_s / LOOKS):
            call = self._call_in(sys._current_frames().get(self._main))
            if call is None or call is not self._call:
                self._call, self._seen = call, 0
                continue
            self._seen += 1
            if self._seen >= LOOKS:
                signal.pthread_kill(self._main, _SIGNAL)

    def _strike(self, number: int, frame: FrameType | None) -> None:
        """Runs in the main thread, between two steps of the code that it interrupts: what is seen here is so."""
        if self._seen >= LOOKS and self._call is not None and self._call_in(frame) is self._call:
            raise Overrun(f"it ran longer than {self._budget_s:g} s for one message")

    def _call_in(self, frame: FrameType | None) -> FrameType | None:
        """The innermost call by one of the callers on the stack that ends in `frame`."""
        while frame is not None:
            caller = frame.f_back
            if caller is not None and caller.f_code in self._callers:
                return frame
            frame = caller
        return None
