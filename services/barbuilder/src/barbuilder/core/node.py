"""Turns quotes and trades into bars and marks.

In:   Quote, Trade, ClockTicked, and Bar of feeds that deliver bars.
Out:  Bar, once per symbol, interval and price, in time order, never changed; Mark, the latest prices, throttled.
Not:  repairing history. A late tick is counted, never applied; a bad tick is quarantined and counted by reason.

Order of output: instruments as configured; of one of them bars of time as configured, then other kinds, then bars made of
bars, shorter ones first, then the mark; then the same of its inverse. Quotes before trades.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from typing import Any

from barbuilder.config import BarBuilderConfig
from barbuilder.core import bars, handover, quality, rollups
from barbuilder.core.bars import Tick
from barbuilder.core.channels import FOREVER_NS, Channel
from barbuilder.core.inverses import inverted_bar, inverted_quote, inverted_trade, sources_of
from barbuilder.core.marks import mark_of, one_sided, take_close
from barbuilder.core.plan import new_state, reads_bars
from barbuilder.core.routes import Route, Routes
from barbuilder.core.state import NEVER_NS, Market, Part, Rollup, State, adopt, decode, encode
from barque.instruments import Instrument
from barque.messages import Bar, ClockTicked, Message, Quote, Topic, Trade
from barque.node import ASLEEP, AWAKE, Output, Rank

NS_PER_MS = 10**6
NS_PER_S = 10**9
NOTHING: tuple[Output, ...] = ()
_CLOCK, _BARS, _MARKS = Topic.CLOCK, Topic.BARS, Topic.MARKS
QUOTES, TRADES = 0, 1
"""A symbol's channels."""


