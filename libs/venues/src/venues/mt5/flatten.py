"""Calls the package and makes plain values of what it returns. Runs here in process, and as text on the bridge's side.

In:   a function's name and arguments.   Out: nested tuples of None, bool, int, float, str and bytes, with `last_error`.
Not:  pickling: what crosses the wire is data, so a bridge that has been taken over can run nothing here.

It is sent to Pythons as old as a Wine image has (3.9), and imports nothing but types.
"""

from typing import Any


def call(package: Any, name: str, args: Any, kwargs: Any, request: Any) -> Any:
    """`request`: pairs that become the one dictionary that order functions take; empty for all others."""
    function = getattr(package, name)
    result = function(dict(request)) if request else function(*args, **dict(kwargs))
    return flat(result), tuple(package.last_error())


def flat(value: Any) -> Any:
    """("value", x), ("record", fields, row), ("records", fields, rows) or ("array", columns, bytes)."""
    if hasattr(value, "dtype"):
        columns = tuple((str(name), str(kind)) for name, kind in value.dtype.descr)
        return ("array", columns, value.tobytes())
    if hasattr(value, "_asdict"):
        fields = tuple(value._asdict())
        return ("record", fields, _plain(value))
    if isinstance(value, (tuple, list)) and value and hasattr(value[0], "_asdict"):
        fields = tuple(value[0]._asdict())
        return ("records", fields, tuple(_plain(row) for row in value))
    if isinstance(value, (tuple, list)):
        return ("value", tuple(value))
    return ("value", value)


def _plain(row: Any) -> Any:
    """A record inside a record (the request in an answer) is left out."""
    return tuple(None if hasattr(value, "_asdict") else value for value in row)
