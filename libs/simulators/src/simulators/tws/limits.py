"""The limits TWS keeps, counted and enforced; each can be changed or taken away.

In:   the times of messages and requests.   Out: yes, or the error that TWS would say.
"""

from __future__ import annotations

from collections import deque

import msgspec

from simulators.tws.events import Refusal
from simulators.tws.hours import NS_PER_S


class Limits(msgspec.Struct, kw_only=True):
    """What a Gateway allows; the figures of the guide to its API."""

    messages_per_s: int = 50
    strikes: int = 3
    """Seconds with too many messages before the connection is closed."""
    lines: int = 100
    """Market data subscriptions at a time."""
    tick_by_tick: int = 3
    history_simultaneous: int = 50
    history_per_10_min: int = 60
    history_identical_s: float = 15.0
    history_same_contract_per_2_s: int = 5
    orders_per_side: int = 20
    """Working orders per contract, side and account."""
    rising_order_ids: bool = True
    """A new order's id must be higher than any its client has used: 103."""
    margin: bool = True
    clients: int = 32


class MessageRate:
    """Messages of one connection."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._times: deque[int] = deque()
        self._struck_ns = -NS_PER_S
        self.strikes = 0

    def take(self, now_ns: int) -> str:
        """`ok`, `over` (say error 100, once a second) or `close`."""
        times = self._times
        times.append(now_ns)
        while now_ns - times[0] >= NS_PER_S:
            times.popleft()
        if len(times) <= self._limits.messages_per_s or now_ns - self._struck_ns < NS_PER_S:
            return "ok"
        self._struck_ns = now_ns
        self.strikes += 1
        return "close" if self.strikes >= self._limits.strikes else "over"


class HistoryPacing:
    """Historical requests of one login. Bars of a minute and more are not counted, as TWS only slows them down."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._times: deque[int] = deque()
        self._asked: dict[object, int] = {}
        self._contracts: dict[object, deque[int]] = {}

    def take(self, request: object, contract: object, weight: int, now_ns: int) -> Refusal | None:
        """`request` is equal for identical ones; `weight`: BID_ASK counts twice."""
        times, limits = self._times, self._limits
        while times and now_ns - times[0] >= 600 * NS_PER_S:
            times.popleft()
        self._asked = {key: at for key, at in self._asked.items() if now_ns - at < limits.history_identical_s * NS_PER_S}
        recent = self._contracts.setdefault(contract, deque())
        while recent and now_ns - recent[0] >= 2 * NS_PER_S:
            recent.popleft()
        broken = (
            request in self._asked
            or len(times) + weight > limits.history_per_10_min
            or len(recent) + weight > limits.history_same_contract_per_2_s
        )
        if broken:
            return Refusal(162, "Historical Market Data Service error message:Historical data request pacing violation")
        self._asked[request] = now_ns
        times.extend([now_ns] * weight)
        recent.extend([now_ns] * weight)
        return None
