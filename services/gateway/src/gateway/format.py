"""Numbers and times as people read them. Pure.

>>> price(Decimal("1.3869"), Decimal("0.00001"))
'1.38690'
>>> signed(Decimal("-1234.5"), "USD")
'−1,234.50'
>>> quantity(Decimal("2.000"))
'2'
>>> ago(75_000)
'1m 15s'
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal

NS = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WHOLE_CURRENCIES = frozenset({"JPY", "KRW", "CLP", "ISK", "VND"})


def iso(ns: int) -> str:
    """ISO 8601 UTC with as many digits as the time has: none, 3, 6 or 9.

    >>> iso(1_398_902_400_500_000_000)
    '2014-05-01T00:00:00.500Z'
    """
    seconds, rest = divmod(ns, NS)
    digits = f"{rest:09d}"
    while digits.endswith("000"):
        digits = digits[:-3]
    whole = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{digits}Z" if digits else f"{whole}Z"


def nanoseconds(text: str) -> int:
    """ISO 8601 (UTC unless it says otherwise) or integer nanoseconds; raises ValueError."""
    if text.lstrip("-").isdecimal():
        return int(text)
    moment = datetime.fromisoformat(text)
    span = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    return (span.days * 86_400 + span.seconds) * NS + span.microseconds * 1_000


def clock_time(ns: int, zone: tzinfo) -> str:
    """`13:42:07`."""
    return datetime.fromtimestamp(ns // NS, zone).strftime("%H:%M:%S")


def date_time(ns: int, zone: tzinfo) -> str:
    """`2014-05-01 13:42:07`."""
    return datetime.fromtimestamp(ns // NS, zone).strftime("%Y-%m-%d %H:%M:%S")


def places_of(tick_size: Decimal) -> int:
    """Decimals of an instrument's prices: 5 where the tick is 0.00001, 2 where it is 0.25."""
    return max(0, -int(tick_size.normalize().as_tuple().exponent))


def price(value: Decimal, tick_size: Decimal | None) -> str:
    """On the instrument's grid, so that a column of prices aligns."""
    if tick_size is None:
        return format(value.normalize(), "f")
    return f"{value:,.{places_of(tick_size)}f}"


def quantity(value: Decimal) -> str:
    """Without trailing zeros, with thousands separators."""
    return f"{value.normalize():,f}".replace("-", "−")


def money(value: Decimal, currency: str) -> str:
    """Two decimals, none for currencies without cents."""
    places = 0 if currency in _WHOLE_CURRENCIES else 2
    return f"{value:,.{places}f}".replace("-", "−")


def signed(value: Decimal, currency: str) -> str:
    """Money with its sign always shown; a plain 0 where nothing was won or lost."""
    text = money(value, currency)
    return f"+{text}" if value > 0 else text


def ago(ms: int) -> str:
    """A duration in at most two units."""
    seconds = ms // 1000
    if ms < 1_000:
        return f"{ms} ms"
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3_600:
        return f"{seconds // 60}m {seconds % 60}s"
    return f"{seconds // 3_600}h {seconds % 3_600 // 60}m"


def count(value: int) -> str:
    """`12,345`; from a million on `1.2M`."""
    return f"{value / 1e6:,.1f}M" if value >= 1_000_000 else f"{value:,}"


def plural(value: int, noun: str) -> str:
    """`1 fill`, `2 fills`."""
    return f"{value:,} {noun}{'' if value == 1 else 's'}"
