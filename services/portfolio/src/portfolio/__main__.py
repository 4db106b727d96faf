"""Runs the portfolio: `python -m portfolio --config barque.toml`."""

from barque.bus.ledger import LedgerRunner
from barque.service import ServiceContext, main
from portfolio.config import PortfolioConfig
from portfolio.core.node import PortfolioNode
from portfolio.shell.projector import PortfolioProjector


async def run(context: ServiceContext) -> None:
    """The books, with their position in the same transaction."""
    config = context.section("portfolio", PortfolioConfig)
    node = PortfolioNode(config, context.common.instruments)
    bus = context.bus()
    runner = LedgerRunner(node, PortfolioProjector(node), bus, context.common.postgres, context.options(), context.health)
    try:
        await runner.run(context.stop)
    finally:
        await bus.close()


if __name__ == "__main__":
    main("portfolio", run)
