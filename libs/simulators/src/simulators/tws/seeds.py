"""What the simulator lists by itself: forex, stocks, the months of some futures, options on some stocks.

In:   a date, to know which futures and options exist.   Out: listings.
Not:  a claim that these are all. Numbers of forex and stocks are IBKR's own; those of futures and options, and all prices, are
      made up.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from hashlib import blake2b

from simulators.tws import hours
from simulators.tws.listing import Listing

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


def listings(today: date) -> Iterable[Listing]:
    """All that is listed on that day."""
    yield from _forex()
    yield from _stocks()
    yield from _futures(today)
    yield from _options(today)


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
