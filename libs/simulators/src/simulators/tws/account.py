"""One account at the simulated broker: cash by currency, holdings, orders and executions, and the figures TWS shows of them.

In:   executions, and a mid price per listing.   Out: account values, portfolio items, PnL, margins.
Not:  interest, dividends, daily settlement, taxes.

Forex moves cash in both currencies and is shown as a virtual position besides, as TWS does. Futures move their realised profit
only. Stocks and options move their whole value. All figures are exact decimals; what is shown is rounded to cents.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import msgspec

from simulators.tws.hours import NS_PER_S
from simulators.tws.listing import Listing
from simulators.tws.orders import NOTHING, Execution, Margins, Order
from simulators.tws.seeds import FX_PAIRS

CENT = Decimal("0.01")
MARGIN_RATES = {
    "CASH": (Decimal("0.03"), Decimal("0.025")),
    "STK": (Decimal("0.5"), Decimal("0.25")),
    "FUT": (Decimal("0.07"), Decimal("0.06")),
    "OPT": (Decimal(1), Decimal(1)),
}
"""Initial and maintenance margin as a part of the value held. Not IBKR's figures: simple ones."""
NEW_YORK = ZoneInfo("America/New_York")

Mid = Callable[[Listing], Decimal]


class Holding(msgspec.Struct, kw_only=True):
    """A position in one contract."""

    listing: Listing
    quantity: Decimal = NOTHING
    average: Decimal = NOTHING
    """Average price paid, without commission."""
    realized: Decimal = NOTHING
    """In the contract's currency."""

    def unrealized(self, price: Decimal) -> Decimal:
        return (price - self.average) * self.quantity * self.listing.units

    def take(self, quantity: Decimal, price: Decimal) -> Decimal | None:
        """Book a signed fill; what it realises, None for one that only opens."""
        before, after = self.quantity, self.quantity + quantity
        closed = min(abs(quantity), abs(before)) if before * quantity < 0 else NOTHING
        realized = (price - self.average) * closed * (1 if before > 0 else -1) * self.listing.units if closed else None
        if before * quantity >= 0:
            self.average = (self.average * before + price * quantity) / after
        elif before * after <= 0:
            self.average = price if after else NOTHING
        self.quantity = after
        self.realized += realized or 0
        return realized


