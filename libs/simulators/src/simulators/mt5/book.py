"""The trade server's books of one account: orders, deals, positions, balance. The oracle of tests.

In:   orders that were carried out.   Out: the account as it is.
Not:  whether an order may be (`checks`), when it trades (`server`).

Netting accounts have one position per symbol; hedging accounts one per opening order, closed only by a deal that names it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from simulators.mt5 import constants as mt5
from simulators.mt5.specs import SymbolSpec

FIRST_TICKET = 50_000_001


@dataclass
class Order:
    """One order, open or in the history. Times in the server's milliseconds."""

    ticket: int
    symbol: str
    type: int
    volume: float
    volume_left: float
    price: float = 0.0
    stoplimit: float = 0.0
    sl: float = 0.0
    tp: float = 0.0
    filling: int = mt5.ORDER_FILLING_FOK
    time_type: int = mt5.ORDER_TIME_GTC
    expiration_s: int = 0
    magic: int = 0
    comment: str = ""
    reason: int = mt5.ORDER_REASON_EXPERT
    state: int = mt5.ORDER_STATE_PLACED
    setup_ms: int = 0
    done_ms: int = 0
    position_id: int = 0
    position_by_id: int = 0

    @property
    def buys(self) -> bool:
        """Every buying type has an even number."""
        return self.type % 2 == 0


@dataclass
class Deal:
    """One execution, or a movement of the balance."""

    ticket: int
    order: int
    symbol: str
    type: int
    entry: int
    volume: float
    price: float
    time_ms: int
    magic: int = 0
    comment: str = ""
    reason: int = mt5.DEAL_REASON_EXPERT
    position_id: int = 0
    commission: float = 0.0
    swap: float = 0.0
    fee: float = 0.0
    profit: float = 0.0


@dataclass
class Position:
    """An open position; its ticket is that of the order that opened it."""

    ticket: int
    symbol: str
    buys: bool
    volume: float
    price: float
    time_ms: int
    update_ms: int
    magic: int = 0
    comment: str = ""
    reason: int = mt5.POSITION_REASON_EXPERT
    sl: float = 0.0
    tp: float = 0.0
    swap: float = 0.0

    @property
    def signed(self) -> float:
        """Lots, negative when sold."""
        return self.volume if self.buys else -self.volume


@dataclass
class Received:
    """A request that reached the trade server."""

    action: int
    comment: str
    symbol: str
    retcode: int
    position: int
    """Ticket that it names; 0: none."""


