"""The page's panels as HTML. Pure: a view in, text out; everything from outside is escaped.

A panel is sent to a viewer only where its text differs from the one before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import tzinfo
from decimal import Decimal
from html import escape

from gateway import format as fmt
from gateway.live import View
from gateway.models import Equity, Feed, Node, Position, Series

SILENT_MS = 5_000
"""A node that has said nothing for so long is shown as slow, after six times as long as gone."""
LAGGING = 1_000

LOGO = (
    '<svg viewBox="0 0 24 24" fill="none"><path d="M11 2.5V15H3.5C6 11.5 9.5 7.5 11 2.5Z" fill="#5cb8ff"/>'
    '<path d="M13 5c2.5 2.5 5.5 6 7 10h-7V5Z" fill="#2fbf9b"/><path d="M2 17h20l-2.6 4.5H5L2 17Z" fill="#d5dde8"/></svg>'
)
_NONE = '<span class="faint">–</span>'


def facts(view: View, zone: tzinfo) -> str:
    """The header: book, history, the book's time, health in one dot."""
    status = view.status
    now = fmt.date_time(status.now_ns, zone) if status.now_ns else "not known yet"
    dot, words = health(view)
    return (
        _fact("Book", escape(status.book))
        + _fact("Lineage", f'<span class="mono">{escape(status.lineage or "–")}</span>')
        + _fact(f"{'Feed' if status.clock == 'feed' else 'Wall'} clock · {escape(str(zone))}", now)
        + _fact("Health", f'<span class="well"><span class="dot {dot}"></span>{escape(words)}</span>')
    )


def health(view: View) -> tuple[str, str]:
    """(dot, words): `bad` where a store is away or the book halted, `slow` where a node or feed limps."""
    status = view.status
    if status.problems:
        return "bad", fmt.plural(len(status.problems), "problem")
    if status.halt.halted:
        return "bad", "Halted"
    limp = [node for node in status.nodes if _node_dot(node) != "good"]
    if limp:
        how = "silent" if all(node.last_seen_ms > SILENT_MS for node in limp) else "behind"
        return "slow", f"{', '.join(node.name for node in limp[:2])}{' and others' if len(limp) > 2 else ''} {how}"
    limping = sorted({feed.feed for feed in status.feeds if _feed_class(feed) == "bad"})
    if limping:
        return "slow", f"feed {', '.join(limping[:2])}"
    if not status.nodes:
        return "slow", "no node has registered"
    return "good", "All well"


def banner(view: View, zone: tzinfo) -> str:
    """What must not be overlooked; empty on a calm day."""
    parts = []
    halt = view.status.halt
    if halt.halted:
        when = fmt.date_time(halt.at_ns, zone) if halt.at_ns else "an unknown time"
        parts.append(
            f'<div class="halted"><b>HALTED</b>by {escape(halt.actor)} at {when} · {escape(halt.reason or "no reason")}</div>'
        )
    parts += [f'<div class="away">{escape(problem)}</div>' for problem in view.status.problems]
    return "".join(parts)


def tiles(view: View) -> str:
    """The account in seven figures."""
    last = [curve.last for curve in view.equity.values() if curve.last]
    account = max(last, key=lambda row: row.equity, default=None)
    open_positions = sum(1 for position in view.positions if position.quantity)
    lag = max((sum(node.lag.values()) for node in view.status.nodes), default=None)
    drawdown = _drawdown(view.equity[account.account].items) if account else None
    return (
        "<div>"
        + _tile("Equity", fmt.money(account.equity, account.currency) if account else "–", account.currency if account else "")
        + _signed_tile("Unrealised", account.unrealised_pnl if account else None, account)
        + _signed_tile("Realised", account.realised_pnl if account else None, account)
        + _tile("Cash", fmt.money(account.cash, account.currency) if account else "–", account.currency if account else "")
        + _tile("Deepest drawdown", f"{drawdown:.2%}".replace("-", "−") if drawdown is not None else "–", "")
        + _tile("Open positions", str(open_positions), f"of {len(view.positions)}" if view.positions else "")
        + _tile("Bus lag", fmt.count(lag) if lag is not None else "–", "entries" if lag is not None else "")
        + "</div>"
    )


def quote(view: View, series: Series | None) -> str:
    """Bid and ask of the symbol on show."""
    mark = view.marks.get(series.symbol) if series else None
    if mark is None or series is None:
        return ""
    tick_size = _tick_size(view, series.symbol)
    known = [fmt.price(Decimal(repr(p)), tick_size) for p in (mark.bid, mark.ask) if p == p]
    shown = known or [fmt.price(Decimal(repr(mark.last)), tick_size)] if mark.last == mark.last or known else []
    return '<span class="faint"> / </span>'.join(f"<b>{text}</b>" for text in shown)


