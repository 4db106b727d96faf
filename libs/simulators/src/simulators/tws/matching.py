"""The simulated exchange: takes, changes, triggers, fills, cancels and expires orders.

In:   orders and cancels of clients; quotes and trades of the market; the time.   Out: events, in the order in which they happen.
Not:  an order book. An order meets one price and size per side; how much of it fills at a time is scripted (`plan`), else all.

- Market orders get the other side's quote. A limit order that can trade on arrival does too; one that rested gets its limit.
- Stops, trails and triggers watch the last trade where the contract has traded, else the quote of the side they would trade at.
- A bracket's children wait for their parent, work for as much as it has filled, and take from one another what one fills.
- OCA groups: a fill cancels the others (type 1) or reduces them in proportion (2 and 3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal

from simulators.tws import checks
from simulators.tws.account import Account, commission_of
from simulators.tws.catalogue import Catalogue
from simulators.tws.events import Changed, Estimated, Event, Executed, Refusal, Said
from simulators.tws.limits import Limits
from simulators.tws.listing import Listing
from simulators.tws.market import Lane, Market
from simulators.tws.orders import NOTHING, Execution, Order
from simulators.tws.place_order import PlaceOrder
from simulators.tws.register import Register
from simulators.tws.triggers import follow, triggers

ALL = Decimal("Infinity")
"""In a plan of fills: everything that is left."""


class Exchange:
    """All orders of all accounts."""

    def __init__(
        self,
        accounts: Mapping[str, Account],
        market: Market,
        limits: Limits,
        clock: Callable[[], int],
        tell: Callable[[Event], None],
    ) -> None:
        self._accounts = accounts
        self._market = market
        self._limits = limits
        self._clock = clock
        self._tell = tell
        self.register = Register()
        self._plans: dict[str, list[Decimal]] = {}
        self._execs = 0
        self.match_sizes = False
        """Fill no more at a time than is quoted."""

    # --- what clients ask -----------------------------------------------------------------------------------------

    def place(self, terms: PlaceOrder, client_id: int, account: str) -> None:
        """A new order, a change of one, or a what-if."""
        refusal = checks.wording(terms) or self._place(terms, client_id, account)
        if refusal is not None:
            self._tell(Said(client_id, terms.order_id, refusal.code, refusal.text))

    def _place(self, terms: PlaceOrder, client_id: int, account: str) -> Refusal | None:
        listing = self._listing(terms)
        if isinstance(listing, Refusal):
            return listing
        refusal = checks.grid(terms, listing, self.catalogue)
        if refusal is not None:
            return refusal
        order = self.register.get(client_id, terms.order_id)
        if terms.what_if:
            self._estimate(terms, listing, client_id, account)
            return None
        return self._take(terms, listing, client_id, account) if order is None else self._change(order, terms)

    def cancel(self, order_id: int, client_id: int) -> None:
        order = self.register.get(client_id, order_id)
        if order is None:
            self._tell(Said(client_id, order_id, 10147, f"OrderId {order_id} that needs to be cancelled is not found."))
        elif not order.is_open and order.status != "Held":
            text = f"OrderId {order_id} that needs to be cancelled cannot be cancelled, state: {order.status}."
            self._tell(Said(client_id, order_id, 10148, text))
        else:
            order.status = "PendingCancel"
            self._tell(Changed(order, echo=False))
            self.end(order, "Cancelled", reason="")

    def cancel_all(self, account: str | None = None) -> None:
        """`reqGlobalCancel`: every open order, also those of other clients."""
        for order in [order for order in self.open_orders() if account in (None, order.account)]:
            if order.is_open:
                self.end(order, "Cancelled", reason="")

    # --- what the market does -------------------------------------------------------------------------------------

    def match(self, lane: Lane) -> None:
        """Every order of this lane against its quote and last trade."""
        at_work = self.register.at_work(lane.listing)
        if at_work and self._market.is_open(lane) and not lane.halted:
            for order in at_work:
                self._match(order, lane)

    def reopened(self, lane: Lane) -> None:
        """The market of a lane opened or closed: its orders stand otherwise now, and may match."""
        for order in self.register.at_work(lane.listing):
            was = order.status
            if was == "Inactive":
                continue
            self._stand(order)
            if order.status != was:
                self._tell(Changed(order, echo=False))
        self.match(lane)

    def expire(self) -> None:
        """DAY and GTD orders whose time is over."""
        now_ns = self._clock()
        for order in self.open_orders():
            if order.expires_ns is not None and order.expires_ns <= now_ns and order.is_open:
                self.end(order, "Cancelled", reason=None)

    # --- what scripts do ------------------------------------------------------------------------------------------

    def plan(self, key: str, portions: list[Decimal]) -> None:
        """How the order with this reference, or all orders on this listing, will fill: a portion per match; `[]`: not at all."""
        self._plans[key] = list(portions)

    def unplan(self, name: str) -> None:
        """Orders on this listing fill at once again; those that are at work too."""
        self._plans.pop(name, None)
        for order in self.open_orders():
            if order.listing.name == name:
                order.fill_plan = [ALL]

    def fill(self, order: Order, quantity: Decimal, price: Decimal | None = None) -> Execution:
        """A fill whatever the market and the order's status, late ones after a cancel too."""
        lane = self._market.lane(order.listing)
        at = price or lane.exact(order.is_buy) or self._market.mid(order.listing)
        return self._execute(order, quantity, at)

    def end(self, order: Order, status: str, reason: str | None, code: int = 202) -> None:
        """Cancelled, refused or expired; with an error to its client unless `reason` is None."""
        order.status = "Inactive" if status == "Inactive" else "Cancelled"
        order.done_ns, order.why_held = self._clock(), ""
        order.end_text = reason or ("Cancelled by Trader" if reason == "" else "Expired")
        self.register.retire(order)
        self._tell(Changed(order, echo=status == "Inactive"))
        if reason is not None:
            text = f"Order Canceled - reason:{reason}" if code == 202 else reason
            self._tell(Said(order.client_id, order.order_id, code, text))
        self._ended(order)

    def adopt(self, order: Order) -> None:
        """An order that came from elsewhere: by hand in TWS, or from another client."""
        self.register.add(order)
        self._accounts[order.account].orders.append(order)
        self._start(order)

    def revive(self, order: Order) -> None:
        """One that was `Inactive` is at work again."""
        self._stand(order)
        self._tell(Changed(order))
        self.match(self._market.lane(order.listing))

    def forget_untransmitted(self) -> None:
        """As a restart of the Gateway does; they never were at the broker."""
        for order in self.register.forget_untransmitted():
            self._accounts[order.account].orders.remove(order)

    # --- questions ------------------------------------------------------------------------------------------------

    @property
    def catalogue(self) -> Catalogue:
        return self._market.catalogue

    def open_orders(self) -> Iterator[Order]:
        """Oldest first; not those that wait for their transmission."""
        return self.register.open()

    # --- taking an order ------------------------------------------------------------------------------------------

    def _listing(self, terms: PlaceOrder) -> Listing | Refusal:
        wanted = terms.contract
        if wanted.sec_type == "CONTFUT":
            return Refusal(321, "Error validating request.-'bW' : cause - CONTFUT cannot be traded")
        found = self.catalogue.find(wanted)
        if not found:
            return Refusal(200, "No security definition has been found for the request")
        if len(found) > 1:
            return Refusal(200, f"The contract description specified for {wanted.symbol} is ambiguous.")
        if wanted.con_id and not found[0].matches(wanted):
            return Refusal(478, "Conflicting contract parameters: the contract id and the other fields name two contracts")
        return found[0]

    def _take(self, terms: PlaceOrder, listing: Listing, client_id: int, account: str) -> Refusal | None:
        if self._limits.rising_order_ids and terms.order_id <= self.register.highest(client_id):
            return Refusal(103, "Duplicate order id")
        if terms.parent_id and self.register.get(client_id, terms.parent_id) is None:
            return Refusal(135, f"Can't find order with id ={terms.parent_id}")
        mine = (order for order in self.open_orders() if order.account == account)
        refusal = checks.crowd(terms, listing, mine, self._limits.orders_per_side)
        if refusal is not None:
            return refusal
        order = self._new(terms, listing, client_id, account)
        self.register.add(order)
        self._accounts[account].orders.append(order)
        if terms.tif == "":
            text = "Order TIF was set to DAY based on order preset."
            self._tell(Said(client_id, terms.order_id, 10349, text))
        self._transmit(order)
        return None

    def _new(self, terms: PlaceOrder, listing: Listing, client_id: int, account: str) -> Order:
        return Order(
            terms=terms,
            listing=listing,
            account=account,
            client_id=client_id,
            order_id=terms.order_id,
            perm_id=self.register.new_perm_id(),
            quantity=terms.quantity,
            status="Held",
            placed_ns=self._clock(),
        )

    def _transmit(self, order: Order) -> None:
        """The transmit gate: an order without the flag waits; one with it brings its parent and its siblings along."""
        if not order.terms.transmit:
            return
        parent = self.register.parent(order)
        family = [order] if parent is None else [parent, *self.register.children(parent)]
        for member in family:
            if member.status == "Held":
                self._start(member)

    def _start(self, order: Order) -> None:
        """At the exchange from now on."""
        order.status = "PreSubmitted"
        order.expires_ns = checks.expiry(order, self._clock())
        self.register.begin(order)
        margin = checks.margin(order, self._accounts[order.account]) if self._limits.margin else None
        if margin is not None:
            self.end(order, "Cancelled", margin.text, margin.code)
            return
        lane = self._market.lane(order.listing)
        order.fill_plan = self._plans.pop(order.ref, self._plans.get(order.listing.name, [ALL])).copy()
        self._stand(order)
        for notice in checks.notices(order, self._accounts[order.account], self._market.is_open(lane)):
            self._tell(Said(order.client_id, order.order_id, notice.code, notice.text))
        self._tell(Changed(order))
        if self._market.is_open(lane) and not lane.halted:
            self._match(order, lane, arriving=True)
        if order.is_open and order.terms.tif in ("IOC", "FOK"):
            self.end(order, "Cancelled", reason="")

    def _stand(self, order: Order) -> None:
        """Status and reason of waiting of an order that is at work."""
        parent = self.register.parent(order)
        child = parent is not None and not parent.filled
        waits = not order.triggered and order.terms.order_type not in ("MKT", "LMT")
        closed = not self._market.is_open(self._market.lane(order.listing))
        order.why_held = ",".join(word for word, holds in (("child", child), ("trigger", waits)) if holds)
        order.status = "PreSubmitted" if child or waits or closed or order.terms.order_type == "MKT" else "Submitted"

    def _estimate(self, terms: PlaceOrder, listing: Listing, client_id: int, account: str) -> None:
        order = self._new(terms, listing, client_id, account)
        signed = order.quantity if order.is_buy else -order.quantity
        commission = self._commission(order, order.quantity, self._market.mid(listing))
        self._tell(Estimated(order, self._accounts[account].what_if(listing, signed, commission)))

    def _change(self, order: Order, terms: PlaceOrder) -> Refusal | None:
        refusal = checks.change(order, terms)
        if refusal is not None:
            return refusal
        order.submissions += 1
        order.terms, order.quantity = terms, max(terms.quantity, order.filled)
        if order.status == "Held":
            self._transmit(order)
            return None
        order.expires_ns = checks.expiry(order, self._clock())
        if not order.triggered:
            order.stop = None
        if not order.remaining:
            self._done(order)
        else:
            self._stand(order)
        self._tell(Changed(order))
        self.match(self._market.lane(order.listing))
        return None

    # --- filling --------------------------------------------------------------------------------------------------

    def _match(self, order: Order, lane: Lane, arriving: bool = False) -> None:
        parent = self.register.parent(order)
        if not order.is_open or order.status == "Inactive" or (parent is not None and not parent.filled):
            return
        if order.terms.order_type not in ("MKT", "LMT") and not order.triggered:
            follow(order, lane, self.catalogue.step(order.listing, Decimal(repr(lane.mid))))
            if not triggers(order, lane):
                return
            order.triggered, arriving = True, True
            self._stand(order)
            self._tell(Changed(order))
        price = self._price(order, lane, arriving)
        if price is None:
            return
        quantity = self._portion(order, parent)
        if order.terms.tif == "FOK" and quantity < order.quantity:
            return
        if quantity > 0:
            self._execute(order, quantity, price)

    def _price(self, order: Order, lane: Lane, arriving: bool) -> Decimal | None:
        market = lane.exact(order.is_buy)
        limit = order.limit
        if market is None or limit is None:
            return market
        if market > limit if order.is_buy else market < limit:
            return None
        return market if arriving else limit

    def _portion(self, order: Order, parent: Order | None) -> Decimal:
        if not order.fill_plan:
            return NOTHING
        most = order.remaining
        if self.match_sizes:
            lane = self._market.lane(order.listing)
            most = min(most, Decimal(repr(lane.ask_size if order.is_buy else lane.bid_size)))
        if parent is not None:
            most = min(most, parent.filled - sum((child.filled for child in self.register.children(parent)), NOTHING))
        return min(order.fill_plan.pop(0), most) if order.fill_plan[0] != ALL else most

    def _commission(self, order: Order, quantity: Decimal, price: Decimal) -> Decimal:
        return commission_of(order.listing, quantity, price, self._accounts[order.account].rate(order.listing.currency))

    def _execute(self, order: Order, quantity: Decimal, price: Decimal) -> Execution:
        account = self._accounts[order.account]
        self._execs += 1
        order.filled += quantity
        order.value += quantity * price
        order.last_price = price
        commission = self._commission(order, quantity, price)
        order.commission += commission
        realized = account.book(order.listing, quantity if order.is_buy else -quantity, price, commission)
        execution = Execution(
            exec_id=f"0000e0d5.{self._execs:08x}.01.01",
            time_ns=self._clock(),
            order=order,
            quantity=quantity,
            price=price,
            cumulative=order.filled,
            average=order.average,
            commission=commission,
            commission_currency=account.currency,
            realized=realized,
            liquidity=2 if order.terms.order_type != "LMT" else 1,
        )
        account.executions.append(execution)
        if not order.remaining and order.is_open:
            self._done(order)
        elif order.is_open:
            order.status, order.why_held = "Submitted", ""
        self._tell(Executed(execution))
        self._shrink_group(order, quantity)
        for child in self.register.children(order):
            if child.is_open:
                was = (child.status, child.why_held)
                self._stand(child)
                if (child.status, child.why_held) != was:
                    self._tell(Changed(child))
                self._match(child, self._market.lane(child.listing), arriving=True)
        return execution

    def _done(self, order: Order) -> None:
        order.status, order.why_held, order.done_ns = "Filled", "", self._clock()
        self.register.retire(order)

    # --- families -------------------------------------------------------------------------------------------------

    def _shrink_group(self, order: Order, quantity: Decimal) -> None:
        """What a fill takes from the others of its OCA group, or of its bracket."""
        before = order.remaining + quantity
        parent = self.register.parent(order)
        for other in self.open_orders():
            if other is order or other.account != order.account:
                continue
            grouped = bool(order.terms.oca_group) and other.terms.oca_group == order.terms.oca_group
            siblings = parent is not None and self.register.parent(other) is parent
            if not grouped and not siblings:
                continue
            left = other.remaining * order.remaining / before
            left -= left % other.listing.size_step
            if (grouped and order.terms.oca_type == 1) or left <= 0:
                self.end(other, "Cancelled", reason="")
            else:
                other.quantity = other.filled + left
                self._tell(Changed(other))

    def _ended(self, order: Order) -> None:
        """A parent that ends: its children keep what it has filled and they have not, or end with it."""
        children = self.register.children(order)
        left = order.filled - sum((child.filled for child in children), NOTHING)
        for child in children:
            if child.is_open and left <= 0 and child.filled:
                child.quantity = child.filled
                self._done(child)
                self._tell(Changed(child))
            elif child.status == "Held" or (child.is_open and left <= 0):
                self.end(child, "Cancelled", reason="")
            elif child.is_open and child.remaining > left:
                child.quantity = child.filled + left
                self._tell(Changed(child))
