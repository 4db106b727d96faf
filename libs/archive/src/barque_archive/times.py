"""Timestamps of files, in whatever form, to nanoseconds UTC.

In:   one value, or an Arrow column; how times are written, and in which zone where they do not say.
Out:  int ns UTC, exactly; where a value is no time, which one and why.
Not:  guessing a zone. A local time that does not exist is no time; one that exists twice is refused unless a rule says which.

`auto` is ISO 8601 text (`2014-05-01T00:00:00.292Z`), or whole numbers since 1970 whose size says their unit: below 1e11
seconds, below 1e14 ms, below 1e17 us, else ns; so from March 1973 on every unit is understood.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from barque.calendars import zone
from barque.errors import ConfigError, nearest
from barque_archive.arrow import missing_rows, values_of
from barque_archive.columns import Integers

Twice = Literal["refuse", "first", "second"]
"""Which of the two is meant where a clock shows a time twice, when it is put back."""
UNITS_NS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
NS_PER_S = 10**9
NS_PER_DAY = 86_400 * NS_PER_S
EPOCH = date(1970, 1, 1).toordinal()
_EPOCH_DATETIME = datetime(1970, 1, 1, tzinfo=UTC)
_ISO = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2})(?::(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?)?(Z|([+-])(\d{2}):?(\d{2})?)?)?", re.ASCII
)
_EPOCH_TIME = re.compile(r"-?\d{1,19}", re.ASCII)
_INT64 = 2**63


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeFormat:
    """How a file writes its times."""

    form: str = "auto"
    """`auto`, `iso`, `s`, `ms`, `us`, `ns`, or a pattern of strptime such as `%Y%m%d %H%M%S`."""
    tz: str = ""
    """IANA zone of times that name none; empty: UTC."""
    twice: Twice = "refuse"

    def __post_init__(self) -> None:
        forms = ["auto", "iso", *UNITS_NS]
        if self.form not in forms and "%" not in self.form:
            raise ConfigError(
                f"option --time: '{self.form}' is no form of time; {nearest(self.form, forms)}, or a pattern with %"
            )
        if self.twice not in get_args(Twice):
            raise ConfigError(f"option --twice: '{self.twice}' is none; {nearest(self.twice, list(get_args(Twice)))}")
        if "%z" in self.form or "%Z" in self.form:
            raise ConfigError(f"option --time: '{self.form}' reads a zone; times that name one are read as iso")
        if self.tz:
            zone(self.tz)


class NotATime(ValueError):
    """Row `index` of a column is no time."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(reason)
        self.index, self.reason = index, reason


