"""The trade server: its market, its account, and what becomes of requests and of orders that wait.

In:   quotes, requests that the terminal passes on.   Out: the books changed; a retcode with what was done.
Not:  the package's functions and how a terminal fails (`terminal`).

Market orders trade at the other side's price, stops at the market once it has come there, limits at their price or better.
`liquidity` bounds what one quote gives to all; what is left of a pending order waits for the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from simulators.mt5 import checks
from simulators.mt5 import constants as mt5
from simulators.mt5.book import Book, Deal, Order, Position, Received
from simulators.mt5.history import TickHistory
from simulators.mt5.specs import SymbolSpec
from simulators.mt5.tuples import Tick, TradeRequest
from simulators.mt5.zone import NS_PER_MS, ServerZone

LIMITS = (mt5.ORDER_TYPE_BUY_LIMIT, mt5.ORDER_TYPE_SELL_LIMIT)
STOPS = (mt5.ORDER_TYPE_BUY_STOP, mt5.ORDER_TYPE_SELL_STOP)
STOP_LIMITS = (mt5.ORDER_TYPE_BUY_STOP_LIMIT, mt5.ORDER_TYPE_SELL_STOP_LIMIT)
PENDING = (*LIMITS, *STOPS, *STOP_LIMITS)


@dataclass
class Account:
    """Whose account it is, and what its owner and its broker allow."""

    login: int = 5001
    password: str = "demo"  # noqa: S105 - a simulator's
    server: str = "Simulated-Demo"
    live: bool = False
    hedging: bool = True
    currency: str = "USD"
    leverage: int = 100
    limit_orders: int = 200
    trade_allowed: bool = True
    """False: the investor's password, or the broker has stopped it."""
    trade_expert: bool = True
    """False: the broker takes no orders of programs."""


@dataclass
class Outcome:
    """What the server answers."""

    retcode: int
    deal: int = 0
    order: int = 0
    volume: float = 0.0
    price: float = 0.0


