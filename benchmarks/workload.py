"""The same ticks for everybody: four symbols in turn, a millisecond apart, on seeded random walks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import lru_cache
from random import Random

from barbuilder.config import BarBuilderConfig, BarsConfig
from barbuilder.core.node import BarBuilderNode
from barque.bus.connection import Address, Connection
from barque.bus.redis_bus import RedisBus
from barque.bus.wire import GENESIS, link, pack_envelope
from barque.config import RedisConfig
from barque.instruments import Instrument
from barque.messages import Quote, Topic, encode_batch

SYMBOLS = ("EURUSD", "GBPUSD", "AUDUSD", "NZDUSD")
T0 = 1_398_902_400_000_000_000
"""2014-05-01 00:00:00 UTC."""
STEP_NS = 1_000_000
MINUTE_NS = 60_000_000_000
PIPELINE = 500


@lru_cache(maxsize=4)
def ticks(count: int) -> tuple[Quote, ...]:
    """`count` quotes; the last one comes two minutes late, so that it closes a bar and shows that all have been worked on."""
    random = Random(20140501)
    pips = dict.fromkeys(SYMBOLS, 138_000)
    found = []
    for number in range(count):
        symbol = SYMBOLS[number % len(SYMBOLS)]
        pips[symbol] += random.choice((-1, 0, 0, 1))
        at_ns = T0 + number * STEP_NS + (2 * MINUTE_NS if number == count - 1 else 0)
        bid = pips[symbol]
        found.append(Quote(symbol=symbol, ts_event_ns=at_ns, ts_recv_ns=at_ns, bid=bid / 1e5, ask=(bid + 8) / 1e5))
    return tuple(found)


def bar_builder() -> BarBuilderNode:
    """The real node: one-minute bars of both sides, marks as in a book."""
    config = BarBuilderConfig(bars=(BarsConfig(symbols=SYMBOLS, interval="1m", prices=("bid", "ask")),))
    return BarBuilderNode(
        config,
        [Instrument(symbol=s, currency="USD", base_currency=s[:3], tick_size=Decimal("0.00001")) for s in SYMBOLS],
    )


async def fill_ticks(config: RedisConfig, bus: RedisBus, count: int, per_entry: int) -> int:
    """Put the ticks on the bus's stream as a feed would; returns the number of entries."""
    await bus.call("DEL", bus.stream(Topic.TICKS))
    chain, number = GENESIS, 0

    def commands() -> Iterator[tuple[object, ...]]:
        nonlocal chain, number
        for batch in batches(ticks(count), per_entry):
            body = encode_batch(batch)
            chain, number = link(chain, body), number + 1
            yield "XADD", bus.stream(Topic.TICKS), "*", "e", pack_envelope("feed.bench", number, T0, chain), "m", body

    await pipe(config, commands())
    return number


async def fill_plain(config: RedisConfig, stream: str, key: bytes, bodies: Sequence[bytes]) -> None:
    """Put bodies on a stream, one entry each, under one field."""
    await pipe(config, (("DEL", stream), *(("XADD", stream, "*", key, body) for body in bodies)))


async def pipe(config: RedisConfig, commands: Iterator[tuple[object, ...]] | Sequence[tuple[object, ...]]) -> None:
    """Many commands, many at a time."""
    connection = Connection(Address.of(config.dsn()), 10.0)
    waiting: list[tuple[object, ...]] = []
    try:
        for command in commands:
            waiting.append(command)
            if len(waiting) == PIPELINE:
                await connection.call_all(waiting)
                waiting = []
        if waiting:
            await connection.call_all(waiting)
    finally:
        await connection.close()


def batches(quotes: Sequence[Quote], size: int) -> Iterator[Sequence[Quote]]:
    """In pieces of `size`."""
    return (quotes[start : start + size] for start in range(0, len(quotes), size))
