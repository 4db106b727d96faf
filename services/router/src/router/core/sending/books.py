"""The broker's books, as they come in: what they say of each order, and what follows where they differ from ours.

In:   Books, BooksUnavailable.   Out: orders resolved, fills that were missed, CashAdjusted, ReconciliationReport, snapshots,
      HaltBook.
Not:  comparing (`reconciliation`).

An order that is not among the open ones has not been rejected: a second look, at least `quiet_s` later in the same session,
has to agree. The first books of a new history are its opening balance: positions are booked as fills of strategy `external`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from msgspec.structs import replace

from barque.messages import (
    AccountSnapshot,
    CashAdjusted,
    ModifyRejected,
    OrderRejected,
    PositionSnapshot,
    ReconciliationReport,
    RejectReason,
    Topic,
)
from barque.messages.signals import Side
from barque.venue import CashMovement, Modified, VenueAccount, VenueExecution, VenueOrder, reach_ns
from router.core.lifecycle import FINAL, WORKING, OrderEvent, OrderState
from router.core.orders import cancel_of
from router.core.sending import executions, exits, others, outbound, reports
from router.core.sending.config import NS, Policy, ns
from router.core.sending.desk import Desk
from router.core.sending.effects import HaltBook, Withdraw
from router.core.sending.events import Books, BooksUnavailable
from router.core.sending.reconciliation import AtWork, Difference, OurBooks, compare
from router.core.sending.state import ZERO, LiveOrder

_PENDING = (OrderState.PENDING_CANCEL, OrderState.PENDING_MODIFY)
_ABSENT = (*WORKING, *_PENDING, OrderState.UNKNOWN)


def unavailable(desk: Desk, event: BooksUnavailable) -> None:
    """They could not be read: again after a quiet period."""
    if event.number == desk.state.asked:
        desk.state.asked, desk.state.books_detail = 0, event.detail
        desk.count("books_unavailable")
        desk.ask(desk.config.quiet_s)


def take(desk: Desk, books: Books) -> None:
    """Follow the broker's books. An answer to a question of an earlier session says nothing about this one."""
    state = desk.state
    if books.number != state.asked:
        desk.count("books_stale")
        return
    asked_ns, state.asked, state.books_detail = state.asked_ns, 0, ""
    books, theirs = others.part(desk, books)
    reach = reach_ns(desk.capabilities, asked_ns)
    blind = Blind(reach, books) if 0 < state.reconciled_ns < reach else None
    notes = [*_book_missing(desk, books), *_open_new(desk, books)] if state.opened else _open(desk, books)
    state.symbols = sorted(desk.symbols)
    moved = _book_movements(desk, books)
    notes += [f"{each.kind} {each.reference} of {each.amount} {each.currency} was not in the books" for each in moved]
    if blind is not None and state.report_due:
        notes.append(_reaches_back_to(state.reconciled_ns, reach))
    _follow_orders(desk, books, asked_ns, blind)
    exits.resolve_doubts(desk, asked_ns)
    found = others.changes(desk, theirs)
    ours = _our_books(desk, books, asked_ns, moved)
    found += compare(ours, books.open_orders, books.positions, books.account.cash, books.ledger, desk.config.reconciliation)
    others.settle_cash(desk, theirs, ours, found)
    shown = {order.venue_order_id for order in books.open_orders}
    state.external = {venue_order_id: None for venue_order_id in state.external if venue_order_id in shown}
    confirmed = _confirm(desk, found, asked_ns)
    suspected = [difference for difference in found if difference not in confirmed]
    for difference in confirmed:
        _act(desk, difference, books)
    _conclude(desk, books, confirmed, suspected, notes, asked_ns)
    _next_look(desk, bool(suspected))


# -- executions and the opening balance ------------------------------------------------------------------------------


def _open(desk: Desk, books: Books) -> list[str]:
    """Take over what the account holds as what this history begins with."""
    state = desk.state
    state.opened = True
    for execution in books.executions:
        executions.take_over(desk, execution)
    for position in books.positions:
        _adjust(desk, position.symbol, position.quantity, position.average_price, f"opening/{position.symbol}")
    return [f"position {p.symbol}: {p.quantity} at {p.average_price} taken over at the start" for p in books.positions]


