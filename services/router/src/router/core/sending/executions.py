"""What the broker executed: each execution becomes one `Fill`, however often and in whatever order it is reported.

In:   `VenueExecution`s, live or from the books.   Out: Fill; positions, what is filled of orders, what their exits are to keep.
Not:  prices' meaning, money.

A correction or a bust (quantity 0) takes the place of what it names; where that was never reported, it is booked as an
execution of its own and the one it names is ignored should it come. A commission that was not known when the execution was
reported is booked as a correction, `<exec_id>/commission`, with the same quantity and price.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import asdict, replace

from barque.messages import Fill, SubmitOrder, Topic
from barque.messages.orders import commission_id
from barque.messages.signals import Side
from barque.venue import VenueExecution
from router.core.lifecycle import OrderEvent, OrderState, after
from router.core.sending.desk import Desk
from router.core.sending.exits import wish_cancel
from router.core.sending.state import ZERO, Booked, Finished, LiveOrder, is_whole
from router.core.sending.windows import renew

EXTERNAL = "external"
"""Strategy of whatever was not done by an order of ours."""
INTRUDED_AGAIN_NS = 60_000_000_000
"""Of trades of others in a symbol, and of parts of one liquidation, people are told no more often."""


def execute(desk: Desk, execution: VenueExecution) -> bool:
    """Book it; False where it was booked before. Before the books have been opened nothing of ours has left, and what the broker
    reports is in the positions that they will be opened with."""
    executions = desk.state.executions
    if not desk.state.opened:
        take_over(desk, execution)
        return False
    known = executions.get(execution.exec_id)
    if known is not None and not known.reported:
        return _take_replaced(desk, execution, known)
    if known is not None:
        if known.priced or execution.commission is None or known.replaced_by:
            return False
        _add_commission(desk, execution, known)
        return True
    if execution.ts_event_ns <= desk.state.forgotten_ns:
        desk.count("executions_too_old")
        return False
    if not (execution.order_id or execution.strategy_id or desk.is_ours(execution.symbol)):
        _pass_over(desk, execution)
        return False
    signed = execution.quantity if execution.side == "buy" else -execution.quantity
    before, corrects = _replace(desk, execution)
    silent = bool(corrects) and executions[corrects].silent
    if silent:
        _say_difference(desk, execution, signed - before)
    else:
        _book(desk, execution, signed - before, corrects)
    desk.remember_execution(execution.exec_id, _booked(execution, signed, silent))
    if execution.liquidation and not execution.corrects:
        _warn_liquidated(desk, execution)
    return True


def take_over(desk: Desk, execution: VenueExecution) -> None:
    """It lies before this book begins: know it, book nothing."""
    signed = execution.quantity if execution.side == "buy" else -execution.quantity
    desk.remember_execution(execution.exec_id, _booked(execution, signed, silent=True))


def _pass_over(desk: Desk, execution: VenueExecution) -> None:
    """It is of a symbol that is not configured: somebody else's, and all that we notice of it is its cash."""
    desk.state.cash_is_shared = True
    desk.count("executions_elsewhere")
    take_over(desk, execution)
    if execution.liquidation and not execution.corrects:
        _warn_liquidated(desk, execution)


def _say_difference(desk: Desk, execution: VenueExecution, change: Decimal) -> None:
    """A correction of what is in the opening balance: there is no fill that it could name."""
    if change:
        side: Side = "buy" if change > 0 else "sell"
        _book(desk, replace(execution, side=side, quantity=abs(change), commission=ZERO), change, "")


def _booked(execution: VenueExecution, signed: Decimal, silent: bool) -> Booked:
    priced = silent or execution.commission is not None
    return Booked(order_id=execution.order_id, signed=signed, ts_event_ns=execution.ts_event_ns, priced=priced, silent=silent)


