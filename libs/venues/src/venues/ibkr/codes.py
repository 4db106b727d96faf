"""What each error or notice of the Gateway means and what we do about it, as data.

In:   a code and its text.   Out: a `Reaction`.
Not:  the reacting. Whether an order lives is never read off ib_async's own status: it calls orders dead that trade on.

Sources: IBKR's message codes, and what others met in practice. A code that is not here is a `NOTE`: it proves nothing.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Reaction(StrEnum):
    """What a session, a feed or a sender does about a code."""

    NOTE = "note"
    """Write it down."""
    ORDER_NOTE = "order_note"
    """About an order that lives on: keep the text."""
    REJECT = "reject"
    """A new order is refused; a change is refused and the order works on as it was."""
    CANCELLED = "cancelled"
    """The order is withdrawn, perhaps unasked; fills may still come."""
    CHANGE_REFUSED = "change_refused"
    """The order works on as it was, or has filled."""
    CANCEL_REFUSED = "cancel_refused"
    """Not withdrawn now: often because it has just ended."""
    NOT_FOUND = "not_found"
    """The order is not known under this id: proves nothing, only the books can tell."""
    DUPLICATE_ID = "duplicate_id"
    """An order with this id has been there: never sent again, the books tell what became of it."""
    READ_ONLY = "read_only"
    """The API takes no orders."""
    DEGRADED = "degraded"
    """The Gateway has lost Interactive Brokers; the socket stays, fills may still come, nothing new is sent."""
    RESTORED = "restored"
    """Back, subscriptions kept: verify them, and reconcile."""
    RESTORED_EMPTY = "restored_empty"
    """Back, subscriptions lost: make them anew, and reconcile."""
    RECONNECT = "reconnect"
    """The session cannot go on, or could not begin."""
    CLIENT_ID = "client_id"
    """Another session has this client id, often our own last one: the same id again, later."""
    FATAL = "fatal"
    """Nothing will help but another configuration."""
    THROTTLED = "throttled"
    """We were too fast."""
    FARM_DOWN = "farm_down"
    """A data farm is away: what it carries is stale."""
    FARM_UP = "farm_up"
    """A data farm is back: verify what it carries."""
    FARM_IDLE = "farm_idle"
    """Nothing is wrong: it wakes on demand."""
    NO_LINE = "no_line"
    """No market data line is left for this."""
    NO_ENTITLEMENT = "no_entitlement"
    """The account has no subscription for this; delayed data perhaps."""
    DELAYED = "delayed"
    """What comes is delayed: never to be traded on."""
    DATA_STOLEN = "data_stolen"
    """Another session of the same user takes the data."""
    DOWNGRADE = "downgrade"
    """Tick by tick is not to be had: take quotes."""
    RESUBSCRIBE = "resubscribe"
    """This stream has ended: ask for it again."""
    HISTORY_PACING = "history_pacing"
    """Too many questions to the history: a pause."""
    HISTORY_EMPTY = "history_empty"
    """There is no such history."""
    UNKNOWN_CONTRACT = "unknown_contract"
    """No such contract, or several: asking again will not help."""
    GONE = "gone"
    """The answer to a cancel of something that was no longer there."""
    BUG = "bug"
    """We asked wrongly."""


class Code(NamedTuple):
    """One code; what a person should do, where there is something to do."""

    reaction: Reaction
    meaning: str
    to_do: str = ""


_R = Reaction
_TRADING_PERMISSION = "check the account's trading permissions in Client Portal"
_MARKET_DATA = "subscribe in Client Portal (Settings, Market Data Subscriptions), or set ibkr.market_data_type = 'delayed'"

CODES: dict[int, Code] = {
    100: Code(
        _R.THROTTLED, "more than 50 messages a second", "lower ibkr.messages_per_s; no other program may use this client id"
    ),
    101: Code(
        _R.NO_LINE, "all market data lines are taken", "subscribe to fewer symbols, close windows of TWS, or buy quote boosters"
    ),
    102: Code(_R.BUG, "duplicate ticker id"),
    103: Code(_R.DUPLICATE_ID, "duplicate order id"),
    104: Code(_R.CHANGE_REFUSED, "a filled order cannot be changed"),
    105: Code(_R.CHANGE_REFUSED, "the change does not match the order"),
    106: Code(_R.CHANGE_REFUSED, "the change cannot be transmitted"),
    107: Code(_R.CHANGE_REFUSED, "the order is incomplete"),
    109: Code(_R.REJECT, "the price is outside the allowed band"),
    110: Code(_R.REJECT, "the price is not on the contract's grid", "set the instrument's tick_size to the contract's"),
    135: Code(_R.NOT_FOUND, "no order with this id"),
    136: Code(_R.CANCEL_REFUSED, "the order cannot be cancelled now"),
    161: Code(_R.CANCEL_REFUSED, "the order is not in a state to be cancelled"),
    162: Code(_R.NOTE, "message of the historical data service"),
    165: Code(_R.NOTE, "message of the historical data service"),
    200: Code(
        _R.UNKNOWN_CONTRACT, "no such contract, or several", "correct [[ibkr.contracts]]: expiry, multiplier, exchange or con_id"
    ),
    201: Code(_R.REJECT, "order rejected"),
    202: Code(_R.CANCELLED, "order cancelled"),
    203: Code(_R.REJECT, "the security is not allowed for this account", _TRADING_PERMISSION),
    300: Code(_R.GONE, "no such ticker id"),
    302: Code(_R.GONE, "nothing to cancel"),
    309: Code(_R.NO_LINE, "all market depth requests are taken"),
    310: Code(_R.GONE, "no such market depth"),
    317: Code(_R.NOTE, "market depth was reset"),
    320: Code(_R.BUG, "the request could not be read"),
    321: Code(_R.REJECT, "the request is not valid"),
    322: Code(_R.BUG, "the request could not be processed"),
    326: Code(_R.CLIENT_ID, "the client id is in use"),
    329: Code(_R.CHANGE_REFUSED, "the order's type cannot be changed"),
    354: Code(_R.NO_ENTITLEMENT, "no subscription for this market data", _MARKET_DATA),
    366: Code(_R.GONE, "no such historical query"),
    399: Code(_R.ORDER_NOTE, "message about an order that lives on"),
    404: Code(_R.ORDER_NOTE, "shares to sell short are being looked for; the order is held"),
    420: Code(_R.NO_ENTITLEMENT, "invalid real-time query", _MARKET_DATA),
    434: Code(_R.REJECT, "the order's size is zero"),
    460: Code(_R.REJECT, "no trading permission", _TRADING_PERMISSION),
    463: Code(_R.REJECT, "the order lacks something"),
    478: Code(_R.UNKNOWN_CONTRACT, "the contract contradicts itself", "correct [[ibkr.contracts]], or give con_id alone"),
    492: Code(_R.ORDER_NOTE, "message about an order that lives on"),
    502: Code(_R.RECONNECT, "could not connect"),
    503: Code(_R.FATAL, "TWS or Gateway is too old", "install a current version"),
    504: Code(_R.RECONNECT, "not connected"),
    506: Code(_R.FATAL, "version not supported", "pin the Gateway's image to the version that docs/guides/ibkr.md names"),
    507: Code(_R.RECONNECT, "bad message length; often a client id that is in use"),
    1100: Code(_R.DEGRADED, "the Gateway has lost the connection to Interactive Brokers"),
    1101: Code(_R.RESTORED_EMPTY, "connection restored, subscriptions lost"),
    1102: Code(_R.RESTORED, "connection restored, subscriptions kept"),
    1300: Code(_R.RECONNECT, "the API's port has changed", "set ibkr.port"),
    2100: Code(_R.NOTE, "account updates go to another subscriber"),
    2103: Code(_R.FARM_DOWN, "market data farm disconnected"),
    2104: Code(_R.FARM_UP, "market data farm connected"),
    2105: Code(_R.FARM_DOWN, "historical data farm disconnected"),
    2106: Code(_R.FARM_UP, "historical data farm connected"),
    2107: Code(_R.FARM_IDLE, "historical data farm inactive, available on demand"),
    2108: Code(_R.FARM_IDLE, "market data farm inactive, available on demand"),
    2109: Code(_R.ORDER_NOTE, "outside regular hours is ignored for this order"),
    2110: Code(_R.DEGRADED, "connectivity between Gateway and server is broken and will be restored"),
    2119: Code(_R.NOTE, "market data farm connecting"),
    2137: Code(_R.ORDER_NOTE, "the order would close a position across sides"),
    2157: Code(_R.FARM_DOWN, "security definition farm disconnected"),
    2158: Code(_R.FARM_UP, "security definition farm connected"),
    2161: Code(_R.ORDER_NOTE, "price management of the order"),
    2168: Code(_R.ORDER_NOTE, "price management of the order"),
    2169: Code(_R.ORDER_NOTE, "price management of the order"),
    10089: Code(_R.NO_ENTITLEMENT, "market data needs a further subscription for the API", _MARKET_DATA),
    10090: Code(_R.NO_ENTITLEMENT, "part of this market data is not subscribed", _MARKET_DATA),
    10147: Code(_R.NOT_FOUND, "the order to be cancelled is not found"),
    10148: Code(_R.CANCEL_REFUSED, "the order cannot be cancelled in its state"),
    10149: Code(_R.NOT_FOUND, "the id of the order to be cancelled is not valid"),
    10167: Code(_R.DELAYED, "no subscription; delayed data is shown", _MARKET_DATA),
    10168: Code(_R.NO_ENTITLEMENT, "no subscription, and delayed data is not enabled", _MARKET_DATA),
    10182: Code(_R.RESUBSCRIBE, "live updates of bars have ended"),
    10186: Code(_R.NO_ENTITLEMENT, "no subscription for delayed data", _MARKET_DATA),
    10189: Code(_R.DOWNGRADE, "tick by tick could not be requested"),
    10190: Code(_R.DOWNGRADE, "all tick-by-tick requests are taken"),
    10197: Code(
        _R.DATA_STOLEN,
        "another session of this user takes the market data",
        "log out of TWS, the phone or the other account's session",
    ),
    10225: Code(_R.NOTE, "a trade was busted; ib_async asks for the bars again"),
    10289: Code(_R.REJECT, "cash quantities have to be set up for this", _TRADING_PERMISSION),
    10293: Code(_R.REJECT, "the account's settings do not allow this order", _TRADING_PERMISSION),
    10314: Code(_R.BUG, "the end time is not in a form that is understood"),
    10330: Code(_R.UNKNOWN_CONTRACT, "the expiry is not in a form that is understood", "give expiry as 20261218"),
    10339: Code(_R.BUG, "no end time can be given for a continuous future"),
    10349: Code(_R.ORDER_NOTE, "the time in force was set by a preset; the order lives on"),
}

ORDER_FAULTS = frozenset(
    {111, 113, 114, 115, 116, 117, 118, 119, 131, 132, 133, 140, 141, 144, 145, 146, 152, 154, 158, 159, 160, 163, 164, 325, 328}
    | {
        334,
        335,
        336,
        337,
        355,
        361,
        362,
        363,
        364,
        367,
        382,
        383,
        387,
        388,
        390,
        391,
        400,
        401,
        402,
        403,
        405,
        406,
        411,
        412,
        413,
    }
    | {416, 417, 422, 423, 433, 435, 436, 437, 439, 441, 442, 443, 10020, 10052, 10268, 10269, 10270, 10329}
)
"""Faults of a new order or of a change, each in words of its own."""
CODES |= {number: Code(Reaction.REJECT, "the order is not valid as it stands") for number in ORDER_FAULTS}

_UNKNOWN = Code(_R.NOTE, "not in our table")


def code_of(number: int) -> Code:
    """The code's row; of one that is not in the table, a note."""
    return CODES.get(number, _UNKNOWN)


