"""Ticks that a venue says again after a subscription was renewed, or while a gap is filled: found, and dropped.

In:   messages of one subscription, in the order heard.   Out: whether each is news.
Not:  ticks that are late but new; the bar builder knows what to do with those.

Two equal trades within one second may both be real. So nothing is dropped for being equal: only as many are dropped as were
published before, and only until the venue has passed the time up to which it can repeat.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from barque.live_feed.source import MarketMessage
from barque.live_feed.state import KEPT, Key, Published, event_ns, tick_key
from barque.messages import Bar, Quote, Trade


class Echoes:
    """Of one subscription."""

    def __init__(self, exact_times: bool, published: Published | None = None) -> None:
        """`exact_times`: a tick's time is the venue's, so it is the same when it is said again."""
        self.dropped = 0
        """Messages said again, since the start."""
        self._exact = exact_times
        self._newest_ns = 0
        self._recent: list[Key] = []
        self._expected: Counter[Key] = Counter()
        self._expected_until_ns = -1
        if published is not None:
            self._newest_ns, self._recent = published.ts_event_ns, list(published.keys)
            self.renewed()

    def renewed(self) -> None:
        """The venue begins anew: it may say what it said last."""
        self._expected.clear()
        self.expect(self._recent)

    def expect(self, keys: Iterable[Key]) -> None:
        """These were published; each may come once more."""
        for key in keys:
            self._expected[key] += 1
            self._expected_until_ns = max(self._expected_until_ns, key[0])

    def is_news(self, message: MarketMessage) -> bool:
        """False: it was said before. To be asked once of each message, in order."""
        at_ns = event_ns(message)
        if isinstance(message, Bar):
            if at_ns <= self._newest_ns:
                self.dropped += 1
                return False
            self._newest_ns = at_ns
            return True
        key = tick_key(message)
        if self._expected and self._is_echo(message, key, at_ns):
            self.dropped += 1
            return False
        if at_ns > self._newest_ns:
            self._newest_ns, self._recent = at_ns, [key]
        elif at_ns == self._newest_ns:
            self._recent = [*self._recent[-KEPT + 1 :], key]
        return True

    def _is_echo(self, message: Quote | Trade, key: Key, at_ns: int) -> bool:
        if isinstance(message, Quote) and (not self._exact or at_ns == message.ts_recv_ns):
            # A snapshot, stamped by us: it is one quote, what follows it is news, equal or not.
            known = any(key[1:] == expected[1:] for expected in self._expected)
            self._expected.clear()
            return known
        if not self._exact or at_ns > self._expected_until_ns:
            self._expected.clear()
            return False
        if self._expected[key] <= 0:
            return False
        self._expected[key] -= 1
        return True
