"""One message of each type with every field set to something else than its default; what the golden files hold."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from barque.messages import (
    AccountSnapshot,
    Alert,
    Bar,
    CancelOrder,
    CancelRejected,
    CancelRequest,
    ClockTicked,
    DeadLetter,
    EquityMarked,
    FeedStatus,
    Fill,
    Flatten,
    Halt,
    Mark,
    Message,
    ModifyOrder,
    ModifyRejected,
    ModifyRequest,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderModified,
    OrderRejected,
    OrderUnknown,
    PositionChanged,
    PositionSnapshot,
    Quote,
    ReconciliationReport,
    RejectReason,
    Resume,
    SetLimit,
    SetupChanged,
    Signal,
    SignalRejected,
    StartStrategy,
    StopStrategy,
    SubmitOrder,
    Topic,
    Trade,
)

AT = 1_398_902_400_292_000_001
LATER = AT + 60_000_000_000
D = Decimal

_COMMAND: dict[str, Any] = {"command_id": "gateway/1", "ts_event_ns": AT, "actor": "anna", "reason": "naïve – 止"}
_ORDER: dict[str, Any] = {
    "order_id": "5f0c9b1e",
    "cause": "sma/EURUSD.1m.bid.1/0",
    "root": f"EURUSD.{AT}",
    "strategy_id": "sma",
    "account": "paper",
    "symbol": "EURUSD",
    "ts_event_ns": AT,
}
_WISH: dict[str, Any] = {
    "id": "sma/EURUSD.1m.bid.1/0",
    "cause": "EURUSD.1m.bid.1",
    "root": f"EURUSD.{AT}",
    "strategy_id": "sma",
    "symbol": "EURUSD",
    "ts_event_ns": AT,
}

EXAMPLES: tuple[tuple[Topic, Message], ...] = (
    (Topic.CONTROL, Halt(**_COMMAND)),
    (Topic.CONTROL, Resume(**_COMMAND)),
    (Topic.CONTROL, Flatten(**_COMMAND)),
    (Topic.CONTROL, StartStrategy(**_COMMAND, strategy_id="sma")),
    (Topic.CONTROL, StopStrategy(**_COMMAND, strategy_id="sma")),
    (Topic.CONTROL, SetLimit(**_COMMAND, limit="max_position", value="2.5", symbol="EURUSD")),
    (Topic.CLOCK, ClockTicked(now_ns=AT)),
    (Topic.FILLS, OrderAccepted(**_ORDER, venue_order_id="P-5f0c9b1e")),
    (Topic.FILLS, OrderRejected(**_ORDER, reason=RejectReason.QUANTITY, detail="0.5 is below 1")),
    (Topic.FILLS, OrderCancelled(**_ORDER, filled_quantity=D("0.25"), detail="as asked")),
    (Topic.FILLS, OrderExpired(**_ORDER, filled_quantity=D("0.25"))),
    (Topic.FILLS, OrderUnknown(**_ORDER, detail="no answer for 5 s")),
    (
        Topic.FILLS,
        Fill(
            **_ORDER,
            exec_id="5f0c9b1e-2",
            side="sell",
            quantity=D("1.500"),
            price=D("1.38676"),
            commission=D("2.08"),
            commission_currency="USD",
            leaves_quantity=D("0.500"),
            corrects="5f0c9b1e-1",
        ),
    ),
    (
        Topic.FILLS,
        AccountSnapshot(
            account="paper", ts_event_ns=AT, currency="USD", cash=D("100000.01"), equity=D("99999.99"), buying_power=D("4e6")
        ),
    ),
    (
        Topic.FILLS,
        PositionSnapshot(account="paper", symbol="EURUSD", ts_event_ns=AT, quantity=D(-3), average_price=D("1.386765")),
    ),
    (
        Topic.ORDERS,
        SubmitOrder(
            **_ORDER,
            side="buy",
            quantity=D("2.000"),
            order_type="stop_limit",
            limit_price=D("1.38700"),
            stop_price=D("1.38690"),
            time_in_force="gtd",
            valid_until_ns=LATER,
            parent_id="a1",
            oco_group="g1",
            tag="entry",
            reason="fast average above slow",
            trail_amount=D("0.01"),
        ),
    ),
    (Topic.ORDERS, CancelOrder(**_ORDER)),
    (
        Topic.ORDERS,
        ModifyOrder(**_ORDER, quantity=D(3), limit_price=D("1.38701"), stop_price=D("1.38691"), trail_amount=D("0.01")),
    ),
    (
        Topic.ORDERS,
        SignalRejected(
            signal_id="sma/EURUSD.1m.bid.1/0",
            cause="EURUSD.1m.bid.1",
            root=f"EURUSD.{AT}",
            strategy_id="sma",
            symbol="EURUSD",
            ts_event_ns=AT,
            reason=RejectReason.POSITION_LIMIT,
            detail="a position of 11 would be over the limit",
            limit="10",
            actual="11",
        ),
    ),
    (
        Topic.PORTFOLIO,
        PositionChanged(
            account="paper",
            strategy_id="sma",
            symbol="EURUSD",
            ts_event_ns=AT,
            cause="5f0c9b1e-2",
            quantity=D("-1.500"),
            average_price=D("1.38676"),
            realised_pnl=D("-12.50"),
            commission=D("2.08"),
            currency="USD",
        ),
    ),
    (
        Topic.PORTFOLIO,
        EquityMarked(
            account="paper",
            ts_event_ns=AT,
            currency="USD",
            cash=D("99997.92"),
            equity=D("99985.42"),
            unrealised_pnl=D("-10"),
            realised_pnl=D("-2.5"),
        ),
    ),
    (
        Topic.PORTFOLIO,
        ReconciliationReport(account="paper", ts_event_ns=AT, severity="minor", discrepancies=("EURUSD: 3 there, 2 here", "x")),
    ),
    (Topic.MARKS, Mark(symbol="EURUSD", ts_event_ns=AT, bid=1.38676, ask=1.38686, last=1.3868)),
    (
        Topic.TICKS,
        Quote(symbol="EURUSD", ts_event_ns=AT, ts_recv_ns=AT + 5, bid=1.38676, ask=1.38686, bid_size=3.0, ask_size=4.5),
    ),
    (Topic.TICKS, Trade(symbol="BTCUSD", ts_event_ns=AT, ts_recv_ns=AT + 5, price=67000.5, size=0.25)),
    (
        Topic.TICKS,
        FeedStatus(feed="feed.x", ts_event_ns=AT, state="gap", symbol="EURUSD", dropped=7, detail="7 ticks lost"),
    ),
    (
        Topic.BARS,
        Bar(
            symbol="EURUSD",
            interval="1m",
            price="bid",
            ts_open_ns=AT,
            ts_close_ns=LATER,
            open=1.38676,
            high=1.3869,
            low=1.3867,
            close=1.38688,
            volume=12.5,
            tick_count=42,
            root=f"EURUSD.{LATER}",
            seq=2,
        ),
    ),
    (
        Topic.SIGNALS,
        Signal(
            **_WISH,
            action="enter",
            side="buy",
            quantity=D("1.5"),
            target=D(-2),
            risk_fraction=D("0.01"),
            order_type="stop_limit",
            limit_price=D("1.38700"),
            stop_price=D("1.38690"),
            take_profit=D("1.39"),
            stop_loss=D("1.38"),
            time_in_force="ioc",
            valid_until_ns=LATER,
            tag="entry",
            reason="fast average above slow",
            target_fraction=D("-0.5"),
            notional=D(10_000),
            trail_amount=D("0.01"),
        ),
    ),
    (Topic.SIGNALS, CancelRequest(**_WISH, order_id="5f0c9b1e")),
    (
        Topic.ALERTS,
        Alert(name="book_stopped", ts_event_ns=AT, severity="critical", source="router", text="router stopped the book"),
    ),
    (
        Topic.DEAD,
        DeadLetter(node="router", stream="signals", entry_id="5-1", reason="signals: bad", raw=b"\x00\xc1\xff", index=3),
    ),
    (Topic.FILLS, OrderModified(**_ORDER, quantity=D(2), limit_price=D("1.2"), stop_price=D("1.1"), trail_amount=D("0.01"))),
    (Topic.FILLS, CancelRejected(**_ORDER, reason=RejectReason.UNKNOWN_ORDER, detail="it has filled")),
    (Topic.FILLS, ModifyRejected(**_ORDER, reason=RejectReason.PRICE, detail="off the grid")),
    (
        Topic.SIGNALS,
        ModifyRequest(
            **_WISH, order_id="5f0c9b1e", quantity=D(2), limit_price=D("1.2"), stop_price=D("1.1"), trail_amount=D("0.01")
        ),
    ),
    (
        Topic.SIGNALS,
        SetupChanged(**_WISH, setup_id="s/1", side="sell", state="INVALIDATED", reason="consol_timeout", levels={"a": D("1.5")}),
    ),
)
