"""Why did it trade? From a fill or an order back to the wish, what the wish came of, and the market it saw, with times.

In:   an id; the ledger; the streams, where they can be reached.
Out:  a `Story`, oldest step first, and what is not known any more.
Not:  a guess. The ledger keeps fills, and wishes, orders, events and bars as long as its retention says; the streams what has not
      been trimmed. Ticks are on the streams, and then in an archive, if there is one.

Needs the extra `barque[postgres]`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

from barque.bus.redis_bus import RedisBus
from barque.errors import BusUnavailable, WireError
from barque.messages import (
    Bar,
    CancelRequest,
    Fill,
    Message,
    ModifyRequest,
    Quote,
    Signal,
    SignalRejected,
    SubmitOrder,
    Topic,
    Trade,
    id_of,
    time_of,
)
from barque.messages.topics import MESSAGES

LOOK_BACK = 20_000
"""Entries of a stream that are looked through, newest first."""
PAGE = 1_000
Kind = Literal["execution", "order", "signal"]
Stage = Literal["ticks", "bar", "clock", "cause", "signal", "order", "event", "rejection", "fill"]
Place = Literal["ledger", "streams", "archive", "id"]
_STAGES: tuple[Stage, ...] = ("ticks", "bar", "clock", "cause", "signal", "order", "rejection", "event", "fill")
_KINDS: dict[str, type] = {kind.__name__: kind for kinds in MESSAGES.values() for kind in kinds}
_PRICES = frozenset({"bid", "ask", "mid", "last"})


class Reader(Protocol):
    """A connection or a pool to Postgres."""

    async def fetch(self, query: str, *arguments: object) -> list[Any]:
        """Rows."""
        ...


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened on the way."""

    stage: Stage
    id: str
    ts_event_ns: int
    published_ns: int = 0
    """When it was put on its stream; 0 where that is not known any more."""
    text: str
    """For people."""
    found_in: Place
    said: dict[str, Any] = {}
    """The message, as JSON has it."""


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """The way to one execution, order or wish."""

    id: str
    kind: Kind
    steps: tuple[Step, ...]
    missing: tuple[str, ...] = ()
    """What should be there and is not, and why."""


class Heard(msgspec.Struct, frozen=True):
    """A message and when it was published; 0: not known."""

    message: Message
    published_ns: int
    place: Place


Found: TypeAlias = dict[str, Heard]
"""By `key_of`."""
Ticks: TypeAlias = Callable[[str, int, int], Iterable[Message]]
"""Quotes and trades of a symbol with times in [from, to], where they are kept besides the streams."""


async def why(
    ledger: Reader, bus: RedisBus | None, book: str, lineage: str, name: str, archive: Ticks | None = None
) -> Story | None:
    """The story of `name`: an `exec_id`, an `order_id` or a signal's id; None where nobody has heard of it."""
    missing: list[str] = []
    said = _Said(ledger, book, lineage)
    streams = await _streams(bus, missing)
    kind, order_id, signal_id = await _identify(said, streams, name)
    if kind is None:
        return None
    found: Found = {}
    for heard in [*await said.of_order(order_id), *_of_order(streams, order_id)]:
        _take(found, heard)
    orders = [each.message for each in found.values() if isinstance(each.message, SubmitOrder)]
    signal_id = signal_id or (orders[0].cause if orders else next((each.message.cause for each in found.values()), ""))
    for heard in [*await said.of_signal(signal_id), *_of_signal(streams, signal_id)]:
        _take(found, heard)
    wish = next(
        (each.message for each in found.values() if isinstance(each.message, Signal | CancelRequest | ModifyRequest)), None
    )
    if wish is not None:
        await _market(said, _Prices(bus, archive), wish, found, missing)
    elif signal_id:
        missing.append(f"the wish {signal_id}: it is neither in the ledger nor on the streams (a command has none)")
    if order_id and not orders:
        missing.append(f"the order {order_id} itself: it was not decided here, or before the ledger kept orders")
    if (wish is None and signal_id) or (order_id and not orders):
        missing += await retired(ledger, book, lineage)
    steps = [_step(heard) for heard in found.values()]
    if wish is not None:
        steps += _named(wish, found)
    steps.sort(key=lambda step: (_STAGES.index(step.stage) if step.stage not in ("event", "fill") else 99, step.ts_event_ns))
    return Story(id=name, kind=kind, steps=tuple(steps), missing=tuple(missing))


