"""Runs the portfolio: `python -m portfolio --config barque.toml`."""

import asyncio
from contextlib import suppress

from barque.bus.ledger import LedgerRunner
from barque.bus.node_shell import pause_until
from barque.bus.redis_bus import RedisBus
from barque.errors import BusUnavailable, ConfigError
from barque.service import ServiceContext, main
from portfolio.config import ArchiveConfig, PortfolioConfig
from portfolio.core.node import PortfolioNode
from portfolio.shell.projector import PortfolioProjector
from portfolio.shell.retention import retire

ARCHIVE_DRAIN_S = 3.0


async def run(context: ServiceContext) -> None:
    """The books, with their position in the same transaction; and beside them the archiver."""
    config = context.section("portfolio", PortfolioConfig)
    if config.archive is not None:
        _require_archive()
    node = PortfolioNode(config, context.common.instruments, context.common.book.clock)
    bus = context.bus()
    runner = LedgerRunner(node, PortfolioProjector(node), bus, context.common.postgres, context.options(), context.health)
    archiving = asyncio.create_task(_archive(context, config.archive))
    retiring = asyncio.create_task(_retire(context, config))
    try:
        await runner.run(context.stop)
    finally:
        if context.stop.is_set():
            await asyncio.wait((archiving,), timeout=ARCHIVE_DRAIN_S)
        archiving.cancel()
        retiring.cancel()
        await asyncio.gather(archiving, retiring, return_exceptions=True)
        await bus.close()


async def _retire(context: ServiceContext, config: PortfolioConfig) -> None:
    """What is old, where it is to go; on a feed clock nothing is old."""
    common = context.common
    if common.book.clock == "wall":
        await retire(common.postgres, common.book.name, config, context.stop)


async def _archive(context: ServiceContext, config: ArchiveConfig | None) -> None:
    """The archiver where there is one; where there is none, trimming need not wait for one that there was."""
    bus = RedisBus.open(context.common.redis, context.common.book.name)
    try:
        if config is not None:
            from portfolio.shell.archiver import Archiver

            return await Archiver(config, bus, context.options()).run(context.stop)
        while not context.stop.is_set():
            with suppress(BusUnavailable):
                return await bus.unregister("archiver")
            await pause_until(context.stop, 1.0)
    finally:
        await bus.close()


def _require_archive() -> None:
    try:
        import barque_archive.edits  # noqa: F401 (whether it can be imported)
    except ImportError:
        raise ConfigError("section [portfolio.archive] needs the extra portfolio[archive]; install it or remove it") from None


if __name__ == "__main__":
    main("portfolio", run)
