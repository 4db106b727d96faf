"""Comparison of runs: equal is equal to the letter, and the first difference is the one that a person must see."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barque.bus.wire import GENESIS, pack_envelope
from barque.errors import ConfigError
from barque.messages import EquityMarked, Message, ModifyOrder, Topic, encode_batch
from barque_backtest.compare import (
    COMPARED,
    Said,
    compare,
    daily_pnl_correlation,
    load,
    position_correlation,
)
from barque_backtest.folder import KINDS, kind_of, write_folder
from barque_backtest.results import summarise
from tests.support.builders import MINUTE, T0, a_fill, a_signal, an_order
from tests.support.runs import a_run, bars, fill

DAY = 86_400 * 10**9


def said(*messages: Message, name: str = "a") -> Said:
    found: dict[str, list[Message]] = {kind: [] for kind in KINDS}
    for message in messages:
        kind = kind_of(message)
        assert kind is not None
        found[kind].append(message)
    return Said(name, found)


def chain(minute: int, **changes: Any) -> list[Message]:
    """A signal, its order and its fill."""
    at, price = T0 + minute * MINUTE, changes.get("price", "1.10000")
    return [
        a_signal(at),
        an_order(at, order_id=f"o{minute}", quantity=Decimal(changes.get("quantity", "1"))),
        a_fill(at, order_id=f"o{minute}", exec_id=f"o{minute}-1", price=Decimal(price)),
    ]


def flat(chains: Iterable[list[Message]]) -> list[Message]:
    return [message for each in chains for message in each]


def test_equal_runs_are_equal() -> None:
    messages = flat(chain(i) for i in range(3))
    found = compare(said(*messages), said(*messages, name="b"))
    assert (found.equal, found.first) == (True, None)
    assert (found.counts["fills"].equal, found.counts["fills"].only_a) == (3, 0)
    assert found.position_correlation == pytest.approx(1.0)


def test_the_first_difference_names_message_field_both_values_and_time() -> None:
    a = flat(chain(i) for i in range(4))
    b = flat([chain(0), chain(1), chain(2, price="1.10001"), chain(3)])
    found = compare(said(*a), said(*b))
    first = found.first
    assert first is not None
    assert (first.kind, first.index, first.message) == ("fills", 2, "Fill o2-1")
    assert [(f.field, f.a, f.b) for f in first.fields] == [("price", "1.10000", "1.10001")]
    assert first.time == "2014-05-01T00:02:00.000000000Z"
    assert not found.equal
    count = found.counts["fills"]
    assert (count.equal, count.different, count.only_a, count.only_b) == (3, 1, 0, 0)


def test_of_differences_at_one_instant_the_cause_is_shown_not_its_effect() -> None:
    found = compare(said(*chain(0)), said(*chain(0, quantity="2", price="1.2")))
    assert found.first is not None
    assert (found.first.kind, found.first.fields[0].field) == ("orders", "quantity")


def test_an_earlier_difference_of_an_effect_comes_before_a_later_one_of_a_cause() -> None:
    a, b = flat([chain(0), chain(1)]), flat([chain(0, price="1.2"), chain(1, quantity="2")])
    found = compare(said(*a), said(*b))
    assert found.first is not None
    assert (found.first.kind, found.first.index) == ("fills", 0)


@pytest.mark.parametrize(("missing", "where"), [("b", "A"), ("a", "B")])
@pytest.mark.parametrize("gone", [0, 1, 2])
def test_a_message_that_one_run_lacks_is_told_as_such(missing: str, where: str, gone: int) -> None:
    whole = flat(chain(i) for i in range(3))
    part = flat(chain(i) for i in range(3) if i != gone)
    found = compare(*((said(*whole), said(*part)) if missing == "b" else (said(*part), said(*whole))))
    assert found.first is not None
    assert (found.first.only_in, found.first.kind) == (where, "signals")
    assert found.first.message == f"Signal s1/{T0 + gone * MINUTE}/0"
    count = found.counts["signals"]
    assert (count.only_a, count.only_b) == ((1, 0) if where == "A" else (0, 1))


def test_two_changes_of_one_order_are_two_messages() -> None:
    def change(stop: str) -> ModifyOrder:
        base = {name: getattr(an_order(), name) for name in ModifyOrder.__struct_fields__ if hasattr(an_order(), name)}
        return ModifyOrder(**(base | {"quantity": None, "stop_price": Decimal(stop)}))

    found = compare(said(change("1"), change("2")), said(change("1"), change("3")))
    assert found.counts["orders"].equal == 1
    assert found.counts["orders"].different == 1


@given(st.lists(st.tuples(st.integers(1, 50), st.sampled_from(["1", "-1", "2"])), min_size=2, max_size=12), st.integers(0, 3))
def test_position_correlation_is_that_of_the_positions_minute_by_minute(trades: list[tuple[int, str]], shift: int) -> None:
    ours = [fill(minute, quantity, "1.00") for minute, quantity in sorted(trades)]
    theirs = [fill(minute + shift, quantity, "1.00") for minute, quantity in sorted(trades)]
    first, last = min(t[0] for t in trades), max(t[0] for t in trades) + shift

    def held(fills: list[Any]) -> list[float]:
        return [
            float(sum(f.signed_quantity for f in fills if f.ts_event_ns <= T0 + minute * MINUTE)) for minute in range(first, last)
        ]

    x, y = np.array(held(ours)), np.array(held(theirs))
    found = position_correlation(ours, theirs)
    if len(x) < 2 or x.std() < 1e-9 or y.std() < 1e-9:
        assert found is None or found == pytest.approx(1.0)
    else:
        assert found == pytest.approx(np.corrcoef(x, y)[0, 1])


def test_opposite_positions_correlate_negatively() -> None:
    trades = [(1, "1"), (5, "-2"), (9, "1"), (10, "-1")]
    ours = [fill(minute, quantity, "1.00") for minute, quantity in trades]
    theirs = [fill(minute, str(-int(quantity)), "1.00") for minute, quantity in trades]
    assert position_correlation(ours, theirs) == pytest.approx(-1.0)
    assert position_correlation([], []) is None


def marks(values: list[float], account: str = "paper") -> list[EquityMarked]:
    money = dict.fromkeys(("cash", "unrealised_pnl", "realised_pnl"), Decimal(0))
    return [
        EquityMarked(account=account, ts_event_ns=T0 + (i + 1) * DAY, currency="USD", equity=Decimal(repr(value)), **money)
        for i, value in enumerate(values)
    ]


def test_daily_profits_are_correlated_over_the_days_in_common() -> None:
    x, y = [100.0, 101.0, 99.0, 105.0, 104.0], [50.0, 50.4, 49.0, 51.0]
    expected = np.corrcoef(np.diff(x[:4]), np.diff(y))[0, 1]
    assert daily_pnl_correlation(marks(x), marks(y)) == pytest.approx(expected)
    assert daily_pnl_correlation(marks(x), marks(y[:2])) is None
    two = [*marks(x[:4]), *marks([500.0, 502.0, 501.0, 500.0], "other")]
    assert daily_pnl_correlation(two, two) == pytest.approx(1.0)


def test_result_folders_are_compared_whatever_the_order_in_which_strategies_spoke(tmp_path: Path) -> None:
    at = T0 + MINUTE
    wishes = [a_signal(at, strategy_id=name, id=f"{name}/x/0", symbol="ACME") for name in ("a", "b")]
    for name, said_so in (("one", wishes), ("other", wishes[::-1])):
        run = a_run([fill(1, "1", "10.00")], 6, wishes=said_so)
        write_folder(summarise(run, [[bars([10.0] * 6)]]), tmp_path / name)
    found = compare(load(tmp_path / "one"), load(tmp_path / "other"))
    assert found.equal
    assert found.counts["signals"].a == 2
    assert set(found.counts) == set(COMPARED)
    assert msgspec.json.decode(msgspec.json.encode(found))["first"] is None


def test_a_recording_is_compared_with_a_result_folder_however_its_messages_were_packed(tmp_path: Path) -> None:
    at = T0 + MINUTE
    wishes = [a_signal(at, strategy_id=name, id=f"{name}/x/0", symbol="ACME") for name in ("a", "b")]
    fills = [fill(1, "1", "10.00"), fill(2, "-1", "10.00")]
    write_folder(summarise(a_run(fills, 6, wishes=wishes), [[bars([10.0] * 6)]]), tmp_path / "folder")
    entries = {
        Topic.SIGNALS: [("strategy.b", 1, wishes[1:]), ("strategy.a", 1, wishes[:1])],
        Topic.FILLS: [("sender.paper", 1, fills)],
    }
    write_recording(tmp_path / "same.barque", entries)
    assert compare(load(tmp_path / "folder"), load(tmp_path / "same.barque")).equal
    entries[Topic.FILLS] = [("sender.paper", 1, fills[:1])]
    write_recording(tmp_path / "less.barque", entries)
    found = compare(load(tmp_path / "folder"), load(tmp_path / "less.barque")).first
    assert found is not None
    assert (found.kind, found.index, found.only_in, found.instead) == ("fills", 1, "A", "")
    assert "side=sell" in found.text


def write_recording(path: Path, entries: dict[Topic, list[tuple[str, int, list[Message]]]]) -> None:
    """A file as `barque record` writes it."""
    streams = {
        str(topic): [
            (f"{number}-0", pack_envelope(source, seq, 0, GENESIS), encode_batch(messages))
            for number, (source, seq, messages) in enumerate(found, start=1)
        ]
        for topic, found in entries.items()
    }
    path.write_bytes(gzip.compress(msgspec.msgpack.encode({"book": "x", "streams": streams, "journals": {}, "origins": {}})))


@pytest.mark.parametrize("kind", ["missing", "text", "folder"])
def test_what_is_neither_folder_nor_recording_is_refused(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "x"
    if kind == "text":
        place.write_text("hello")
    elif kind == "folder":
        place.mkdir()
    with pytest.raises(ConfigError, match="x"):
        load(place)
