"""The web page: one board per viewer, refreshed once a second from the view that all viewers share.

In:   `Live.view` and `Live.chart`.   Out: to each browser only what differs from what it has.
Not:  data of its own, assets from outside, commands without `Commands`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from zoneinfo import ZoneInfo

import structlog
from fastapi import FastAPI
from nicegui import app as page_app
from nicegui import ui
from prometheus_client import Gauge

from barque.errors import BarqueError
from gateway import render
from gateway.api import Services
from gateway.charts import candle_options, candle_update, equity_options, equity_update
from gateway.config import GatewayConfig
from gateway.live import LOOK_INTERVAL_S, Chart
from gateway.models import Series
from gateway.tape import Place

STATIC = Path(__file__).parent / "static"
HISTORY_MESSAGES = 100
"""Kept per viewer, for one whose connection breaks for a moment."""
VIEWERS = Gauge("barque_gateway_viewers", "Browsers that show the page.")

log = structlog.get_logger()


def mount(config: GatewayConfig) -> Callable[[FastAPI], None]:
    """What puts the page on an app. Once per process: NiceGUI has one application."""

    def mount_on(app: FastAPI) -> None:
        page_app.add_static_files("/static", STATIC, max_cache_age=0)
        page_app.on_connect(lambda: VIEWERS.inc())
        page_app.on_disconnect(lambda: VIEWERS.dec())

        @ui.page("/", title=config.title)
        async def index() -> None:
            await Board(app.state.services, config, ui.context.client.ip or "local").refresh()

        ui.run_with(
            app,
            title=config.title,
            favicon=f'<svg xmlns="http://www.w3.org/2000/svg"{render.LOGO.removeprefix("<svg")}',
            dark=True,
            tailwind=False,
            show_welcome_message=False,
            binding_refresh_interval=None,
            message_history_length=HISTORY_MESSAGES,
        )

    return mount_on


class Board:
    """One viewer's page."""

    def __init__(self, services: Services, config: GatewayConfig, address: str) -> None:
        self._services = services
        self._config = config
        self._actor = f"page:{address}"
        self._zone = ZoneInfo(config.time_zone)
        self._series: Series | None = None
        self._shown: Chart | None = None
        self._seen: tuple[Place, Place] | None = None
        self._mark: float | None = None
        self._equity_seen: dict[str, Place] = {}
        ui.add_head_html('<link rel="stylesheet" href="/static/page.css"><script src="/static/page.js"></script>')
        self._build_header(config.title)
        self._build_board()
        ui.timer(LOOK_INTERVAL_S, self.refresh, immediate=False)

    # -- building ---------------------------------------------------------------------------------------------------

    def _build_header(self, title: str) -> None:
        with ui.element("header").classes("bar"):
            ui.html(f'<div class="brand">{render.LOGO}{escape(title)}</div>', sanitize=False)
            self._facts = ui.html(sanitize=False).classes("facts")
            self._resume_button = (
                ui.button("Resume…", on_click=self._ask_resume, color=None).props("flat no-caps").classes("resume")
            )
            self._halt_button = ui.button("HALT", on_click=self._halt, color=None).props("unelevated").classes("halt")
        self._banner = ui.html(sanitize=False).classes("banner")
        self._tiles = ui.html(sanitize=False).classes("tiles")

    def _build_board(self) -> None:
        with ui.element("main").classes("board"):
            with ui.element("section").classes("card a-chart"):
                with ui.element("div").classes("head"):
                    self._symbols = self._choice("symbol")
                    self._intervals = self._choice("interval")
                    self._prices = self._choice("price")
                    self._quote = ui.html(sanitize=False).classes("quote")
                self._no_bars = _empty("No bars yet. The first closed bar draws the chart.")
                self._candles = ui.echart(candle_options()).classes("plot")
            self._orders = self._panel("Orders", "a-orders")
            self._fills = self._panel("Fills", "a-fills")
            with ui.element("aside").classes("side"):
                with self._card("Equity", "a-equity"):
                    self._no_equity = _empty("No equity yet. The portfolio values the account with the first mark.")
                    self._equity = ui.echart(equity_options()).classes("plot")
                self._positions = self._panel("Positions", "a-positions")
                self._rejections = self._panel("Refused signals", "a-refused")
                self._alerts = self._panel("Alerts", "a-alerts")
                self._machinery = self._panel("Nodes and feeds", "a-health")

    def _card(self, title: str, area: str) -> ui.element:
        card = ui.element("section").classes(f"card {area}")
        with card:
            ui.html(title, tag="h2", sanitize=False)
        return card

    def _panel(self, title: str, area: str) -> ui.html:
        with self._card(title, area):
            return ui.html(sanitize=False).classes("scroll")

    def _choice(self, name: str) -> ui.toggle:
        toggle = ui.toggle([], on_change=lambda event: self._choose(name, event.value))
        return toggle.props("unelevated dense no-caps toggle-color=blue-grey-9").classes("choice")

    # -- refreshing -------------------------------------------------------------------------------------------------

    async def refresh(self) -> None:
        """Bring the browser up to date; elements whose content is the same send nothing."""
        view, zone = self._services.live.view, self._zone
        self._facts.set_content(render.facts(view, zone))
        self._banner.set_content(render.banner(view, zone))
        self._tiles.set_content(render.tiles(view))
        self._positions.set_content(render.positions(view))
        self._orders.set_content(render.orders(view, zone))
        self._fills.set_content(render.fills(view, zone))
        self._rejections.set_content(render.rejections(view, zone))
        self._alerts.set_content(render.alerts(view, zone))
        self._machinery.set_content(render.machinery(view, zone))
        self._halt_button.set_visibility(not view.status.halt.halted)
        self._resume_button.set_visibility(view.status.halt.halted)
        self._offer()
        self._quote.set_content(render.quote(view, self._series))
        await self._refresh_candles()
        self._refresh_equity()

    async def _refresh_candles(self) -> None:
        live, series = self._services.live, self._series
        self._no_bars.set_visibility(series is None)
        self._candles.set_visibility(series is not None)
        if series is None:
            return
        try:
            chart = await live.chart(series)
        except BarqueError:
            return  # the banner says why
        if chart is None or series != self._series:
            return
        seen = self._seen if chart is self._shown else None
        mark = self._mark_of(series)
        now = (chart.bars.place, chart.fills.place)
        if seen == now and mark == self._mark:
            return
        instrument = live.view.instruments.get(series.symbol)
        update = candle_update(chart, seen, instrument.tick_size if instrument else None, str(self._zone), mark)
        self._run("candles", self._candles, update)
        self._shown, self._seen, self._mark = chart, now, mark

    def _refresh_equity(self) -> None:
        curves = self._services.live.view.equity
        self._no_equity.set_visibility(not curves)
        self._equity.set_visibility(bool(curves))
        update = equity_update(curves, self._equity_seen, str(self._zone))
        if update is not None:
            self._run("equity", self._equity, update)
            self._equity_seen = {account: curve.place for account, curve in curves.items()}

    def _run(self, name: str, element: ui.echart, update: object) -> None:
        element.client.run_javascript(f"barque.{name}({element.id}, {json.dumps(update)})")

    def _mark_of(self, series: Series) -> float | None:
        mark = self._services.live.view.marks.get(series.symbol)
        if mark is None:
            return None
        value = {"bid": mark.bid, "ask": mark.ask}.get(series.price, mark.price)
        return value if value == value else None

    # -- choosing a series ------------------------------------------------------------------------------------------

    def _offer(self) -> None:
        """Show what can be chosen; keep the choice where it still exists."""
        known = self._services.live.view.series
        if self._series not in known:
            self._series = known[0] if known else None
        chosen = self._series
        if chosen is None:
            return
        self._set(self._symbols, [s.symbol for s in known], chosen.symbol)
        of_symbol = [s for s in known if s.symbol == chosen.symbol]
        self._set(self._intervals, [s.interval for s in of_symbol], chosen.interval)
        self._set(self._prices, [s.price for s in of_symbol if s.interval == chosen.interval], chosen.price)

    def _set(self, toggle: ui.toggle, options: list[str], value: str) -> None:
        unique = list(dict.fromkeys(options))
        if toggle.options != unique:
            toggle.set_options(unique, value=value)
        elif toggle.value != value:
            toggle.set_value(value)

    async def _choose(self, name: str, value: str | None) -> None:
        chosen = self._series
        if chosen is None or value is None or getattr(chosen, name) == value:
            return
        wanted = chosen.model_copy(update={name: value})
        self._series = _nearest(wanted, name, self._services.live.view.series)
        await self.refresh()

    # -- commands ---------------------------------------------------------------------------------------------------

    async def _halt(self) -> None:
        try:
            await self._services.commands.halt(self._actor, "pressed on the page")
        except BarqueError as error:
            ui.notify(str(error), type="negative", timeout=0, close_button="Close")
        await self._look()

    def _ask_resume(self) -> None:
        with ui.dialog(value=True) as dialog, ui.element("div").classes("ask q-gutter-y-md"):
            ui.html("<h3>Let the book trade again</h3>", sanitize=False)
            reason = ui.input("Reason").props("outlined dense autofocus")
            token = ui.input("Token", password=True).props("outlined dense autocomplete=off")

            async def resume() -> None:
                refusal = await self._resume(reason.value.strip(), token.value.strip())
                if refusal:
                    ui.notify(refusal, type="negative")
                else:
                    dialog.close()

            with ui.element("div").classes("row justify-end q-gutter-x-sm"):
                ui.button("Cancel", on_click=dialog.close, color=None).props("flat no-caps")
                ui.button("Resume", on_click=resume, color=None).props("unelevated no-caps").classes("resume")
        dialog.on("hide", dialog.delete)

    async def _resume(self, reason: str, token: str) -> str:
        """Why it was not resumed; empty where it was."""
        guard = self._services.guard
        if not guard.has_token:
            return "Resume is off: no gateway.token_file is configured. Set it and restart the gateway."
        if not reason:
            return "Give a reason; it goes into the log of commands."
        if not guard.knows(token):
            return "That is not the token."
        try:
            await self._services.commands.resume(self._actor, reason)
        except BarqueError as error:
            return str(error)
        await self._look()
        return ""

    async def _look(self) -> None:
        await self._services.live.look()
        await self.refresh()


def _empty(text: str) -> ui.html:
    return ui.html(f'<div class="empty">{text}</div>', sanitize=False)


def _nearest(wanted: Series, fixed: str, known: Sequence[Series]) -> Series | None:
    """The wanted series, or the one that shares most with it and has its `fixed` part."""
    candidates = [s for s in known if getattr(s, fixed) == getattr(wanted, fixed)]
    likeness = [
        (s.symbol == wanted.symbol) * 4 + (s.price == wanted.price) * 2 + (s.interval == wanted.interval) for s in candidates
    ]
    return candidates[likeness.index(max(likeness))] if candidates else None
