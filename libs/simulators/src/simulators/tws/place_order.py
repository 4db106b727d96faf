"""`placeOrder`, the longest message of the protocol, read field after field.

In:   a reader behind the message number.   Out: what the order says, as far as this simulator trades it.
Not:  guessing. Groups of fields that only some orders have (a combination's legs, an algorithm, conditions) move all that
      follows. They are read by their own rule, and an order that has one is `unsupported`: error 321.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from simulators.tws.contract import Contract, read_contract
from simulators.tws.wire import Reader

PEGGED_TO_BENCHMARK = ("PEG BENCH", "PEGBENCH")
PEGGED_TO_BEST = ("PEG BEST", "PEGBEST")
PEGGED_TO_MIDPOINT = ("PEG MID", "PEGMID")


class PlaceOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order as its client words it."""

    order_id: int
    contract: Contract
    action: str
    quantity: Decimal
    order_type: str
    limit_price: Decimal | None = None
    aux_price: Decimal | None = None
    """The stop price, the trailing amount or the trigger, as the type has it."""
    tif: str = "DAY"
    oca_group: str = ""
    account: str = ""
    open_close: str = "O"
    origin: int = 0
    order_ref: str = ""
    transmit: bool = True
    parent_id: int = 0
    outside_rth: bool = False
    hidden: bool = False
    good_till: str = ""
    oca_type: int = 0
    all_or_none: bool = False
    min_quantity: Decimal | None = None
    trail_stop_price: Decimal | None = None
    trailing_percent: Decimal | None = None
    what_if: bool = False
    cash_quantity: Decimal | None = None
    limit_offset: Decimal | None = None
    """Of `TRAIL LIMIT`: how far behind its stop the limit is."""
    unsupported: str = ""
    """What in it this simulator does not trade."""


def read_place_order(reader: Reader) -> PlaceOrder:
    """Raises `BadField` where a field is missing or of another kind."""
    found: list[str] = []
    order_id = reader.integer()
    contract = read_contract(reader)
    reader.skip(2)  # secIdType, secId
    action = reader.string()
    quantity = reader.decimal() or Decimal(0)
    order_type = reader.string()
    limit_price, aux_price = reader.decimal(), reader.decimal()
    tif, oca_group, account, open_close = (reader.string() for _ in range(4))
    origin, order_ref, transmit, parent_id = reader.integer(), reader.string(), reader.boolean(), reader.integer()
    reader.skip(4)  # blockOrder, sweepToFill, displaySize, triggerMethod
    outside_rth, hidden = reader.boolean(), reader.boolean()
    if contract.sec_type == "BAG":
        found.append("a combination")
        _read_legs(reader)
    reader.skip(2)  # an obsolete field, discretionaryAmt
    if reader.string():
        found.append("a time before which it is not active")
    good_till = reader.string()
    reader.skip(7)  # faGroup, faMethod, faPercentage, modelCode, shortSaleSlot, designatedLocation, exemptCode
    oca_type = reader.integer()
    reader.skip(2)  # rule80A, settlingFirm
    all_or_none, min_quantity = reader.boolean(), reader.decimal()
    reader.skip(13)  # percentOffset … volatilityType
    if reader.string():
        found.append("a delta neutral order")
        reader.skip(1 + 8)
    else:
        reader.skip(1)  # deltaNeutralAuxPrice
    reader.skip(2)  # continuousUpdate, referencePriceType
    trail_stop_price, trailing_percent = reader.decimal(), reader.decimal()
    reader.skip(2)  # scaleInitLevelSize, scaleSubsLevelSize
    if (reader.decimal() or 0) > 0:
        found.append("a scale order")
        reader.skip(7)
    reader.skip(3)  # scaleTable, activeStartTime, activeStopTime
    if reader.string():
        found.append("a hedge")
        reader.skip(1)
    reader.skip(4)  # optOutSmartRouting, clearingAccount, clearingIntent, notHeld
    if reader.boolean():
        found.append("a delta neutral contract")
        reader.skip(3)
    if reader.string():
        found.append("an algorithm")
        reader.skip(2 * reader.integer())
    reader.skip(1)  # algoId
    what_if = reader.boolean()
    reader.skip(4)  # orderMiscOptions, solicited, randomizeSize, randomizePrice
    if order_type in PEGGED_TO_BENCHMARK:
        reader.skip(5)
    if _read_conditions(reader):
        found.append("conditions")
    reader.skip(2)  # adjustedOrderType, triggerPrice
    limit_offset = reader.decimal()
    reader.skip(7)  # adjustedStopPrice … softDollarTier
    cash_quantity = reader.decimal()
    if cash_quantity:
        found.append("an amount of cash")
    reader.skip(13)  # mifid2DecisionMaker … manualOrderTime
    _read_tail(reader, contract, order_type)
    return PlaceOrder(
        order_id=order_id,
        contract=contract,
        action=action,
        quantity=quantity,
        order_type=order_type,
        limit_price=limit_price,
        aux_price=aux_price,
        tif=tif,
        oca_group=oca_group,
        account=account,
        open_close=open_close,
        origin=origin,
        order_ref=order_ref,
        transmit=transmit,
        parent_id=parent_id,
        outside_rth=outside_rth,
        hidden=hidden,
        good_till=good_till,
        oca_type=oca_type,
        all_or_none=all_or_none,
        min_quantity=min_quantity,
        trail_stop_price=trail_stop_price,
        trailing_percent=trailing_percent,
        what_if=what_if,
        cash_quantity=cash_quantity,
        limit_offset=limit_offset,
        unsupported=" and ".join(found),
    )


def _read_legs(reader: Reader) -> None:
    reader.skip(8 * reader.integer())
    reader.skip(reader.integer())
    reader.skip(2 * reader.integer())


_CONDITION_FIELDS = {1: 6, 3: 3, 4: 3, 5: 4, 6: 5, 7: 5}
"""Kind of condition → its fields behind the kind, as ib_async sends them: price, time, margin, execution, volume, change."""


def _read_conditions(reader: Reader) -> int:
    count = reader.integer()
    for _ in range(count):
        reader.skip(_CONDITION_FIELDS.get(reader.integer(), 0))
    if count:
        reader.skip(2)  # conditionsIgnoreRth, conditionsCancelOrder
    return count


def _read_tail(reader: Reader, contract: Contract, order_type: str) -> None:
    if contract.exchange == "IBKRATS":
        reader.skip(1)
    if order_type in PEGGED_TO_BEST:
        reader.skip(1)
        if reader.string() == "Infinite":
            reader.skip(2)
    elif order_type in PEGGED_TO_MIDPOINT:
        reader.skip(2)
