"""The only way the gateway acts: halt, resume, and keeping the Redis flag in step with the ledger.

In:   a person's wish, already authorised.   Out: `barque.control`.
Not:  authorisation (`gateway.security`). A halt is never refused for want of one of the two stores: with Postgres away the
      flag in Redis stops the book, and `follow` writes the row when it can.
"""

from __future__ import annotations

import time
from typing import Any

import asyncpg
import structlog

from barque import control, limits
from barque.bus.redis_bus import RedisBus, flag_of
from barque.config import CommonConfig
from barque.errors import BarqueError, BusUnavailable, nearest
from barque.messages import Halt, Resume, SetLimit
from barque.postgres.pool import postgres_errors
from gateway.security import Refused

log = structlog.get_logger()


class Commands:
    """Halt and resume of one book."""

    def __init__(self, pool: asyncpg.Pool, common: CommonConfig, bus: RedisBus) -> None:
        self._pool, self._config, self._bus = pool, common.postgres, bus
        self._symbols = [instrument.symbol for instrument in common.instruments]
        self._strategy_ids = [strategy.id for strategy in common.strategies]

    async def halt(self, actor: str, reason: str, command_id: str | None = None) -> str:
        """Stop every new order; returns the command's id. Raises `BusUnavailable` only where both stores are away."""
        command = Halt(command_id=command_id or _new_id(), ts_event_ns=time.time_ns(), actor=actor, reason=reason)
        try:
            async with postgres_errors(self._config):
                told = await control.halt(self._pool, self._bus, self._bus.book, command)
        except BarqueError as error:
            log.error("halt_without_ledger", error=str(error), command_id=command.command_id)
            await self._halt_by_flag(command)
            told = True
        log.warning("halted", actor=actor, reason=reason, command_id=command.command_id, redis_told=told)
        return command.command_id

    async def tell(self, kind: type[Any], actor: str, reason: str, command_id: str | None, /, **fields: Any) -> str:
        """Give a command that only nodes obey; returns its id. Raises `BusUnavailable` where it could not be given."""
        command = kind(command_id=command_id or _new_id(), ts_event_ns=time.time_ns(), actor=actor, reason=reason, **fields)
        async with postgres_errors(self._config):
            await control.tell(self._pool, self._bus, self._bus.book, command)
        log.warning(
            "commanded",
            command=kind.__name__,
            actor=actor,
            reason=reason,
            command_id=command.command_id,
            **{name: str(value) for name, value in fields.items()},
        )
        return str(command.command_id)

    async def tell_strategy(self, kind: type[Any], strategy_id: str, actor: str, reason: str, command_id: str | None) -> str:
        """`tell` a strategy; raises `Refused` where there is none of that id."""
        if strategy_id not in self._strategy_ids:
            hint = nearest(strategy_id, self._strategy_ids) if self._strategy_ids else "no strategy is configured"
            raise Refused(404, f"there is no strategy '{strategy_id}'; {hint}")
        return await self.tell(kind, actor, reason, command_id, strategy_id=strategy_id)

    async def set_limit(self, actor: str, reason: str, command_id: str | None, /, **fields: str) -> str:
        """Change one risk limit; raises `Refused` for what the router would not obey."""
        if fault := limits.fault_of(**fields, symbols=self._symbols, strategy_ids=self._strategy_ids):
            raise Refused(422, f"nothing was changed: {fault}")
        return await self.tell(SetLimit, actor, reason, command_id, **fields)

    async def reconcile(self, actor: str) -> str:
        """Have the sender compare the broker's books with ours; returns the command's id."""
        command_id = _new_id()
        async with postgres_errors(self._config):
            asked = await control.ask_to_reconcile(self._pool, self._bus.book, command_id, actor)
        if not asked:
            raise Refused(409, f"book '{self._bus.book}' has no sender at a broker; on paper there is nothing to compare")
        log.info("asked_to_reconcile", actor=actor, command_id=command_id)
        return command_id

    async def resume(self, actor: str, reason: str, command_id: str | None = None) -> str:
        """Lift the halt; returns the command's id."""
        command = Resume(command_id=command_id or _new_id(), ts_event_ns=time.time_ns(), actor=actor, reason=reason)
        try:
            async with postgres_errors(self._config):
                told = await control.resume(self._pool, self._bus, self._bus.book, command)
        except BarqueError as error:
            log.error("not_resumed", error=str(error), command_id=command.command_id)
            raise BusUnavailable("the book stays halted: Postgres is away; resume again when it is back") from error
        log.warning("resumed", actor=actor, reason=reason, command_id=command.command_id, redis_told=told)
        return command.command_id

    async def follow(self) -> None:
        """Make the flag in Redis agree with the ledger, as far as both are there; to be called every second."""
        try:
            async with postgres_errors(self._config):
                await control.follow(self._pool, self._bus, self._bus.book)
        except BarqueError as error:
            log.debug("halt_not_followed", error=str(error))

    async def _halt_by_flag(self, command: Halt) -> None:
        try:
            await control.send(self._bus, command, flag_of(command))
        except BarqueError as error:
            log.critical("halt_failed", error=str(error), command_id=command.command_id)
            raise BusUnavailable(
                f"halt {command.command_id} is NOT in force: Postgres and Redis are both away; stop the senders by hand"
            ) from error


def _new_id() -> str:
    return f"gateway/{time.time_ns()}"
