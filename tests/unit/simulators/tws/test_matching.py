"""The exchange without a wire: laws that hold whatever is placed, changed, cancelled and quoted."""

from __future__ import annotations

from collections import Counter
from datetime import date
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.tws.account import Account, cross_rate
from simulators.tws.book import Book
from simulators.tws.catalogue import Catalogue
from simulators.tws.contract import Contract
from simulators.tws.events import Changed, Event, Executed, Said
from simulators.tws.limits import Limits
from simulators.tws.market import Lane, Market, Tick
from simulators.tws.matching import Exchange
from simulators.tws.orders import Order
from simulators.tws.place_order import PlaceOrder

SPY = Contract(con_id=756733, exchange="SMART")
NS = 10**9
CATALOGUE = Catalogue(date(2026, 12, 1))


class Floor:
    """An exchange, its market, and what it reported."""

    def __init__(self, **limits: int) -> None:
        self.now_ns = 1_796_137_200 * NS
        self.catalogue = CATALOGUE
        self.market = Market(self.catalogue, lambda: self.now_ns, keep_hours=False)
        self.account = Account("DU1", Decimal(10_000_000), self.market.mid)
        self.account.rate_source = lambda currency: cross_rate(
            currency, "USD", lambda pair: self.market.mid(self.catalogue.named(pair))
        )
        self.events: list[Event] = []
        accounts = {"DU1": self.account}
        self.exchange = Exchange(accounts, self.market, Limits(**limits), lambda: self.now_ns, self.events.append)  # type: ignore[arg-type]
        self.book = Book(accounts)
        self.lane: Lane = self.market.named("SPY")
        self.ids = 0

    def place(self, kind: str = "LMT", action: str = "BUY", quantity: int = 100, **terms: object) -> int:
        self.ids += 1
        order = PlaceOrder(
            order_id=self.ids,
            contract=SPY,
            action=action,
            quantity=Decimal(quantity),
            order_type=kind,
            order_ref=f"r{self.ids}",
            **({"tif": "GTC"} | terms),  # type: ignore[arg-type]
        )
        self.exchange.place(order, 7, "DU1")
        return self.ids

    def quote(self, bid: int, size: int = 100) -> None:
        """Bid in cents; the ask is a cent higher."""
        self.lane.quote(Tick(self.now_ns, bid / 100, (bid + 1) / 100, size, size))
        self.exchange.match(self.lane)

    def order(self, number: int) -> Order:
        return self.book.order(f"r{number}")


STEPS = st.one_of(
    st.tuples(
        st.just("place"), st.sampled_from(["MKT", "LMT", "STP", "MIT", "TRAIL"]), st.booleans(), st.integers(59_800, 60_200)
    ),
    st.tuples(st.just("bracket"), st.integers(59_900, 60_100)),
    st.tuples(st.just("oca"), st.integers(1, 3), st.integers(59_900, 60_100)),
    st.tuples(st.just("cancel"), st.integers(1, 20)),
    st.tuples(st.just("quote"), st.integers(59_700, 60_300), st.integers(1, 300)),
)


