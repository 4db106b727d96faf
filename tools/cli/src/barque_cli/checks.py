"""`barque doctor` and `barque config check`: what a book needs, each with what to do where it is missing."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import msgspec

from barbuilder.config import BarBuilderConfig
from barque.bus.redis_bus import RedisBus
from barque.config import CommonConfig, load_common, load_section, masked, read_file
from barque.errors import BarqueError, ConfigError, nearest
from barque.postgres.migrate import migrations
from barque.postgres.pool import connect_one, postgres_errors
from barque_backtest import nodes
from barque_cli import coherence
from barque_paper import PaperConfig
from feed_ibkr.config import FeedIbkrConfig
from feed_mt5.config import FeedMt5Config
from feed_replay.config import FeedReplayConfig
from gateway.config import GatewayConfig
from portfolio.config import PortfolioConfig
from router.config import RouterConfig
from router.core.sending.config import SendingConfig
from router.core.sending.node import SendingNode
from strategy_host.config import StrategyHostConfig
from venues.ibkr.config import IbkrConfig
from venues.mt5.config import Mt5Config

SECTIONS: dict[str, type] = {
    "feed_replay": FeedReplayConfig,
    "barbuilder": BarBuilderConfig,
    "strategy_host": StrategyHostConfig,
    "router": RouterConfig,
    "paper": PaperConfig,
    "portfolio": PortfolioConfig,
    "gateway": GatewayConfig,
}

BROKER_SECTIONS: dict[str, type] = {
    "sender": SendingConfig,
    "ibkr": IbkrConfig,
    "mt5": Mt5Config,
    "feed_ibkr": FeedIbkrConfig,
    "feed_mt5": FeedMt5Config,
}
"""Of books that trade at a broker: checked where they are there."""

PROBES = {"ibkr": "barque_cli.doctor_ibkr", "mt5": "barque_cli.doctor_mt5"}
"""Brokers whose end can be looked at, each by a module's `probe`."""


@dataclass(frozen=True)
class Finding:
    """One check."""

    name: str
    ok: bool
    text: str


def effective(path: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """Every section with its defaults, secrets masked; raises `ConfigError` for what cannot be used, a line for each thing."""
    raw = read_file(path, environment)
    common = load_common(raw)
    found: dict[str, Any] = msgspec.to_builtins(common, str_keys=True, builtin_types=(Path,), enc_hook=str)
    for name, kind in SECTIONS.items():
        found[name] = msgspec.to_builtins(load_section(raw, name, kind), builtin_types=(Path,), enc_hook=str)
    for name, kind in BROKER_SECTIONS.items():
        if name in raw:
            found[name] = msgspec.to_builtins(load_section(raw, name, kind), builtin_types=(Path,), enc_hook=str)
    if "sender" in raw:
        _live_sender(raw, common)
    for name in common.expected_nodes():
        if "sender" not in raw or name != f"sender.{found['sender']['venue']}":
            nodes.make(name, raw)
    if faults := coherence.faults(raw):
        raise ConfigError("\n".join(faults))
    for store in ("redis", "postgres"):
        found[store]["url"] = masked(found[store]["url"])
    return found


def _live_sender(raw: Mapping[str, Any], common: CommonConfig) -> None:
    """A node with a wire, made and not connected."""
    config = load_section(raw, "sender", SendingConfig)
    venues = {point.name: point for point in entry_points(group="barque.venues")}
    if config.venue not in venues:
        raise ConfigError(f"key 'sender.venue': no broker '{config.venue}' is installed; {nearest(config.venue, sorted(venues))}")
    venue = venues[config.venue].load()(raw, common.instruments, config.account)
    SendingNode(config, venue.capabilities, config.venue, [each.symbol for each in common.instruments])


async def run(path: Path) -> list[Finding]:
    """All checks; those that need a store are left out where the configuration itself is wrong."""
    findings: list[Finding] = []
    try:
        effective(path, os.environ)
        common = load_common(read_file(path, os.environ))
    except BarqueError as error:
        return [Finding("configuration", False, str(error))]
    findings.append(Finding("configuration", True, f"{path}, book '{common.book.name}', {len(common.instruments)} instruments"))
    findings.append(_token(path))
    findings += await _redis(common)
    findings += await _postgres(common)
    return findings


def _token(path: Path) -> Finding:
    """That the token can be read and is long enough is the configuration's check; a book may also have none."""
    config = load_section(read_file(path, os.environ), "gateway", GatewayConfig)
    if config.token_file is not None:
        return Finding("gateway token", True, str(config.token_file))
    text = "a halt could not be lifted; make one with `openssl rand -hex 32` and name its file in [gateway] token_file"
    return Finding("gateway token", False, text)


async def probe(broker: str, path: Path) -> list[Finding]:
    """What has to be right at a broker's end; raises `ConfigError` for one that there is not."""
    if broker not in PROBES:
        raise ConfigError(f"there is no check of broker '{broker}'; {nearest(broker, list(PROBES))}")
    raw = read_file(path, os.environ)
    found: list[Finding] = await import_module(PROBES[broker]).probe(raw, load_common(raw))
    return found


async def _redis(common: CommonConfig) -> list[Finding]:
    try:
        bus = await RedisBus.connect(common.redis, common.book.name)
    except BarqueError as error:
        return [Finding("redis", False, str(error))]
    try:
        facts = await bus.facts()
        skew_s = abs(facts.now_ms / 1000 - time.time())
        return [
            Finding("redis", True, f"{masked(common.redis.url)}, version {facts.version}, functions loaded"),
            Finding("redis durability", facts.appendonly, "append-only file on" if facts.appendonly else "set `appendonly yes`"),
            Finding(
                "redis memory policy",
                facts.maxmemory_policy == "noeviction",
                f"{facts.maxmemory_policy}"
                + ("" if facts.maxmemory_policy == "noeviction" else "; set `maxmemory-policy noeviction`"),
            ),
            Finding(
                "clock", skew_s < 1.0, f"{skew_s * 1000:.0f} ms between Redis and here" + ("" if skew_s < 1 else "; run NTP")
            ),
            Finding("book in redis", bool(await bus.lineage()), await bus.lineage() or "not begun; run `barque seed`"),
        ]
    finally:
        await bus.close()


async def _postgres(common: CommonConfig) -> list[Finding]:
    try:
        connection = await connect_one(common.postgres)
    except BarqueError as error:
        return [Finding("postgres", False, str(error))]
    try:
        async with postgres_errors(common.postgres):
            version = await connection.fetchval("SHOW server_version")
            sync = await connection.fetchval("SHOW synchronous_commit")
            ready = await connection.fetchval("SELECT to_regclass('migrations') IS NOT NULL")
            ran = await connection.fetchval("SELECT count(*) FROM migrations") if ready else 0
            lineage = await connection.fetchval("SELECT lineage FROM books WHERE book = $1", common.book.name) if ready else None
        missing = len(migrations()) - ran
        return [
            Finding("postgres", True, f"{masked(common.postgres.url)}, version {version}"),
            Finding("postgres durability", sync == "on", f"synchronous_commit {sync}"),
            Finding(
                "schema", missing == 0, "up to date" if missing == 0 else f"{missing} migrations to run; run `barque migrate`"
            ),
            Finding("book in postgres", bool(lineage), lineage or "not begun; run `barque seed`"),
        ]
    except BarqueError as error:
        return [Finding("postgres", False, str(error))]
    finally:
        await connection.close()
