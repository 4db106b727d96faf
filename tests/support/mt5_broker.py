"""The MetaTrader 5 simulator for the sender's contract suite: over RPyC or in process, hedging or netting.

In:   the suite's faults and prices.   Out: the simulator's own books, in the suite's words.
Not:  events of its own: the platform has no push, so nothing can be reported twice, and nothing is ever corrected.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

from barque.config import convert
from barque.instruments import Instrument
from barque.messages.signals import Side
from simulators.mt5 import Mt5Simulator
from simulators.mt5 import constants as mt5
from simulators.mt5.book import Order, Position
from simulators.mt5.tuples import TradeRequest
from tests.support.brokers import BookedExecution

_OURS = re.compile(r"^([0-9a-f]{20})~[0-9A-Z]+([ts]*)$")
_ACTIONS = {
    "submit": (mt5.TRADE_ACTION_DEAL, mt5.TRADE_ACTION_PENDING),
    "cancel": (mt5.TRADE_ACTION_REMOVE,),
    "modify": (mt5.TRADE_ACTION_MODIFY, mt5.TRADE_ACTION_SLTP),
}
_FAULTS: dict[str, dict[str, Any]] = {
    "ignore": {"when": "before", "what": "retcode", "retcode": 10012},
    "silent": {"when": "during", "what": "retcode", "retcode": 10012},
    "cut_before": {"when": "before", "what": "ipc"},
    "cut_after": {"when": "during", "what": "ipc"},
}


class Mt5:
    """One account at one simulated terminal."""

    venue = "mt5"
    account = "5001"
    quiet_s = 0.5
    corrects = False
    resizes = False
    """A change of volume takes two requests."""

    def __init__(self, transport: str, hedging: bool, **section: Any) -> None:
        """`section`: further keys of `[mt5]`."""
        self.native_brackets = hedging
        self.instrument = convert(
            {"symbol": "EURUSD", "currency": "USD", "base_currency": "EUR", "tick_size": "0.00001", "calendar": "24/7"},
            Instrument,
            "",
        )
        self.sim = Mt5Simulator(["EURUSD", "USDJPY"], hedging=hedging)
        self._transport = transport
        self._more = section
        self._open = ExitStack()

    async def start(self, folder: Path) -> dict[str, Any]:
        section: dict[str, Any] = {"transport": self._transport, "poll_s": 0.03, "ping_s": 0.2, "books_lag_s": 0.0}
        section |= {"clock_wait_s": 0.0, "account_mode": "hedging" if self.native_brackets else "netting"}
        if self._transport == "rpyc":
            self._open.enter_context(self.sim)
            section["port"] = self.sim.port
        else:
            self._open.enter_context(self.sim.installed())
        self.quote(1.3, 1.3001)
        return {"mt5": section | self._more}

    async def stop(self) -> None:
        self.sim.close()
        self._open.close()

    def quote(self, bid: float, ask: float, size: float = 0.0) -> None:
        if size:
            self.sim.server.liquidity["EURUSD"] = size
        self.sim.quote("EURUSD", bid, ask)
        self.sim.server.liquidity.pop("EURUSD", None)

    def fail(self, verb: str, *faults: str) -> None:
        for fault in faults:
            self.sim.fault(**_FAULTS[fault], actions=_ACTIONS[verb])

    def drop(self) -> None:
        self.sim.lose_ipc()
        self.sim.cut()

    def closed(self, yes: bool) -> None:
        self.sim.terminal.running = not yes
        if yes:
            self.drop()

    def twice(self, yes: bool) -> None:
        """Every look is at everything: it is so already."""

    def correct(self, quantity: Decimal, price: Decimal) -> None:
        raise NotImplementedError("the platform corrects nothing")

    def trade_by_hand(self, side: Side, quantity: Decimal) -> None:
        request = dict.fromkeys(TradeRequest._fields, 0) | {"symbol": "EURUSD", "comment": "by hand", "sl": 0.0, "tp": 0.0}
        request |= {"action": mt5.TRADE_ACTION_DEAL, "volume": float(quantity), "price": 0.0, "stoplimit": 0.0}
        request |= {"type": mt5.ORDER_TYPE_BUY if side == "buy" else mt5.ORDER_TYPE_SELL, "type_filling": mt5.ORDER_FILLING_IOC}
        with self.sim.terminal.state:
            assert self.sim.server.handle(TradeRequest(**request)).retcode == 10009

    def submissions(self) -> Mapping[str, int]:
        """Of a bracket's exits as often as of the entry that carries them."""
        counts: Counter[str] = Counter()
        book = self.sim.book
        for order in (*book.history.values(), *book.open.values()):
            counts.update(_ids(order.comment))
        return counts

    def open_ids(self) -> set[str]:
        book = self.sim.book
        waiting = {_ids(order.comment)[0] for order in book.open.values() if _ids(order.comment)}
        return waiting.union(*(_exits(entry) for entry in (*book.open.values(), *book.positions.values())))

    def executions(self) -> list[BookedExecution]:
        found = []
        for deal in self.sim.book.trades():
            lots = Decimal(repr(deal.volume)) * (1 if deal.type == mt5.DEAL_TYPE_BUY else -1)
            token = next(iter(_ids(deal.comment)), deal.comment)
            found.append(BookedExecution(token, lots, Decimal(repr(deal.price))))
        return found

    def position(self) -> Decimal:
        return Decimal(repr(self.sim.book.net("EURUSD")))


def _ids(comment: str) -> list[str]:
    """An order's id and those of the exits that it carries: the suite numbers a bracket's orders one after the other."""
    match = _OURS.match(comment)
    return [f"{int(match[1], 16) + place:020x}" for place in range(1 + len(match[2]))] if match else []


def _exits(entry: Order | Position) -> set[str]:
    ids = _ids(entry.comment)
    letters = entry.comment.rpartition("~")[2].lstrip("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") if ids else ""
    prices = {"t": entry.tp, "s": entry.sl}
    return {ids[place] for place, letter in enumerate(letters, 1) if prices[letter]}
