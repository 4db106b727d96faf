"""A result as one HTML page that needs nothing else: no network, no server, no library.

In:   a `Result`.   Out: the page as text.
Not:  everything. A chart holds at most `PICTURE_POINTS` points of a curve and `CANDLES` candles of a symbol at first sight, more
      when zoomed in; the table `MOST_TRADES` trades. The Parquet files hold the rest.

Tables are written here; charts and the table of trades are drawn by `assets/report.js` (`barque_backtest.drawing`).
"""

from __future__ import annotations

import html
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from string import Template
from typing import Any

from barque_backtest.curves import SECOND_NS
from barque_backtest.drawing import data_of, shown_trades
from barque_backtest.results import Picture, Result
from barque_backtest.statistics import Statistics

MOST_ALERTS = 50
_ASSETS = files("barque_backtest").joinpath("assets")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

Shown = Callable[[Any], str]


def asset(name: str) -> str:
    """The text of a file that pages are made of."""
    return _ASSETS.joinpath(name).read_text(encoding="utf-8")


def render(result: Result) -> str:
    """The whole page."""
    run, facts = result.run, result.run.facts
    title = f"{', '.join(s.id for s in run.strategies)}: {_day(facts.first_ns)} to {_day(facts.last_ns)}"
    shown = shown_trades(result.trips)
    return Template(asset("report.html")).substitute(
        title=_text(f"Backtest of {title}"),
        style=asset("report.css"),
        heading=_text(", ".join(s.id for s in run.strategies) or "no strategies"),
        facts=_facts(result),
        notes=_notes(result.notes),
        tiles=_tiles(result.total),
        equity_note=_text(
            f"in {result.currency}; the drawdown is that at every price; drag to move, wheel to zoom, double-click for all"
        ),
        charts="".join(_chart_section(index, picture) for index, picture in enumerate(result.pictures)),
        statistics=_statistics_tables(result),
        months=_months_table(result.months),
        open_positions=_open_positions(result),
        rejections=_rejections(result),
        alerts=_alerts(result),
        trades_note=_text(_trades_note(len(shown), len(result.trips))),
        footer=_footer(result),
        data=json.dumps(data_of(result, shown), separators=(",", ":"), allow_nan=False).replace("</", "<\\/"),
        script=asset("report.js"),
    )


def _text(value: object) -> str:
    return html.escape(str(value))


