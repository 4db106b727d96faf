"""How fast we ask, by hand-made clocks."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from venues.ibkr.pacing import HistoryQuestion, HistoryRule, Lane, MessageGate, MessageRule


def ask(contract: str = "EURUSD", end: str = "a", what: str = "MIDPOINT", bar_size: str = "1 min") -> HistoryQuestion:
    return HistoryQuestion(contract=contract, what=what, bar_size=bar_size, duration="1 D", end=end)


@given(st.lists(st.tuples(st.floats(0, 0.2), st.sampled_from(list(Lane))), max_size=200))
def test_no_second_ever_sees_more_than_40_messages(wishes: list[tuple[float, Lane]]) -> None:
    rule, now, sent = MessageRule(40), 0.0, []
    for later, lane in wishes:
        now += later
        while (wait_s := rule.wait_s(lane, now)) > 0:
            now += wait_s
        rule.take(now)
        sent.append(now)
    assert all(sum(1 for each in sent if at <= each < at + 1.0) <= 40 for at in sent)


def test_requests_leave_a_fifth_of_the_second_to_orders() -> None:
    rule = MessageRule(40)
    for _ in range(32):
        assert rule.wait_s(Lane.REQUEST, 0.0) == 0
        rule.take(0.0)
    assert rule.wait_s(Lane.REQUEST, 0.0) > 0.9
    assert rule.wait_s(Lane.ORDER, 0.0) == 0


async def test_an_order_passes_200_requests_that_wait() -> None:
    gate, order = MessageGate(MessageRule(40)), []
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def enter(lane: Lane) -> None:
        await gate.enter(lane)
        order.append((lane, loop.time() - began))

    requests = [asyncio.create_task(enter(Lane.REQUEST)) for _ in range(200)]
    await asyncio.sleep(0.01)
    await asyncio.create_task(enter(Lane.ORDER))
    assert order[-1][0] is Lane.ORDER
    assert order[-1][1] < 0.5
    assert len(order) == 33
    for task in requests:
        task.cancel()
    await asyncio.gather(*requests, return_exceptions=True)


async def test_who_waits_longest_goes_first_and_exits_go_before_all() -> None:
    gate, order = MessageGate(MessageRule(5, reserved=0)), []
    gate.count(5)

    async def enter(name: str, lane: Lane) -> None:
        await gate.enter(lane)
        order.append(name)

    wishes = [("r1", Lane.REQUEST), ("r2", Lane.REQUEST), ("o", Lane.ORDER), ("x", Lane.EXIT)]
    await asyncio.gather(*(enter(*wish) for wish in wishes))
    assert order == ["x", "o", "r1", "r2"]


async def test_who_gave_up_waiting_takes_no_place() -> None:
    gate = MessageGate(MessageRule(1, reserved=0))
    gate.count(1)
    gone, stays = asyncio.create_task(gate.enter(Lane.ORDER)), asyncio.create_task(gate.enter(Lane.ORDER))
    await asyncio.sleep(0)
    gone.cancel()
    loop = asyncio.get_running_loop()
    began = loop.time()
    await stays
    assert loop.time() - began < 1.5


def test_an_identical_question_waits_15_seconds() -> None:
    rule = HistoryRule()
    rule.take(ask(), 100.0)
    assert rule.wait_s(ask(), 101.0) == 14.0
    assert rule.wait_s(ask(end="b"), 101.0) == 0
    assert rule.wait_s(ask(), 115.0) == 0


def test_of_one_contract_and_kind_the_sixth_question_waits_until_two_seconds_are_over() -> None:
    rule = HistoryRule()
    for number in range(5):
        rule.take(ask(end=str(number)), 10.0 + number / 10)
    assert round(rule.wait_s(ask(end="x"), 10.5), 6) == 1.5
    assert rule.wait_s(ask(end="x", what="TRADES"), 10.5) == 0
    assert rule.wait_s(ask(end="x", contract="USDJPY"), 10.5) == 0


def test_the_61st_question_in_10_minutes_waits_and_bid_ask_counts_twice() -> None:
    rule = HistoryRule(60)
    for number in range(59):
        rule.take(ask(contract=str(number)), float(number))
    assert rule.wait_s(ask(contract="x"), 60.0) == 0
    assert rule.wait_s(ask(contract="x", what="BID_ASK"), 60.0) == 540.0
    rule.take(ask(contract="x"), 60.0)
    assert rule.wait_s(ask(contract="y"), 60.0) == 540.0
    assert rule.wait_s(ask(contract="y"), 600.5) == 0


def test_each_pacing_violation_in_a_row_pauses_twice_as_long_up_to_10_minutes() -> None:
    rule = HistoryRule()
    assert [rule.pause(0.0) for _ in range(7)] == [15.0, 30.0, 60.0, 120.0, 240.0, 480.0, 600.0]
    assert rule.wait_s(ask(), 0.0) == 600.0
    rule.answered()
    assert rule.pause(0.0) == 15.0
