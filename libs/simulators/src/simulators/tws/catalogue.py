"""What can be traded in the simulator: forex, stocks, futures with their months, options; contract details as TWS tells them.

In:   a date, to know which futures and options exist; a request's contract.   Out: the listings it may mean.
Not:  a claim that these are all. Numbers of forex and stocks are IBKR's own, those of futures and options are made up.
      `Catalogue.add` takes any other listing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import blake2b
from zoneinfo import ZoneInfo

import msgspec

from simulators.tws import hours
from simulators.tws.contract import Contract
from simulators.tws.hours import NS_PER_S, Hours
from simulators.tws.wire import Value

FX_PAIRS = {
    "EURUSD": (12087792, "1.0850"),
    "USDJPY": (15016059, "150.00"),
    "GBPUSD": (12087797, "1.2700"),
    "AUDUSD": (14433401, "0.6600"),
    "NZDUSD": (39453441, "0.6100"),
    "USDCAD": (15016062, "1.3600"),
    "USDCHF": (12087820, "0.8900"),
    "EURJPY": (14321016, "162.75"),
    "EURGBP": (12087807, "0.8540"),
    "EURCHF": (12087802, "0.9650"),
}
STOCKS = {
    "SPY": (756733, "ARCA", "600.00"),
    "QQQ": (320227571, "NASDAQ", "520.00"),
    "AAPL": (265598, "NASDAQ", "230.00"),
    "MSFT": (272093, "NASDAQ", "430.00"),
    "AMZN": (3691937, "NASDAQ", "200.00"),
    "NVDA": (4815747, "NASDAQ", "140.00"),
    "TSLA": (76792991, "NASDAQ", "330.00"),
    "IBM": (8314, "NYSE", "220.00"),
}
FUTURES = {
    "NQ": ("CME", "20", "0.25", "21000.00"),
    "MNQ": ("CME", "2", "0.25", "21000.00"),
    "ES": ("CME", "50", "0.25", "6000.00"),
    "MES": ("CME", "5", "0.25", "6000.00"),
}
"""Family → exchange, multiplier, tick, price to begin with; quarterly, the third Friday."""
OPTIONS_ON = ("SPY", "AAPL")
MONTH_CODES = "FGHJKMNQUVXZ"
ORDER_TYPES = "ACTIVETIM,ADJUST,ALERT,DAY,FOK,GTC,GTD,IOC,LIT,LMT,MIT,MKT,STP,STPLMT,TRAIL,TRAILLMT,WHATIF"


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """One contract that can be traded."""

    name: str
    """How the simulator's own interface calls it: `USDJPY`, `SPY`, `NQZ6`, `SPY 261218C00600000`."""
    con_id: int
    symbol: str
    sec_type: str
    currency: str
    exchange: str
    valid_exchanges: tuple[str, ...]
    primary_exchange: str = ""
    local_symbol: str
    trading_class: str
    expiry: str = ""
    last_trade: str = ""
    strike: Decimal | None = None
    right: str = ""
    multiplier: str = ""
    tick: Decimal
    """Order prices are multiples of it; quotes may be finer."""
    market_rule: int
    min_size: Decimal = Decimal(1)
    size_step: Decimal = Decimal(1)
    long_name: str
    under_con_id: int = 0
    under_symbol: str = ""
    under_sec_type: str = ""
    hours: Hours
    liquid_hours: Hours
    first_price: Decimal

    @property
    def units(self) -> Decimal:
        """What a price difference of one is worth, per contract."""
        return Decimal(self.multiplier or 1)

    @property
    def is_fx(self) -> bool:
        return self.sec_type == "CASH"

    def contract(self, exchange: str = "", sec_type: str = "") -> Contract:
        """As messages describe it."""
        return Contract(
            con_id=self.con_id,
            symbol=self.symbol,
            sec_type=sec_type or self.sec_type,
            expiry=self.expiry,
            strike=self.strike,
            right=self.right,
            multiplier=self.multiplier,
            exchange=exchange or self.exchange,
            primary_exchange=self.primary_exchange,
            currency=self.currency,
            local_symbol=self.local_symbol,
            trading_class=self.trading_class,
        )

    def matches(self, wanted: Contract) -> bool:
        """True where nothing that `wanted` says is otherwise here."""
        said = (
            (wanted.con_id, self.con_id),
            (wanted.symbol, self.symbol),
            (wanted.sec_type, self.sec_type),
            (wanted.currency, self.currency),
            (wanted.local_symbol, self.local_symbol),
            (wanted.trading_class, self.trading_class),
            (wanted.multiplier, self.multiplier),
            (wanted.strike, self.strike),
            (wanted.right[:1], self.right),
            (wanted.primary_exchange, self.primary_exchange if wanted.sec_type != "CASH" else ""),
        )
        exchange = not wanted.exchange or wanted.exchange in self.valid_exchanges
        return exchange and self.expiry.startswith(wanted.expiry) and all(not asked or asked == has for asked, has in said)


