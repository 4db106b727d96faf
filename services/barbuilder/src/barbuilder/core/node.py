"""Turns quotes and trades into bars and marks.

In:   Quote, Trade, ClockTicked, and Bar of feeds that deliver only bars.
Out:  Bar, once per symbol, interval and price, in time order, never changed; Mark, the latest prices, throttled.
Not:  repairing history. A late tick is counted, never applied; a bad tick is quarantined and counted by reason.

Order of output: instruments, then bars, both as configured; quotes before trades, bars before marks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from typing import Any

from barbuilder.config import BarBuilderConfig
from barbuilder.core import bars, quality
from barbuilder.core.bars import Tick
from barbuilder.core.marks import mark_of, one_sided, take_close
from barbuilder.core.state import NEVER_NS, Closes, Lane, Market, State, Tape, Window, adopt, decode, encode
from barque.errors import ConfigError, nearest
from barque.instruments import Instrument
from barque.intervals import parse_interval
from barque.messages import Bar, ClockTicked, Message, Quote, Topic, Trade
from barque.node import Output, Rank

NS_PER_MS = 10**6
NS_PER_S = 10**9
FOREVER_NS = 2**63
NOTHING: tuple[Output, ...] = ()
COUNTERS = ("bars", "marks", "late", "duplicate", "refused_bars", *quality.REASONS)


class BarBuilderNode:
    """One bar builder per book."""

    name = "barbuilder"
    rank = Rank.BARBUILDER
    inputs: Sequence[Topic] = (Topic.CLOCK, Topic.TICKS, Topic.BARS)
    order_path = False

    def __init__(self, config: BarBuilderConfig, instruments: Iterable[Instrument]) -> None:
        self._config = config
        self._instruments = {instrument.symbol: instrument for instrument in instruments}
        self._grace_ns = config.grace_ms * NS_PER_MS
        self._mark_interval_ns = config.mark_interval_ms * NS_PER_MS
        self._max_gap_ns = config.max_gap_s * NS_PER_S if config.fill_gaps else -1
        self._handlers: dict[type, Callable[[Any], Sequence[Output]]] = {
            Quote: self._on_quote,
            Trade: self._on_trade,
            ClockTicked: self._on_clock,
            Bar: self._on_bar,
        }
        built = {symbol for bars_config in config.bars for symbol in bars_config.symbols}
        if built >= self._instruments.keys():  # then every bar there is, is our own
            self.inputs = (Topic.CLOCK, Topic.TICKS)
        self._begin(_new_state(config, self._instruments))

    @property
    def counters(self) -> Mapping[str, int]:
        """What has been seen since the book began: `ticks` in all, `bars` and `marks` out, and every reason for a refusal."""
        counted = self._state.counters
        good = sum(market.quotes.count + market.trades.count for market in self._state.markets.values())
        return {"ticks": good + counted["duplicate"] + sum(counted[reason] for reason in quality.REASONS), **counted}

    def handle(self, message: Message) -> Sequence[Output]:
        """Bars and marks that follow from `message`."""
        handler = self._handlers.get(type(message))
        return handler(message) if handler is not None else NOTHING

    def snapshot(self) -> bytes:
        """The whole state; small, since open bars are all it holds."""
        return encode(self._state)

    def restore(self, blob: bytes) -> None:
        """Become what `blob` says; empty bytes: a new node."""
        fresh = _new_state(self._config, self._instruments)
        self._begin(adopt(fresh, decode(blob)) if blob else fresh)

    def _begin(self, state: State) -> None:
        self._state = state
        self._quotes = {s: _Channel(self._instruments[s], m, m.quotes) for s, m in state.markets.items()}
        self._trades = {s: _Channel(self._instruments[s], m, m.trades) for s, m in state.markets.items()}
        self._clock_due_ns = NEVER_NS
        """Before this time the clock changes nothing."""

    def _on_quote(self, quote: Quote) -> Sequence[Output]:
        channel = self._quotes.get(quote.symbol)
        if channel is None:
            return self._refuse("unknown_symbol")
        tape = channel.tape
        ts_ns, bid, ask = quote.ts_event_ns, quote.bid, quote.ask
        if tape.ts_ns < ts_ns < channel.calm_until_ns and channel.floor <= bid <= ask <= channel.ceiling:
            tape.ts_ns, tape.low, tape.high = ts_ns, bid, ask
            tape.count += 1
            # Written out, because a call for each lane would cost more than its work.
            for lane in channel.lows:
                if bid > lane.high:
                    lane.high = bid
                elif bid < lane.low:
                    lane.low = bid
            for lane in channel.highs:
                if ask > lane.high:
                    lane.high = ask
                elif ask < lane.low:
                    lane.low = ask
            for lane in channel.mids:
                mid = (bid + ask) / 2
                if mid > lane.high:
                    lane.high = mid
                elif mid < lane.low:
                    lane.low = mid
            return NOTHING
        if ts_ns == tape.ts_ns and bid == tape.low and ask == tape.high:
            return self._refuse("duplicate")
        return self._judge(channel, Tick(ts_ns, bid, ask, 0.0, quote.id))

    def _on_trade(self, trade: Trade) -> Sequence[Output]:
        channel = self._trades.get(trade.symbol)
        if channel is None:
            return self._refuse("unknown_symbol")
        tape = channel.tape
        ts_ns, price, size = trade.ts_event_ns, trade.price, trade.size
        if tape.ts_ns <= ts_ns < channel.calm_until_ns and channel.floor <= price <= channel.ceiling and 0 <= size < inf:
            tape.ts_ns, tape.low, tape.high = ts_ns, price, price
            tape.count += 1
            for window in tape.windows:
                window.volume += size
            for lane in channel.lows:
                if price > lane.high:
                    lane.high = price
                elif price < lane.low:
                    lane.low = price
            return NOTHING
        return self._judge(channel, Tick(ts_ns, price, price, size, trade.id))

    def _judge(self, channel: _Channel, tick: Tick) -> Sequence[Output]:
        """The careful way: every check, every bar, the mark. The quick way above is the same, where nothing can happen."""
        reason = quality.fault(tick.ts_ns, tick.low, tick.high, tick.size)
        if not reason and quality.is_spike(channel.tape, tick.low, tick.high, channel.fraction):
            reason = "spike"
        if reason:
            channel.calm_until_ns = NEVER_NS
            return self._refuse(reason)
        market, tape = channel.market, channel.tape
        overtaken = tick.ts_ns < tape.ts_ns
        done, late = bars.take(channel.symbol, tape, tick, self._max_gap_ns)
        outputs = self._publish(done)
        if late:
            self._state.counters["late"] += 1
        if overtaken:
            market.marked += 1
        else:
            self._mark(outputs, channel.symbol, market, tick.ts_ns)
        self._clock_due_ns = min(self._clock_due_ns, channel.settle(self._grace_ns))
        return outputs

    def _on_clock(self, clock: ClockTicked) -> Sequence[Output]:
        now_ns = clock.now_ns
        if now_ns < self._clock_due_ns:
            return NOTHING
        outputs: list[Output] = []
        due_ns = FOREVER_NS
        for symbol, market in self._state.markets.items():
            channels = (self._quotes[symbol], self._trades[symbol])
            for channel in channels:
                for window in channel.tape.windows:
                    if window.is_open and window.end_ns + self._grace_ns <= now_ns:
                        outputs += self._publish(bars.finish(symbol, channel.tape, window, root=""))
            self._mark(outputs, symbol, market, now_ns)
            due_ns = min(due_ns, *(channel.settle(self._grace_ns) for channel in channels))
        self._clock_due_ns = due_ns
        return outputs

    def _on_bar(self, bar: Bar) -> Sequence[Output]:
        market = self._state.markets.get(bar.symbol)
        if market is not None and market.ticked:
            return NOTHING
        if market is None or quality.fault(bar.ts_close_ns, bar.close, bar.close) or not take_close(market.closes, bar):
            return self._refuse("refused_bars")
        outputs: list[Output] = []
        if not one_sided(market.closes):
            self._mark(outputs, bar.symbol, market, bar.ts_close_ns)
        if market.news != market.marked:
            self._clock_due_ns = min(self._clock_due_ns, market.mark_due_ns)
        return outputs

    def _mark(self, outputs: list[Output], symbol: str, market: Market, now_ns: int) -> None:
        """Add the mark, if there is news and the interval has passed."""
        if now_ns < market.mark_due_ns or market.news == market.marked:
            return
        market.mark_due_ns = now_ns + self._mark_interval_ns
        market.marked = market.news
        self._state.counters["marks"] += 1
        outputs.append((Topic.MARKS, mark_of(symbol, market)))

    def _publish(self, done: list[Bar]) -> list[Output]:
        self._state.counters["bars"] += len(done)
        return [(Topic.BARS, bar) for bar in done]

    def _refuse(self, reason: str) -> tuple[Output, ...]:
        self._state.counters[reason] += 1
        return NOTHING


class _Channel:
    """A tape made ready for the quick way: its lanes by price, and the bounds within which nothing can happen.

    All of it follows from the state and is made anew on restore; bounds that are too narrow cost time, nothing else.
    """

    __slots__ = ("calm_until_ns", "ceiling", "floor", "fraction", "highs", "lows", "market", "mids", "symbol", "tape")

    def __init__(self, instrument: Instrument, market: Market, tape: Tape) -> None:
        self.symbol = instrument.symbol
        self.fraction = instrument.max_spike_fraction
        self.market = market
        self.tape = tape
        lanes = [lane for window in tape.windows for lane in window.lanes]
        self.lows = tuple(lane for lane in lanes if lane.price in ("bid", "last"))
        self.highs = tuple(lane for lane in lanes if lane.price == "ask")
        self.mids = tuple(lane for lane in lanes if lane.price == "mid")
        self.calm_until_ns = NEVER_NS
        self.floor, self.ceiling = inf, -inf

    def settle(self, grace_ns: int) -> int:
        """Draw the bounds anew; returns the first time at which the clock has something to do here."""
        market, tape = self.market, self.tape
        self.floor, self.ceiling = quality.calm_band(tape, self.fraction)
        pending = market.news != market.marked
        if pending and not tape.suspects and all(window.is_open for window in tape.windows):
            self.calm_until_ns = min([market.mark_due_ns, *(window.end_ns for window in tape.windows)])
        else:
            self.calm_until_ns = NEVER_NS
        due_ns = market.mark_due_ns if pending else FOREVER_NS
        return min([due_ns, *(window.end_ns + grace_ns for window in tape.windows if window.is_open)])


def _new_state(config: BarBuilderConfig, instruments: Mapping[str, Instrument]) -> State:
    markets = {symbol: Market(Tape(), Tape(), Closes()) for symbol in instruments}
    built: set[tuple[str, str, str]] = set()
    for spec in config.bars:
        interval_ns = parse_interval(spec.interval)
        for symbol in spec.symbols:
            if symbol not in markets:
                hint = nearest(symbol, list(markets))
                raise ConfigError(f"key 'barbuilder.bars': symbol '{symbol}' has no [[instruments]] entry; {hint}")
            for price in spec.prices:
                if (symbol, spec.interval, price) in built:
                    raise ConfigError(f"key 'barbuilder.bars': {symbol} {spec.interval} {price} is there twice")
                built.add((symbol, spec.interval, price))
            market = markets[symbol]
            lanes = [Lane(price) for price in spec.prices if price != "last"]
            if lanes:
                market.quotes.windows.append(Window(spec.interval, interval_ns, lanes))
            if "last" in spec.prices:
                market.trades.windows.append(Window(spec.interval, interval_ns, [Lane("last")]))
    return State(markets, dict.fromkeys(COUNTERS, 0))
