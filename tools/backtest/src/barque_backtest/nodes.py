"""Makes any node of a book from its configuration: for backtests, replays and other runs in one process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from barbuilder.config import BarBuilderConfig
from barbuilder.core.node import BarBuilderNode
from barque.config import Clock, load_common, load_section
from barque.errors import ConfigError, nearest
from barque.node import Node
from barque_paper import PaperConfig, PaperNode
from portfolio.config import PortfolioConfig
from portfolio.core.node import PortfolioNode
from router.config import RouterConfig
from router.core.node import RouterNode
from strategy_host.core.loading import node_factories


def make(name: str, raw: Mapping[str, Any], clock: Clock | None = None) -> Node:
    """A fresh node of that name; raises `ConfigError` with the nearest name where the book has none such.

    `clock`: whose time it is told; None: the book's. A backtest tells the feed's, whatever the book has.
    """
    common = load_common(raw)
    instruments, clock = common.instruments, clock or common.book.clock
    if name == "barbuilder":
        return BarBuilderNode(load_section(raw, "barbuilder", BarBuilderConfig), instruments)
    if name == "router":
        return RouterNode(load_section(raw, "router", RouterConfig), instruments, [s.id for s in common.strategies], clock)
    if name == "sender.paper":
        return PaperNode(load_section(raw, "paper", PaperConfig), instruments)
    if name == "portfolio":
        return PortfolioNode(load_section(raw, "portfolio", PortfolioConfig), instruments, clock)
    strategies = node_factories(common)
    if name in strategies:
        return strategies[name]()
    raise ConfigError(f"book '{common.book.name}' has no node '{name}'; {nearest(name, common.expected_nodes())}")


def make_all(raw: Mapping[str, Any], clock: Clock | None = None) -> list[Node]:
    """Every node of the book."""
    return [make(name, raw, clock) for name in load_common(raw).expected_nodes()]
