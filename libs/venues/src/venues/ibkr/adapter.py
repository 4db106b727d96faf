"""The adapter: one account at Interactive Brokers as a `barque.venue.Venue`.

In:   orders that a sender has decided to send; what the Gateway says.   Out: `VenueEvent`s, the broker's books.
Not:  deciding. It sends nothing twice, and says of no order more than the Gateway has said.

What the Gateway says between a connection's beginning and its readiness is kept and told then. While the Gateway has lost
Interactive Brokers (1100), the session counts as gone: nothing is sent, fills that come are told all the same, and its return
makes the sender read the books.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import structlog
from ib_async import CommissionReport, Contract, Execution, ExecutionFilter, Order, OrderState
from ib_async.wrapper import RequestError
from msgspec.structs import replace

from barque.config import load_section
from barque.errors import ConfigError, VenueError, VenueUnavailable
from barque.instruments import Instrument
from barque.messages import CancelOrder, ModifyOrder, RejectReason, SubmitOrder
from barque.venue import (
    Capabilities,
    Connected,
    Disconnected,
    MaySend,
    OnEvent,
    Rejected,
    RequestRefused,
    SessionTrouble,
    TradingDisabled,
    VenueAccount,
    VenueEvent,
    VenueExecution,
    VenueOrder,
    VenuePosition,
)
from venues.ibkr.codes import Reaction, explain
from venues.ibkr.config import IbkrConfig
from venues.ibkr.contracts import ContractBook, Listing, exact
from venues.ibkr.link import REQUEST_IDS_FROM, Link, is_live
from venues.ibkr.orders import (
    ORDER_TYPES,
    TIMES_IN_FORCE,
    Place,
    WireIds,
    changed,
    compared,
    fault_of,
    number_of,
    order_id_of,
    terms_of,
    token_of,
    wire_order,
)
from venues.ibkr.pacing import Lane
from venues.ibkr.reports import (
    GONE,
    ZERO,
    Completed,
    Seen,
    figures,
    money,
    number,
    reject_reason,
    seen_completed,
    seen_execution,
    seen_order,
    seen_position,
)
from venues.ibkr.session import ORDERS, Degraded, Down, GatewayRefused, Notice, Restored, Safe, Session, SessionEvent, Up
from venues.ibkr.tracker import AtWire, Tracker
from venues.ibkr.windows import expected_outage

log = structlog.get_logger()

MISSING_S = 1.0
"""So long after a status spoke of fills that were not reported, the executions are asked for."""
MOST_EARLY = 50_000
_REFUSING = (Reaction.REJECT, Reaction.UNKNOWN_CONTRACT, Reaction.READ_ONLY)


class IbkrVenue:
    """One account, through one client id of one Gateway."""

    name = "ibkr"

    def __init__(self, config: IbkrConfig, instruments: Sequence[Instrument], account: str) -> None:
        """Raises `ConfigError` where the configuration alone shows a fault."""
        self.capabilities = Capabilities(
            order_types=tuple(ORDER_TYPES),
            times_in_force=tuple(TIMES_IN_FORCE),
            modify=True,
            brackets=True,
            oco=True,
            dedupe="none",
            executions_zone=config.time_zone,
            books_lag_s=config.books_lag_s,
        )
        self._config = config
        self._account = account or config.account
        self._book = ContractBook(config, instruments)
        self._ids = WireIds(config.order_id_base)
        self._tracker = Tracker(config.sender_client_id, self._emit, self._look_for_fills)
        self._session: Session | None = None
        self._on_event: OnEvent = _deaf
        self._may_send: MaySend = _never
        self._ready = False
        self._early: list[Callable[[], None]] = []
        self._shown: dict[tuple[int, int, int], Seen] | None = None
        self._filled_shown: dict[tuple[int, int, int], Decimal] = {}
        self._trials: dict[int, asyncio.Future[OrderState]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._positions: dict[int, Decimal] = {}
        """By con id, in their units, as the Gateway said last."""
        self._explained: dict[int, Decimal] = {}
        """The same, as far as executions that we know account for it."""
        self._ended_unseen = True
        """Some order of ours may have ended without our being told."""
        self._completed: list[Completed] | None = None
        """Orders that had ended, while they are being asked for."""
        self._pnl: dict[str, Decimal | None] = {}
        """Of the account: `daily_pnl`, `unrealised_pnl`, `realised_pnl`, as the Gateway said last."""
        self._pnl_request = 0
        self._pnl_asking: asyncio.Task[None] | None = None

    # -- the session ---------------------------------------------------------------------------------------------------

    async def connect(self, on_event: OnEvent, may_send: MaySend) -> VenueAccount:
        """One attempt; see `Venue.connect`."""
        await self.close()
        self._on_event, self._may_send = on_event, may_send
        session = Session(
            self._config,
            self._config.sender_client_id,
            account=self._account,
            fetch=ORDERS,
            taps={
                "openOrder": self._hear_order,
                "orderStatus": self._hear_status,
                "execDetails": self._hear_execution,
                "commissionReport": self._hear_commission,
                "position": self._hear_position,
                "pnl": self._hear_pnl,
                "completedOrder": self._hear_completed,
            },
            prepare=self._prepare,
            on_event=self._on_session,
        )
        self._session = session
        try:
            link = await session.open()
            self._account = link.account
            account = await self.account()
            if link.degraded:
                raise VenueUnavailable(f"the Gateway has lost Interactive Brokers: {link.degraded}")
        except BaseException:
            await self.close()
            raise
        if link.read_only:  # after the caller has taken our return for `Connected`
            asyncio.get_running_loop().call_soon(self._disable, "the API is read-only: untick 'Read-Only API' in its settings")
        return account

    async def close(self) -> None:
        """End the session; orders stay at the broker."""
        session, self._session = self._session, None
        self._ready = False
        self._early.clear()
        for task in (self._looking, self._pnl_asking):
            if task is not None:
                task.cancel()
        self._looking = self._pnl_asking = None
        self._pnl, self._pnl_request = {}, 0
        if session is not None:
            await session.close()

    async def _prepare(self, link: Link) -> None:
        """On each new connection, before it is used: contracts, and order ids that are free."""
        session = self._open_session()
        self._ids.see(link.first_order_id - 1)
        held = {position.contract.conId for position in link.ib.positions(link.account)}
        held |= {trade.contract.conId for trade in link.ib.trades()}
        await self._book.resolve(session, datetime.now(UTC).date(), held=held)

    def _on_session(self, event: SessionEvent) -> None:
        now_ns = time.time_ns()
        if isinstance(event, Notice):
            self._on_notice(event, now_ns)
        elif isinstance(event, Up):
            if event.number > 1 and not self._open_session().link.degraded:  # else `Restored` says it
                self._emit(Connected(ts_event_ns=now_ns))
            self._begin()
            if event.read_only and event.number > 1:
                self._disable("the API is read-only: untick 'Read-Only API' in its settings")
        elif isinstance(event, Restored):
            if event.data_lost:
                self._watch_pnl()
            self._emit(Connected(ts_event_ns=now_ns))
        elif isinstance(event, Degraded):
            self._lose(event.detail, expected_outage(datetime.now(UTC), self._config))
        elif isinstance(event, Down):
            self._early.clear()  # what an attempt that failed had been told comes again with the next
            if event.attempts == 0 or event.refused:
                self._ready = False
                self._pnl, self._pnl_request = {}, 0
                self._lose(event.detail, event.expected, "refused" if event.refused else "lost")
        elif isinstance(event, Safe):
            detail = f"{event.attempts} attempts to connect again have failed, and go on: {event.detail}"
            self._lose(detail, event.expected, "safe_mode")

    def _lose(self, detail: str, expected: str, trouble: SessionTrouble = "lost") -> None:
        said = f"{detail} ({expected})" if expected else detail
        self._emit(Disconnected(ts_event_ns=time.time_ns(), detail=said, trouble=trouble, expected=bool(expected)))

    def _begin(self) -> None:
        self._ready = True
        early, self._early = self._early, []
        for told in early:
            told()
        self._explained = dict(self._positions)
        self._ended_unseen = True
        self._watch_pnl()

    def _watch_pnl(self) -> None:
        """A subscription does not outlive a connection, nor one of the Gateway's that lost its data."""
        if self._pnl_asking is not None:
            self._pnl_asking.cancel()
        self._pnl, self._pnl_asking = {}, asyncio.create_task(self._ask_pnl(), name="ibkr-pnl")

    async def _ask_pnl(self) -> None:
        def put(link: Link) -> None:
            if self._pnl_request:
                link.client.cancelPnL(self._pnl_request)
            self._pnl_request = link.client.getReqId()
            link.client.reqPnL(self._pnl_request, self._account, "")

        with suppress(VenueUnavailable):  # the next session asks again; it is for people to look at
            await self._open_session().write(Lane.REQUEST, put)

    def _on_notice(self, notice: Notice, now_ns: int) -> None:
        about = notice.number
        trial = self._trials.get(about)
        if trial is not None:
            if notice.reaction in _REFUSING and not trial.done():
                trial.set_exception(RequestError(about, notice.code, notice.text))
            return
        if notice.reaction is Reaction.READ_ONLY and self._ready:
            self._disable(explain(notice.code, notice.text))
        if notice.reaction is Reaction.DUPLICATE_ID:
            self._ids.see(about)
        if 0 < about < REQUEST_IDS_FROM:
            self._tracker.on_error(about, notice.code, notice.text, now_ns)

    def _disable(self, detail: str) -> None:
        self._emit(TradingDisabled(ts_event_ns=time.time_ns(), detail=detail))

    def _emit(self, event: VenueEvent) -> None:
        self._on_event(event)

    def _open_session(self) -> Session:
        if self._session is None:
            raise VenueUnavailable("not connected")
        return self._session

    # -- orders --------------------------------------------------------------------------------------------------------

    def token(self, order_id: str, number: int, parent_id: str = "") -> str:
        """The order's reference: `bq.<number>.<order id>`."""
        return token_of(order_id, number)

    async def submit(self, orders: Sequence[tuple[SubmitOrder, str]]) -> None:
        """Write them to the wire, all in one piece; of a bracket only the last is transmitted, and brings the others along."""
        listings = [self._book.get(order.symbol) for order, _ in orders]
        for (order, _), listing in zip(orders, listings, strict=True):
            fault = fault_of(order, listing) or self._orphaned(order, orders)
            if fault:
                self._reject([each for each, _ in orders], RejectReason.UNSUPPORTED, fault)
                return
        session = self._open_session()
        first, listing = orders[0][0], listings[0]
        if self._config.margin_fraction_max is not None and not first.closes and first.parent_id is None:
            refusal = await self._try(session, first, listing, orders[0][1])
            if refusal is not None:
                self._reject([each for each, _ in orders], *refusal)
                return

        def put(link: Link) -> None:
            for index, (order, token) in enumerate(orders):
                self._put_new(link, order, token, listings[index], transmit=index == len(orders) - 1)

        leaves = all(order.closes or order.parent_id is not None for order, _ in orders)
        await session.write(Lane.EXIT if leaves else Lane.ORDER, put, self._may_send)
        session.pass_by(len(orders) - 1)

    async def modify(self, request: ModifyOrder, order: SubmitOrder, token: str) -> None:
        """The same id with the new terms."""
        at_wire = self._at_wire(order.order_id, "modify")
        if at_wire is None:
            return
        wanted, listing = changed(order, request), self._book.get(order.symbol)
        terms = terms_of(wanted, listing)

        def put(link: Link) -> None:
            at_wire.asked, at_wire.told = terms, compared(order, order.order_type)
            place = Place(
                wire_id=at_wire.wire_id,
                account=link.account,
                token=token,
                parent_wire_id=self._living_parent(at_wire.parent_wire_id),
            )
            link.client.placeOrder(at_wire.wire_id, listing.contract(), wire_order(wanted, terms, listing, place))

        await self._open_session().write(Lane.EXIT if order.closes or order.parent_id else Lane.ORDER, put)

    async def cancel(self, request: CancelOrder, token: str) -> None:
        """Withdraw it."""
        at_wire = self._at_wire(request.order_id, "cancel")
        if at_wire is None:
            return

        def put(link: Link) -> None:
            at_wire.cancelling = True
            link.client.cancelOrder(at_wire.wire_id, "")

        await self._open_session().write(Lane.EXIT, put)

    def _put_new(self, link: Link, order: SubmitOrder, token: str, listing: Listing, transmit: bool) -> None:
        wire_id = self._ids.take(number_of(token))
        parent = self._tracker.find(order.parent_id) if order.parent_id is not None else None
        parent_wire_id = parent.wire_id if parent is not None and not parent.done and not self._is_whole(parent) else 0
        place = Place(wire_id=wire_id, account=link.account, token=token, parent_wire_id=parent_wire_id, transmit=transmit)
        terms = terms_of(order, listing)
        day_ends_ns = listing.day_ends_ns(time.time_ns())
        self._tracker.sent(order, compared(order, order.order_type), wire_id, parent_wire_id, listing.unit, day_ends_ns)
        link.client.placeOrder(wire_id, listing.contract(), wire_order(order, terms, listing, place))

    def _orphaned(self, order: SubmitOrder, orders: Sequence[tuple[SubmitOrder, str]]) -> str:
        """An exit whose entry has ended without a fill would open a position of its own."""
        parent_id = order.parent_id
        if parent_id is None or any(each.order_id == parent_id for each, _ in orders) or self._tracker.filled(parent_id) > 0:
            return ""
        parent = self._tracker.find(parent_id)
        if parent is not None and not parent.done:
            return ""
        return f"its entry {parent_id} has ended at the broker without a fill"

    def _is_whole(self, parent: AtWire) -> bool:
        return self._tracker.filled(parent.order_id) >= parent.told.quantity

    def _living_parent(self, wire_id: int) -> int:
        parent = self._tracker.find(self._tracker.order_of("", self._config.sender_client_id, wire_id, 0)) if wire_id else None
        return wire_id if parent is None or not parent.done else 0

    def _at_wire(self, order_id: str, request: Any) -> AtWire | None:
        """Where the order is; where that is not known, the books have to tell what became of it."""
        found = self._tracker.find(order_id)
        if found is not None and not found.done:
            return found
        what = "it has ended there" if found is not None else "it is not among the orders that the broker has shown"
        self._emit(
            RequestRefused(
                order_id=order_id, request=request, reason=RejectReason.UNKNOWN_ORDER, detail=what, ts_event_ns=time.time_ns()
            )
        )
        return None

    def _reject(self, orders: Sequence[SubmitOrder], reason: RejectReason, detail: str) -> None:
        for order in orders:
            self._emit(Rejected(order_id=order.order_id, reason=reason, detail=detail, ts_event_ns=time.time_ns()))

    async def _try(self, session: Session, order: SubmitOrder, listing: Listing, token: str) -> tuple[RejectReason, str] | None:
        """What the order would do to the margin; None: it may go."""
        wire_id = self._ids.take(number_of(token))
        place = Place(wire_id=wire_id, account=session.link.account, token=token)
        wire = wire_order(order, terms_of(order, listing), listing, place)
        wire.whatIf = True

        def make(ib: Any) -> asyncio.Future[OrderState]:
            answer: asyncio.Future[OrderState] = ib.wrapper.startReq(wire_id, listing.contract())
            self._trials[wire_id] = answer
            ib.client.placeOrder(wire_id, listing.contract(), wire)
            return answer

        try:
            state = await session.ask(f"what-if of {order.order_id}", make, lane=Lane.ORDER)
        except GatewayRefused as error:
            return reject_reason(error.code, str(error)), str(error)
        finally:
            self._trials.pop(wire_id, None)
        margin, equity = number(state.initMarginAfter), number(state.equityWithLoanAfter)
        most = Decimal(str(self._config.margin_fraction_max))
        if margin is None or equity is None or margin <= equity * most:
            return None
        detail = f"with it the initial margin would be {margin}, more than {most} of the equity with loan value of {equity}"
        return RejectReason.MARGIN_LIMIT, detail

    # -- the books -----------------------------------------------------------------------------------------------------

    async def open_orders(self) -> list[VenueOrder]:
        """Those of every client of the account, and those made by hand. One with our reference under another client id is too:
        it may trade, though only that client can cancel it."""
        session = self._open_session()
        if session.link.read_only:
            raise VenueUnavailable("a read-only API shows no orders")
        self._shown, self._filled_shown = {}, {}
        try:
            await session.ask("open orders", lambda ib: ib.reqAllOpenOrdersAsync())
            shown, filled = self._shown, self._filled_shown
        finally:
            self._shown = None
        at_work = {seen.order_id for seen in shown.values() if seen.status not in GONE}
        self._ended_unseen = self._ended_unseen or bool(self._tracker.open_ids() - at_work)
        return [
            seen.as_open(filled.get(key, ZERO) / self._unit(seen.con_id))
            for key, seen in shown.items()
            if seen.status not in GONE and seen.account in ("", self._account)
        ]

    async def executions_since(self, ts_ns: int) -> list[VenueExecution]:
        """Those of the day, in the Gateway's time zone: it keeps no others. Then what has become of orders that are open no more:
        an end is told after the fills that came before it."""
        await self._read_executions()
        await self._read_completed()
        return self._tracker.executions(ts_ns)

    async def positions(self) -> list[VenuePosition]:
        """As the Gateway has them now."""
        found = await self._open_session().ask("positions", lambda ib: ib.reqPositionsAsync())
        latest = {position.contract.conId: position for position in found if position.account == self._account}
        return [seen_position(position, self._book) for position in latest.values() if position.position]

    async def account(self) -> VenueAccount:
        """As the Gateway has it now."""
        session, account = self._open_session(), self._account
        await session.ask("account updates", lambda ib: ib.reqAccountUpdatesAsync(account))
        ib = session.ib
        found = figures(account, is_live(account), ib.accountValues(account), ib.positions(account))
        return replace(found, **self._pnl)

    async def _read_executions(self) -> None:
        wanted = ExecutionFilter(acctCode=self._account)
        await self._open_session().ask("executions", lambda ib: ib.reqExecutionsAsync(wanted))

    async def _read_completed(self) -> None:
        """Where an order of ours is open no more, and in each connection once. Where it is not answered the books resolve the
        order, with fewer words."""
        session = self._open_session()
        if not self._ended_unseen or session.link.read_only:
            return
        self._ended_unseen = False
        found: list[Completed] = []
        self._completed = found
        try:
            await session.ask("completed orders", lambda ib: ib.reqCompletedOrdersAsync(True))
        except VenueError as error:
            log.warning("ibkr_completed_orders_unknown", reason=str(error))
        finally:
            self._completed = None
        for completed in found:
            self._tracker.on_completed(completed, time.time_ns())

    def _look_for_fills(self) -> None:
        """A status or a position speaks of more than has been reported: give the report a moment, then ask."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="ibkr-missing-fills")

    async def _look(self) -> None:
        await asyncio.sleep(MISSING_S)
        with suppress(VenueError):  # the sender's own look at the books will do it
            await self._read_executions()
            self._explained = dict(self._positions)

    def _unit(self, con_id: int) -> Decimal:
        symbol = self._book.symbol_of(con_id)
        return self._book.get(symbol).unit if symbol else Decimal(1)

    # -- hearing -------------------------------------------------------------------------------------------------------

    def _later_or_now(self, told: Callable[[], None]) -> None:
        """Before contracts are known nothing can be put into our words."""
        if self._ready:
            told()
        elif len(self._early) < MOST_EARLY:
            self._early.append(told)
        else:
            self._open_session().break_off(f"more than {MOST_EARLY} messages before the session was ready")

    def _hear_order(self, _: int, contract: Contract, order: Order, state: OrderState) -> None:
        if order.whatIf:
            return
        if order.clientId == self._config.sender_client_id:
            self._ids.see(order.orderId)

        def told() -> None:
            seen = seen_order(contract, order, state.status, self._book, time.time_ns())
            if self._shown is not None:
                self._shown[(seen.client_id, seen.wire_id, seen.perm_id)] = seen
            if seen.account in ("", self._account):
                self._tracker.on_order(seen, time.time_ns())

        self._later_or_now(told)

    def _hear_completed(self, contract: Contract, order: Order, state: OrderState) -> None:
        """Some come unasked, after a fill."""
        if self._completed is not None and order.account == self._account:
            self._completed.append(seen_completed(contract, order, state, self._book))

    def _hear_status(
        self,
        wire_id: int,
        status: str,
        filled: float,
        _remaining: float,
        _average: float,
        perm_id: int,
        _parent: int,
        _last: float,
        client_id: int,
        why_held: str = "",
        *_: Any,
    ) -> None:
        def told() -> None:
            key = (client_id, wire_id, perm_id)
            if self._shown is not None:
                self._filled_shown[key] = exact(filled)
                if status in GONE:
                    self._shown.pop(key, None)
            self._tracker.on_status(client_id, wire_id, perm_id, status, exact(filled), time.time_ns(), why_held)

        self._later_or_now(told)

    def _hear_execution(self, _: int, contract: Contract, execution: Execution) -> None:
        if execution.acctNumber != self._account:
            return
        if execution.clientId == self._config.sender_client_id:
            self._ids.see(execution.orderId)

        def told() -> None:
            reference = order_id_of(execution.orderRef)
            order_id = self._tracker.order_of(reference, execution.clientId, execution.orderId, execution.permId)
            if self._tracker.on_execution(seen_execution(contract, execution, self._book, order_id)):
                signed = exact(execution.shares) * (1 if execution.side in ("BOT", "BUY") else -1)
                self._explained[contract.conId] = self._explained.get(contract.conId, ZERO) + signed

        self._later_or_now(told)

    def _hear_position(self, account: str, contract: Contract, quantity: float, _: float) -> None:
        """Executions of others are not reported to us; that the position moved is."""
        if account != self._account:
            return
        self._positions[contract.conId] = exact(quantity)
        if not self._ready:
            self._explained[contract.conId] = exact(quantity)
        elif self._explained.get(contract.conId, ZERO) != exact(quantity):
            asyncio.get_running_loop().call_later(MISSING_S, self._compare_position, contract.conId)

    def _compare_position(self, con_id: int) -> None:
        """Reports of executions and of positions come in either order; by now both have."""
        if self._ready and self._explained.get(con_id, ZERO) != self._positions.get(con_id, ZERO):
            self._look_for_fills()

    def _hear_pnl(self, request: int, daily: float, unrealised: float, realised: float) -> None:
        if request == self._pnl_request:
            told = {"daily_pnl": daily, "unrealised_pnl": unrealised, "realised_pnl": realised}
            self._pnl = {name: money(amount) for name, amount in told.items()}

    def _hear_commission(self, report: CommissionReport) -> None:
        cost, currency = number(report.commission), report.currency
        self._later_or_now(lambda: self._tracker.on_commission(report.execId, cost, currency))


def open_venue(raw: Mapping[str, Any], instruments: Sequence[Instrument], account: str) -> IbkrVenue:
    """Entry point `ibkr` of group `barque.venues`; raises `ConfigError`."""
    config = load_section(raw, "ibkr", IbkrConfig)
    if account and config.account and account != config.account:
        raise ConfigError(f"sender.account is '{account}' and ibkr.account is '{config.account}'; they have to be the same")
    return IbkrVenue(config, instruments, account)


def _deaf(_: VenueEvent) -> None:
    pass


def _never() -> bool:
    return False
