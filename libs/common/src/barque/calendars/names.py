"""From a calendar's name to the calendar.

In:   what `[[instruments]]` and schedules say.   Out: the calendar, made once in a process.
Not:  hours of its own.
"""

from __future__ import annotations

from datetime import date
from functools import cache

from barque.calendars.base import Calendar
from barque.calendars.builtin import AlwaysOpen, BusinessDays, ForeignExchange
from barque.calendars.exchanges import exchange, names
from barque.errors import ConfigError, nearest

COUNTRY = "holidays:"

_BUILTIN: dict[str, Calendar] = {"24/7": AlwaysOpen(), "FX": ForeignExchange()}


def calendar(name: str) -> Calendar:
    """The calendar of that name; raises `ConfigError` with the nearest one.

    >>> calendar("FX").is_open(1_359_928_740 * 10**9)  # Sunday 3 February 2013, 16:59 in New York
    False
    """
    builtin = _BUILTIN.get(name)
    return builtin if builtin is not None else _named(name)


@cache
def _named(name: str) -> Calendar:
    if name.startswith(COUNTRY):
        return _country(name.removeprefix(COUNTRY))
    try:
        known = names()
    except ConfigError as error:
        raise ConfigError(f"calendar '{name}' is not known; valid here: {', '.join(_BUILTIN)}; {error}") from None
    if name not in known:
        raise ConfigError(f"calendar '{name}' is not known; {nearest(name, sorted({*known, *_BUILTIN}))}")
    return exchange(name)


def _country(code: str) -> Calendar:
    try:
        import holidays
    except ImportError:
        raise ConfigError(f"calendar '{COUNTRY}{code}' needs the extra barque[calendars]") from None
    try:
        kept = holidays.country_holidays(code)
    except NotImplementedError:
        hint = nearest(code, sorted(holidays.list_supported_countries()))
        raise ConfigError(f"calendar '{COUNTRY}{code}' is not known: no country '{code}'; {hint[:200]}") from None

    def works(day: date) -> bool:
        return day.weekday() not in kept.weekend and day not in kept

    return BusinessDays(works)
