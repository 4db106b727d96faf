"""What holds for every sequence of ticks, checked against bars worked out the slow way: from the list of all their ticks."""

from __future__ import annotations

from itertools import pairwise
from math import isnan

from hypothesis import given
from hypothesis import strategies as st

from barbuilder.config import BarBuilderConfig, BarsConfig
from barbuilder.core.node import BarBuilderNode
from barque.messages import Bar, ClockTicked, Mark, Message, Quote, Trade, time_of
from tests.support.builders import MINUTE, NS, T0, a_bar, a_quote, a_trade, clock, eurusd, usdjpy

INTERVALS = {"5s": 5 * NS, "1m": MINUTE}
GRACE_NS = NS // 2
PRICES = ("ask", "mid", "bid")
BARS = tuple(BarsConfig(symbols=("USDJPY", "EURUSD"), interval=i, prices=(*PRICES, "last")) for i in INTERVALS)
CONFIG = BarBuilderConfig(bars=BARS)
SYMBOLS = ("EURUSD", "USDJPY")
INSTRUMENTS = [eurusd(max_spike_fraction=0.2), usdjpy(max_spike_fraction=0.2)]

steps = st.sampled_from([0, 1, 90, 250, 900, 2_000, 7_000, 31_000, -1, -400, -3_000, -40_000])
"""To the next message, ms."""
prices = st.one_of(st.integers(95, 105), st.sampled_from([1, 60, 160, 170, 0, -5, float("nan"), float("inf")]))


@st.composite
def recordings(draw: st.DrawFn, bad: bool = True, max_size: int = 60) -> list[Message]:
    """Quotes, trades, clock ticks and foreign bars of two symbols; some late, some bad."""
    messages: list[Message] = []
    now = T0 + NS * draw(st.integers(0, 200))
    for _ in range(draw(st.integers(0, max_size))):
        now += draw(steps) * 10**6
        kind = draw(st.sampled_from("qqqqttcb" if bad else "qqqqttc"))
        symbol = draw(st.sampled_from(SYMBOLS))
        low = draw(prices if bad else st.integers(98, 102))
        if kind == "q":
            messages.append(a_quote(now, symbol=symbol, bid=float(low), ask=float(low + draw(st.integers(-1 if bad else 0, 2)))))
        elif kind == "t":
            messages.append(a_trade(now, symbol=symbol, price=float(low), size=float(draw(st.integers(-1 if bad else 0, 5)))))
        elif kind == "b":
            messages.append(a_bar(now, symbol=symbol, price=draw(st.sampled_from(PRICES)), close=float(low)))
        else:
            messages.append(clock(now))
    return messages


def a_node(config: BarBuilderConfig = CONFIG) -> BarBuilderNode:
    """A builder of all prices at two intervals."""
    return BarBuilderNode(config, INSTRUMENTS)


def said(node: BarBuilderNode, messages: list[Message]) -> list[Message]:
    """All that the node answers."""
    return [output for message in messages for _, output in node.handle(message)]


def text(messages: list[Message]) -> list[str]:
    """Comparable, NaN included."""
    return [repr(message) for message in messages]


@given(recordings(), st.booleans())
def test_bars_are_sound_never_overlap_and_come_in_time_order(messages: list[Message], fill: bool) -> None:
    outputs = said(a_node(BarBuilderConfig(bars=BARS, fill_gaps=fill)), messages)
    series: dict[tuple[str, str, str], list[Bar]] = {}
    for bar in outputs:
        if isinstance(bar, Bar):
            assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
            assert bar.ts_close_ns - bar.ts_open_ns == INTERVALS[bar.interval]
            assert bar.ts_open_ns % INTERVALS[bar.interval] == 0
            series.setdefault((bar.symbol, bar.interval, bar.price), []).append(bar)
    for bars in series.values():
        assert all(before.ts_close_ns <= after.ts_open_ns for before, after in pairwise(bars))