def reaction_of(number: int, text: str = "") -> Reaction:
    """What we do about `number`; some codes say only in their text what they mean.

    >>> reaction_of(321, "Error validating request.-'bW' : cause - The API interface is currently in Read-Only mode.")
    <Reaction.READ_ONLY: 'read_only'>
    >>> reaction_of(162, "Historical Market Data Service error message:Historical data request pacing violation")
    <Reaction.HISTORY_PACING: 'history_pacing'>
    """
    said = text.lower()
    if number in (321, 322) and ("read-only" in said or "read only" in said):
        return Reaction.READ_ONLY
    if number == 322 and "simultaneous" in said:
        return Reaction.HISTORY_PACING
    if number in (162, 165):
        if "pacing" in said:
            return Reaction.HISTORY_PACING
        if "no data" in said:
            return Reaction.HISTORY_EMPTY
        if "cancelled" in said or "canceled" in said:
            return Reaction.GONE
        if "no market data permissions" in said:
            return Reaction.NO_ENTITLEMENT
    if number == 10148 and ("state: cancelled" in said or "state: canceled" in said):
        return Reaction.CANCELLED
    return code_of(number).reaction


def explain(number: int, text: str) -> str:
    """For a log or an alert: what the Gateway says, and what to do."""
    to_do = code_of(number).to_do
    return f"{number} {text.strip()}" + (f"; {to_do}" if to_do else "")
