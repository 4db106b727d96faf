"""The trade server's wall clock and UTC: the platform shows every time of the server's clock as if it were UTC.

In:   fresh ticks with the time at which they came; times of the server.   Out: UTC, and back.
Not:  asking for ticks (`session`).

A server's clock follows rules: mostly Eastern European Time with Europe's changes, or New York's close with New York's. The
difference that fresh ticks show chooses the rule; one that they contradict is left. So history is right across changes too.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt

from barque.errors import ConfigError

NS_PER_MS = 1_000_000
GRID_MS = 15 * 60 * 1_000
"""Differences from UTC are multiples of a quarter of an hour."""
TOLERANCE_MS = 120_000
"""A fresh tick further than this from the grid says that one of the two clocks is wrong."""
RULES = ("Europe/Athens", "new_york+7", "UTC", "Europe/London", "Europe/Moscow")
"""Tried in this order."""
_DAY_NS = 86_400 * 1_000_000_000


class ServerClock:
    """`zone`: `auto`, a time zone, `new_york+7`, or `UTC+3`."""

    def __init__(self, zone: str = "auto") -> None:
        self.automatic = zone == "auto"
        self.zone = RULES[0] if self.automatic else zone
        self._rule = rule_of(self.zone)
        self.confirmed = False
        """A fresh tick has agreed."""
        self._seen: list[tuple[int, int]] = []
        """Differences that fresh ticks have shown, with the time of each: the last two that differ."""

    def offset_ms(self, utc_ns: int) -> int:
        """How far the server's clock is ahead of UTC at that time."""
        return self._rule(utc_ns)

    def observe(self, wall_ms: int, utc_ns: int) -> str:
        """A tick of that server time has just come. What there is to tell a person, empty for nothing.

        Only of fresh ticks: the last one before a weekend is two days old and shows nothing.
        """
        ahead = wall_ms - utc_ns // NS_PER_MS
        offset = round(ahead / GRID_MS) * GRID_MS
        if abs(ahead - offset) > TOLERANCE_MS:
            return (
                f"a tick that has just come is {abs(ahead - offset) / 1_000:.0f} s away from every possible time zone: "
                f"the clock of this machine, or the broker's, is wrong"
            )
        if not self._seen or self._seen[-1][1] != offset:
            self._seen = [*self._seen[-1:], (utc_ns, offset)]
        if self._rule(utc_ns) == offset:
            self.confirmed = True
            return ""
        if not self.automatic:
            return (
                f"key 'mt5.server_zone' is {self.zone}, {words(self._rule(utc_ns))}, and ticks show {words(offset)}: times of "
                f"ticks and deals would be wrong; set it right, or to auto"
            )
        before = self.zone
        self._choose(offset)
        self.confirmed = True
        return f"the trade server's clock follows {self.zone} ({words(offset)}), not {before}"

    def to_utc_ns(self, wall_ms: int, near_ns: int | None = None) -> int:
        """When the server's clock shows that; of an hour that comes twice, the first, or the one closer to `near_ns`."""
        as_if = wall_ms * NS_PER_MS
        before, after = (as_if - self._rule(as_if + days * _DAY_NS) * NS_PER_MS for days in (-1, 1))
        fits = [each for each in dict.fromkeys((before, after)) if each // NS_PER_MS + self._rule(each) == wall_ms]
        if not fits:
            return before  # an hour that the clock leaves out
        if near_ns is None or len(fits) == 1:
            return min(fits)
        return min(fits, key=lambda each: abs(each - near_ns))

    def to_wall_ms(self, utc_ns: int) -> int:
        """What the server's clock shows at that time."""
        return utc_ns // NS_PER_MS + self._rule(utc_ns)

    def to_utc_ns_of_rows(self, wall_ms: npt.NDArray[np.int64], near_ns: int | None = None) -> npt.NDArray[np.int64]:
        """Of many server times, oldest first, such as `ticks["time_msc"]`."""
        if not len(wall_ms):
            return wall_ms.astype(np.int64)
        first, last = (self.to_utc_ns(int(each), near_ns) for each in (wall_ms[0], wall_ms[-1]))
        offset = int(wall_ms[0]) - first // NS_PER_MS
        same = int(wall_ms[-1]) - last // NS_PER_MS == offset
        if same and int(wall_ms[-1]) - int(wall_ms[0]) < 60 * _DAY_NS // NS_PER_MS:
            return (wall_ms.astype(np.int64) - offset) * NS_PER_MS
        if len(wall_ms) == 1:
            return np.array([first], dtype=np.int64)
        middle = len(wall_ms) // 2
        halves = (wall_ms[:middle], wall_ms[middle:])
        return np.concatenate([self.to_utc_ns_of_rows(each, near_ns) for each in halves])

    def _choose(self, offset: int) -> None:
        """The rule that agrees with all that was seen; a fixed difference where none does."""
        for zone in RULES:
            rule = rule_of(zone)
            if all(rule(utc_ns) == seen for utc_ns, seen in self._seen):
                self.zone, self._rule = zone, rule
                return
        self.zone = f"UTC{offset / 3_600_000:+g}"
        self._rule = rule_of(self.zone)


def rule_of(zone: str) -> Callable[[int], int]:
    """UTC nanoseconds to milliseconds ahead of UTC. Raises `ConfigError`."""
    if zone == "UTC":
        return lambda utc_ns: 0
    if zone.startswith("UTC"):
        try:
            fixed = round(float(zone[3:]) * 3_600_000)
        except ValueError:
            raise ConfigError(f"key 'mt5.server_zone': '{zone}' is no difference; write UTC+3 or UTC-5.5") from None
        return lambda utc_ns: fixed
    more = timedelta(hours=7) if zone == "new_york+7" else timedelta(0)
    try:
        info = ZoneInfo("America/New_York" if zone == "new_york+7" else zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise ConfigError(
            f"key 'mt5.server_zone': there is no time zone '{zone}'; write auto, Europe/Athens, new_york+7 or UTC+3"
        ) from None

    def ahead_ms(utc_ns: int) -> int:
        offset = datetime.fromtimestamp(utc_ns // 1_000_000_000, UTC).astimezone(info).utcoffset() or timedelta(0)
        return int((offset + more).total_seconds()) * 1_000

    return ahead_ms


def words(offset_ms: int) -> str:
    """`UTC+3`."""
    return f"UTC{offset_ms / 3_600_000:+g}"
