"""Runs the risk router: `python -m router --config barque.toml`."""

from barque.service import ServiceContext, main, run_node
from router.config import RouterConfig
from router.core.node import RouterNode


async def run(context: ServiceContext) -> None:
    """The risk node over Redis."""
    config = context.section("router", RouterConfig)
    strategy_ids = [strategy.id for strategy in context.common.strategies]
    await run_node(context, RouterNode(config, context.common.instruments, strategy_ids, context.common.book.clock))


if __name__ == "__main__":
    main("router", run)
