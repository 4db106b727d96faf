"""What people command. Of the halt the row in Postgres is the authority; the flag in Redis and the `control` stream follow it.

A halt is written to Postgres first, because every sender reads that row in the transaction of each order; it holds even
with Redis dead. `follow` carries to Redis what could not be carried at once, and adopts a halt that a node set there.
A halt flag is cleared only by the resume of that very halt.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TypeAlias

import asyncpg
import asyncpg.pool

from barque.bus.redis_bus import Commit, RedisBus, flag_of
from barque.errors import BusUnavailable
from barque.messages import AdjustCash, Flatten, Halt, Message, Resume, SetLimit, StartStrategy, StopStrategy, Topic

WRITER = "control"
Command: TypeAlias = Halt | Resume | Flatten | StartStrategy | StopStrategy | SetLimit | AdjustCash
Connection: TypeAlias = "asyncpg.Connection | asyncpg.pool.PoolConnectionProxy"


@dataclass(frozen=True, slots=True)
class HaltState:
    """Whether a book is halted, and the command that said so last."""

    halted: bool
    command_id: str
    actor: str
    reason: str
    at_ns: int


NEVER_HALTED = HaltState(False, "", "", "", 0)


async def halt_state(connection: asyncpg.Connection | asyncpg.Pool, book: str) -> HaltState:
    """The halt row of a book."""
    row = await connection.fetchrow("SELECT halted, command_id, actor, reason, at_ns FROM halts WHERE book = $1", book)
    return HaltState(**dict(row)) if row else NEVER_HALTED


async def halt(pool: asyncpg.Pool, bus: RedisBus | None, book: str, command: Halt) -> bool:
    """Stop every new order of the book. Returns False where Redis could not be told yet (senders obey all the same)."""
    async with pool.acquire() as connection, connection.transaction():
        if not await halt_in(connection, book, command):
            return True
    return await _tell(bus, command, flag_of(command))


async def halt_in(connection: Connection, book: str, command: Halt) -> bool:
    """Write the halt's row in the caller's transaction; False where this very command has been given before."""
    if not await _record(connection, book, "halt", command):
        return False
    await connection.execute(
        "INSERT INTO halts (book, halted, command_id, actor, reason, at_ns) VALUES ($1, true, $2, $3, $4, $5)"
        " ON CONFLICT (book) DO UPDATE SET halted = true, command_id = $2, actor = $3, reason = $4, at_ns = $5",
        book,
        command.command_id,
        command.actor,
        command.reason,
        command.ts_event_ns,
    )
    return True


async def ask_to_reconcile(pool: asyncpg.Pool, book: str, command_id: str, actor: str) -> bool:
    """Have the book's sender compare its broker's books with ours now; it looks for such requests once a second.

    False where the book has never had a sender at a broker: on paper there is nothing to compare.
    """
    status = await pool.execute(
        "INSERT INTO reconcile_requests (book, command_id, actor, at_ns) SELECT $1, $2, $3, $4 WHERE EXISTS ("
        " SELECT 1 FROM node_state JOIN books USING (book, lineage)"
        " WHERE book = $1 AND node LIKE 'sender.%' AND node <> 'sender.paper') ON CONFLICT DO NOTHING",
        book,
        command_id,
        actor,
        time.time_ns(),
    )
    return bool(status == "INSERT 0 1")


async def resume(pool: asyncpg.Pool, bus: RedisBus | None, book: str, command: Resume) -> bool:
    """Lift the halt. Returns False where Redis could not be told yet: orders then wait for `follow`."""
    async with pool.acquire() as connection, connection.transaction():
        if not await _record(connection, book, "resume", command):
            return True
        await connection.execute("UPDATE halts SET halted = false WHERE book = $1", book)
    return await _tell(bus, command, "resume")


async def tell(
    pool: asyncpg.Pool, bus: RedisBus, book: str, command: Flatten | StartStrategy | StopStrategy | SetLimit | AdjustCash
) -> None:
    """Log a command and put it on `control`; both or neither. A repeat of its id does nothing. Raises `BusUnavailable`."""
    async with pool.acquire() as connection, connection.transaction():
        if await _record(connection, book, type(command).__name__, command):
            await send(bus, command)


async def follow(pool: asyncpg.Pool, bus: RedisBus, book: str) -> None:
    """Make Redis agree with Postgres, and Postgres know a halt that was set in Redis. To be called about every second.

    A person's halt is in Postgres before it is in Redis, so whoever reads the flag first and then the row finds it there. A flag
    that Postgres has never heard of was set by a node; one that it knows has been lifted if the row says that nothing is halted.
    """
    flag = await bus.halt_flag()
    state = await halt_state(pool, book)
    if flag is not None and not await _is_known(pool, book, flag):
        await halt(pool, None, book, flag)
    elif state.halted and flag is None:
        command = Halt(command_id=state.command_id, ts_event_ns=state.at_ns, actor=state.actor, reason=state.reason)
        await _tell(bus, command, flag_of(command))
    elif not state.halted and flag is not None:
        command_id = f"follow/{state.command_id}"
        now_ns = time.time_ns()
        await _tell(bus, Resume(command_id=command_id, ts_event_ns=now_ns, actor=WRITER, reason="resumed"), "resume")


async def send(bus: RedisBus, command: Message, halt_action: str = "") -> None:
    """Put a command on the `control` stream; writers take turns through the commit itself."""
    while True:
        record = await bus.load(WRITER)
        answer = await bus.commit(
            Commit(
                node=WRITER,
                expected_seq=record.seq,
                state=b"",
                positions={},
                outputs={Topic.CONTROL: [command]},
                outs=record.outs,
                halt_action=halt_action,
            )
        )
        if answer.verdict in ("OK", "DUP"):
            return


async def _tell(bus: RedisBus | None, command: Message, halt_action: str) -> bool:
    if bus is None:
        return False
    try:
        await send(bus, command, halt_action)
    except BusUnavailable:
        return False
    return True


async def _is_known(pool: asyncpg.Pool, book: str, command: Command) -> bool:
    """Whether this very command has been given."""
    found = await pool.fetchval("SELECT 1 FROM control_log WHERE book = $1 AND command_id = $2", book, command.command_id)
    return found is not None


async def _record(connection: Connection, book: str, name: str, command: Command) -> bool:
    """Log a command; False where it was given before, so that a repeat does nothing."""
    status = await connection.execute(
        "INSERT INTO control_log (book, command_id, command, actor, reason, at_ns) VALUES ($1, $2, $3, $4, $5, $6)"
        " ON CONFLICT (book, command_id) DO NOTHING",
        book,
        command.command_id,
        name,
        command.actor,
        command.reason,
        command.ts_event_ns,
    )
    return bool(status == "INSERT 0 1")
