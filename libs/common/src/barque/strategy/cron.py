"""Cron expressions with seconds: six fields, `second minute hour day month weekday`.

In:   an expression such as `0 30 9 * * MON-FRI`.   Out: the dates and the times of day that it means.
Not:  time zones; `barque.strategy.rules` puts the times on a clock.

| field | values | |
|---|---|---|
| second, minute | 0..59 | |
| hour | 0..23 | |
| day | 1..31 | `L` the last of the month, `LW` its last Monday to Friday |
| month | 1..12 | or JAN..DEC |
| weekday | 0..7 | 0 and 7 are Sunday; or SUN..SAT; `FRI#2` the second, `5L` the last Friday of the month |

In each field `*` (all), lists `1,15`, ranges `MON-FRI` and steps `*/5`. Where neither day nor weekday begins with `*`, a date
that fits one of them is meant, as in every cron. The grammar is that of the package `cronsim`.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import NamedTuple

from cronsim import CronSim, CronSimError

from barque.errors import ConfigError

FIELDS = ("second", "minute", "hour", "day", "month", "weekday")
_BOUNDS = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_THEIR_FIELDS = ("second", "minute", "hour", "day-of-month", "month", "day-of-week")
_ORDER = f"the order is {' '.join(FIELDS)}"
_REFERENCE = datetime(2024, 1, 1, tzinfo=UTC)
_NAMES = {
    4: ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"),
    5: ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"),
}


class CronExpression(NamedTuple):
    """What an expression means."""

    days: CronSim
    """Asked for nothing but `months` and `match_day`."""
    times_s: tuple[int, ...]
    """Seconds since midnight by the clock on the wall, sorted."""
    every_hour: bool
    """All 24 hours are meant, and so an hour that a clock shows twice is meant twice."""

    def falls_on(self, day: date) -> bool:
        """Whether `day` is one of its dates."""
        return day.month in self.days.months and self.days.match_day(day)


@lru_cache(maxsize=256)
def parse_cron(expression: str) -> CronExpression:
    """The meaning of `expression`; raises `ConfigError` with the field that is wrong.

    >>> parse_cron("0 30 9 * * MON-FRI").times_s
    (34200,)
    """
    parts = expression.upper().split()
    if len(parts) != len(FIELDS):
        raise ConfigError(f"cron '{expression}' has {len(parts)} fields, not six; {_ORDER}, as in '0 30 9 * * MON-FRI'")
    try:
        found = CronSim(" ".join(parts), _REFERENCE)
    except CronSimError as error:
        raise ConfigError(f"cron '{expression}': {_complaint(parts, str(error))}; {_ORDER}{_swapped(parts)}") from None
    times = tuple(
        h * 3600 + m * 60 + s for h in sorted(found.hours) for m in sorted(found.minutes) for s in sorted(found.seconds)
    )
    return CronExpression(found, times, len(found.hours) == 24)


def _complaint(parts: list[str], said: str) -> str:
    """`hour: 30 is not in 0..23`, from what cronsim says: which field is bad, never why."""
    index = next((i for i, name in enumerate(_THEIR_FIELDS) if said == f"Bad {name}"), None)
    if index is None:
        return said
    value, name, (low, high) = parts[index], FIELDS[index], _BOUNDS[index]
    for term in value.split(","):
        body, slash, step = term.partition("/")
        if slash and (not step.isdecimal() or int(step) == 0):
            return f"{name}: the step of '{term}' is not a whole number from 1"
        ends = [_number(text, index) for text in _ends(body, index)]
        for end in ends:
            if isinstance(end, str):
                return f"{name}: {end!r} is neither a number in {low}..{high}{_or_a_name(index)} nor *"
            if not low <= end <= high:
                return f"{name}: {end} is not in {low}..{high}"
        if len(ends) == 2 and ends[1] < ends[0]:  # type: ignore[operator]  # names are numbers by now
            return f"{name}: the range '{body}' runs backwards"
    return f"{name}: {value} never occurs" if index == 3 else f"{name}: '{value}' cannot be read"


def _ends(body: str, index: int) -> list[str]:
    """The numbers and names of a term without its step."""
    if body == "*" or (index == 3 and body in ("L", "LW")):
        return []
    if index == 5:
        body = re.sub(r"(?<=[0-9])L$|#[1-5]$", "", body)
    return body.split("-")


def _number(text: str, index: int) -> int | str:
    names = _NAMES.get(index, ())
    if text in names:
        return names.index(text) + (1 if index == 4 else 0)
    return int(text) if text.isdecimal() and text.isascii() else text


def _or_a_name(index: int) -> str:
    return f", {_NAMES[index][0]}..{_NAMES[index][-1]}" if index in _NAMES else ""


def _swapped(parts: list[str]) -> str:
    """The expression that is right with two neighbours of the time of day exchanged, where there is one."""
    for first in (1, 0):
        other = list(parts)
        other[first], other[first + 1] = other[first + 1], other[first]
        try:
            CronSim(" ".join(other), _REFERENCE)
        except CronSimError:
            continue
        return f"; did you mean '{' '.join(other)}'?"
    return ""
