"""Runs one sender: `python -m router.shell.senders --config barque.toml`. One process per broker account.

With a section `[sender]` the account is at the broker that it names; without one the book trades on paper.
"""

from importlib.metadata import entry_points

from barque.bus.ledger import LedgerRunner
from barque.errors import ConfigError, nearest
from barque.service import ServiceContext, main
from barque.venue import OpenVenue
from barque_paper import PaperConfig, PaperNode
from router.core.sending.config import SendingConfig
from router.core.sending.node import SendingNode
from router.shell.senders.ledger import IntentProjector
from router.shell.senders.live import LiveSender

GROUP = "barque.venues"


async def run(context: ServiceContext) -> None:
    """The sender that the configuration asks for."""
    if "sender" in context.raw:
        await _at_a_broker(context, context.section("sender", SendingConfig))
    else:
        await _on_paper(context)


async def _on_paper(context: ServiceContext) -> None:
    """The pure exchange, its orders and executions in one transaction."""
    config = context.section("paper", PaperConfig)
    bus = context.bus()
    runner = LedgerRunner(
        PaperNode(config, context.common.instruments),
        IntentProjector(config.account),
        bus,
        context.common.postgres,
        context.options(),
        context.health,
        follow_halts=True,
    )
    try:
        await runner.run(context.stop)
    finally:
        await bus.close()


async def _at_a_broker(context: ServiceContext, config: SendingConfig) -> None:
    """A node with a wire."""
    if context.common.book.clock != "wall":
        raise ConfigError("key 'book.clock': a broker lives on wall time; leave out [sender] to replay on paper")
    venue = _venues(config.venue)(context.raw, context.common.instruments, config.account)
    instruments = context.common.instruments
    node = SendingNode(config, venue.capabilities, config.venue, [each.symbol for each in instruments])
    bus = context.bus()
    sender = LiveSender(node, venue, config, bus, context.common.postgres, context.options(), context.health, instruments)
    try:
        await sender.run(context.stop)
    finally:
        await bus.close()


def _venues(name: str) -> OpenVenue:
    found = {point.name: point for point in entry_points(group=GROUP)}
    if name not in found:
        raise ConfigError(f"key 'sender.venue': no broker '{name}' is installed; {nearest(name, sorted(found))}")
    opener: OpenVenue = found[name].load()
    return opener


if __name__ == "__main__":
    main("sender", run)
