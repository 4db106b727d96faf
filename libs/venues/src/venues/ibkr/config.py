"""Where the Gateway is, which account, and which contract each of our symbols means; read by feed and sender alike.

In:   section `[ibkr]`.   Out: `IbkrConfig`.
Not:  credentials. The Gateway logs in by itself. Its API port knows no password: it must never be reached from outside.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, TypeAlias

from barque.config import Section
from barque.errors import ConfigError, nearest
from barque.instruments import Instrument

SecType: TypeAlias = Literal["STK", "FUT", "OPT", "CASH", "CFD", "CRYPTO"]
MarketDataType: TypeAlias = Literal["live", "frozen", "delayed", "delayed_frozen"]
Region: TypeAlias = Literal["north_america", "europe", "asia_pacific"]

MARKET_DATA_TYPES: dict[MarketDataType, int] = {"live": 1, "frozen": 2, "delayed": 3, "delayed_frozen": 4}
"""As the wire numbers them."""
_SEC_TYPES: dict[str, SecType] = {
    "stock": "STK",
    "future": "FUT",
    "option": "OPT",
    "fx": "CASH",
    "cfd": "CFD",
    "crypto": "CRYPTO",
}
_EXCHANGES: dict[SecType, str] = {"STK": "SMART", "OPT": "SMART", "CASH": "IDEALPRO", "CFD": "SMART", "CRYPTO": "PAXOS"}
FRONT = "front"


class ContractConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a symbol of ours is at Interactive Brokers. Not needed where the instrument says it all: stocks and currency pairs."""

    symbol: str
    """Ours; it needs an `[[instruments]]` entry."""
    sec_type: SecType | None = None
    """From the instrument's asset class, unless given."""
    venue_symbol: str = ""
    """Theirs: the underlying's symbol (`NQ`), of a currency pair the base currency; ours unless given."""
    exchange: str = ""
    """`SMART` for stocks, options and CFDs, `IDEALPRO` for currencies, `PAXOS` for crypto; futures have to say (`CME`)."""
    primary_exchange: str = ""
    """Tells apart stocks of the same symbol (`NASDAQ`)."""
    currency: str = ""
    """The instrument's, unless given."""
    expiry: str = ""
    """Futures: `front` (the default), `202612` or `20261218`. Options: `20261218`."""
    roll_days: int = 8
    """`front` moves to the next contract so many days before the last trading day."""
    strike: Decimal | None = None
    right: Literal["", "C", "P"] = ""
    trading_class: str = ""
    multiplier: str = ""
    """Tells apart futures of one symbol and month."""
    local_symbol: str = ""
    con_id: int = 0
    """Their number of the contract: nothing else is needed with it but the exchange."""
    outside_rth: bool = False
    """Orders may also trade outside regular hours."""

    def __post_init__(self) -> None:
        if self.roll_days < 0:
            raise ConfigError(f"ibkr.contracts '{self.symbol}': roll_days is {self.roll_days}; it must not be negative")


class IbkrConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The Gateway or TWS, the account, and how patient we are with both."""

    host: str = "127.0.0.1"
    port: int = 4002
    """Gateway: 4002 paper, 4001 live; TWS: 7497 paper, 7496 live; the container's: 4004 paper, 4003 live."""
    account: str = ""
    """`DU1234567`; empty: the login's only one."""
    live: bool = False
    """True: this is real money. A session with the other kind of account is refused before anything is sent."""
    feed_client_id: int = 11
    sender_client_id: int = 12
    """Fixed for good: orders belong to the client id that sent them."""
    probe_client_id: int = 13
    """Of `barque doctor`."""
    market_data_type: MarketDataType = "live"
    """What the feed asks for; what comes is what the Gateway says."""
    connect_timeout_s: float = 20.0
    """Of each step of connecting. Below 15 a Gateway that has just started is given up too early."""
    request_timeout_s: float = 15.0
    ping_interval_s: float = 10.0
    ping_timeout_s: float = 10.0
    """Two pings in a row unanswered for so long: the session is dead, whatever the socket says."""
    reconnect_min_s: float = 1.0
    reconnect_max_s: float = 60.0
    safe_after_attempts: int = 10
    """So many failed attempts in a row, and the session is in safe mode: it goes on probing and says that a person is needed."""
    books_lag_s: float = 5.0
    """So long the Gateway's books may take to show what has happened; `sender.quiet_s` must not be shorter."""
    messages_per_s: int = 40
    """The Gateway hangs up on clients that send more than 50."""
    history_per_10_min: int = 60
    reset_region: Region = "north_america"
    """Whose nightly reset of the servers is expected."""
    restart_at: str = "23:59"
    """When the Gateway restarts itself every day (its AUTO_RESTART_TIME), hh:mm."""
    time_zone: str = "America/New_York"
    """Of the Gateway: of `restart_at`, and of times that come without a zone."""
    order_id_base: int = 1_000_000
    """Order ids at the wire begin above this, and above whatever the Gateway has seen."""
    margin_fraction_max: float | None = None
    """An order that opens is tried first (what-if), and not sent where the account's initial margin would then be more than this
    fraction of its equity with loan value; none: it is not tried."""
    contracts: tuple[ContractConfig, ...] = ()

    def __post_init__(self) -> None:
        ids = {
            "feed_client_id": self.feed_client_id,
            "sender_client_id": self.sender_client_id,
            "probe_client_id": self.probe_client_id,
        }
        if len(set(ids.values())) < len(ids):
            raise ConfigError(f"ibkr: client ids must differ, and are {ids}")
        if self.sender_client_id <= 0:
            raise ConfigError(
                "ibkr.sender_client_id must be positive: with client id 0 orders made by hand would be taken for ours"
            )
        if not 1 <= self.messages_per_s <= 45:
            raise ConfigError(f"ibkr.messages_per_s is {self.messages_per_s}; the Gateway bears 50, give 1 to 45")
        if not 0 < self.order_id_base < 500_000_000:
            raise ConfigError(f"ibkr.order_id_base is {self.order_id_base}; give 1 to 499,999,999")
        symbols = [each.symbol for each in self.contracts]
        for symbol in symbols:
            if symbols.count(symbol) > 1:
                raise ConfigError(f"ibkr.contracts: symbol '{symbol}' is there twice")

    def contract_of(self, instrument: Instrument) -> ContractConfig:
        """The symbol's contract, completed by what the instrument says; raises `ConfigError` where that is not enough."""
        given = next(
            (each for each in self.contracts if each.symbol == instrument.symbol), ContractConfig(symbol=instrument.symbol)
        )
        sec_type = given.sec_type or _SEC_TYPES[instrument.asset_class]
        exchange = given.exchange or _EXCHANGES.get(sec_type, "")
        where = f"ibkr.contracts '{instrument.symbol}'"
        if not exchange:
            raise ConfigError(f"{where}: a {sec_type} needs its exchange, such as 'CME'")
        if sec_type == "OPT" and not given.con_id and not (given.expiry and given.strike is not None and given.right):
            raise ConfigError(f"{where}: an option needs expiry, strike and right")
        return ContractConfig(
            symbol=given.symbol,
            sec_type=sec_type,
            venue_symbol=given.venue_symbol or _venue_symbol(instrument, sec_type),
            exchange=exchange,
            primary_exchange=given.primary_exchange,
            currency=given.currency or instrument.currency,
            expiry=given.expiry or (FRONT if sec_type == "FUT" else ""),
            roll_days=given.roll_days,
            strike=given.strike,
            right=given.right,
            trading_class=given.trading_class,
            multiplier=given.multiplier,
            local_symbol=given.local_symbol,
            con_id=given.con_id,
            outside_rth=given.outside_rth,
        )


def check_symbols(config: IbkrConfig, instruments: tuple[Instrument, ...] | list[Instrument]) -> None:
    """Every contract belongs to an instrument; raises `ConfigError` naming the nearest one."""
    known = [each.symbol for each in instruments]
    for contract in config.contracts:
        if contract.symbol not in known:
            raise ConfigError(
                f"ibkr.contracts '{contract.symbol}' has no [[instruments]] entry; {nearest(contract.symbol, known)}"
            )


def _venue_symbol(instrument: Instrument, sec_type: SecType) -> str:
    if sec_type in ("CASH", "CRYPTO"):
        return instrument.base_currency or instrument.symbol.removesuffix(instrument.currency)
    return instrument.symbol