def details(req_id: int, listing: Listing, now_ns: int, sec_type: str = "") -> tuple[Value, ...]:
    """`contractData`: everything TWS tells of a contract."""
    said = listing.contract(sec_type=sec_type)
    return (
        10,
        req_id,
        said.symbol,
        said.sec_type,
        listing.last_trade or said.expiry,
        said.strike or 0,
        said.right,
        said.exchange,
        said.currency,
        said.local_symbol,
        said.trading_class,
        said.trading_class,
        said.con_id,
        listing.tick,
        said.multiplier,
        ORDER_TYPES,
        ",".join(listing.valid_exchanges),
        1,
        listing.under_con_id,
        listing.long_name,
        listing.primary_exchange,
        listing.expiry[:6],
        "",
        "",
        "",
        listing.hours.zone,
        listing.hours.told(now_ns),
        listing.liquid_hours.told(now_ns),
        "",
        0,
        0,
        1,
        listing.under_symbol,
        listing.under_sec_type,
        ",".join(str(listing.market_rule) for _ in listing.valid_exchanges),
        listing.expiry,
        "COMMON" if listing.sec_type == "STK" else "",
        listing.min_size,
        listing.size_step,
        listing.size_step,
    )


class Catalogue:
    """All listings by number; what exists depends on the date it is made for."""

    def __init__(self, today: date) -> None:
        self._by_con_id: dict[int, Listing] = {}
        self._by_name: dict[str, Listing] = {}
        self._rules: dict[int, tuple[tuple[Decimal, Decimal], ...]] = {}
        self.fronts: dict[str, str] = {}
        """Family of futures → expiry of the month that CONTFUT names; put another there to roll."""
        for listing in (*_forex(), *_stocks(), *_futures(today), *_options(today)):
            self.add(listing)
            if listing.sec_type == "FUT":
                self.fronts.setdefault(listing.symbol, listing.expiry)

    def add(self, listing: Listing, rule: tuple[tuple[Decimal, Decimal], ...] = ()) -> None:
        """One more; `rule`: its market rule as (low edge, increment), one increment if none is given."""
        self._by_con_id[listing.con_id] = self._by_name[listing.name] = listing
        self._rules[listing.market_rule] = rule or self._rules.get(listing.market_rule, ((Decimal(0), listing.tick),))

    def remove(self, name: str) -> None:
        """A contract that exists no more, such as an expired future."""
        del self._by_con_id[self._by_name.pop(name).con_id]

    def named(self, name: str) -> Listing:
        """By our name, or a family of futures for its front month."""
        if name in self.fronts and name not in self._by_name:
            return self.front(name)
        if name not in self._by_name:
            raise KeyError(f"{name} is not listed in the simulator; listed are {', '.join(sorted(self._by_name)[:20])} …")
        return self._by_name[name]

    def front(self, family: str) -> Listing:
        """The month that CONTFUT names today."""
        expiry = self.fronts[family]
        return next(x for x in self._by_con_id.values() if x.sec_type == "FUT" and (x.symbol, x.expiry) == (family, expiry))

    def find(self, wanted: Contract) -> list[Listing]:
        """All that a description may mean; CONTFUT is the front month."""
        if wanted.sec_type == "CONTFUT":
            plain = msgspec.structs.replace(wanted, sec_type="FUT", expiry="")
            return [x for x in self.find(plain) if self.fronts.get(x.symbol) == x.expiry]
        if wanted.con_id:
            listing = self._by_con_id.get(wanted.con_id)
            return [listing] if listing and (not wanted.exchange or wanted.exchange in listing.valid_exchanges) else []
        if not (wanted.symbol or wanted.local_symbol):
            return []
        return [listing for listing in self._by_con_id.values() if listing.matches(wanted)]

    def rule(self, rule_id: int) -> tuple[tuple[Decimal, Decimal], ...] | None:
        """Price bands of a market rule: from this price on, this step."""
        return self._rules.get(rule_id)

    def step(self, listing: Listing, price: Decimal) -> Decimal:
        """The order price step at `price`."""
        return [step for low, step in self._rules[listing.market_rule] if low <= price or not low][-1]

    def __iter__(self) -> Iterator[Listing]:
        return iter(self._by_con_id.values())


def catalogue_at(now_ns: int) -> Catalogue:
    """What is listed on that day in New York."""
    return Catalogue(datetime.fromtimestamp(now_ns / NS_PER_S, UTC).astimezone(ZoneInfo("America/New_York")).date())