def unknown(book: str, name: str, gone: Sequence[str] = ()) -> str:
    """What to say of an id that nobody has heard of; `gone`: what has been `retired`."""
    text = (
        f"book '{book}' knows no execution, order or signal '{name}': neither its ledger nor the last {LOOK_BACK:,} entries of "
        f"its streams; ids are as in `barque status`, /api/v1/fills and /api/v1/orders"
    )
    return "; ".join((text, *gone))


async def retired(ledger: Reader, book: str, lineage: str) -> list[str]:
    """Which records of orders the ledger has had and has no more, in words; empty where it has them all."""
    rows = await ledger.fetch(_RETIRED, book, lineage)
    return [
        f"{row['name']} of before {_utc(row['before_ns'])} have been retired (portfolio.events_keep_days); "
        f"an archive, if there was one, has them in its folder retired/{row['name']}"
        for row in rows
    ]


_RETIRED = """
SELECT name, before_ns FROM retired WHERE book = $1 AND lineage = $2 AND name IN ('signals', 'orders') ORDER BY name
"""


def _utc(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# -- what is meant ---------------------------------------------------------------------------------------------------------


async def _identify(said: _Said, streams: Sequence[Heard], name: str) -> tuple[Kind | None, str, str]:
    """What `name` is, with its order and its signal."""
    order_id = await said.order_of_execution(name)
    for heard in streams:
        if isinstance(heard.message, Fill) and heard.message.exec_id == name:
            order_id = heard.message.order_id
    if order_id:
        return "execution", order_id, ""
    if await said.knows_order(name) or any(getattr(each.message, "order_id", "") == name for each in streams):
        return "order", name, ""
    signal_id = name if await said.of_signal(name) or _of_signal(streams, name) else ""
    if not signal_id:
        return None, "", ""
    by_stream = [each.message for each in streams if isinstance(each.message, SubmitOrder) and each.message.cause == name]
    order_id = await said.order_of_signal(name) or (by_stream[0].order_id if by_stream else "")
    return "signal", order_id, signal_id


def _of_order(streams: Sequence[Heard], order_id: str) -> list[Heard]:
    return [each for each in streams if order_id and getattr(each.message, "order_id", None) == order_id]


def _of_signal(streams: Sequence[Heard], signal_id: str) -> list[Heard]:
    wishes = (Signal, CancelRequest, ModifyRequest)
    return [
        each
        for each in streams
        if (isinstance(each.message, wishes) and each.message.id == signal_id)
        or (isinstance(each.message, SignalRejected) and each.message.signal_id == signal_id)
    ]


def _take(found: Found, heard: Heard) -> None:
    """Of one message that is in the ledger and on a stream, both are known: the row, and when it was published."""
    key = _key_of(heard.message)
    before = found.get(key)
    if before is None:
        found[key] = heard
    elif heard.published_ns:
        found[key] = Heard(before.message, heard.published_ns, before.place)


def _key_of(message: Message) -> str:
    return f"{type(message).__name__} {id_of(message)} {time_of(message)}"


# -- the market ------------------------------------------------------------------------------------------------------------


async def _market(said: _Said, prices: _Prices, wish: Message, found: Found, missing: list[str]) -> None:
    """The bar and the ticks that the wish came of."""
    bars = [name for name in dict.fromkeys((wish.cause, wish.root)) if bar_key(name) is not None]
    for name in bars:
        heard = await said.bar(name) or await prices.bar(name)
        if heard is None:
            missing.append(f"bar {name}: it is not in the ledger (see its retention) nor on the stream")
        else:
            _take(found, heard)
    seen = [each.message for each in found.values() if isinstance(each.message, Bar)]
    tick = tick_key(wish.root)
    if tick is None and not any(bar.tick_count for bar in seen):
        return  # no tick has part in it
    symbol, at_ns = tick or (wish.symbol, seen[0].ts_open_ns)
    span = (min(at_ns, seen[0].ts_open_ns), max(at_ns, seen[0].ts_close_ns)) if seen else (at_ns, at_ns)
    ticks = await prices.ticks(symbol, *span)
    for number, heard in enumerate(ticks):
        found[f"tick {number}"] = heard
    if not ticks:
        missing.append(f"ticks of {symbol}: not on the stream any more; an archive has them, if `portfolio.archive.ticks` is on")


def bar_key(name: str) -> tuple[str, str, str, int, int] | None:
    """Symbol, interval, price, opening time and number that a bar's id tells; None where it is none.

    >>> bar_key("EURUSD.1m.bid.1398902400000000000"), bar_key("USDJPY.a.tick:100.mid.7.2")
    (('EURUSD', '1m', 'bid', 1398902400000000000, 0), ('USDJPY.a', 'tick:100', 'mid', 7, 2))
    >>> bar_key("clock.7"), bar_key("EURUSD.7")
    (None, None)
    """
    parts = name.split(".")
    for at, rest in ((-2, parts[-1:]), (-3, parts[-2:])):
        if len(parts) >= 2 - at and parts[at] in _PRICES and all(part.isdecimal() for part in rest):
            numbers = [int(part) for part in rest]
            return ".".join(parts[: at - 1]), parts[at - 1], parts[at], numbers[0], numbers[1] if len(numbers) > 1 else 0
    return None


def tick_key(name: str) -> tuple[str, int] | None:
    """Symbol and time that a tick's id tells; None where it is none.

    >>> tick_key("USDJPY.a.1398902400000000000"), tick_key("clock.7"), tick_key("EURUSD.1m.bid.7")
    (('USDJPY.a', 1398902400000000000), None, None)
    """
    symbol, _, number = name.rpartition(".")
    if not symbol or symbol == "clock" or not number.isdecimal() or bar_key(name) is not None:
        return None
    return symbol, int(number)


def _named(wish: Message, found: Found) -> list[Step]:
    """What is known by its id alone: an instant of the clock, or another message."""
    shown = {step.id for step in map(_step, found.values())}
    steps: list[Step] = []
    for name in dict.fromkeys((wish.cause, wish.root)):
        if not name or name in shown or bar_key(name) is not None or tick_key(name) is not None:
            continue
        prefix, _, number = name.rpartition(".")
        if prefix == "clock" and number.isdecimal():
            text = "the clock, at an instant that the strategy waited for"
            steps.append(Step(stage="clock", id=name, ts_event_ns=int(number), text=text, found_in="id"))
        else:
            steps.append(Step(stage="cause", id=name, ts_event_ns=wish.ts_event_ns, text=f"{name}; ask for it", found_in="id"))
    return steps


# -- streams ---------------------------------------------------------------------------------------------------------------


async def _streams(bus: RedisBus | None, missing: list[str]) -> list[Heard]:
    """What is on the streams of wishes, orders and fills, newest first."""
    if bus is None:
        return []
    heard: list[Heard] = []
    try:
        for topic in (Topic.SIGNALS, Topic.ORDERS, Topic.FILLS):
            heard += [each async for each in _backwards(bus, topic)]
    except BusUnavailable as error:
        missing.append(f"whatever only the streams have: {error}")
    return heard


async def _backwards(bus: RedisBus, topic: Topic) -> AsyncIterator[Heard]:
    until, read = "+", 0
    while read < LOOK_BACK and (page := await bus.last(topic, PAGE, until)):
        for entry in reversed(page):
            with suppress(WireError):
                published_ns = entry.header().ts_pub_ns
                for message in entry.messages():
                    yield Heard(message, published_ns, "streams")
        read += len(page)
        until = f"({page[0].entry_id}"


class _Prices:
    """Market data outside the ledger: on the streams, and ticks in an archive."""

    def __init__(self, bus: RedisBus | None, archive: Ticks | None) -> None:
        self._bus = bus
        self._archive = archive

    async def bar(self, name: str) -> Heard | None:
        """A bar by its id."""
        if self._bus is not None:
            with suppress(BusUnavailable):
                async for heard in _backwards(self._bus, Topic.BARS):
                    if isinstance(heard.message, Bar) and heard.message.id == name:
                        return heard
        return None

    async def ticks(self, symbol: str, first_ns: int, last_ns: int) -> list[Heard]:
        """The first and the last tick of a span."""
        ticks: list[Heard] = []
        if self._bus is not None:
            with suppress(BusUnavailable):
                async for heard in _backwards(self._bus, Topic.TICKS):
                    tick = heard.message
                    if isinstance(tick, Quote | Trade) and tick.symbol == symbol and first_ns <= tick.ts_event_ns <= last_ns:
                        ticks.append(heard)
        if not ticks and self._archive is not None:
            ticks = [Heard(tick, 0, "archive") for tick in self._archive(symbol, first_ns, last_ns)]
        ticks.sort(key=lambda heard: time_of(heard.message))
        return ticks if len(ticks) <= 2 else [ticks[0], ticks[-1]]


# -- the ledger ------------------------------------------------------------------------------------------------------------

_FILL = "SELECT * FROM fills WHERE book = $1 AND lineage = $2 AND order_id = $3 ORDER BY booked_seq"
_BAR = """
SELECT * FROM bars
WHERE book = $1 AND lineage = $2 AND symbol = $3 AND "interval" = $4 AND price = $5 AND ts_open_ns = $6 AND seq = $7
"""


class _Said:
    """What the ledger keeps, as messages again."""

    def __init__(self, ledger: Reader, book: str, lineage: str) -> None:
        self._ledger = ledger
        self._here = (book, lineage)

    async def order_of_execution(self, exec_id: str) -> str:
        """The order of an execution; empty where there is none."""
        return await self._one("SELECT order_id FROM fills WHERE book = $1 AND lineage = $2 AND exec_id = $3", exec_id)

    async def order_of_signal(self, signal_id: str) -> str:
        """The first order that came of a signal; empty where there is none."""
        query = (
            "SELECT order_id FROM orders WHERE book = $1 AND lineage = $2 AND cause = $3 ORDER BY parent_id NULLS FIRST, order_id"
        )
        return await self._one(query, signal_id)

    async def knows_order(self, order_id: str) -> bool:
        """Whether an order has a row, as decided or as sent."""
        query = "SELECT 'yes' FROM {} WHERE book = $1 AND lineage = $2 AND order_id = $3"
        return bool(await self._one(query.format("orders"), order_id) or await self._one(query.format("intents"), order_id))

    async def of_order(self, order_id: str) -> list[Heard]:
        """The order, what was said of it, its fills."""
        if not order_id:
            return []
        decided = await self._rows("SELECT said FROM orders WHERE book = $1 AND lineage = $2 AND order_id = $3", order_id)
        query = "SELECT event, said FROM order_events WHERE book = $1 AND lineage = $2 AND order_id = $3 ORDER BY id"
        events = await self._rows(query, order_id)
        heard = [_read(row["said"], SubmitOrder) for row in decided] + [
            _read(row["said"], _KINDS[row["event"]]) for row in events
        ]
        return heard + [Heard(_fill_of(row), 0, "ledger") for row in await self._rows(_FILL, order_id)]

    async def of_signal(self, signal_id: str) -> list[Heard]:
        """The wish, and why it was refused."""
        if not signal_id:
            return []
        wishes = await self._rows("SELECT kind, said FROM signals WHERE book = $1 AND lineage = $2 AND signal_id = $3", signal_id)
        refused = await self._rows("SELECT * FROM rejections WHERE book = $1 AND lineage = $2 AND signal_id = $3", signal_id)
        names = ("signal_id", "strategy_id", "symbol", "reason", "detail", "ts_event_ns")
        return [_read(row["said"], _KINDS[row["kind"]]) for row in wishes] + [
            Heard(SignalRejected(cause=signal_id, root="", **{name: row[name] for name in names}), 0, "ledger") for row in refused
        ]

    async def bar(self, name: str) -> Heard | None:
        """A bar by its id."""
        key = bar_key(name)
        rows = await self._ledger.fetch(_BAR, *self._here, *key) if key is not None else []
        names = [each for each in Bar.__struct_fields__ if each != "root"]
        return Heard(Bar(**{each: rows[0][each] for each in names}), 0, "ledger") if rows else None

    async def _rows(self, query: str, name: str) -> list[Any]:
        return await self._ledger.fetch(query, *self._here, name)

    async def _one(self, query: str, name: str) -> str:
        rows = await self._rows(query, name)
        return str(rows[0][0]) if rows else ""


def _read(said: str, kind: type) -> Heard:
    return Heard(msgspec.json.decode(said, type=kind), 0, "ledger")


def _fill_of(row: Mapping[str, Any]) -> Fill:
    names = set(Fill.__struct_fields__) - {"cause", "leaves_quantity"}
    return Fill(cause=row["signal_id"], **{name: row[name] for name in names})


# -- words -----------------------------------------------------------------------------------------------------------------


def _step(heard: Heard) -> Step:
    message = heard.message
    stage, text = _words(message)
    return Step(
        stage=stage,
        id=id_of(message) if stage != "ticks" else message.id,
        ts_event_ns=time_of(message),
        published_ns=heard.published_ns,
        text=text,
        found_in=heard.place,
        said=msgspec.to_builtins(message) if not isinstance(message, Bar | Quote | Trade) else _fields(message),
    )


def _fields(message: Message) -> dict[str, Any]:
    """Market messages are arrays on the wire; for people they have names."""
    return {name: getattr(message, name) for name in message.__struct_fields__}


def _words(message: Message) -> tuple[Stage, str]:
    match message:
        case Quote():
            return "ticks", f"{message.symbol} bid {message.bid:g} ask {message.ask:g}"
        case Trade():
            return "ticks", f"{message.symbol} {message.size:g} at {message.price:g}"
        case Bar():
            ohlc = " ".join(f"{name[0].upper()} {getattr(message, name):g}" for name in ("open", "high", "low", "close"))
            return "bar", f"{message.symbol} {message.interval} {message.price}: {ohlc}, {message.tick_count} ticks"
        case Signal():
            return "signal", f"{message.strategy_id} wishes: {_wish(message)}" + (
                f" – {message.reason}" if message.reason else ""
            )
        case CancelRequest() | ModifyRequest():
            return "signal", f"{message.strategy_id} asks to change or cancel {message.order_id or 'its orders'}"
        case SignalRejected():
            return "rejection", f"refused: {message.reason}: {message.detail}"
        case SubmitOrder():
            checks = ", ".join(message.checks) if message.checks else "none configured, or an exit of a bracket"
            return "order", f"{_order(message)}; checks passed: {checks}"
        case Fill():
            undone = f", corrects {message.corrects}" if message.corrects else ""
            fee = f", commission {message.commission} {message.commission_currency}" if message.commission else ""
            return "fill", f"{message.side} {message.quantity} {message.symbol} at {message.price}{fee}{undone}"
        case _:
            detail = getattr(message, "detail", "") or getattr(message, "venue_order_id", "")
            return "event", type(message).__name__ + (f": {detail}" if detail else "")


def _wish(signal: Signal) -> str:
    names = ("side", "quantity", "target", "risk_fraction", "target_fraction", "notional")
    how_much = " ".join(f"{name} {getattr(signal, name)}" for name in names if getattr(signal, name) is not None)
    return f"{signal.action} {signal.symbol} {signal.order_type} {how_much}".rstrip()


def _order(order: SubmitOrder) -> str:
    prices = " ".join(
        f"{name} {getattr(order, name)}"
        for name in ("limit_price", "stop_price", "trail_amount")
        if getattr(order, name) is not None
    )
    return f"{order.side} {order.quantity} {order.symbol} {order.order_type} {prices}".rstrip()
