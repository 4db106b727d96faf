"""Drives a live sender's node: transactions in Postgres, with the broker's wire between two of them.

In:   orders of the book, what the broker says, the halt's row, requests to reconcile.
Out:  intents and executions, messages through the outbox, requests at the broker.
Not:  decisions (`core.sending`), the venue's protocol (its adapter).

One cycle:
1. what there is to read, to hear from the broker, or the time;
2. the node is fed: the halt as last seen, the broker's events, the clock, orders, `Release`; what that comes to (rows,
   position, state, outbox) is one statement, which is one transaction, and shows the halt's row as it is now;
3. the gate: a transaction with requests holds it from the moment at which it sees the halt's row until they are on the wire. A
   halt waits for it, and nothing leaves after a halt: an order decided in ignorance of one is told `NotSent`, and then of the
   halt. A process that was kept from its work for longer than its session surely lives sends nothing;
4. what was said is published, and with it positions are mirrored.

A crash between any two steps loses an effect at the most. What it was is found again by the first event of each process,
`Disconnected`, and by the broker's books.

While Redis is away the session with the broker stays: what the broker says next is still booked and acted upon, once; then
the sender waits until that can be published.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any, TypeVar

import asyncpg
from msgspec.structs import replace

from barque.bus.ledger_row import LedgerRow, Rows
from barque.bus.node_shell import NodeShell, RunnerOptions
from barque.bus.reader import Reader
from barque.bus.redis_bus import RedisBus, flag_of
from barque.bus.step import Position, Step
from barque.bus.wire import Entry, id_key
from barque.config import PostgresConfig
from barque.control import halt_in
from barque.errors import BusUnavailable
from barque.faults import reach
from barque.instruments import Instrument
from barque.messages import Halt, Message, Topic
from barque.money import Exchange, MissingPrice
from barque.observability.health import Health
from barque.postgres.pool import connect_one, postgres_errors
from barque.postgres.projector import Handled
from barque.venue import (
    Accepted,
    Ended,
    Executed,
    Modified,
    Rejected,
    RequestRefused,
    Venue,
    VenueAccount,
    VenueExecution,
    VenuePosition,
)
from router.core.sending.config import SendingConfig
from router.core.sending.effects import AskBooks, Effect, HaltBook
from router.core.sending.events import Books, LedgerFigures, ReconcileAsked, Release
from router.core.sending.node import SendingNode
from router.core.sending.windows import Cut
from router.shell.senders.intents import LiveIntents
from router.shell.senders.session import VenueSession, is_request

T = TypeVar("T")
LOOK_S = 1.0
"""How often requests to reconcile are looked for, and how long the portfolio is waited for."""
BUSY_LOOK_S = 3.0
"""The former, while there is no end of other work."""
_ASKED = "SELECT command_id FROM reconcile_requests WHERE book = $1"
_ANSWERED = "DELETE FROM reconcile_requests WHERE book = $1 AND command_id = ANY($2)"
_WHERE = "WHERE book = $1 AND lineage = $2 AND account = $3"
_HELD = f"SELECT symbol, sum(quantity) AS quantity, sum(quantity * average_price) AS cost FROM positions {_WHERE} GROUP BY symbol"  # noqa: S608
_CASH = f"SELECT currency, amount FROM cash {_WHERE}"  # noqa: S608
_MARKS = "SELECT symbol, price FROM marks WHERE book = $1 AND lineage = $2"
_OWNERS = f"SELECT order_id, strategy_id FROM intents {_WHERE} AND order_id = ANY($4)"  # noqa: S608
_BOOKED = "SELECT positions -> 'fills' ->> 0 FROM node_state WHERE book = $1 AND lineage = $2 AND node = 'portfolio'"


class LiveSender:
    """One account's node, its venue, one Postgres session, one loop."""

    def __init__(
        self,
        node: SendingNode,
        venue: Venue,
        config: SendingConfig,
        bus: RedisBus,
        postgres: PostgresConfig,
        options: RunnerOptions,
        health: Health,
        instruments: Sequence[Instrument],
    ) -> None:
        self._node = node
        self._config = config
        self._instruments = {instrument.symbol: instrument for instrument in instruments}
        self._bus = bus
        self._postgres = postgres
        self._shell = NodeShell(node, bus, options, health, without=Topic.CONTROL)
        self._intents = LiveIntents(node, venue.token)
        self._row = LedgerRow(bus, postgres, self._shell)
        self._venue = VenueSession(venue, config, self._figures)
        self._inputs = _Inputs(bus, self._shell, self._venue.news)
        self._looked_at = 0.0
        self._away = False
        """Redis was away, and has not been looked at since."""
        self._shell.not_ready("starting")

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; raises only what ends the sender for good (disposition stop)."""

        async def cycle() -> None:
            if self._row.held or await self._acquire(stop):
                await self._cycle(stop)

        try:
            await self._shell.serve(stop, cycle, self._release)
        finally:
            await self._release()

    async def _acquire(self, stop: asyncio.Event) -> bool:
        """Hold the account, and only then begin a session with the broker."""
        if not await self._row.acquire(stop):
            return False
        await self._row.begin_halt_row()
        async with self._row.errors():
            await self._intents.begin(self._row.session(), self._row.scope, self._row.state)
        self._venue.begin()
        await self._row.mirror()
        row = self._row
        self._shell.log.info("node_loaded", seq=row.seq, epoch=row.epoch, state_bytes=len(row.state))
        return True

    async def _release(self) -> None:
        """A process that does not hold the account has no session with the broker: perhaps another one does."""
        await self._venue.close()
        await self._inputs.close()
        await self._row.release()

    # -- one cycle ----------------------------------------------------------------------------------------------------

    async def _cycle(self, stop: asyncio.Event) -> None:
        row = self._row
        entries = await self._next(stop)
        await self._look_after_redis(bool(entries) or self._venue.news.is_set())
        events: list[Any] = await self._with_owners(self._venue.take())
        busy = bool(entries or events)
        asked = await self._asked_to_reconcile(busy)
        if asked:
            events.append(ReconcileAsked())
        if row.halted or not busy:  # a resume counts at once; of a halt that is news the gate knows
            await row.look_at_halt()
        command = row.halt_news()
        step, cut = self._feed([*([command] if command else []), *events], entries)
        effects = self._node.take_effects()
        outputs: dict[Topic, list[Message]] = step.outputs
        halting = self._halting(effects)
        if halting is not None:
            outputs.setdefault(Topic.CONTROL, []).append(halting)
        requests = [effect for effect in effects if is_request(effect)]
        kind = "request" if requests else "event" if any(map(_is_of_an_order, events)) else "other"
        worth_writing = bool(entries or events or command or outputs or effects or step.poison or cut.moved)
        if worth_writing:
            reach(f"{kind}_before_commit")
            rows = self._intents.rows(row.epoch, [Handled(message, said) for message, said in step.handled], cut)
            asked_at = time.monotonic()
            await self._write(outputs, rows, asked, halting, gate=bool(requests))
        reach(f"{kind}_after_commit")
        if step.poison is None:
            self._inputs.ahead(row.positions)
        if requests:
            await self._send(requests, asked_at)
        for effect in effects:
            if isinstance(effect, AskBooks):
                self._venue.ask(effect)
        if worth_writing:
            reach(f"{kind}_before_publish")
            for alert in outputs.get(Topic.ALERTS, ()):
                self._shell.log.warning("alert", **{name: getattr(alert, name) for name in ("name", "severity", "text")})
            row.durable(outputs)
            await self._publish(stop, outputs, halting)
            reach(f"{kind}_after_publish")
        self._say_how_it_is()
        if step.poison is not None:
            await row.stop_book(step.poison, stop)
            await row.mirror()

    async def _publish(self, stop: asyncio.Event, outputs: Mapping[Topic, Sequence[Message]], halting: Halt | None) -> None:
        """What was said, however long it takes; of positions alone Redis hears with what is said next, where it is away."""
        if outputs:
            flag = flag_of(halting) if halting is not None else ""
            return await self._patiently(stop, lambda: self._row.publish(outputs, flag))
        try:
            await self._row.mirror()
        except BusUnavailable:
            self._away = True

    async def _next(self, stop: asyncio.Event) -> list[Entry]:
        """What there is to read; nothing, where Redis is away and the broker has news."""

        async def read() -> list[Entry]:
            try:
                return await self._inputs.next(self._row.positions)
            except BusUnavailable:
                await self._inputs.close()
                raise

        return await self._patiently(stop, read, self._venue.news.is_set) or []

    async def _patiently(
        self, stop: asyncio.Event, call: Callable[[], Awaitable[T]], unless: Callable[[], bool] = lambda: False
    ) -> T | None:
        """What Redis has to be there for: tried again until it is, or `unless` says that there is something else to do: None."""
        failures = 0
        while True:
            try:
                await self._check_past()
                return await call()
            except BusUnavailable as error:
                self._away = True
                if unless():
                    return None
                await self._wait_for_redis(stop, failures, error)
                failures += 1

    async def _check_past(self) -> None:
        if self._away:
            await self._row.check_past()
            self._away = False

    async def _wait_for_redis(self, stop: asyncio.Event, failures: int, error: BusUnavailable) -> None:
        """A moment, in which the account is held, and the session with the broker kept."""
        if stop.is_set():
            raise error
        await self._row.keep_session()
        await self._shell.back_off(stop, min(failures, 3), str(error))

    async def _look_after_redis(self, busy: bool) -> None:
        """What only eyes need of it: where it is away, whatever has to be read or published next says so."""
        with suppress(BusUnavailable):
            await self._shell.upkeep(busy)
            await self._row.show_life()

    async def _with_owners(self, events: Sequence[Any]) -> list[Any]:
        """Whose positions others have traded away: of orders that the node has long forgotten the ledger knows the strategy."""
        executions = [event.execution for event in events if isinstance(event, Executed)]
        executions += [each for event in events if isinstance(event, Books) for each in event.executions]
        openers = {each.position_of for each in executions if each.position_of}
        if not openers:
            return list(events)
        async with self._row.errors():
            rows = await self._row.session().fetch(_OWNERS, *self._account_key(), sorted(openers))
        owners = {row["order_id"]: row["strategy_id"] for row in rows}
        return [_with_owner(event, owners) for event in events]

    def _feed(self, events: Sequence[Any], entries: list[Entry]) -> tuple[Step, Cut]:
        """Handle what this transaction is about; nothing is durable yet."""
        row = self._row
        now_ns = self._shell.tell_time()
        sources = row.verify(entries)
        step = self._shell.step(
            entries, row.positions, row.state, now_ns, keep_handled=True, events=events, closing=Release(now_ns=now_ns)
        )
        if step.poison is not None:  # what comes after it will be read again
            sources = row.verify(entries[: entries.index(step.poison.entry)])
        cut = self._node.cut()
        row.positions, row.sources, row.state = step.positions, sources, cut.state
        return step, cut

    async def _write(
        self, outputs: Mapping[Topic, Sequence[Message]], rows: Rows, asked: Sequence[str], halting: Halt | None, gate: bool
    ) -> None:
        """Make durable what was decided, with the halt, if it was one, and with requests that need not be answered again."""
        row = self._row
        session = row.session()
        async with row.errors():
            if halting is None and not asked:
                return await row.move(session, outputs, rows, gate)
            async with session.transaction():
                if halting is not None:
                    await halt_in(session, self._bus.book, halting)
                await session.execute(_ANSWERED, self._bus.book, asked)
                await row.move(session, outputs, rows, gate)

    async def _asked_to_reconcile(self, busy: bool) -> list[str]:
        """Requests to compare the books, by id."""
        if time.monotonic() < self._looked_at + (BUSY_LOOK_S if busy else LOOK_S):
            return []
        self._looked_at = time.monotonic()
        async with self._row.errors():
            return [request["command_id"] for request in await self._row.session().fetch(_ASKED, self._bus.book)]

    def _halting(self, effects: Sequence[Effect]) -> Halt | None:
        """The command by which this sender halts its book, where that was decided."""
        wanted = next((effect for effect in effects if isinstance(effect, HaltBook)), None)
        if wanted is None:
            return None
        return Halt(
            command_id=f"{self._node.name}/{self._row.lineage}/{self._row.seq}",
            ts_event_ns=time.time_ns(),
            actor=self._node.name,
            reason=wanted.reason,
        )

    async def _send(self, requests: Sequence[Any], asked_at: float) -> None:
        """What was decided is durable, and the gate is open: let it leave."""
        try:
            await self._venue.send(requests, self._row.halt_seen, asked_at)
        finally:
            await self._row.close_gate()

    async def _figures(self, positions: Sequence[VenuePosition], account: VenueAccount) -> LedgerFigures | None:
        """What the portfolio has booked of the account, beside what the broker shows; None: it has not begun to, or is behind
        what has been said here."""
        head = await self._bus.head(Topic.FILLS)
        connection = await connect_one(self._postgres)
        try:
            async with postgres_errors(self._postgres):
                if not await self._booked_up_to(connection, head):
                    return None
                held = await connection.fetch(_HELD, *self._account_key())
                cash = await connection.fetch(_CASH, *self._account_key())
                marks = await connection.fetch(_MARKS, self._bus.book, self._row.lineage)
        finally:
            await connection.close(timeout=1)
        if not cash:
            return None
        return LedgerFigures(
            positions={row["symbol"]: row["quantity"] for row in held if row["quantity"]},
            cash={row["currency"]: row["amount"] for row in cash},
            rates=rates(
                self._instruments,
                {row["symbol"]: row["price"] for row in marks},
                {*account.cash, *(row["currency"] for row in cash)},
                account.currency,
            ),
            netting=netting(self._instruments, {row["symbol"]: row["cost"] for row in held}, positions),
        )

    async def _booked_up_to(self, connection: asyncpg.Connection, head: str) -> bool:
        """Give the portfolio a moment to come as far as `head` of the fills."""
        deadline = time.monotonic() + LOOK_S
        key = (self._bus.book, self._row.lineage)
        while True:
            booked = await connection.fetchval(_BOOKED, *key)
            if id_key(booked or "0-0") >= id_key(head):
                return True
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.05)

    def _account_key(self) -> tuple[str, str, str]:
        return self._bus.book, self._row.lineage, self._config.account

    def _say_how_it_is(self) -> None:
        reason = self._node.waits_for
        if not reason:
            self._shell.ready()
        elif self._shell.not_ready(reason):
            self._shell.log.info("orders_wait", reason=reason)


def rates(
    instruments: Mapping[str, Instrument], marks: Mapping[str, Decimal], currencies: Iterable[str], base: str
) -> dict[str, Decimal]:
    """What one unit of each currency is worth in `base`, by the marks; without those to which no pair with a mark leads."""

    def price(symbol: str) -> Decimal:
        mark = marks.get(symbol)
        if not mark:
            raise MissingPrice(symbol)
        return mark

    exchange, found = Exchange(instruments, price), {}
    for currency in sorted(currencies):
        with suppress(MissingPrice):
            found[currency] = exchange.convert(Decimal(1), currency, base)
    return found


def netting(
    instruments: Mapping[str, Instrument], costs: Mapping[str, Decimal], positions: Sequence[VenuePosition]
) -> dict[str, Decimal]:
    """By currency: how far apart lies what open positions on margin cost here (`costs`: contracts times price) and at the broker.

    What has been realised and what the open rest cost add up to the same on both sides, however either nets: the value of all
    trades. So where the rest cost other amounts, cash differs by as much.
    """
    theirs = {position.symbol: position.quantity * position.average_price for position in positions}
    apart: dict[str, Decimal] = {}
    for symbol in sorted({*costs, *theirs}):
        instrument = instruments.get(symbol)
        if instrument is not None and instrument.on_margin:
            by = abs(costs.get(symbol, Decimal(0)) - theirs.get(symbol, Decimal(0))) * instrument.multiplier
            apart[instrument.currency] = apart.get(instrument.currency, Decimal(0)) + by
    return apart


def _with_owner(event: Any, owners: Mapping[str, str]) -> Any:
    def owned(execution: VenueExecution) -> VenueExecution:
        return replace(execution, strategy_id=owners.get(execution.position_of, "")) if execution.position_of else execution

    if isinstance(event, Executed):
        return replace(event, execution=owned(event.execution))
    return replace(event, executions=tuple(map(owned, event.executions))) if isinstance(event, Books) else event


def _is_of_an_order(event: Any) -> bool:
    return isinstance(event, Accepted | Rejected | Modified | RequestRefused | Ended | Executed)


class _Inputs:
    """Entries as they come, on a connection of their own: what the venue says does not wait for them."""

    def __init__(self, bus: RedisBus, shell: NodeShell, news: asyncio.Event) -> None:
        self._bus = bus.another()
        self._reader = Reader(self._bus, shell.node.name, shell.inputs, lockstep=False, wait_ms=shell.options.clock_interval_ms)
        self._news = news
        self._reading: asyncio.Task[list[Entry]] | None = None

    def ahead(self, positions: Mapping[Topic, Position]) -> asyncio.Task[list[Entry]]:
        """Begin to read what comes after `positions`, unless that is under way. Begun right after a commit it comes along with
        what the broker says to that, not behind it."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._reader.next(positions))
        return self._reading

    async def next(self, positions: Mapping[Topic, Position]) -> list[Entry]:
        """What has come; empty where the wait is over or the venue has news. Raises `BusUnavailable`."""
        reading = self.ahead(positions)
        if not self._news.is_set():
            news = asyncio.create_task(self._news.wait())
            try:
                await asyncio.wait((reading, news), return_when=asyncio.FIRST_COMPLETED)
            finally:
                news.cancel()
        if not reading.done():
            return []
        self._reading = None
        return reading.result()

    async def close(self) -> None:
        """Forget what is being read."""
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        await self._bus.close()
