"""What brokers and the portfolio report.

In:   order events, fills, account figures; valuations, positions, reconciliations.   Out: what follows from them at once.
Not:  other accounts than ours.
"""

from __future__ import annotations

from barque.messages import (
    AccountSnapshot,
    CancelRejected,
    EquityMarked,
    Fill,
    ModifyRejected,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderModified,
    OrderRejected,
    OrderUnknown,
    PositionChanged,
    ReconciliationReport,
    RejectReason,
)
from barque.node import Output
from router.core.alerts import alert
from router.core.breakers.board import BOOK
from router.core.desk import Desk
from router.core.executions import Executions
from router.core.exposure import held_by_symbol
from router.core.guards import larger_than, take_back
from router.core.risk import Risk, Setup
from router.core.state import ZERO, OpenOrder, RouterState, is_new
from router.core.stops import Stops

_R = RejectReason
_OF_SENDERS = frozenset((_R.HALTED, _R.BREAKER, _R.EXPIRED, _R.NOT_SENT, _R.UNSUPPORTED, _R.ORDER_STATE))
"""What senders say by themselves, before anything has reached a broker, or of what never did."""


class Reports:
    """Takes in, over one state."""

    def __init__(self, setup: Setup, state: RouterState, risk: Risk, desk: Desk, stops: Stops) -> None:
        self._account = setup.config.account
        self._reconciliation = setup.config.breakers.reconciliation
        self._state = state
        self._risk = risk
        self._desk = desk
        self._stops = stops
        self._executions = Executions(state)

    # -- brokers -----------------------------------------------------------------------------------------------------

    def event(self, event: OrderAccepted | OrderModified | OrderCancelled | OrderExpired | OrderUnknown) -> list[Output]:
        """A step in the life of an order."""
        self._desk.advance(event)
        return []

    def refused(self, event: OrderRejected | CancelRejected | ModifyRejected) -> list[Output]:
        """Somebody has said no. It counts where that was the broker, and once for all orders of one cause, as those of a bracket
        are. That it does not know an order any more is no refusal: the order had ended."""
        self._desk.advance(event)
        if event.account != self._account or event.reason in _OF_SENDERS:
            return []
        if event.reason is RejectReason.UNKNOWN_ORDER and type(event) is not OrderRejected:
            return []
        if not is_new(self._state.refused_causes, event.cause):
            return []
        changes = self._risk.rates.refused(event.strategy_id)
        return self._stops.carry_out(changes, f"{event.order_id}.{type(event).__name__}") if changes else []

    def fill(self, fill: Fill) -> list[Output]:
        """An execution, or the correction of one."""
        state = self._state
        if fill.account != self._account:
            return []
        if self._executions.knows(fill.exec_id):
            state.count("executions_repeated")
            return []
        if not (fill.quantity.is_finite() and fill.quantity >= 0):
            text = f"execution {fill.exec_id} of order {fill.order_id} is over {fill.quantity} and not booked; see the broker"
            return [alert("fill_unbooked", "critical", state.now_ns, text)]
        signed = self._executions.take(fill)
        if signed is None:
            what = "which is not known here: it is not booked, but in the place of that one should it still come"
            return [self._corrected(fill, what)]
        open_order = self._desk.book(fill, signed)
        if fill.adds_commission:
            return []
        if fill.corrects:
            position = state.position(fill.strategy_id, fill.symbol)
            return [self._corrected(fill, f"which changes the position of {fill.strategy_id} by {signed} to {position}")]
        return self._follow(open_order, fill) if open_order is not None else []

    def account(self, snapshot: AccountSnapshot) -> list[Output]:
        """The broker's figures."""
        if snapshot.account == self._account and snapshot.buying_power.is_finite():
            self._state.broker, self._state.broker_held = snapshot, held_by_symbol(self._state)
        return []

    def _follow(self, open_order: OpenOrder, fill: Fill) -> list[Output]:
        """What an ordinary execution asks for."""
        order = open_order.order
        if open_order.withdrawn:
            return self._stops.make_up(open_order, fill)
        state, place = self._state, (order.strategy_id, order.symbol)
        if not state.orders:
            return []
        position = state.position(*place)
        left = max(position if order.side == "sell" else -position, ZERO)
        cut = take_back if order.closes and order.parent_id is None else larger_than
        return self._desk.withdraw(cut(state, place, order.side, left, (fill.exec_id, fill.root, fill.ts_event_ns)))

    def _corrected(self, fill: Fill, what: str) -> Output:
        kind = "busts" if not fill.quantity else "corrects"
        text = f"execution {fill.exec_id} {kind} {fill.corrects}, {what}; compare {fill.symbol} with the broker"
        return alert("execution_corrected", "critical", self._state.now_ns, text)

    # -- the portfolio -----------------------------------------------------------------------------------------------

    def equity(self, marked: EquityMarked) -> list[Output]:
        """The account has been valued."""
        if marked.account != self._account or not marked.equity.is_finite():
            return []
        self._state.equity = marked
        changes = self._risk.losses.valued(marked)
        return self._stops.carry_out(changes, f"{marked.account}.{marked.ts_event_ns}") if changes else []

    def position(self, changed: PositionChanged) -> list[Output]:
        """A strategy's position has changed."""
        changes = self._risk.losses.moved(changed) if changed.account == self._account else []
        return self._stops.carry_out(changes, changed.cause) if changes else []

    def reconciliation(self, report: ReconciliationReport) -> list[Output]:
        """The broker's books have been compared with ours. What was put right, or was only to be told, stops nothing."""
        config = self._reconciliation
        halts = report.severity == "critical" and report.policy in ("", "halt_and_alert")
        if report.account != self._account or not halts or not config.enabled:
            return []
        figures = ("clean", f"{len(report.discrepancies)} discrepancies")
        changes = self._risk.board.trip(BOOK, "reconciliation", config, figures)
        return self._stops.carry_out(changes, f"{report.account}.{report.ts_event_ns}") if changes else []