def _open_new(desk: Desk, books: Books) -> list[str]:
    """Take over what the account holds in symbols that were not configured before: for them this is the beginning."""
    state = desk.state
    known = desk.symbols if state.symbols is None else state.symbols
    notes = []
    for position in books.positions:
        quantity = position.quantity - state.positions.get(position.symbol, ZERO)
        if position.symbol not in known and desk.is_ours(position.symbol) and quantity:
            _adjust(desk, position.symbol, quantity, position.average_price, f"opening/{position.symbol}/{state.questions}")
            state.cash_offset = None  # what it cost is not in the ledger's cash yet
            notes.append(
                f"position {position.symbol}: {quantity} at {position.average_price} taken over, for it is configured now"
            )
    return notes


def _book_missing(desk: Desk, books: Books) -> list[str]:
    notes = []
    for execution in books.executions:
        known = execution.exec_id in desk.state.executions
        if executions.execute(desk, execution) and not known:
            of = f"of order {execution.order_id}" if execution.order_id else "of an order that is not ours"
            what = f"{execution.side} {execution.quantity} {execution.symbol} at {execution.price}"
            notes.append(f"execution {execution.exec_id} {of} had been missed: {what}")
    return notes


def _book_movements(desk: Desk, books: Books) -> list[CashMovement]:
    """Tell the books of changes of cash that the broker lists and that are new. What is listed when this is first looked at is in
    the cash that the book was opened with."""
    known, listed = desk.state.movements, books.account.movements
    desk.state.movements = {each.reference: None for each in listed}
    moved = [] if known is None else [each for each in listed if each.reference not in known]
    for each in moved:
        adjusted = CashAdjusted(
            account=desk.config.account,
            ts_event_ns=each.ts_event_ns,
            kind=each.kind,
            currency=each.currency,
            amount=each.amount,
            reference=each.reference,
            reason=each.detail,
        )
        desk.tell(Topic.FILLS, adjusted)
    return moved


def _adjust(desk: Desk, symbol: str, signed: Decimal, price: Decimal, exec_id: str) -> None:
    side: Side = "buy" if signed > 0 else "sell"
    account = desk.config.account
    execution = VenueExecution(
        exec_id=exec_id,
        order_id="",
        venue_order_id=f"{account}/{exec_id}",
        symbol=symbol,
        side=side,
        quantity=abs(signed),
        price=price,
        ts_event_ns=max(desk.state.now_ns, desk.state.forgotten_ns + 1),
        commission=ZERO,
    )
    executions.execute(desk, execution)


# -- orders ----------------------------------------------------------------------------------------------------------


class Blind(NamedTuple):
    """Executions between the last good look and `reach_ns` are shown no more: what a position says of them is all there is."""

    reach_ns: int
    books: Books


def _reaches_back_to(reconciled_ns: int, reach: int) -> str:
    seen, told = (f"{datetime.fromtimestamp(at // NS, UTC):%Y-%m-%d %H:%M:%S} UTC" for at in (reconciled_ns, reach))
    return f"the books were last compared at {seen}, and the broker shows executions from {told} on only: positions tell the rest"


def _follow_orders(desk: Desk, books: Books, asked_ns: int, blind: Blind | None) -> None:
    open_orders = {order.order_id: order for order in books.open_orders if order.order_id}
    for live in list(desk.state.orders.values()):
        if not live.number or live.state in FINAL:
            continue
        shown = open_orders.get(live.order.order_id)
        if shown is not None:
            _found(desk, live, shown, asked_ns)
        elif live.since_ns <= asked_ns and live.state in _ABSENT:
            _missing(desk, live, asked_ns, blind)


def _found(desk: Desk, live: LiveOrder, shown: VenueOrder, asked_ns: int) -> None:
    live.absent_ns = 0
    if live.state in (OrderState.SENDING, OrderState.UNKNOWN):
        live.at_venue = shown.quantity
        reports.hold(desk, live, shown.venue_order_id, 0)
        return
    patience = ns(desk.config.ack_timeout_s + desk.config.quiet_s)
    if live.state in _PENDING and asked_ns - live.since_ns >= patience:
        _unanswered(desk, live, shown)


