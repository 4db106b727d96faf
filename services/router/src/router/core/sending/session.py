"""What people are told of the session with the broker: that no order can leave, why, what to do, and that it is over.

In:   the session's state, the time.   Out: Alert, once per change; `disconnected` once it has lasted, the others at once.
Not:  trying again (the venue's adapter). What has been said is part of the state: a restart says nothing twice.
"""

from __future__ import annotations

from barque.messages.control import Severity
from barque.venue import Disconnected
from router.core.sending.config import ns
from router.core.sending.desk import Desk
from router.core.sending.state import NoSession, SendingState


def lose(state: SendingState, event: Disconnected) -> None:
    """There is no session. One that is in safe mode stays so until there is one."""
    safe = not state.connected and state.lost.trouble == "safe_mode" and event.trouble == "lost"
    state.connected = False
    state.lost = NoSession(detail=event.detail, trouble="safe_mode" if safe else event.trouble, expected=event.expected)


def hindrance(state: SendingState) -> str:
    """Why no order may leave now; empty: it may."""
    if not state.connected:
        return f"there is no session with the broker: {state.lost.detail}"
    if state.disabled:
        return f"the broker takes no orders: {state.disabled}"
    if state.blocked:
        return "the broker's books and ours differ; see the reconciliation report"
    if state.ready:
        return ""
    trouble = f": {state.books_detail}" if state.books_detail else ""
    return f"the broker's books are being compared with ours{trouble}"


def watch(desk: Desk) -> None:
    """Tell people where the session's trouble has changed."""
    state = desk.state
    if state.connected and not state.disabled and (state.ready or state.blocked):
        _say_over(desk)
        state.waiting_ns, state.trouble, state.trouble_detail = 0, "", ""
        return
    state.waiting_ns = state.waiting_ns or state.now_ns
    if not state.connected and state.lost.trouble == "refused":
        _say_refused(desk)
    elif not state.connected and state.lost.trouble == "safe_mode":
        _say_safe_mode(desk)
    elif state.connected and state.disabled:
        _say_disabled(desk)
    elif state.now_ns >= _due_ns(desk):
        _say_disconnected(desk)


def _due_ns(desk: Desk) -> int:
    """When it has lasted long enough. A session that has just begun has as long for its first look at the books."""
    state, config = desk.state, desk.config
    if state.connected:
        return max(state.connected_ns, state.waiting_ns) + ns(config.alert_after_s)
    return state.waiting_ns + ns(config.expected_alert_after_s if state.lost.expected else config.alert_after_s)


def _is_news(state: SendingState, name: str, detail: str = "") -> bool:
    """Whether this is another trouble than the one that is out, which it then is."""
    news = (state.trouble, state.trouble_detail) != (name, detail)
    state.trouble, state.trouble_detail = name, detail
    return news


def _say_refused(desk: Desk) -> None:
    state, account = desk.state, desk.config.account
    if _is_news(state, "sender_refused", state.lost.detail):
        text = f"{account}: there is no session that fits the configuration, and nothing is sent: {state.lost.detail}"
        desk.alert("sender_refused", "critical", text)


def _say_safe_mode(desk: Desk) -> None:
    state, account = desk.state, desk.config.account
    if _is_news(state, "sender_safe_mode"):
        text = (
            f"{account}: no session with the broker again and again: {state.lost.detail}. Nothing is sent, cancelled or changed; "
            "the sender goes on trying once in a while. See to the broker's program"
        )
        desk.alert("sender_safe_mode", "critical", text)


def _say_disabled(desk: Desk) -> None:
    state, account = desk.state, desk.config.account
    if _is_news(state, "trading_disabled"):  # a broker has several words for one button
        text = f"{account}: the broker takes no orders: {state.disabled}. Orders wait; enable trading there"
        desk.alert("trading_disabled", "critical", text)


def _say_disconnected(desk: Desk) -> None:
    state, account = desk.state, desk.config.account
    if not _is_news(state, "sender_disconnected"):
        return
    severity: Severity = "critical" if state.orders or state.positions else "warning"
    if state.connected:
        why = f"the broker's books could not be compared with ours: {state.books_detail or 'they have not been answered'}"
    else:
        why = f"there is no session with the broker: {state.lost.detail}"
    text = (
        f"{account}: no order has left for {_length(state)}: {why}. What is at the broker works on; "
        "the sender goes on trying by itself, see to the broker's program"
    )
    desk.alert("sender_disconnected", severity, text)


def _say_over(desk: Desk) -> None:
    state = desk.state
    text = f"{desk.config.account}: orders leave again, after {_length(state)}; the broker's books have been compared with ours"
    if state.trouble == "sender_refused":
        desk.alert("sender_refused", "info", text)
    elif state.trouble == "sender_safe_mode":
        desk.alert("sender_safe_mode", "info", text)
    elif state.trouble == "trading_disabled":
        desk.alert("trading_disabled", "info", text)
    elif state.trouble:
        desk.alert("sender_disconnected", "info", text)


def _length(state: SendingState) -> str:
    seconds = (state.now_ns - state.waiting_ns) / 10**9
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