def _day(ns: int) -> str:
    return datetime.fromtimestamp(ns // SECOND_NS, UTC).strftime("%Y-%m-%d")


def _minute(ns: int | None) -> str:
    return "–" if ns is None else datetime.fromtimestamp(ns // SECOND_NS, UTC).strftime("%Y-%m-%d %H:%M")


def _number(places: int, scale: float = 1.0, unit: str = "") -> Shown:
    return lambda value: "–" if value is None else f"{value * scale:,.{places}f}{unit}"


_percent, _ratio, _money, _count = _number(2, 100, " %"), _number(2), _number(2), _number(0)


def _lasted(seconds: float | None) -> str:
    if not seconds:
        return "–"
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:.0f} s"


def _facts(result: Result) -> str:
    facts = result.run.facts
    fed = [f"{facts.bars:,} bars"] * bool(facts.bars) + [f"{facts.ticks:,} ticks"] * bool(facts.ticks)
    rows = (
        f"<b>{_day(facts.first_ns)}</b> to <b>{_day(facts.last_ns)}</b>",
        _text(", ".join(dict.fromkeys(symbol for s in result.run.strategies for symbol in s.symbols))),
        _text(" and ".join(fed) or "no data"),
        f"configuration <span class='mono'>{_text(result.run.config_digest)}</span>",
    )
    return "".join(f"<span>{row}</span>" for row in rows)


def _notes(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    return f"<ul class='notes'>{''.join(f'<li>{_text(note)}</li>' for note in notes)}</ul>"


def _tiles(total: Statistics) -> str:
    tiles = (
        ("net profit", _money(total.net_profit), total.currency, total.net_profit),
        ("return", _percent(total.total_return), "", total.total_return),
        ("a year", _percent(total.cagr), "", total.cagr),
        ("Sharpe", _ratio(total.sharpe), "", None),
        ("Sortino", _ratio(total.sortino), "", None),
        ("drawdown", _percent(total.max_drawdown), "", None),
        ("win rate", _number(1, 100, " %")(total.win_rate), "", None),
        ("profit factor", _ratio(total.profit_factor), "", None),
        ("trades", _count(total.trades), "", None),
        ("fills", _count(total.fills), "", None),
        ("costs", _money(total.costs), total.currency, None),
    )
    return "".join(
        f"<div class='tile'><small>{name}</small><b class='{_sign(sign)}'>{value}</b><i>{_text(unit)}</i></div>"
        for name, value, unit, sign in tiles
    )


def _sign(value: float | None) -> str:
    return "" if not value else "up" if value > 0 else "down"


def _chart_section(index: int, picture: Picture) -> str:
    return (
        f"<section class='price' data-symbol='{index}'><h2>{_text(picture.symbol)} <small></small></h2>"
        "<div class='chart'><canvas></canvas><div class='tip'></div></div></section>"
    )


_FIGURES: Sequence[tuple[str, Sequence[tuple[str, str, Shown]]]] = (
    (
        "Result",
        (
            ("start", "start_equity", _money),
            ("end", "end_equity", _money),
            ("net profit", "net_profit", _money),
            ("return", "total_return", _percent),
            ("growth a year (CAGR)", "cagr", _percent),
            ("costs (commission)", "costs", _money),
        ),
    ),
    (
        "Risk",
        (
            ("volatility a year", "volatility", _percent),
            ("Sharpe ratio", "sharpe", _ratio),
            ("Sortino ratio", "sortino", _ratio),
            ("Calmar ratio", "calmar", _ratio),
            ("largest drawdown", "max_drawdown", _percent),
            ("largest drawdown, money", "max_drawdown_money", _money),
            ("began", "max_drawdown_peak_ns", _minute),
            ("lowest", "max_drawdown_trough_ns", _minute),
            ("recovered", "max_drawdown_recovered_ns", _minute),
            ("its length", "max_drawdown_s", _lasted),
            ("longest drawdown", "longest_drawdown_s", _lasted),
            ("time in the market", "exposure", _number(1, 100, " %")),
        ),
    ),
    (
        "Trading",
        (
            ("fills", "fills", _count),
            ("closed trades", "trades", _count),
            ("open trades", "open_trades", _count),
            ("win rate", "win_rate", _number(1, 100, " %")),
            ("profit factor", "profit_factor", _ratio),
            ("expectancy", "expectancy", _ratio),
            ("average trade", "average_trade", _money),
            ("average win", "average_win", _money),
            ("average loss", "average_loss", _money),
            ("best", "best_trade", _money),
            ("worst", "worst_trade", _money),
            ("average length", "average_trade_s", _lasted),
            ("value traded", "turnover", _money),
            ("turnover a year, × equity", "turnover_per_year", _ratio),
        ),
    ),
)


def _statistics_tables(result: Result) -> str:
    columns = [("account", result.total)]
    if len(result.strategies) > 1:
        columns += [(figures.name, figures) for figures in result.strategies]
    if len(result.symbols) > 1:
        columns += [(figures.name, figures) for figures in result.symbols]
    parts = "".join(_figures_table(group, rows, columns) for group, rows in _FIGURES)
    return f"<div class='beside' style='--least: {230 + 130 * len(columns)}px'>{parts}</div>"


def figure_rows(columns: Sequence[Statistics]) -> list[list[tuple[str, list[str]]]]:
    """The statistics as people read them: groups of rows, each a name and one text per column."""
    return [[(name, [shown(getattr(figures, key)) for figures in columns]) for name, key, shown in rows] for _, rows in _FIGURES]


def _figures_table(group: str, rows: Sequence[tuple[str, str, Shown]], columns: Sequence[tuple[str, Statistics]]) -> str:
    head = "".join(f"<th class='n'>{_text(name)}</th>" for name, _ in columns)
    body = []
    for name, key, shown in rows:
        cells = "".join(f"<td class='n'>{shown(getattr(figures, key))}</td>" for _, figures in columns)
        body.append(f"<tr><td>{name}</td>{cells}</tr>")
    table = f"<table class='rows'><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    return f"<section><h2>{group}</h2><div class='scroll'>{table}</div></section>"


def _months_table(months: Iterable[tuple[int, int, float]]) -> str:
    years: dict[int, dict[int, float]] = {}
    for year, month, change in months:
        years.setdefault(year, {})[month] = change
    largest = max((abs(change) for row in years.values() for change in row.values()), default=0.0)
    head = "".join(f"<th>{name}</th>" for name in ("", *_MONTHS, "year"))
    body = []
    for year, row in sorted(years.items()):
        whole = math.prod(1 + change for change in row.values()) - 1
        cells = "".join(heat_cell(row.get(month), largest, _number(2, 100)) for month in range(1, 13))
        body.append(f"<tr><td>{year}</td>{cells}<td class='{_sign(whole)}'>{whole * 100:,.2f}</td></tr>")
    rows = "".join(body) or "<tr><td class='faint'>no days</td></tr>"
    return f"<table class='rows heat'><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def heat_cell(value: float | None, largest: float, shown: Shown, title: str = "") -> str:
    """One cell of a heat map: green above zero, red below, the stronger the nearer to `largest`."""
    if value is None:
        return f"<td class='faint' title='{_text(title)}'>–</td>"
    strength = 0.55 * min(1.0, abs(value) / largest) if largest else 0.0
    color = "--heat-up" if value > 0 else "--heat-down"
    return f"<td title='{_text(title)}' style='background: rgba(var({color}), {strength:.3f})'>{shown(value)}</td>"


def _open_positions(result: Result) -> str:
    rows = [(p.strategy_id, p.symbol, p.quantity, p.average_price) for p in result.run.open_positions]
    return _section("Open at the end", ("strategy", "symbol", "quantity", "average price"), rows)


def _rejections(result: Result) -> str:
    counts = Counter((r.strategy_id, str(r.reason)) for r in result.run.rejections)
    return _section("Signals refused", ("strategy", "reason", "count"), [(*key, count) for key, count in sorted(counts.items())])


def _alerts(result: Result) -> str:
    alerts = result.run.alerts[:MOST_ALERTS]
    more = len(result.run.alerts) - len(alerts)
    rows = [(_minute(a.ts_event_ns), a.severity, a.text) for a in alerts]
    return _section(
        "Alerts" + (f", {more:,} more in messages/alerts.jsonl.gz" if more else ""), ("time", "severity", "text"), rows
    )


def _section(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    if not rows:
        return ""
    names = "".join(f"<th>{name}</th>" for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    table = f"<table class='rows'><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table>"
    return f"<section><h2>{_text(title)}</h2><div class='scroll'>{table}</div></section>"


def _trades_note(shown: int, count: int) -> str:
    some = f"the {shown:,} largest of {count:,}; all are in trades.parquet; " if shown < count else ""
    return f"{some}from flat to flat, after costs; worst and best as if left on the way; a click shows one above"


def _footer(result: Result) -> str:
    total = result.total
    lines = (
        f"Sharpe and Sortino: {total.days:,} daily returns in {result.currency}, {total.days_per_year} days a year. "
        "Risk-free rate 0. Drawdown at every price. Trades at average cost, from flat to flat.",
        "Strategies and symbols are measured against the whole starting cash, so their profits add up to the account's. "
        "Spread and slippage are inside the prices of fills.",
    )
    return "".join(f"<p>{_text(line)}</p>" for line in lines)
