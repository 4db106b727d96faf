"""A test kit for strategies: the promises that a host relies on, checked over messages of your choice.

In:   what makes a fresh node around the strategy, and the messages to feed it.   Out: `AssertionError`, which names the message.
Not:  whether it earns money.

    def test_my_strategy_keeps_its_promises() -> None:
        check_strategy(lambda: StrategyNode(config, MyStrategy, instruments), bars)

`strategy_host.testing` makes node and messages itself. What is found, and by which check:

    an exception                                        check_hooks: the alert that a host would send
    an endless loop                                     check_hooks: a hook that takes longer than `hook_timeout_s`
    wall time, chance, a file with data                 check_hooks: the line that asks for it
    chance that comes out of compiled code,
    memory that is shared by two objects                check_repeats: a second run says something else
    state lost in a snapshot                            check_restores: a restart at each message
    a look at what has not happened yet                 check_no_look_ahead: a run that ends earlier says something else
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from barque.errors import Overrun
from barque.messages import Alert, Message, time_of
from barque.node import Node, Output
from barque.strategy.outside import OutsideWatch
from barque.watchdog import Watchdog

NodeFactory: TypeAlias = Callable[[], Node]


class Venue(Protocol):
    """Answers the strategy's wishes, so that it hears of orders and fills."""

    def hear(self, message: Message) -> Sequence[Message]:
        """What is told before `message`."""
        ...

    def answer(self, wish: Message) -> Sequence[Message]:
        """What is told of a wish, at once."""
        ...


class Run(NamedTuple):
    """What a node heard, and what it said to each of these messages."""

    heard: list[Message]
    said: list[list[Output]]


def check_strategy(
    make_node: NodeFactory,
    messages: Sequence[Message],
    cuts: int = 10,
    *,
    venue: Venue | None = None,
    hook_timeout_s: float = 5.0,
) -> list[Output]:
    """Every check of the kit; the outputs of an undisturbed run, for checks of your own. What a `venue` answers in the first run
    belongs to the messages of the others."""
    first = check_hooks(make_node, messages, venue=venue, hook_timeout_s=hook_timeout_s)
    check_repeats(make_node, first)
    check_restores(make_node, first.heard)
    check_no_look_ahead(make_node, first.heard, cuts)
    return [output for said in first.said for output in said]


def run(node: Node, messages: Sequence[Message]) -> list[Output]:
    """All that `node` says on hearing `messages`."""
    return [output for message in messages for output in node.handle(message)]


def check_hooks(
    make_node: NodeFactory, messages: Sequence[Message], *, venue: Venue | None = None, hook_timeout_s: float = 5.0
) -> Run:
    """One run, closely watched. It fails where a hook raises, takes too long for one message, or asks the wall's clock, chance or
    a file of data for what only messages may tell."""
    heard, said = list[Message](), list[list[Output]]()
    with OutsideWatch(_make.__code__, _handle.__code__) as outside, Watchdog((_handle.__code__,), hook_timeout_s):
        node = _make(make_node)
        _blame("setup", outside)
        for message in messages:
            waiting = [*(venue.hear(message) if venue else ()), message]
            while waiting:
                heard.append(waiting.pop(0))
                said.append(_watched(node, len(heard) - 1, heard[-1], outside))
                waiting += [answer for _, wish in said[-1] if venue for answer in venue.answer(wish)]
    return Run(heard, said)


def check_repeats(make_node: NodeFactory, first: Run) -> None:
    """A second run over the same messages says the same. It fails where chance or the clock has a say, or where the second object
    knows what the first one has heard (a class attribute that is changed, a module's variable)."""
    for index, said in enumerate(_outputs_by_message(make_node(), first.heard)):
        if said != first.said[index]:
            where = _named(index, first.heard[index])
            raise AssertionError(f"{where}: it says {first.said[index]}, and in a second run over the same messages {said}")


def check_restores(make_node: NodeFactory, messages: Sequence[Message]) -> None:
    """A node that is thrown away after every message, and made anew from its snapshot, says and remembers what one that lives
    on does. It fails where something to be remembered is neither in `State` nor in a declared indicator."""
    living, blob = make_node(), make_node().snapshot()
    advice = "what a restart must find belongs into State, or into an indicator that setup declares"
    for index, message in enumerate(messages):
        reborn = make_node()
        reborn.restore(blob)
        said, expected = list(reborn.handle(message)), list(living.handle(message))
        if said != expected:
            raise AssertionError(f"{_named(index, message)}: restored, it says {said}; uninterrupted, {expected}; {advice}")
        blob = reborn.snapshot()
        if blob != living.snapshot():
            raise AssertionError(f"{_named(index, message)}: restored, it remembers something else than uninterrupted; {advice}")


def check_no_look_ahead(make_node: NodeFactory, messages: Sequence[Message], cuts: int = 10) -> None:
    """A run over the messages up to a moment says what the full run had said by then, at `cuts` moments spread evenly. It fails
    where a strategy knows what has not happened yet, or anything else that is not in the messages (chance, the wall's clock)."""
    full = _outputs_by_message(make_node(), messages)
    for end in sorted({len(messages) * cut // cuts for cut in range(1, cuts + 1)}):
        for index, said in enumerate(_outputs_by_message(make_node(), messages[:end])):
            if said != full[index]:
                where = _named(index, messages[index])
                raise AssertionError(
                    f"{where}: it says {full[index]}, but {said} where nothing follows message {end - 1}: "
                    "it knows what has not happened yet, or something that no message tells"
                )


def _make(make_node: NodeFactory) -> Node:
    return make_node()


def _handle(node: Node, message: Message) -> list[Output]:
    return list(node.handle(message))


def _watched(node: Node, index: int, message: Message, outside: OutsideWatch) -> list[Output]:
    where = _named(index, message)
    try:
        said = _handle(node, message)
    except (Exception, Overrun) as error:
        raise AssertionError(f"{where}: {type(error).__name__}: {error}") from error
    _blame(where, outside)
    for _, alert in said:
        if isinstance(alert, Alert) and alert.name == "strategy_failed":
            raise AssertionError(f"{where}: {alert.text}")
    return said


def _blame(where: str, outside: OutsideWatch) -> None:
    if outside.found:
        raise AssertionError(f"{where}: {outside.found[0]}; what a strategy knows must come in messages")


def _outputs_by_message(node: Node, messages: Sequence[Message]) -> list[list[Output]]:
    return [list(node.handle(message)) for message in messages]


def _named(index: int, message: Message) -> str:
    return f"message {index} ({type(message).__name__} at {time_of(message)} ns)"
