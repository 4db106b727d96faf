"""Notices when a strategy's own code asks the outside for something: the wall's clock, chance, a file of data.

In:   the functions below which a strategy's code runs.   Out: what was asked for, and the user's line that did.
Not:  for production: every call is looked at while the watch is on. Compiled code is not seen into; what a library does on
      behalf of the host (a calendar, a time zone) is the host's affair.
"""

from __future__ import annotations

import gc
import os
import random
import sys
import sysconfig
import time
import zoneinfo
from collections.abc import Iterator
from datetime import date
from functools import cache
from pathlib import Path, PurePath
from types import CodeType, FrameType, TracebackType
from typing import Any, Self

_CLOCKS = ("time", "monotonic", "perf_counter", "process_time", "thread_time", "clock_gettime")
CLOCKS = frozenset(getattr(time, name + suffix, time.sleep) for name in _CLOCKS for suffix in ("", "_ns")) | {time.sleep}
CHANCE = frozenset((os.urandom,))
TODAY = ("now", "utcnow", "today")
OURS = ("barque", "strategy_host")
NOT_DATA = (".py", ".pyc", ".pyi", ".so")
_INSTALLED = tuple(
    str(Path(folder).resolve())
    for folder in (sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), *zoneinfo.TZPATH, "/proc", "/sys", "/dev")
)
_watching: list[OutsideWatch] = []
"""Who is told of opened files; a hook for those cannot be taken away again, so there is one for all."""


class OutsideWatch:
    """While the block runs: code below a frame of `make` (only where the host calls it: a setup) or of `handle` is watched."""

    def __init__(self, make: CodeType, handle: CodeType) -> None:
        self._make, self._handle = make, handle
        self._former: Any = None
        self.found: list[str] = []

    def __enter__(self) -> Self:
        _hear_of_files()
        self._collects = gc.isenabled()
        gc.disable()  # what others do when memory is collected would look like a call by whoever runs then
        _watching.append(self)
        self._former = sys.getprofile()
        sys.setprofile(self._called)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        sys.setprofile(self._former)
        _watching.remove(self)
        if self._collects:
            gc.enable()

    def opened(self, path: Any, frame: FrameType | None) -> None:
        """A file was opened."""
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if not isinstance(path, str | PurePath) or str(path).endswith(NOT_DATA):
            return
        if not str(Path(path).resolve()).startswith(_INSTALLED):
            self._note(f"it opens the file '{path}'", frame)

    def _called(self, frame: FrameType, event: str, function: Any) -> None:
        if event == "c_call":
            said = _what(function)
            if said:
                self._note(said, frame)

    def _note(self, said: str, frame: FrameType | None) -> None:
        line = self._users_line(frame)
        if line:
            self.found.append(f"{said} ({line})")

    def _users_line(self, frame: FrameType | None) -> str:
        """The line of the user's own package that asked; empty where the host did, or a library for it."""
        stack: list[FrameType] = []
        while frame is not None and frame.f_code not in (self._make, self._handle):
            stack.append(frame)
            frame = frame.f_back
        if frame is None:
            return ""
        below = _below_the_host(stack[::-1], skip_to_host=frame.f_code is self._make)
        hook = next(below, None)
        if hook is None:
            return ""
        own = [each for each in (hook, *below) if _root(each) in (_root(hook), *OURS)][-1]
        if _root(own) in OURS or "logging" in map(_root, stack):
            return ""
        called = "" if own is hook else f", called by {hook.f_code.co_name}"
        return f"{PurePath(own.f_code.co_filename).name}:{own.f_lineno}, in {own.f_code.co_name}{called}"


def _below_the_host(frames: list[FrameType], skip_to_host: bool) -> Iterator[FrameType]:
    """The user's hook and all that it calls, outermost first."""
    at = 0
    while skip_to_host and at < len(frames) and _root(frames[at]) not in OURS:
        at += 1
    while at < len(frames) and _root(frames[at]) in OURS:
        at += 1
    return iter(frames[at:])


def _what(function: Any) -> str:
    owner, name = getattr(function, "__self__", None), getattr(function, "__name__", "")
    if function in CLOCKS:
        return f"it asks the wall's clock: time.{name}"
    if function in CHANCE:
        return f"it asks chance: os.{name}"
    if name in TODAY and isinstance(owner, type) and issubclass(owner, date):
        return f"it asks the wall's clock: {owner.__name__}.{name}"
    if isinstance(owner, random.Random) and owner is getattr(random.random, "__self__", None):
        return f"it asks chance: the module random ({name})"
    return ""


def _root(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


@cache
def _hear_of_files() -> None:
    sys.addaudithook(_audit)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _watching:
        for watch in _watching:
            watch.opened(arguments[0], sys._getframe(1))
