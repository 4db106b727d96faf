"""Which contract of Interactive Brokers each symbol of ours is: resolved, qualified, cached; its price grid; the front month.

In:   `[[ibkr.contracts]]`, instruments, the Gateway's contract details.   Out: `Listing`s, by symbol and by con id.
Not:  a guess. Where nothing or several things fit, or where the broker's contract is not what the instrument says (its
      multiplier, its currency), the configuration is refused: a wrong multiplier is a wrong position.

For orders and data only con id and exchange go to the wire: what details bring (an expiry with a time, say) is refused in orders.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Any, Literal

import msgspec
import structlog
from ib_async import Contract, ContractDetails

from barque.errors import ConfigError, VenueRefused, VenueUnavailable
from barque.instruments import Instrument
from venues.ibkr.config import FRONT, ContractConfig, IbkrConfig, SecType, check_symbols
from venues.ibkr.hours import closes_ns
from venues.ibkr.session import Session

log = structlog.get_logger()

Towards = Literal["down", "up", "nearest"]
_ROUNDING = {"down": ROUND_FLOOR, "up": ROUND_CEILING, "nearest": ROUND_HALF_EVEN}
MOST_SHOWN = 6


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """From `low_edge` on, prices are multiples of `increment`."""

    low_edge: Decimal
    increment: Decimal


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """A contract of Interactive Brokers, and what of its details we need."""

    symbol: str
    """Ours."""
    con_id: int
    sec_type: SecType
    exchange: str
    venue_symbol: str
    local_symbol: str
    currency: str
    trading_class: str = ""
    multiplier: Decimal = Decimal(1)
    """Theirs, of futures and options; 1 otherwise."""
    expiry: date | None = None
    """Last trading day."""
    min_tick: Decimal = Decimal("0.01")
    steps: tuple[Step, ...] = ()
    """The market rule of the exchange, lowest first; empty: `min_tick` everywhere."""
    size_min: Decimal = Decimal(0)
    size_step: Decimal = Decimal(0)
    """In their units; 0: not told."""
    price_magnifier: int = 1
    time_zone: str = ""
    trading_hours: str = ""
    """`20261218:1700-20261219:1600;20261220:CLOSED`, in `time_zone`."""
    liquid_hours: str = ""
    """Regular hours, in the same form."""
    order_types: str = ""
    outside_rth: bool = False
    unit: Decimal = Decimal(1)
    """Units of theirs in one contract of ours: 100,000 of a currency pair."""

    def day_ends_ns(self, now_ns: int) -> int | None:
        """When an order of the day that is there at `now_ns` runs out of time; None: the broker does not say."""
        regular = self.sec_type in ("STK", "OPT") and not self.outside_rth
        return closes_ns(self.liquid_hours if regular else self.trading_hours, self.time_zone, now_ns)

    def increment_at(self, price: Decimal) -> Decimal:
        """The price step at `price`."""
        fitting = [step.increment for step in self.steps if step.low_edge <= abs(price)]
        return fitting[-1] if fitting else self.min_tick

    def on_grid(self, price: Decimal, towards: Towards) -> Decimal:
        """`price` on the grid on which the exchange takes orders.

        >>> pair = Listing(symbol="USDJPY", con_id=1, sec_type="CASH", exchange="IDEALPRO", venue_symbol="USD",
        ...     local_symbol="USD.JPY", currency="JPY", min_tick=Decimal("0.005"))
        >>> pair.on_grid(Decimal("150.004"), "down"), pair.on_grid(Decimal("150.001"), "up")
        (Decimal('150.000'), Decimal('150.005'))
        """
        step = self.increment_at(price)
        return ((price / step).to_integral_value(rounding=_ROUNDING[towards]) * step).quantize(step)

    def contract(self) -> Contract:
        """For orders and data: number and exchange, nothing that could contradict them."""
        return Contract(conId=self.con_id, exchange=self.exchange)


class ContractBook:
    """Listings of a book's symbols. What has been resolved stays: a con id is for ever. Only front months are looked at again."""

    def __init__(self, config: IbkrConfig, instruments: Sequence[Instrument]) -> None:
        """Raises `ConfigError` where the configuration alone shows a fault."""
        check_symbols(config, list(instruments))
        self._instruments = {each.symbol: each for each in instruments if not each.inverts}
        self._wanted = {symbol: config.contract_of(each) for symbol, each in self._instruments.items()}
        self._listings: dict[str, Listing] = {}
        self._symbols: dict[int, str] = {}
        self._rules: dict[int, tuple[Step, ...]] = {}
        self._looked: dict[str, date] = {}

    @property
    def symbols(self) -> list[str]:
        """All that can be traded here."""
        return list(self._wanted)

    def get(self, symbol: str) -> Listing:
        """What `symbol` is; raises `VenueRefused` where that is not known."""
        listing = self._listings.get(symbol)
        if listing is None:
            raise VenueRefused(f"symbol '{symbol}' is no contract of Interactive Brokers that we know; see [[ibkr.contracts]]")
        return listing

    def symbol_of(self, con_id: int) -> str:
        """Ours; empty: none of them."""
        return self._symbols.get(con_id, "")

    async def resolve(
        self, session: Session, today: date, symbols: Iterable[str] | None = None, held: Collection[int] = ()
    ) -> list[Listing]:
        """Know every symbol; returns those that are new or have rolled. A front month with a position or an order (`held`, con
        ids) stays until it has none, or has expired.

        Raises `ConfigError` for what the Gateway does not know or knows to be different, `VenueUnavailable`.
        """
        changed = []
        for symbol in self._wanted if symbols is None else symbols:
            listing = await self._look(session, symbol, today, held)
            if listing is not None:
                changed.append(listing)
        return changed

    async def _look(self, session: Session, symbol: str, today: date, held: Collection[int]) -> Listing | None:
        known = self._listings.get(symbol)
        rolls = self._wanted[symbol].expiry == FRONT and not self._wanted[symbol].con_id
        if known is not None and not (rolls and _is_due(known, self._wanted[symbol], today)):
            return None
        try:
            listing = await self._ask(session, symbol, today, held)
        except (VenueRefused, ConfigError) as error:
            if known is None:
                raise ConfigError(str(error)) from None
            log.warning("ibkr_roll_failed", symbol=symbol, detail=str(error))
            return None
        if known is not None and known.con_id == listing.con_id:
            return None
        if known is not None:
            log.info("ibkr_rolled", symbol=symbol, from_contract=known.local_symbol, to_contract=listing.local_symbol)
        self.put(listing)
        return listing

    def put(self, listing: Listing) -> None:
        """Know it from now on. Of the contract that it takes the place of, no symbol is known any more."""
        old = self._listings.get(listing.symbol)
        if old is not None:
            self._symbols.pop(old.con_id, None)
        self._listings[listing.symbol] = listing
        self._symbols[listing.con_id] = listing.symbol

    async def _ask(self, session: Session, symbol: str, today: date, held: Collection[int]) -> Listing:
        wanted, instrument = self._wanted[symbol], self._instruments[symbol]
        try:
            found = await session.ask(
                f"contract details of {symbol}",
                lambda ib: ib.reqContractDetailsAsync(wanted_contract(wanted)),
                timeout_s=2 * session.config.request_timeout_s,
            )
        except VenueRefused as error:
            raise ConfigError(f"symbol '{symbol}': {error}") from None
        if wanted.expiry == FRONT and not wanted.con_id:
            chosen = front_of(found, wanted, today, held)
        elif len(found) == 1:
            chosen = found[0]
        else:
            raise ConfigError(f"symbol '{symbol}': {_ambiguous(found)}")
        listing = listing_of(chosen, wanted, instrument)
        rule = rule_id(chosen, listing.exchange)
        return msgspec.structs.replace(listing, steps=await self._steps(session, rule))

    async def _steps(self, session: Session, rule: int) -> tuple[Step, ...]:
        if rule <= 0:
            return ()
        if rule not in self._rules:
            try:
                increments = await session.ask(f"market rule {rule}", lambda ib: ib.reqMarketRuleAsync(rule))
            except VenueUnavailable:
                increments = None
            if increments is None:
                log.warning("ibkr_market_rule_missing", rule=rule)
                return ()
            steps = [Step(low_edge=exact(each.lowEdge), increment=exact(each.increment)) for each in increments]
            self._rules[rule] = tuple(sorted(steps, key=lambda step: step.low_edge))
        return self._rules[rule]


