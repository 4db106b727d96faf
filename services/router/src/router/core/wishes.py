"""What becomes of a strategy's wish: the requests that go out, or why nothing does.

In:   Signal, CancelRequest, ModifyRequest.   Out: a `Decision`.
Not:  sending. A wish that is already true (a target reached, an exit of a flat position) is a decision for nothing.

An exit or a target takes back the bracket exits that guarded what it closes, and exits that rest for it: filled later, they
would open the opposite position. What takes back goes out before it, newest first.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from barque.errors import nearest
from barque.instruments import Instrument
from barque.messages import CancelOrder, CancelRequest, ModifyOrder, ModifyRequest, RejectReason, Signal, SubmitOrder
from router.core.ages import sized_by_equity
from router.core.amounts import Amounts
from router.core.breakers.board import Change
from router.core.checks.flow import note_intent
from router.core.checks.proposal import Proposal
from router.core.desk import Desk, Request
from router.core.exposure import open_quantities
from router.core.guards import take_back
from router.core.lifecycle import WORKING
from router.core.orders import changed_order, entry_order, exit_orders, modify_of
from router.core.refusal import Refusal
from router.core.risk import Risk, Setup
from router.core.sizing import Size, size
from router.core.state import ZERO, OpenOrder, RouterState


class Decision(msgspec.Struct, frozen=True):
    """What is to go out, why a wish is refused, and breakers that it tripped."""

    requests: Sequence[Request] = ()
    back: Sequence[CancelOrder | ModifyOrder] = ()
    """Guards that it takes back, before all else."""
    refusal: Refusal | None = None
    changes: Sequence[Change] = ()
    exits: bool = False
    """The first request is an exit that rests."""
    aim: Decimal | None = None
    """The position to which the first request leads: a target at market that opens something, beside other orders."""


class Wishes:
    """Decides, over one state."""

    def __init__(self, setup: Setup, state: RouterState, risk: Risk, desk: Desk) -> None:
        config = setup.config
        self._account = config.account
        self._instruments = setup.instruments
        self._strategy_ids = setup.strategy_ids
        self._state = state
        self._limits = risk.limits
        self._board = risk.board
        self._rates = risk.rates
        self._ages = risk.ages
        self._desk = desk
        self._prices = risk.prices
        self._amounts = Amounts(config.sizing, config.default_quantity, state, risk.prices)

    # -- signals -----------------------------------------------------------------------------------------------------

    def signal(self, signal: Signal, order_id: str) -> Decision:
        """`order_id`: of the order that it may become."""
        instrument = self._instruments.get(signal.symbol)
        refusal = self._unknown(signal, instrument)
        if refusal is None and signal.valid_until_ns is not None and signal.valid_until_ns < self._state.now_ns:
            late, now = str(signal.valid_until_ns), str(self._state.now_ns)
            detail = "its valid_until_ns has passed; see why it came late"
            refusal = Refusal(RejectReason.EXPIRED, detail, limit=late, actual=now)
        if refusal is not None or instrument is None:
            return Decision(refusal=refusal)
        if instrument.inverts:
            detail = f"{signal.symbol} is {instrument.inverts} the other way round; trade {instrument.inverts}"
            return Decision(refusal=Refusal(RejectReason.NOT_TRADABLE, detail))
        state = self._state
        blocked = self._board.blocks(signal.strategy_id) if state.trips or state.stopped else None
        if blocked is None and self._ages.matter:
            blocked = self._ages.refusal(signal, sized_by_equity(signal, self._amounts))
        wanted = size(signal, instrument, state, self._amounts, only_closing=blocked is not None)
        if isinstance(wanted, Refusal):
            return Decision(refusal=wanted)
        back = self._take_back(signal, wanted) if wanted.keeps is not None and state.orders else []
        if not wanted.quantity:
            return Decision(back=back)
        passed = self._limits.rules(signal.strategy_id, signal.symbol).passed(wanted.closes)
        entry = entry_order(signal, order_id, wanted, self._account, instrument, passed)
        if isinstance(entry, Refusal):
            return Decision(refusal=entry)
        if blocked is not None and not wanted.closes:
            return Decision(refusal=blocked)
        legs = exit_orders(signal, entry, instrument) if signal.take_profit is not None or signal.stop_loss is not None else []
        misplaced = self._misplaced(signal, entry) if legs else None
        if misplaced is not None:
            return Decision(refusal=misplaced)
        opens = 1 + len(legs)
        sends = opens + sum(type(request) is ModifyOrder for request in back) if back else opens
        exits = signal.order_type != "market" and signal.action != "enter" and (wanted.closes or signal.action != "target")
        aims = signal.action == "target" and state.orders and not entry.closes and signal.order_type == "market"
        proposal = Proposal(entry, instrument, entry.quantity, opens, sends)
        return self._checked(proposal, [entry, *legs], back, exits, self._aim(entry) if aims else None)

    def _misplaced(self, signal: Signal, entry: SubmitOrder) -> Refusal | None:
        """The exit of an entry at market that would trade as soon as that has: it is on the wrong side of the mark."""
        mark = self._prices.find(signal.symbol) if entry.order_type == "market" else None
        if mark is None:
            return None
        buys = entry.side == "buy"
        for name, price, above in (("take_profit", signal.take_profit, buys), ("stop_loss", signal.stop_loss, not buys)):
            if price is not None and (price <= mark if above else price >= mark):
                detail = f"to {entry.side} at {mark}, {name} {price} must be {'above' if above else 'below'}"
                return Refusal(RejectReason.PRICE, detail, limit=str(mark), actual=str(price))
        return None

    def _aim(self, entry: SubmitOrder) -> Decimal:
        """The strategy's position once `entry` has traded, and what is as good as filled before it."""
        state, place = self._state, (entry.strategy_id, entry.symbol)
        under_way = state.under_way(*place, "buy") - state.under_way(*place, "sell")
        return state.position(*place) + under_way + (entry.quantity if entry.side == "buy" else -entry.quantity)

    def _take_back(self, signal: Signal, wanted: Size) -> list[CancelOrder | ModifyOrder]:
        place, cause = (signal.strategy_id, signal.symbol), (signal.id, signal.root, signal.ts_event_ns)
        return take_back(self._state, place, wanted.side, wanted.keeps or ZERO, cause)

    def _checked(
        self,
        proposal: Proposal,
        requests: Sequence[Request],
        back: Sequence[CancelOrder | ModifyOrder] = (),
        exits: bool = False,
        aim: Decimal | None = None,
    ) -> Decision:
        """`requests`, if nothing speaks against them; remembers what is counted."""
        state, order = self._state, proposal.order
        rules = self._limits.rules(order.strategy_id, order.symbol)
        refusal = rules.refusal(proposal, state)
        changes: list[Change] = []
        if refusal is None:
            refusal, changes = self._rates.refusal(proposal)
        if refusal is not None:
            return Decision(refusal=refusal, changes=changes)
        if rules.duplicate_ns and proposal.opens:
            note_intent(state, order, rules.duplicate_ns)
        return Decision(requests, back, exits=exits, aim=aim)

    # -- cancels -----------------------------------------------------------------------------------------------------

    def cancel(self, request: CancelRequest) -> Decision:
        """Of one order, or of all of the strategy in the symbol; a halt does not stop it."""
        mine = list(self._state.open_of(request.strategy_id, request.symbol))
        if request.order_id is not None:
            mine = [each for each in mine if each.order.order_id == request.order_id]
            if not mine:
                return Decision(refusal=_not_open(request.order_id, "cancel"))
        return Decision([*self._desk.cancels(mine, request.id, request.root, request.ts_event_ns)])

    # -- changes -----------------------------------------------------------------------------------------------------

    def modify(self, request: ModifyRequest) -> Decision:
        """Of one working order; of a bracket's entry, its exits follow its quantity."""
        instrument = self._instruments.get(request.symbol)
        refusal = self._unknown(request, instrument)
        if refusal is not None or instrument is None:
            return Decision(refusal=refusal)
        open_order = self._state.orders.get(request.order_id)
        if open_order is None or (open_order.order.strategy_id, open_order.order.symbol) != (request.strategy_id, request.symbol):
            return Decision(refusal=_not_open(request.order_id, "change"))
        legs = self._legs_to_follow(request, open_order)
        for each in (open_order, *legs):
            if each.state not in WORKING:
                detail = (
                    f"order {each.order.order_id} is {each.state}; it must be at work, with nothing asked of it, to be changed"
                )
                return Decision(refusal=Refusal(RejectReason.ORDER_STATE, detail, actual=each.state))
        changed = changed_order(request, open_order, instrument)
        if isinstance(changed, Refusal):
            return Decision(refusal=changed)
        if changed == open_order.order:
            return Decision()
        return self._changed(request, open_order, changed, legs, instrument)

    def _changed(
        self, request: ModifyRequest, open_order: OpenOrder, changed: SubmitOrder, legs: list[OpenOrder], instrument: Instrument
    ) -> Decision:
        old = open_order.order
        grown = changed.quantity - old.quantity
        closes = self._still_closes(open_order, grown)
        shrinks_only = msgspec.structs.replace(changed, quantity=old.quantity) == old and grown < 0
        blocked = self._board.blocks(request.strategy_id) or self._ages.refusal(request, sized=False)
        if blocked is not None and not closes and not shrinks_only:
            return Decision(refusal=blocked)
        origin = (request.id, request.root, request.ts_event_ns)
        requests: list[Request] = [modify_of(old, changed, *origin)]
        for leg in legs:
            requests.append(modify_of(leg.order, msgspec.structs.replace(leg.order, quantity=changed.quantity), *origin))
        order = changed if changed.closes == closes else msgspec.structs.replace(changed, closes=closes)
        if shrinks_only:
            order = msgspec.structs.replace(order, closes=True)
        return self._checked(Proposal(order, instrument, grown, 0, len(requests)), requests)

    def _legs_to_follow(self, request: ModifyRequest, open_order: OpenOrder) -> list[OpenOrder]:
        """Exits that wait for the entry whose quantity is to change."""
        order = open_order.order
        if request.quantity is None or request.quantity == order.quantity:
            return []
        return [each for each in self._state.orders.values() if each.order.parent_id == order.order_id]

    def _still_closes(self, open_order: OpenOrder, grown: Decimal) -> bool:
        """Whether the order can only close, with `grown` contracts more."""
        order, state = open_order.order, self._state
        if not order.closes or grown <= 0:
            return order.closes
        position = state.position(order.strategy_id, order.symbol)
        held = position if order.side == "sell" else -position
        opened: Decimal = open_quantities(state, order.symbol, order.side).get(order.strategy_id, ZERO)
        return held - opened >= grown

    # -- both --------------------------------------------------------------------------------------------------------

    def _unknown(self, wish: Signal | ModifyRequest, instrument: Instrument | None) -> Refusal | None:
        """What no order can come of, whatever it says."""
        if self._state.halted:
            return Refusal(RejectReason.HALTED, "the book is halted; resume it first")
        if wish.strategy_id not in self._strategy_ids:
            known = nearest(wish.strategy_id, sorted(self._strategy_ids))
            return Refusal(RejectReason.UNKNOWN_STRATEGY, f"strategy {wish.strategy_id} is not configured; {known}")
        if instrument is None:
            known = nearest(wish.symbol, sorted(self._instruments))
            return Refusal(RejectReason.UNKNOWN_SYMBOL, f"symbol {wish.symbol} has no [[instruments]] entry; {known}")
        return None


def _not_open(order_id: str, verb: str) -> Refusal:
    detail = f"order {order_id} is not an open order of this strategy; nothing to {verb}"
    return Refusal(RejectReason.UNKNOWN_ORDER, detail)