def positions(view: View) -> str:
    """Open first, then closed ones for what they made."""
    rows = sorted(view.positions, key=lambda p: (not p.quantity, p.symbol, p.strategy_id))
    return _table(
        ("Symbol", "Strategy", "#Position", "#Average", "#Unrealised", "#Realised"),
        [
            (
                f"<b>{escape(row.symbol)}</b>",
                f'<span class="soft">{escape(row.strategy_id)}</span>',
                _coloured(row.quantity, fmt.quantity(row.quantity)) if row.quantity else '<span class="faint">flat</span>',
                fmt.price(row.average_price, _tick_size(view, row.symbol)) if row.quantity else _NONE,
                _unrealised(view, row),
                _money(row.realised_pnl, row.currency),
            )
            for row in rows
        ],
        "No positions yet. A fill opens one.",
    )


def orders(view: View, zone: tzinfo) -> str:
    """The newest orders."""
    return _table(
        ("Time", "Order", "Symbol", "Side", "#Filled", "Type", "State"),
        [
            (
                fmt.clock_time(row.ts_event_ns, zone),
                f'<span class="mono soft" title="{escape(row.order_id)}">{escape(row.order_id[:8])}</span>',
                f"<b>{escape(row.symbol)}</b>",
                f'<span class="{escape(row.side)}">{escape(row.side)}</span>',
                f'{fmt.quantity(row.filled)}<span class="faint"> / {fmt.quantity(row.quantity)}</span>',
                escape(row.order_type)
                + (f" {fmt.price(row.limit_price, _tick_size(view, row.symbol))}" if row.limit_price is not None else ""),
                _tag(row.state.replace("_", " ").lower(), _STATE_CLASS.get(row.state, ""), row.detail),
            )
            for row in view.orders
        ],
        "No orders yet. Strategies decide, the router sends.",
    )


def fills(view: View, zone: tzinfo) -> str:
    """The newest executions."""
    return _table(
        ("Time", "Symbol", "Side", "#Quantity", "#Price", "#Realised", "Strategy"),
        [
            (
                fmt.clock_time(row.ts_event_ns, zone),
                f"<b>{escape(row.symbol)}</b>",
                f'<span class="{escape(row.side)}">{"▲" if row.side == "buy" else "▼"} {escape(row.side)}</span>',
                fmt.quantity(row.quantity),
                fmt.price(row.price, _tick_size(view, row.symbol)),
                _money(row.realised_pnl, row.currency),
                f'<span class="soft" title="{escape(row.order_id)}">{escape(row.strategy_id)}</span>',
            )
            for row in view.fills
        ],
        "No fills yet. They appear here, and on the candles, within a second.",
    )


def rejections(view: View, zone: tzinfo) -> str:
    """The newest signals that became no order, and why."""
    return _table(
        ("Time", "Symbol", "Strategy", "Reason"),
        [
            (
                fmt.clock_time(row.ts_event_ns, zone),
                f"<b>{escape(row.symbol)}</b>",
                f'<span class="soft">{_clipped(row.strategy_id)}</span>',
                _tag(row.reason.replace("_", " "), "slow", row.detail),
            )
            for row in view.rejections
        ],
        "No signal has been refused.",
    )


def alerts(view: View, zone: tzinfo) -> str:
    """What a person should know, the newest first."""
    return _table(
        ("Time", "Alert", "What, and what to do"),
        [
            (
                fmt.clock_time(row.ts_event_ns, zone),
                _tag(row.name.replace("_", " "), _SEVERITY_CLASS[row.severity], f"{row.severity}, from {row.source}"),
                f'<span class="soft">{escape(row.text)}</span>',
            )
            for row in view.alerts
        ],
        "No alert.",
    )


_SEVERITY_CLASS = {"critical": "bad", "warning": "slow", "info": "good"}


def machinery(view: View, zone: tzinfo) -> str:
    """Feeds and nodes: state, lag, last sign of life, refused commits."""
    feeds = _table(
        ("Feed", "State", "Last word", "#Dropped"),
        [
            (
                f'{escape(feed.feed)}<span class="soft"> {escape(feed.symbol)}</span>',
                _tag(feed.state.replace("_", " "), _feed_class(feed), feed.detail),
                fmt.clock_time(feed.ts_event_ns, zone),
                fmt.count(feed.dropped) if feed.dropped else _NONE,
            )
            for feed in view.status.feeds
        ],
        "No feed has spoken yet.",
    )
    nodes = _table(
        ("Node", "Worker", "#Lag", "#Commits", "#Refused", "#Seen"),
        [
            (
                f'<span class="well"><span class="dot {_node_dot(node)}"></span>{_clipped(node.name)}</span>',
                f'<span class="soft">{_clipped(node.worker or "–")}</span>',
                _lag(node),
                fmt.count(node.seq),
                _refused(node),
                fmt.ago(max(0, node.last_seen_ms)),
            )
            for node in view.status.nodes
        ],
        "No node has registered yet. Start the services.",
    )
    return nodes + feeds


