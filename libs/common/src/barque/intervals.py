"""What a bar is made of: its `interval`, a length of time (`1s` to `1w`) or another measure (`tick:100`, `renko:10`).

In:   the text of a bar's `interval`.   Out: an `Interval`, and the bucket of the UTC grid that a time falls into.
Not:  sessions; bars counted from a session's open are the bar builder's affair.

    5m              time: a whole number and s, m, h, d or w, up to a week
    tick:100        so many ticks (quotes, or trades of `last` bars)
    volume:5000     so much traded size, in contracts
    value:1000000   so much traded value: price x size x multiplier, in the instrument's currency
    range:10        no wider than so many ticks of the instrument's `tick_size`
    renko:10        bricks of so many ticks of the instrument's `tick_size`
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

Kind = Literal["time", "tick", "volume", "value", "range", "renko"]

DAY_NS = 86_400 * 10**9
WEEK_NS = 7 * DAY_NS
_MONDAY_NS = 4 * DAY_NS
"""The epoch is a Thursday; weeks begin on Mondays, the first one four days later."""

_UNITS_NS = {"s": 10**9, "m": 60 * 10**9, "h": 3_600 * 10**9, "d": DAY_NS, "w": WEEK_NS}
_TIME = re.compile(r"([1-9][0-9]{0,5})([smhdw])")
_MEASURES = tuple(kind for kind in get_args(Kind) if kind != "time")
_SIZE = re.compile(r"[1-9][0-9]{0,14}")
_LIKE_TIME = re.compile(
    r"([0-9]+)[ _]?(s(?:ec[a-z]*)?|m(?:in[a-z]*)?|h(?:r|rs|our|ours)?|d(?:ays?)?|w(?:eeks?)?)|([SMHDW])([0-9]+)", re.ASCII
)
"""`5min`, `5 m`, `1day`; `M5`, `H1`."""
_EXAMPLES = (
    "a whole number and s, m, h, d or w up to a week, such as 1s, 5m, 4h, 1d, 1w, or a kind and its size, such as tick:100"
)


class Interval(NamedTuple):
    """A bar's interval, read."""

    kind: Kind
    size: int
    """ns of a time bar; ticks, contracts or currency units of the others."""

    @property
    def is_time(self) -> bool:
        """A duration; the bars of all other kinds end when something has happened."""
        return self.kind == "time"

    @property
    def interval_ns(self) -> int:
        """Length of a time bar; 0 of the other kinds, which have none."""
        return self.size if self.kind == "time" else 0


@lru_cache(maxsize=1024)
def interval_of(text: str) -> Interval:
    """What `text` means; raises `ValueError` with the nearest valid spelling where it is no interval.

    >>> interval_of("5m"), interval_of("volume:5000").size
    (Interval(kind='time', size=300000000000), 5000)
    """
    match = _TIME.fullmatch(text)
    if match is not None:
        size = int(match[1]) * _UNITS_NS[match[2]]
        if size > WEEK_NS:
            raise ValueError(f"'{text}' is not an interval: it is longer than a week (1w)")
        return Interval("time", size)
    kind, colon, size_text = text.partition(":")
    if colon and kind in _MEASURES and _SIZE.fullmatch(size_text):
        return Interval(kind, int(size_text))  # type: ignore[arg-type]  # one of the names just looked at
    raise ValueError(f"'{text[:60]}' is not an interval: {_EXAMPLES}{_hint(text)}")


def parse_interval(text: str) -> int:
    """Nanoseconds of a time bar's interval; raises `ValueError` where it is none, or of another kind.

    >>> parse_interval("5m")
    300000000000
    """
    interval = interval_of(text)
    if not interval.is_time:
        raise ValueError(f"'{text}' is not an interval of time: a whole number and s, m, h, d or w is needed here, such as 5m")
    return interval.size


def bucket_open(ts_ns: int, interval_ns: int) -> int:
    """Start of the bucket that holds `ts_ns`, inclusive; the bucket ends `interval_ns` later, exclusive.

    Buckets are aligned to the UTC epoch: `4h` bars open at 00, 04, 08 …, `1d` bars at midnight; weeks open on Mondays.

    >>> bucket_open(61, 60)
    60
    """
    if interval_ns == WEEK_NS:
        return ts_ns - (ts_ns - _MONDAY_NS) % interval_ns
    return ts_ns - ts_ns % interval_ns


def _hint(text: str) -> str:
    """The nearest valid spelling, where one comes near."""
    kind, colon, size_text = text.strip().lower().partition(":")
    near = get_close_matches(kind.rstrip("0123456789 _-="), _MEASURES, n=1, cutoff=0.7)
    if near:
        size = size_text.strip() if colon else "".join(filter(str.isdigit, kind))
        if _SIZE.fullmatch(size):
            return f"; did you mean '{near[0]}:{size}'?"
        return f"; did you mean '{near[0]}:N', N a positive whole number?"
    match = _LIKE_TIME.fullmatch(text)
    if match is None:
        return ""
    spelled = f"{int(match[1] or match[4])}{(match[2] or match[3])[0].lower()}"
    return f"; did you mean '{spelled}'?" if _TIME.fullmatch(spelled) else ""