class TimeReader:
    """Reads the times of one file, column by column; all of them name their zone, or none does."""

    def __init__(self, form: TimeFormat) -> None:
        self._form = form
        self._zone = zone(form.tz) if form.tz and form.tz != "UTC" else None
        self._zoned: bool | None = None

    def read(self, column: pa.Array) -> tuple[Integers, list[NotATime]]:
        """ns UTC of each row, and the rows that are no times (their value is 0), by index."""
        if column.null_count:
            return self._around_nulls(column)
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        kind = column.type
        if pa.types.is_temporal(kind) and not pa.types.is_time(kind):
            return self._from_temporal(column)
        if pa.types.is_integer(kind):
            return self._from_numbers(values_of(column.cast(pa.int64())))
        if _is_text(kind):
            return self._from_text(column)
        return self._one_by_one(column)

    def _around_nulls(self, column: pa.Array) -> tuple[Integers, list[NotATime]]:
        absent = missing_rows(column)
        rows = np.delete(np.arange(len(column)), absent)
        ns = np.zeros(len(column), np.int64)
        ns[rows], faults = self.read(column.drop_null())
        missing = [NotATime(int(row), "timestamp is missing") for row in absent]
        found = [NotATime(int(rows[fault.index]), fault.reason) for fault in faults]
        return ns, sorted([*missing, *found], key=lambda fault: fault.index)

    def _from_temporal(self, column: pa.Array) -> tuple[Integers, list[NotATime]]:
        naive = getattr(column.type, "tz", None) is None
        ns = values_of(column.cast(pa.timestamp("ns", getattr(column.type, "tz", None))).cast(pa.int64()))
        if not naive and self._form.tz:
            raise ConfigError(f"option --tz {self._form.tz}: the times of this file name their zone; leave it out")
        return self._to_utc(ns) if naive else (ns, [])

    def _from_numbers(self, values: Integers) -> tuple[Integers, list[NotATime]]:
        if self._form.form in UNITS_NS:
            unit = UNITS_NS[self._form.form]
            if len(values) and int(np.abs(values).max()) > _INT64 // unit:
                return self._one_by_one(pa.array(values))
            return values * unit, []
        if self._form.form != "auto":
            return self._one_by_one(pa.array(values))
        size = np.abs(values)
        unit_of = np.where(size < 10**11, NS_PER_S, np.where(size < 10**14, 10**6, np.where(size < 10**17, 10**3, 1)))
        return values * unit_of, []

    def _from_text(self, column: pa.Array) -> tuple[Integers, list[NotATime]]:
        """All rows at once where they are all of one form; else row by row, to find those that are not."""
        try:
            if self._form.form in UNITS_NS:
                return self._from_numbers(values_of(pc.cast(column, pa.int64())))
            if "%" in self._form.form:
                return self._from_pattern(column)
            first = column[0].as_py() if len(column) else ""
            if self._form.form == "auto" and _EPOCH_TIME.fullmatch(first):
                return self._from_numbers(values_of(pc.cast(column, pa.int64())))
            return self._from_iso(column, first)
        except (pa.ArrowException, UnicodeDecodeError):
            return self._one_by_one(column)

    def _from_pattern(self, column: pa.Array) -> tuple[Integers, list[NotATime]]:
        """What Arrow reads and writes again as it was; the rest (it makes the 2nd of March of a 30th of February) by itself."""
        times = pc.strptime(column, self._form.form, "s")
        if not pc.all(pc.equal(pc.strftime(times, self._form.form), column)).as_py():
            return self._one_by_one(column)
        return self._to_utc(values_of(times.cast(pa.timestamp("ns")).cast(pa.int64())))

    def _from_iso(self, column: pa.Array, first: str) -> tuple[Integers, list[NotATime]]:
        match = _ISO.fullmatch(first)
        zoned = match is not None and match[6] is not None
        ns = values_of(pc.cast(column, pa.timestamp("ns", "UTC" if zoned else None)).cast(pa.int64()))
        if self._zoned not in (None, zoned) or (zoned and self._form.tz):
            return self._one_by_one(column)
        self._zoned = zoned if len(column) else self._zoned
        return (ns, []) if zoned else self._to_utc(ns)

    def _to_utc(self, local_ns: Integers) -> tuple[Integers, list[NotATime]]:
        if self._zone is None:
            return local_ns, []
        return _localised(local_ns, self._zone, self._form.twice)

    def _one_by_one(self, column: pa.Array) -> tuple[Integers, list[NotATime]]:
        """The slow way: each value by itself, so that every one that is no time is known."""
        ns = np.zeros(len(column), np.int64)
        faults: list[NotATime] = []
        for index, value in enumerate(texts_of(column)):
            try:
                ns[index] = self._single(value)
            except (ValueError, OverflowError) as error:
                faults.append(NotATime(index, str(error)))
        return ns, faults

    def _single(self, value: Any) -> int:
        form = self._form.form
        if "%" in form:
            try:
                parsed = datetime.strptime(value, form).replace(tzinfo=UTC)
            except (TypeError, ValueError):
                raise ValueError(f"timestamp {value!r} is not of the form '{form}'") from None
            return self._place((parsed - _EPOCH_DATETIME) // timedelta(microseconds=1) * 1_000)
        if form in UNITS_NS:
            if not _EPOCH_TIME.fullmatch(str(value)):
                raise ValueError(f"timestamp {value!r} is no whole number of {form}")
            return _in_range(int(value) * UNITS_NS[form])
        match = _ISO.fullmatch(value) if isinstance(value, str) else None
        if form == "iso" and match is None:
            raise ValueError(f"timestamp {value!r} is not ISO 8601 (2014-05-01T00:00:00.292Z)")
        ns = _in_range(time_ns(value))
        return ns if match is None else self._zone_checked(match, ns)

    def _zone_checked(self, match: re.Match[str], ns: int) -> int:
        zoned = match[6] is not None
        if zoned and self._form.tz:
            raise ValueError(f"timestamp '{match[0]}' names its zone, and --tz {self._form.tz} another; leave --tz out")
        if self._zoned not in (None, zoned):
            says, others = ("names", "none does") if zoned else ("does not name", "the others do")
            raise ValueError(f"timestamp '{match[0]}' {says} its zone, {others}: mixed zones")
        self._zoned = zoned
        return ns if zoned else self._place(ns)

    def _place(self, local_ns: int) -> int:
        ns, faults = self._to_utc(np.array([local_ns], np.int64))
        if faults:
            raise ValueError(faults[0].reason)
        return int(ns[0])


def time_ns(value: Any) -> int:
    """A timestamp in ns since the epoch, exactly, in the form `auto`; UTC where it names no zone. Raises `ValueError`.

    >>> time_ns("1970-01-01 01:00:00.000000001+01:00"), time_ns(1_398_902_400), time_ns("1398902400292")
    (1, 1398902400000000000, 1398902400292000000)
    """
    if isinstance(value, str):
        match = _ISO.fullmatch(value)
        if match is not None:
            return _iso_ns(match)
        if _EPOCH_TIME.fullmatch(value):
            return _epoch_ns(int(value))
    elif isinstance(value, int) and not isinstance(value, bool):
        return _epoch_ns(value)
    raise ValueError(f"timestamp {value!r} is neither ISO 8601 (2014-05-01T00:00:00.292Z) nor whole s, ms, us or ns")


def iso(ts_ns: int) -> str:
    """A time as ISO 8601 in UTC, with a fraction only where there is one.

    >>> iso(1_398_902_400_000_000_000), iso(1_398_902_400_250_000_000)
    ('2014-05-01T00:00:00Z', '2014-05-01T00:00:00.25Z')
    """
    seconds, fraction = divmod(int(ts_ns), NS_PER_S)
    text = (datetime(1970, 1, 1) + timedelta(seconds=seconds)).isoformat()  # noqa: DTZ001 (UTC; any year)
    return f"{text}.{fraction:09d}".rstrip("0") + "Z" if fraction else f"{text}Z"


def texts_of(column: pa.Array) -> list[str | None]:
    """Values of a text column, whatever bytes are in it; None where one is missing."""
    found = column.cast(pa.large_binary()).to_pylist() if _is_text(column.type) else column.to_pylist()
    return [value.decode(errors="replace") if isinstance(value, bytes) else value for value in found]


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _epoch_ns(value: int) -> int:
    size = abs(value)
    if size < 10**11:
        return value * NS_PER_S
    if size < 10**14:
        return value * 10**6
    return value * 10**3 if size < 10**17 else value


def _iso_ns(match: re.Match[str]) -> int:
    day, hours, minutes, seconds, fraction, _, sign, zone_hours, zone_minutes = match.groups()
    h, m, s = int(hours or 0), int(minutes or 0), int(seconds or 0)
    if h > 23 or m > 59 or s > 59 or int(zone_hours or 0) > 23 or int(zone_minutes or 0) > 59:
        raise ValueError(f"timestamp '{match[0]}' is no time of day")
    ns = _day_ns(day) + (h * 3600 + m * 60 + s) * NS_PER_S
    if fraction:
        ns += int(fraction.ljust(9, "0"))
    if sign:
        offset_ns = (int(zone_hours) * 3600 + int(zone_minutes or 0) * 60) * NS_PER_S
        ns -= offset_ns if sign == "+" else -offset_ns
    return ns


@lru_cache(maxsize=64)
def _day_ns(day: str) -> int:
    return (date.fromisoformat(day).toordinal() - EPOCH) * NS_PER_DAY


def _in_range(ns: int) -> int:
    if abs(ns) >= _INT64:
        raise ValueError(f"timestamp of {ns} ns is outside the years 1678 to 2261")
    return ns


def _localised(local_ns: Integers, where: ZoneInfo, twice: Twice) -> tuple[Integers, list[NotATime]]:
    """Clock times in `where` to ns UTC. A day on which its offset does not change is done at once, others minute by minute."""
    days = local_ns // NS_PER_DAY
    order = np.argsort(days, kind="stable")
    out = np.empty_like(local_ns)
    faults: list[NotATime] = []
    for rows in np.split(order, np.flatnonzero(np.diff(days[order])) + 1) if len(days) else ():
        steady = _steady_offset_ns(int(days[rows[0]]), where)
        if steady is not None:
            out[rows] = local_ns[rows] - steady
            continue
        for row in rows:
            early, late = (_offset_ns(int(local_ns[row]), where, fold) for fold in (0, 1))
            out[row] = local_ns[row] - (late if twice == "second" else early)
            if early < late:
                faults.append(NotATime(int(row), f"{_clock(local_ns[row])} does not exist in {where.key}: skipped in spring"))
            elif early > late and twice == "refuse":
                faults.append(NotATime(int(row), f"{_clock(local_ns[row])} exists twice in {where.key}; say which with --twice"))
    return out, sorted(faults, key=lambda fault: fault.index)


def _clock(local_ns: Any) -> str:
    return f"timestamp '{iso(int(local_ns)).removesuffix('Z')}'"


@lru_cache(maxsize=4_096)
def _steady_offset_ns(day: int, where: ZoneInfo) -> int | None:
    """The offset from UTC on a day whose every clock time exists once; None on other days."""
    ends = (day * NS_PER_DAY, (day + 1) * NS_PER_DAY - 1)
    offsets = [_offset_ns(end, where, fold) for end in ends for fold in (0, 1)]
    return offsets[0] if min(offsets) == max(offsets) else None


def _offset_ns(local_ns: int, where: ZoneInfo, fold: int) -> int:
    clock = datetime(1970, 1, 1) + timedelta(microseconds=local_ns // 1_000)  # noqa: DTZ001 (what the clock shows)
    offset = clock.replace(tzinfo=where, fold=fold).utcoffset()
    return 0 if offset is None else offset // timedelta(microseconds=1) * 1_000
