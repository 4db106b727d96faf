"""The package's functions, as a terminal answers them: None and `last_error` where something is wrong, never an exception.

In:   calls as of `MetaTrader5`, faults that are due.   Out: named tuples, structured arrays, True and False, None.
Not:  trading (`dealing`). All times are the server's wall clock in seconds, presented as UTC.

Calls wait for one another, as they do on the one pipe to a real terminal: one that hangs holds up all. The trade server goes
on meanwhile.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from fnmatch import fnmatchcase
from typing import TypeVar

import numpy as np

from simulators.mt5 import checks
from simulators.mt5 import constants as mt5
from simulators.mt5.book import Deal, Order, Position
from simulators.mt5.dealing import Outcome, TradeServer
from simulators.mt5.faults import Fault, Faults
from simulators.mt5.history import TICK_DTYPE, Rows
from simulators.mt5.specs import symbol_info
from simulators.mt5.tuples import (
    AccountInfo,
    BookInfo,
    OrderCheckResult,
    OrderSendResult,
    SymbolInfo,
    TerminalInfo,
    Tick,
    TradeDeal,
    TradeOrder,
    TradePosition,
    TradeRequest,
)

T = TypeVar("T")
PATH = "C:\\Program Files\\MetaTrader 5"
Time = datetime | int | float
_NOT_FOUND = (mt5.RES_E_NOT_FOUND, "Terminal: Not found")


class Terminal:
    """One terminal and the package that speaks to it."""

    def __init__(self, server: TradeServer, faults: Faults) -> None:
        self._server = server
        self._faults = faults
        self.running = True
        """False: there is no terminal to reach."""
        self.connected = True
        """False: the terminal has lost the trade server."""
        self.trade_allowed = True
        """The AutoTrading button."""
        self.latency_s = 0.0
        """Every call takes so much longer."""
        self.ping_us = 12_000
        self.selected = set(server.specs)
        """Symbols in the Market Watch."""
        self.calls: Counter[str] = Counter()
        self.on_cut: Callable[[], None] = lambda: None
        self.state = threading.RLock()
        """Of the market and the books; never held while a call hangs."""
        self._pipe = threading.RLock()
        self._stopped = threading.Event()
        self._ipc = False
        self._logged_in = False
        self._delay_s = 0.0
        self._error = (mt5.RES_S_OK, "Success")
        self._request_id = 0

    def lose_ipc(self) -> None:
        """The pipe breaks, as it does when a terminal is restarted."""
        self._ipc = False

    def stop(self) -> None:
        """Let calls that hang come back, for good."""
        self._stopped.set()

    # -- session -----------------------------------------------------------------------------------------------------

    def initialize(
        self,
        path: str | None = None,
        *,
        login: int = 0,
        password: str = "",
        server: str = "",
        timeout: int = 60_000,
        portable: bool = False,
    ) -> bool:
        def work() -> bool:
            if path is not None and not path.startswith(PATH):
                return self._fail(mt5.RES_E_INTERNAL_FAIL_INIT, f"IPC initialize failed, Process create failed '{path}'", False)
            if not self.running:
                return self._fail(mt5.RES_E_INTERNAL_FAIL_TIMEOUT, "IPC timeout", False)
            self._ipc = True
            if login:
                return self._log_in(login, password, server)
            self._logged_in = True
            return True

        return self._call("initialize", work, False, needs_ipc=False)

    def login(self, login: int, password: str = "", server: str = "", timeout: int = 60_000) -> bool:
        return self._call("login", lambda: self._log_in(login, password, server), False)

    def shutdown(self) -> None:
        self._ipc = False

    def version(self) -> tuple[int, int, str] | None:
        return self._call("version", lambda: (500, 5200, "10 Oct 2026"), None)

    def last_error(self) -> tuple[int, str]:
        return self._error

    def terminal_info(self) -> TerminalInfo | None:
        def work() -> TerminalInfo:
            return TerminalInfo(
                *(False, False, self.connected, False, self.trade_allowed, False, False, False, False, ""),
                *(5200, 100_000, 0, self.ping_us, 0.0, 0.0, "MetaQuotes Ltd.", "MetaTrader 5", "English"),
                *(PATH, "C:\\Data", "C:\\Common"),
            )

        return self._call("terminal_info", work, None)

    def account_info(self) -> AccountInfo | None:
        def work() -> AccountInfo:
            account, trade = self._server.account, self._server
            balance, equity, margin = trade.book.balance, trade.equity(), trade.margin_used()
            mode = mt5.ACCOUNT_MARGIN_MODE_RETAIL_HEDGING if account.hedging else mt5.ACCOUNT_MARGIN_MODE_RETAIL_NETTING
            kind = mt5.ACCOUNT_TRADE_MODE_REAL if account.live else mt5.ACCOUNT_TRADE_MODE_DEMO
            level = round(equity / margin * 100, 2) if margin else 0.0
            return AccountInfo(
                *(account.login, kind, account.leverage, account.limit_orders, mt5.ACCOUNT_STOPOUT_MODE_PERCENT),
                *(account.trade_allowed, account.trade_expert, mode, 2, False),
                *(balance, 0.0, round(equity - balance, 2), equity, margin, round(equity - margin, 2), level, 50.0, 30.0),
                *(0.0, 0.0, 0.0, 0.0, 0.0, "Simulated", account.server, account.currency, "Simulated Broker"),
            )

        return self._call("account_info", work, None)

    # -- symbols and prices ------------------------------------------------------------------------------------------

    def symbols_total(self) -> int | None:
        return self._call("symbols_total", lambda: len(self._server.specs), None)

    def symbols_get(self, group: str = "*") -> tuple[SymbolInfo, ...] | None:
        def work() -> tuple[SymbolInfo, ...]:
            return tuple(self._info(name) for name in self._server.specs if _in_group(name, group))

        return self._call("symbols_get", work, None)

    def symbol_info(self, symbol: str) -> SymbolInfo | None:
        def work() -> SymbolInfo | None:
            return self._info(symbol) if symbol in self._server.specs else self._fail(*_NOT_FOUND, None)

        return self._call("symbol_info", work, None)

    def symbol_info_tick(self, symbol: str) -> Tick | None:
        def work() -> Tick | None:
            if symbol not in self.selected:
                return self._fail(*_NOT_FOUND, None)
            return self._server.tick(symbol) or Tick(0, 0.0, 0.0, 0.0, 0, 0, 0, 0.0)

        return self._call("symbol_info_tick", work, None)

    def symbol_select(self, symbol: str, enable: bool = True) -> bool:
        def work() -> bool:
            if symbol not in self._server.specs:
                return self._fail(mt5.RES_E_NOT_FOUND, "Symbol not found", False)
            (self.selected.add if enable else self.selected.discard)(symbol)
            return True

        return self._call("symbol_select", work, False)

    def market_book_add(self, symbol: str) -> bool:
        return self._call("market_book_add", lambda: symbol in self.selected, False)

    def market_book_release(self, symbol: str) -> bool:
        return self._call("market_book_release", lambda: symbol in self.selected, False)

    def market_book_get(self, symbol: str) -> tuple[BookInfo, ...] | None:
        def work() -> tuple[BookInfo, ...]:
            tick = self._server.tick(symbol) if symbol in self.selected else None
            if tick is None:
                return ()
            return (BookInfo(mt5.BOOK_TYPE_SELL, tick.ask, 10, 10.0), BookInfo(mt5.BOOK_TYPE_BUY, tick.bid, 10, 10.0))

        return self._call("market_book_get", work, None)

    def copy_ticks_from(self, symbol: str, date_from: Time, count: int, flags: int) -> Rows | None:
        def work() -> Rows | None:
            if symbol not in self._server.specs:
                return self._fail(*_NOT_FOUND, None)
            return _of_kind(self._server.histories[symbol].since(_wall_ms(date_from), int(count)), flags)

        return self._call("copy_ticks_from", work, None)

    def copy_ticks_range(self, symbol: str, date_from: Time, date_to: Time, flags: int) -> Rows | None:
        def work() -> Rows | None:
            if symbol not in self._server.specs:
                return self._fail(*_NOT_FOUND, None)
            return _of_kind(self._server.histories[symbol].between(_wall_ms(date_from), _wall_ms(date_to)), flags)

        return self._call("copy_ticks_range", work, None)

    def copy_rates_from(self, symbol: str, timeframe: int, date_from: Time, count: int) -> Rows | None:
        def choose(rates: Rows) -> Rows:
            end = int(np.searchsorted(rates["time"], _wall_ms(date_from) // 1_000, "right"))
            return rates[max(end - int(count), 0) : end]

        return self._rates("copy_rates_from", symbol, timeframe, choose)

    def copy_rates_from_pos(self, symbol: str, timeframe: int, start_pos: int, count: int) -> Rows | None:
        def choose(rates: Rows) -> Rows:
            end = len(rates) - int(start_pos)
            return rates[max(end - int(count), 0) : max(end, 0)]

        return self._rates("copy_rates_from_pos", symbol, timeframe, choose)

    def copy_rates_range(self, symbol: str, timeframe: int, date_from: Time, date_to: Time) -> Rows | None:
        def choose(rates: Rows) -> Rows:
            first, last = _wall_ms(date_from) // 1_000, _wall_ms(date_to) // 1_000
            return rates[(rates["time"] >= first) & (rates["time"] <= last)]

        return self._rates("copy_rates_range", symbol, timeframe, choose)

    # -- orders, positions, history ----------------------------------------------------------------------------------

    def orders_total(self) -> int | None:
        return self._call("orders_total", lambda: len(self._open_orders()), None)

    def orders_get(self, *, symbol: str = "", group: str = "", ticket: int = 0) -> tuple[TradeOrder, ...] | None:
        def work() -> tuple[TradeOrder, ...]:
            orders = [o for o in self._open_orders() if _matches(o.symbol, o.ticket, symbol, group, ticket)]
            return tuple(self._show_order(order) for order in orders)

        return self._call("orders_get", work, None)

    def positions_total(self) -> int | None:
        return self._call("positions_total", lambda: len(self._server.book.positions), None)

    def positions_get(self, *, symbol: str = "", group: str = "", ticket: int = 0) -> tuple[TradePosition, ...] | None:
        def work() -> tuple[TradePosition, ...]:
            positions = self._server.book.positions.values()
            return tuple(self._show_position(p) for p in positions if _matches(p.symbol, p.ticket, symbol, group, ticket))

        return self._call("positions_get", work, None)

    def history_orders_total(self, date_from: Time, date_to: Time) -> int | None:
        return self._call("history_orders_total", lambda: len(self._past_orders(date_from, date_to, "", 0, 0)), None)

    def history_orders_get(
        self, date_from: Time = 0, date_to: Time = 0, *, group: str = "", ticket: int = 0, position: int = 0
    ) -> tuple[TradeOrder, ...] | None:
        def work() -> tuple[TradeOrder, ...]:
            orders = self._past_orders(date_from, date_to, group, ticket, position)
            return tuple(self._show_order(order) for order in orders)

        return self._call("history_orders_get", work, None)

    def history_deals_total(self, date_from: Time, date_to: Time) -> int | None:
        return self._call("history_deals_total", lambda: len(self._past_deals(date_from, date_to, "", 0, 0)), None)

    def history_deals_get(
        self, date_from: Time = 0, date_to: Time = 0, *, group: str = "", ticket: int = 0, position: int = 0
    ) -> tuple[TradeDeal, ...] | None:
        def work() -> tuple[TradeDeal, ...]:
            return tuple(_show_deal(deal) for deal in self._past_deals(date_from, date_to, group, ticket, position))

        return self._call("history_deals_get", work, None)

    # -- trading -----------------------------------------------------------------------------------------------------

    def order_calc_margin(self, action: int, symbol: str, volume: float, price: float) -> float | None:
        def work() -> float | None:
            spec = self._server.specs.get(symbol)
            return self._server.margin(spec, volume) if spec is not None else self._fail(*_NOT_FOUND, None)

        return self._call("order_calc_margin", work, None)

    def order_calc_profit(self, action: int, symbol: str, volume: float, price_open: float, price_close: float) -> float | None:
        def work() -> float | None:
            spec = self._server.specs.get(symbol)
            if spec is None:
                return self._fail(*_NOT_FOUND, None)
            points = price_close - price_open if action == mt5.ORDER_TYPE_BUY else price_open - price_close
            return round(points * spec.contract_size * volume * self._server.profit_rate(spec), 2)

        return self._call("order_calc_profit", work, None)

    def order_check(self, request: object) -> OrderCheckResult | None:
        def work() -> OrderCheckResult | None:
            parsed = checks.parse(request)
            if isinstance(parsed, str):
                return self._fail(mt5.RES_E_INVALID_PARAMS, parsed, None)
            retcode = self._switched_off() or self._server.check(parsed).retcode
            trade = self._server
            balance, equity, margin = trade.book.balance, trade.equity(), trade.margin_used()
            figures = (balance, equity, round(equity - balance, 2), margin, round(equity - margin, 2), 0.0)
            return OrderCheckResult(retcode, *figures, "Done" if not retcode else checks.TEXTS.get(retcode, "Error"), parsed)

        return self._call("order_check", work, None)

    def order_send(self, request: object) -> OrderSendResult | None:
        def work() -> OrderSendResult | None:
            parsed = checks.parse(request)
            if isinstance(parsed, str):
                return self._fail(mt5.RES_E_INVALID_PARAMS, parsed, None)
            off = self._switched_off()
            return self._result(parsed, Outcome(off) if off else self._server.handle(parsed))

        def answer(fault: Fault) -> OrderSendResult | None:
            parsed = checks.parse(request)
            if isinstance(parsed, str):
                return self._fail(mt5.RES_E_INVALID_PARAMS, parsed, None)
            return self._result(parsed, Outcome(fault.retcode))

        action = request.get("action", 0) if isinstance(request, dict) else 0
        return self._call("order_send", work, None, answer, action=action)

    def _switched_off(self) -> int:
        if not self.connected:
            return mt5.TRADE_RETCODE_CONNECTION
        return 0 if self.trade_allowed else mt5.TRADE_RETCODE_CLIENT_DISABLES_AT

    def _result(self, request: TradeRequest, outcome: Outcome) -> OrderSendResult:
        self._request_id += 1
        tick = self._server.tick(request.symbol) if request.symbol in self._server.specs else None
        bid, ask = (tick.bid, tick.ask) if tick is not None else (0.0, 0.0)
        text = checks.TEXTS.get(outcome.retcode, f"Error {outcome.retcode}")
        done = (outcome.retcode, outcome.deal, outcome.order, outcome.volume, outcome.price)
        return OrderSendResult(*done, bid, ask, text, self._request_id, 0, request)

    # -- how calls go ------------------------------------------------------------------------------------------------

    def _call(
        self,
        name: str,
        work: Callable[[], T],
        failure: T,
        answer: Callable[[Fault], T] | None = None,
        needs_ipc: bool = True,
        action: int = 0,
    ) -> T:
        with self._pipe:
            self.calls[name] += 1
            self._wait(self.latency_s + self._delay_s)
            self._delay_s = 0.0
            fault = self._faults.due(name, action)
            if fault is not None and fault.when == "before":
                self._break(fault)
                if fault.what == "retcode" and answer is not None:
                    return answer(fault)
            if needs_ipc and not (self._ipc and self.running):
                return self._fail(mt5.RES_E_INTERNAL_FAIL_CONNECT, "No IPC connection", failure)
            self._error = (mt5.RES_S_OK, "Success")
            with self.state:
                result = work()
            if fault is None or fault.when == "before":
                return result
            if fault.when == "after":
                self._break_later(fault)
                return result
            self._break(fault)
            if fault.what == "ipc":
                return self._fail(mt5.RES_E_INTERNAL_FAIL_TIMEOUT, "IPC timeout", failure)
            return answer(fault) if fault.what == "retcode" and answer is not None else result

    def _break(self, fault: Fault) -> None:
        if fault.what == "ipc":
            self.lose_ipc()
        elif fault.what == "hang":
            self._wait(fault.seconds)
        elif fault.what == "cut":
            self.on_cut()

    def _break_later(self, fault: Fault) -> None:
        """The answer is on its way first."""
        if fault.what == "hang":
            self._delay_s = fault.seconds
        elif fault.what == "cut":
            timer = threading.Timer(0.05, self.on_cut)
            timer.daemon = True
            timer.start()
        else:
            self._break(fault)

    def _wait(self, seconds: float) -> None:
        if seconds > 0:
            self._stopped.wait(seconds)

    def _fail(self, code: int, text: str, failure: T) -> T:
        self._error = (code, text)
        return failure

    def _log_in(self, login: int, password: str, server: str) -> bool:
        account = self._server.account
        if (login, password or account.password, server or account.server) != (account.login, account.password, account.server):
            self._ipc = False
            return self._fail(mt5.RES_E_AUTH_FAILED, "Terminal: Authorization failed", False)
        self._logged_in = True
        return True

    # -- how things are shown ----------------------------------------------------------------------------------------

    def _info(self, name: str) -> SymbolInfo:
        spec = self._server.specs[name]
        return symbol_info(spec, self._server.tick(name), name in self.selected, self._server.profit_rate(spec))

    def _rates(self, call: str, symbol: str, timeframe: int, choose: Callable[[Rows], Rows]) -> Rows | None:
        def work() -> Rows | None:
            if symbol not in self._server.specs:
                return self._fail(*_NOT_FOUND, None)
            return choose(self._server.histories[symbol].rates(timeframe))

        return self._call(call, work, None)

    def _open_orders(self) -> list[Order]:
        self._server.expire()
        return list(self._server.book.open.values())

    def _past_orders(self, date_from: Time, date_to: Time, group: str, ticket: int, position: int) -> list[Order]:
        self._server.expire()
        orders: Iterable[Order] = self._server.book.history.values()
        if ticket or position:
            return [o for o in orders if o.ticket == ticket or (position and o.position_id == position)]
        first, last = _wall_ms(date_from), _wall_ms(date_to)
        return [o for o in orders if first <= o.done_ms <= last and (not group or _in_group(o.symbol, group))]

    def _past_deals(self, date_from: Time, date_to: Time, group: str, ticket: int, position: int) -> list[Deal]:
        deals: Iterable[Deal] = self._server.book.deals.values()
        if ticket or position:
            return [d for d in deals if (ticket and d.order == ticket) or (position and d.position_id == position)]
        first, last = _wall_ms(date_from), _wall_ms(date_to)
        return [d for d in deals if first <= d.time_ms <= last and (not group or _in_group(d.symbol, group))]

    def _show_order(self, order: Order) -> TradeOrder:
        tick = self._server.tick(order.symbol)
        current = 0.0 if tick is None else tick.ask if order.buys else tick.bid
        return TradeOrder(
            *(order.ticket, order.setup_ms // 1_000, order.setup_ms, order.done_ms // 1_000, order.done_ms, order.expiration_s),
            *(order.type, order.time_type, order.filling, order.state, order.magic, order.position_id, order.position_by_id),
            *(order.reason, order.volume, order.volume_left, order.price, order.sl, order.tp, current, order.stoplimit),
            *(order.symbol, order.comment, ""),
        )

    def _show_position(self, position: Position) -> TradePosition:
        tick = self._server.tick(position.symbol)
        current = position.price if tick is None else tick.bid if position.buys else tick.ask
        kind = mt5.POSITION_TYPE_BUY if position.buys else mt5.POSITION_TYPE_SELL
        return TradePosition(
            *(position.ticket, position.time_ms // 1_000, position.time_ms, position.update_ms // 1_000, position.update_ms),
            *(kind, position.magic, position.ticket, position.reason, position.volume, position.price, position.sl),
            *(position.tp, current, position.swap, self._server.profit(position), position.symbol, position.comment, ""),
        )


def _show_deal(deal: Deal) -> TradeDeal:
    return TradeDeal(
        *(deal.ticket, deal.order, deal.time_ms // 1_000, deal.time_ms, deal.type, deal.entry, deal.magic, deal.position_id),
        *(deal.reason, deal.volume, deal.price, deal.commission, deal.swap, deal.profit, deal.fee, deal.symbol, deal.comment, ""),
    )


def _matches(symbol: str, ticket: int, wanted: str, group: str, wanted_ticket: int) -> bool:
    if wanted_ticket:
        return ticket == wanted_ticket
    return symbol == wanted if wanted else not group or _in_group(symbol, group)


def _in_group(symbol: str, group: str) -> bool:
    """A comma list with `*`; `!` takes away; in its order."""
    inside = False
    for part in (each.strip() for each in group.split(",")):
        takes_away = part.startswith("!")
        if fnmatchcase(symbol, part.removeprefix("!")):
            inside = not takes_away
    return inside


def _wall_ms(time: Time) -> int:
    """A naive `datetime` is local time, as the package takes it: whoever passes one is wrong on most machines."""
    return int((time.timestamp() if isinstance(time, datetime) else float(time)) * 1_000)


def _of_kind(rows: Rows, flags: int) -> Rows:
    """The broker has no trades; all its ticks are changes of bid or ask."""
    return np.zeros(0, TICK_DTYPE) if flags == mt5.COPY_TICKS_TRADE else rows