def _unanswered(desk: Desk, live: LiveOrder, shown: VenueOrder) -> None:
    """The order is at work, and a request about it was never answered. A cancel is asked for again; a change was made or not."""
    if live.state is OrderState.PENDING_CANCEL:
        desk.move(live, OrderEvent.CANCEL_REFUSED)
        return
    request = live.change
    if request is None:
        desk.move(live, OrderEvent.MODIFY_REFUSED)
        return
    if _made(live, shown):
        reports.modified(desk, _as_modified(desk, live, shown))
        return
    own = live.own_change
    reports.forget_change(live)
    desk.move(live, OrderEvent.MODIFY_REFUSED)
    if own:
        reports.fail(desk, live, "the broker has not answered, and its books show the old terms")
    else:
        detail = f"order {live.order.order_id} works on as it was: the broker has not answered, and its books show the old terms"
        desk.say(ModifyRejected, request, reason=RejectReason.VENUE, detail=detail)


def _made(live: LiveOrder, shown: VenueOrder) -> bool:
    request = live.change
    if request is None or shown.quantity != live.asked_quantity:
        return False
    for name in ("limit_price", "stop_price"):
        price = getattr(request, name)
        if price is not None and getattr(shown, name) != price:
            return False
    return True


def _as_modified(desk: Desk, live: LiveOrder, shown: VenueOrder) -> Modified:
    trail = live.change.trail_amount if live.change is not None else None
    return Modified(
        order_id=live.order.order_id,
        quantity=shown.quantity,
        limit_price=shown.limit_price,
        stop_price=shown.stop_price,
        trail_amount=trail,
        ts_event_ns=desk.state.now_ns,
    )


def _missing(desk: Desk, live: LiveOrder, asked_ns: int, blind: Blind | None) -> None:
    """It is not among the open orders. What the broker has executed of it, and still shows, has just been booked."""
    if blind is not None and _may_have_traded(desk, live, blind):
        if live.state in WORKING:
            detail = "the broker's books do not have it any more, show no executions of that time, and its position is not ours"
            desk.lose(live, detail)
        return
    if live.filled >= live.at_venue and live.state in WORKING:
        return  # the broker's order is whole; ours waits for its entry
    if not live.absent_ns:
        live.absent_ns = asked_ns
        return
    if asked_ns - live.absent_ns < ns(desk.config.quiet_s):
        return
    if live.state is OrderState.PENDING_MODIFY and live.filled >= live.at_venue:
        _whole_there(desk, live)
    elif live.accepted or live.filled > 0:
        if live.cancel is None and exits.protects(desk, live):
            exits.warn_unprotected(desk, live, "the broker's books do not have it any more")
        reports.end(desk, live, expired=False, detail="the broker's books do not have it any more")
    elif not outbound.resend(desk, live):
        if exits.protects(desk, live):
            exits.warn_unprotected(desk, live, "it never reached the broker")
        detail = f"order {live.order.order_id} never reached the broker: its books, read twice, do not have it"
        desk.say(OrderRejected, live.order, reason=RejectReason.NOT_SENT, detail=detail)
        desk.move(live, OrderEvent.REJECTED)


def _may_have_traded(desk: Desk, live: LiveOrder, blind: Blind) -> bool:
    """The position of its symbol is not what we have booked: the order is not told to have ended while that is so."""
    symbol = live.order.symbol
    theirs = next((position.quantity for position in blind.books.positions if position.symbol == symbol), ZERO)
    apart = theirs - desk.state.positions.get(symbol, ZERO)
    return apart > 0 if live.order.side == "buy" else apart < 0


def _whole_there(desk: Desk, live: LiveOrder) -> None:
    """The broker's order has filled whole, and a change of it was never answered: it was made, or came too late."""
    request, own = live.change, live.own_change
    live.at_venue = live.filled
    reports.forget_change(live)
    desk.move(live, OrderEvent.FILLED if live.filled >= live.order.quantity else OrderEvent.MODIFY_REFUSED)
    if request is not None and not own:
        detail = f"order {live.order.order_id} had filled before it could be changed"
        desk.say(ModifyRejected, request, reason=RejectReason.UNKNOWN_ORDER, detail=detail)


# -- differences -----------------------------------------------------------------------------------------------------


