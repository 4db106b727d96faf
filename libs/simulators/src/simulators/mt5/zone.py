"""The trade server's wall clock, which the platform presents as if it were UTC.

In:   UTC nanoseconds.   Out: milliseconds of the server's wall clock, and back.
Not:  finding a server's zone out: that is the client's affair.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

NS_PER_MS = 1_000_000


class ServerZone:
    """`Europe/Athens` is EET and EEST; `new_york+7` keeps New York's changes, so that a day ends at its close."""

    def __init__(self, name: str = "Europe/Athens") -> None:
        self.name = name
        new_york = name == "new_york+7"
        self._zone = ZoneInfo("America/New_York" if new_york else name)
        self._more = timedelta(hours=7) if new_york else timedelta(0)

    def offset_ms(self, utc_ns: int) -> int:
        """How far the wall clock is ahead of UTC at that time."""
        at = datetime.fromtimestamp(utc_ns // 1_000_000_000, UTC).astimezone(self._zone)
        offset = at.utcoffset()
        assert offset is not None  # noqa: S101 - a zone always has one
        return int((offset + self._more).total_seconds()) * 1_000

    def wall_ms(self, utc_ns: int) -> int:
        """What the server's clock shows."""
        return utc_ns // NS_PER_MS + self.offset_ms(utc_ns)

    def utc_ns(self, wall_ms: int) -> int:
        """When the server's clock shows it; of an hour that comes twice, the first."""
        guess = wall_ms * NS_PER_MS
        earlier = guess - self.offset_ms(guess - 86_400 * 1_000_000_000) * NS_PER_MS
        if self.wall_ms(earlier) == wall_ms:
            return earlier
        return guess - self.offset_ms(guess + 86_400 * 1_000_000_000) * NS_PER_MS
