"""Runs one strategy worker: `python -m strategy_host --config barque.toml`. Start as many as you like."""

from barque.service import ServiceContext, main
from strategy_host.config import StrategyHostConfig
from strategy_host.core.loading import node_factories
from strategy_host.shell.budget import hook_budget
from strategy_host.shell.worker import Worker


async def run(context: ServiceContext) -> None:
    """This worker's share of the book's strategy nodes."""
    config = context.section("strategy_host", StrategyHostConfig)
    with hook_budget(config.hook_timeout_s):
        await Worker(context, config, node_factories(context.common)).run()


if __name__ == "__main__":
    main("strategy-host", run)
