"""Executions as a broker has them, and as they reach us: repeated, out of order, lost and recovered, corrected and taken back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

import msgspec

from barque.instruments import Instrument
from barque.messages import Fill
from tests.support.builders import NS, T0, eurusd, usdjpy
from tests.support.independent_book import Contract, IndependentBook, Trade, exact

ACCOUNTS = {"paper": ("USD", 1_000_000), "tokyo": ("JPY", 90_000_000)}
STRATEGIES = ("s1", "s2")
COMMISSIONS = ("", "USD", "EUR", "JPY")


def instruments() -> list[Instrument]:
    """FX in USD and JPY, a stock in EUR, a future in JPY: money of three currencies, on margin and paid in full."""
    sap = Instrument(symbol="SAP", asset_class="stock", currency="EUR", tick_size=Decimal("0.01"))
    nikkei = Instrument(symbol="NK", asset_class="future", currency="JPY", tick_size=Decimal(5), contract_size=Decimal(1000))
    return [eurusd(), usdjpy(), sap, nikkei]


CONTRACTS = {
    "EURUSD": Contract("USD", 100_000, on_margin=True),
    "USDJPY": Contract("JPY", 100_000, on_margin=True),
    "SAP": Contract("EUR", 1, on_margin=False),
    "NK": Contract("JPY", 1_000, on_margin=True),
}
_PRICES = {"EURUSD": (108_000, 5), "USDJPY": (150_000, 3), "SAP": (18_000, 2), "NK": (38_000, 0)}
"""Middle price in steps, and digits of the step."""


@dataclass
class Storm:
    """What the broker has in the end, and what we are told, in order."""

    truth: list[Fill]
    told: list[Fill]
    kinds: dict[str, int] = field(default_factory=dict)
    """How often each thing happened."""

    def independent_book(self) -> IndependentBook:
        """The books as they must be."""
        book = IndependentBook(CONTRACTS, {(name, currency): amount for name, (currency, amount) in ACCOUNTS.items()})
        book.run(
            Trade(
                account=fill.account,
                strategy_id=fill.strategy_id,
                symbol=fill.symbol,
                signed=Fraction(fill.quantity) * (1 if fill.side == "buy" else -1),
                price=exact(fill.price),
                commission=exact(fill.commission),
                commission_currency=fill.commission_currency or CONTRACTS[fill.symbol].currency,
            )
            for fill in self.truth
        )
        return book


def storm(seed: int, count: int, far: int = 400) -> Storm:
    """`count` executions; of them 10 % are told twice or more, 10 % out of order, 5 % are lost and recovered up to `far` later;
    some are corrected, taken back, or get their commission later."""
    chance = random.Random(seed)
    executions = [_execution(chance, number) for number in range(count)]
    truth = {fill.exec_id: fill for fill in executions}
    place = {fill.exec_id: float(number) for number, fill in enumerate(executions)}
    told = [(place[fill.exec_id], fill) for fill in executions]
    kinds = dict.fromkeys(("repeated", "shuffled", "recovered", "corrected", "busted", "commission", "before_its_original"), 0)
    for number, fill in enumerate(executions):
        roll = chance.random()
        if roll < 0.10:
            told[number] = (number + chance.uniform(2, 30), fill)
            kinds["shuffled"] += 1
        elif roll < 0.15:
            told[number] = (number + chance.uniform(30, far), fill)
            kinds["recovered"] += 1
        for change in _changes(chance, fill, kinds):
            truth[fill.exec_id] = change  # the last one counts
            at = number + chance.uniform(-3, far)
            kinds["before_its_original"] += at < told[number][0]
            told.append((at, change))
    changed = {fill.corrects for _, fill in told if fill.corrects}
    for at, fill in list(told):
        if chance.random() < 0.10:
            kinds["repeated"] += 1
            told.append((at + chance.choice((0.5, 3.0, far * 2.0)), fill))
    ordered = sorted(told, key=lambda each: (each[0], each[1].exec_id))
    in_the_end = [_as_in_the_end(each, truth[each.exec_id]) for each in executions]
    assert len(changed) == kinds["corrected"] + kinds["busted"] + kinds["commission"]
    return Storm(in_the_end, [fill for _, fill in ordered], kinds)


def _execution(chance: random.Random, number: int) -> Fill:
    symbol = chance.choice(list(_PRICES))
    middle, digits = _PRICES[symbol]
    steps = middle + (chance.randint(-40, 40) * 5 if symbol == "NK" else chance.randint(-900, 900))
    return Fill(
        exec_id=f"x{number:06d}",
        order_id=f"o{number // 2}",
        cause=f"s/{number}/0",
        root=f"{symbol}.{number}",
        strategy_id=chance.choice(STRATEGIES),
        account=chance.choice(list(ACCOUNTS)),
        symbol=symbol,
        ts_event_ns=T0 + number * NS // 10,
        side=chance.choice(("buy", "sell")),
        quantity=Decimal(chance.randint(1, 9)),
        price=Decimal(steps).scaleb(-digits),
        commission=Decimal(chance.randint(0, 900)).scaleb(-2),
        commission_currency=chance.choice(COMMISSIONS),
    )


def _changes(chance: random.Random, fill: Fill, kinds: dict[str, int]) -> Iterator[Fill]:
    """What the broker says of an execution later."""
    roll = chance.random()
    name = fill.exec_id
    if roll < 0.01:
        kinds["commission"] += 1
        commission = fill.commission + Decimal("1.25")
        yield msgspec.structs.replace(fill, exec_id=f"{name}/commission", corrects=name, commission=commission)
    elif roll < 0.02:
        kinds["busted"] += 1
        later = fill.ts_event_ns + 60 * NS
        zero = Decimal(0)
        yield msgspec.structs.replace(
            fill, exec_id=f"{name}.bust", corrects=name, quantity=zero, commission=zero, ts_event_ns=later
        )
    elif roll < 0.04:
        kinds["corrected"] += 1
        later = fill.ts_event_ns + 30 * NS
        first = msgspec.structs.replace(
            fill, exec_id=f"{name}.02", corrects=name, price=fill.price + 1, quantity=fill.quantity + 1, ts_event_ns=later
        )
        yield first
        if roll < 0.025:
            kinds["corrected"] += 1
            yield msgspec.structs.replace(first, exec_id=f"{name}.03", corrects=f"{name}.02", price=fill.price + 2)


def _as_in_the_end(fill: Fill, last: Fill) -> Fill:
    """The execution where and when it happened, with the figures that it has in the end."""
    return msgspec.structs.replace(last, exec_id=fill.exec_id, ts_event_ns=fill.ts_event_ns, corrects="")
