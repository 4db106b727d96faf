"""Runs one strategy worker: `python -m strategy_host --config barque.toml`. Start as many as you like."""

from barque.service import ServiceContext, main
from strategy_host.core.loading import node_factories
from strategy_host.shell.worker import Worker


async def run(context: ServiceContext) -> None:
    """This worker's share of the book's strategy nodes."""
    await Worker(context, dict(node_factories(context.common))).run()


if __name__ == "__main__":
    main("strategy-host", run)
