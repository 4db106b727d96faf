"""When a market is open, and where a wall clock's hands point.

In:   a calendar's name from an `[[instruments]]` entry, an instant in ns UTC.   Out: open or not, openings, trading days.
Not:  the time; every answer is a function of the instant asked about.

| name | what |
|---|---|
| `24/7` | never closes; its trading days are those of UTC |
| `FX` | open from Sunday 17:00 to Friday 17:00 in New York, holidays included; a trading day ends at 17:00 |
| an exchange's MIC code (`XNYS`, `XLON`) or alias | the exchange's sessions, half days and holidays |
| `GLOBEX` | futures of CME: `CMES` with the daily break from 16:00 to 17:00 in Chicago |
| `holidays:JP` | a country's days of business, from midnight to midnight UTC; made for the filters of schedules |

The last three need the extra `barque[calendars]` (packages `exchange_calendars` and `holidays`).
"""

from barque.calendars.base import Calendar, TradingDay
from barque.calendars.names import calendar
from barque.calendars.wall_clock import instant, local_day, zone

__all__ = ["Calendar", "TradingDay", "calendar", "instant", "local_day", "zone"]
