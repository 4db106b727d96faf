"""Which questions about the past fill a gap, and which of the answers belong into it.

In:   a gap.   Out: queries to the source; of what comes, what lies in the gap.
Not:  I/O, and no word on whether a gap is worth filling (`FeedCore`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from barque.calendars import Calendar
from barque.intervals import interval_of
from barque.live_feed.core import SECOND_NS, Fill
from barque.live_feed.revising import Revise
from barque.live_feed.source import HistoryQuery, MarketMessage
from barque.live_feed.state import event_ns, tick_key
from barque.messages import Bar
from barque.messages.market import PriceType

MINUTE_NS = 60 * SECOND_NS
OVERLAP = 500
"""So many quotes at most are compared to find where history and what was heard meet."""


def queries_of(fill: Fill, intervals: Sequence[str]) -> list[HistoryQuery]:
    """What to ask: quotes or trades up to and with the second in which it spoke again; or bars of each interval and price."""
    wanted = fill.subscription
    if wanted.kind == "bars":
        return [_bars(fill, wanted.interval, wanted.price)]
    if fill.ahead:
        to_ns = fill.to_ns + SECOND_NS if wanted.exact_times else fill.to_ns
        return [HistoryQuery(symbol=wanted.symbol, kind=wanted.kind, from_ns=fill.from_ns, to_ns=to_ns)]
    queries = [_bars(fill, interval, price) for interval in intervals for price in wanted.prices]
    return [query for query in queries if query.from_ns < query.to_ns]


def _bars(fill: Fill, interval: str, price: PriceType) -> HistoryQuery:
    """Bars that open after the gap's beginning and close before its end."""
    length_ns = interval_of(interval).interval_ns
    first_ns = -(-fill.from_ns // length_ns) * length_ns
    end_ns = fill.to_ns // length_ns * length_ns
    return HistoryQuery(
        symbol=fill.subscription.symbol, kind="bars", from_ns=first_ns, to_ns=end_ns, interval=interval, price=price
    )


def query_of(revise: Revise, price: PriceType) -> HistoryQuery:
    """Bars of one price that are to be made whole."""
    return HistoryQuery(
        symbol=revise.subscription.symbol,
        kind="bars",
        from_ns=revise.from_ns,
        to_ns=revise.to_ns,
        interval=revise.interval,
        price=price,
    )


def inside(query: HistoryQuery, messages: Iterable[MarketMessage]) -> Iterator[MarketMessage]:
    """Those that were asked for; brokers give whole days, and more."""
    for message in messages:
        at_ns = message.ts_open_ns if isinstance(message, Bar) else message.ts_event_ns
        ends_ns = message.ts_close_ns if isinstance(message, Bar) else at_ns + 1
        if query.from_ns <= at_ns and ends_ns <= query.to_ns:
            yield message


def before_snapshot(history: Sequence[MarketMessage], held: Sequence[MarketMessage]) -> Sequence[MarketMessage]:
    """Quotes of history that happened before those that were heard, where ours have no times of the venue.

    What is heard begins with the quote that stood when we subscribed, and history may already have what came after it. Both tell
    the same ticks in the same order, so the longest end of the one that is a beginning of the other is where they meet. Where
    they do not meet, the second in which we began to hear is left to what was heard.
    """
    if not held:
        return history
    heard = [tick_key(tick)[1:] for tick in held[:OVERLAP]]
    told = [tick_key(tick)[1:] for tick in history[-OVERLAP:]]
    for length in range(min(len(told), len(heard)), 0, -1):
        if told[-length:] == heard[:length]:
            return history[: len(history) - length]
    second_ns = event_ns(held[0]) // SECOND_NS * SECOND_NS
    return [tick for tick in history if event_ns(tick) < second_ns]


def trading_time(hours: Calendar, until_ns: int, length_ns: int) -> Iterator[tuple[int, int]]:
    """Stretches of trading days, the newest first, that together are `length_ns` long."""
    while length_ns > 0:
        day = hours.trading_day_until(until_ns - 1)
        if day is None:
            return
        to_ns = min(until_ns, day.close_ns)
        from_ns = max(day.open_ns, to_ns - length_ns)
        if from_ns < to_ns:
            yield from_ns, to_ns
            length_ns -= to_ns - from_ns
        until_ns = day.open_ns


def by_minute(messages: Sequence[MarketMessage]) -> Iterator[list[MarketMessage]]:
    """Stretches of one symbol and one minute: what must not be torn apart, lest the clock closes a bar in the middle of it."""
    part: list[MarketMessage] = []
    for message in messages:
        if part and (_minute(part[-1]) != _minute(message) or part[-1].symbol != message.symbol):
            yield part
            part = []
        part.append(message)
    if part:
        yield part


def _minute(message: MarketMessage) -> int:
    return (message.ts_open_ns if isinstance(message, Bar) else message.ts_event_ns) // MINUTE_NS
