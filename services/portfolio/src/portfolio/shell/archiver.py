"""Fills the archive from the book's streams, beside the books and never in their way.

In:   `bars`, and `ticks` where asked for.   Out: Parquet files of the archive; a position of its own, which trimming waits for.
Not:  part of the books. Whatever goes wrong here is logged, said in an alert, and tried again; the books go on.

Exactly once: rows are put into files and through to the disk first, then the position is committed to Redis. A crash in between
brings entries again; a file knows how far the stream had come in it, and a bar has its key, so nothing is there twice.

On a feed clock the archiver does not register: nothing is trimmed there, and nobody has to wait for it in lockstep.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import TypeVar

import structlog

from barque.bus.node_shell import BACKOFF_S, RunnerOptions, pause_until
from barque.bus.redis_bus import Commit, Record, RedisBus
from barque.bus.step import Position
from barque.bus.wire import Entry
from barque.errors import BarqueError, BusUnavailable, WireError
from barque.messages import Alert, Message, Topic
from barque.node import Rank
from barque.observability.metrics import NodeMetrics
from barque_archive.edits import Edit
from barque_archive.gathering import Gathered, columns_of
from portfolio.config import ArchiveConfig

log = structlog.get_logger()
T = TypeVar("T")
NODE = "archiver"
READ_COUNT = 256
"""Entries per stream and read; an entry may hold a thousand ticks."""
MAX_ROWS = 200_000
"""Rows that may wait for a flush; then nothing more is read before they are on disk."""
WAIT_MS = 250
LEASE_MS = 10_000
LOCK_S = 2.0
"""How long a flush waits for an import that writes the same series, before it is tried again."""


class Archiver:
    """One archiver of one book. A second one stands by."""

    def __init__(self, config: ArchiveConfig, bus: RedisBus, options: RunnerOptions) -> None:
        self._root, self._flush_s = config.path, config.flush_s
        self._topics = (Topic.BARS, Topic.TICKS) if config.ticks else (Topic.BARS,)
        self._bus, self._options = bus, options
        self._metrics = NodeMetrics(options.service, NODE)
        self._alerted = ""
        self._forget()

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; raises nothing that is not a cancellation."""
        failures = 0
        while not stop.is_set():
            try:
                await self._cycle(stop)
                failures = 0
            except Exception as error:  # (the books must not end because of the archive)
                self._forget()
                pause = BACKOFF_S[min(failures, len(BACKOFF_S) - 1)]
                failures += 1
                await self._complain(error, pause)
                await pause_until(stop, pause)
        try:
            await self._flush()
            await self._bus.lease(NODE, self._options.worker, 0)
        except Exception as error:  # (what is not on disk is read again at the next start)
            log.warning("archive_flush_skipped", reason=str(error))

    def _forget(self) -> None:
        """What was gathered is read again from the committed position."""
        self._record: Record | None = None
        self._positions: dict[Topic, Position] = {}
        self._gathered = {topic: Gathered() for topic in self._topics}
        self._since = 0.0

    # -- one batch ----------------------------------------------------------------------------------------------------

    async def _cycle(self, stop: asyncio.Event) -> None:
        holder = await self._bus.lease(NODE, self._options.worker, LEASE_MS)
        if holder != self._options.worker:
            self._forget()
            return await pause_until(stop, LEASE_MS / 4_000)
        if self._record is None:
            await self._load()
        wait = self._bus.wait_to_read(self._positions, READ_COUNT, self._wait_ms())
        entries = self._bus.entries(await self._bus.wait(wait))
        self._gather(entries)
        waiting = sum(gathered.rows for gathered in self._gathered.values())
        if self._since and (waiting >= MAX_ROWS or time.monotonic() - self._since >= self._flush_s):
            await self._flush()

    def _wait_ms(self) -> int:
        """No longer than until the next flush."""
        left_s = self._flush_s - (time.monotonic() - self._since) if self._since else self._flush_s
        return max(1, min(WAIT_MS, int(left_s * 1_000)))

    async def _load(self) -> None:
        lineage = await self._bus.lineage()
        if lineage is None:
            raise BusUnavailable(f"book '{self._bus.book}' has not been begun in Redis; run `barque seed`")
        self._writer = f"{self._bus.book}/{lineage}"
        if not self._options.feed_clock:
            await self._bus.register(NODE, Rank.PORTFOLIO, self._topics, False, self._options.worker)
        self._record = await self._bus.load(NODE)
        self._positions = {topic: self._record.positions.get(topic, Position()) for topic in self._topics}
        log.info("archiver_loaded", seq=self._record.seq, path=str(self._root))

    def _gather(self, entries: list[Entry]) -> None:
        if entries and not self._since:
            self._since = time.monotonic()
        for entry in entries:
            try:
                messages: list[Message] = entry.messages()
            except WireError as error:
                log.warning("archive_entry_skipped", stream=entry.topic, entry_id=entry.entry_id, reason=str(error))
                messages = []
            self._gathered[entry.topic].add(entry.entry_id, messages)
            before = self._positions[entry.topic]
            self._positions[entry.topic] = Position(entry.entry_id, before.count + 1)

    # -- onto the disk ------------------------------------------------------------------------------------------------

    async def _flush(self) -> None:
        """Files first, then the position."""
        record = self._record
        if record is None or not self._since:
            return
        began = time.perf_counter()
        rows = await _in_thread(lambda: write(self._root, list(self._gathered.values()), self._writer))
        commit = Commit(
            node=NODE, expected_seq=record.seq, state=b"", positions=dict(self._positions), outputs={}, outs=record.outs
        )
        answer = await self._bus.commit(commit)
        self._metrics.committed(answer.verdict, time.perf_counter() - began)
        self._metrics.stepped(rows, {}, time.perf_counter() - began)
        if answer.verdict not in ("OK", "DUP"):
            log.info("commit_refused", verdict=answer.verdict, expected_seq=record.seq, stored_seq=answer.seq)
            return self._forget()
        self._record = Record(answer.seq, record.epoch, b"", dict(self._positions), answer.outs)
        self._gathered = {topic: Gathered() for topic in self._topics}
        self._since, self._alerted = 0.0, ""
        for status in await self._bus.status():
            if status.name == NODE:
                self._metrics.lag(status.lag_entries)

    async def _complain(self, error: Exception, pause: float) -> None:
        """A log line, and where it is not Redis that is away, one alert until the next flush succeeds."""
        if isinstance(error, BusUnavailable):
            log.warning("store_unavailable", node=NODE, reason=str(error), retry_s=pause)
            return
        log.error("archive_failed", reason=str(error), retry_s=pause, exc_info=not isinstance(error, BarqueError))
        if self._alerted:
            return
        reason = str(error) or type(error).__name__
        text = (
            f"the archive at {self._root} does not grow: {reason}; it is tried again, and the streams keep all of it until then"
        )
        with suppress(BarqueError):
            record = await self._bus.load(NODE)
            alert = Alert(name="archive_behind", ts_event_ns=time.time_ns(), severity="warning", source=NODE, text=text)
            commit = Commit(
                node=NODE,
                expected_seq=record.seq,
                state=b"",
                positions=record.positions,
                outputs={Topic.ALERTS: [alert]},
                outs=record.outs,
            )
            self._alerted = text if (await self._bus.commit(commit)).verdict in ("OK", "DUP") else ""


def write(root: Path, gathered: list[Gathered], writer: str) -> int:
    """Put everything gathered into the files of the archive; how many rows were new there."""
    added = 0
    for each in gathered:
        for series in each.series():
            with Edit(root, series, LOCK_S) as edit:
                change = edit.append(*each.columns(series, writer))
                edit.publish()
            added += change.added
            if change.conflicts:
                log.warning("archive_conflict", series=str(series), rows=change.conflicts, first=change.example)
        for series, bars in each.revised.items():
            with Edit(root, series, LOCK_S) as edit:
                change = edit.merge(columns_of(series, [bars[key] for key in sorted(bars)]), "replace")
                edit.publish()
            added += change.added
            log.info("archive_bars_revised", series=str(series), rows=len(bars), others=change.conflicts)
    return added


async def _in_thread(work: Callable[[], T]) -> T:
    """Work that blocks, on a thread that does not keep the process from ending."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if not done.done():
            done.set_exception(error) if error is not None else done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as raised:
            error = raised
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, result, error)

    Thread(target=run, name=NODE, daemon=True).start()
    return await done