def _forex() -> Iterable[Listing]:
    for pair, (con_id, price) in FX_PAIRS.items():
        base, currency = pair[:3], pair[3:]
        yield Listing(
            name=pair,
            con_id=con_id,
            symbol=base,
            sec_type="CASH",
            currency=currency,
            exchange="IDEALPRO",
            valid_exchanges=("IDEALPRO",),
            local_symbol=f"{base}.{currency}",
            trading_class=f"{base}.{currency}",
            tick=Decimal("0.005") if currency == "JPY" else Decimal("0.00005"),
            market_rule=59 if currency == "JPY" else 239,
            long_name=f"{base}/{currency}",
            hours=hours.FX,
            liquid_hours=hours.FX,
            first_price=Decimal(price),
        )


def _stocks() -> Iterable[Listing]:
    for symbol, (con_id, primary, price) in STOCKS.items():
        yield Listing(
            name=symbol,
            con_id=con_id,
            symbol=symbol,
            sec_type="STK",
            currency="USD",
            exchange="SMART",
            valid_exchanges=("SMART", primary),
            primary_exchange=primary,
            local_symbol=symbol,
            trading_class="NMS" if primary == "NASDAQ" else symbol,
            tick=Decimal("0.01"),
            market_rule=26,
            long_name=symbol,
            hours=hours.US_STOCKS,
            liquid_hours=hours.US_STOCKS_LIQUID,
            first_price=Decimal(price),
        )


def _futures(today: date) -> Iterable[Listing]:
    quarters = [(year, month) for year in range(today.year, today.year + 3) for month in (3, 6, 9, 12)]
    for family, (exchange, multiplier, tick, price) in FUTURES.items():
        alive = [day for year, month in quarters if (day := _third_friday(year, month)) >= today][:5]
        for day in alive:
            local = f"{family}{MONTH_CODES[day.month - 1]}{day.year % 10}"
            yield Listing(
                name=local,
                con_id=_made_up(local, day),
                symbol=family,
                sec_type="FUT",
                currency="USD",
                exchange=exchange,
                valid_exchanges=(exchange,),
                local_symbol=local,
                trading_class=family,
                expiry=f"{day:%Y%m%d}",
                last_trade=f"{day:%Y%m%d} 08:30 US/Central",
                multiplier=multiplier,
                tick=Decimal(tick),
                market_rule=67,
                long_name=f"{family} index",
                under_con_id=_made_up(family, date.min),
                under_symbol=family,
                under_sec_type="IND",
                hours=hours.GLOBEX,
                liquid_hours=hours.GLOBEX_LIQUID,
                first_price=Decimal(price),
            )


def _options(today: date) -> Iterable[Listing]:
    months = [(today.year + (today.month - 1 + ahead) // 12, (today.month - 1 + ahead) % 12 + 1) for ahead in range(5)]
    expiries = [day for year, month in months if (day := _third_friday(year, month)) >= today][:3]
    for symbol in OPTIONS_ON:
        con_id, _, price = STOCKS[symbol]
        strikes = [Decimal(price) + 5 * step for step in range(-8, 9)]
        for day in expiries:
            for strike in strikes:
                for right in ("C", "P"):
                    local = f"{symbol:<6}{day:%y%m%d}{right}{int(strike * 1000):08d}"
                    yield Listing(
                        name=" ".join(local.split()),
                        con_id=_made_up(local, day),
                        symbol=symbol,
                        sec_type="OPT",
                        currency="USD",
                        exchange="SMART",
                        valid_exchanges=("SMART", "CBOE"),
                        local_symbol=local,
                        trading_class=symbol,
                        expiry=f"{day:%Y%m%d}",
                        last_trade=f"{day:%Y%m%d} 16:00 US/Eastern",
                        strike=strike,
                        right=right,
                        multiplier="100",
                        tick=Decimal("0.01"),
                        market_rule=109,
                        long_name=f"{symbol} option",
                        under_con_id=con_id,
                        under_symbol=symbol,
                        under_sec_type="STK",
                        hours=hours.US_STOCKS_LIQUID,
                        liquid_hours=hours.US_STOCKS_LIQUID,
                        first_price=Decimal("5.00"),
                    )


def _third_friday(year: int, month: int) -> date:
    middle = date(year, month, 15)
    return middle.replace(day=15 + (4 - middle.weekday()) % 7)


def _made_up(name: str, day: date) -> int:
    """A number of nine digits that depends on nothing but what it names."""
    digest = blake2b(f"{name}/{day}".encode(), digest_size=8).digest()
    return 600_000_000 + int.from_bytes(digest, "big") % 99_999_999
