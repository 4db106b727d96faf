"""Configurations of books that tests run."""

from __future__ import annotations

from pathlib import Path

EURUSD = """
[[instruments]]
symbol = "EURUSD"
currency = "USD"
base_currency = "EUR"
tick_size = "0.00001"
max_spike_fraction = 0.5
"""

USDJPY = """
[[instruments]]
symbol = "USDJPY"
currency = "JPY"
base_currency = "USD"
tick_size = "0.001"
"""

FREE = """
[paper]
slippage_fraction = "0"
commission_fraction = "0"
commission_min = "0"
"""
"""An exchange that costs nothing, so that results can be computed by hand."""


def eurusd_ticks(path: Path, speed: str = '"max"', lockstep: bool = True) -> str:
    """EURUSD quotes, one-minute bars of both sides, an SMA cross on the bid, a paper account."""
    return f"""
[book]
name = "eurusd"
clock = "feed"
lockstep = {str(lockstep).lower()}
lineage = "replayed"

[feed_replay]
source = "files"
speed = {speed}

[[feed_replay.files]]
path = "{path}"
symbol = "EURUSD"
{EURUSD}
[[barbuilder.bars]]
symbols = ["EURUSD"]
interval = "1m"
prices = ["bid", "ask"]

[[strategies]]
id = "sma-a"
strategy = "sma_cross"
symbols = ["EURUSD"]
interval = "1m"
params = {{ fast = 3, slow = 8, quantity = "1", price = "bid" }}

[[strategies]]
id = "sma-b"
strategy = "sma_cross"
symbols = ["EURUSD"]
interval = "1m"
params = {{ fast = 5, slow = 15, quantity = "2", price = "ask" }}

[paper]
slippage_fraction = "0"
commission_fraction = "0.00002"
commission_min = "0"

[router.limits]
max_position = "10"

[portfolio]
equity_interval_s = 3600

[[portfolio.accounts]]
name = "paper"
currency = "USD"
starting_cash = "100000"
"""


def usdjpy_month(bid: Path, ask: Path, extra: str = "", speed: str = '"max"', lockstep: bool = True) -> str:
    """USDJPY minute bars of both sides and gotobi; `extra`: further keys of the strategy. One contract is nine times the
    account, so the drawdown of the 25th would trip the breaker."""
    return f"""
[book]
name = "gotobi"
clock = "feed"
lockstep = {str(lockstep).lower()}
lineage = "replayed"

[feed_replay]
source = "files"
speed = {speed}

[[feed_replay.files]]
path = "{bid}"
symbol = "USDJPY"
interval = "1m"
price = "bid"

[[feed_replay.files]]
path = "{ask}"
symbol = "USDJPY"
interval = "1m"
price = "ask"
{USDJPY}
[[strategies]]
id = "gotobi"
strategy = "gotobi"
symbols = ["USDJPY"]
interval = "1m"
{extra}
{FREE}
[router.limits]
max_position = "1"
max_notional = "20000000"

[router.breakers.drawdown]
enabled = false

[portfolio]
equity_interval_s = 86400

[[portfolio.accounts]]
name = "paper"
currency = "JPY"
starting_cash = "1000000"
"""


def live_market(name: str, ticks_per_s: float = 20.0, extra: str = "") -> str:
    """A book on the wall clock: a seeded market of two symbols, one-second bars, strategies that change their mind all the time.

    `extra`: further sections.
    """
    strategies = "".join(
        f"""
[[strategies]]
id = "{symbol.lower()}-{slow}"
strategy = "sma_cross"
symbols = ["{symbol}"]
interval = "1s"
params = {{ fast = 1, slow = {slow}, quantity = "1", price = "mid" }}
"""
        for symbol in ("EURUSD", "USDJPY")
        for slow in (2, 3)
    )
    return f"""
[book]
name = "{name}"
clock_interval_ms = 50

[feed_replay]
source = "market"

[feed_replay.market]
seed = 7
ticks_per_s = {ticks_per_s}
symbols = {{ EURUSD = 1.085, USDJPY = 151.2 }}
{EURUSD.replace("max_spike_fraction = 0.5", "")}{USDJPY}
[barbuilder]
grace_ms = 100
mark_interval_ms = 50

[[barbuilder.bars]]
symbols = ["EURUSD", "USDJPY"]
interval = "1s"
prices = ["mid"]
{strategies}{FREE}
[router.limits]
max_position = "100"

[router.breakers.order_rate]
per_minute = 100000

[router.breakers.drawdown]
enabled = false

[[portfolio.accounts]]
name = "paper"
currency = "USD"
starting_cash = "100000"
{extra}"""
