"""Runs the feed of Interactive Brokers: `python -m feed_ibkr --config barque.toml`."""

from barque.live_feed.shell import LiveFeed
from barque.service import ServiceContext, main
from feed_ibkr.config import FeedIbkrConfig
from feed_ibkr.shell.source import open_source


async def run(context: ServiceContext) -> None:
    """Until the service stops."""
    source = open_source(context.raw, context.common.instruments)
    await LiveFeed(context, source, context.section("feed_ibkr", FeedIbkrConfig)).run()


if __name__ == "__main__":
    main("feed-ibkr", run)
