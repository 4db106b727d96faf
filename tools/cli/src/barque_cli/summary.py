"""What a book has done so far, read from its streams and tables: the live summary of the demo and its JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import asyncpg

from barque.bus.redis_bus import RedisBus
from barque.messages import Alert, Fill, Quote, Signal, SubmitOrder, Topic, Trade

NS_PER_MS = 1_000_000
COUNTED = {
    Topic.TICKS: ("ticks", (Quote, Trade)),
    Topic.BARS: ("bars", None),
    Topic.SIGNALS: ("signals", (Signal,)),
    Topic.ORDERS: ("orders", (SubmitOrder,)),
    Topic.FILLS: ("fills", (Fill,)),
    Topic.DEAD: ("dead_letters", None),
    Topic.ALERTS: ("alerts", (Alert,)),
}


@dataclass(slots=True)
class Summary:
    """Counts since the streams began, and the time from a tick to the fill that it caused. Corrections are no fills."""

    counts: dict[str, int] = field(default_factory=lambda: {name: 0 for name, _ in COUNTED.values()})
    latencies_ms: list[float] = field(default_factory=list)
    _after: dict[Topic, str] = field(default_factory=dict)

    async def update(self, bus: RedisBus) -> None:
        """Read what is new on the streams."""
        for topic, (name, kinds) in COUNTED.items():
            while page := await bus.range(topic, self._after.get(topic, "-"), count=1_000):
                self._after[topic] = page[-1].entry_id
                for entry in page:
                    messages = [m for m in entry.messages() if not (isinstance(m, Fill) and m.corrects)]
                    self.counts[name] += sum(1 for m in messages if kinds is None or isinstance(m, kinds))
                    if topic is Topic.FILLS:
                        published_ns = entry.header().ts_pub_ns
                        self.latencies_ms += [ms for m in messages if (ms := _latency_ms(m, published_ns)) is not None]

    def percentile_ms(self, share: float) -> float | None:
        """A percentile of tick → fill, milliseconds; None before the first fill."""
        if not self.latencies_ms:
            return None
        ranked = sorted(self.latencies_ms)
        return round(ranked[min(len(ranked) - 1, int(share * len(ranked)))], 3)


def _latency_ms(message: Any, published_ns: int) -> float | None:
    """From the tick's event time to the fill's publication, where a tick (not the clock) began it."""
    if not isinstance(message, Fill) or message.root.count(".") != 1:
        return None
    return (published_ns - int(message.root.partition(".")[2])) / NS_PER_MS


async def positions(connection: asyncpg.Connection, book: str, lineage: str) -> list[dict[str, str]]:
    """The open positions of a book."""
    rows = await connection.fetch(
        "SELECT account, strategy_id, symbol, quantity, average_price, realised_pnl, currency FROM positions"
        " WHERE book = $1 AND lineage = $2 ORDER BY account, strategy_id, symbol",
        book,
        lineage,
    )
    return [{key: _text(value) for key, value in row.items()} for row in rows]


async def equity(connection: asyncpg.Connection, book: str, lineage: str) -> dict[str, str]:
    """The latest equity per account, `amount currency`."""
    rows = await connection.fetch(
        "SELECT DISTINCT ON (account) account, equity, currency FROM equity WHERE book = $1 AND lineage = $2"
        " ORDER BY account, ts_event_ns DESC",
        book,
        lineage,
    )
    return {row["account"]: f"{_text(row['equity'])} {row['currency']}" for row in rows}


def _text(value: Any) -> str:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)
