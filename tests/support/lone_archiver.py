"""The portfolio's archiver as a process, without books: `python -m tests.support.lone_archiver --config barque.toml`."""

from __future__ import annotations

from barque.bus.redis_bus import RedisBus
from barque.service import ServiceContext, main
from portfolio.config import PortfolioConfig
from portfolio.shell.archiver import Archiver


async def run(context: ServiceContext) -> None:
    """Archive until told to stop."""
    config = context.section("portfolio", PortfolioConfig).archive
    assert config is not None
    bus = RedisBus.open(context.common.redis, context.common.book.name)
    try:
        await Archiver(config, bus, context.options()).run(context.stop)
    finally:
        await bus.close()


if __name__ == "__main__":
    main("lone-archiver", run)
