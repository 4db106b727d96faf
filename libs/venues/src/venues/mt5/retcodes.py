"""What the trade server's answers mean for us, as data: one row per retcode.

In:   a retcode.   Out: what to do, and a sentence for people.
Not:  doing it (`sending`).

`done`: it was carried out, wholly or in part. `retry`: surely nothing was done, and the same request may be repeated a few
times. `refused`: surely nothing was done, and nothing will be. `unknown`: only the books can tell. `disabled`: refused, and so
will be whatever follows, until a person has acted. `unchanged`: there was nothing to do.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from barque.messages import RejectReason

Reaction = Literal["done", "retry", "refused", "unknown", "disabled", "unchanged"]


class Retcode(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of the trade server."""

    code: int
    name: str
    reaction: Reaction
    reason: RejectReason = RejectReason.VENUE
    text: str
    """For people: what it says, and what to do."""


def _row(code: int, name: str, reaction: Reaction, text: str, reason: RejectReason = RejectReason.VENUE) -> Retcode:
    return Retcode(code=code, name=name, reaction=reaction, reason=reason, text=text)


_R = RejectReason
RETCODES = {
    row.code: row
    for row in (
        _row(10004, "REQUOTE", "retry", "the price has moved; the broker offers another"),
        _row(10006, "REJECT", "refused", "the broker rejected the request"),
        _row(10007, "CANCEL", "refused", "the request was cancelled by the trader at the terminal"),
        _row(10008, "PLACED", "done", "the order is placed"),
        _row(10009, "DONE", "done", "the request was carried out"),
        _row(10010, "DONE_PARTIAL", "done", "the request was carried out in part"),
        _row(10011, "ERROR", "unknown", "the trade server failed while processing"),
        _row(10012, "TIMEOUT", "unknown", "the trade server did not answer in time"),
        _row(10013, "INVALID", "refused", "the trade server calls the request invalid: symbol, order or position are not there"),
        _row(
            10014, "INVALID_VOLUME", "refused", "the volume is below the smallest, above the largest or off the step", _R.QUANTITY
        ),
        _row(10015, "INVALID_PRICE", "refused", "the price is on the wrong side of the market or too near to it", _R.PRICE),
        _row(
            10016, "INVALID_STOPS", "refused", "stop loss or take profit are too near to the price or on the wrong side", _R.PRICE
        ),
        _row(10017, "TRADE_DISABLED", "disabled", "trading is disabled for this account: an investor's password, or the broker"),
        _row(10018, "MARKET_CLOSED", "refused", "the market is closed", _R.MARKET_CLOSED),
        _row(10019, "NO_MONEY", "refused", "the free margin is too small", _R.BUYING_POWER),
        _row(10020, "PRICE_CHANGED", "retry", "the price has changed"),
        _row(10021, "PRICE_OFF", "retry", "there are no quotes just now"),
        _row(10022, "INVALID_EXPIRATION", "refused", "the time to end at is not one that the broker takes", _R.EXPIRED),
        _row(10023, "ORDER_CHANGED", "refused", "the order has changed meanwhile", _R.ORDER_STATE),
        _row(10024, "TOO_MANY_REQUESTS", "retry", "too many requests; wait"),
        _row(10025, "NO_CHANGES", "unchanged", "nothing would change"),
        _row(10026, "SERVER_DISABLES_AT", "disabled", "the broker does not let programs trade on this account; ask it"),
        _row(10027, "CLIENT_DISABLES_AT", "disabled", "AutoTrading is off; press the button in the terminal's tool bar"),
        _row(10028, "LOCKED", "refused", "the request is locked for processing", _R.ORDER_STATE),
        _row(10029, "FROZEN", "refused", "the order is too near to its price to be changed", _R.ORDER_STATE),
        _row(10030, "INVALID_FILL", "refused", "the symbol does not allow this filling mode; see mt5.filling", _R.UNSUPPORTED),
        _row(10031, "CONNECTION", "unknown", "the terminal has no connection with the trade server"),
        _row(10032, "ONLY_REAL", "refused", "only real accounts may do this", _R.NOT_ALLOWED),
        _row(10033, "LIMIT_ORDERS", "refused", "the account has as many pending orders as it may", _R.OPEN_ORDERS_LIMIT),
        _row(10034, "LIMIT_VOLUME", "refused", "the volume that the broker allows in this symbol is reached", _R.POSITION_LIMIT),
        _row(10035, "INVALID_ORDER", "refused", "the broker does not take this type of order", _R.UNSUPPORTED),
        _row(10036, "POSITION_CLOSED", "refused", "the position is closed already", _R.ORDER_STATE),
        _row(10038, "INVALID_CLOSE_VOLUME", "refused", "more was to be closed than the position has", _R.QUANTITY),
        _row(10039, "CLOSE_ORDER_EXIST", "refused", "the position is being closed by another order", _R.ORDER_STATE),
        _row(10040, "LIMIT_POSITIONS", "refused", "the account has as many positions as it may", _R.POSITION_LIMIT),
        _row(10041, "REJECT_CANCEL", "refused", "the pending order was rejected and cancelled"),
        _row(10042, "LONG_ONLY", "refused", "the symbol may only be bought", _R.NOT_TRADABLE),
        _row(10043, "SHORT_ONLY", "refused", "the symbol may only be sold", _R.NOT_TRADABLE),
        _row(10044, "CLOSE_ONLY", "refused", "positions in the symbol may only be closed", _R.NOT_TRADABLE),
        _row(10045, "FIFO_CLOSE", "refused", "the broker closes the oldest position first", _R.NOT_ALLOWED),
    )
}


def meaning(code: int) -> Retcode:
    """Of a retcode that we do not know nobody knows what was done."""
    unknown = f"the trade server answered {code}, which is not in its reference"
    return RETCODES.get(code) or Retcode(code=code, name=str(code), reaction="unknown", text=unknown)
