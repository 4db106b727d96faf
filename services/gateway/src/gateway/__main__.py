"""Runs the gateway: `python -m gateway --config barque.toml`."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn

from barque.errors import ConfigError
from barque.service import DRAIN_S, ServiceContext, main
from gateway.config import GatewayConfig


async def run(context: ServiceContext) -> None:
    """Serve until told to stop. What is wrong with the configuration is told before the page's libraries are loaded, which takes
    seconds."""
    config = context.section("gateway", GatewayConfig)
    listener = _listen(config)
    context.health.not_ready("live", "starting")
    from gateway.app import create_app
    from gateway.page import mount

    app = create_app(context.common, config, mount(config), context.health)
    server = _Server(
        uvicorn.Config(
            app,
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            ws_max_size=65_536,
            timeout_graceful_shutdown=int(DRAIN_S) - 2,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopping = asyncio.create_task(context.stop.wait())
    await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    stopping.cancel()
    await serving


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Signals belong to `barque.service`."""
        yield


def _listen(config: GatewayConfig) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
        return socket.create_server((config.host, config.port), family=family, backlog=128)
    except OSError as error:
        raise ConfigError(
            f"key 'gateway.port': {config.host}:{config.port} cannot be used: {error.strerror}; choose another port"
        ) from None


if __name__ == "__main__":
    main("gateway", run)
