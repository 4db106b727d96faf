"""Runs the examples of docs/fill-model.md: a few lines of orders and prices, and what the exchange says to them.

In:   the text of a block.   Out: for each `->` line, what it says and what was said.

    set fill_at close            a key of `[paper]`; `set X.spread_ticks 2` one of `[[paper.symbols]]`
    bar 100 101 99 100           open, high, low, close of the next minute, as last prices; also `mid`, `bid`, `ask`; `volume 30`
    quote 99 101                 bid and ask a second later; `sizes 10 20`
    buy a 1 limit 99             an order `a`; also market, stop 101, stop_limit 101 limit 102, trailing 1, trailing 1 stop 98;
                                 then any of: ioc, fok, until 30s, after e (held until `e` fills), oco g
    modify a limit 98            also quantity, stop, trail
    cancel a
    wait 90s                     time passes
    -> a filled 1 at 99          all that was said since the last such line, but acceptances, in order

The symbol is X: units of one, a grid of 0.01, around the clock; without costs, unless they are set.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from barque.messages import (
    CancelRejected,
    Fill,
    ModifyRejected,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderModified,
    OrderRejected,
)
from barque_paper import PaperConfig, PaperNode, PaperSymbolConfig
from tests.support.builders import MINUTE, NS, T0, a_bar, a_quote, an_order, clock
from tests.support.exchange import FREE, a_cancel, a_change, feed, plain, stock

_KINDS = {"bar": "last", "mid": "mid", "bid": "bid", "ask": "ask"}
_VERBS = {OrderCancelled: "cancelled", OrderExpired: "expired"}


def run(text: str) -> list[tuple[str, str]]:
    """Each expectation of a block with what was said instead; a last pair for what nobody expected."""
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    scenario = _Scenario([line for line in lines if line.startswith("set ")])
    pairs = []
    for line in lines:
        if line.startswith("->"):
            pairs.append((line.removeprefix("->").strip(), scenario.said.pop(0) if scenario.said else ""))
        elif line and not line.startswith("set "):
            if scenario.said:
                break
            scenario.play(line.split())
    return pairs + [("", said) for said in scenario.said]


class _Scenario:
    def __init__(self, settings: list[str]) -> None:
        config: dict[str, Any] = dict(FREE)
        own: dict[str, Any] = {}
        for line in settings:
            _, key, value = line.split()
            target = own if key.startswith("X.") else config
            name = key.removeprefix("X.")
            target[name] = int(value) if name.endswith(("_ticks", "_ms")) else value if name == "fill_at" else Decimal(value)
        self.node = PaperNode(PaperConfig(**config, symbols=(PaperSymbolConfig(symbol="X", **own),)), [stock()])
        self.said: list[str] = []
        self._now = T0
        self._minute: set[str] = set()

    def play(self, words: list[str]) -> None:
        """One line that is no expectation."""
        verb, rest = words[0], words[1:]
        if verb in _KINDS:
            message = self._bar(_KINDS[verb], rest)
        else:
            self._minute = set()
            message = getattr(self, f"_{verb}")(*rest)
        self.said += [line for event in feed(self.node, message) if (line := _line(event))]

    def _bar(self, kind: str, rest: list[str]) -> Any:
        if not self._minute or kind in self._minute:
            self._now += MINUTE
            self._minute = set()
        self._minute.add(kind)
        values = dict(zip(("open", "high", "low", "close"), map(float, rest[:4]), strict=True))
        volume = float(rest[5]) if rest[4:5] == ["volume"] else 1e9
        return a_bar(self._now - MINUTE, symbol="X", price=kind, volume=volume, **values)

    def _quote(self, bid: str, ask: str, *rest: str) -> Any:
        self._now += NS
        sizes = {"bid_size": float(rest[1]), "ask_size": float(rest[2])} if rest else {}
        return a_quote(self._now, symbol="X", bid=float(bid), ask=float(ask), **sizes)

    def _wait(self, time: str) -> Any:
        self._now += int(time.removesuffix("s")) * NS
        return clock(self._now)

    def _buy(self, *words: str) -> Any:
        return self._order("buy", *words)

    def _sell(self, *words: str) -> Any:
        return self._order("sell", *words)

    def _order(self, side: str, name: str, quantity: str, kind: str, *words: str) -> Any:
        terms: dict[str, Any] = {"order_type": "trailing_stop" if kind == "trailing" else kind}
        rest = list(words)
        if kind != "market":
            first = {"limit": "limit_price", "trailing": "trail_amount"}.get(kind, "stop_price")
            terms[first] = Decimal(rest.pop(0))
        while rest:
            word = rest.pop(0)
            if word in ("ioc", "fok", "day"):
                terms["time_in_force"] = word
            elif word in ("limit", "stop"):
                terms[f"{word}_price"] = Decimal(rest.pop(0))
            elif word == "until":
                terms["valid_until_ns"] = self._now + int(rest.pop(0).removesuffix("s")) * NS
            else:
                terms[{"after": "parent_id", "oco": "oco_group"}[word]] = rest.pop(0)
        return an_order(self._now, order_id=name, symbol="X", side=side, quantity=Decimal(quantity), **terms)

    def _modify(self, name: str, *words: str) -> Any:
        fields = {"quantity": "quantity", "limit": "limit_price", "stop": "stop_price", "trail": "trail_amount"}
        changes = {fields[key]: Decimal(value) for key, value in zip(words[::2], words[1::2], strict=True)}
        return a_change(order_id=name, symbol="X", ts_event_ns=self._now, **changes)

    def _cancel(self, name: str) -> Any:
        return a_cancel(name, at=self._now, symbol="X")


def _line(event: Any) -> str:
    """What an event says, as the examples write it; empty for what they leave out."""
    name = event.order_id
    if isinstance(event, OrderAccepted):
        return ""
    if isinstance(event, Fill):
        paid = f", commission {plain(event.commission)}" if event.commission else ""
        return f"{name} filled {plain(event.quantity)} at {plain(event.price)}{paid}"
    if isinstance(event, OrderModified):
        return f"{name} modified, quantity {plain(event.quantity)}"
    if isinstance(event, OrderCancelled | OrderExpired):
        filled = f", {plain(event.filled_quantity)} filled" if event.filled_quantity else ""
        return f"{name} {_VERBS[type(event)]}{filled}"
    what = {OrderRejected: "rejected", CancelRejected: "cancel refused", ModifyRejected: "modify refused"}[type(event)]
    return f"{name} {what}: {event.reason}"