def _our_books(desk: Desk, books: Books, asked_ns: int, moved: Sequence[CashMovement]) -> OurBooks:
    state = desk.state
    at_work = {
        order_id: AtWork(
            order=replace(live.order, quantity=live.at_venue),
            filled=live.filled,
            steady=live.state in WORKING and live.change is None and live.since_ns < asked_ns,
        )
        for order_id, live in state.orders.items()
        if live.number
    }
    ended = {order_id: each.state.value for order_id, each in state.finished.items() if each.ended_ns < asked_ns}
    return OurBooks(
        at_work=at_work,
        ended=ended,
        recent=state.finished,
        external=state.external,
        positions=others.ours(desk, state.positions),
        cash=_expected_cash(desk, books, moved),
        cash_is_shared=state.cash_is_shared,
        rates=_rates(books),
    )


def _rates(books: Books) -> dict[str, Decimal]:
    """In the account's currency: the broker's where it says them, else those of our marks."""
    by_marks = books.ledger.rates if books.ledger is not None else {}
    return {**by_marks, **books.account.rates, books.account.currency: Decimal(1)}


def _expected_cash(desk: Desk, books: Books, moved: Sequence[CashMovement]) -> dict[str, Decimal] | None:
    """Our ledger's cash, and what it is about to book (`moved`), with what the account had more, or less, when both were first
    seen together."""
    state = desk.state
    if books.ledger is None:
        return None
    ours, theirs = dict(books.ledger.cash), books.account.cash
    for each in moved:
        ours[each.currency] = ours.get(each.currency, ZERO) + each.amount
    if desk.capabilities.converts and any(amount for name, amount in ours.items() if name not in theirs):
        return None  # what the broker has made of it is in its own currency
    if state.cash_offset is None:
        if {symbol: held for symbol, held in books.ledger.positions.items() if held} != others.ours(desk, state.positions):
            return None  # what the opening balance cost is not in the ledger's cash yet
        state.cash_offset = {name: theirs.get(name, ZERO) - ours.get(name, ZERO) for name in sorted({*ours, *theirs})}
    names = sorted({*ours, *state.cash_offset})
    return {name: ours.get(name, ZERO) + state.cash_offset.get(name, ZERO) for name in names}


def _confirm(desk: Desk, found: list[Difference], asked_ns: int) -> list[Difference]:
    """Those that an earlier look, a quiet period ago, has shown too; the others are remembered."""
    seen = desk.state.suspects
    desk.state.suspects = {each.text: seen.get(each.text, asked_ns) for each in found}
    quiet = ns(desk.config.quiet_s)
    return [each for each in found if asked_ns - desk.state.suspects[each.text] >= quiet]


def _policy(desk: Desk, difference: Difference) -> Policy:
    policy = desk.config.reconciliation
    if difference.kind == "position_elsewhere":
        return "sync_to_local"  # it is none of ours, and only told
    return policy.critical if difference.severity == "critical" else policy.minor


def _act(desk: Desk, difference: Difference, books: Books) -> None:
    """Make our books say what the broker's say, where the policy is that; whatever the policy, what should not be open goes."""
    state = desk.state
    if difference.kind == "order_ended":
        _withdraw_ended(desk, difference.about)
    if difference.kind == "order_external":
        state.external[difference.about] = None
    if difference.kind == "position_elsewhere":
        others.tell(desk, difference)
    if _policy(desk, difference) != "sync_to_broker":
        return
    if difference.kind == "position":
        _sync_position(desk, difference.about, books)
    elif difference.kind == "order_terms":
        live = state.orders[difference.about]
        shown = next(order for order in books.open_orders if order.order_id == difference.about)
        reports.modified(desk, _as_modified(desk, live, shown))
    elif difference.kind == "cash":
        _sync_cash(desk, difference)


def _sync_position(desk: Desk, symbol: str, books: Books) -> None:
    state = desk.state
    shown = next((position for position in books.positions if position.symbol == symbol), None)
    theirs = shown.quantity if shown is not None else ZERO
    price = shown.average_price if shown is not None else state.prices.get(symbol, ZERO)
    _adjust(desk, symbol, theirs - state.positions.get(symbol, ZERO), price, f"adjust/{symbol}/{state.questions}")


def _sync_cash(desk: Desk, difference: Difference) -> None:
    """The ledger books what the broker has more, or less. It is not asked again before the portfolio has come as far as this."""
    currency = difference.about
    adjusted = CashAdjusted(
        account=desk.config.account,
        ts_event_ns=desk.state.now_ns,
        kind="reconciliation",
        currency=currency,
        amount=Decimal(difference.theirs) - Decimal(difference.ours),
        reference=f"adjust/{currency}/{desk.state.questions}",
        reason=f"the broker has {difference.theirs} {currency}, expected were {difference.ours}",
    )
    desk.tell(Topic.FILLS, adjusted)


