"""Runs the replay feed, or the seeded market: `python -m feed_replay --config barque.toml`."""

from collections.abc import Iterator

from barque.errors import ConfigError, WireError
from barque.service import ServiceContext, main
from feed_replay.config import FeedReplayConfig
from feed_replay.shell.files import merge, recording_of
from feed_replay.shell.live_market import MarketFeed
from feed_replay.shell.replay import ReplayFeed, Step


async def run(context: ServiceContext) -> None:
    """What `source` says."""
    config = context.section("feed_replay", FeedReplayConfig)
    if config.source == "market":
        await MarketFeed(context, config).run()
        return
    if not config.files:
        raise ConfigError("key 'feed_replay.files' is required where source = \"files\": one [[feed_replay.files]] per file")
    for file in config.files:
        context.common.instrument(file.symbol)

    recordings = [recording_of(file) for file in config.files]

    def steps() -> Iterator[Step]:
        try:
            yield from merge(recordings)
        except WireError as error:  # the file will not mend itself: what precedes the row is published, then we end for good
            raise ConfigError(str(error)) from None

    await ReplayFeed(context, config, steps).run()


if __name__ == "__main__":
    main("feed-replay", run)
