"""Which processes make up a book: one place that knows every service. Used by `demo`, `up`, `doctor` and the tests."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """One process."""

    name: str
    module: str
    essential: bool = True
    """False: the book works without it (a page is not needed to trade)."""

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
    ServiceSpec("gateway", "gateway", essential=False),
)


def service(name: str) -> ServiceSpec:
    """The service of a name; raises KeyError."""
    return {spec.name: spec for spec in SERVICES}[name]
