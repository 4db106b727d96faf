"""A strategy worker: shares the book's strategy nodes with the other workers.

In:   the configured strategies, and which workers live.   Out: one runner per node that is ours.
Not:  correctness. Leases only decide who tries; a node that two workers run at once still commits each batch once.

Every second each worker says that it lives and learns who else does. Node i of the sorted list belongs to worker i modulo
their number, which all of them compute alike: a newcomer is given its part within two beats, and the nodes of a dead
worker move when its lease has run out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from barque.bus.node_shell import pause_until
from barque.bus.runner import RedisRunner
from barque.errors import BarqueError, BusUnavailable
from barque.service import ServiceContext
from strategy_host.config import StrategyHostConfig
from strategy_host.core.node import StrategyNode
from strategy_host.shell.past import Past

log = structlog.get_logger()
BEAT_S = 0.5
TTL_MS = 2_500


def share(nodes: Sequence[str], workers: Sequence[str], me: str) -> set[str]:
    """The nodes that belong to `me`.

    >>> sorted(share(["a", "b", "c"], ["w1", "w2"], "w1"))
    ['a', 'c']
    """
    ranked = sorted(workers)
    if me not in ranked:
        return set()
    return {node for index, node in enumerate(sorted(nodes)) if ranked[index % len(ranked)] == me}


class Worker:
    """Runs the nodes that are ours, and lets go of those that are not."""

    def __init__(
        self, context: ServiceContext, config: StrategyHostConfig, factories: dict[str, Callable[[], StrategyNode]]
    ) -> None:
        """`factories` makes a fresh node by name; a node is made anew each time it moves here."""
        self._context = context
        self._config = config
        self._factories = factories
        self._bus = context.bus()
        self._running: dict[str, tuple[asyncio.Task[None], asyncio.Event]] = {}

    async def run(self) -> None:
        """Until the service stops; raises what ends a node for good."""
        stop, me = self._context.stop, self._context.instance
        try:
            while not stop.is_set():
                self._raise_failures()
                try:
                    await self._beat(me)
                    self._context.health.ready("leases")
                except BusUnavailable as error:
                    self._context.health.not_ready("leases", str(error))
                await pause_until(stop, BEAT_S)
        finally:
            await asyncio.gather(*(self._let_go(name) for name in list(self._running)), return_exceptions=True)
            await self._leave(me)
            await self._bus.close()

    async def _beat(self, me: str) -> None:
        workers = await self._bus.worker_beat(me, TTL_MS)
        mine = share(list(self._factories), workers, me)
        for name in sorted(set(self._running) - mine):
            await self._let_go(name)
            await self._bus.lease(name, me, 0)
            log.info("node_released", node=name, workers=len(workers))
        for name in sorted(mine):
            held = await self._bus.lease(name, me, TTL_MS) == me
            if held and name not in self._running:
                self._start(name)
                log.info("node_taken", node=name, workers=len(workers))
            elif not held and name in self._running:
                await self._let_go(name)
                log.info("node_lost", node=name)

    def _start(self, name: str) -> None:
        stop = asyncio.Event()
        self._running[name] = (asyncio.create_task(self._run_node(name, stop), name=name), stop)

    async def _run_node(self, name: str, stop: asyncio.Event) -> None:
        context = self._context
        bus, node = context.bus(), self._factories[name]()
        try:
            past = Past(bus, context.common.postgres, self._config.archive_path)
            await RedisRunner(node, bus, context.options(), context.health, past.birth_of(node)).run(stop)
        finally:
            await bus.close()

    async def _let_go(self, name: str) -> None:
        task, stop = self._running.pop(name)
        stop.set()
        await asyncio.wait((task,), timeout=2.0)
        task.cancel()
        self._context.health.remove(name)

    async def _leave(self, me: str) -> None:
        try:
            await self._bus.worker_leave(me)
            for name in self._factories:
                await self._bus.lease(name, me, 0)
        except BusUnavailable as error:
            log.warning("leases_not_released", reason=str(error))

    def _raise_failures(self) -> None:
        """What ended a node for good ends the worker, unless it concerns that strategy alone."""
        for name, (task, _) in self._running.items():
            if not task.done():
                continue
            try:
                task.result()
            except BarqueError as error:
                if error.disposition != "isolate":
                    raise
                if self._context.health.not_ready(name, str(error)):
                    log.error("strategy_isolated", node=name, reason=str(error))