class BarBuilderNode:
    """One bar builder per book; a `barque.node.Sleeper`."""

    name = "barbuilder"
    rank = Rank.BARBUILDER
    inputs: Sequence[Topic] = (Topic.CLOCK, Topic.TICKS, Topic.BARS)
    order_path = False

    def __init__(self, config: BarBuilderConfig, instruments: Iterable[Instrument]) -> None:
        self._config = config
        self._instruments = {instrument.symbol: instrument for instrument in instruments}
        self._inverses = sources_of(self._instruments.values())
        self._grace_ns = config.grace_ms * NS_PER_MS
        self._bar_grace_ns = max(config.bar_grace_ms, config.grace_ms) * NS_PER_MS
        self._mark_interval_ns = config.mark_interval_ms * NS_PER_MS
        self._max_gap_ns = config.max_gap_s * NS_PER_S if config.fill_gaps else -1
        self.handlers: Mapping[type, Callable[[Any], Sequence[Output]]] = {
            Quote: self._on_quote,
            Trade: self._on_trade,
            ClockTicked: self._on_clock,
            Bar: self._on_bar,
        }
        if not reads_bars(config, self._instruments):  # then every bar there is, is our own
            self.inputs = (Topic.CLOCK, Topic.TICKS)
        self._begin(new_state(config, self._instruments))

    @property
    def counters(self) -> Mapping[str, int]:
        """What has been seen since the book began: `ticks` in all, `bars` and `marks` out, and every reason for a refusal."""
        counted, markets = self._state.counters, self._state.markets
        fed = [market for symbol, market in markets.items() if not self._instruments[symbol].inverts]
        good = sum(market.quotes.count + market.trades.count for market in fed)
        restarts = sum(run.restarts for market in markets.values() for run in (*market.quotes.runs, *market.trades.runs))
        ticks = good + counted["duplicate"] + sum(counted[reason] for reason in quality.REASONS)
        return {"ticks": ticks, **counted, "renko_restarts": restarts}

    def handle(self, message: Message) -> Sequence[Output]:
        """Bars and marks that follow from `message`."""
        handler = self.handlers.get(type(message))
        return handler(message) if handler is not None else NOTHING

    def snapshot(self) -> bytes:
        """The whole state; small, since open bars are all it holds."""
        return encode(self._state)

    def restore(self, blob: bytes) -> None:
        """Become what `blob` says; empty bytes: a new node."""
        fresh = new_state(self._config, self._instruments)
        self._begin(adopt(fresh, decode(blob)) if blob else fresh)

    def sleeps_until(self, topic: Topic) -> int:
        """The clock does nothing before something is due. Bars only overwrite marks where nothing is made of them and all
        that was said of them has been marked, since bars of time lie at least a second apart.

        Whoever holds back bars here holds back marks: they are to be let go before anyone acts on a mark.
        """
        if topic is _CLOCK:
            return max(AWAKE, self.due_ns)
        marks_only = topic is _BARS and not self._routes.lead_to_bars and self._mark_interval_ns < NS_PER_S
        return ASLEEP if marks_only and self.due_ns == FOREVER_NS else AWAKE

    def _begin(self, state: State) -> None:
        self._state = state
        self._channels = {
            symbol: tuple(Channel(self._instruments[symbol], market, tape) for tape in (market.quotes, market.trades))
            for symbol, market in state.markets.items()
        }
        self._routes = Routes(state.markets, self._inverses)
        plain = [symbol for symbol, each in self._instruments.items() if not each.inverts and symbol not in self._inverses]
        self._quotes = {symbol: self._channels[symbol][QUOTES] for symbol in plain}
        self._trades = {symbol: self._channels[symbol][TRADES] for symbol in plain}
        self.due_ns = NEVER_NS
        """Before this time the clock changes nothing."""

    # -- ticks -------------------------------------------------------------------------------------------------------

    def _on_quote(self, quote: Quote, channel: Channel | None = None) -> Sequence[Output]:
        if channel is None:
            channel = self._quotes.get(quote.symbol)
            if channel is None:
                return self._on_paired_quote(quote)
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

    def _on_trade(self, trade: Trade, channel: Channel | None = None) -> Sequence[Output]:
        if channel is None:
            channel = self._trades.get(trade.symbol)
            if channel is None:
                return self._on_paired_trade(trade)
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

    def _on_paired_quote(self, quote: Quote) -> Sequence[Output]:
        """A quote of a pair that has an inverse, and, where it is good, the inverse's quote."""
        pair = self._pair(quote.symbol, QUOTES)
        if pair is None:
            return self._refuse("derived" if quote.symbol in self._instruments else "unknown_symbol")
        source, inverse = pair
        before = source.tape.count
        outputs = self._on_quote(quote, source)
        if source.tape.count == before:
            return outputs
        return (*outputs, *self._on_quote(inverted_quote(quote), inverse))

    def _on_paired_trade(self, trade: Trade) -> Sequence[Output]:
        """A trade of a pair that has an inverse, and, where it is good, the inverse's trade."""
        pair = self._pair(trade.symbol, TRADES)
        if pair is None:
            return self._refuse("derived" if trade.symbol in self._instruments else "unknown_symbol")
        source, inverse = pair
        before = source.tape.count
        outputs = self._on_trade(trade, source)
        if source.tape.count == before:
            return outputs
        return (*outputs, *self._on_trade(inverted_trade(trade), inverse))

    def _pair(self, symbol: str, of: int) -> tuple[Channel, Channel] | None:
        inverse = self._inverses.get(symbol)
        return None if inverse is None else (self._channels[symbol][of], self._channels[inverse][of])

    def _judge(self, channel: Channel, tick: Tick) -> Sequence[Output]:
        """The careful way: every check, every bar, the mark. The quick way above is the same, where nothing can happen."""
        reason = quality.fault(tick.ts_ns, tick.low, tick.high, tick.size)
        if not reason and quality.is_spike(channel.tape, tick.low, tick.high, channel.fraction):
            reason = "spike"
        if reason:
            channel.calm_until_ns = NEVER_NS
            return self._refuse(reason)
        market, counters = channel.market, self._state.counters
        outputs: list[Output] = []
        overtaken = tick.ts_ns < channel.tape.ts_ns
        takes_over = handover.is_due(market)
        if takes_over:
            self._publish(outputs, handover.close(channel.symbol, market, tick))
        done, late, outside = channel.take(tick, self._max_gap_ns)
        self._publish(outputs, done)
        if takes_over:
            handover.carry_over(market)
        if late:
            counters["late"] += 1
        if outside:
            counters["outside"] += 1
        if overtaken:
            market.marked += 1
        else:
            self._mark(outputs, channel.symbol, market, tick.ts_ns)
        self.due_ns = min(self.due_ns, channel.settle(self._grace_ns))
        return outputs

    # -- time --------------------------------------------------------------------------------------------------------

    def _on_clock(self, clock: ClockTicked) -> Sequence[Output]:
        now_ns = clock.now_ns
        if now_ns < self.due_ns:
            return NOTHING
        outputs: list[Output] = []
        due_ns = FOREVER_NS
        for symbol, market in self._state.markets.items():
            channels = self._channels[symbol]
            for channel in channels:
                for window in channel.tape.windows:
                    if window.is_open and window.end_ns + self._grace_ns <= now_ns:
                        self._publish(outputs, bars.finish(symbol, channel.tape, window, root=""))
            for rollup in market.rollups:
                if rollup.part is not None and self._due_ns(rollup.part) <= now_ns:
                    self._say(outputs, bar := rollups.finish(symbol, rollup, rollup.part, root=""))
                    self._pass_on(outputs, bar)
            self._mark(outputs, symbol, market, now_ns)
            due_ns = min([due_ns, *(channel.settle(self._grace_ns) for channel in channels)])
            due_ns = min([due_ns, *(self._due_ns(rollup.part) for rollup in market.rollups if rollup.part is not None)])
        self.due_ns = due_ns
        return outputs

    # -- bars --------------------------------------------------------------------------------------------------------

    def _on_bar(self, bar: Bar) -> Sequence[Output]:
        route = self._routes.of(bar)
        if route is None:
            return self._refuse("refused_bars")
        if route.is_echo(bar):
            if route.own is not None and not route.market.ticked:
                rollups.hear_echo(route.own, bar)
            return NOTHING
        outputs: list[Output] = []
        self._hear(outputs, route, bar)
        return outputs

    def _hear(self, outputs: list[Output], route: Route, bar: Bar) -> None:
        """A bar that a feed brought, or the reciprocal of one: what is made of it, and the mark."""
        market = route.market
        if route.own is not None:
            rollups.yield_to(route.own, bar)
        if route.needs_sound_bars:
            if not rollups.is_sound(bar):
                self._refuse("refused_bars")
                return
            for rollup in route.listeners():
                self._feed(outputs, rollup, bar)
        if market.ticked:
            return
        if quality.fault(bar.ts_close_ns, bar.close, bar.close) or not take_close(market.closes, bar):
            self._refuse("refused_bars")
            return
        if not one_sided(market.closes):
            self._mark(outputs, bar.symbol, market, bar.ts_close_ns)
        if market.news != market.marked:
            self.due_ns = min(self.due_ns, market.mark_due_ns)
        if route.inverse is not None:
            self._invert(outputs, route.inverse, bar)

    def _invert(self, outputs: list[Output], route: Route, bar: Bar) -> None:
        inverse, told = inverted_bar(bar, route.symbol), route.market.inverted
        series = f"{inverse.interval}.{inverse.price}"
        if inverse.ts_close_ns <= told.get(series, NEVER_NS):
            self._refuse("late_bars")
            return
        told[series] = inverse.ts_close_ns
        self._say(outputs, inverse)
        self._hear(outputs, route, inverse)

    def _feed(self, outputs: list[Output], rollup: Rollup, bar: Bar) -> None:
        before = rollup.part
        done, verdict = rollups.take(bar.symbol, rollup, bar)
        if verdict:
            self._refuse(verdict)
        for longer in done:
            self._say(outputs, longer)
            self._pass_on(outputs, longer)
        if rollup.part is not None and rollup.part is not before:
            self.due_ns = min(self.due_ns, self._due_ns(rollup.part))

    def _due_ns(self, part: Part) -> int:
        """Just after the instant of the last bar that may be part of it: the clock comes before the data of its instant."""
        return part.end_ns + self._bar_grace_ns + 1

    # -- saying ------------------------------------------------------------------------------------------------------

    def _publish(self, outputs: list[Output], done: Sequence[Bar]) -> None:
        """Bars made of ticks, and what is made of them. Flat bars fill gaps and are nothing to make others of."""
        for bar in done:
            self._say(outputs, bar)
            if bar.tick_count:
                self._pass_on(outputs, bar)

    def _say(self, outputs: list[Output], bar: Bar) -> None:
        self._state.counters["bars"] += 1
        outputs.append((Topic.BARS, bar))

    def _pass_on(self, outputs: list[Output], bar: Bar) -> None:
        """Feed one of our own bars to those that are to be made of them by name."""
        for rollup in self._routes.chained.get((bar.symbol, bar.interval, bar.price), ()):
            self._feed(outputs, rollup, bar)

    def _mark(self, outputs: list[Output], symbol: str, market: Market, now_ns: int) -> None:
        """Add the mark, if there is news and the interval has passed."""
        if now_ns < market.mark_due_ns:
            return
        news = market.news
        if news == market.marked:
            return
        mark = mark_of(symbol, market)
        # A bar that the clock found waiting for its other side must not hold back the bars of the clock's own instant.
        market.mark_due_ns = (now_ns if market.ticked else mark.ts_event_ns) + self._mark_interval_ns
        market.marked = news
        self._state.counters["marks"] += 1
        outputs.append((_MARKS, mark))

    def _refuse(self, reason: str) -> tuple[Output, ...]:
        self._state.counters[reason] += 1
        return NOTHING
