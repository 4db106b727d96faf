"""One node in a process of its own, whatever any lease says: `python -m tests.support.lone_runner --config barque.toml`.

`LONE_NODE` names it: a node of the book, or `tally`, which keeps its position in Postgres. `LONE_SLOW_S` makes it think so long
over each message, so that a process that is stopped is stopped with a batch in its hands.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from barque.bus.ledger import LedgerRunner
from barque.config import load_common
from barque.messages import Message
from barque.node import Node, Output
from barque.service import ServiceContext, main, run_node
from barque_backtest import nodes
from tests.support.nodes import NoRows, TallyNode


class Slow:
    """A node that takes its time."""

    def __init__(self, node: Node, seconds: float) -> None:
        self.name, self.rank, self.inputs, self.order_path = node.name, node.rank, node.inputs, node.order_path
        self.snapshot, self.restore = node.snapshot, node.restore
        self._node, self._seconds = node, seconds

    def handle(self, message: Message) -> Iterable[Output]:
        time.sleep(self._seconds)
        return self._node.handle(message)


async def run(context: ServiceContext) -> None:
    """Host the node until told to stop."""
    name, slow_s = os.environ["LONE_NODE"], float(os.environ.get("LONE_SLOW_S", "0"))
    if name != "tally":
        return await run_node(context, Slow(nodes.make(name, context.raw), slow_s))
    bus, postgres = context.bus(), load_common(context.raw).postgres
    try:
        await LedgerRunner(Slow(TallyNode(), slow_s), NoRows(), bus, postgres, context.options(), context.health).run(
            context.stop
        )
    finally:
        await bus.close()


if __name__ == "__main__":
    main("lone-runner", run)
