"""Two runs of one book, message by message: backtests, and recordings of the running services.

In:   two result folders or recordings (`barque record`).   Out: `Comparison`: counts, the first difference, correlations.
Not:  tolerance. Ids are functions of what caused them and money is exact, so equal runs have equal messages. How alike
      unequal runs are, the correlations say.

Order of comparison: event time, then who said it, then the order of saying; that is the same however messages were packed.

Correlations. `positions`: Pearson's, weighted by time, of what was held over time: for each strategy and symbol the signed
position as a step from fill to fill, from the first fill of either run to the last; covariances and variances are summed over
all of them before they are divided. `daily_pnl`: Pearson's of the changes of equity from day to day (UTC, last mark of a
day), over the days that both runs marked.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from barque.bus.replay import RecordedSource
from barque.errors import ConfigError
from barque.messages import EquityMarked, Fill, Message, id_of, time_of
from barque_archive.columns import Floats
from barque_backtest.curves import DAY_NS
from barque_backtest.folder import KINDS, kind_of, read_messages, read_result

COMPARED = ("signals", "setups", "orders", "rejections", "order_events", "fills")
"""In the order of cause and effect."""


class FieldDifference(msgspec.Struct, frozen=True, kw_only=True):
    """One field of one message."""

    field: str
    a: str
    b: str


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The first place where two runs part."""

    kind: str
    index: int
    """Place among the messages of its kind."""
    message: str
    """The type and id of the message."""
    time: str
    """Event time, ISO 8601."""
    only_in: str = ""
    """`A` or `B`, where the other has no such message here."""
    fields: list[FieldDifference] = []
    """Where both have it."""
    text: str = ""
    """The message, where only one has it."""
    instead: str = ""
    """What the other has in its place; empty: it has ended."""


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """Messages of one kind, matched by id."""

    a: int
    b: int
    equal: int
    different: int
    only_a: int
    only_b: int


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What two runs have in common."""

    a: str
    b: str
    equal: bool
    counts: dict[str, Count]
    first: Difference | None
    position_correlation: float | None
    """None where nothing varied in one of them."""
    daily_pnl_correlation: float | None
    """None with fewer than three days in common."""


@dataclass(frozen=True, slots=True)
class Said:
    """What one run said, by kind, in the order of comparison."""

    name: str
    messages: Mapping[str, Sequence[Message]]


def load(path: Path) -> Said:
    """A result folder or a recording; raises `ConfigError` where it is neither."""
    if path.is_dir():
        read_result(path)
        kept = ((_source(m), m) for kind in KINDS for m in read_messages(path, kind))
        return Said(str(path), _by_kind(kept))
    if not path.exists():
        raise ConfigError(f"{path} does not exist; give a folder of `barque backtest --report`, or a file of `barque record`")
    return Said(str(path), _by_kind(asyncio.run(_recorded(RecordedSource(path)))))


def compare(a: Said, b: Said) -> Comparison:
    """Compare everything in `COMPARED`."""
    differences = [d for kind in COMPARED if (d := _first(kind, a.messages[kind], b.messages[kind])) is not None]
    return Comparison(
        a=a.name,
        b=b.name,
        equal=not differences,
        counts={kind: _count(a.messages[kind], b.messages[kind]) for kind in COMPARED},
        first=min(differences, key=lambda d: d.time, default=None),  # of one instant the first in COMPARED
        position_correlation=position_correlation(a.messages["fills"], b.messages["fills"]),
        daily_pnl_correlation=daily_pnl_correlation(a.messages["equity"], b.messages["equity"]),
    )


def position_correlation(a: Sequence[Fill], b: Sequence[Fill]) -> float | None:
    """As defined above; None where a run held the same throughout."""
    times = np.unique(np.array([fill.ts_event_ns for fill in (*a, *b)], dtype=np.int64))
    if len(times) < 2:
        return None
    weights = np.diff(times).astype(np.float64)
    ours, theirs = _positions(a), _positions(b)
    together = own = other = 0.0
    for key in sorted({*ours, *theirs}):
        x, y = (_held(steps.get(key, ()), times) for steps in (ours, theirs))
        x, y = x - np.average(x, weights=weights), y - np.average(y, weights=weights)
        together += float(np.sum(weights * x * y))
        own += float(np.sum(weights * x * x))
        other += float(np.sum(weights * y * y))
    return _ratio(together, own, other)


def daily_pnl_correlation(a: Sequence[EquityMarked], b: Sequence[EquityMarked]) -> float | None:
    """As defined above; None with fewer than three days in common, or where one did not vary."""
    ours, theirs = _by_day(a), _by_day(b)
    common = sorted(ours.keys() & theirs.keys())
    if len(common) < 3:
        return None
    x = np.diff([ours[key] for key in common])
    y = np.diff([theirs[key] for key in common])
    same_account = np.array([one[0] == two[0] for one, two in pairwise(common)])
    x, y = x[same_account], y[same_account]
    if len(x) < 2:
        return None
    x, y = x - x.mean(), y - y.mean()
    return _ratio(float(x @ y), float(x @ x), float(y @ y))


# -- loading ------------------------------------------------------------------------------------------------------------------


async def _recorded(source: RecordedSource) -> list[tuple[str, Message]]:
    """Every message of the kinds that are kept, with who said it, in its order of saying."""
    found: list[tuple[str, Message]] = []
    for topic in dict.fromkeys(topic for topic, _ in KINDS.values()):
        entries = [(entry.header(), entry) for entry in await source.range(topic)]
        entries.sort(key=lambda pair: (pair[0].source, pair[0].seq))
        found += [(header.source, message) for header, entry in entries for message in entry.messages()]
    return found


def _by_kind(messages: Iterable[tuple[str, Message]]) -> dict[str, Sequence[Message]]:
    sorted_out: dict[str, list[tuple[str, Message]]] = {kind: [] for kind in KINDS}
    for source, message in messages:
        kind = kind_of(message)
        if kind is not None:
            sorted_out[kind].append((source, message))
    return {kind: _ordered(found) for kind, found in sorted_out.items()}


def _source(message: Message) -> str:
    """Who says it where several may: strategies their wishes."""
    return f"strategy.{message.strategy_id}" if kind_of(message) in ("signals", "setups") else ""


def _ordered(messages: Iterable[tuple[str, Message]]) -> list[Message]:
    return [message for _, message in sorted(messages, key=lambda pair: (time_of(pair[1]), pair[0]))]


# -- differences --------------------------------------------------------------------------------------------------------------


def _first(kind: str, a: Sequence[Message], b: Sequence[Message]) -> Difference | None:
    shorter = min(len(a), len(b))
    index = next((i for i in range(shorter) if a[i] != b[i]), shorter)
    if index == len(a) == len(b):
        return None
    ours = a[index] if index < len(a) else None
    theirs = b[index] if index < len(b) else None
    if ours is not None and theirs is not None and _key(ours) == _key(theirs):
        return _difference(kind, index, ours, fields=_fields(ours, theirs))
    in_b = {_key(message) for message in b[index:]}
    if ours is not None and (theirs is None or _key(ours) not in in_b or time_of(ours) <= time_of(theirs)):
        return _difference(kind, index, ours, only_in="A", text=_text(ours), instead=_text(theirs))
    return _difference(kind, index, theirs, only_in="B", text=_text(theirs), instead=_text(ours))


def _text(message: Message | None) -> str:
    """A message without the fields that say nothing."""
    if message is None:
        return ""
    fields = msgspec.structs.fields(type(message))
    said = (f"{f.name}={getattr(message, f.name)}" for f in fields if getattr(message, f.name) != f.default)
    return f"{type(message).__name__}({', '.join(said)})"


def _difference(kind: str, index: int, message: Message, **what: Any) -> Difference:
    name = f"{type(message).__name__} {id_of(message)}"
    return Difference(kind=kind, index=index, message=name, time=_iso(time_of(message)), **what)


def _fields(a: Message, b: Message) -> list[FieldDifference]:
    ours, theirs = msgspec.structs.asdict(a), msgspec.structs.asdict(b)
    return [
        FieldDifference(field=name, a=str(ours.get(name)), b=str(theirs.get(name)))
        for name in dict.fromkeys([*ours, *theirs])
        if ours.get(name) != theirs.get(name)
    ]


def _key(message: Message) -> tuple[str, str]:
    return type(message).__name__, id_of(message)


def _iso(ns: int) -> str:
    return datetime.fromtimestamp(ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{ns % 10**9:09d}Z"


def _count(a: Sequence[Message], b: Sequence[Message]) -> Count:
    ours, theirs = _numbered(a), _numbered(b)
    equal = sum(1 for key, message in ours.items() if theirs.get(key) == message)
    common = len(ours.keys() & theirs.keys())
    return Count(
        a=len(a), b=len(b), equal=equal, different=common - equal, only_a=len(ours) - common, only_b=len(theirs) - common
    )


def _numbered(messages: Iterable[Message]) -> dict[tuple[tuple[str, str], int], Message]:
    """By id; of several of one id (an order changed twice) by their number."""
    seen: Counter[tuple[str, str]] = Counter()
    found = {}
    for message in messages:
        key = _key(message)
        found[key, seen[key]] = message
        seen[key] += 1
    return found


# -- correlations -------------------------------------------------------------------------------------------------------------


def _positions(fills: Iterable[Fill]) -> dict[tuple[str, str], list[tuple[int, float]]]:
    steps: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
    for fill in fills:
        steps[fill.strategy_id, fill.symbol].append((fill.ts_event_ns, float(fill.signed_quantity)))
    return steps


def _held(steps: Sequence[tuple[int, float]], times: Any) -> Floats:
    """The position from each of `times` to the next."""
    ordered = sorted(steps, key=lambda step: step[0])
    moments = np.array([ns for ns, _ in ordered], dtype=np.int64)
    position = np.concatenate(([0.0], np.cumsum([quantity for _, quantity in ordered])))
    held: Floats = position[np.searchsorted(moments, times[:-1], side="right")]
    return held


def _by_day(marks: Iterable[EquityMarked]) -> dict[tuple[str, int], float]:
    return {(mark.account, (mark.ts_event_ns - 1) // DAY_NS): float(mark.equity) for mark in marks}


def _ratio(together: float, own: float, other: float) -> float | None:
    if own <= 0 or other <= 0:
        return None
    return max(-1.0, min(1.0, together / float(np.sqrt(own) * np.sqrt(other))))