@given(recordings(), st.integers(0, 60), st.booleans())
def test_a_restart_in_the_middle_changes_nothing(messages: list[Message], cut: int, fill: bool) -> None:
    config = BarBuilderConfig(bars=BARS, fill_gaps=fill)
    steady, first, second = a_node(config), a_node(config), a_node(config)
    before = said(first, messages[:cut])
    second.restore(first.snapshot())
    assert second.snapshot() == first.snapshot()
    assert text(before + said(second, messages[cut:])) == text(said(steady, messages))
    assert second.snapshot() == steady.snapshot()
    assert second.counters == steady.counters


@given(recordings())
def test_a_restart_after_every_message_changes_nothing(messages: list[Message]) -> None:
    steady, restless = a_node(), a_node()
    outputs = []
    for message in messages:
        outputs += said(restless, [message])
        restless.restore(restless.snapshot())
    assert text(outputs) == text(said(steady, messages))


JPYUSD = usdjpy(symbol="JPYUSD", currency="USD", base_currency="JPY", inverts="USDJPY")
EVERYTHING = BarBuilderConfig(
    fill_gaps=True,
    bars=tuple(
        BarsConfig(symbols=("USDJPY", "JPYUSD", "EURUSD"), **spec)  # type: ignore[arg-type]
        for spec in (
            *({"interval": i, "prices": ("bid", "mid", "last")} for i in ("5s", "1m", "tick:3", "range:2000", "renko:1500")),
            {"interval": "volume:7", "prices": ("last",)},
            {"interval": "15s", "source": "5s"},
            {"interval": "1h", "source": "15s"},
            {"interval": "7m", "anchor": "Asia/Kathmandu"},
            {"interval": "1d", "anchor": "session"},
            {"interval": "1w", "anchor": "session", "source": "1d"},
        )
    ),
)


def all_kinds() -> BarBuilderNode:
    """Everything that there is to build, of two pairs and an inverse."""
    return BarBuilderNode(EVERYTHING, [*INSTRUMENTS, JPYUSD])


@given(recordings(), st.integers(0, 60))
def test_whatever_is_built_a_restart_changes_nothing(messages: list[Message], cut: int) -> None:
    steady, restless = all_kinds(), all_kinds()
    for number, message in enumerate(messages):
        assert text(said(restless, [message])) == text(said(steady, [message]))
        if number >= cut:
            restless.restore(restless.snapshot())
    assert restless.snapshot() == steady.snapshot()
    assert restless.counters == steady.counters


@given(recordings())
def test_whatever_is_built_ids_are_unique_and_series_in_order(messages: list[Message]) -> None:
    node = all_kinds()
    bars = [bar for bar in said(node, [*messages, ClockTicked(now_ns=T0 + 10**6 * NS)]) if isinstance(bar, Bar)]
    assert len({bar.id for bar in bars}) == len(bars) == node.counters["bars"]
    series: dict[tuple[str, str, str], list[Bar]] = {}
    for bar in bars:
        assert 0 < bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high < float("inf")
        series.setdefault((bar.symbol, bar.interval, bar.price), []).append(bar)
    for each in series.values():
        assert all(before.ts_close_ns <= after.ts_open_ns for before, after in pairwise(each))


@given(recordings())
def test_every_tick_is_accounted_for(messages: list[Message]) -> None:
    node = a_node()
    outputs = said(node, messages)
    assert node.counters["ticks"] == sum(isinstance(message, Quote | Trade) for message in messages)
    assert node.counters["bars"] == sum(isinstance(message, Bar) for message in outputs)
    assert node.counters["marks"] == sum(isinstance(message, Mark) for message in outputs)


@given(recordings())
def test_no_mark_is_crossed_or_bad(messages: list[Message]) -> None:
    ticks = [message for message in messages if not isinstance(message, Bar)]
    for mark in said(a_node(), ticks):
        if isinstance(mark, Mark):
            assert not mark.bid > mark.ask
            assert all(isnan(price) or 0 < price < float("inf") for price in (mark.bid, mark.ask, mark.last))


