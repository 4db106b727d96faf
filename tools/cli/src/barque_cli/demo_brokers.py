"""The demo at a broker instead of on paper: its simulator as one more process, the broker's feed and sender.

In:   the broker's name.   Out: the configuration of the book, and the process to start before its services.
Not:  the simulators; `barque simulate` runs them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from barque.errors import ConfigError, nearest
from barque_cli.supervisor import Child

PAPER = "paper"
_TEMPLATE = files("barque_cli").joinpath("demo_broker.toml")
_SYMBOLS = ("EURUSD", "USDJPY")
_TICKS_PER_S = "8"


@dataclass(frozen=True, slots=True)
class DemoBroker:
    """One simulator, and what the book's configuration says of it."""

    simulate: Sequence[str]
    """Arguments of `barque simulate`, without the port."""
    account: str
    sections: str
    """`{port}`: where the simulator listens."""


BROKERS = {
    "ibkr-simulator": DemoBroker(
        ("tws", "--account", "DU1234567", "--cash", "1000000"),
        "DU1234567",
        """
[sender]
account = "DU1234567"
venue = "ibkr"

[ibkr]
port = {port}
account = "DU1234567"

[feed_ibkr]
symbols = ["EURUSD", "USDJPY"]
""",
    ),
    "mt5-simulator": DemoBroker(
        ("mt5", "--balance", "1000000"),
        "5001",
        """
[sender]
account = "5001"
venue = "mt5"

[mt5]
port = {port}
login = 5001
account_mode = "hedging"

[feed_mt5]
symbols = ["EURUSD", "USDJPY"]
""",
    ),
}


def broker_of(name: str) -> DemoBroker:
    """The broker of that name; raises `ConfigError`."""
    if name not in BROKERS:
        raise ConfigError(f"option --broker: '{name}' is none; {nearest(name, [PAPER, *BROKERS])}")
    return BROKERS[name]


def configuration(broker: DemoBroker, port: int) -> str:
    """The whole barque.toml."""
    common = _TEMPLATE.read_text(encoding="utf-8").replace("ACCOUNT", broker.account)
    return common + broker.sections.format(port=port)


def simulator(broker: DemoBroker, port: int, folder: Path) -> Child:
    """Its process, not started."""
    command = [sys.executable, "-m", "barque_cli.main", "simulate", *broker.simulate]
    options = ["--port", str(port), "--symbols", ",".join(_SYMBOLS), "--ticks-per-s", _TICKS_PER_S]
    return Child("simulator", [*command, *options], folder / "logs" / "simulator.log")
