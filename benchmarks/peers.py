"""FastStream on Redis Streams doing the same: decode a tick, bring its bars forward, publish what is complete.

As its documentation has it where speed matters: no type validation per call (`apply_types=False`), no log lines, a decoder
of our own over msgspec, many records per read, no consumer group and therefore no acknowledgements. It keeps no state and
no position in the store: a restart forgets the open bars, which the bar builder's does not.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import msgspec
from faststream.redis import BinaryMessageFormatV1, RedisBroker, StreamSub
from faststream.redis.message import FAKE_CONSUMER, RedisBatchStreamMessage, bDATA_KEY

from barque.config import RedisConfig
from barque.messages import Quote
from benchmarks.workload import MINUTE_NS

_decode = msgspec.msgpack.Decoder(Quote).decode
_encode = msgspec.msgpack.Encoder().encode
READ = 1_000
"""Records per read."""


async def framed(quotes: Sequence[Quote]) -> list[bytes]:
    """The ticks as FastStream's publisher writes them, one message each."""
    form = BinaryMessageFormatV1
    return [
        await form.encode(message=_encode(quote), reply_to=None, headers=None, correlation_id=str(number))
        for number, quote in enumerate(quotes)
    ]


class PlainBars:
    """One-minute bid and ask bars per symbol, with no more to it than the arithmetic."""

    def __init__(self) -> None:
        self._bars: dict[str, list[Any]] = {}
        self.count = 0

    def take(self, quote: Quote) -> list[Any] | None:
        """The bar that this tick completes."""
        self.count += 1
        minute, bid, ask = quote.ts_event_ns // MINUTE_NS, quote.bid, quote.ask
        bar = self._bars.get(quote.symbol)
        if bar is None or minute != bar[1]:
            self._bars[quote.symbol] = [quote.symbol, minute, bid, bid, bid, bid, ask, ask, ask, ask, 1]
            return bar
        if bid > bar[3]:
            bar[3] = bid
        elif bid < bar[4]:
            bar[4] = bid
        if ask > bar[7]:
            bar[7] = ask
        elif ask < bar[8]:
            bar[8] = ask
        bar[5], bar[9] = bid, ask
        bar[10] += 1
        return None


async def faststream(config: RedisConfig, stream: str, count: int, batch: bool) -> float:
    """Ticks per second of one subscriber over `stream`, until it has taken `count`."""
    bars, done = PlainBars(), asyncio.Event()
    broker = RedisBroker(config.dsn(), apply_types=False, logger=None)  # type: ignore[arg-type]
    publisher = broker.publisher(stream=f"{stream}:bars")

    async def one(quote: Quote) -> None:
        bar = bars.take(quote)
        if bar is not None:
            await publisher.publish(_encode(bar))
        if bars.count >= count:
            done.set()

    async def many(quotes: list[Quote]) -> None:
        for quote in quotes:
            bar = bars.take(quote)
            if bar is not None:
                await publisher.publish(_encode(bar))
        if bars.count >= count:
            done.set()

    source = StreamSub(stream, last_id="0-0", max_records=READ, batch=batch)
    if batch:
        broker.subscriber(stream=source, parser=_parse_batch, decoder=_decode_batch)(many)
    else:
        broker.subscriber(stream=source, decoder=_decode_one)(one)
    began = time.perf_counter()
    await broker.start()
    try:
        async with asyncio.timeout(60):
            await done.wait()
        return count / (time.perf_counter() - began)
    finally:
        await broker.stop()


async def _decode_one(message: Any) -> Quote:
    return _decode(message.body)


async def _parse_batch(message: Any) -> Any:
    return RedisBatchStreamMessage(
        raw_message=message, body=b"", message_id="", correlation_id="", consumer=FAKE_CONSUMER, group=None
    )


async def _decode_batch(message: Any) -> list[Quote]:
    parse = BinaryMessageFormatV1.parse
    return [_decode(parse(entry[bDATA_KEY])[0]) for entry in message.raw_message["data"]]
