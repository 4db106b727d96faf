"""One file, `barque.toml`, read once at start by each service.

In:   TOML, then `BARQUE__SECTION__KEY=value` from the environment, then `*_file` keys for secrets.
Out:  frozen structs. Not: defaults for secrets, unknown keys, a second reading.

A section may also have the name of an installed broker (an entry point of `barque.venues`): that is its adapter's own.
Every service declares its own section as a `msgspec.Struct` and calls `load(path, section=Type)`; sections of other
services are known by name and left alone, so one file serves all. Errors name the key and the nearest valid one.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar, get_args
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec

from barque.errors import ConfigError, nearest
from barque.instruments import Instrument

T = TypeVar("T")
Clock: TypeAlias = Literal["wall", "feed"]

SECTIONS = (
    "book",
    "redis",
    "postgres",
    "log",
    "instruments",
    "strategies",
    "feed_replay",
    "feed_ibkr",
    "feed_mt5",
    "barbuilder",
    "strategy_host",
    "router",
    "paper",
    "sender",
    "simulated",
    "ibkr",
    "mt5",
    "portfolio",
    "gateway",
)


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every configuration section: frozen, keyword-only, no unknown keys."""


class BookConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The unit of sharding: one account and what it trades."""

    name: str = "main"
    clock: Clock = "wall"
    """`wall`: live; `feed`: time comes from the feed (replay, tests, backtest)."""
    clock_interval_ms: int = 250
    """On a wall clock an idle node is told the time at least this often."""
    lineage: str = ""
    """Id of this history; empty: given when the book is created."""
    lockstep: bool = False
    """On a feed clock, nodes take turns and the feed waits for the book to be quiescent."""
    nodes: tuple[str, ...] = ("sender.paper", "barbuilder", "router", "portfolio")
    """The book's nodes besides its strategies; a replay begins when all have registered."""
    trim_window_s: int = 86_400
    """Entries younger than this stay on the streams even when every reader has passed them."""


class RedisConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the streams are."""

    url: str = "redis://127.0.0.1:6379/0"
    password_file: Path | None = None
    timeout_s: float = 5.0

    def dsn(self) -> str:
        """URL with the password of `password_file`; never to be logged."""
        return _with_password(self.url, self.password_file, "redis.password_file")


class PostgresConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the ledger is."""

    url: str = "postgresql://barque@127.0.0.1:5432/barque"
    password_file: Path | None = None
    timeout_s: float = 5.0

    def dsn(self) -> str:
        """URL with the password of `password_file`; never to be logged."""
        return _with_password(self.url, self.password_file, "postgres.password_file")


class LogConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How services log, always to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "pretty"] = "auto"
    """`auto`: pretty on a terminal, JSON lines otherwise."""


class StrategyConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One configured instance of a strategy class."""

    id: str
    strategy: str
    """Entry point name (`sma_cross`) or `module:Class`."""
    symbols: tuple[str, ...]
    interval: str = "1m"
    """Of the bars it gets, such as `5m` or `tick:100`; `[[barbuilder.bars]]` must make them, or a file bring them."""
    params: dict[str, Any] = {}
    enabled: bool = True
    intervals: tuple[str, ...] = ()
    """Of further bars it gets, such as `["1h", "1d"]`; as `interval`."""


class CommonConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every service reads."""

    book: BookConfig = BookConfig()
    redis: RedisConfig = RedisConfig()
    postgres: PostgresConfig = PostgresConfig()
    log: LogConfig = LogConfig()
    instruments: tuple[Instrument, ...] = ()
    strategies: tuple[StrategyConfig, ...] = ()

    def __post_init__(self) -> None:
        if self.book.clock_interval_ms >= self.redis.timeout_s * 1_000:
            raise ValueError("book.clock_interval_ms must be shorter than redis.timeout_s, or every wait times out")

    def expected_nodes(self) -> list[str]:
        """Every node of the book, strategies included."""
        return sorted([*self.book.nodes, *(f"strategy.{s.id}" for s in self.strategies if s.enabled)])

    def instrument(self, symbol: str) -> Instrument:
        """The configured instrument; raises `ConfigError` naming the nearest one."""
        for instrument in self.instruments:
            if instrument.symbol == symbol:
                return instrument
        known = [i.symbol for i in self.instruments]
        raise ConfigError(f"symbol '{symbol}' has no [[instruments]] entry; {nearest(symbol, known)}")


