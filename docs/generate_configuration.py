"""Writes the tables of docs/guides/configuration.md from the configuration structs themselves.

.venv/bin/python docs/generate_configuration.py           write them
.venv/bin/python docs/generate_configuration.py --check   exit 1 where they are not what the structs say
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import get_args

import msgspec
from _structs import Field, cell, fields_of, sentence_of

from barbuilder.config import BarBuilderConfig, BarsConfig
from barque.config import SECTIONS, BookConfig, Clock, LogConfig, PostgresConfig, RedisConfig, StrategyConfig
from barque.instruments import AssetClass, Instrument
from barque.live_feed.source import DataKind
from barque.messages.market import PriceType
from barque_paper import PaperConfig, PaperSymbolConfig
from feed_ibkr.config import FeedIbkrConfig, How, StreamConfig
from feed_mt5.config import FeedMt5Config
from feed_replay.config import FeedReplayConfig, FileConfig, MarketConfig
from gateway.config import GatewayConfig
from portfolio.config import AccountConfig, ArchiveConfig, PortfolioConfig
from router.config import (
    BreakersConfig,
    DailyLossConfig,
    DrawdownConfig,
    LimitsConfig,
    OnTrip,
    OrderRateConfig,
    ReconciliationConfig,
    RejectionRateConfig,
    RouterConfig,
    SizingConfig,
    SizingMethod,
    StaleDataConfig,
    StrategyBreakersConfig,
    StrategyLimitsConfig,
    SymbolLimitsConfig,
)
from router.core.sending.config import Policy, ReconcilePolicy, SendingConfig
from simulators.broker.venue import SimulatedConfig
from strategy_host.config import StrategyHostConfig
from venues.ibkr.config import ContractConfig, IbkrConfig, MarketDataType, Region, SecType
from venues.mt5.config import Mt5Config

TARGET = Path(__file__).parent / "guides" / "configuration.md"
BEGIN = "<!-- tables: written by docs/generate_configuration.py; change the structs, then run it again -->\n"
END = "<!-- end of tables -->\n"

TABLES: dict[str, type[msgspec.Struct]] = {
    "[book]": BookConfig,
    "[redis]": RedisConfig,
    "[postgres]": PostgresConfig,
    "[log]": LogConfig,
    "[[instruments]]": Instrument,
    "[[strategies]]": StrategyConfig,
    "[feed_replay]": FeedReplayConfig,
    "[[feed_replay.files]]": FileConfig,
    "[feed_replay.market]": MarketConfig,
    "[feed_ibkr]": FeedIbkrConfig,
    "[[feed_ibkr.streams]]": StreamConfig,
    "[feed_mt5]": FeedMt5Config,
    "[barbuilder]": BarBuilderConfig,
    "[[barbuilder.bars]]": BarsConfig,
    "[strategy_host]": StrategyHostConfig,
    "[router]": RouterConfig,
    "[router.limits]": LimitsConfig,
    "[[router.symbol_limits]]": SymbolLimitsConfig,
    "[[router.strategy_limits]]": StrategyLimitsConfig,
    "[[router.sizing]]": SizingConfig,
    "[router.breakers]": BreakersConfig,
    "[router.breakers.drawdown]": DrawdownConfig,
    "[router.breakers.daily_loss]": DailyLossConfig,
    "[router.breakers.order_rate]": OrderRateConfig,
    "[router.breakers.rejection_rate]": RejectionRateConfig,
    "[router.breakers.stale_data]": StaleDataConfig,
    "[router.breakers.reconciliation]": ReconciliationConfig,
    "[[router.strategy_breakers]]": StrategyBreakersConfig,
    "[paper]": PaperConfig,
    "[[paper.symbols]]": PaperSymbolConfig,
    "[sender]": SendingConfig,
    "[sender.reconciliation]": ReconcilePolicy,
    "[ibkr]": IbkrConfig,
    "[[ibkr.contracts]]": ContractConfig,
    "[mt5]": Mt5Config,
    "[simulated]": SimulatedConfig,
    "[portfolio]": PortfolioConfig,
    "[[portfolio.accounts]]": AccountConfig,
    "[portfolio.archive]": ArchiveConfig,
    "[gateway]": GatewayConfig,
}
EMPTY: tuple[str, ...] = ()
"""Sections that may be there and have no keys of their own."""

TOML = {
    "str": "text",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "Path": "path",
    "Decimal": "decimal",
    "Any": "anything",
}
CHOICES = {
    "AssetClass": AssetClass,
    "DataKind": DataKind,
    "How": How,
    "MarketDataType": MarketDataType,
    "Clock": Clock,
    "OnTrip": OnTrip,
    "Policy": Policy,
    "PriceType": PriceType,
    "Region": Region,
    "SecType": SecType,
    "SizingMethod": SizingMethod,
}
UNITS = {"_ms": "milliseconds", "_s": "seconds", "_fraction": "fraction, 0.01 = 1 %"}
PLAIN = {
    "[book].name": "Part of every Redis key and of every row.",
    "[redis].url": "`redis://`, `rediss://` (TLS) or `unix://`.",
    "[redis].password_file": "File with the password; it goes into the URL.",
    "[redis].timeout_s": "For one call, and for connecting; the gateway uses at most 0.5.",
    "[postgres].url": "`postgresql://user@host:port/database`.",
    "[postgres].password_file": "File with the password; it goes into the URL.",
    "[postgres].timeout_s": "For one statement, and for connecting.",
    "[log].level": "Least severity that is written.",
    "[[instruments]].symbol": "Our name for it, the same in every section.",
    "[[instruments]].asset_class": "Decides contract size, margin and calendar where they are not given.",
    "[[instruments]].exchange": "For people; nothing reads it yet.",
    "[[strategies]].id": "Names the node `strategy.<id>`, its signals and its books. Unique; no `/`.",
    "[[strategies]].symbols": "What it sees and may trade; each needs an `[[instruments]]` entry.",
    "[[strategies]].params": "Its own parameters; unknown ones are refused.",
    "[[strategies]].enabled": "`false`: no node.",
    "[feed_replay].source": "`market`: the seeded market (clock `wall`); `files`: recordings (clock `feed`).",
    "[feed_replay].files": "See `[[feed_replay.files]]`.",
    "[feed_replay].market": "See `[feed_replay.market]`.",
    "[[feed_replay.files]].path": "CSV or Parquet, plain or `.gz`, or the folder of an archive; relative to this file's folder.",
    "[[feed_replay.files]].symbol": "What it is a recording of.",
    "[feed_replay.market].seed": "Same seed, same random walk.",
    "[barbuilder].bars": "See `[[barbuilder.bars]]`; none: marks only.",
    "[[barbuilder.bars]].symbols": "Each needs an `[[instruments]]` entry.",
    "[[barbuilder.bars]].interval": "A whole number and `s`, `m`, `h`, `d` or `w`, up to a week; or `tick:N`, `volume:N`, "
    "`value:N`, `range:N`, `renko:N` ([bars](bars.md)).",
    "[feed_ibkr].streams": "See `[[feed_ibkr.streams]]`.",
    "[[feed_ibkr.streams]].symbol": "Each needs an `[[instruments]]` entry.",
    "[[feed_ibkr.streams]].kind": "What comes.",
    "[simulated].port": "Where it listens.",
    "[simulated].host": "Its address.",
    "[sender].account": "The broker's name for it; the same as `router.account`.",
    "[sender].max_requests_per_s": "In the long run.",
    "[sender].reconciliation": "See `[sender.reconciliation]`.",
    "[sender.reconciliation].minor": "What follows a minor difference.",
    "[sender.reconciliation].critical": "What follows a critical one.",
    "[ibkr].host": "Of the Gateway or TWS; its API knows no password, so keep it to this machine or its own network.",
    "[ibkr].feed_client_id": "Of the feed's session.",
    "[ibkr].request_timeout_s": "For the answer to one question.",
    "[ibkr].ping_interval_s": "Between two pings.",
    "[ibkr].reconnect_min_s": "Before the first attempt to connect again; doubles with each that fails.",
    "[ibkr].reconnect_max_s": "Between two attempts, however many have failed.",
    "[ibkr].history_per_10_min": "Questions to the history; the Gateway refuses more than 60.",
    "[ibkr].contracts": "See `[[ibkr.contracts]]`.",
    "[[ibkr.contracts]].strike": "Of an option.",
    "[[ibkr.contracts]].right": "Of an option: call or put.",
    "[[ibkr.contracts]].trading_class": "Tells apart contracts of one symbol (`NQ` and its weekly options).",
    "[[ibkr.contracts]].local_symbol": "Theirs for one contract (`NQZ6`), instead of symbol and expiry.",
    "[router].limits": "See `[router.limits]`.",
    "[router].symbol_limits": "See `[[router.symbol_limits]]`.",
    "[router].strategy_limits": "See `[[router.strategy_limits]]`.",
    "[router].sizing": "See `[[router.sizing]]`.",
    "[router].breakers": "See `[router.breakers]`.",
    "[router].strategy_breakers": "See `[[router.strategy_breakers]]`.",
    "[[router.strategy_limits]].strategy": "Whose limits these are.",
    "[[router.sizing]].value": "Contracts, money or a fraction, as `method` says.",
    "[[router.strategy_breakers]].strategy": "Whose breakers these are.",
    "[router.breakers].drawdown": "See `[router.breakers.drawdown]`.",
    "[router.breakers].daily_loss": "See `[router.breakers.daily_loss]`.",
    "[router.breakers].order_rate": "See `[router.breakers.order_rate]`.",
    "[router.breakers].rejection_rate": "See `[router.breakers.rejection_rate]`.",
    "[router.breakers].stale_data": "See `[router.breakers.stale_data]`.",
    "[router.breakers].reconciliation": "See `[router.breakers.reconciliation]`.",
    "[[router.strategy_breakers]].drawdown": "As `[router.breakers.drawdown]`.",
    "[[router.strategy_breakers]].daily_loss": "As `[router.breakers.daily_loss]`.",
    "[[router.strategy_breakers]].order_rate": "As `[router.breakers.order_rate]`.",
    "[[router.strategy_breakers]].rejection_rate": "As `[router.breakers.rejection_rate]`.",
    "[router.breakers.drawdown].enabled": "`false`: it never trips.",
    "[router.breakers.daily_loss].enabled": "`false`: it never trips.",
    "[router.breakers.order_rate].enabled": "`false`: it never trips.",
    "[router.breakers.rejection_rate].enabled": "`false`: it never trips.",
    "[router.breakers.stale_data].enabled": "`false`: it never trips.",
    "[router.breakers.reconciliation].enabled": "`false`: it never trips.",
    "[router.breakers.order_rate].per_minute": "Orders and changes of orders within 60 s; exits may go on to twice as many.",
    "[router.breakers.rejection_rate].per_minute": "Refusals within 60 s.",
    "[[router.symbol_limits]].symbol": "Whose limits these are.",
    "[portfolio].accounts": "See `[[portfolio.accounts]]`; an account without an entry has positions and cash, and no equity.",
    "[portfolio].archive": "See `[portfolio.archive]`; no archive without it.",
    "[portfolio.archive].path": "The archive's folder ([market data](data.md)); relative to this file's folder.",
    "[[portfolio.accounts]].name": "As in `router.account` and `paper.account`.",
    "[[portfolio.accounts]].starting_cash": "In `currency`.",
    "[gateway].host": "Address to listen at; beyond loopback `token_file` is required.",
    "[gateway].port": "Of the page and the API.",
    "[gateway].title": "Of the page.",
}
"""Meanings of keys whose struct says nothing because the name says it all to a programmer."""


def render() -> str:
    """The tables, section by section."""
    return "\n".join(line for heading, kind in TABLES.items() for line in _section(heading, kind))


def page() -> str:
    """The page with its tables as they should be."""
    text = TARGET.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{render()}\n{END}{after}"


def _section(heading: str, kind: type[msgspec.Struct]) -> Iterator[str]:
    yield f"### `{heading}`\n"
    yield f"{sentence_of(kind)}\n"
    yield "| key | type | default | meaning |"
    yield "|---|---|---|---|"
    for field in fields_of(kind):
        yield f"| `{field.name}` | {_type(field)} | {_default(field)} | {cell(_meaning(heading, field))} |"
    yield ""


def _type(field: Field) -> str:
    """A type in the words of TOML."""
    kind = ast.parse(field.type, mode="eval").body
    return _words(kind)


def _words(kind: ast.expr) -> str:
    match kind:
        case ast.BinOp(left=left, right=ast.Constant(value=None)):
            return _words(left)
        case ast.BinOp(left=left, right=right):
            return f"{_words(left)} or {_words(right)}"
        case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[first, *_])):
            return _words(first)
        case ast.Subscript(value=ast.Name(id="Literal")):
            words = ast.literal_eval(kind.slice)
            return _choice(words if isinstance(words, tuple) else (words,))
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=[first, *_])):
            return f"list of {_words(first)}"
        case ast.Subscript(value=ast.Name(id="dict"), slice=ast.Tuple(elts=[_, value])):
            return f"table of {_words(value)}"
        case ast.Name(id=name) if name in CHOICES:
            return _choice(get_args(CHOICES[name]))
        case ast.Name(id=name):
            return TOML.get(name, "table")
    raise SystemExit(f"no words for the type {ast.unparse(kind)}")


def _choice(words: Iterable[str]) -> str:
    return ", ".join(f'`"{word}"`' for word in words)


def _default(field: Field) -> str:
    written = field.default
    if not written:
        return "**required**"
    if written == "None":
        return "not set"
    if written.endswith("Config()"):
        return "–"
    if "default_factory=dict" in written:
        return "`{}`"
    inner = written.removeprefix("Decimal(").removesuffix(")") if written.startswith("Decimal(") else written
    words = {"False": "false", "True": "true", "()": "[]"}
    if inner.startswith("("):
        inner = f"[{inner[1:-1]}]" if inner != "()" else inner
    return f"`{cell(words.get(inner, inner).replace(chr(39), chr(34)))}`"


def _meaning(heading: str, field: Field) -> str:
    text = field.text or PLAIN.get(f"{heading}.{field.name}", "")
    if not text:
        raise SystemExit(f"{heading} {field.name}: nobody says what it means; add a docstring below it, or a line to PLAIN")
    unit = next((unit for suffix, unit in UNITS.items() if field.name.endswith(suffix) and not field.name.endswith("_per_s")), "")
    return f"{text} *{unit[0].upper()}{unit[1:]}.*" if unit else text


def main() -> int:
    """Write, or compare."""
    named = {heading.strip("[]").split(".")[0] for heading in TABLES} | set(EMPTY)
    if named != set(SECTIONS):
        print(f"sections without a table: {set(SECTIONS) ^ named}", file=sys.stderr)
        return 1
    text = page()
    if "--check" in sys.argv[1:]:
        if TARGET.read_text(encoding="utf-8") == text:
            return 0
        print(f"{TARGET.name} is not what the structs say; run: python docs/generate_configuration.py", file=sys.stderr)
        return 1
    TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
