"""When a listing trades: weekly sessions in its own time zone, and the strings in which TWS tells them.

In:   an instant in ns UTC.   Out: open or not, sessions of the days around it.
Not:  holidays. The simulator's market is always open unless it is told to keep these hours or is switched off.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

NS_PER_S = 10**9
DAY = timedelta(days=1)


class Session(msgspec.Struct, frozen=True):
    """One opening: from a time on a weekday (Monday is 0) for so many minutes."""

    weekday: int
    opens: time
    minutes: int


class Hours(msgspec.Struct, frozen=True):
    """A week of sessions."""

    zone: str
    sessions: tuple[Session, ...]

    def around(self, now_ns: int, days: int = 7) -> list[tuple[datetime, datetime]]:
        """Openings that begin from the day before `now_ns` on for `days` days, in time order."""
        zone = ZoneInfo(self.zone)
        first = datetime.fromtimestamp(now_ns / NS_PER_S, UTC).astimezone(zone).date() - DAY
        found = []
        for offset in range(days + 1):
            day = first + offset * DAY
            for session in self.sessions:
                if session.weekday == day.weekday():
                    opens = datetime.combine(day, session.opens, zone)
                    closes = (datetime.combine(day, session.opens) + timedelta(minutes=session.minutes)).replace(tzinfo=zone)
                    found.append((opens, closes))
        return found

    def spans(self, start_s: int, end_s: int) -> list[tuple[int, int]]:
        """The parts of [start, end) in which it is open, epoch seconds, in time order."""
        days = max(0, end_s - start_s) // 86_400 + 3
        openings = [(int(opens.timestamp()), int(closes.timestamp())) for opens, closes in self.around(start_s * NS_PER_S, days)]
        cut = [(max(opens, start_s), min(closes, end_s)) for opens, closes in openings]
        return [(opens, closes) for opens, closes in cut if opens < closes]

    def open_at(self, now_ns: int) -> bool:
        now = datetime.fromtimestamp(now_ns / NS_PER_S, UTC)
        return any(opens <= now < closes for opens, closes in self.around(now_ns, 1))

    def closes_ns(self, now_ns: int) -> int:
        """The end of the session that is under way or comes next: when a DAY order ends."""
        now = datetime.fromtimestamp(now_ns / NS_PER_S, UTC)
        return next(int(closes.timestamp()) * NS_PER_S for _, closes in self.around(now_ns, 9) if closes > now)

    def told(self, now_ns: int) -> str:
        """`20261130:0930-20261130:1600;20261205:CLOSED;…`, six days."""
        by_end: dict[date, list[str]] = {}
        for opens, closes in self.around(now_ns, 8):
            by_end.setdefault(closes.date(), []).append(f"{opens:%Y%m%d:%H%M}-{closes:%Y%m%d:%H%M}")
        today = datetime.fromtimestamp(now_ns / NS_PER_S, UTC).astimezone(ZoneInfo(self.zone)).date()
        days = [today + offset * DAY for offset in range(6)]
        return ";".join(";".join(by_end.get(day, [f"{day:%Y%m%d}:CLOSED"])) for day in days)


def daily(zone: str, weekdays: tuple[int, ...], opens: time, hours: float) -> Hours:
    """The same session on each of these weekdays."""
    return Hours(zone, tuple(Session(weekday, opens, round(60 * hours)) for weekday in weekdays))


FX = daily("US/Eastern", (6, 0, 1, 2, 3), time(17, 15), 23.75)
"""IDEALPRO: from Sunday 17:15 to Friday 17:00, a break of 15 minutes every day."""
GLOBEX = daily("US/Central", (6, 0, 1, 2, 3), time(17), 23)
US_STOCKS = daily("US/Eastern", (0, 1, 2, 3, 4), time(4), 16)
US_STOCKS_LIQUID = daily("US/Eastern", (0, 1, 2, 3, 4), time(9, 30), 6.5)
GLOBEX_LIQUID = daily("US/Central", (0, 1, 2, 3, 4), time(8, 30), 6.5)