def exact(value: float | int | str | Decimal) -> Decimal:
    """What the wire says, as a `Decimal` in plain digits.

    >>> exact(5e-05)
    Decimal('0.00005')
    """
    number = value if isinstance(value, Decimal) else Decimal(str(value))
    number = number.normalize()
    return number.quantize(Decimal(1)) if number == number.to_integral_value() and number.is_finite() else Decimal(f"{number:f}")


def wanted_contract(wanted: ContractConfig) -> Contract:
    """The question to the Gateway's contract details."""
    if wanted.con_id:
        return Contract(conId=wanted.con_id, exchange=wanted.exchange)
    return Contract(
        secType=wanted.sec_type or "",
        symbol=wanted.venue_symbol,
        exchange=wanted.exchange,
        primaryExchange=wanted.primary_exchange,
        currency=wanted.currency,
        lastTradeDateOrContractMonth="" if wanted.expiry == FRONT else wanted.expiry,
        strike=float(wanted.strike) if wanted.strike is not None else 0.0,
        right=wanted.right,
        tradingClass=wanted.trading_class,
        multiplier=wanted.multiplier,
        localSymbol=wanted.local_symbol,
    )


def front_of(
    found: Sequence[ContractDetails], wanted: ContractConfig, today: date, held: Collection[int] = ()
) -> ContractDetails:
    """The contract that is in front on `today`: the first whose last trading day is more than `roll_days` away; one that is held
    stays as long as it trades. Raises `ConfigError` where there is none, or two of one day."""
    alive = sorted(
        ((expiry, each) for each in found if (expiry := expiry_of(each)) is not None and expiry >= today),
        key=lambda pair: pair[0],
    )
    for _, each in alive:
        if _contract(each).conId in held:
            return each
    later = [pair for pair in alive if pair[0] - today > timedelta(days=wanted.roll_days)]
    if not later:
        raise ConfigError(
            f"symbol '{wanted.symbol}': no future of {wanted.venue_symbol} at {wanted.exchange} beyond its roll date"
        )
    first = [each for expiry, each in later if expiry == later[0][0]]
    if len(first) > 1:
        raise ConfigError(f"symbol '{wanted.symbol}': {_ambiguous(first)}")
    return first[0]


