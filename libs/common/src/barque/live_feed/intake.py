"""From what a source says to what goes out: news or echo, at once or behind a gap that is being filled.

In:   messages of all subscriptions, in the order heard; history.   Out: messages for the outbox, acts of the core.
Not:  I/O.

While a gap is being filled with messages of the subscription's own kind, what has been heard since is held back, so that all
of it goes out in the order in which it happened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from barque.live_feed.core import SECOND_NS, Act, FeedCore, Fill
from barque.live_feed.echoes import Echoes
from barque.live_feed.filling import before_snapshot, by_minute
from barque.live_feed.metrics import FeedMetrics
from barque.live_feed.source import MarketMessage, Subscription
from barque.live_feed.state import Published, event_ns, key_of, kind_of, tick_key
from barque.messages import Bar

HELD = 20_000
"""Messages of a subscription that are held back at most."""


class Channel:
    """One subscription on its way."""

    def __init__(self, subscription: Subscription, published: Published | None) -> None:
        self.subscription = subscription
        self.echoes = Echoes(subscription.exact_times, published)
        self.held: list[MarketMessage] | None = None
        """What has been heard since a gap that is being filled; None: there is none."""


class Intake:
    """All subscriptions of a feed."""

    def __init__(
        self,
        core: FeedCore,
        metrics: FeedMetrics,
        say: Callable[[Sequence[MarketMessage], bool], None],
        do: Callable[[Sequence[Act]], None],
    ) -> None:
        """`say(messages, whole)` sends them out, as one entry where `whole`; `do` carries out what the core wants, at once."""
        self._core, self._metrics, self._say, self._do = core, metrics, say, do
        self._channels: dict[str, Channel] = {}
        self._published: Mapping[str, Published] = {}

    def begin(self, subscriptions: Sequence[Subscription], published: Mapping[str, Published]) -> None:
        """`published` is looked at again whenever a gap is filled."""
        self._published = published
        self._channels = {each.key: Channel(each, published.get(each.key)) for each in subscriptions}

    def renewed(self, key: str = "") -> None:
        """The source begins anew with one subscription, or with all: it may repeat itself."""
        for channel in [self._channels[key]] if key else self._channels.values():
            channel.echoes.renewed()

    def hold(self, key: str) -> None:
        """A gap of it is being filled: what comes now, comes after that."""
        channel = self._channels[key]
        channel.held = channel.held or []

    def take(self, messages: Sequence[MarketMessage], now_ns: int, missed: bool = False) -> None:
        """The source says this."""
        for part in by_minute(messages) if missed else [messages]:
            self._take(part, now_ns, missed)

    def _take(self, messages: Sequence[MarketMessage], now_ns: int, missed: bool) -> None:
        news: list[MarketMessage] = []
        channel: Channel | None = None
        for message in messages:
            kind = kind_of(message)
            channel = self._channels.get(key_of(message, kind)) if kind is not None else None
            if channel is None or kind is None:
                continue
            self._metrics.heard(kind)
            if channel.held is None and not channel.echoes.is_news(message):
                self._metrics.repeated.inc()
                continue
            acts = self._core.heard(channel.subscription.key, event_ns(message), now_ns, missed)
            if acts:
                self._say(news, missed)
                news = []
                self._do(acts)
            if channel.held is None:
                news.append(message)
            elif len(channel.held) < HELD:
                channel.held.append(message)
            else:
                self.release(channel.subscription.key, [])
                news.append(message)
        self._say(news, missed)
        if channel is not None and channel.subscription.exact_times and not missed:
            self._metrics.lag.set((now_ns - event_ns(messages[-1])) / SECOND_NS)

    def release(self, key: str, history: Sequence[MarketMessage], fill: Fill | None = None) -> int:
        """History, then what was held back behind it, each once; how much of the history was new."""
        channel = self._channels[key]
        held, channel.held = channel.held or [], None
        if channel.subscription.kind == "bars":
            new = [bar for bar in history if fill is not None and event_ns(bar) > fill.from_ns]
            self._say([*new, *held[:1]], True)
            held = held[1:]  # the first was found to be news when it was heard
        else:
            new = self._new_ticks(channel, history, held)
            for part in by_minute(new):
                self._say(part, True)
        self._say([message for message in held if channel.echoes.is_news(message)], False)
        return len(new)

    def _new_ticks(
        self, channel: Channel, history: Sequence[MarketMessage], held: Sequence[MarketMessage]
    ) -> list[MarketMessage]:
        """Those that were not published before; what is held back may repeat them from the second on in which it begins."""
        published = self._published.get(channel.subscription.key)
        if not channel.subscription.exact_times:
            history = before_snapshot(history, held)
        if published is not None:
            channel.echoes.expect(published.keys)
        new: list[MarketMessage] = [tick for tick in history if not isinstance(tick, Bar) and channel.echoes.is_news(tick)]
        if channel.subscription.exact_times and held:
            meeting_ns = event_ns(held[0]) // SECOND_NS * SECOND_NS
            channel.echoes.expect(tick_key(tick) for tick in new if event_ns(tick) >= meeting_ns)
        return new
