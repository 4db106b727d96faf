"""SLOB on bars made by hand: every transition, every reason to give up, both directions."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from barque.errors import ConfigError
from barque.messages import SetupChanged, Signal
from barque.messages.signals import Side
from barque.strategy.testing import check_no_look_ahead, check_restores
from tests.unit.slob.setups import NO_WICK, Tape, a_node, heard, utc

D = Decimal
SIDES = pytest.mark.parametrize("side", ["sell", "buy"])


def states(tape: Tape, **params: Any) -> list[str]:
    changes, _ = heard(a_node(**params), tape.bars)
    return [f"{change.state} {change.reason}".strip() for change in changes]


@SIDES
def test_a_setup_goes_through_every_state_and_ends_in_a_bracket(side: Side) -> None:
    tape = Tape(side).until_entry().quiet(2).add(1688.0, 1688.25, 1686.5, 1687.0)
    changes, signals = heard(a_node(quantity="2"), tape.bars)
    assert [c.state for c in changes] == ["WATCHING_CONSOL", "WATCHING_LIQ2", "WAITING_ENTRY", "SETUP_COMPLETE"]
    assert {c.side for c in changes} == {side} and len({c.setup_id for c in changes}) == 1
    (signal,) = signals
    assert (signal.action, signal.side, signal.quantity, signal.order_type) == ("enter", side, D(2), "market")
    assert (signal.stop_loss, signal.take_profit) == ((D(1691), D(1679)) if side == "sell" else (D(1679), D(1691)))
    assert signal.ts_event_ns == tape.bars[-1].ts_close_ns


@SIDES
def test_every_message_has_the_levels_that_are_known_by_then(side: Side) -> None:
    tape = Tape(side).until_entry().quiet(2).add(1688.0, 1688.25, 1686.5, 1687.0)
    changes, _ = heard(a_node(), tape.bars)
    first = {"range_high": D(1690), "range_low": D(1680), "liq1_high": D(1691)}
    consolidation = {
        "consol_high": D("1689.5"),
        "consol_low": D("1687.25"),
        "no_wick_high": D("1689.5"),
        "no_wick_low": D("1687.25"),
    }
    liq2 = {
        "liq2_open": D("1689.5"),
        "liq2_high": D(1690),
        "liq2_low": D("1688.5"),
        "liq2_close": D("1688.75"),
        "spike_high": D(1690),
    }
    order = {"stop_loss": D(1691), "take_profit": D(1679)}
    expected = [first, first | consolidation, first | consolidation | liq2, first | consolidation | liq2 | order]
    turned = {"high": "low", "low": "high"}
    for change, levels in zip(changes, expected, strict=True):
        if side == "buy":
            levels = {
                "_".join(turned.get(word, word) for word in name.split("_")): 3370 - value for name, value in levels.items()
            }
        assert {name: value for name, value in change.levels.items() if name != "atr"} == levels


@SIDES
def test_no_setup_without_a_sweep(side: Side) -> None:
    assert states(Tape(side).add(1689.0, 1690.0, 1688.0, 1689.0).quiet(30)) == []


@SIDES
def test_a_sweep_before_new_york_opens_is_no_sweep_but_widens_the_range(side: Side) -> None:
    tape = Tape(side).at(utc("2013-10-07 13:29")).add(1689.0, 1692.0, 1688.0, 1689.0).add(1689.0, 1691.5, 1688.0, 1689.0)
    assert states(tape) == []
    assert states(tape.add(1689.0, 1692.25, 1688.0, 1689.0)) == ["WATCHING_CONSOL"]


@SIDES
def test_a_second_sweep_within_five_minutes_begins_no_second_setup(side: Side) -> None:
    tape = Tape(side).sweep().quiet(3).sweep()
    assert states(tape) == ["WATCHING_CONSOL"]
    assert states(tape.sweep()) == ["WATCHING_CONSOL"] * 2


@SIDES
def test_a_consolidation_needs_fifteen_minutes(side: Side) -> None:
    assert states(Tape(side).sweep().consolidation()) == ["WATCHING_CONSOL"]
    assert states(Tape(side).sweep().consolidation().quiet(1)) == ["WATCHING_CONSOL", "WATCHING_LIQ2"]


@SIDES
def test_a_consolidation_is_confirmed_without_the_bar_that_confirms_it(side: Side) -> None:
    tape = Tape(side).sweep().consolidation().add(1689.0, 1691.75, 1686.0, 1688.0)
    changes, _ = heard(a_node(), tape.bars)
    confirmed = next(c for c in changes if c.state == "WATCHING_LIQ2")
    far, near = ("consol_high", "consol_low") if side == "sell" else ("consol_low", "consol_high")
    assert (confirmed.levels[far], confirmed.levels[near]) == (D(str(tape.price(1689.5))), D(str(tape.price(1687.25))))


@SIDES
def test_the_bar_that_confirms_may_be_the_second_sweep(side: Side) -> None:
    tape = Tape(side).sweep().consolidation().add(1689.0, 1690.0, 1688.5, 1688.75)
    assert states(tape, liq2_min_wait_minutes=0) == ["WATCHING_CONSOL", "WATCHING_LIQ2", "WAITING_ENTRY"]
    assert states(tape) == ["WATCHING_CONSOL", "WATCHING_LIQ2"]


@SIDES
@pytest.mark.parametrize(
    ("bar", "fits"),
    [
        ((1688.0, 1688.5, 1681.0, 1688.0), False),  # 8.5 of 1689.5: 0.503 %
        ((1688.0, 1688.5, 1681.25, 1688.0), True),  # 8.25 of 1689.5: 0.488 %
    ],
)
def test_a_range_too_wide_is_no_consolidation(side: Side, bar: tuple[float, float, float, float], fits: bool) -> None:
    tape = Tape(side).sweep().quiet(5).add(*NO_WICK).add(*bar).quiet(7).quiet(1)
    assert states(tape)[1] == ("WATCHING_LIQ2" if fits else "INVALIDATED consol_range_invalid")


@SIDES
def test_a_range_too_narrow_is_no_consolidation(side: Side) -> None:
    tape = Tape(side).sweep()
    for _ in range(15):
        tape.add(1688.0, 1689.0, 1687.5, 1688.75)  # 1.5 of 1689: 0.089 %
    assert states(tape) == ["WATCHING_CONSOL", "INVALIDATED consol_range_invalid"]


@SIDES
def test_without_a_no_wick_bar_it_waits_until_its_time_is_over(side: Side) -> None:
    tape = Tape(side).sweep()
    for _ in range(119):
        tape.add(1688.0, 1689.5, 1687.25, 1689.0)  # a wick of 0.5 on a body of 1
    assert states(tape.add(1688.0, 1689.5, 1687.25, 1689.0)) == ["WATCHING_CONSOL"]
    assert states(tape.add(1688.0, 1689.5, 1687.25, 1689.0)) == ["WATCHING_CONSOL", "INVALIDATED consol_timeout"]


@SIDES
@pytest.mark.parametrize(
    "bar",
    [
        (1689.25, 1689.5, 1687.25, 1687.5),  # falls
        (1687.5, 1687.5, 1687.25, 1687.5),  # has no body
        (1687.75, 1689.25, 1687.25, 1689.0),  # a wick of 20 % of the body
    ],
)
def test_what_is_not_a_no_wick_bar_confirms_nothing(side: Side, bar: tuple[float, float, float, float]) -> None:
    tape = Tape(side).sweep().quiet(5).add(*bar).add(1688.0, 1689.5, 1687.25, 1688.0).quiet(12)
    assert states(tape) == ["WATCHING_CONSOL"]


@SIDES
def test_the_first_no_wick_bar_counts(side: Side) -> None:
    tape = Tape(side).sweep().quiet(4).add(*NO_WICK).add(1688.0, 1689.25, 1687.75, 1689.25).quiet(8).quiet(1)
    changes, _ = heard(a_node(), tape.bars)
    name = "no_wick_low" if side == "sell" else "no_wick_high"
    assert changes[-1].levels[name] == D(str(tape.price(1687.25)))


@SIDES
def test_no_second_sweep_within_five_minutes_of_the_confirmation(side: Side) -> None:
    tape = Tape(side).until_confirmed().quiet(3).add(1689.0, 1690.0, 1688.5, 1688.75)
    assert states(tape)[-1] == "WATCHING_LIQ2"
    assert states(tape.add(1689.0, 1690.0, 1688.5, 1688.75))[-1] == "WAITING_ENTRY"


@SIDES
def test_a_second_sweep_needs_to_pass_the_consolidation(side: Side) -> None:
    tape = Tape(side).until_confirmed().quiet(4).add(1689.0, 1689.5, 1688.5, 1688.75)
    assert states(tape)[-1] == "WATCHING_LIQ2"


@SIDES
def test_too_far_beyond_the_no_wick_bar_is_too_far(side: Side) -> None:
    # 1 % of 1689.5 (1680.5 in the mirror) is 16.895 (16.805) points, less than 100: 1706.25 is within, 1706.5 is not.
    within, beyond = (1706.25, 1706.5)
    start = Tape(side).until_confirmed().quiet(4)
    assert "WAITING_ENTRY" in states(start.add(1689.0, within, 1688.5, 1688.75))
    start = Tape(side).until_confirmed().quiet(4)
    assert states(start.add(1689.0, beyond, 1688.5, 1688.75))[2] == "INVALIDATED retracement_exceeded"
    start = Tape(side).until_confirmed().quiet(4)
    assert "INVALIDATED retracement_exceeded" in states(start.add(1689.0, 1692.0, 1688.5, 1688.75), max_retracement=2.25)


@SIDES
def test_it_waits_twenty_bars_for_the_second_sweep(side: Side) -> None:
    assert states(Tape(side).until_confirmed().quiet(20))[-1] == "WATCHING_LIQ2"
    assert states(Tape(side).until_confirmed().quiet(19).add(1689.0, 1690.0, 1688.5, 1688.75))[-1] == "WAITING_ENTRY"
    assert states(Tape(side).until_confirmed().quiet(21))[-1] == "INVALIDATED liq2_timeout"


@SIDES
def test_it_waits_twenty_bars_for_the_entry_counted_from_the_second_sweep(side: Side) -> None:
    trigger = (1688.0, 1688.25, 1686.5, 1687.0)
    assert states(Tape(side).until_entry().quiet(20))[-1] == "WAITING_ENTRY"
    assert states(Tape(side).until_entry().quiet(19).add(*trigger))[-1] == "SETUP_COMPLETE"
    assert states(Tape(side).until_entry().quiet(20).add(*trigger))[-1] == "INVALIDATED entry_timeout"


@SIDES
def test_a_close_at_the_no_wick_bars_low_is_not_below_it(side: Side) -> None:
    assert states(Tape(side).until_entry().add(1688.0, 1688.25, 1686.5, 1687.25))[-1] == "WAITING_ENTRY"


@SIDES
def test_the_stop_follows_the_spike_since_the_second_sweep(side: Side) -> None:
    tape = Tape(side).until_entry().add(1689.0, 1690.0, 1688.0, 1688.0).add(1688.0, 1693.5, 1686.5, 1687.0)
    _, (signal,) = heard(a_node(), tape.bars)
    assert signal.stop_loss == D(str(tape.price(1694.5)))


@SIDES
def test_behind_a_long_wick_the_stop_is_at_the_top_of_the_body(side: Side) -> None:
    long_wick = (1688.5, 1690.0, 1688.0, 1688.75)  # a wick of 1.25 on a body of 0.25, which ends at 1688.75
    tape = Tape(side).until_confirmed().quiet(4).add(*long_wick).add(1688.0, 1688.25, 1686.5, 1687.0)
    _, (signal,) = heard(a_node(), tape.bars)
    assert signal.stop_loss == D(str(tape.price(1690.75)))


@SIDES
def test_a_sweep_without_a_body_has_no_long_wick(side: Side) -> None:
    tape = Tape(side).until_confirmed().quiet(4).add(1688.5, 1690.0, 1688.0, 1688.5).add(1688.0, 1688.25, 1686.5, 1687.0)
    _, (signal,) = heard(a_node(), tape.bars)
    assert signal.stop_loss == D(str(tape.price(1691.0)))


@SIDES
def test_where_the_target_is_passed_already_there_is_no_order(side: Side) -> None:
    tape = Tape(side).until_entry().add(1688.0, 1688.25, 1678.0, 1678.75)
    changes, signals = heard(a_node(), tape.bars)
    own = [c for c in changes if c.side == side]
    assert own[-1].state == "INVALIDATED" and own[-1].reason == "negative_risk_reward"
    assert signals == []


@SIDES
def test_what_is_open_when_the_market_closes_is_over(side: Side) -> None:
    tape = Tape(side).at(utc("2013-10-07 19:40")).until_confirmed()
    assert states(tape.at(utc("2013-10-07 20:00")).quiet(1))[-1] == "INVALIDATED market_closed"
    tape = Tape(side).at(utc("2013-10-07 19:40")).until_confirmed()
    assert states(tape.at(utc("2013-10-08 07:00")).quiet(1))[-1] == "INVALIDATED market_closed"


@SIDES
def test_a_new_day_has_a_range_of_its_own(side: Side) -> None:
    tape = Tape(side).at(utc("2013-10-08 08:00")).add(1688.0, 1700.0, 1670.0, 1688.0)
    assert states(tape.at(utc("2013-10-08 13:30")).sweep()) == []
    assert states(tape.add(1688.0, 1700.25, 1688.0, 1688.0)) == ["WATCHING_CONSOL"]


@SIDES
def test_setups_of_one_side_run_side_by_side(side: Side) -> None:
    tape = Tape(side).sweep().quiet(4).sweep().quiet(1).add(*NO_WICK).quiet(7)
    changes, _ = heard(a_node(), tape.add(*NO_WICK).quiet(6).bars)
    assert len({c.setup_id for c in changes}) == 2


@SIDES
@pytest.mark.parametrize(
    ("day", "opens"),
    [("2013-10-07", "13:30"), ("2013-10-29", "13:30"), ("2013-11-05", "14:30"), ("2014-03-17", "13:30")],
)
def test_new_york_opens_by_its_own_summer_time(side: Side, day: str, opens: str) -> None:
    """From 27 October to 2 November 2013, and from 9 to 29 March 2014, only one of Europe and America has summer time."""
    tape = Tape(side, day=day, range_at="09:00", opens=opens)
    early = Tape(side, day=day, range_at="09:00", opens=opens)
    early.at(utc(f"{day} {opens}") - 60_000_000_000).sweep()
    assert states(early) == []
    assert states(tape.sweep()) == ["WATCHING_CONSOL"]


@SIDES
@pytest.mark.parametrize("day", ["2013-08-26", "2013-07-04"])
def test_a_day_on_which_london_or_new_york_rests_has_no_setups(side: Side, day: str) -> None:
    assert states(Tape(side, day=day).sweep().quiet(20)) == []


@SIDES
def test_statistics_are_kept(side: Side) -> None:
    tape = Tape(side).until_entry().add(1688.0, 1688.25, 1686.5, 1687.0).quiet(3).sweep().at(utc("2013-10-07 20:00")).quiet(1)
    node = a_node()
    heard(node, tape.bars)
    state = node._strategy.state  # type: ignore[attr-defined]
    assert (state.bars_seen, state.liq1_count, state.completed, state.invalidated) == (len(tape.bars), 2, 1, {"market_closed": 1})
    assert state.candidates == []


@SIDES
def test_a_restart_at_any_bar_changes_nothing_and_no_bar_to_come_is_known(side: Side) -> None:
    tape = Tape(side).sweep().quiet(4).sweep().add(*NO_WICK).quiet(14).quiet(5).add(1689.0, 1690.0, 1688.5, 1688.75).quiet(2)
    tape.add(1688.0, 1688.25, 1686.5, 1687.0).at(utc("2013-10-07 20:00")).quiet(2)
    check_restores(a_node, tape.bars)
    check_no_look_ahead(a_node, tape.bars, cuts=len(tape.bars))


def test_bars_of_another_price_type_do_not_count() -> None:
    assert states(Tape().sweep(), price="bid") == []


def test_a_stopped_strategy_goes_on_watching() -> None:
    from barque.messages import Halt

    node = a_node()
    tape = Tape().until_entry().add(1688.0, 1688.25, 1686.5, 1687.0)
    list(node.handle(Halt(command_id="h", ts_event_ns=tape.bars[0].ts_open_ns, actor="anna")))
    said = [message for bar in tape.bars for _, message in node.handle(bar)]
    assert [m.state for m in said if isinstance(m, SetupChanged)][-1] == "SETUP_COMPLETE"
    assert not any(isinstance(m, Signal) for m in said)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"quantity": "0"}, "quantity is 0"),
        ({"consol_min_minutes": 121}, "consol_min_minutes is 121"),
        ({"consol_min_range_pct": 0.6}, "consol_min_range_pct is 0.6"),
        ({"max_entry_wait_bars": 0}, "max_entry_wait_bars"),
        ({"stop_bufer": 1}, "stop_buffer"),
    ],
)
def test_parameters_that_cannot_be_are_refused(params: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        a_node(**params)
