"""The TWS simulator as a broker of the contract suites: the real ib_async and our adapter talk to it over TCP."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from barque.instruments import Instrument
from barque.messages.signals import Side
from simulators.tws import replies
from simulators.tws.events import Event, Executed
from simulators.tws.matching import ALL
from simulators.tws.server import TwsSimulator
from tests.support.brokers import BookedExecution, Fault, Verb
from tests.support.builders import eurusd
from tests.support.ibkr import ACCOUNT

UNIT = Decimal(100_000)
"""Euros in one contract of ours."""
CLIENT = 12


class _Repeating(TwsSimulator):
    """Says every execution once more, where asked."""

    twice = False

    def _tell(self, event: Event) -> None:
        super()._tell(event)
        if self.twice and isinstance(event, Executed):
            execution = event.execution
            self.later(0.02, lambda: self.mishaps.repeat(execution))


class Tws:
    """A `tests.support.brokers.Broker`."""

    venue = "ibkr"
    account = ACCOUNT
    quiet_s = 0.5
    corrects = True
    native_brackets = True
    resizes = True

    def __init__(self) -> None:
        self.instrument: Instrument = eurusd(calendar="24/7")
        self.tws = _Repeating()

    async def start(self, folder: Path) -> dict[str, Any]:
        await self.tws.__aenter__()
        self.quote(1.3, 1.3001)
        return {
            "ibkr": {
                "port": self.tws.port,
                "connect_timeout_s": 3.0,
                "request_timeout_s": 3.0,
                "reconnect_min_s": 0.05,
                "reconnect_max_s": 0.2,
                "books_lag_s": self.quiet_s,
            }
        }

    async def stop(self) -> None:
        await self.tws.__aexit__(None, None, None)

    def quote(self, bid: float, ask: float, size: float = 0.0) -> None:
        for place, order in enumerate(self.tws.exchange.open_orders()):
            if not size:
                order.fill_plan = [ALL]
            else:
                order.fill_plan = [Decimal(str(size)) * UNIT if place == 0 else Decimal(0)]
        self.tws.quote("EURUSD", bid, ask)

    def fail(self, verb: Verb, *faults: Fault) -> None:
        request = "cancelOrder" if verb == "cancel" else "placeOrder"
        for n, fault in enumerate(faults, 1):
            rule = self.tws.script.on(request, n=n)
            if fault in ("ignore", "silent"):
                rule.silence(handled=fault == "silent")
            else:
                rule.drop("before" if fault == "cut_before" else "after")

    def drop(self) -> None:
        self.tws.mishaps.drop_sockets()

    def closed(self, yes: bool) -> None:
        self.tws.mishaps.accept_then_close = yes
        if yes:
            self.tws.mishaps.drop_sockets()

    def twice(self, yes: bool) -> None:
        self.tws.twice = self.tws.noise.duplicate_status = self.tws.noise.duplicate_open_order = yes

    def correct(self, quantity: Decimal, price: Decimal) -> None:
        tws, account = self.tws, self.tws.accounts[ACCOUNT]
        before = account.executions[-1]
        number = int(before.exec_id.rpartition(".")[2]) + 1
        changes: dict[str, Any] = {"quantity": quantity * UNIT, "price": price, "average": price}
        after = msgspec.structs.replace(before, exec_id=f"{before.root}.{number:02d}", **changes)
        account.executions.append(after)
        before.order.filled += after.quantity - before.quantity
        account.book_anew()
        tws.emit(replies.execution_details(-1, after), replies.commission_report(after), client_id=CLIENT)
        tws.account_desk.touched(ACCOUNT, before.order.listing.con_id)
        tws.settle()

    def trade_by_hand(self, side: Side, quantity: Decimal) -> None:
        self.tws.mishaps.enter_by_hand("EURUSD", "BUY" if side == "buy" else "SELL", int(quantity * UNIT))

    def submissions(self) -> Mapping[str, int]:
        return {_order_id(ref): count for ref, count in self.tws.book.submissions.items()}

    def open_ids(self) -> set[str]:
        return {_order_id(order.ref) for order in self.tws.book.open_orders if order.ref}

    def executions(self) -> list[BookedExecution]:
        return [
            BookedExecution(
                _order_id(each.order.ref), (each.quantity if each.order.is_buy else -each.quantity) / UNIT, each.price
            )
            for each in self.tws.book.executions
            if each.quantity
        ]

    def position(self) -> Decimal:
        return self.tws.book.position("EURUSD") / UNIT


def _order_id(reference: str) -> str:
    """`bq.<number>.<order id>`; empty for what is not ours."""
    return reference.split(".", 2)[2] if reference.startswith("bq.") else ""
