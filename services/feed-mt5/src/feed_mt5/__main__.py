"""Runs the feed of MetaTrader 5: `python -m feed_mt5 --config barque.toml`."""

from barque.live_feed.shell import LiveFeed
from barque.service import ServiceContext, main
from feed_mt5.config import FeedMt5Config
from feed_mt5.shell.source import open_source


async def run(context: ServiceContext) -> None:
    """Until the service stops."""
    source = open_source(context.raw, context.common.instruments)
    await LiveFeed(context, source, context.section("feed_mt5", FeedMt5Config)).run()


if __name__ == "__main__":
    main("feed-mt5", run)
