"""Whether what the archive has of a series can be relied upon.

In:   an archive, a series, its market's hours if they are known.   Out: findings: errors, and what looks odd.
Not:  mending. An error is what no source of data can mean; a warning is what it probably does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np

from barque.calendars import Calendar
from barque_archive import layout, partitions
from barque_archive.archive import Archive
from barque_archive.checks import faults_of
from barque_archive.columns import BarColumns, Floats, Integers, MarketColumns, QuoteColumns, concat, key_ns, take
from barque_archive.hours import Hours
from barque_archive.partitions import ArchiveError
from barque_archive.series import Series, duration_ns
from barque_archive.times import iso

Severity = Literal["error", "warning", "note"]
HOUR_NS = 3_600 * 10**9
_BUCKET_NS = HOUR_NS // 2
SHIFTS_H = range(-14, 15)
OUTSIDE_FRACTION = 0.002
"""Of rows outside open hours: so many are odd."""
FEW = 10
"""Rows of which nothing can be said."""
NAMED = 3
"""Gaps that are named one by one."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing found in one series."""

    severity: Severity
    check: str
    """Its name: `gaps`, `duplicates` …"""
    text: str
    rows: int = 1
    """How many rows it is about."""
    at_ns: int | None = None
    """Where the first of them is; a bar's open."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All findings of one series."""

    series: Series
    rows: int
    findings: list[Finding]

    @property
    def errors(self) -> int:
        """Findings that are errors."""
        return sum(finding.severity == "error" for finding in self.findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectations:
    """What a market is known to do."""

    calendar: Calendar | None = None
    """None: not known; gaps are then only counted."""
    calendar_name: str = ""
    gap_ns: int = HOUR_NS
    """Open time without a row that is worth a warning."""
    spike_fraction: float = 0.1
    """A price that is further than this from its neighbours, which agree, is a spike."""


def audit(archive: Archive, series: Series, expected: Expectations) -> Report:
    """Everything found in one series."""
    findings: list[Finding] = []
    times: list[Integers] = []
    prices: list[Floats] = []
    quiet = [0, 0]
    last: MarketColumns | None = None
    spans, misnamed = _spans(archive, series)
    findings += misnamed
    for span in spans:
        try:
            columns = partitions.read(span.path, series).columns
        except ArchiveError as error:
            findings.append(Finding(severity="error", check="files", text=str(error)))
            continue
        findings += _misplaced(span, columns)
        findings += _rows(columns)
        findings += _sequence(columns if last is None else concat([last, columns]))
        last = take(columns, slice(-1, None))
        times.append(key_ns(columns))
        prices.append(_price(columns))
        if isinstance(columns, BarColumns):
            quiet[0] += int((columns.volume == 0).sum())
            quiet[1] += int((columns.volume > 0).sum())
    if times:
        all_times, all_prices = np.concatenate(times), np.concatenate(prices)
        findings += _spikes(all_times, all_prices, expected.spike_fraction)
        findings += _hours(series, all_times, expected)
        if all(quiet):
            findings.append(Finding(severity="note", check="zero_volume", text="bars without volume", rows=quiet[0]))
    return Report(series=series, rows=sum(map(len, times)), findings=_merged(findings))


# -- rows ------------------------------------------------------------------------------------------------------------------


def _spans(archive: Archive, series: Series) -> tuple[list[layout.Span], list[Finding]]:
    """The files of a series with the time they are for; findings for those whose name says none."""
    unit, named, findings = layout.unit_of(series), [], []
    for path in layout.files_of(archive.root, series):
        try:
            layout.start_of(path, unit)
            named.append(path)
        except ValueError as error:
            findings.append(Finding(severity="error", check="files", text=str(error)))
    return layout.spans(named, unit), findings


def _misplaced(span: layout.Span, columns: MarketColumns) -> Iterator[Finding]:
    times = key_ns(columns)
    wrong = np.flatnonzero((times < span.first_ns) | (times >= span.end_ns))
    if len(wrong):
        text = f"{span.path.name} has rows of other times"
        yield Finding(severity="error", check="files", text=text, rows=len(wrong), at_ns=int(times[wrong[0]]))


def _rows(columns: MarketColumns) -> Iterator[Finding]:
    for fault in faults_of(columns):
        row = int(fault.rows[0])
        text = f"{fault.name}, such as {fault.text(row)}"
        yield Finding(severity="error", check="bad_rows", text=text, rows=len(fault.rows), at_ns=int(key_ns(columns)[row]))


def _sequence(columns: MarketColumns) -> Iterator[Finding]:
    times = key_ns(columns)
    steps = np.diff(times)
    late = steps < 0
    checks = [("out_of_order", "rows are older than the row before them", late)]
    if isinstance(columns, BarColumns):
        numbers = np.diff(columns.seq)
        again = (steps == 0) & (numbers == 0)
        over = (steps > 0) & (columns.ts_open_ns[1:] < columns.ts_close_ns[:-1])
        checks[0] = ("out_of_order", checks[0][1], late | ((steps == 0) & (numbers < 0)))
        checks += [
            ("duplicates", "bars have the time of the bar before them", again),
            ("overlaps", f"bars open before the one before them closes: they are not all {columns.interval}", over),
        ]
    for check, text, mask in checks:
        if mask.any():
            row = int(np.argmax(mask)) + 1
            yield Finding(severity="error", check=check, text=text, rows=int(mask.sum()), at_ns=int(times[row]))


def _spikes(times: Integers, prices: Floats, limit: float) -> Iterator[Finding]:
    if len(prices) < 3:
        return
    before, at, after = prices[:-2], prices[1:-1], prices[2:]
    with np.errstate(all="ignore"):  # prices that are none are found elsewhere
        alone = (np.abs(at / before - 1) > limit) & (np.abs(at / after - 1) > limit) & (np.abs(after / before - 1) < limit)
    if alone.any():
        row = int(np.argmax(alone))
        example = f"{at[row]:g} between {before[row]:g} and {after[row]:g}"
        text = f"prices are more than {limit:.0%} from both neighbours, such as {example}"
        yield Finding(severity="warning", check="spikes", text=text, rows=int(alone.sum()), at_ns=int(times[row + 1]))


def _price(columns: MarketColumns) -> Floats:
    if isinstance(columns, BarColumns):
        return columns.close
    return (columns.bid + columns.ask) / 2 if isinstance(columns, QuoteColumns) else columns.price


# -- hours -----------------------------------------------------------------------------------------------------------------


def _hours(series: Series, times: Integers, expected: Expectations) -> Iterator[Finding]:
    length = duration_ns(series.interval) if series.kind == "bars" else 0
    if length is None:
        return
    times = np.sort(times)
    yield from _spacing(series, times, length)
    if expected.calendar is None:
        yield from _silences(times, expected.gap_ns, length)
        return
    hours = Hours.of(expected.calendar, int(times[0]), int(times[-1]))
    yield from _gaps(hours, times, expected, length)
    if length < 24 * HOUR_NS:
        yield from _outside(hours, times, expected)


def _spacing(series: Series, times: Integers, length: int) -> Iterator[Finding]:
    steps = np.diff(times)
    closest = int(steps[steps > 0].min(initial=2**62))
    if length and len(steps) >= FEW and closest >= 2 * length:
        text = f"bars are never closer than {_span(closest)}, {series.interval} is {_span(length)}: is the interval right?"
        yield Finding(severity="warning", check="spacing", text=text, rows=len(times))


def _silences(times: Integers, gap_ns: int, length: int) -> Iterator[Finding]:
    steps = np.diff(times) - length
    wide = np.flatnonzero(steps >= gap_ns)
    if len(wide):
        row = wide[int(np.argmax(steps[wide]))]
        longest = f"the longest {_span(steps[row])} from {iso(int(times[row]))}"
        text = f"gaps of {_span(gap_ns)} and more, closed hours among them (no calendar is known); {longest}"
        yield Finding(severity="note", check="gaps", text=text, rows=len(wide), at_ns=int(times[wide[0]]))


def _gaps(hours: Hours, times: Integers, expected: Expectations, length: int) -> Iterator[Finding]:
    """Open time between the end of a row and the next row."""
    ends = times[:-1] + length
    empty = hours.open_time(times[1:]) - hours.open_time(np.minimum(ends, times[1:]))
    wide = np.flatnonzero(empty >= max(expected.gap_ns, length, 1))
    named = wide[np.argsort(-empty[wide], kind="stable")][:NAMED]
    if len(wide):
        longest = "; ".join(f"{_span(empty[row])} from {iso(int(ends[row]))}" for row in named)
        text = f"gaps of {_span(max(expected.gap_ns, length))} and more in hours of {expected.calendar_name}: {longest}"
        yield Finding(severity="warning", check="gaps", text=text, rows=len(wide), at_ns=int(ends[wide[0]]))
    missing = int((empty // length).sum()) if length else 0
    if missing:
        share = missing / (missing + len(times))
        text = f"bars of open hours are missing, {share:.2%}"
        yield Finding(severity="note", check="missing", text=text, rows=missing)


def _outside(hours: Hours, times: Integers, expected: Expectations) -> Iterator[Finding]:
    """Rows while the market is closed; and whether another zone would explain them."""
    outside = hours.outside(times)
    count = int(outside.sum())
    if count <= OUTSIDE_FRACTION * len(times):
        return
    name, at = expected.calendar_name, int(times[np.argmax(outside)])
    text = f"rows while {name} is closed, {count / len(times):.1%}"
    yield Finding(severity="warning", check="closed_hours", text=text, rows=count, at_ns=at)
    shifts = _best_shifts(hours, times)
    if not shifts:
        return
    if len(set(shifts.values())) == 1:
        best = next(iter(shifts.values()))
        text = f"times look {abs(best)} h too {'early' if best > 0 else 'late'} for {name}: import again with their zone (--tz)"
    else:
        each = ", ".join(f"{month} {shift:+d} h" for month, shift in shifts.items())
        text = (
            f"times look shifted against {name}, differently by month ({each}): a zone with summer time, import again with --tz"
        )
    yield Finding(severity="warning", check="time_zone", text=text, rows=len(times), at_ns=int(times[0]))


def _best_shifts(hours: Hours, times: Integers) -> dict[str, int]:
    """By month, the hours that would have to be added so that next to no row is outside; empty where nothing explains them."""
    buckets, counts = np.unique(times // _BUCKET_NS, return_counts=True)
    starts = buckets * _BUCKET_NS
    months = starts.astype("datetime64[ns]").astype("datetime64[M]")
    found: dict[str, int] = {}
    for month in np.unique(months):
        rows = months == month
        outside = {shift: int(counts[rows][hours.outside(starts[rows] + shift * HOUR_NS)].sum()) for shift in SHIFTS_H}
        best = min(SHIFTS_H, key=lambda shift: (outside[shift], abs(shift)))
        if outside[best] > max(outside[0] // 10, OUTSIDE_FRACTION * int(counts[rows].sum())):
            return {}
        if outside[0] > OUTSIDE_FRACTION * int(counts[rows].sum()):
            found[str(month)] = best
    return found


def _span(ns: object) -> str:
    """`90 min`, `2.5 h`, `3 d` in words for people."""
    seconds = int(str(ns)) / 1e9
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def _merged(findings: list[Finding]) -> list[Finding]:
    """Findings that differ by file alone, as one; errors first."""
    found: dict[tuple[str, str, str], Finding] = {}
    for each in findings:
        key = (each.severity, each.check, each.text.partition(", such as")[0])
        first = found.get(key)
        found[key] = each if first is None else msgspec.structs.replace(first, rows=first.rows + each.rows)
    return sorted(found.values(), key=lambda each: ("error", "warning", "note").index(each.severity))