def _replace(desk: Desk, execution: VenueExecution) -> tuple[Decimal, str]:
    """Contracts that no longer count, and the execution that stood for them."""
    if not execution.corrects:
        return ZERO, ""
    executions = desk.state.executions
    name = execution.corrects
    old = executions.get(name)
    if old is None:
        gone = Booked(
            order_id=execution.order_id,
            signed=ZERO,
            ts_event_ns=execution.ts_event_ns,
            priced=True,
            replaced_by=execution.exec_id,
            reported=False,
        )
        desk.remember_execution(name, gone)
        return ZERO, ""
    seen = {execution.exec_id}
    while old.replaced_by in executions and old.replaced_by not in seen:
        name = old.replaced_by
        seen.add(name)
        old = executions[name]
    renew(executions, name, replace(old, signed=ZERO, replaced_by=execution.exec_id, priced=True))
    return old.signed, name


def _take_replaced(desk: Desk, execution: VenueExecution, known: Booked) -> bool:
    """What replaced it has been booked before it came. If it was a correction itself, what it corrects counts no longer."""
    renew(desk.state.executions, execution.exec_id, replace(known, reported=True))
    before, corrects = _replace(desk, execution)
    if not corrects:
        return False
    if desk.state.executions[corrects].silent:
        _say_difference(desk, execution, -before)
    else:
        _book(desk, replace(execution, quantity=ZERO, commission=ZERO), -before, corrects)
    return True


def _add_commission(desk: Desk, execution: VenueExecution, known: Booked) -> None:
    name = commission_id(execution.exec_id)
    priced = replace(execution, exec_id=name, corrects=execution.exec_id)
    _book(desk, priced, ZERO, execution.exec_id)
    priced_now = replace(known, priced=True)
    renew(desk.state.executions, execution.exec_id, replace(priced_now, signed=ZERO, replaced_by=name))
    desk.remember_execution(name, replace(priced_now, replaced_by=""))


def _book(desk: Desk, execution: VenueExecution, change: Decimal, corrects: str) -> None:
    """Say the fill, and move what follows by `change` signed contracts."""
    state = desk.state
    known = state.orders.get(execution.order_id) or state.finished.get(execution.order_id)
    owner = known.order.strategy_id if known is not None else execution.strategy_id or EXTERNAL
    if change:
        desk.move_position(execution.symbol, change, owner != EXTERNAL)
        if known is None and owner == EXTERNAL:
            _warn_intruded(desk, execution, change)
    state.prices[execution.symbol] = execution.price
    contracts = change if execution.side == "buy" else -change
    live = state.orders.get(execution.order_id)
    finished = state.finished.get(execution.order_id)
    if live is None and finished is not None:
        live = _late(desk, finished, contracts)
    if live is not None:
        live.filled += contracts
        _cut_siblings(desk, live.order.oco_group, live.order.order_id, contracts)
    leaves = max(live.order.quantity - live.filled, ZERO) if live is not None else ZERO
    if known is None:
        _cut_exits(desk, execution, contracts)
    _say(desk, execution, corrects, known.order if known is not None else None, leaves)
    if live is not None and contracts:
        desk.move(live, OrderEvent.FILLED if is_whole(live) else OrderEvent.PART_FILLED)


def _warn_intruded(desk: Desk, execution: VenueExecution, change: Decimal) -> None:
    """Somebody, or the broker, has taken away what a strategy believes to hold, and it is not told. Each part of such a trade is
    not told anew."""
    state, symbol = desk.state, execution.symbol
    held = state.by_orders.get(symbol, ZERO)
    told_ns = state.intruded.get(symbol, 0)
    if held * change >= 0 or (told_ns and state.now_ns - told_ns < INTRUDED_AGAIN_NS):
        return
    state.intruded[symbol] = state.now_ns
    side, quantity = ("buy" if change > 0 else "sell"), abs(change).normalize()
    text = (
        f"{desk.config.account}: {side} {quantity:f} {symbol} was executed by no order of ours ({execution.exec_id}), against "
        f"the {held.normalize():f} contracts that strategies hold by theirs; the account has "
        f"{state.positions.get(symbol, ZERO).normalize():f} now. A strategy that closes what it believes to hold would open the "
        f"opposite: `barque strategy stop` it, look at the account, then `barque flatten`"
    )
    desk.alert("external_trade", "critical", text)