def _withdraw_ended(desk: Desk, order_id: str) -> None:
    finished = desk.state.finished.get(order_id)
    if finished is None:
        return  # it has just left the window
    order = finished.order
    request = cancel_of(order, order.cause, order.root, desk.state.now_ns)
    desk.effects.append(Withdraw(request=request, number=finished.number))


# -- what follows ----------------------------------------------------------------------------------------------------


def _conclude(
    desk: Desk, books: Books, confirmed: list[Difference], suspected: list[Difference], notes: list[str], asked_ns: int
) -> None:
    state = desk.state
    halting = [each for each in confirmed if _policy(desk, each) == "halt_and_alert"]
    doubtful = any(each.severity == "critical" for each in suspected)
    was_blocked, state.blocked = state.blocked, bool(halting) or (state.blocked and doubtful)
    if halting:
        state.ready = False
        if not was_blocked:
            _halt(desk, halting)
    elif not doubtful:
        state.ready, state.reconciled_ns = True, asked_ns
    if state.report_due and suspected and not confirmed:
        return
    if state.report_due or confirmed or notes:
        _report(desk, confirmed, notes)
    every_ns = ns(desk.config.reconciliation.every_s)
    account = replace(books.account, rates={})  # they move all the time, and nobody is told
    if state.report_due or account != state.account or asked_ns - state.account_ns >= every_ns:
        _say_account(desk, account)
    if state.report_due:
        _say_positions(desk, books)
    state.report_due = False


def _halt(desk: Desk, halting: list[Difference]) -> None:
    what = "; ".join(each.text for each in halting)
    text = f"{desk.config.account}: the broker's books and ours differ, and nothing more leaves: {what}. Compare, then resume"
    desk.alert("reconciliation_failed", "critical", text)
    desk.effects.append(HaltBook(reason=f"reconciliation of {desk.config.account}: {what}"))


def _report(desk: Desk, confirmed: list[Difference], notes: list[str]) -> None:
    worst = {each.severity for each in confirmed}
    severity = "critical" if "critical" in worst else "minor" if worst or notes else "clean"
    report = ReconciliationReport(
        account=desk.config.account,
        ts_event_ns=desk.state.now_ns,
        severity=severity,
        discrepancies=(*notes, *(each.text for each in confirmed)),
        policy=_done(desk, confirmed),
    )
    desk.tell(Topic.PORTFOLIO, report)


def _done(desk: Desk, confirmed: list[Difference]) -> str:
    """What follows from the worst difference; that the book is halted comes before all else."""
    policies = [_policy(desk, each) for each in sorted(confirmed, key=lambda each: each.severity)]
    return "halt_and_alert" if "halt_and_alert" in policies else policies[0] if policies else ""


def _say_account(desk: Desk, account: VenueAccount) -> None:
    desk.state.account, desk.state.account_ns = account, desk.state.now_ns
    snapshot = AccountSnapshot(
        account=desk.config.account,
        ts_event_ns=desk.state.now_ns,
        currency=account.currency,
        cash=account.cash.get(account.currency, ZERO),
        equity=account.equity,
        buying_power=account.buying_power,
        daily_pnl=account.daily_pnl,
        unrealised_pnl=account.unrealised_pnl,
        realised_pnl=account.realised_pnl,
    )
    desk.tell(Topic.FILLS, snapshot)


def _say_positions(desk: Desk, books: Books) -> None:
    now_ns = desk.state.now_ns
    for position in sorted(books.positions, key=lambda each: each.symbol):
        snapshot = PositionSnapshot(
            account=desk.config.account,
            symbol=position.symbol,
            ts_event_ns=now_ns,
            quantity=position.quantity,
            average_price=position.average_price,
        )
        desk.tell(Topic.FILLS, snapshot)


def _next_look(desk: Desk, suspected: bool) -> None:
    """Soon where something is open, else at the usual interval."""
    state, config = desk.state, desk.config
    if suspected or state.doubted or any(live.absent_ns or live.state is OrderState.UNKNOWN for live in state.orders.values()):
        desk.ask(config.quiet_s)
    desk.ask(config.reconciliation.every_s)
