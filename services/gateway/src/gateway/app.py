"""Composition of the gateway: one ASGI app with the API, the page and the tasks behind them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import structlog
from fastapi import FastAPI
from msgspec.structs import replace

from barque.bus.redis_bus import RedisBus
from barque.config import CommonConfig
from barque.observability.health import Health
from barque.postgres.pool import connect_pool
from gateway import api
from gateway.commands import Commands
from gateway.config import GatewayConfig
from gateway.live import Live
from gateway.queries import Ledger
from gateway.security import Gate, Guard

STEP_INTERVAL_S = 1.0
CLOSE_TIMEOUT_S = 2.0
BUS_TIMEOUT_S = 0.5
"""A person waits: a Redis that hangs must not hold up the page, nor the answer to a halt."""

Step = Callable[[], Awaitable[object]]
Page = Callable[[FastAPI], None]
"""Mounts a page on the app; without one the gateway is an API alone."""


def create_app(common: CommonConfig, config: GatewayConfig, page: Page | None, health: Health) -> FastAPI:
    """The app, which keeps `health` up to date. Nothing is connected before it starts; stores may come and go while it runs."""
    guard = Guard(config)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        pool = await connect_pool(common.postgres)
        bus = RedisBus.open(replace(common.redis, timeout_s=min(common.redis.timeout_s, BUS_TIMEOUT_S)), common.book.name)
        streams = bus.another()
        ledger = Ledger(pool, common.postgres)
        commands = Commands(pool, common, bus)
        live = Live(common.book.name, common.book.clock, ledger, bus, health)
        app.state.services = api.Services(common.book.name, ledger, streams, live, commands, guard, health)
        steps: dict[str, Step] = {"live": live.look, "follow": commands.follow}
        tasks = [asyncio.create_task(_every_second(name, step, health), name=name) for name, step in steps.items()]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            with suppress(TimeoutError):
                await asyncio.wait_for(pool.close(), CLOSE_TIMEOUT_S)
            await streams.close()
            await bus.close()

    app = FastAPI(title=config.title, version="1", docs_url=None, redoc_url=None, lifespan=lifespan)
    api.install(app)
    if page is not None:
        page(app)
    app.add_middleware(Gate, guard=guard)
    return app


async def _every_second(name: str, step: Step, health: Health) -> None:
    """Repeat `step` for ever. It knows how to live without the stores; what else it raises is our bug, told and outlived."""
    while True:
        try:
            await step()
        except Exception:
            structlog.get_logger().exception("step_failed", step=name)
            health.not_ready(name, f"the gateway's {name} step fails; its log says why (event step_failed)")
        else:
            health.ready(name)
        await asyncio.sleep(STEP_INTERVAL_S)