class Account:
    """State that outlives connections and restarts of the Gateway."""

    def __init__(self, name: str, cash: Decimal, mid: Mid, currency: str = "USD") -> None:
        self.name = name
        self.currency = currency
        self._deposit = cash
        self.cash: defaultdict[str, Decimal] = defaultdict(Decimal, {currency: cash})
        self.holdings: dict[int, Holding] = {}
        self.orders: list[Order] = []
        self.executions: list[Execution] = []
        self.commissions = NOTHING
        self.realized = NOTHING
        """Profit realised, in the account's currency, before commissions."""
        self._mid = mid
        self._rates: dict[str, Decimal] = {}
        self.rate_source: Callable[[str], Decimal] = lambda currency: Decimal(1)

    # --- what happens ---------------------------------------------------------------------------------------------

    def book(self, listing: Listing, quantity: Decimal, price: Decimal, commission: Decimal) -> Decimal | None:
        """A signed fill: moves cash and the holding; gives what it realised, in the account's currency."""
        holding = self.holdings.setdefault(listing.con_id, Holding(listing=listing))
        realized = holding.take(quantity, price)
        value = quantity * price * listing.units
        if listing.is_fx:
            self.cash[listing.symbol] += quantity
            self.cash[listing.currency] -= value
        elif listing.sec_type == "FUT":
            self.cash[listing.currency] += realized or NOTHING
        else:
            self.cash[listing.currency] -= value
        self.cash[self.currency] -= commission
        self.commissions += commission
        if realized is None:
            return None
        in_base = realized * self.rate(listing.currency)
        self.realized += in_base
        return in_base - commission

    def book_anew(self) -> None:
        """All executions from the beginning, each as last corrected."""
        last = {execution.root: execution for execution in self.executions}
        self.cash.clear()
        self.cash[self.currency] = self._deposit
        self.commissions = self.realized = NOTHING
        for holding in self.holdings.values():
            holding.quantity = holding.average = holding.realized = NOTHING
        for execution in last.values():
            if not execution.quantity:
                continue  # busted
            signed = execution.quantity if execution.order.is_buy else -execution.quantity
            self.book(execution.order.listing, signed, execution.price, execution.commission)

    # --- figures --------------------------------------------------------------------------------------------------

    def rate(self, currency: str) -> Decimal:
        """One unit of `currency` in the account's."""
        return Decimal(1) if currency == self.currency else self.rate_source(currency)

    def net_liquidation(self) -> Decimal:
        """Everything at the mid, in the account's currency."""
        total = sum((amount * self.rate(currency) for currency, amount in self.cash.items()), NOTHING)
        for holding in self.holdings.values():
            listing, price = holding.listing, self._mid(holding.listing)
            if listing.sec_type == "FUT":
                total += holding.unrealized(price) * self.rate(listing.currency)
            elif not listing.is_fx:
                total += holding.quantity * price * listing.units * self.rate(listing.currency)
        return total

    def unrealized(self) -> Decimal:
        return sum((h.unrealized(self._mid(h.listing)) * self.rate(h.listing.currency) for h in self.holdings.values()), NOTHING)

    def margins(self) -> tuple[Decimal, Decimal]:
        """Initial and maintenance margin of what is held."""
        parts = [self._margin(h.listing, h.quantity) for h in self.holdings.values()]
        return sum((p[0] for p in parts), NOTHING), sum((p[1] for p in parts), NOTHING)

    def what_if(self, listing: Listing, quantity: Decimal, commission: Decimal) -> Margins:
        """What a signed trade would change."""
        held = self.holdings.get(listing.con_id)
        had = held.quantity if held else NOTHING
        before, after = self._margin(listing, had), self._margin(listing, had + quantity)
        initial, maintenance = self.margins()
        equity = self.net_liquidation()

        def moved(now: Decimal, change: Decimal) -> tuple[Decimal, Decimal, Decimal]:
            return _cents(now), _cents(change), _cents(now + change)

        return Margins(
            initial=moved(initial, after[0] - before[0]),
            maintenance=moved(maintenance, after[1] - before[1]),
            equity=moved(equity, -commission),
            commission=commission,
            currency=self.currency,
        )

    def _margin(self, listing: Listing, quantity: Decimal) -> tuple[Decimal, Decimal]:
        value = abs(quantity) * self._mid(listing) * listing.units * self.rate(listing.currency)
        initial, maintenance = MARGIN_RATES.get(listing.sec_type, (Decimal(1), Decimal(1)))
        return value * initial, value * maintenance

    def values(self) -> list[tuple[str, str, str]]:
        """Tag, value, currency: those of account updates."""
        base = self.currency
        equity, cash = self.net_liquidation(), sum((a * self.rate(c) for c, a in self.cash.items()), NOTHING)
        initial, maintenance = self.margins()
        figures = [
            ("NetLiquidation", equity),
            ("TotalCashValue", cash),
            ("EquityWithLoanValue", equity),
            ("GrossPositionValue", self._gross()),
            ("InitMarginReq", initial),
            ("MaintMarginReq", maintenance),
            ("AvailableFunds", equity - initial),
            ("ExcessLiquidity", equity - maintenance),
            ("BuyingPower", (equity - initial) * 4),
            ("UnrealizedPnL", self.unrealized()),
            ("RealizedPnL", self.realized - self.commissions),
        ]
        shown = [("AccountCode", self.name, ""), ("AccountType", "INDIVIDUAL", ""), ("AccountReady", "true", "")]
        shown += [(tag, str(_cents(value)), base) for tag, value in figures]
        shown.append(("CashBalance", str(_cents(cash)), "BASE"))
        for currency, amount in sorted(self.cash.items()):
            shown.append(("CashBalance", str(_cents(amount)), currency))
            shown.append(("ExchangeRate", f"{self.rate(currency):.7f}", currency))
        return shown

    def _gross(self) -> Decimal:
        return sum((self._margin_value(h) for h in self.holdings.values() if h.listing.sec_type in ("STK", "OPT")), NOTHING)

    def _margin_value(self, holding: Holding) -> Decimal:
        listing = holding.listing
        return abs(holding.quantity) * self._mid(listing) * listing.units * self.rate(listing.currency)

    def today(self, now_ns: int) -> list[Execution]:
        """Those since midnight in New York: all that `reqExecutions` can see."""
        start_ns = midnight_ns(now_ns)
        return [execution for execution in self.executions if execution.time_ns >= start_ns]


def midnight_ns(now_ns: int) -> int:
    """The beginning of the day in New York."""
    now = datetime.fromtimestamp(now_ns / NS_PER_S, UTC).astimezone(NEW_YORK)
    return int(now.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()) * NS_PER_S


def commission_of(listing: Listing, quantity: Decimal, price: Decimal, rate: Decimal) -> Decimal:
    """In the account's currency, cents: simple figures in the manner of IBKR's tariff. `rate`: the contract's currency in it."""
    if listing.is_fx:
        return _cents(max(Decimal(2), quantity * price * rate * Decimal("0.00002")))
    if listing.sec_type == "STK":
        return _cents(max(Decimal(1), quantity * Decimal("0.005")))
    if listing.sec_type == "OPT":
        return _cents(max(Decimal(1), quantity * Decimal("0.65")))
    return _cents(quantity * Decimal("2.25"))


def _cents(value: Decimal) -> Decimal:
    return value.quantize(CENT)


def cross_rate(currency: str, base: str, mid: Callable[[str], Decimal]) -> Decimal:
    """One unit of `currency` in `base`, by the pairs that the simulator knows."""
    if currency + base in FX_PAIRS:
        return mid(currency + base)
    if base + currency in FX_PAIRS:
        return 1 / mid(base + currency)
    return cross_rate(currency, "USD", mid) * cross_rate("USD", base, mid)
