"""Runs worlds from a seed, one after another, and says what happened in them.

In:   a seed, a number of steps.   Out: counts; `Broken` with the seed, the step and the command that repeats it.
"""

from __future__ import annotations

from collections import Counter
from random import Random

from tests.simulation.rest import close_all, come_to_rest
from tests.simulation.world import FAULTS, World

STEPS_OF_A_WORLD = 250
"""A world's books grow with its age, and a young one has seen as much trouble."""

WEIGHTS = {
    "run_router": 16,
    "run_sender": 20,
    "run_portfolio": 5,
    "drain": 8,
    "wish": 22,
    "trade": 18,
    "market": 5,
    "wait": 8,
    "answer": 7,
    "arrive": 2,
    "disconnect": 1,
    "connect": 4,
    "ask": 1,
    "halt": 0.8,
    "resume": 4,
    "flatten": 0.5,
    "stop_strategy": 1,
    "price": 2,
    "correct": 1,
    "end": 0.7,
    "amend": 1,
    "by_hand": 0.5,
    "move": 0.25,
}
"""How often each action is taken, against the others."""


class Broken(AssertionError):
    """A law did not hold."""


def run(seed: int, steps: int, first: int = 0) -> Counter[str]:
    """`steps` steps from `seed`, in worlds of a limited age, from world `first` on. What happened."""
    happened: Counter[str] = Counter()
    done, number = 0, first
    while done < steps:
        length = min(STEPS_OF_A_WORLD, steps - done)
        happened += run_world(seed, number, length)
        done += length
        number += 1
    return happened


def run_world(seed: int, number: int, steps: int) -> Counter[str]:
    """One world: its life, its rest, and what is left of it after a flatten."""
    chance = Random(f"{seed}/{number}")
    step, action = 0, "begin"  # what is under way, for whoever reads of its failure
    names, weights = list(WEIGHTS), list(WEIGHTS.values())
    world: World | None = None
    try:
        world = World(chance)
        for step in range(1, steps + 1):  # noqa: B007
            (action,) = chance.choices(names, weights)
            getattr(world, f"do_{action}")(chance)
        action = "come to rest"
        come_to_rest(world, chance)
        action = "close all"
        close_all(world, chance)
    except Exception as error:  # a node that raises has broken a law too: what it is told, it handles
        again = f"python -m tests.simulation --seed {seed} --world {number} --steps {steps}"
        raise Broken(
            f"seed {seed}, world {number}, step {step}, {action}: {type(error).__name__}: {error}\nagain: {again}"
        ) from error
    world.happened["steps"] += steps
    world.happened["commits"] += sum(shell.commits for shell in (world.router, world.sender, world.portfolio))
    world.happened["orders at the broker"] += len(world.broker.orders)
    world.happened["executions"] += len(world.broker.executions)
    return world.happened


def missing(happened: Counter[str]) -> list[str]:
    """Faults that never happened: a run without them has proved nothing of them."""
    return [fault for fault in FAULTS if not happened[fault]]
