"""When Interactive Brokers is expected to be away: nightly reset, the Gateway's own restart, the weekly login.

In:   an instant.   Out: a sentence, or nothing.
Not:  an excuse. Within a window the session goes on trying; only what it says of it differs.

Hours of the servers: IBKR's page "System Status", as of 2026.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from barque.errors import ConfigError
from venues.ibkr.config import IbkrConfig, Region

_NEW_YORK, _ZURICH, _HONG_KONG = ZoneInfo("America/New_York"), ZoneInfo("Europe/Zurich"), ZoneInfo("Asia/Hong_Kong")
SATURDAY, SUNDAY = 5, 6
RESTART_MINUTES = 10
"""So long a Gateway may take to be back after its own restart."""


class Window(NamedTuple):
    """A time of day at which servers are away."""

    zone: ZoneInfo
    start: time
    end: time
    weekday: int | None
    """None: every day."""
    text: str


_RESET = "the nightly reset of Interactive Brokers' servers"
RESETS: dict[Region, tuple[Window, ...]] = {
    "north_america": (Window(_NEW_YORK, time(0, 15), time(1, 45), None, _RESET),),
    "europe": (Window(_ZURICH, time(6, 25), time(7, 45), None, _RESET),),
    "asia_pacific": (
        Window(_HONG_KONG, time(4, 45), time(6, 5), None, _RESET),
        Window(_HONG_KONG, time(20, 15), time(21, 15), None, _RESET),
    ),
}
WEEKEND = (
    Window(_NEW_YORK, time(23, 0), time.max, 4, "the weekend's maintenance of Interactive Brokers"),
    Window(_NEW_YORK, time(0, 0), time(3, 0), SATURDAY, "the weekend's maintenance of Interactive Brokers"),
)
WEEKLY_LOGIN = Window(
    _NEW_YORK, time(1, 0), time.max, SUNDAY, "the weekly login is due: confirm it on your phone (runbook ibkr_weekly_login)"
)


def expected_outage(at: datetime, config: IbkrConfig) -> str:
    """Why the Gateway may be away at `at`; empty: it should be there."""
    for window in (*RESETS[config.reset_region], *WEEKEND, _restart(config), WEEKLY_LOGIN):
        if _within(at, window):
            return window.text
    return ""


def login_due(at: datetime) -> bool:
    """Whether the week's token has died and a person may have to log in again."""
    return _within(at, WEEKLY_LOGIN)


def check_restart(config: IbkrConfig) -> None:
    """Raise `ConfigError` where `restart_at` or `time_zone` is none."""
    _restart(config)


def _restart(config: IbkrConfig) -> Window:
    try:
        start = time.fromisoformat(config.restart_at)
        zone = ZoneInfo(config.time_zone)
    except (ValueError, KeyError, OSError):
        raise ConfigError(
            f"ibkr.restart_at = '{config.restart_at}', ibkr.time_zone = '{config.time_zone}': give a time such as '23:59' and a "
            "zone such as 'America/New_York'"
        ) from None
    end = (datetime(2000, 1, 1, start.hour, start.minute, tzinfo=UTC) + timedelta(minutes=RESTART_MINUTES)).time()
    return Window(zone, start, end, None, "the Gateway's own daily restart")


def _within(at: datetime, window: Window) -> bool:
    there = at.astimezone(window.zone)
    if window.weekday is not None and there.weekday() != window.weekday:
        return False
    now = there.time()
    if window.start <= window.end:
        return window.start <= now < window.end
    return now >= window.start or now < window.end
