"""Runs the bar builder: `python -m barbuilder --config barque.toml`."""

from barbuilder.config import BarBuilderConfig
from barbuilder.core.node import BarBuilderNode
from barque.service import ServiceContext, main, run_node


async def run(context: ServiceContext) -> None:
    """One node over Redis."""
    config = context.section("barbuilder", BarBuilderConfig)
    await run_node(context, BarBuilderNode(config, context.common.instruments))


if __name__ == "__main__":
    main("barbuilder", run)