def expiry_of(details: ContractDetails) -> date | None:
    """Last trading day; None where there is none."""
    digits = _contract(details).lastTradeDateOrContractMonth[:8]
    if len(digits) != 8 or not digits.isdigit():
        return None
    return datetime.strptime(digits, "%Y%m%d").date()  # noqa: DTZ007 - a date in the exchange's own calendar


def listing_of(details: ContractDetails, wanted: ContractConfig, instrument: Instrument) -> Listing:
    """What we need of the details; raises `ConfigError` where they contradict the instrument."""
    contract = _contract(details)
    symbol = wanted.symbol
    sec_type: Any = contract.secType
    theirs = exact(contract.multiplier) if contract.multiplier else Decimal(1)
    derivative = sec_type in ("FUT", "OPT")
    if contract.currency != instrument.currency:
        raise ConfigError(
            f"symbol '{symbol}': {contract.localSymbol} is in {contract.currency}, the instrument says {instrument.currency}"
        )
    if derivative and theirs != instrument.multiplier:
        raise ConfigError(
            f"symbol '{symbol}': one contract of {contract.localSymbol} is {theirs} units, the instrument says "
            f"{instrument.multiplier}; set contract_size = {theirs}"
        )
    if (details.priceMagnifier or 1) != 1:
        raise ConfigError(
            f"symbol '{symbol}': {contract.localSymbol} is quoted in 1/{details.priceMagnifier} of {contract.currency}; "
            "that is not supported"
        )
    return Listing(
        symbol=symbol,
        con_id=contract.conId,
        sec_type=sec_type,
        exchange=wanted.exchange,
        venue_symbol=contract.symbol,
        local_symbol=contract.localSymbol,
        currency=contract.currency,
        trading_class=contract.tradingClass,
        multiplier=theirs if derivative else Decimal(1),
        expiry=expiry_of(details),
        min_tick=exact(details.minTick) if details.minTick else instrument.tick_size,
        size_min=exact(details.minSize),
        size_step=exact(details.sizeIncrement),
        price_magnifier=details.priceMagnifier or 1,
        time_zone=details.timeZoneId,
        trading_hours=details.tradingHours,
        liquid_hours=details.liquidHours,
        order_types=details.orderTypes,
        outside_rth=wanted.outside_rth,
        unit=Decimal(1) if derivative else instrument.multiplier,
    )


def rule_id(details: ContractDetails, exchange: str) -> int:
    """The market rule that holds at `exchange`; 0: none is named."""
    rules = [word for word in details.marketRuleIds.split(",") if word]
    exchanges = details.validExchanges.split(",")
    if exchange in exchanges and exchanges.index(exchange) < len(rules):
        return int(rules[exchanges.index(exchange)])
    return int(rules[0]) if rules else 0


def _is_due(known: Listing, wanted: ContractConfig, today: date) -> bool:
    return known.expiry is not None and known.expiry - today <= timedelta(days=wanted.roll_days)


def _contract(details: ContractDetails) -> Contract:
    if details.contract is None:
        raise VenueRefused("contract details without a contract")
    return details.contract


def _ambiguous(found: Sequence[ContractDetails]) -> str:
    if not found:
        return "no contract fits; correct [[ibkr.contracts]]"
    shown = ", ".join(
        f"{c.localSymbol or c.symbol} (con_id {c.conId}, {c.secType}, {c.primaryExchange or c.exchange}, {c.currency}, "
        f"{c.lastTradeDateOrContractMonth or '-'}, multiplier {c.multiplier or '-'})"
        for c in (_contract(each) for each in found[:MOST_SHOWN])
    )
    what = "con_id, expiry, multiplier or primary_exchange"
    return f"{len(found)} contracts fit: {shown}; say more in [[ibkr.contracts]], such as {what}"