def _warn_liquidated(desk: Desk, execution: VenueExecution) -> None:
    """The broker has closed by itself: it may do so again. Each part of one order of its is not told anew."""
    state, symbol, order = desk.state, execution.symbol, execution.venue_order_id
    recent = {each: told_ns for each, told_ns in state.liquidated.items() if state.now_ns - told_ns < INTRUDED_AGAIN_NS}
    state.liquidated = {**recent, order: recent.get(order, state.now_ns)}
    if order in recent:
        return
    what = f"{execution.side} {execution.quantity.normalize():f} {symbol} at {execution.price.normalize():f}"
    whose = ""
    if execution.position_of:
        whose = f", of what order {execution.position_of} of strategy {execution.strategy_id or EXTERNAL} had opened"
    held = f"; the account has {state.positions.get(symbol, ZERO).normalize():f} {symbol} now" if desk.is_ours(symbol) else ""
    text = (
        f"{desk.config.account}: the broker closed {what} by itself ({execution.liquidation}){whose}: its order {order}, "
        f"execution {execution.exec_id}{held}. It may close more: look at the account's margin"
    )
    desk.alert("position_liquidated", "critical", text)


def _late(desk: Desk, finished: Finished, contracts: Decimal) -> LiveOrder | None:
    """An order that had ended has traded all the same, or less than it seemed."""
    order = finished.order
    if contracts > 0:
        _miss_exits(desk, order.order_id)
    if finished.state is OrderState.REJECTED and contracts > 0:
        desk.count("orders_revived")
        desk.ask()
        live = desk.revive(finished)
        wish_cancel(live, desk.state.now_ns)  # the router was told that it is gone, and counts no more on it or against it
        return live
    filled, state = finished.filled + contracts, finished.state
    if contracts > 0:
        state = after(state, OrderEvent.FILLED if filled >= order.quantity else OrderEvent.PART_FILLED, traded=True)
    renew(desk.state.finished, order.order_id, replace(finished, filled=filled, state=state))
    _cut_siblings(desk, order.oco_group, order.order_id, contracts)
    exits = desk.children_of(order.order_id)
    if not desk.capabilities.brackets:
        for child in exits:
            child.keep += contracts
    return None


def _miss_exits(desk: Desk, entry_id: str) -> None:
    """Those that ended because their entry had."""
    for each in desk.state.finished.values():
        if each.order.parent_id == entry_id and each.state is not OrderState.FILLED:
            order = SubmitOrder(**asdict(each.order))
            desk.miss(order, order.quantity - each.filled, "its entry had ended, and has traded all the same")


def _cut_siblings(desk: Desk, oco_group: str | None, order_id: str, contracts: Decimal) -> None:
    """What one order of a group fills, the others lose."""
    if oco_group is None or desk.capabilities.oco:
        return
    for live in desk.state.orders.values():
        if live.order.oco_group == oco_group and live.order.order_id != order_id:
            live.keep -= contracts


def _cut_exits(desk: Desk, execution: VenueExecution, contracts: Decimal) -> None:
    """What others trade away from an entry's position, its exits have no more to close."""
    for child in desk.children_of(execution.position_of) if execution.position_of else ():
        if child.order.side == execution.side:
            child.keep -= contracts


def _say(desk: Desk, execution: VenueExecution, corrects: str, order: SubmitOrder | None, leaves: Decimal) -> None:
    strategy_id = order.strategy_id if order is not None else execution.strategy_id or EXTERNAL
    if order is None and strategy_id == EXTERNAL:
        desk.count("executions_external")
    fill = Fill(
        order_id=execution.order_id or execution.venue_order_id,
        cause=execution.exec_id if order is None else order.cause,
        root=execution.exec_id if order is None else order.root,
        strategy_id=strategy_id,
        account=desk.config.account,
        symbol=execution.symbol,
        ts_event_ns=execution.ts_event_ns,
        exec_id=execution.exec_id,
        side=execution.side,
        quantity=execution.quantity,
        price=execution.price,
        commission=execution.commission or ZERO,
        commission_currency=execution.commission_currency,
        leaves_quantity=leaves,
        corrects=corrects,
    )
    desk.tell(Topic.FILLS, fill)
