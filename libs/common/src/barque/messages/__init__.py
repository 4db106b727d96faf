"""Everything that is said on the bus: one frozen struct per message, one file per stage of the flow.

Market numbers are `float`; money, order prices and quantities are `Decimal`; times are `int` nanoseconds UTC.
Evolution: optional fields may be added at the end; anything else is a new name (`tests/golden/` guards it).
"""

from barque.messages.cash import CashAdjusted, CashKind
from barque.messages.control import (
    AdjustCash,
    Alert,
    ClockTicked,
    DeadLetter,
    Flatten,
    Halt,
    Resume,
    SetLimit,
    StartStrategy,
    StopStrategy,
)
from barque.messages.market import Bar, DataStatus, FeedStatus, Mark, Quote, Trade
from barque.messages.orders import (
    AccountSnapshot,
    BreakerChanged,
    CancelOrder,
    CancelRejected,
    Fill,
    ModifyOrder,
    ModifyRejected,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderModified,
    OrderRejected,
    OrderUnknown,
    PositionSnapshot,
    RejectReason,
    SignalRejected,
    SubmitOrder,
)
from barque.messages.portfolio import EquityMarked, PositionChanged, ReconciliationReport
from barque.messages.signals import CancelRequest, ModifyRequest, SetupChanged, Signal
from barque.messages.topics import Message, Topic, decode_batch, encode_batch, id_of, root_of, time_of

__all__ = [
    "AccountSnapshot",
    "AdjustCash",
    "Alert",
    "Bar",
    "BreakerChanged",
    "CancelOrder",
    "CancelRejected",
    "CancelRequest",
    "CashAdjusted",
    "CashKind",
    "ClockTicked",
    "DataStatus",
    "DeadLetter",
    "EquityMarked",
    "FeedStatus",
    "Fill",
    "Flatten",
    "Halt",
    "Mark",
    "Message",
    "ModifyOrder",
    "ModifyRejected",
    "ModifyRequest",
    "OrderAccepted",
    "OrderCancelled",
    "OrderExpired",
    "OrderModified",
    "OrderRejected",
    "OrderUnknown",
    "PositionChanged",
    "PositionSnapshot",
    "Quote",
    "ReconciliationReport",
    "RejectReason",
    "Resume",
    "SetLimit",
    "SetupChanged",
    "Signal",
    "SignalRejected",
    "StartStrategy",
    "StopStrategy",
    "SubmitOrder",
    "Topic",
    "Trade",
    "decode_batch",
    "encode_batch",
    "id_of",
    "root_of",
    "time_of",
]
