"""Orders at MetaTrader 5: a `barque.venue.Venue` on one terminal.

In:   requests of a sender; deals, orders and positions of the terminal, looked at again and again.
Out:  requests of the package; events, and the broker's books.
Not:  keeping the session (`session`), the shape of requests (`requests`), what changed (`watch`).

`order_send` answers synchronously, so a request is over when its method returns, or nobody knows. Requests and looks take turns:
a look never sees half of what takes two requests. On a hedging account a bracket's exits are the stop loss and take profit of
its position; on a netting account, where positions of all strategies are one, they are pending orders that the sender keeps.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import structlog
from msgspec.structs import replace

from barque.config import load_section
from barque.errors import BarqueError, ConfigError, VenueError, VenueOutcomeUnknown, VenueRefused, VenueUnavailable
from barque.instruments import Instrument
from barque.messages import CancelOrder, ModifyOrder, RejectReason, SubmitOrder
from barque.venue import (
    Accepted,
    Capabilities,
    Connected,
    Disconnected,
    Ended,
    Executed,
    MaySend,
    Modified,
    OnEvent,
    Rejected,
    RequestRefused,
    SessionTrouble,
    TradingDisabled,
    Venue,
    VenueAccount,
    VenueEvent,
    VenueExecution,
    VenueOrder,
    VenuePosition,
)
from venues.mt5 import requests
from venues.mt5.client import Request
from venues.mt5.config import Mt5Config
from venues.mt5.reports import (
    BY_STOP_LOSS,
    BY_STOP_OUT,
    BY_TAKE_PROFIT,
    OUT,
    Leg,
    Names,
    account_of,
    executions_of,
    legs_of,
    movements_of,
    net_positions,
    open_leg,
    open_order,
)
from venues.mt5.requests import Exits
from venues.mt5.sending import Answer, send
from venues.mt5.session import (
    Mt5Session,
    Notice,
    SafeMode,
    SessionEvent,
    SessionLost,
    SessionUp,
    TradingOff,
    TradingOn,
    unavailable,
)
from venues.mt5.structs import Deal, Order, Position
from venues.mt5.symbols import Symbol
from venues.mt5.tokens import Tokens
from venues.mt5.watch import CANCELED, Watch

log = structlog.get_logger()
HOUR_S, DAY_S = 3_600, 86_400
BACK_S = 6 * HOUR_S
"""Deals are looked for in so many hours before now: the server's clock may be known a little late."""
AHEAD_S = 2 * DAY_S
SEEN = 20_000
DEALS_TRIES, DEALS_WAIT_S = 20, 0.05
"""A deal may be in the history a moment after its request was answered."""