@given(recordings(), st.integers(0, 1_000))
def test_marks_of_a_symbol_are_made_an_interval_apart(messages: list[Message], interval_ms: int) -> None:
    node = a_node(BarBuilderConfig(mark_interval_ms=interval_ms))
    made: dict[str, int] = {}
    for message in messages:
        now = time_of(message)
        for mark in said(node, [message]):
            assert now - made.get(mark.symbol, now - NS) >= interval_ms * 10**6
            made[mark.symbol] = now


@given(recordings(bad=False))
def test_bars_are_what_their_list_of_ticks_says(messages: list[Message]) -> None:
    node, slow = a_node(), SlowBuilder()
    for message in messages:
        expected = slow.handle(message)
        assert [bar for bar in said(node, [message]) if isinstance(bar, Bar)] == expected
    assert (node.counters["late"], node.counters["duplicate"]) == (slow.late, slow.duplicates)


class SlowBuilder:
    """The same rules, with every open bar kept as the list of its ticks `(ts, arrival, low, high, size)`."""

    def __init__(self) -> None:
        keys = [(s, i, k) for s in SYMBOLS for k in (Quote, Trade) for i in INTERVALS]
        self.open: dict[tuple[str, str, type], list[tuple[int, int, float, float, float]]] = {key: [] for key in keys}
        self.done_until = dict.fromkeys(keys, 0)
        self.newest: dict[str, Quote] = {}
        self.arrival = self.late = self.duplicates = 0

    def handle(self, message: Message) -> list[Bar]:
        if isinstance(message, ClockTicked):
            due = [key for key, ticks in self.open.items() if ticks and self.end(key) + GRACE_NS <= message.now_ns]
            return [bar for key in due for bar in self.close(key, "")]
        kind, symbol, ts = type(message), message.symbol, message.ts_event_ns
        low, high, size = (message.bid, message.ask, 0.0) if kind is Quote else (message.price, message.price, message.size)
        if kind is Quote:
            last = self.newest.get(symbol)
            if last is not None and (last.ts_event_ns, last.bid, last.ask) == (ts, low, high):
                self.duplicates += 1
                return []
            if last is None or ts >= last.ts_event_ns:
                self.newest[symbol] = message
        self.arrival += 1
        bars: list[Bar] = []
        late = False
        for interval in INTERVALS:
            key = (symbol, interval, kind)
            if self.open[key] and ts >= self.end(key):
                bars += self.close(key, message.id)
            start = self.end(key) - INTERVALS[interval] if self.open[key] else self.done_until[key]
            if ts < start:
                late = True
            else:
                self.open[key].append((ts, self.arrival, low, high, size))
        self.late += late
        return bars

    def end(self, key: tuple[str, str, type]) -> int:
        interval_ns = INTERVALS[key[1]]
        return (self.open[key][0][0] // interval_ns + 1) * interval_ns

    def close(self, key: tuple[str, str, type], root: str) -> list[Bar]:
        symbol, interval, kind = key
        end, self.done_until[key] = self.end(key), self.end(key)
        ticks, self.open[key] = self.open[key], []
        bars = []
        for price in PRICES if kind is Quote else ("last",):
            values = {(ts, n): {"ask": high, "mid": (low + high) / 2}.get(price, low) for ts, n, low, high, _ in ticks}
            earliest = min(ts for ts, _ in values)
            opening = min(key for key in values if key[0] == earliest)
            bars.append(
                Bar(
                    symbol=symbol,
                    interval=interval,
                    price=price,
                    ts_open_ns=end - INTERVALS[interval],
                    ts_close_ns=end,
                    open=values[opening],
                    high=max(values.values()),
                    low=min(values.values()),
                    close=values[max(values)],
                    volume=sum(size for *_, size in ticks),
                    tick_count=len(ticks),
                    root=root,
                )
            )
        return bars
