"""What a strategy may say, and what each verb becomes on the bus; what makes no sense never leaves the strategy."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barque.errors import StrategyError
from barque.messages import (
    Bar,
    CancelRequest,
    Halt,
    ModifyRequest,
    SetupChanged,
    Signal,
    StopStrategy,
    Topic,
    decode_batch,
    encode_batch,
)
from barque.strategy import Strategy
from tests.support.builders import MINUTE, NS, T0, a_bar
from tests.support.hosting import alerts, command, feed, hosted, signals

Say = Callable[[Strategy], Any]


def said(*sayings: Say) -> list[Any]:
    """What a strategy says that does each of these at one bar; every message can be read by another service."""
    returned: list[Any] = []

    class Saying(Strategy):
        def on_bar(self, bar: Bar) -> None:
            for say in sayings:
                returned.append(say(self))

    outputs = feed(hosted(Saying), a_bar())
    assert alerts(outputs) == []
    wishes = signals(outputs)
    assert decode_batch(Topic.SIGNALS, encode_batch(wishes)) == wishes
    assert [wish.id for wish in wishes] == returned
    return wishes


def refused(say: Say) -> str:
    """Why a saying is refused."""
    caught: list[str] = []

    class Saying(Strategy):
        def on_bar(self, bar: Bar) -> None:
            with pytest.raises(StrategyError) as error:
                say(self)
            caught.append(str(error.value))

    assert feed(hosted(Saying), a_bar()) == []
    (text,) = caught
    return text


def terms(signal: Signal) -> dict[str, Any]:
    """The fields that are not at their defaults, without where it came from."""
    origin = ("id", "cause", "root", "strategy_id", "symbol", "ts_event_ns")
    plain = Signal(**{name: getattr(signal, name) for name in origin}, action=signal.action)
    return {
        name: getattr(signal, name)
        for name in Signal.__struct_fields__
        if name not in origin and (name == "action" or getattr(signal, name) != getattr(plain, name))
    }


# ---- how much


@pytest.mark.parametrize(
    ("say", "expected"),
    [
        (lambda s: s.buy("EURUSD"), {"action": "enter", "side": "buy"}),
        (lambda s: s.buy("EURUSD", 2), {"action": "enter", "side": "buy", "quantity": Decimal(2)}),
        (lambda s: s.sell("EURUSD", 2.9), {"action": "enter", "side": "sell", "quantity": Decimal(2)}),
        (lambda s: s.buy("EURUSD", notional=25_000), {"action": "enter", "side": "buy", "notional": Decimal(25_000)}),
        (
            lambda s: s.sell("EURUSD", risk_fraction=0.01, stop_loss=1.5),
            {"action": "enter", "side": "sell", "risk_fraction": Decimal("0.01"), "stop_loss": Decimal("1.50000")},
        ),
        (
            lambda s: s.buy("EURUSD", risk_fraction=0.01, volatility=0.00123456789),
            {"action": "enter", "side": "buy", "risk_fraction": Decimal("0.01"), "volatility": Decimal("0.00123456789")},
        ),
        (lambda s: s.target("EURUSD", -3), {"action": "target", "target": Decimal(-3)}),
        (lambda s: s.target("EURUSD", 0), {"action": "target", "target": Decimal(0)}),
        (lambda s: s.target_percent("EURUSD", 50), {"action": "target", "target_fraction": Decimal("0.5")}),
        (lambda s: s.target_percent("EURUSD", -12.5), {"action": "target", "target_fraction": Decimal("-0.125")}),
        (lambda s: s.target_percent("EURUSD", 0), {"action": "target", "target_fraction": Decimal(0)}),
        (lambda s: s.close("EURUSD"), {"action": "exit"}),
        (lambda s: s.close("EURUSD", 1), {"action": "reduce", "quantity": Decimal(1)}),
        (lambda s: s.buy("EURUSD", np.int64(2)), {"action": "enter", "side": "buy", "quantity": Decimal(2)}),
        (lambda s: s.target("EURUSD", np.float64(-2.0)), {"action": "target", "target": Decimal(-2)}),
    ],
)
def test_each_way_to_say_how_much(say: Say, expected: dict[str, Any]) -> None:
    (signal,) = said(say)
    assert terms(signal) == expected
    assert (signal.strategy_id, signal.symbol, signal.cause, signal.ts_event_ns) == (
        "s1",
        "EURUSD",
        f"EURUSD.1m.bid.{T0}",
        T0 + MINUTE,
    )


@pytest.mark.parametrize(
    ("say", "text"),
    [
        (lambda s: s.buy("EURUSD", 1, notional=2), "EURUSD: quantity and notional both say how much; give one of them"),
        (
            lambda s: s.buy("EURUSD", risk_fraction=0.1, notional=2, stop_loss=1),
            "EURUSD: notional and risk_fraction both say how much",
        ),
        (lambda s: s.sell("EURUSD", -1), "EURUSD: quantity is -1; it is never negative"),
        (lambda s: s.close("EURUSD", -1), "EURUSD: quantity is -1; it is never negative"),
        (lambda s: s.buy("EURUSD", math.nan), "EURUSD: quantity is nan; a finite number is needed"),
        (lambda s: s.target("EURUSD", math.inf), "EURUSD: target is inf; a finite number is needed"),
        (lambda s: s.target("EURUSD", None), "EURUSD: target is None; a number is needed"),
        (lambda s: s.target_percent("EURUSD", Decimal("NaN")), "EURUSD: percent is NaN; a finite number is needed"),
        (lambda s: s.buy("EURUSD", "1"), "EURUSD: quantity is '1'; a number is needed"),
        (lambda s: s.buy("EURUSD", notional=0), "EURUSD: notional is 0; it must be positive"),
        (lambda s: s.buy("EURUSD", risk_fraction=1.5, stop_loss=1), "EURUSD: risk_fraction is 1.5; it is a part of equity"),
        (lambda s: s.buy("EURUSD", risk_fraction=0.01), "EURUSD: risk_fraction needs stop_loss or volatility"),
        (lambda s: s.buy("EURUSD", volatility=-1), "EURUSD: volatility is -1; it must be positive"),
        (lambda s: s.buy("EURUDS", 1), "symbol 'EURUDS' has no .* did you mean 'EURUSD'"),
    ],
)
def test_a_size_that_makes_no_sense_is_refused(say: Say, text: str) -> None:
    assert re.match(text, refused(say))


# ---- at what price


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"limit_price": 1.386764}, {"order_type": "limit", "limit_price": Decimal("1.38676")}),
        ({"stop_price": Decimal("1.4")}, {"order_type": "stop", "stop_price": Decimal("1.40000")}),
        (
            {"stop_price": 1.4, "limit_price": 1.41},
            {"order_type": "stop_limit", "stop_price": Decimal("1.40000"), "limit_price": Decimal("1.41000")},
        ),
        ({"trail_amount": 0.002}, {"order_type": "trailing_stop", "trail_amount": Decimal("0.00200")}),
        (
            {"trail_amount": 0.002, "stop_price": 1.38},
            {"order_type": "trailing_stop", "trail_amount": Decimal("0.00200"), "stop_price": Decimal("1.38000")},
        ),
        ({"order_type": "market"}, {}),
        ({"order_type": "limit", "limit_price": 1}, {"order_type": "limit", "limit_price": Decimal("1.00000")}),
        ({"limit_price": None, "stop_loss": None, "valid_until_ns": None}, {}),
        ({"time_in_force": "fok"}, {"time_in_force": "fok"}),
        (
            {"time_in_force": "gtd", "valid_until_ns": np.int64(T0)},
            {"time_in_force": "gtd", "valid_until_ns": T0},
        ),
        ({"tag": "entry", "reason": "because"}, {"tag": "entry", "reason": "because"}),
    ],
)
def test_prices_say_which_order_it_is(options: dict[str, Any], expected: dict[str, Any]) -> None:
    (signal,) = said(lambda s: s.buy("EURUSD", 1, **options))
    assert terms(signal) == {"action": "enter", "side": "buy", "quantity": Decimal(1)} | expected


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"limit_price": math.nan}, "EURUSD: limit_price is nan; a finite number is needed"),
        ({"limit_price": -1.0}, "EURUSD: limit_price is -1.0, which is -1.00000 on a grid of 0.00001; it must be positive"),
        ({"trail_amount": 0.000001}, "EURUSD: trail_amount is 0.000001, which is 0.00000 on a grid"),
        ({"stop_loss": "low"}, "EURUSD: stop_loss is 'low'; a number is needed"),
        ({"trail_amount": 0.1, "limit_price": 1.1}, "EURUSD: limit_price and trail_amount together make no order"),
        ({"order_type": "limit"}, "EURUSD: a limit order needs limit_price"),
        ({"order_type": "stop_limit", "limit_price": 1}, "EURUSD: a stop_limit order needs stop_price"),
        ({"order_type": "market", "limit_price": 1}, "EURUSD: a market order has no limit_price"),
        ({"order_type": "lmit"}, "order_type is 'lmit'; did you mean 'limit'?"),
        ({"time_in_force": "gtx"}, "time_in_force is 'gtx'; did you mean"),
        ({"time_in_force": "gtd"}, "EURUSD: time_in_force 'gtd' needs valid_until_ns"),
        ({"valid_until_ns": 1.5}, "EURUSD: valid_until_ns is 1.5; whole nanoseconds are needed"),
        ({"reason": 5}, "reason is 5; text is needed"),
        ({"tag": None, "lmit_price": 1}, "EURUSD: there is no option 'lmit_price' here; did you mean 'limit_price'?"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(options: dict[str, Any], text: str) -> None:
    assert refused(lambda s: s.buy("EURUSD", 1, **options)).startswith(text)


@pytest.mark.parametrize("verb", ["close", "target"])
def test_only_an_entry_has_exits(verb: str) -> None:
    arguments = () if verb == "close" else (1,)
    said_no = refused(lambda s: getattr(s, verb)("EURUSD", *arguments, stop_loss=1.3))
    assert said_no == "EURUSD: there is no option 'stop_loss' here; it belongs to an entry"


_PRICES = st.none() | st.floats(0.5, 2.0)


@given(
    limit=_PRICES,
    stop=_PRICES,
    trail=st.none() | st.floats(0.001, 0.1),
    kind=st.sampled_from((None, "market", "limit", "stop", "stop_limit", "trailing_stop")),
)
def test_what_goes_out_has_the_prices_of_its_type_and_no_others(
    limit: float | None, stop: float | None, trail: float | None, kind: str | None
) -> None:
    needed = {
        "market": (False, False, False),
        "limit": (True, False, False),
        "stop": (False, True, False),
        "stop_limit": (True, True, False),
        "trailing_stop": (False, None, True),
    }
    options: dict[str, Any] = {"limit_price": limit, "stop_price": stop, "trail_amount": trail}
    sent: list[Any] = []

    class Saying(Strategy):
        def on_bar(self, bar: Bar) -> None:
            try:
                self.buy("EURUSD", 1, **options, **({} if kind is None else {"order_type": kind}))
            except StrategyError:
                return

    sent = signals(feed(hosted(Saying), a_bar()))
    given_prices = (limit is not None, stop is not None, trail is not None)
    fitting = [
        name
        for name, wanted in needed.items()
        if all(has is want or want is None for has, want in zip(given_prices, wanted, strict=True)) and kind in (None, name)
    ]
    assert [signal.order_type for signal in sent] == fitting


# ---- brackets, cancels, changes


def test_a_bracket_is_an_entry_with_exits() -> None:
    market, limit = said(
        lambda s: s.bracket("EURUSD", "buy", 2, stop_loss=1.37, take_profit=1.41, tag="b"),
        lambda s: s.bracket("EURUSD", "sell", risk_fraction=0.02, stop_loss=1.41, limit_price=1.4),
    )
    assert terms(market) == {
        "action": "enter",
        "side": "buy",
        "quantity": Decimal(2),
        "stop_loss": Decimal("1.37000"),
        "take_profit": Decimal("1.41000"),
        "tag": "b",
    }
    assert terms(limit) == {
        "action": "enter",
        "side": "sell",
        "risk_fraction": Decimal("0.02"),
        "stop_loss": Decimal("1.41000"),
        "order_type": "limit",
        "limit_price": Decimal("1.40000"),
    }


def test_a_bracket_without_exits_or_without_a_side_is_refused() -> None:
    assert refused(lambda s: s.bracket("EURUSD", "buy", 1)) == "EURUSD: a bracket needs stop_loss, take_profit or both"
    assert refused(lambda s: s.bracket("EURUSD", "long", 1, stop_loss=1)).startswith("side is 'long'; valid: buy, sell")


def test_a_cancel_names_an_order_or_means_all_of_the_symbol() -> None:
    one, every = said(lambda s: s.cancel("EURUSD", "o1"), lambda s: s.cancel("EURUSD"))
    assert isinstance(one, CancelRequest)
    assert (one.order_id, every.order_id, every.symbol) == ("o1", None, "EURUSD")
    assert refused(lambda s: s.cancel("EURUSD", 7)) == "order_id is 7; text is needed"
    assert "did you mean 'EURUSD'" in refused(lambda s: s.cancel("EURUDS"))


def test_a_change_of_an_order_says_what_is_new_and_nothing_else() -> None:
    one, all_of_it = said(
        lambda s: s.modify("EURUSD", "o1", stop_price=1.381234567),
        lambda s: s.modify("EURUSD", "o2", quantity=3, limit_price=1.4, stop_price=1.3, trail_amount=0.01),
    )
    assert isinstance(one, ModifyRequest)
    assert (one.order_id, one.stop_price, one.quantity, one.limit_price) == ("o1", Decimal("1.38123"), None, None)
    assert (all_of_it.quantity, all_of_it.limit_price, all_of_it.trail_amount) == (3, Decimal("1.40000"), Decimal("0.01000"))


def test_a_change_that_changes_nothing_is_refused() -> None:
    assert refused(lambda s: s.modify("EURUSD", "o1")).startswith("EURUSD: modify changes nothing; give quantity, limit_price")
    assert refused(lambda s: s.modify("EURUSD", "o1", stop_price=math.nan)).startswith("EURUSD: stop_price is nan")


# ---- what is told


def test_a_step_of_a_setup_is_told_with_its_levels_on_the_grid() -> None:
    (step,) = said(
        lambda s: s.setup_changed("EURUSD", "slob-1", "sell", "INVALIDATED", reason="too_late", levels={"low": 1.386764})
    )
    assert isinstance(step, SetupChanged)
    assert (step.setup_id, step.side, step.state, step.reason) == ("slob-1", "sell", "INVALIDATED", "too_late")
    assert step.levels == {"low": Decimal("1.38676")}


@pytest.mark.parametrize(
    ("say", "text"),
    [
        (lambda s: s.setup_changed("EURUSD", "x", "short", "A"), "side is 'short'; valid: buy, sell"),
        (lambda s: s.setup_changed("EURUSD", 1, "buy", "A"), "setup_id is 1; text is needed"),
        (lambda s: s.setup_changed("EURUSD", "x", "buy", "A", levels={"high": math.nan}), "EURUSD: high is nan"),
        (lambda s: s.notify("oh", "bad"), "severity is 'bad'; "),
    ],
)
def test_what_could_not_be_read_is_not_told(say: Say, text: str) -> None:
    assert refused(say).startswith(text)


class Teller(Strategy):
    """Says everything at every bar."""

    def on_bar(self, bar: Bar) -> None:
        self.buy(bar.symbol, 1)
        self.cancel(bar.symbol)
        self.modify(bar.symbol, "o1", quantity=1)
        self.setup_changed(bar.symbol, "x", "buy", "SEEN")
        self.notify("seen")


@pytest.mark.parametrize("stop", [command(Halt), command(StopStrategy, strategy_id="s1")])
def test_while_it_may_not_trade_only_what_nobody_trades_on_goes_out(stop: Any) -> None:
    outputs = feed(hosted(Teller), stop, a_bar())
    assert [type(message) for message in signals(outputs)] == [SetupChanged]
    assert [alert.name for alert in alerts(outputs)] == ["strategy_notice"]
    assert signals(outputs)[0].id.endswith("/3"), "an id does not depend on whether what came before it was sent"


def test_text_of_a_notice_may_be_anything_that_can_be_printed() -> None:
    class Printing(Strategy):
        def on_bar(self, bar: Bar) -> None:
            self.notify(ValueError("five"))  # type: ignore[arg-type]

    (alert,) = alerts(feed(hosted(Printing), a_bar(T0 + NS)))
    assert (alert.text, alert.severity) == ("s1: five", "info")