class Mt5Venue:
    """One account at one terminal."""

    name = "mt5"

    def __init__(self, config: Mt5Config, instruments: Sequence[Instrument], account: str) -> None:
        self._config = config
        self._instruments = instruments
        self._account = account
        self._tokens = Tokens()
        self._turn = asyncio.Lock()
        self._on_event: OnEvent = lambda event: None
        self._may_send: MaySend = lambda: False
        self._session: Mt5Session | None = None
        self._names = Names({})
        self._watch = Watch(self._tokens, self._names)
        self._looking: asyncio.Task[None] | None = None
        self._currency = ""
        self._seen: dict[int, int] = {}
        """Deals that have been told, by ticket, with their type: the broker may take one back."""
        self._deals_key = (0, 0)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            order_types=requests.ORDER_TYPES,
            times_in_force=requests.TIMES,
            modify=True,
            brackets=self._config.account_mode == "hedging",
            oco=False,
            dedupe="none",
            executions_back_s=self._config.executions_back_s,
            books_lag_s=self._config.books_lag_s,
            converts=True,
        )

    # -- the session --------------------------------------------------------------------------------------------------

    async def connect(self, on_event: OnEvent, may_send: MaySend) -> VenueAccount:
        self._on_event, self._may_send = on_event, may_send
        session = Mt5Session(self._config, self._instruments, self._follow_session)
        info = await session.open()
        self._session = session
        try:
            if str(info.login) != self._account:
                raise ConfigError(
                    f"the terminal is logged in to account {info.login}, and this sender is for account {self._account}; "
                    f"nothing is sent"
                )
            self._currency = info.currency
            self._names = Names(session.symbols)
            self._watch = Watch(self._tokens, self._names)
            await self._look(first=True)
        except BarqueError:
            await self.close()
            raise
        self._looking = asyncio.create_task(self._keep_looking(session), name="mt5-looking")
        if session.trading:
            told = TradingDisabled(ts_event_ns=time.time_ns(), detail=session.trading)
            asyncio.get_running_loop().call_soon(self._on_event, told)
        return account_of(info)

    async def close(self) -> None:
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def token(self, order_id: str, number: int, parent_id: str = "") -> str:
        return self._tokens.token(order_id, number, parent_id)

    def _up(self) -> Mt5Session:
        if self._session is None:
            raise VenueUnavailable("the terminal is not connected")
        if not self._session.up:
            raise unavailable(self._session)
        return self._session

    def _follow_session(self, event: SessionEvent) -> None:
        now_ns = time.time_ns()
        if isinstance(event, SessionUp):
            if event.number > 1:
                self._on_event(Connected(ts_event_ns=now_ns))
        elif isinstance(event, SessionLost):
            trouble: SessionTrouble = "refused" if event.refused else "lost"
            self._on_event(Disconnected(ts_event_ns=now_ns, detail=event.detail, trouble=trouble))
        elif isinstance(event, TradingOff):
            if self._looking is not None:  # while connecting it waits for the caller's own Connected
                self._on_event(TradingDisabled(ts_event_ns=now_ns, detail=event.detail))
        elif isinstance(event, TradingOn):
            self._on_event(Connected(ts_event_ns=now_ns))
        elif isinstance(event, SafeMode):
            log.error("mt5_safe_mode", attempts=event.attempts, reason=event.detail)
            detail = f"{event.attempts} attempts have failed, and go on: {event.detail}"
            self._on_event(Disconnected(ts_event_ns=now_ns, detail=detail, trouble="safe_mode"))
        elif isinstance(event, Notice):
            log.warning("mt5_notice", reason=event.detail)

    # -- looking ------------------------------------------------------------------------------------------------------

    async def _keep_looking(self, session: Mt5Session) -> None:
        while True:
            await asyncio.sleep(self._config.poll_s)
            if not session.up:
                continue
            try:
                async with self._turn:
                    await self._look()
            except VenueError as error:
                log.debug("mt5_look_failed", reason=str(error))

    async def _look(self, first: bool = False) -> None:
        """Deals first, then what they may have ended. `first`: what is there already is known and not told."""
        client = self._up().client
        orders = await client.open_orders()
        positions = await client.positions()
        found = {ticket: await client.past_order(ticket) for ticket in self._watch.gone(orders)}
        ended = {ticket: order for ticket, order in found.items() if order is not None}
        deals, key = await self._new_deals()
        if first:
            self._mark(deals)
        else:
            await self._tell(deals)
        self._deals_key = key
        for event in self._watch.look(orders, positions, ended, time.time_ns()):
            self._on_event(event)

    async def _new_deals(self) -> tuple[list[Deal], tuple[int, int]]:
        """Deals of the last hours, where their number has changed; and what to know them by."""
        session = self._up()
        now_s = session.clock.to_wall_ms(time.time_ns()) // 1_000
        from_s, to_s = now_s // HOUR_S * HOUR_S - BACK_S, now_s + AHEAD_S
        key = (from_s, await session.client.deals_count(from_s, to_s))
        if key == self._deals_key:
            return [], key
        deals = await session.client.deals(from_s, to_s)
        return deals, (from_s, len(deals))

    async def _tell(self, deals: Iterable[Deal]) -> None:
        """Executions that have not been told."""
        fresh = [deal for deal in deals if self._seen.get(deal.ticket) != deal.type]
        for execution in await self._executions(fresh, time.time_ns()):
            self._on_event(Executed(execution=execution))
        self._mark(fresh)

    def _mark(self, deals: Iterable[Deal]) -> None:
        for deal in deals:
            self._seen[deal.ticket] = deal.type
        while len(self._seen) > SEEN:
            del self._seen[next(iter(self._seen))]

    async def _executions(self, deals: Sequence[Deal], near_ns: int | None = None) -> list[VenueExecution]:
        session, hedging = self._up(), self._config.account_mode == "hedging"
        for deal in deals:
            if deal.reason in (BY_STOP_LOSS, BY_TAKE_PROFIT, BY_STOP_OUT):
                await self._learn(deal.position_id)
                continue
            if deal.entry == OUT and self._tokens.read(deal.comment) is None and hedging:
                await self._learn(deal.position_id)
            if requests.is_ours(self._config, deal.magic) and self._tokens.read(deal.comment) is None:
                await self._learn(deal.order)
        known = (self._tokens, self._watch.comments, self._names)
        return executions_of(deals, *known, session.clock, self._currency, near_ns, hedging)

    async def _learn(self, ticket: int) -> None:
        """An order's comment, where it is not known."""
        if ticket and ticket not in self._watch.comments:
            order = await self._up().client.past_order(ticket)
            self._watch.remember(ticket, order.comment if order is not None else "")

    # -- requests -----------------------------------------------------------------------------------------------------

    async def submit(self, orders: Sequence[tuple[SubmitOrder, str]]) -> None:
        (order, token), *children = orders
        session = self._up()
        symbol = self._symbol(session, order.symbol)
        exits, legs = _exits_of(order, children)
        try:
            comment = self._tokens.comment(token, legs)
        except ValueError as error:
            raise VenueRefused(f"order {order.order_id} cannot carry its exits: {error}") from None
        everything = [each for each, _ in orders]
        async with self._turn:
            fault = requests.misfit_of(self._config, order)
            if fault is None:
                fault = requests.fault_of(symbol, order, exits, await session.client.tick(symbol.venue_symbol))
            if fault is not None:
                self._reject(everything, fault.reason, fault.detail)
                return
            if order.order_type != "market":
                wanted = [requests.pending(self._config, symbol, order, exits, comment, session.clock)]
            else:
                positions = await session.client.positions() if self._config.account_mode == "hedging" else []
                wanted = requests.market(self._config, symbol, order, exits, comment, positions)
                if not wanted:
                    self._reject(everything, RejectReason.QUANTITY, _nothing_to_close(order))
                    return
            await self._send_all(session, symbol, everything, wanted, comment)

    async def _send_all(
        self, session: Mt5Session, symbol: Symbol, orders: Sequence[SubmitOrder], wanted: Sequence[Request], comment: str
    ) -> None:
        """One order, in one request or, where it closes several positions, in more; from the second on it is never "not sent"."""
        order = orders[0]
        done: list[Answer] = []
        why = ""
        for request in wanted:
            try:
                answer = await send(session, symbol, request, self._may_send)
            except (VenueUnavailable, VenueRefused) as error:
                if not done:
                    raise
                why = str(error)
                break
            if not answer.done:
                if not done:
                    self._reject(orders, answer.meaning.reason, answer.text)
                    return
                why = answer.text
                break
            if not done:
                self._accept(orders, answer.result.order)
                self._watch.expect(answer.result.order, orders)
            self._watch.remember(answer.result.order, comment)
            done.append(answer)
        if order.order_type == "market":
            await self._collect(session, [answer for answer in done if answer.result.deal])
            self._end_market(symbol, orders, done, why)

    def _accept(self, orders: Sequence[SubmitOrder], ticket: int) -> None:
        now_ns = time.time_ns()
        for place, order in enumerate(orders):
            name = str(ticket) if not place else f"{ticket}/{'tp' if order.order_type == 'limit' else 'sl'}"
            self._on_event(Accepted(order_id=order.order_id, venue_order_id=name, ts_event_ns=now_ns))

    def _reject(self, orders: Sequence[SubmitOrder], reason: RejectReason, detail: str) -> None:
        for order in orders:
            text = f"order {order.order_id}: {detail}"
            self._on_event(Rejected(order_id=order.order_id, reason=reason, detail=text, ts_event_ns=time.time_ns()))

    async def _collect(self, session: Mt5Session, answers: Sequence[Answer]) -> None:
        """Tell the deals of these requests; what is not in the history yet is found by looking."""
        for answer in answers:
            for _ in range(DEALS_TRIES):
                try:
                    deals = await session.client.deals_of_order(answer.result.order)
                except VenueUnavailable as error:
                    log.debug("mt5_deals_later", ticket=answer.result.order, reason=str(error))
                    return
                await self._tell(deals)
                if any(deal.ticket == answer.result.deal for deal in deals):
                    break
                await asyncio.sleep(DEALS_WAIT_S)

    def _end_market(self, symbol: Symbol, orders: Sequence[SubmitOrder], done: Sequence[Answer], why: str) -> None:
        """What a market order did not find is gone; its exits are as large as what it found. Of a request that was taken without
        a deal nobody knows yet what it finds: looks tell, and `VenueOutcomeUnknown` makes the sender compare the books."""
        order, *children = orders
        open_ = [answer.result.order for answer in done if not answer.result.deal]
        if open_:
            for ticket in open_:
                self._watch.follow(ticket, order)
            text = ", ".join(str(ticket) for ticket in open_)
            raise VenueOutcomeUnknown(f"order {order.order_id}: the trade server took it as {text} and has not said what it did")
        filled = sum((symbol.contracts(answer.result.volume) for answer in done), Decimal(0))
        if filled >= order.quantity:
            return
        now_ns = time.time_ns()
        detail = why or f"{filled.normalize():f} of {order.quantity.normalize():f} contracts were there to be had"
        self._on_event(Ended(order_id=order.order_id, how="cancelled", detail=detail, ts_event_ns=now_ns))
        for child in children:
            terms = {"limit_price": child.limit_price, "stop_price": child.stop_price, "trail_amount": None}
            self._on_event(Modified(order_id=child.order_id, quantity=filled, ts_event_ns=now_ns, **terms))

    async def modify(self, request: ModifyOrder, order: SubmitOrder, token: str) -> None:
        session = self._up()
        symbol = self._symbol(session, order.symbol)
        async with self._turn:
            found = await self._find(session, request.order_id)
            if found is None:
                self._refuse(request, "modify", RejectReason.UNKNOWN_ORDER, "the terminal has no such order at work")
            elif request.trail_amount is not None:
                self._refuse(request, "modify", RejectReason.UNSUPPORTED, "MetaTrader 5 has no trailing orders")
            elif isinstance(found, Order):
                await self._modify_order(session, symbol, request, found)
            else:
                await self._modify_leg(session, symbol, request, *found)

    async def _modify_order(self, session: Mt5Session, symbol: Symbol, request: ModifyOrder, order: Order) -> None:
        shown = open_order(order, None, self._names)
        quantity = shown.quantity if request.quantity is None else request.quantity
        wanted = requests.changed(symbol, order, request.limit_price, request.stop_price)
        answer: Answer | None
        if quantity == shown.quantity:
            answer = await send(session, symbol, wanted, _always)
        else:
            fault = symbol.fault_of_lots(symbol.lots(quantity))
            if not fault and shown.filled:
                fault = "MetaTrader 5 cannot change a volume, and an order that has filled in part cannot be replaced"
            if fault:
                self._refuse(request, "modify", RejectReason.QUANTITY, fault)
                return
            answer = await self._replace(session, symbol, order, requests.replaced(symbol, order, quantity, wanted))
        if answer is None:
            text = "it traded while it was taken away to be placed with another volume; what was left of it is withdrawn"
            self._refuse(request, "modify", RejectReason.ORDER_STATE, text)
            return
        if not answer.done:
            self._refuse(request, "modify", answer.meaning.reason, answer.text)
            return
        limit, stop = (getattr(request, name) or getattr(shown, name) for name in ("limit_price", "stop_price"))
        self._changed(request.order_id, quantity, limit, stop)

    async def _replace(self, session: Mt5Session, symbol: Symbol, order: Order, wanted: Request) -> Answer | None:
        """Take it away, then place it anew: never both at once. Where the second fails, the order is gone, and a look tells; so
        it is where it has traded in between (None), for the new one would trade that once more."""
        if not self._may_send():
            raise VenueUnavailable("not sent; this process may not send any more")
        answer = await send(session, symbol, requests.removed(order), _always)
        if not answer.done:
            return answer
        removed = await self._past(session, order.ticket)
        if removed.state != CANCELED or removed.volume_current < removed.volume_initial:
            return None
        answer = await send(session, symbol, wanted, _always)
        if answer.done:
            self._watch.remember(answer.result.order, order.comment)
            self._watch.replace(order.ticket, answer.result.order)
        return answer

    async def _past(self, session: Mt5Session, ticket: int) -> Order:
        """An order that has ended; it may be in the history a moment after."""
        for _ in range(DEALS_TRIES):
            order = await session.client.past_order(ticket)
            if order is not None:
                return order
            await asyncio.sleep(DEALS_WAIT_S)
        raise VenueOutcomeUnknown(f"order {ticket} was taken away and is not in the terminal's history; it was not placed anew")

    async def _modify_leg(
        self, session: Mt5Session, symbol: Symbol, request: ModifyOrder, leg: Leg, entry: Order | Position
    ) -> None:
        if request.quantity is not None and request.quantity != leg.quantity:
            text = f"a stop loss or take profit has the volume of its position, {leg.quantity.normalize():f} contracts"
            self._refuse(request, "modify", RejectReason.UNSUPPORTED, text)
            return
        price = (request.limit_price if leg.kind == "limit" else request.stop_price) or leg.price
        take_profit, stop_loss = (symbol.price(price), entry.sl) if leg.kind == "limit" else (entry.tp, symbol.price(price))
        answer = await send(session, symbol, requests.exits_changed(entry, take_profit, stop_loss), _always)
        if not answer.done:
            self._refuse(request, "modify", answer.meaning.reason, answer.text)
        elif leg.kind == "limit":
            self._changed(request.order_id, leg.quantity, price, None)
        else:
            self._changed(request.order_id, leg.quantity, None, price)

    async def cancel(self, request: CancelOrder, token: str) -> None:
        session = self._up()
        symbol = self._symbol(session, request.symbol)
        async with self._turn:
            found = await self._find(session, request.order_id)
            if found is None:
                self._refuse(request, "cancel", RejectReason.UNKNOWN_ORDER, "the terminal has no such order at work")
                return
            if isinstance(found, Order):
                wanted = requests.removed(found)
            else:
                leg, entry = found
                take_profit, stop_loss = (0.0, entry.sl) if leg.kind == "limit" else (entry.tp, 0.0)
                wanted = requests.exits_changed(entry, take_profit, stop_loss)
            answer = await send(session, symbol, wanted, _always)
            if answer.done:
                now_ns = time.time_ns()
                self._on_event(Ended(order_id=request.order_id, how="cancelled", detail="as asked", ts_event_ns=now_ns))
            else:
                self._refuse(request, "cancel", answer.meaning.reason, answer.text)

    async def _find(self, session: Mt5Session, order_id: str) -> Order | tuple[Leg, Order | Position] | None:
        """An order that waits, or an exit with the entry or the position that holds it (of a part-filled entry, the position)."""
        orders = await session.client.open_orders()
        positions = await session.client.positions()
        for order in orders:
            known = self._tokens.read(order.comment)
            if known is not None and known.order_id == order_id:
                return order
        entries: list[Order | Position] = [*positions, *orders]
        for entry in entries:
            for leg in legs_of(entry, self._tokens, self._names, self._watch.comments.get(entry.ticket, "")):
                if leg.order_id == order_id:
                    return leg, entry
        return None

    def _changed(self, order_id: str, quantity: Decimal, limit: Decimal | None, stop: Decimal | None) -> None:
        self._on_event(
            Modified(
                order_id=order_id,
                quantity=quantity,
                limit_price=limit,
                stop_price=stop,
                trail_amount=None,
                ts_event_ns=time.time_ns(),
            )
        )

    def _refuse(self, request: ModifyOrder | CancelOrder, verb: Any, reason: RejectReason, detail: str) -> None:
        text = f"order {request.order_id}: {detail}"
        event: VenueEvent = RequestRefused(
            order_id=request.order_id, request=verb, reason=reason, detail=text, ts_event_ns=time.time_ns()
        )
        self._on_event(event)

    def _symbol(self, session: Mt5Session, name: str) -> Symbol:
        symbol = session.symbols.get(name)
        if symbol is None:
            raise VenueRefused(f"symbol '{name}' has no [[instruments]] entry that can be traded; nothing was sent")
        return symbol

    # -- the books ----------------------------------------------------------------------------------------------------

    async def open_orders(self) -> list[VenueOrder]:
        client = self._up().client
        async with self._turn:
            orders, positions = await client.open_orders(), await client.positions()
        shown = [open_order(order, self._tokens.read(order.comment), self._names) for order in orders]
        return shown + [open_leg(leg) for leg in self._watch.legs(orders, positions)]

    async def executions_since(self, ts_ns: int) -> list[VenueExecution]:
        session = self._up()
        now_ns = time.time_ns()
        since_ns = max(ts_ns, now_ns - self._config.executions_back_s * 1_000_000_000)
        from_s, to_s = (session.clock.to_wall_ms(each) // 1_000 for each in (since_ns, now_ns))
        async with self._turn:
            deals = await session.client.deals(from_s - HOUR_S, to_s + AHEAD_S)
            executions = await self._executions(deals)
        return [execution for execution in executions if execution.ts_event_ns >= ts_ns]

    async def positions(self) -> list[VenuePosition]:
        client = self._up().client
        async with self._turn:
            return net_positions(await client.positions(), self._names)

    async def account(self) -> VenueAccount:
        session = self._up()
        now_ns = time.time_ns()
        since_ns = now_ns - self._config.executions_back_s * 1_000_000_000
        from_s, to_s = (session.clock.to_wall_ms(each) // 1_000 for each in (since_ns, now_ns))
        async with self._turn:
            account = account_of(await session.client.account_info())
            deals = await session.client.deals(from_s, to_s + AHEAD_S)
        return replace(account, movements=movements_of(deals, session.clock, account.currency))


def _exits_of(order: SubmitOrder, children: Sequence[tuple[SubmitOrder, str]]) -> tuple[Exits, list[tuple[str, str]]]:
    """The children as take profit and stop loss, with their tokens. Raises `VenueRefused`."""
    prices: dict[str, Decimal] = {}
    legs = []
    for child, token in children:
        name, price = ("take_profit", child.limit_price) if child.order_type == "limit" else ("stop_loss", child.stop_price)
        fits = child.order_type in ("limit", "stop") and price is not None and name not in prices
        if not fits or child.quantity != order.quantity or child.side == order.side or price is None:
            raise VenueRefused(
                f"order {child.order_id}: a position at MetaTrader 5 has one take profit (limit) and one stop loss (stop) of its "
                f"whole volume, and this exit is neither; nothing was sent"
            )
        prices[name] = price
        legs.append(("t" if name == "take_profit" else "s", token))
    return Exits(**prices), legs


def _nothing_to_close(order: SubmitOrder) -> str:
    whose = "the account" if order.strategy_id == requests.EXTERNAL else f"strategy {order.strategy_id}"
    held = "short" if order.side == "buy" else "long"
    return f"it closes, and {whose} has no {held} position in {order.symbol} at the terminal; nothing was sent"


def _always() -> bool:
    return True


def open_venue(raw: Mapping[str, Any], instruments: Sequence[Instrument], account: str) -> Venue:
    """Entry point `mt5` of `barque.venues`; raises `ConfigError`."""
    if "mt5" not in raw:
        raise ConfigError('section [mt5] is required where sender.venue = "mt5": give it the terminal or the bridge')
    return Mt5Venue(load_section(raw, "mt5", Mt5Config), instruments, account)
