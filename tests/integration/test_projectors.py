"""The projectors against a real Postgres: what the books and the order ledger write, and what the ledger refuses."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from barque.messages import BarRevised, CancelOrder, Halt, Message, ModifyOrder, RejectReason, SignalRejected
from barque.node import Node
from barque.postgres.projector import Handled, Projector, Remembering, Scope
from barque_paper import PaperConfig, PaperNode
from portfolio.config import AccountConfig, PortfolioConfig
from portfolio.core.history import Memory, Recalled
from portfolio.core.node import PortfolioNode
from portfolio.shell.projector import PortfolioProjector
from router.shell.senders.ledger import IntentProjector
from tests.support.builders import MINUTE, T0, a_bar, a_fill, a_mark, a_quote, an_order, clock, eurusd

SCOPE = Scope(book="main", lineage="l1", node="n", epoch=7)


async def commit(connection: asyncpg.Connection, node: Node, projector: Projector, *messages: Message) -> None:
    """One transaction of the ledger runner."""
    async with connection.transaction():
        told = await projector.recall(connection, SCOPE, messages) if isinstance(projector, Remembering) else None
        if told is not None:
            node.handle(told[0])
        await projector.write(connection, SCOPE, [Handled(message, list(node.handle(message))) for message in messages])


async def rows(connection: asyncpg.Connection, query: str) -> Sequence[tuple[Any, ...]]:
    return [tuple(row) for row in await connection.fetch(query)]


def paper() -> tuple[PaperNode, IntentProjector]:
    config = PaperConfig(slippage_fraction=Decimal(0), commission_fraction=Decimal(0), commission_min=Decimal(2))
    return PaperNode(config, [eurusd()]), IntentProjector("paper")


def books() -> tuple[PortfolioNode, PortfolioProjector]:
    account = AccountConfig(name="paper", currency="USD", starting_cash=Decimal(100000))
    node = PortfolioNode(PortfolioConfig(accounts=(account,)), [eurusd()])
    return node, PortfolioProjector(node)


def request(kind: type, order_id: str, **terms: Decimal) -> Any:
    names = {"cause": "k", "root": "r", "strategy_id": "s1", "account": "paper", "symbol": "EURUSD"}
    return kind(order_id=order_id, ts_event_ns=T0 + 9, **names, **terms)


# -- the order ledger ----------------------------------------------------------------------------------------------------


async def test_an_order_that_fills_at_once_leaves_a_filled_intent_and_its_execution(connection: asyncpg.Connection) -> None:
    node, projector = paper()
    await commit(connection, node, projector, a_quote(), an_order(order_id="o1"), an_order(order_id="o1"))
    query = "SELECT book, lineage, order_id, state, venue_order_id, filled, quantity, signal_id, epoch FROM intents"
    assert await rows(connection, query) == [("main", "l1", "o1", "FILLED", "P-o1", 1, 1, "s1/1/0", 7)]
    query = "SELECT account, exec_id, order_id, side, quantity, price, commission, commission_currency FROM executions"
    assert await rows(connection, query) == [("paper", "o1-1", "o1", "buy", 1, Decimal("1.38690"), 2, "USD")]


async def test_intents_move_on_in_later_transactions(connection: asyncpg.Connection) -> None:
    node, projector = paper()
    terms: dict[str, Any] = {"order_type": "limit", "limit_price": Decimal("1.2")}
    await commit(connection, node, projector, *(an_order(order_id=name, **terms) for name in "abc"), a_quote())
    assert await rows(connection, "SELECT DISTINCT state FROM intents") == [("ACKED",)]
    change = request(ModifyOrder, "a", limit_price=Decimal("1.3"), quantity=Decimal(2))
    await commit(connection, node, projector, change, request(CancelOrder, "b"), request(CancelOrder, "nobody"))
    await commit(connection, node, projector, a_quote(T0 + 10, ask=1.25))
    assert await rows(
        connection, "SELECT order_id, state, filled, quantity, limit_price, updated_ns FROM intents ORDER BY 1"
    ) == [
        ("a", "FILLED", 2, 2, Decimal("1.3"), T0 + 10),
        ("b", "CANCELLED", 0, 1, Decimal("1.2"), T0 + 9),
        ("c", "ACKED", 0, 1, Decimal("1.2"), T0),
    ]


async def test_fills_in_parts_and_what_the_exchange_takes_away_are_followed(connection: asyncpg.Connection) -> None:
    """Half of 6 is 3: of 5 bought 3, and the other of the group, which was for 5, is for 2. Lowered to 3, the first is filled."""
    config = PaperConfig(slippage_fraction=Decimal(0), commission_min=Decimal(0), max_volume_fraction=Decimal("0.5"))
    node, projector = PaperNode(config, [eurusd(asset_class="future")]), IntentProjector("paper")
    pair: dict[str, Any] = {"quantity": Decimal(5), "oco_group": "g"}
    other = an_order(order_id="o2", order_type="limit", limit_price=Decimal("1.0"), **pair)
    await commit(connection, node, projector, an_order(order_id="o1", **pair), other)
    await commit(connection, node, projector, a_bar(T0, price="ask", volume=6.0))
    query = "SELECT order_id, state, filled, quantity FROM intents ORDER BY 1"
    assert await rows(connection, query) == [("o1", "PARTIALLY_FILLED", 3, 5), ("o2", "ACKED", 0, 2)]
    await commit(connection, node, projector, request(ModifyOrder, "o1", quantity=Decimal(2)))
    assert await rows(connection, query) == [("o1", "PARTIALLY_FILLED", 3, 5), ("o2", "ACKED", 0, 2)]
    ((detail,),) = await rows(connection, "SELECT detail FROM intents WHERE order_id = 'o1'")
    assert detail.startswith("quantity: order o1 works on as it was: ")
    await commit(connection, node, projector, request(ModifyOrder, "o1", quantity=Decimal(3)))
    assert await rows(connection, query) == [("o1", "FILLED", 3, 3), ("o2", "ACKED", 0, 2)]
    assert await rows(connection, "SELECT exec_id, quantity FROM executions") == [("o1-1", 3)]


async def test_a_refused_order_says_why(connection: asyncpg.Connection) -> None:
    node, projector = paper()
    await commit(connection, node, projector, Halt(command_id="h", ts_event_ns=T0, actor="me"), an_order())
    ((state, detail),) = await rows(connection, "SELECT state, detail FROM intents")
    assert state == "REJECTED"
    assert detail.startswith("halted: order o1: ")


async def test_a_refused_cancel_leaves_a_filled_intent_filled(connection: asyncpg.Connection) -> None:
    node, projector = paper()
    await commit(connection, node, projector, a_quote(), an_order())
    await commit(connection, node, projector, request(CancelOrder, "o1"))
    assert await rows(connection, "SELECT state, filled FROM intents") == [("FILLED", 1)]


async def test_an_order_that_a_new_exchange_no_longer_knows_is_refused_by_the_ledger(connection: asyncpg.Connection) -> None:
    await commit(connection, *paper(), a_quote(), an_order())
    with pytest.raises(asyncpg.UniqueViolationError):
        await commit(connection, *paper(), a_quote(), an_order())


# -- the books -----------------------------------------------------------------------------------------------------------


async def test_fills_become_rows_positions_cash_and_equity(connection: asyncpg.Connection) -> None:
    """2 bought at 1.10, 1 sold at 1.12 and 1 at 1.11 (mid 1.12): 2,000 then 1,000 realised, 3 × 2 commission."""
    fills = [
        a_fill(T0, exec_id="1", quantity=Decimal(2), price=Decimal("1.10"), commission=Decimal(2)),
        a_fill(T0 + 1, exec_id="2", side="sell", price=Decimal("1.12"), commission=Decimal(2)),
        a_fill(T0 + 2, exec_id="3", side="sell", price=Decimal("1.11"), commission=Decimal(2)),
    ]
    node, projector = books()
    await commit(connection, node, projector, a_mark(bid=1.12, ask=1.12), *fills[:2])
    await commit(connection, node, projector, fills[2])
    query = "SELECT exec_id, signal_id, side, quantity, price, commission, realised_pnl FROM fills ORDER BY 1"
    assert await rows(connection, query) == [
        ("1", "s1/1/0", "buy", 2, Decimal("1.10"), 2, 0),
        ("2", "s1/1/0", "sell", 1, Decimal("1.12"), 2, 2000),
        ("3", "s1/1/0", "sell", 1, Decimal("1.11"), 2, 1000),
    ]
    query = "SELECT strategy_id, symbol, quantity, average_price, realised_pnl, commission, ts_event_ns FROM positions"
    assert await rows(connection, query) == [("s1", "EURUSD", 0, 0, 3000, 6, T0 + 2)]
    assert await rows(connection, "SELECT account, currency, amount FROM cash") == [("paper", "USD", 102994)]
    query = "SELECT ts_event_ns, cash, equity, unrealised_pnl, realised_pnl FROM equity ORDER BY 1"
    assert await rows(connection, query) == [
        (T0, 99998, 103998, 4000, 0),
        (T0 + 1, 101996, 103996, 2000, 2000),
        (T0 + 2, 102994, 102994, 0, 3000),
    ]


async def test_starting_cash_is_there_from_the_first_tick_of_the_clock(connection: asyncpg.Connection) -> None:
    await commit(connection, *books(), clock(T0))
    assert await rows(connection, "SELECT amount FROM cash") == [(100000,)]
    assert await rows(connection, "SELECT equity FROM equity") == [(100000,)]


async def test_an_execution_that_is_reported_again_changes_nothing(connection: asyncpg.Connection) -> None:
    node, projector = books()
    await commit(connection, node, projector, a_fill(), a_fill())
    await commit(connection, node, projector, a_fill())
    assert await rows(connection, "SELECT quantity FROM positions") == [(1,)]
    assert node.counters == {"fills_booked": 1, "fills_repeated": 2}


async def test_an_execution_that_the_ledger_has_and_does_not_remember_stops_the_books(connection: asyncpg.Connection) -> None:
    node, projector = books()
    await commit(connection, node, projector, a_fill())
    node.handle(Recalled(memory=Memory()))
    with pytest.raises(asyncpg.UniqueViolationError):
        await projector.write(connection, SCOPE, [Handled(a_fill(), node.handle(a_fill()))])


async def test_bars_and_rejections_are_archived_once(connection: asyncpg.Connection) -> None:
    names = {"signal_id": "x", "cause": "c", "root": "r", "strategy_id": "s1", "symbol": "EURUSD"}
    rejection = SignalRejected(ts_event_ns=T0, reason=RejectReason.POSITION_LIMIT, detail="signal x: no", **names)
    node, projector = books()
    for _ in range(2):
        await commit(connection, node, projector, a_bar(T0), a_bar(T0, price="ask"), a_bar(T0 + MINUTE), rejection)
    assert await connection.fetchval("SELECT count(*) FROM bars") == 3
    query = "SELECT symbol, \"interval\", open, high, low, close, tick_count, ts_close_ns FROM bars WHERE price = 'ask'"
    assert await rows(connection, query) == [("EURUSD", "1m", 1.3868, 1.3870, 1.3867, 1.3869, 10, T0 + MINUTE)]
    assert await rows(connection, "SELECT signal_id, reason, detail FROM rejections") == [("x", "position_limit", "signal x: no")]


async def test_a_bar_that_history_has_made_whole_takes_the_place_of_the_one_that_was_published_and_says_so(
    connection: asyncpg.Connection,
) -> None:
    node, projector = books()
    whole = BarRevised(feed="feed.ibkr", ts_event_ns=T0 + 3 * MINUTE, bar=a_bar(high=1.5, close=1.4, tick_count=9))
    unheard = BarRevised(feed="feed.ibkr", ts_event_ns=T0 + 3 * MINUTE, bar=a_bar(T0 + MINUTE, high=1.6))
    await commit(connection, node, projector, a_bar(tick_count=2), a_bar(T0 + 2 * MINUTE))
    await commit(connection, node, projector, whole, unheard)
    await commit(connection, node, projector, a_bar(tick_count=2))  # its own entry, read again after a loss
    found = await rows(connection, "SELECT ts_open_ns, high, tick_count, revised_ns FROM bars ORDER BY ts_open_ns")
    untouched = a_bar(T0 + 2 * MINUTE)
    assert found == [
        (T0, 1.5, 9, T0 + 3 * MINUTE),
        (T0 + MINUTE, 1.6, unheard.bar.tick_count, T0 + 3 * MINUTE),
        (T0 + 2 * MINUTE, untouched.high, untouched.tick_count, 0),
    ]


async def test_a_batch_without_rows_does_not_touch_the_database(connection: asyncpg.Connection) -> None:
    await connection.close()
    for (node, projector), message in ((books(), a_mark()), (paper(), a_quote())):
        await projector.write(connection, SCOPE, [Handled(message, node.handle(message))])
