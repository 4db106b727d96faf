"""A test kit for strategies: the promises that a host relies on, checked over messages of your choice.

In:   what makes a fresh node around the strategy, and the messages to feed it.   Out: `AssertionError`, which names the message.
Not:  whether it earns money.

    def test_my_strategy_keeps_its_promises() -> None:
        check_strategy(lambda: StrategyNode(config, MyStrategy, instruments), bars)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from barque.messages import Message, time_of
from barque.node import Node, Output

NodeFactory: TypeAlias = Callable[[], Node]


def check_strategy(make_node: NodeFactory, messages: Sequence[Message], cuts: int = 10) -> list[Output]:
    """Every check of the kit; the outputs of an undisturbed run, for checks of your own."""
    check_restores(make_node, messages)
    check_no_look_ahead(make_node, messages, cuts)
    return run(make_node(), messages)


def run(node: Node, messages: Sequence[Message]) -> list[Output]:
    """All that `node` says on hearing `messages`."""
    return [output for message in messages for output in node.handle(message)]


def check_restores(make_node: NodeFactory, messages: Sequence[Message]) -> None:
    """A node that is thrown away after every message, and made anew from its snapshot, says and remembers what one that lives
    on does. It fails where something to be remembered is neither in `State` nor in a declared indicator."""
    living, blob = make_node(), make_node().snapshot()
    for index, message in enumerate(messages):
        reborn = make_node()
        reborn.restore(blob)
        said, expected = list(reborn.handle(message)), list(living.handle(message))
        if said != expected:
            raise AssertionError(f"{_named(index, message)}: restored, it says {said}; uninterrupted, {expected}")
        blob = reborn.snapshot()
        if blob != living.snapshot():
            raise AssertionError(f"{_named(index, message)}: restored, it remembers something else than uninterrupted")


def check_no_look_ahead(make_node: NodeFactory, messages: Sequence[Message], cuts: int = 10) -> None:
    """A run over the messages up to a moment says what the full run had said by then, at `cuts` moments spread evenly. It fails
    where a strategy knows what has not happened yet, or anything else that is not in the messages (chance, the wall's clock)."""
    full = _outputs_by_message(make_node(), messages)
    for end in sorted({len(messages) * cut // cuts for cut in range(1, cuts + 1)}):
        for index, said in enumerate(_outputs_by_message(make_node(), messages[:end])):
            if said != full[index]:
                where = _named(index, messages[index])
                raise AssertionError(f"{where}: it says {full[index]}, but {said} where nothing follows message {end - 1}")


def _outputs_by_message(node: Node, messages: Sequence[Message]) -> list[list[Output]]:
    return [list(node.handle(message)) for message in messages]


def _named(index: int, message: Message) -> str:
    return f"message {index} ({type(message).__name__} at {time_of(message)} ns)"
