"""What was said on all connections, both ways, decoded; bounded.

In:   messages as they pass.   Out: entries to look through, and a text for a failing test to show.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Literal, TypeAlias

import msgspec

from simulators.tws.place_order import PlaceOrder
from simulators.tws.replies import Message
from simulators.tws.requests import NAMES, Request, read_request
from simulators.tws.wire import Value, text

REPLIES = {
    1: "tickPrice", 2: "tickSize", 3: "orderStatus", 4: "error", 5: "openOrder", 6: "accountValue", 7: "portfolioValue",
    8: "accountTime", 9: "nextValidId", 10: "contractData", 11: "execDetails", 15: "managedAccounts", 17: "historicalData",
    45: "tickGeneric", 46: "tickString", 49: "currentTime", 50: "realTimeBar", 52: "contractDataEnd", 53: "openOrderEnd",
    54: "accountDownloadEnd", 55: "execDetailsEnd", 57: "tickSnapshotEnd", 58: "marketDataType", 59: "commissionReport",
    61: "position", 62: "positionEnd", 63: "accountSummary", 64: "accountSummaryEnd", 73: "accountUpdateMulti",
    74: "accountUpdateMultiEnd", 75: "optionParameters", 76: "optionParametersEnd", 79: "symbolSamples", 81: "tickReqParams",
    88: "headTimestamp", 90: "historicalDataUpdate", 93: "marketRule", 94: "pnl", 95: "pnlSingle", 96: "historicalTicks",
    97: "historicalTicksBidAsk", 98: "historicalTicksLast", 99: "tickByTick", 101: "completedOrder", 102: "completedOrdersEnd",
}  # fmt: skip


Way: TypeAlias = Literal["in", "out", "cut"]


class Entry(msgspec.Struct, frozen=True):
    """One message. `way`: `in` from the client, `out` to it, `cut` where a scenario kept it from the wire."""

    time_ns: int
    client_id: int
    way: Way
    message: Message

    @property
    def name(self) -> str:
        try:
            number = int(text(self.message[0]))
        except (IndexError, ValueError):
            return "handshake"
        return (NAMES if self.way == "in" else REPLIES).get(number, str(number))

    @property
    def request(self) -> Request | PlaceOrder:
        """What a client asked, typed. Raises `BadField` for what is no request."""
        return read_request(tuple(map(text, self.message)))[1]

    @property
    def fields(self) -> tuple[Value, ...]:
        return self.message[1:]

    def __str__(self) -> str:
        return f"{self.time_ns / 1e9:.3f} client {self.client_id} {self.way:>3} {self.name} {' '.join(map(text, self.fields))}"


class Transcript:
    """The last messages of all connections."""

    def __init__(self, size: int = 20_000) -> None:
        self._entries: deque[Entry] = deque(maxlen=size)

    def add(self, entry: Entry) -> None:
        self._entries.append(entry)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def named(self, name: str, way: Way | None = None) -> list[Entry]:
        """`named("placeOrder")`, `named("error", "out")`."""
        return [entry for entry in self._entries if entry.name == name and way in (None, entry.way)]

    def clear(self) -> None:
        self._entries.clear()

    def __str__(self) -> str:
        return "\n".join(map(str, self._entries))