@dataclass
class TradeServer:
    """One account at one broker."""

    account: Account
    specs: Mapping[str, SymbolSpec]
    zone: ServerZone
    now_ns: Callable[[], int]
    book: Book
    histories: dict[str, TickHistory] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    """Symbols whose market is closed."""
    off_quotes: set[str] = field(default_factory=set)
    """Symbols for which there are no prices just now."""
    liquidity: dict[str, float] = field(default_factory=dict)
    """Lots that each quote gives; not given: as many as are wanted."""
    taken: dict[str, float] = field(default_factory=dict)
    """Of the newest quote's."""

    def __post_init__(self) -> None:
        self.histories = {name: TickHistory(spec.point) for name, spec in self.specs.items()}
        self.book.profit_rate = self.profit_rate
        self._actions = {
            mt5.TRADE_ACTION_DEAL: self._deal,
            mt5.TRADE_ACTION_PENDING: self._pending,
            mt5.TRADE_ACTION_SLTP: self._sltp,
            mt5.TRADE_ACTION_MODIFY: self._modify,
            mt5.TRADE_ACTION_REMOVE: self._remove,
            mt5.TRADE_ACTION_CLOSE_BY: self._close_by,
        }

    @property
    def now_ms(self) -> int:
        """The server's wall clock."""
        return self.zone.wall_ms(self.now_ns())

    # -- the market --------------------------------------------------------------------------------------------------

    def quote(self, symbol: str, bid: float, ask: float, at_ns: int | None = None) -> None:
        """A new price, and what it sets off."""
        spec, history = self.specs[symbol], self.histories[symbol]
        wall_ms = self.now_ms if at_ns is None else self.zone.wall_ms(at_ns)
        history.add(wall_ms, spec.price(bid), spec.price(ask))
        self.taken.pop(symbol, None)
        tick = self.tick(symbol)
        if tick is not None and symbol not in self.closed:
            self._trigger(spec, tick)

    def load(self, symbol: str, times_ns: npt.NDArray[np.int64], bids: Iterable[float], asks: Iterable[float]) -> None:
        """A past of quotes, oldest first; sets nothing off."""
        offsets = np.array([self.zone.offset_ms(int(each)) for each in (times_ns[0], times_ns[-1])])
        if offsets[0] == offsets[1]:
            wall = times_ns // NS_PER_MS + offsets[0]
        else:
            wall = np.array([self.zone.wall_ms(int(each)) for each in times_ns], dtype=np.int64)
        self.histories[symbol].add_many(wall, np.asarray(bids, float), np.asarray(asks, float))

    def tick(self, symbol: str) -> Tick | None:
        """The newest price."""
        return self.histories[symbol].last

    def profit_rate(self, spec: SymbolSpec) -> float:
        """Of the symbol's profit currency in the account's; 1 where no pair tells."""
        return self._rate(spec.currency_profit)

    def profit(self, position: Position) -> float:
        """What it would bring now, swap not counted."""
        tick, spec = self.tick(position.symbol), self.specs[position.symbol]
        if tick is None:
            return 0.0
        points = tick.bid - position.price if position.buys else position.price - tick.ask
        return float(round(points * spec.contract_size * position.volume * self.profit_rate(spec), 2))

    def margin(self, spec: SymbolSpec, lots: float) -> float:
        """What a position binds."""
        return round(lots * spec.contract_size * self._rate(spec.currency_margin) / self.account.leverage, 2)

    def margin_used(self) -> float:
        """By all positions."""
        return round(sum(self.margin(self.specs[p.symbol], p.volume) for p in self.book.positions.values()), 2)

    def equity(self) -> float:
        """Balance with what the positions would bring."""
        return round(self.book.balance + sum(self.profit(p) + p.swap for p in self.book.positions.values()), 2)

    def _rate(self, currency: str) -> float:
        wanted = self.account.currency
        if currency == wanted:
            return 1.0
        for name, spec in self.specs.items():
            tick = self.tick(name)
            if tick is not None and tick.bid > 0:
                middle = float(tick.bid + tick.ask) / 2
                if (spec.currency_base, spec.currency_profit) == (currency, wanted):
                    return middle
                if (spec.currency_base, spec.currency_profit) == (wanted, currency):
                    return 1.0 / middle
        return 1.0

    # -- requests ----------------------------------------------------------------------------------------------------

    def check(self, request: TradeRequest) -> Outcome:
        """What the server would say; nothing is done."""
        fault = self._refuse(request)
        return Outcome(0 if fault is None else fault)

    def handle(self, request: TradeRequest) -> Outcome:
        """Carry it out, or say why not."""
        self.expire()
        fault = self._refuse(request)
        outcome = Outcome(fault) if fault is not None else self._actions[request.action](request)
        self.book.received.append(Received(request.action, request.comment, request.symbol, outcome.retcode, request.position))
        return outcome

    def stop_out(self, position: Position) -> None:
        """The server closes it by itself, for want of margin."""
        spec = self.specs[position.symbol]
        tick = self._tick(spec)
        self._leave(position, spec, tick.bid if position.buys else tick.ask, mt5.ORDER_REASON_SO, "[so: 48.1%]")

    def expire(self) -> None:
        """Orders whose time is over."""
        now_ms = self.now_ms
        for order in list(self.book.open.values()):
            if order.expiration_s and order.expiration_s * 1_000 <= now_ms:
                self.book.finish(order, mt5.ORDER_STATE_EXPIRED, order.expiration_s * 1_000)

    def _refuse(self, request: TradeRequest) -> int | None:
        if not self.account.trade_allowed:
            return mt5.TRADE_RETCODE_TRADE_DISABLED
        if not self.account.trade_expert:
            return mt5.TRADE_RETCODE_SERVER_DISABLES_AT
        if request.action not in self._actions:
            return mt5.TRADE_RETCODE_INVALID
        symbol = self._symbol_of(request)
        if symbol not in self.specs:
            return mt5.TRADE_RETCODE_INVALID
        if symbol in self.closed:
            return mt5.TRADE_RETCODE_MARKET_CLOSED
        if self.tick(symbol) is None or symbol in self.off_quotes:
            return mt5.TRADE_RETCODE_PRICE_OFF
        if request.action == mt5.TRADE_ACTION_DEAL:
            return self._refuse_deal(request, self.specs[symbol])
        if request.action == mt5.TRADE_ACTION_PENDING:
            return self._refuse_pending(request, self.specs[symbol])
        return None

    def _symbol_of(self, request: TradeRequest) -> str:
        if request.action in (mt5.TRADE_ACTION_MODIFY, mt5.TRADE_ACTION_REMOVE):
            order = self.book.open.get(request.order)
            return order.symbol if order is not None else ""
        if request.action in (mt5.TRADE_ACTION_SLTP, mt5.TRADE_ACTION_CLOSE_BY) and request.position:
            position = self.book.positions.get(request.position)
            return position.symbol if position is not None else str(request.symbol)
        return str(request.symbol)

    def _refuse_deal(self, request: TradeRequest, spec: SymbolSpec) -> int | None:
        tick = self._tick(spec)
        if request.type not in (mt5.ORDER_TYPE_BUY, mt5.ORDER_TYPE_SELL):
            return mt5.TRADE_RETCODE_INVALID
        buys = request.type == mt5.ORDER_TYPE_BUY
        fault = checks.volume(spec, request.volume) or checks.filling(spec, request.type_filling, pending=False)
        if fault is not None:
            return fault
        named = bool(request.position)
        if named:
            fault = checks.closing(self.book.positions.get(request.position), spec.name, buys, request.volume)
            if fault is not None:
                return fault
        against = not self.account.hedging and self.book.net(spec.name) * (1 if buys else -1) < 0
        fault = checks.direction(spec, buys, closing=named or against)
        if fault is not None:
            return fault
        price = tick.ask if buys else tick.bid
        if request.price <= 0 and spec.execution != mt5.SYMBOL_TRADE_EXECUTION_MARKET:
            return mt5.TRADE_RETCODE_INVALID_PRICE
        instant = spec.execution == mt5.SYMBOL_TRADE_EXECUTION_INSTANT
        if instant and abs(request.price - price) > (request.deviation + 0.01) * spec.point:
            return mt5.TRADE_RETCODE_REQUOTE
        fault = checks.stops(spec, buys, tick.bid if buys else tick.ask, request.sl, request.tp)
        if fault is None and not named:
            fault = checks.limits(self.book, spec, self.account.limit_orders, False, request.volume, buys)
        if fault is None and not named and not against and not self._affords(spec, request.volume):
            fault = mt5.TRADE_RETCODE_NO_MONEY
        return fault

    def _refuse_pending(self, request: TradeRequest, spec: SymbolSpec) -> int | None:
        if request.type not in PENDING:
            return mt5.TRADE_RETCODE_INVALID_ORDER
        buys = request.type % 2 == 0
        tick = self._tick(spec)
        basis = request.stoplimit if request.type in STOP_LIMITS else request.price
        return (
            checks.volume(spec, request.volume)
            or checks.filling(spec, request.type_filling, pending=True)
            or checks.direction(spec, buys, closing=not self.account.hedging and self.book.net(spec.name) != 0)
            or checks.pending_price(spec, tick, request.type, request.price, request.stoplimit)
            or checks.stops(spec, buys, basis, request.sl, request.tp)
            or checks.expiration(request, self.now_ms)
            or checks.limits(self.book, spec, self.account.limit_orders, True, request.volume, buys)
        )

    def _affords(self, spec: SymbolSpec, lots: float) -> bool:
        return self.margin(spec, lots) <= self.equity() - self.margin_used()

    def _deal(self, request: TradeRequest) -> Outcome:
        spec = self.specs[request.symbol]
        tick = self._tick(spec)
        there = self._there(spec, request.volume)
        if there <= 0 or (there < request.volume and request.type_filling == mt5.ORDER_FILLING_FOK):
            return Outcome(mt5.TRADE_RETCODE_REJECT)
        order = self._order(request)
        order.state, order.position_id = mt5.ORDER_STATE_STARTED, request.position
        price = tick.ask if order.buys else tick.bid
        volume = self._take(spec, min(there, order.volume))
        deal = self.book.execute(order, spec, volume, price, self.now_ms)
        whole = order.volume_left <= 0
        self.book.finish(order, mt5.ORDER_STATE_FILLED if whole else mt5.ORDER_STATE_CANCELED, self.now_ms)
        return Outcome(10009 if whole else 10010, deal.ticket, order.ticket, volume, price)

    def _pending(self, request: TradeRequest) -> Outcome:
        order = self._order(request)
        self.book.open[order.ticket] = order
        return Outcome(mt5.TRADE_RETCODE_PLACED, 0, order.ticket, order.volume, order.price)

    def _order(self, request: TradeRequest) -> Order:
        return Order(
            ticket=self.book.next_ticket(),
            symbol=request.symbol,
            type=request.type,
            volume=request.volume,
            volume_left=request.volume,
            price=request.price,
            stoplimit=request.stoplimit,
            sl=request.sl,
            tp=request.tp,
            filling=request.type_filling,
            time_type=request.type_time,
            expiration_s=self._expiration(request),
            magic=request.magic,
            comment=request.comment,
            setup_ms=self.now_ms,
        )

    def _expiration(self, request: TradeRequest) -> int:
        if request.type_time == mt5.ORDER_TIME_DAY and request.action != mt5.TRADE_ACTION_DEAL:
            return (self.now_ms // 86_400_000 + 1) * 86_400
        return int(request.expiration) if request.type_time != mt5.ORDER_TIME_GTC else 0

    def _sltp(self, request: TradeRequest) -> Outcome:
        position = self._position(request)
        if position is None:
            return Outcome(mt5.TRADE_RETCODE_POSITION_CLOSED)
        spec = self.specs[position.symbol]
        tick = self._tick(spec)
        sl, tp = spec.price(request.sl), spec.price(request.tp)
        if (sl, tp) == (position.sl, position.tp):
            return Outcome(mt5.TRADE_RETCODE_NO_CHANGES)
        fault = checks.stops(spec, position.buys, tick.bid if position.buys else tick.ask, sl, tp)
        if fault is not None:
            return Outcome(fault)
        position.sl, position.tp, position.update_ms = sl, tp, self.now_ms
        return Outcome(mt5.TRADE_RETCODE_DONE)

    def _position(self, request: TradeRequest) -> Position | None:
        if request.position:
            return self.book.positions.get(request.position)
        if self.account.hedging:
            return None
        return next((p for p in self.book.positions.values() if p.symbol == request.symbol), None)

    def _modify(self, request: TradeRequest) -> Outcome:
        order = self.book.open[request.order]
        spec = self.specs[order.symbol]
        tick = self._tick(spec)
        terms = (request.price, request.stoplimit, request.sl, request.tp, request.type_time, request.expiration)
        now = (order.price, order.stoplimit, order.sl, order.tp, order.time_type, order.expiration_s)
        if terms == now:
            return Outcome(mt5.TRADE_RETCODE_NO_CHANGES)
        basis = request.stoplimit if order.type in STOP_LIMITS else request.price
        fault = (
            checks.frozen(spec, tick, order)
            or checks.pending_price(spec, tick, order.type, request.price, request.stoplimit)
            or checks.stops(spec, order.buys, basis, request.sl, request.tp)
            or checks.expiration(request, self.now_ms)
        )
        if fault is not None:
            return Outcome(fault)
        order.price, order.stoplimit, order.sl, order.tp = request.price, request.stoplimit, request.sl, request.tp
        order.time_type, order.expiration_s = request.type_time, self._expiration(request)
        return Outcome(mt5.TRADE_RETCODE_DONE, 0, order.ticket)

    def _remove(self, request: TradeRequest) -> Outcome:
        order = self.book.open[request.order]
        fault = checks.frozen(self.specs[order.symbol], self._tick(self.specs[order.symbol]), order)
        if fault is not None:
            return Outcome(fault)
        self.book.finish(order, mt5.ORDER_STATE_CANCELED, self.now_ms)
        return Outcome(mt5.TRADE_RETCODE_DONE, 0, order.ticket)

    def _close_by(self, request: TradeRequest) -> Outcome:
        one, other = (self.book.positions.get(each) for each in (request.position, request.position_by))
        if one is None or other is None or one.symbol != other.symbol or one.buys == other.buys:
            return Outcome(mt5.TRADE_RETCODE_INVALID)
        volume = min(one.volume, other.volume)
        order = self._order(request)
        order.symbol, order.type, order.volume, order.volume_left = one.symbol, mt5.ORDER_TYPE_CLOSE_BY, volume, 0.0
        order.position_id, order.position_by_id = one.ticket, other.ticket
        deal = self.book.close_by(order, one, other, self.specs[one.symbol], self.now_ms)
        self.book.finish(order, mt5.ORDER_STATE_FILLED, self.now_ms)
        return Outcome(mt5.TRADE_RETCODE_DONE, deal.ticket, order.ticket, volume, deal.price)

    # -- orders that wait --------------------------------------------------------------------------------------------

    def _trigger(self, spec: SymbolSpec, tick: Tick) -> None:
        self.expire()
        for order in [each for each in self.book.open.values() if each.symbol == spec.name]:
            price = tick.ask if order.buys else tick.bid
            if order.type in STOP_LIMITS and _reached(order.buys, price, order.price):
                order.type = mt5.ORDER_TYPE_BUY_LIMIT if order.buys else mt5.ORDER_TYPE_SELL_LIMIT
                order.price, order.stoplimit = order.stoplimit, 0.0
            wants_higher = order.buys if order.type in STOPS else not order.buys
            if order.type not in STOP_LIMITS and _reached(wants_higher, price, order.price):
                self._fill(order, spec, price)
        for position in [each for each in self.book.positions.values() if each.symbol == spec.name]:
            price = tick.bid if position.buys else tick.ask
            if position.sl and _reached(not position.buys, price, position.sl):
                self._leave(position, spec, price, mt5.ORDER_REASON_SL, f"[sl {position.sl:.{spec.digits}f}]")
            elif position.tp and _reached(position.buys, price, position.tp):
                self._leave(position, spec, price, mt5.ORDER_REASON_TP, f"[tp {position.tp:.{spec.digits}f}]")

    def _fill(self, order: Order, spec: SymbolSpec, price: float) -> Deal | None:
        volume = self._take(spec, min(order.volume_left, self._there(spec, order.volume_left)))
        if volume <= 0:
            return None
        deal = self.book.execute(order, spec, volume, price, self.now_ms)
        if order.volume_left <= 0:
            self.book.finish(order, mt5.ORDER_STATE_FILLED, self.now_ms)
        elif order.filling in (mt5.ORDER_FILLING_RETURN,):
            order.state = mt5.ORDER_STATE_PARTIAL
        else:
            self.book.finish(order, mt5.ORDER_STATE_CANCELED, self.now_ms)
        return deal

    def _leave(self, position: Position, spec: SymbolSpec, price: float, reason: int, comment: str) -> None:
        """The server's own order that a stop loss or a take profit makes."""
        order = Order(
            ticket=self.book.next_ticket(),
            symbol=spec.name,
            type=mt5.ORDER_TYPE_SELL if position.buys else mt5.ORDER_TYPE_BUY,
            volume=position.volume,
            volume_left=position.volume,
            magic=position.magic,
            comment=comment,
            reason=reason,
            setup_ms=self.now_ms,
            position_id=position.ticket,
        )
        self._fill(order, spec, price)

    def _there(self, spec: SymbolSpec, wanted: float) -> float:
        """Lots that the newest quote still has."""
        given = self.liquidity.get(spec.name)
        return wanted if given is None else round(max(given - self.taken.get(spec.name, 0.0), 0.0), 8)

    def _take(self, spec: SymbolSpec, lots: float) -> float:
        self.taken[spec.name] = self.taken.get(spec.name, 0.0) + lots
        return lots

    def _tick(self, spec: SymbolSpec) -> Tick:
        tick = self.tick(spec.name)
        assert tick is not None  # noqa: S101 - looked at before
        return tick


def _reached(upwards: bool, price: float, level: float) -> bool:
    return price >= level if upwards else price <= level