def play(floor: Floor, step: tuple[object, ...]) -> None:
    match step:
        case ("place", str(kind), bool(buys), int(cents)):
            price = Decimal(cents) / 100
            prices = {"LMT": {"limit_price": price}, "STP": {"aux_price": price}, "MIT": {"aux_price": price}, "MKT": {}}
            floor.place(kind, "BUY" if buys else "SELL", **prices.get(kind, {"aux_price": Decimal("0.50")}))
        case ("bracket", int(cents)):
            price = Decimal(cents) / 100
            parent = floor.place("LMT", "BUY", limit_price=price, transmit=False)
            floor.place("LMT", "SELL", limit_price=price + 1, parent_id=parent, transmit=False)
            floor.place("STP", "SELL", aux_price=price - 1, parent_id=parent)
        case ("oca", int(kind), int(cents)):
            for step_cents in (0, 50):
                floor.place(
                    "LMT", "BUY", limit_price=Decimal(cents - step_cents) / 100, oca_group=f"g{floor.ids // 9}", oca_type=kind
                )
        case ("cancel", int(number)):
            floor.exchange.cancel(number, 7)
        case ("quote", int(cents), int(size)):
            floor.quote(cents, size)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_what_was_executed_is_what_orders_accounts_and_reports_say(steps: list[tuple[object, ...]]) -> None:
    floor = Floor(orders_per_side=1_000)
    floor.exchange.match_sizes = True
    for step in steps:
        play(floor, step)
    executed: Counter[int] = Counter()
    cash = Decimal(10_000_000)
    for event in floor.events:
        if isinstance(event, Executed):
            execution = event.execution
            signed = execution.quantity if execution.order.is_buy else -execution.quantity
            executed[execution.order.order_id] += int(execution.quantity)
            cash -= signed * execution.price + execution.commission
    for order in floor.book.orders:
        assert order.filled == executed[order.order_id] <= order.quantity
        assert (order.status == "Filled") == (order.filled == order.quantity and order.filled > 0)
        assert order.is_open == (order in floor.book.open_orders)
        children = floor.exchange.register.children(order)
        assert sum(child.filled for child in children) <= order.filled, "exits never outgrow their entry"
    signed_total = sum(order.filled if order.is_buy else -order.filled for order in floor.book.orders)
    assert floor.book.position("SPY") == signed_total
    assert floor.account.cash["USD"] == cash
    assert len({execution.exec_id for execution in floor.book.executions}) == len(floor.book.executions)


@settings(max_examples=30, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_nothing_happens_to_an_order_that_is_done(steps: list[tuple[object, ...]]) -> None:
    floor = Floor(orders_per_side=1_000)
    for step in steps:
        done = {
            order.perm_id: (order.status, order.filled)
            for order in floor.book.orders
            if not order.is_open and order.status != "Held"
        }
        play(floor, step)
        assert done.items() <= {order.perm_id: (order.status, order.filled) for order in floor.book.orders}.items()


def test_limits_are_never_passed_and_stops_never_trigger_early() -> None:
    floor = Floor()
    resting = floor.place("LMT", limit_price=Decimal("599.90"))
    stop = floor.place("STP", "SELL", aux_price=Decimal("599.50"))
    for cents in range(60_000, 59_940, -1):
        floor.quote(cents)
        assert (floor.order(resting).filled > 0) == (cents + 1 <= 59_990)
        assert (floor.order(stop).filled > 0) == (cents <= 59_950)
    assert floor.order(resting).average == Decimal("599.9")
    assert floor.order(stop).average == Decimal("599.5")


def test_a_plan_of_fills_is_kept_to_the_letter() -> None:
    floor = Floor()
    floor.exchange.plan("r1", [Decimal(30), Decimal(20)])
    number = floor.place("MKT")
    filled = []
    for _ in range(4):
        filled.append(floor.order(number).filled)
        floor.quote(60_000)
    assert filled == [30, 50, 50, 50]


def test_an_id_below_one_that_was_used_is_refused_unless_that_limit_is_off() -> None:
    for rising, codes in ((True, [103]), (False, [])):
        floor = Floor(rising_order_ids=rising)
        floor.ids = 9
        floor.place(limit_price=Decimal("500"))
        floor.ids = 3
        floor.place(limit_price=Decimal("500"))
        assert [event.code for event in floor.events if isinstance(event, Said)] == codes


def test_each_change_is_reported_once() -> None:
    floor = Floor()
    floor.place(limit_price=Decimal("500"))
    assert [type(event) for event in floor.events] == [Changed]
    floor.exchange.cancel(1, 7)
    assert [type(event) for event in floor.events[1:]] == [Changed, Changed, Said]
    floor.exchange.cancel(1, 7)
    assert [event.code for event in floor.events if isinstance(event, Said)] == [202, 10148]
