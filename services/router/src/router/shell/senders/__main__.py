"""Runs one sender: `python -m router.shell.senders --config barque.toml`. One process per broker account."""

from barque.bus.ledger import LedgerRunner
from barque.service import ServiceContext, main
from barque_paper import PaperConfig, PaperNode
from router.shell.senders.ledger import IntentProjector


async def run(context: ServiceContext) -> None:
    """The paper sender: the pure exchange, its orders and executions in one transaction."""
    config = context.section("paper", PaperConfig)
    node = PaperNode(config, context.common.instruments)
    bus = context.bus()
    runner = LedgerRunner(
        node,
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


if __name__ == "__main__":
    main("sender-paper", run)
