"""The whole order path under faults: a run from fixed seeds that must see every fault, and stories that are made short."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.simulation.rest import close_all, come_to_rest
from tests.simulation.run import WEIGHTS, Broken, missing, run, run_world
from tests.simulation.world import World

SEEDS = (2026, 11, 28, 7)
STEPS = 3_000


@pytest.fixture(scope="module")
def happened() -> Counter[str]:
    """What happened in all seeds together. A law that does not hold names the seed and the command that runs it again."""
    total: Counter[str] = Counter()
    for seed in SEEDS:
        total += run(seed, STEPS)
    return total


def test_every_law_holds_after_every_step_of_a_long_run(happened: Counter[str]) -> None:
    assert happened["steps"] == STEPS * len(SEEDS)
    assert happened["orders at the broker"] > 500
    assert happened["executions"] > 500


def test_a_run_that_has_not_seen_every_fault_has_proved_nothing(happened: Counter[str]) -> None:
    assert missing(happened) == []


def test_a_run_is_a_function_of_its_seed() -> None:
    assert run_world(5, 1, 200) == run_world(5, 1, 200)


def test_a_failure_says_how_to_see_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The law against orders that nobody sent is broken by hand: the broker makes one up."""

    def make_up(world: World, chance: Random) -> None:
        world.broker.numbers += [1, 1]
        world.sender_laws.at_broker()

    monkeypatch.setattr(World, "do_wait", make_up)
    with pytest.raises(Broken, match=r"(?s)seed 5, world 1, step \d+, wait.*python -m tests.simulation --seed 5 --world 1"):
        run_world(5, 1, 200)


CHANCE = st.randoms(use_true_random=False)


class OrderPath(RuleBasedStateMachine):
    """Each rule is one action of a `World`; the laws are checked within. What fails is made as short as can be."""

    @initialize(chance=CHANCE)
    def begin(self, chance: Random) -> None:
        self.world = World(chance)

    def teardown(self) -> None:
        """All comes to rest, then a flatten ends flat."""
        if hasattr(self, "world"):
            come_to_rest(self.world, Random(0))
            close_all(self.world, Random(0))


def _rule_for(action: str) -> Any:
    def take(self: OrderPath, chance: Random) -> None:
        getattr(self.world, f"do_{action}")(chance)

    take.__name__ = action
    return precondition(lambda self: hasattr(self, "world"))(rule(chance=CHANCE)(take))


for _action in WEIGHTS:
    setattr(OrderPath, _action, _rule_for(_action))

TestOrderPath = OrderPath.TestCase
TestOrderPath.settings = settings(
    max_examples=25,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
