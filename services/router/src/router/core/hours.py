"""Since when a market has been open."""

from __future__ import annotations

from barque.calendars import Calendar


def open_since(hours: Calendar, heard_ns: int, now_ns: int) -> int | None:
    """`heard_ns`, or when the market opened last if that was later; None while it is closed."""
    if not hours.is_open(now_ns):
        return None
    closes_ns = hours.next_close(heard_ns)
    if hours.is_open(heard_ns) and (closes_ns is None or closes_ns > now_ns):
        return heard_ns
    session = hours.trading_day_until(now_ns)
    return heard_ns if session is None else max(heard_ns, session.open_ns)
