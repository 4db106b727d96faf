"""Which processes make up a book: one place that knows every service. Used by `demo`, `up`, `doctor` and the tests."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """One process."""

    name: str
    module: str

    def command(self, config: Path, health_port: int, instance: str = "") -> Sequence[str]:
        """How to start it on this machine."""
        command = [sys.executable, "-m", self.module, "--config", str(config), "--health-port", str(health_port)]
        return [*command, "--instance", instance or self.name]


SERVICES: tuple[ServiceSpec, ...] = (
    ServiceSpec("barbuilder", "barbuilder"),
    ServiceSpec("router", "router"),
    ServiceSpec("sender-paper", "router.shell.senders"),
    ServiceSpec("portfolio", "portfolio"),
    ServiceSpec("strategy-host", "strategy_host"),
    ServiceSpec("feed-replay", "feed_replay"),
    ServiceSpec("gateway", "gateway"),
)
"""A book whose market is recorded or made up. Its sender trades on paper, or at the broker that `[sender]` names."""
BROKER_FEEDS: tuple[ServiceSpec, ...] = (ServiceSpec("feed-ibkr", "feed_ibkr"), ServiceSpec("feed-mt5", "feed_mt5"))
"""Each runs where the configuration has its section; then there is no replay, unless that is asked for too."""


def service(name: str) -> ServiceSpec:
    """The service of a name; raises KeyError."""
    return {spec.name: spec for spec in (*SERVICES, *BROKER_FEEDS)}[name]


def services_of(raw: Mapping[str, Any]) -> tuple[ServiceSpec, ...]:
    """The services that a configuration needs."""
    feeds = tuple(spec for spec in BROKER_FEEDS if spec.module in raw)
    others = [spec for spec in SERVICES if not (feeds and spec.module == "feed_replay" and spec.module not in raw)]
    if "sender" in raw:
        at_broker = ServiceSpec(f"sender-{raw['sender'].get('venue', 'broker')}", service("sender-paper").module)
        others = [at_broker if spec.module == at_broker.module else spec for spec in others]
    return (*others, *feeds)
