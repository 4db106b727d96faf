"""What a live feed decides: whether each symbol is current, when to subscribe anew, what is missing, who is to be told.

In:   what the source says of itself, when something was heard, how fills came out, the time.
Out:  `Act`s: say, warn, subscribe, fill.
Not:  the ticks themselves, a clock, I/O. The shell brings times and carries acts out; the same calls give the same acts.

A subscription is *live* once it has said something over a connection that holds, nothing of it is being filled, and the broker
does not say that its prices are delayed. Everything else is not fit to trade on, and the router is told so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec

from barque.calendars import Calendar
from barque.intervals import interval_of
from barque.live_feed import words
from barque.live_feed.config import LiveFeedConfig
from barque.live_feed.revising import Revise, revisions_of
from barque.live_feed.source import Connected, Lost, SafeMode, SourceEvent, Subscription, SymbolNews, SymbolState
from barque.messages import Alert, DataStatus, FeedStatus
from barque.messages.control import Severity
from barque.messages.market import DataState, FeedState

SECOND_NS = 10**9
RENEW_S = (0.0, 30.0, 60.0, 120.0, 300.0)
"""A silent subscription is renewed so long after the last time, longer each time."""
SHORTEST_GAP_NS = 2 * SECOND_NS
"""A shorter silence around a lost connection is no gap."""
GRACE_NS = 2 * SECOND_NS
"""So long what went out may take to the bars that are open."""
MOST_REVISIONS = 10_000
REFUSED: tuple[SymbolState, ...] = ("no_line", "not_entitled", "stolen", "unknown")
REFUSED_RENEW_S = 300.0
"""What was refused is asked for again this seldom."""


class Say(msgspec.Struct, frozen=True):
    """To `ticks`; a `DataStatus` to `marks`."""

    status: FeedStatus | DataStatus


class Warn(msgspec.Struct, frozen=True):
    """To `alerts`."""

    alert: Alert


class Subscribe(msgspec.Struct, frozen=True):
    """Ask the source for it, again where it was asked before."""

    subscription: Subscription


class Fill(msgspec.Struct, frozen=True):
    """Ask the source for what happened from the one time to the other, and tell `FeedCore.filled` what came of it."""

    subscription: Subscription
    from_ns: int
    to_ns: int
    ahead: bool = False
    """With messages of the subscription's own kind, which go in front of what has been heard since; otherwise with bars that lie
    wholly in between."""


Act: TypeAlias = Say | Warn | Subscribe | Fill | Revise


class Watched(msgspec.Struct):
    """What is known of one subscription."""

    subscription: Subscription
    heard_ns: int = 0
    """When we last heard something new of it."""
    event_ns: int = 0
    """Event time of the newest that was heard; at the start, of what was published last."""
    since_ns: int = 0
    """From when on its silence counts: connection, opening of its market."""
    open: bool = False
    """Its market is."""
    heard_since: bool = False
    """Something has come since then."""
    verify_until_ns: int = 0
    """It is to say something by then; 0: no doubt."""
    gap_from_ns: int = 0
    """What happened from here on may be missing; 0: nothing is."""
    filling: bool = False
    filling_from_ns: int = 0
    """Of a source that resumes: what it brings now happened from here on."""
    settled_ns: int = 0
    """Not live before this time."""
    renewals: int = 0
    renew_ns: int = 0
    """Not renewed before this time."""
    quality: SymbolState = "live"
    """What the broker says of it."""
    detail: str = ""
    state: DataState | None = None
    """What was last said."""


class FeedCore:
    """One feed."""

    def __init__(
        self,
        feed: str,
        config: LiveFeedConfig,
        subscriptions: Sequence[Subscription],
        calendars: Mapping[str, Calendar],
    ) -> None:
        """`calendars`: by symbol."""
        self.feed, self._config, self._calendars = feed, config, calendars
        self.watched = {each.key: Watched(each) for each in subscriptions}
        self._by_symbol: dict[str, list[Watched]] = {}
        for each in self.watched.values():
            self._by_symbol.setdefault(each.subscription.symbol, []).append(each)
        self.connected = False
        self.reconnects = 0
        self._ever_connected = False
        self._lost_ns = 0
        self._expected = False
        self._why = "it has not connected yet"
        self._alerted = False
        self._safe = False
        self._beat_ns = 0
        self._warned: set[tuple[str, str]] = set()
        self._revisions: list[tuple[int, Revise]] = []
        """Bars to be made whole, not before these times."""

    # -- what is asked of it ---------------------------------------------------------------------------------------------

    def begin(self, published: Mapping[str, int], now_ns: int) -> list[Act]:
        """The process starts. `published`: of each subscription the event time of what was published last."""
        self._lost_ns = self._beat_ns = now_ns
        acts: list[Act] = []
        for name, each in self.watched.items():
            each.event_ns = each.gap_from_ns = published.get(name, 0)
            acts += self._judge(each, now_ns, paused=True)
        return acts

    def end(self, now_ns: int) -> list[Act]:
        """The process is told to stop."""
        self.connected, self._why = False, "the feed was stopped"
        acts: list[Act] = [self._say("disconnected", now_ns, detail=self._why)]
        for each in self.watched.values():
            acts += self._judge(each, now_ns, paused=True)
        return acts

    def told(self, event: SourceEvent, now_ns: int) -> list[Act]:
        """The source says this of itself."""
        if isinstance(event, Connected):
            return self._connect(event, now_ns)
        if isinstance(event, Lost):
            return self._lose(event, now_ns)
        if isinstance(event, SafeMode):
            return self._enter_safe_mode(event, now_ns)
        return self._hear_news(event, now_ns)

    def heard(self, key: str, event_ns: int, now_ns: int, missed: bool = False) -> list[Act]:
        """Something new has come of one subscription. `missed`: the source brings what happened while we were away."""
        each = self.watched.get(key)
        if each is None:
            return []
        first = not each.heard_since
        each.heard_ns, each.heard_since = now_ns, True
        each.event_ns = max(each.event_ns, event_ns)
        if not first and each.state == "live" and not missed:
            return []
        each.verify_until_ns = each.renewals = each.renew_ns = 0
        if each.quality in REFUSED:
            each.quality, each.detail = "live", ""
            self._warned -= {warned for warned in self._warned if warned[0] in (each.subscription.symbol, "")}
        acts = self._catch_up(each, now_ns, missed) if each.subscription.resumes else self._close_gap(each, event_ns, now_ns)
        return acts + self._judge(each, now_ns)

    def filled(self, fill: Fill, count: int, trouble: str, now_ns: int) -> list[Act]:
        """What came of a `Fill`: so many messages, or none and why."""
        each = self.watched[fill.subscription.key]
        each.filling = False
        each.settled_ns = now_ns + int(self._config.settle_s * SECOND_NS)
        if fill.subscription.kind != "bars":
            self._plan(fill.subscription, fill.from_ns, fill.to_ns, now_ns, by_ticks=fill.ahead, trouble=bool(trouble))
        if trouble:
            return [self._alert("feed_gap", "warning", now_ns, words.gap_stays(self.feed, fill, trouble))]
        what = each.subscription.kind if fill.ahead else "bars"
        return [self._say("filled", now_ns, each.subscription.symbol, f"{count} {what} from history", fill)]

    def revised(self, revise: Revise, trouble: str, now_ns: int) -> list[Act]:
        """What came of a `Revise`."""
        if not trouble:
            return []
        text = words.not_revised(self.feed, revise.subscription.symbol, revise.interval, revise.from_ns, revise.to_ns, trouble)
        return [self._alert("feed_gap", "warning", now_ns, text)]

    def lost(self, key: str, from_ns: int, to_ns: int, now_ns: int) -> list[Act]:
        """What was heard between these times never reached the bus."""
        each = self.watched.get(key)
        if each is None or to_ns - from_ns < SHORTEST_GAP_NS or not self._config.backfill_max_s:
            return []
        return [Fill(each.subscription, from_ns, to_ns)]

    def on_time(self, now_ns: int) -> list[Act]:
        """It is `now_ns`; to be called several times a second."""
        acts: list[Act] = []
        if now_ns - self._beat_ns >= self._config.heartbeat_s * SECOND_NS:
            self._beat_ns = now_ns
            acts.append(self._say("heartbeat", now_ns, detail=self.summary()))
        if not self.connected:
            acts += self._alert_if_long(now_ns)
        else:
            acts += self._due_revisions(now_ns)
        for each in self.watched.values():
            acts += self._look(each, now_ns)
        return acts

    def summary(self) -> str:
        """For people: how many subscriptions are live, and which are not."""
        unfit = sorted({each.subscription.symbol for each in self.watched.values() if each.state != "live"})
        if not unfit:
            return f"{len(self.watched)} live"
        return f"{sum(each.state == 'live' for each in self.watched.values())} live; not {', '.join(unfit[:10])}"

    def stale(self, symbol: str) -> bool:
        """Whether what is known of a symbol is old."""
        return any(each.state != "live" for each in self._by_symbol.get(symbol, ()))

    @property
    def stale_symbols(self) -> int:
        """How many are."""
        return sum(self.stale(symbol) for symbol in self._by_symbol)

    # -- the connection --------------------------------------------------------------------------------------------------

    def _connect(self, event: Connected, now_ns: int) -> list[Act]:
        again, self._ever_connected = self._ever_connected, True
        self.reconnects += again
        was_alerted, self._alerted, self._safe = self._alerted or self._safe, False, False
        self.connected = True
        acts: list[Act] = [self._say("connected", now_ns, detail=event.detail)]
        if was_alerted:
            acts.append(self._alert("feed_disconnected", "info", now_ns, words.back(self.feed, self._lost_ns, now_ns)))
        for each in self.watched.values():
            each.since_ns, each.heard_since, each.renewals, each.renew_ns = now_ns, False, 0, 0
            each.quality = "live"
            if event.kept:
                each.verify_until_ns = now_ns + int(self._config.verify_s * SECOND_NS)
            else:
                acts += self._renew(each, now_ns)
        return acts

    def _lose(self, event: Lost, now_ns: int) -> list[Act]:
        self._why, self._expected = event.detail, event.expected
        if not self.connected:
            return []
        self.connected, self._lost_ns = False, now_ns
        for each in self.watched.values():
            self._open_gap(each)
        return [self._say("disconnected", now_ns, detail=event.detail)]

    def _enter_safe_mode(self, event: SafeMode, now_ns: int) -> list[Act]:
        self._why = event.detail
        if self._safe:
            return []
        self._safe = True
        text = words.safe_mode(self.feed, event.attempts, event.detail)
        return [
            self._say("safe_mode", now_ns, detail=event.detail),
            self._alert("feed_safe_mode", "critical", now_ns, text),
        ]

    def _alert_if_long(self, now_ns: int) -> list[Act]:
        config = self._config
        patience_s = config.expected_alert_after_s if self._expected else config.alert_after_s
        if self._alerted or now_ns - self._lost_ns < patience_s * SECOND_NS:
            return []
        self._alerted = True
        severity: Severity = "critical" if any(each.open for each in self.watched.values()) else "warning"
        text = words.away(self.feed, self._lost_ns, now_ns, self._why, self._config.pause_trading)
        return [self._alert("feed_disconnected", severity, now_ns, text)]

    # -- one subscription ------------------------------------------------------------------------------------------------

    def _hear_news(self, news: SymbolNews, now_ns: int) -> list[Act]:
        acts: list[Act] = []
        for each in self._by_symbol.get(news.symbol, ()) if news.symbol else self.watched.values():
            if news.key in ("", each.subscription.key):
                acts += self._take_news(each, news, now_ns)
        return acts

    def _take_news(self, each: Watched, news: SymbolNews, now_ns: int) -> list[Act]:
        acts: list[Act] = []
        if news.state == "doubtful":
            if self.connected and not each.verify_until_ns and each.quality not in REFUSED:
                self._open_gap(each)
                each.heard_since = False
                each.verify_until_ns = now_ns + int(self._config.verify_s * SECOND_NS)
            return acts
        if news.state == "dropped":
            self._open_gap(each)
            each.heard_since, each.detail = False, news.detail
            return self._renew(each, now_ns) if self.connected else acts
        before, each.quality, each.detail = each.quality, news.state, news.detail
        if news.state in REFUSED:
            each.renew_ns = now_ns + int(REFUSED_RENEW_S * SECOND_NS)
            each.verify_until_ns = 0
            if before not in REFUSED:
                self._open_gap(each)
        acts += self._warn_once(each, news, now_ns)
        return acts + self._judge(each, now_ns)

    def _warn_once(self, each: Watched, news: SymbolNews, now_ns: int) -> list[Act]:
        mark = ("" if news.state == "stolen" else each.subscription.symbol, news.state)
        if news.state == "live":
            self._warned -= {warned for warned in self._warned if warned[0] in (each.subscription.symbol, "")}
            return []
        if mark in self._warned:
            return []
        self._warned.add(mark)
        symbol = each.subscription.symbol
        if news.state in ("delayed", "frozen"):
            return [self._alert("feed_delayed", "warning", now_ns, words.delayed(self.feed, symbol, news))]
        if news.state == "stolen":
            return [self._alert("feed_data_stolen", "critical", now_ns, words.stolen(self.feed, news))]
        return [self._alert("feed_refused", "critical", now_ns, words.refused(self.feed, symbol, news))]

    def _look(self, each: Watched, now_ns: int) -> list[Act]:
        """Time has passed for this one."""
        was_open, each.open = each.open, self._calendars[each.subscription.symbol].is_open(now_ns)
        if each.open and not was_open:
            each.since_ns = now_ns
        acts = self._judge(each, now_ns)
        if not self.connected or now_ns < each.renew_ns or not each.open:
            return acts
        doubted = bool(each.verify_until_ns) and not each.heard_since and now_ns >= each.verify_until_ns
        if doubted or each.quality in REFUSED or (self._is_judged(each) and self._silent(each, now_ns)):
            self._open_gap(each)
            acts += self._renew(each, now_ns)
        return acts

    def _renew(self, each: Watched, now_ns: int) -> list[Act]:
        """Subscribe, anew if need be. Where it does not help, less and less often."""
        wait_s = RENEW_S[min(each.renewals + 1, len(RENEW_S) - 1)]
        each.renewals += 1
        each.renew_ns = now_ns + int((REFUSED_RENEW_S if each.quality in REFUSED else wait_s) * SECOND_NS)
        each.verify_until_ns = 0
        acts: list[Act] = [Subscribe(each.subscription)]
        if each.renewals == 3 and each.quality not in REFUSED:
            symbol = each.subscription.symbol
            acts.append(self._alert("feed_stale", "warning", now_ns, words.stale(self.feed, symbol, each.heard_ns, now_ns)))
        return acts

    def _judge(self, each: Watched, now_ns: int, paused: bool = False) -> list[Act]:
        """What its prices are worth now, said where it has changed."""
        state, detail = self._worth(each, now_ns, paused)
        if state is None or state == each.state:
            return []
        each.state = state
        symbol = each.subscription.symbol
        acts: list[Act] = [self._say(state, now_ns, symbol, detail)]
        others = [other for other in self._by_symbol[symbol] if other is not each]
        if self._config.pause_trading and not (state == "live" and any(other.state != "live" for other in others)):
            acts.append(Say(DataStatus(symbol=symbol, ts_event_ns=now_ns, feed=self.feed, state=state, detail=detail)))
        return acts

    def _worth(self, each: Watched, now_ns: int, paused: bool) -> tuple[DataState | None, str]:
        """None: as before."""
        if not self.connected:
            long = now_ns - self._lost_ns >= self._config.pause_after_s * SECOND_NS
            return ("stale", f"{self.feed} has no connection: {self._why}") if paused or long else (None, "")
        if each.quality in ("delayed", "frozen"):
            return "delayed", each.detail or f"the broker sends {each.quality} prices"
        if each.quality in REFUSED:
            return "stale", each.detail or words.REFUSALS[each.quality]
        if each.filling:
            return "stale", "what was missed is being filled from history"
        if not self._is_judged(each):
            return "live", ""
        if each.verify_until_ns and not each.heard_since and now_ns >= each.verify_until_ns and each.open:
            return "stale", each.detail or "nothing has been heard since its connection was in doubt"
        if each.open and self._silent(each, now_ns) and (each.heard_since or each.state == "live"):
            return "stale", f"nothing has been heard for {(now_ns - max(each.heard_ns, each.since_ns)) / SECOND_NS:.0f} s"
        if not each.heard_since:
            return (None, "") if each.state is not None else ("stale", "nothing has been heard yet")
        return (None, "") if now_ns < each.settled_ns else ("live", "")

    def _is_judged(self, each: Watched) -> bool:
        """Whether its silence means something: of several subscriptions of a symbol that of quotes, else that of trades."""
        kinds = [other.subscription.kind for other in self._by_symbol[each.subscription.symbol]]
        return each.subscription.kind == next(kind for kind in ("quotes", "trades", "bars") if kind in kinds)

    def _silent(self, each: Watched, now_ns: int) -> bool:
        """It has said nothing for too long; to be asked while its market is open."""
        longest_ns = self._config.stale_ns(each.subscription.symbol)
        if each.subscription.kind == "bars":
            longest_ns += 2 * interval_of(each.subscription.interval).interval_ns
        return now_ns - max(each.heard_ns, each.since_ns) >= longest_ns

    # -- gaps ------------------------------------------------------------------------------------------------------------

    def _open_gap(self, each: Watched) -> None:
        if not each.gap_from_ns:
            each.gap_from_ns = each.event_ns

    def _close_gap(self, each: Watched, event_ns: int, now_ns: int) -> list[Act]:
        """It speaks again: what lies between is to be filled, if there was anything to be heard."""
        from_ns, each.gap_from_ns = each.gap_from_ns, 0
        to_ns = min(event_ns, now_ns)
        if not from_ns or to_ns - from_ns < SHORTEST_GAP_NS or not self._traded(each, from_ns, to_ns):
            return []
        acts: list[Act] = [self._say_gap(each, from_ns, to_ns, now_ns)]
        from_ns = max(from_ns, now_ns - int(self._config.backfill_max_s * SECOND_NS))
        if from_ns >= to_ns:
            return acts
        each.filling = True
        short = each.subscription.tick_history and to_ns - from_ns <= self._config.backfill_ticks_s * SECOND_NS
        return [*acts, Fill(each.subscription, from_ns, to_ns, short or each.subscription.kind == "bars")]

    def _catch_up(self, each: Watched, now_ns: int, missed: bool) -> list[Act]:
        """The source itself brings what was missed; it is marked all the same, and not traded on."""
        from_ns, each.gap_from_ns = each.gap_from_ns, 0
        acts: list[Act] = []
        if missed:
            each.settled_ns = now_ns + int(self._config.settle_s * SECOND_NS)
            if not each.filling:
                each.filling, each.filling_from_ns = True, from_ns
                acts.append(self._say_gap(each, from_ns, now_ns, now_ns))
        elif each.filling:
            each.filling = False
            if each.filling_from_ns and each.subscription.kind != "bars":
                self._plan(each.subscription, each.filling_from_ns, now_ns, now_ns, by_ticks=True, trouble=False)
            acts.append(self._say("filled", now_ns, each.subscription.symbol, "the broker brought what was missed"))
        return acts

    def _plan(self, subscription: Subscription, from_ns: int, to_ns: int, now_ns: int, *, by_ticks: bool, trouble: bool) -> None:
        """Bars that the gap has left incomplete are asked for once they have closed and history has them."""
        gap = (subscription, from_ns, to_ns)
        patience_ns = int(self._config.revise_after_s * SECOND_NS)
        for revise in revisions_of(
            gap, self._config.backfill_intervals, released_ns=now_ns + GRACE_NS, by_ticks=by_ticks, trouble=trouble
        ):
            self._revisions.append((max(revise.to_ns, now_ns) + patience_ns, revise))
        del self._revisions[:-MOST_REVISIONS]

    def _due_revisions(self, now_ns: int) -> list[Act]:
        due: list[Act] = [revise for at_ns, revise in self._revisions if at_ns <= now_ns]
        if due:
            self._revisions = [each for each in self._revisions if each[0] > now_ns]
        return due

    def _say_gap(self, each: Watched, from_ns: int, to_ns: int, now_ns: int) -> Say:
        length = f"nothing was heard for {(to_ns - from_ns) / SECOND_NS:.1f} s" if from_ns else "nothing was heard for a while"
        return self._say("gap", now_ns, each.subscription.symbol, length, Fill(each.subscription, from_ns, to_ns))

    def _traded(self, each: Watched, from_ns: int, to_ns: int) -> bool:
        """Whether its market was open at any time of the gap."""
        hours = self._calendars[each.subscription.symbol]
        opens_ns = hours.next_open(from_ns)
        return hours.is_open(from_ns) or (opens_ns is not None and opens_ns < to_ns)

    # -- words -----------------------------------------------------------------------------------------------------------

    def _say(self, state: FeedState, now_ns: int, symbol: str = "", detail: str = "", gap: Fill | None = None) -> Say:
        span = {} if gap is None else {"from_ns": gap.from_ns, "to_ns": gap.to_ns}
        return Say(FeedStatus(feed=self.feed, ts_event_ns=now_ns, state=state, symbol=symbol, detail=detail, **span))

    def _alert(self, name: str, severity: Severity, now_ns: int, text: str) -> Warn:
        return Warn(Alert(name=name, ts_event_ns=now_ns, severity=severity, source=self.feed, text=text))
