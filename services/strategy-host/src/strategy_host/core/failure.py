"""Says what went wrong in a user's code, and where in it.

In:   what a hook raised, with its traceback.   Out: one line for a person.
Not:  the whole traceback. What matters is the user's own line, also where the exception came from a library that it called.
"""

from __future__ import annotations

from pathlib import PurePath
from traceback import format_exception_only, walk_tb

from barque.errors import BarqueError, Overrun

LONGEST = 500
_OURS = ("barque", "strategy_host")


def said_by(error: BaseException) -> str:
    """Kind and text of an exception, at most `LONGEST` characters; of our own errors, which are written for people, the text."""
    if isinstance(error, BarqueError | Overrun):
        return str(error)[:LONGEST]
    return format_exception_only(error)[-1].strip()[:LONGEST]


def place_of(error: BaseException) -> str:
    """`breakout.py:41, in _size, called by on_bar`: the innermost line of the user's own package, and the hook; empty where the
    exception came from no line of the user's."""
    lines = [(frame.f_globals.get("__name__", ""), frame.f_code, number) for frame, number in walk_tb(error.__traceback__)]
    users = [line for line in lines if _root(line[0]) not in _OURS]
    if not users:
        return ""
    module, hook, _ = users[0]
    _, code, number = [line for line in users if _root(line[0]) == _root(module)][-1]
    called = "" if code is hook else f", called by {hook.co_name}"
    return f"{PurePath(code.co_filename).name}:{number}, in {code.co_name}{called}"


def _root(module: str) -> str:
    return module.partition(".")[0]