_STATE_CLASS = {
    "FILLED": "good",
    "REJECTED": "bad",
    "UNKNOWN": "bad",
    "EXPIRED": "slow",
    "SENDING": "slow",
    "PENDING_CANCEL": "slow",
    "PENDING_MODIFY": "slow",
}


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> str:
    """Cells are HTML already; a column whose name begins with # holds numbers."""
    if not rows:
        return f'<div class="empty">{empty}</div>'
    kinds = [' class="n"' if name.startswith("#") else "" for name in columns]
    head = "".join(f"<th{kind}>{name.lstrip('#')}</th>" for name, kind in zip(columns, kinds, strict=True))
    body = "".join(f"<tr>{''.join(f'<td{k}>{cell}</td>' for cell, k in zip(row, kinds, strict=True))}</tr>" for row in rows)
    return f'<table class="rows"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _fact(name: str, value: str) -> str:
    return f'<span class="fact"><small>{name}</small><span>{value}</span></span>'


def _tile(name: str, value: str, unit: str, css: str = "") -> str:
    return f'<div class="tile"><small>{name}</small><b class="{css}">{value}<i>{escape(unit)}</i></b></div>'


def _signed_tile(name: str, value: Decimal | None, account: Equity | None) -> str:
    if value is None or account is None:
        return _tile(name, "–", "")
    return _tile(name, fmt.signed(value, account.currency), account.currency, _sign(value))


def _clipped(text: str) -> str:
    return f'<span class="clip" title="{escape(text)}">{escape(text)}</span>'


def _tag(text: str, css: str, detail: str) -> str:
    return f'<span class="tag {css}" title="{escape(detail)}">{escape(text)}</span>'


def _sign(value: Decimal) -> str:
    return "up" if value > 0 else "down" if value < 0 else ""


def _coloured(value: Decimal, text: str) -> str:
    return f'<span class="{_sign(value)}">{text}</span>'


def _money(value: Decimal, currency: str) -> str:
    if not value:
        return _NONE
    return f'{_coloured(value, fmt.signed(value, currency))}<span class="faint"> {escape(currency)}</span>'


def _tick_size(view: View, symbol: str) -> Decimal | None:
    instrument = view.instruments.get(symbol)
    return instrument.tick_size if instrument else None


def _unrealised(view: View, position: Position) -> str:
    """At the latest mark, in the instrument's currency; the portfolio's own figure is in the account's equity."""
    mark, instrument = view.marks.get(position.symbol), view.instruments.get(position.symbol)
    if mark is None or instrument is None or mark.price != mark.price or not position.quantity:
        return _NONE
    gain = (Decimal(repr(mark.price)) - position.average_price) * position.quantity * instrument.contract_size
    return _money(gain, position.currency)


def _drawdown(rows: Iterable[Equity]) -> Decimal:
    """The deepest fall from a peak, as a fraction, 0 or negative. A deposit or withdrawal moves the peak in the proportion in
    which it changes the equity, so that it is no part of a fall."""
    peak, deepest, flows = Decimal(0), Decimal(0), None
    for row in rows:
        flow = Decimal(0) if flows is None else row.flows - flows
        flows, earned = row.flows, row.equity - flow
        peak = max(peak, earned)
        if peak > 0:
            deepest = min(deepest, earned / peak - 1)
        if flow:
            peak = peak * row.equity / earned if earned > 0 and row.equity > 0 else row.equity
    return deepest


def _node_dot(node: Node) -> str:
    if node.last_seen_ms > 6 * SILENT_MS:
        return "bad"
    return "slow" if node.last_seen_ms > SILENT_MS or sum(node.lag.values()) > LAGGING else "good"


def _lag(node: Node) -> str:
    lag = sum(node.lag.values())
    detail = ", ".join(f"{topic} {count}" for topic, count in sorted(node.lag.items()))
    css = "warn" if lag > LAGGING else "" if lag else "faint"
    return f'<span class="{css}" title="{escape(detail)}">{fmt.count(lag)}</span>'


def _refused(node: Node) -> str:
    total = sum(node.refused.values())
    detail = ", ".join(f"{why} {count}" for why, count in sorted(node.refused.items()))
    return f'<span class="{"warn" if total else "faint"}" title="{escape(detail)}">{fmt.count(total)}</span>'


def _feed_class(feed: Feed) -> str:
    return _FEED_CLASS.get(feed.state, "bad")


_FEED_CLASS = {
    **dict.fromkeys(("connected", "heartbeat", "live", "filled"), "good"),
    **dict.fromkeys(("gap", "delayed"), "slow"),
    "finished": "",
}