def read_file(path: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """The file's table with environment overrides; relative `*_file` and `*path` values resolved against its folder."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"config file {path} does not exist; `barque config init` writes one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"config file {path} cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"config file {path} is not valid TOML: {error}") from None
    for name, value in sorted(environment.items()):
        if name.startswith("BARQUE__"):
            _override(raw, name, value)
    unknown = [key for key in raw if key not in SECTIONS]
    venues = [point.name for point in entry_points(group="barque.venues")] if unknown else []
    for key in unknown:
        if key not in venues:
            raise ConfigError(f"{path}: unknown section '{key}'; {nearest(key, [*SECTIONS, *venues])}")
    _resolve_paths(raw, path.parent.resolve())
    return raw


def load_common(raw: Mapping[str, Any]) -> CommonConfig:
    """The sections every service reads."""
    known = CommonConfig.__struct_fields__
    return convert({k: v for k, v in raw.items() if k in known}, CommonConfig, "")


def load_section(raw: Mapping[str, Any], name: str, kind: type[T]) -> T:
    """One service's own section; defaults where it is absent."""
    return convert(raw.get(name, {}), kind, name)


def convert(value: Any, kind: type[T], where: str) -> T:
    """`value` as a `kind`; raises `ConfigError` naming the key, the value's fault and the nearest valid key."""
    try:
        return msgspec.convert(value, kind, strict=False, dec_hook=_decode_path)
    except msgspec.ValidationError as error:
        raise ConfigError(_explain(str(error), kind, where)) from None


def _decode_path(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise ValueError(f"expected {kind.__name__}")


def masked(url: str) -> str:
    """A URL fit for a log or a terminal: password replaced by `***`."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url)


def _explain(text: str, kind: type, where: str) -> str:
    path = re.search(r" - at `\$?\.?(.*?)`$", text)
    inner = path.group(1) if path else ""
    place = ".".join(part for part in (where, inner) if part)
    said = text[: path.start()] if path else text
    unknown = re.search(r"unknown field `(.*?)`", said)
    if unknown:
        key = unknown.group(1)
        fields = _fields_at(kind, inner)
        return f"unknown key '{'.'.join(p for p in (place, key) if p)}'; {nearest(key, fields)}"
    missing = re.search(r"missing required field `(.*?)`", said)
    if missing:
        return f"key '{'.'.join(p for p in (place, missing.group(1)) if p)}' is required and not set"
    first = said.partition(" ")[0]
    return f"key '{place}': {said[0].lower() if first.isalpha() and first[1:].islower() else said[0]}{said[1:]}"


def _fields_at(kind: Any, path: str) -> list[str]:
    for part in re.findall(r"[a-z_]+|\[", path):
        if part == "[":
            kind = get_args(kind)[0]
        else:
            hints = {f.name: f.type for f in msgspec.structs.fields(kind)}
            kind = hints.get(part, kind)
            options = [k for k in get_args(kind) if isinstance(k, type) and issubclass(k, msgspec.Struct)]
            kind = options[0] if options and not hasattr(kind, "__struct_fields__") and "tuple" not in str(kind) else kind
    return [f.encode_name for f in msgspec.structs.fields(kind)]


def _override(raw: dict[str, Any], name: str, value: str) -> None:
    path = name.lower().split("__")[1:]
    table = raw
    for part in path[:-1]:
        child = table.setdefault(part, {})
        if not isinstance(child, dict):
            raise ConfigError(f"environment variable {name}: '{part}' is not a table")
        table = child
    table[path[-1]] = value


def _resolve_paths(table: dict[str, Any], folder: Path) -> None:
    for key, value in table.items():
        if isinstance(value, dict):
            if key != "params":
                _resolve_paths(value, folder)
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, dict):
                    _resolve_paths(item, folder)
        elif isinstance(value, str) and value and (key == "path" or key.endswith(("_file", "_path", "_dir"))):
            table[key] = str((folder / Path(value).expanduser()).resolve())


def read_secret(path: Path, key: str) -> str:
    """The content of a secret file, stripped; raises `ConfigError` naming the key."""
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"key '{key}': cannot read {path}: {error.strerror}") from None
    if not secret:
        raise ConfigError(f"key '{key}': {path} is empty")
    return secret


def _with_password(url: str, password_file: Path | None, key: str) -> str:
    if password_file is None:
        return url
    parts = urlsplit(url)
    user = parts.username or ""
    host = parts.netloc.rpartition("@")[2]
    secret = quote(read_secret(password_file, key), safe="")
    return urlunsplit(parts._replace(netloc=f"{user}:{secret}@{host}"))
