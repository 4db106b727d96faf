"""What TWS says: one function per kind of message to the client, in the field order of server version 178.

Out:  tuples of values for `wire.frame`.
Not:  when to say it.

A literal that the client skips (`1`, `2`, `6`) is the message's own version number; it has to be there.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeAlias
from zoneinfo import ZoneInfo

from simulators.tws.contract import Contract
from simulators.tws.hours import NS_PER_S
from simulators.tws.orders import NOTHING, Execution, Margins, Order
from simulators.tws.wire import UNSET, Value

Message: TypeAlias = tuple[Value, ...]

ZONE = "America/New_York"
NO_NUMBER = 2147483647


def clock_text(now_ns: int, zone: str = ZONE) -> str:
    """`20250708 02:35:00 America/New_York`."""
    return f"{datetime.fromtimestamp(now_ns // NS_PER_S, UTC).astimezone(ZoneInfo(zone)):%Y%m%d %H:%M:%S} {zone}"


def error(req_id: int, code: int, text: str, advanced: str = "") -> Message:
    return (4, 2, req_id, code, text, advanced)


def next_valid_id(order_id: int) -> Message:
    return (9, 1, order_id)


def managed_accounts(accounts: list[str]) -> Message:
    return (15, 1, ",".join(accounts))


def current_time(now_ns: int) -> Message:
    return (49, 1, now_ns // NS_PER_S)


def order_status(order: Order, order_id: int | None = None) -> Message:
    return (
        3,
        order.order_id if order_id is None else order_id,
        order.status,
        order.filled,
        order.remaining,
        order.average,
        order.perm_id,
        order.terms.parent_id,
        order.last_price,
        order.client_id,
        order.why_held,
        0,
    )


def open_order(order: Order, margins: Margins | None = None, commission: bool = True) -> Message:
    """The echo of an order; with `margins`, the answer to a what-if. `commission`: tell what its fills cost."""
    terms = order.terms
    figures = _margin_fields(margins) if margins else (UNSET,) * 9
    cost = margins.commission if margins else order.commission if commission else NOTHING
    charged: Message = (cost, "", "", margins.currency if margins else "USD") if cost else ("",) * 4
    return (
        5,
        order.order_id,
        *order.listing.contract(terms.contract.exchange).said(),
        terms.action,
        order.quantity,
        terms.order_type,
        terms.limit_price or 0.0,
        terms.aux_price or 0.0,
        terms.tif,
        terms.oca_group,
        order.account,
        terms.open_close,
        terms.origin,
        terms.order_ref,
        order.client_id,
        order.perm_id,
        terms.outside_rth,
        terms.hidden,
        0,  # discretionaryAmt
        "",  # goodAfterTime
        f"{order.perm_id}.0/{order.account}/100",
        *("", "", ""),  # faGroup, faMethod, faPercentage
        "",  # modelCode
        terms.good_till,
        "",  # rule80A
        "",  # percentOffset
        "",  # settlingFirm
        0,  # shortSaleSlot
        "",  # designatedLocation
        -1,  # exemptCode
        0,  # auctionStrategy
        *("",) * 5,  # startingPrice, stockRefPrice, delta, stockRangeLower, stockRangeUpper
        NO_NUMBER,  # displaySize
        *(0, 0),  # blockOrder, sweepToFill
        terms.all_or_none,
        terms.min_quantity,
        terms.oca_type or 3,
        *(0, 0, ""),  # eTradeOnly, firmQuoteOnly, nbboPriceCap
        terms.parent_id,
        0,  # triggerMethod
        *("", 0),  # volatility, volatilityType
        *("None", "", 0, "", "", "", "?", 0, 0, ""),  # deltaNeutralOrderType and what a type brings with it
        *(0, 0),  # continuousUpdate, referencePriceType
        order.stop if terms.order_type.startswith("TRAIL") else None,
        terms.trailing_percent,
        *("", "", ""),  # basisPoints, basisPointsType, comboLegsDescrip
        *(0, 0, 0),  # legs, order legs, routing parameters
        *("", "", ""),  # scale
        "",  # hedgeType
        0,  # optOutSmartRouting
        *("", "IB"),  # clearingAccount, clearingIntent
        *(0, 0),  # notHeld, deltaNeutralContract
        "",  # algoStrategy
        0,  # solicited
        margins is not None,
        "PreSubmitted" if margins else order.status,
        *figures,
        *charged,
        "",  # warningText
        *(0, 0),  # randomizeSize, randomizePrice
        0,  # conditions
        "None",  # adjustedOrderType
        "",  # triggerPrice
        order.stop if terms.order_type.startswith("TRAIL") else None,
        terms.limit_offset,
        *("", "", "", 0),  # adjusted stop, its limit, trailing amount and unit
        *("", "", ""),  # softDollarTier
        terms.cash_quantity or 0,
        *(0, 0, 0, ""),  # dontUseAutoPriceForHedge, isOmsContainer, discretionaryUpToLimitPrice, usePriceMgmtAlgo
        *("", "", 0),  # duration, postToAts, autoCancelParent
        *("", "", "", "", ""),  # minTradeQty, minCompeteSize, competeAgainstBestOffset, midOffsets
    )


def completed_order(order: Order, blank_ref: bool = False) -> Message:
    """An order that is done, without its id; `blank_ref`: as TWS often has it, without its reference."""
    terms = order.terms
    trail = order.stop if terms.order_type.startswith("TRAIL") else None
    return (
        101,
        *order.listing.contract(terms.contract.exchange).said(),
        terms.action,
        order.quantity,
        terms.order_type,
        terms.limit_price or 0.0,
        terms.aux_price or 0.0,
        terms.tif,
        terms.oca_group,
        order.account,
        terms.open_close,
        terms.origin,
        "" if blank_ref else terms.order_ref,
        order.perm_id,
        terms.outside_rth,
        terms.hidden,
        0,
        "",  # goodAfterTime
        *("", "", ""),  # faGroup, faMethod, faPercentage
        "",  # modelCode
        terms.good_till,
        *("", "", "", 0, "", -1),  # rule80A, percentOffset, settlingFirm, shortSaleSlot, designatedLocation, exemptCode
        *("",) * 5,  # startingPrice … stockRangeUpper
        NO_NUMBER,  # displaySize
        0,  # sweepToFill
        terms.all_or_none,
        terms.min_quantity,
        terms.oca_type or 3,
        0,  # triggerMethod
        *("", 0),  # volatility, volatilityType
        *("None", "", 0, "", 0, ""),  # deltaNeutralOrderType, its price, conId, short sale, slot, location
        *(0, 0),  # continuousUpdate, referencePriceType
        trail,
        terms.trailing_percent,
        "",  # comboLegsDescrip
        *(0, 0, 0),  # legs, order legs, routing parameters
        *("", "", ""),  # scale
        "",  # hedgeType
        *("", "IB", 0, 0),  # clearingAccount, clearingIntent, notHeld, deltaNeutralContract
        "",  # algoStrategy
        *(0, order.status, 0, 0),  # solicited, status, randomizeSize, randomizePrice
        0,  # conditions
        trail,
        *("", terms.cash_quantity or 0, 0, 0),  # lmtPriceOffset, cashQty, dontUseAutoPriceForHedge, isOmsContainer
        "",  # autoCancelDate
        order.filled,
        *("", 0, "", 0, 0),  # refFuturesConId, autoCancelParent, shareholder, imbalanceOnly, routeMarketableToBbo
        0,  # parentPermId
        clock_text(order.done_ns),
        order.end_text or f"{order.status} Size: {order.filled}",
        *("", "", "", "", ""),  # minTradeQty … midOffsetAtHalf
    )


def _margin_fields(margins: Margins) -> Message:
    """Before, change and after: each of initial margin, maintenance margin, equity with loan."""
    return tuple(value for moment in zip(margins.initial, margins.maintenance, margins.equity, strict=True) for value in moment)


def execution_details(req_id: int, execution: Execution) -> Message:
    """`req_id` is -1 for one that happens now."""
    order = execution.order
    return (
        11,
        req_id,
        order.order_id,
        *order.listing.contract(order.terms.contract.exchange).said(),
        execution.exec_id,
        clock_text(execution.time_ns),
        order.account,
        order.listing.primary_exchange or order.listing.exchange,
        "BOT" if order.is_buy else "SLD",
        execution.quantity,
        execution.price,
        order.perm_id,
        order.client_id,
        int(order.liquidates),
        execution.cumulative,
        execution.average,
        order.ref,
        "",  # evRule
        "",  # evMultiplier
        "",  # modelCode
        execution.liquidity,
        0,  # pendingPriceRevision
    )


def commission_report(execution: Execution) -> Message:
    realized: Value = UNSET if execution.realized is None else execution.realized
    return (59, 1, execution.exec_id, execution.commission, execution.commission_currency, realized, UNSET, "")


def position(account: str, contract: Contract, quantity: Decimal, cost: Decimal) -> Message:
    """`cost`: the average price, times the multiplier."""
    return (61, 3, account, *contract.said(), quantity, cost)


def portfolio_value(account: str, contract: Contract, figures: tuple[Value, ...]) -> Message:
    """`figures`: position, market price, market value, average cost, unrealised, realised."""
    said = contract.said()
    fields = (*said[:7], contract.primary_exchange or contract.exchange, *said[8:])
    return (7, 8, *fields, *figures, account)