@dataclass
class Book:
    """Everything that the trade server remembers of the account."""

    hedging: bool
    balance: float
    open: dict[int, Order] = field(default_factory=dict)
    history: dict[int, Order] = field(default_factory=dict)
    deals: dict[int, Deal] = field(default_factory=dict)
    positions: dict[int, Position] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    fee_per_lot: float = 0.0
    profit_rate: Callable[[SymbolSpec], float] = lambda spec: 1.0
    """Of the symbol's profit currency in the account's."""
    _ticket: int = FIRST_TICKET - 1

    def next_ticket(self) -> int:
        """Orders and deals count together here; only that they never repeat matters."""
        self._ticket += 1
        return self._ticket

    # -- what tests ask ----------------------------------------------------------------------------------------------

    def orders_with(self, comment: str) -> list[Order]:
        """Every order ever placed with this comment."""
        return [order for order in (*self.history.values(), *self.open.values()) if order.comment == comment]

    def submissions(self, comment: str) -> int:
        """How often the server carried out a request for a new order with this comment; of closing several positions, the most
        for one of them."""
        new, done = (mt5.TRADE_ACTION_DEAL, mt5.TRADE_ACTION_PENDING), (10008, 10009, 10010)
        found = [r.position for r in self.received if r.comment == comment and r.action in new and r.retcode in done]
        return max(Counter(found).values(), default=0)

    def trades(self) -> list[Deal]:
        """Deals that moved positions, oldest first."""
        return [deal for deal in self.deals.values() if deal.type in (mt5.DEAL_TYPE_BUY, mt5.DEAL_TYPE_SELL)]

    def net(self, symbol: str) -> float:
        """Lots of all positions in `symbol` together."""
        return round(sum(each.signed for each in self.positions.values() if each.symbol == symbol), 8)

    # -- what the server does ----------------------------------------------------------------------------------------

    def finish(self, order: Order, state: int, now_ms: int) -> None:
        """The order works no more."""
        self.open.pop(order.ticket, None)
        order.state, order.done_ms = state, now_ms
        self.history[order.ticket] = order

    def execute(self, order: Order, spec: SymbolSpec, volume: float, price: float, now_ms: int) -> Deal:
        """So much of the order trades at `price`: a deal, and what it does to positions."""
        order.volume_left = round(order.volume_left - volume, 8)
        deal = Deal(
            ticket=self.next_ticket(),
            order=order.ticket,
            symbol=order.symbol,
            type=mt5.DEAL_TYPE_BUY if order.buys else mt5.DEAL_TYPE_SELL,
            entry=mt5.DEAL_ENTRY_IN,
            volume=volume,
            price=price,
            time_ms=now_ms,
            magic=order.magic,
            comment=order.comment,
            reason=order.reason,
            commission=-round(spec.commission_per_lot * volume, 2),
            fee=-round(self.fee_per_lot * volume, 2),
        )
        position = self._position_of(order)
        if position is None:
            self._open_position(order, deal)
        else:
            self._change_position(position, order, deal, spec)
        self.deals[deal.ticket] = deal
        self.balance = round(self.balance + deal.profit + deal.commission + deal.swap + deal.fee, 2)
        order.position_id = deal.position_id
        return deal

    def close_by(self, order: Order, one: Position, other: Position, spec: SymbolSpec, now_ms: int) -> Deal:
        """Two opposite positions end each other; two deals, the profit in the first."""
        volume = min(one.volume, other.volume)
        deals = []
        for mine, theirs in ((one, other), (other, one)):
            deal = Deal(
                ticket=self.next_ticket(),
                order=order.ticket,
                symbol=mine.symbol,
                type=mt5.DEAL_TYPE_SELL if mine.buys else mt5.DEAL_TYPE_BUY,
                entry=mt5.DEAL_ENTRY_OUT_BY,
                volume=volume,
                price=theirs.price,
                time_ms=now_ms,
                magic=order.magic,
                comment=order.comment,
                reason=order.reason,
                position_id=mine.ticket,
            )
            self.deals[deal.ticket] = deal
            deals.append(deal)
        deals[0].profit = self._profit(one, spec, volume, other.price)
        for position, deal in ((one, deals[0]), (other, deals[1])):
            self._take_swap(position, deal, volume)
            self._shrink(position, volume, now_ms)
        self.balance = round(self.balance + sum(d.profit + d.swap for d in deals), 2)
        return deals[0]

    def move_balance(self, amount: float, now_ms: int, comment: str = "") -> Deal:
        """A deposit, or a withdrawal where negative."""
        deal = Deal(
            ticket=self.next_ticket(),
            order=0,
            symbol="",
            type=mt5.DEAL_TYPE_BALANCE,
            entry=mt5.DEAL_ENTRY_IN,
            volume=0.0,
            price=0.0,
            time_ms=now_ms,
            comment=comment,
            reason=mt5.DEAL_REASON_CLIENT,
            profit=amount,
        )
        self.deals[deal.ticket] = deal
        self.balance = round(self.balance + amount, 2)
        return deal

    def _position_of(self, order: Order) -> Position | None:
        if self.hedging:
            return self.positions.get(order.position_id) if order.position_id else None
        return next((each for each in self.positions.values() if each.symbol == order.symbol), None)

    def _open_position(self, order: Order, deal: Deal) -> None:
        deal.position_id = order.ticket
        self.positions[order.ticket] = Position(
            ticket=order.ticket,
            symbol=order.symbol,
            buys=order.buys,
            volume=deal.volume,
            price=deal.price,
            time_ms=deal.time_ms,
            update_ms=deal.time_ms,
            magic=order.magic,
            comment=order.comment,
            reason=order.reason,
            sl=order.sl,
            tp=order.tp,
        )

    def _change_position(self, position: Position, order: Order, deal: Deal, spec: SymbolSpec) -> None:
        deal.position_id = position.ticket
        if position.buys == order.buys:
            whole = round(position.volume + deal.volume, 8)
            position.price = (position.price * position.volume + deal.price * deal.volume) / whole
            position.volume, position.update_ms = whole, deal.time_ms
            position.sl, position.tp = order.sl or position.sl, order.tp or position.tp
            return
        closed = min(position.volume, deal.volume)
        deal.profit = self._profit(position, spec, closed, deal.price)
        self._take_swap(position, deal, closed)
        rest = round(deal.volume - position.volume, 8)
        if rest <= 0:
            deal.entry = mt5.DEAL_ENTRY_OUT
            self._shrink(position, closed, deal.time_ms)
            return
        deal.entry = mt5.DEAL_ENTRY_INOUT
        position.buys, position.volume, position.price = order.buys, rest, deal.price
        position.update_ms, position.sl, position.tp = deal.time_ms, order.sl, order.tp

    def _shrink(self, position: Position, volume: float, now_ms: int) -> None:
        position.volume, position.update_ms = round(position.volume - volume, 8), now_ms
        if position.volume <= 0:
            del self.positions[position.ticket]

    def _take_swap(self, position: Position, deal: Deal, volume: float) -> None:
        deal.swap = round(position.swap * volume / position.volume, 2)
        position.swap = round(position.swap - deal.swap, 2)

    def _profit(self, position: Position, spec: SymbolSpec, volume: float, price: float) -> float:
        points = price - position.price if position.buys else position.price - price
        return round(points * spec.contract_size * volume * self.profit_rate(spec), 2)
