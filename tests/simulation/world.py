"""A book at work: strategies wish, the market moves, a broker trades, the wire loses things, processes die, people halt.

In:   a seed's choices, action by action.   Out: a book whose laws were checked after each of them.
Not:  which action comes next (`run`, and the state machine of the tests).

Each action is a method `do_<name>(chance)`; what really happened is counted, under the names of `FAULTS` and others.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from random import Random
from typing import Any

from barque.config import load_section
from barque.instruments import Instrument
from barque.messages import (
    Alert,
    Bar,
    CancelRequest,
    Flatten,
    Halt,
    Mark,
    Message,
    ModifyRequest,
    ReconciliationReport,
    Resume,
    Signal,
    StartStrategy,
    StopStrategy,
    SubmitOrder,
    Topic,
)
from barque.venue import Connected, Disconnected, Executed, VenueOrder
from portfolio.config import PortfolioConfig
from portfolio.core.history import Memory, Recalled
from portfolio.core.node import PortfolioNode
from router.config import RouterConfig
from router.core.node import RouterNode
from router.core.sending.config import SendingConfig
from router.core.sending.effects import AskBooks, Effect, HaltBook, Send, Withdraw
from router.core.sending.events import BooksUnavailable, LedgerFigures, Lost, NotSent, ReconcileAsked, Release
from router.core.sending.node import SendingNode
from tests.simulation.broker import OPENING_CASH, Broker
from tests.simulation.laws import RouterLaws, SenderLaws
from tests.simulation.money import PortfolioLaws
from tests.simulation.shells import Shell, Streams

NS = 1_000_000_000
T0 = 1_398_902_400 * NS
"""A Thursday, 2014-05-01 00:00 UTC."""
ZERO = Decimal(0)
STRATEGIES = ("s1", "s2")
MAX_POSITION = Decimal(6)
OWN = {"s1": Decimal(4)}
PER_MINUTE = 40
PRICES = {"EURUSD": Decimal("1.30000"), "USDJPY": Decimal("100.000")}

FAULTS = (
    "answer_lost_order_there",
    "answer_lost_order_not_there",
    "not_sent",
    "arrived_late",
    "event_lost",
    "event_repeated",
    "events_shuffled",
    "disconnected",
    "router_crashed",
    "portfolio_crashed",
    "sender_crashed_before_commit",
    "sender_crashed_after_commit",
    "sender_crashed_midway",
    "commit_refused_halted",
    "books_unavailable",
    "books_unanswered",
    "order_hidden",
    "broker_refused",
    "partly_filled",
    "filled_before_cancel",
    "corrected",
    "busted",
    "priced_late",
    "ended_by_broker",
    "amended_by_broker",
    "traded_by_hand",
    "order_of_others",
    "moved_without_trade",
    "paid_in",
    "halted",
    "resumed",
    "flattened",
    "strategy_stopped",
    "signal_repeated",
    "breaker_tripped",
    "order_unknown",
)
"""Each must have happened in a long run, or the run has proved nothing."""


def instruments(spot: bool) -> dict[str, Instrument]:
    """EURUSD and USDJPY; on margin, or paid in full."""
    kind: Any = "crypto" if spot else "fx"
    common: dict[str, Any] = {"asset_class": kind, "contract_size": Decimal(1000), "calendar": "24/7"}
    eurusd = Instrument(symbol="EURUSD", currency="USD", base_currency="EUR", tick_size=Decimal("0.00001"), **common)
    usdjpy = Instrument(symbol="USDJPY", currency="JPY", base_currency="USD", tick_size=Decimal("0.001"), **common)
    return {"EURUSD": eurusd, "USDJPY": usdjpy}


class World:
    """One book, from its beginning."""

    def __init__(self, chance: Random, breakers: dict[str, Any] | None = None, policy: str = "") -> None:
        """`breakers`: only these, and no limits: for a test that does the rest by itself. `policy`: of critical differences."""
        self.happened: Counter[str] = Counter()
        self.now_ns = T0
        self.spot, self.native = chance.random() < 0.5, chance.random() < 0.5
        self.policy = policy or chance.choice(["halt_and_alert", "sync_to_broker", "sync_to_local"])
        self.instruments = instruments(self.spot)
        self.broker = Broker(self.instruments, self.native, dedupe=chance.random() < 0.3, now_ns=T0, prices=dict(PRICES))
        self.streams = Streams()
        self.router = Shell(self._router(chance, breakers), RouterNode.inputs, self.streams)
        rate: dict[str, Any] = {"max_requests_per_s": chance.choice([5.0, 1000.0]), "burst": 8}
        if breakers is not None:
            rate: dict[str, Any] = {"max_requests_per_s": 1000.0, "burst": 1000}
        self.sender = Shell(self._sender(rate), (Topic.ORDERS,), self.streams)
        self.portfolio = Shell(self._portfolio(), PortfolioNode.inputs, self.streams)
        self.router_laws = RouterLaws(MAX_POSITION, OWN, PER_MINUTE)
        if breakers is not None:
            self.router_laws = RouterLaws(Decimal(10) ** 9, {}, 100)
        self.sender_laws = SenderLaws(self.broker)
        self.portfolio_laws = PortfolioLaws(self.instruments)
        self.streams.heard = self._hear
        self.inbox: list[Any] = [Disconnected(ts_event_ns=T0, detail="the sender has started")]
        """What the sender's process has been told and not yet handled; dies with it."""
        self.questions: list[AskBooks] = []
        self.under_way: list[Effect] = []
        """Requests that somebody gave up and that will reach the broker all the same."""
        self.row = False
        """The halt's row: what people and senders obey."""
        self.told: bool | None = None
        """What the sender's process knows of the row."""
        self.surprises = 0
        """Orders that reached the broker after they had been given up, and positions that came from nowhere: the books may
        differ because of these, and because of nothing else."""
        self.signals: list[Message] = []
        self._count = 0
        if breakers is None and chance.random() < 0.3:
            self.broker.by_hand(chance.choice(list(PRICES)), chance.choice(["buy", "sell"]), Decimal(2))
        for symbol in PRICES:
            self._mark(symbol)
        self.do_connect(chance)

    # -- its parts -----------------------------------------------------------------------------------------------------------

    def _router(self, chance: Random, breakers: dict[str, Any] | None) -> Any:
        on_trip = chance.choice(["refuse", "cancel", "flatten", "halt"])
        section = {
            "limits": {"max_position": str(MAX_POSITION), "max_open_orders": 24},
            "strategy_limits": [{"strategy": name, "max_position": str(most)} for name, most in OWN.items()],
            "breakers": {
                "order_rate": {"per_minute": PER_MINUTE, "cool_down_s": 20, "on_trip": "refuse"},
                "rejection_rate": {"per_minute": 6, "cool_down_s": 15},
                "drawdown": {"amount": "400", "cool_down_s": 30, "on_trip": on_trip},
                "stale_data": {"after_s": "45"},
            },
        }
        if breakers is not None:
            section = {"breakers": breakers}
        config = load_section({"router": section}, "router", RouterConfig)
        return lambda: RouterNode(config, self.instruments.values(), STRATEGIES, "wall")

    def _sender(self, rate: dict[str, Any]) -> Any:
        policy = {"every_s": 60.0, "critical": self.policy, "minor": "sync_to_broker"}
        section = {"account": "paper", "venue": "model", "reconciliation": policy} | rate
        config = load_section({"sender": section}, "sender", SendingConfig)
        return lambda: SendingNode(config, self.broker.capabilities(), "model", self.instruments)

    def _portfolio(self) -> Any:
        account = {"name": "paper", "currency": "USD", "starting_cash": str(OPENING_CASH["USD"])}
        section = {"portfolio": {"accounts": [account], "equity_interval_s": 5}}
        config = load_section(section, "portfolio", PortfolioConfig)
        return lambda: PortfolioNode(config, self.instruments.values(), "wall")

    def _hear(self, topic: Topic, message: Message) -> None:
        if isinstance(message, SubmitOrder):
            self.sender_laws.intents[message.order_id] = message
        elif isinstance(message, Alert):
            self.happened[f"alert {message.name}"] += 1
            if message.name in ("breaker_tripped", "order_unknown"):
                self.happened[message.name] += 1
            assert message.name != "reconciliation_failed" or self.surprises, f"a false alarm: {message.text}"
        elif isinstance(message, ReconciliationReport):
            self.happened[f"report {message.severity}"] += 1
            assert message.severity != "critical" or self.surprises, f"a false alarm: {message.discrepancies}"

    # -- processes -----------------------------------------------------------------------------------------------------------

    def do_run_router(self, chance: Random, most: int = 6, faulty: bool = True) -> None:
        """The router takes a batch, and perhaps dies before it has committed."""
        shell = self.router
        turn = shell.turn(self.now_ns, shell.unread()[: chance.randint(1, most)])
        if faulty and chance.random() < 0.04:
            shell.restart()
            self.happened["router_crashed"] += 1
            return
        if not shell.commit(turn, guarded=True):
            self.happened["commit_refused_halted"] += 1
            return
        self.router_laws.committed(turn, shell.blob)
        if any(isinstance(message, Halt) for _, message in turn.outputs):
            self.streams.flag = True
        shell.publish()

    def do_run_portfolio(self, chance: Random, most: int = 6, faulty: bool = True) -> None:
        """The portfolio takes a batch, and perhaps dies before it has committed, or before it has published."""
        shell = self.portfolio
        shell.publish()
        entries = shell.unread()[: chance.randint(1, most)]
        begins = [] if shell.commits else [Recalled(memory=Memory())]  # the ledger is empty; what comes then stays in mind
        turn = shell.turn(self.now_ns, entries, begins)
        if faulty and chance.random() < 0.04:
            shell.restart()
            self.happened["portfolio_crashed"] += 1
            return
        shell.commit(turn, guarded=False)
        self.portfolio_laws.committed(turn)
        if faulty and chance.random() < 0.04:
            shell.restart()
            self.happened["portfolio_crashed"] += 1
            return
        shell.publish()

    def do_run_sender(self, chance: Random, most: int = 6, faulty: bool = True) -> None:
        """One transaction of the sender, then what was decided in it; it may die before, between and after."""
        shell = self.sender
        shell.publish()
        events, self.inbox = self.inbox + self._from_wire(chance, faulty), []
        before: list[Any] = []
        if self.told != self.row:
            self.told = self.row
            before.append(self._command(Halt if self.row else Resume))
        entries = shell.unread()[: chance.randint(1, most)]
        turn = shell.turn(self.now_ns, entries, [*before, *events], [Release(now_ns=self.now_ns)])
        if faulty and chance.random() < 0.02:
            self._sender_dies("before_commit")
            return
        shell.commit(turn, guarded=False)
        self.sender_laws.committed(turn, shell.blob, self.row)
        if faulty and chance.random() < 0.02:
            self._sender_dies("after_commit")
            return
        shell.publish()
        for effect in turn.effects:
            if faulty and chance.random() < 0.02:
                self._sender_dies("midway")
                return
            self._act(effect, chance, faulty)

    def _sender_dies(self, where: str) -> None:
        self.happened[f"sender_crashed_{where}"] += 1
        self.sender.restart()
        self._cut()
        self.inbox = [Disconnected(ts_event_ns=self.now_ns, detail="the sender has started")]
        self.told = None

    def _cut(self) -> None:
        self.broker.session = False
        self.broker.wire, self.questions = [], []

    def do_drain(self, chance: Random) -> None:
        """Everybody reads everything, and nothing fails."""
        for turn in range(100):
            busy = [shell for shell in (self.router, self.portfolio) if shell.unread() or shell.outbox]
            talks = bool(self.inbox or self.broker.wire or self.sender.unread() or self.sender.outbox)
            if not turn:  # everybody is told the time, though there be nothing to read
                busy, talks = [self.router, self.portfolio], True
            if not busy and not talks:
                return
            if self.router in busy:
                self.do_run_router(chance, 50, faulty=False)
            if self.portfolio in busy:
                self.do_run_portfolio(chance, 50, faulty=False)
            if talks:
                self.do_run_sender(chance, 50, faulty=False)
        raise AssertionError("the nodes talk for ever")

    # -- effects and the wire ------------------------------------------------------------------------------------------------

    def _act(self, effect: Effect, chance: Random, faulty: bool) -> None:
        """What was decided is done, or not, or nobody knows."""
        if isinstance(effect, AskBooks):
            self.questions.append(effect)
            return
        if isinstance(effect, HaltBook):
            self._halt("reconciliation")
            return
        luck = chance.choices(["ok", "not_sent", "gone", "there", "late", "refused"], [70, 6, 7, 7, 4, 6])[0] if faulty else "ok"
        if luck == "late" and not isinstance(effect, Send | Withdraw):
            luck = "ok"
        if not self.broker.session and luck in ("ok", "refused"):
            luck = "gone"
        if luck == "not_sent":
            self.happened["not_sent"] += 1
            self.inbox.append(NotSent(order_ids=_ids(effect), request=_request(effect), detail="no route"))
            return
        if luck == "late":
            self.under_way.append(effect)
        if luck in ("ok", "there", "refused"):
            self._receive(effect, refuses=luck == "refused", heard=luck != "there")
        if luck in ("gone", "there", "late"):
            self.happened["answer_lost_order_there" if luck == "there" else "answer_lost_order_not_there"] += 1
            if isinstance(effect, Send) and chance.random() < 0.7:
                self.inbox.append(Lost(order_ids=_ids(effect), detail="cut"))

    def _receive(self, effect: Effect, refuses: bool = False, heard: bool = True) -> None:
        wire = len(self.broker.wire)
        if isinstance(effect, Withdraw):
            booked = self.broker.orders.get(effect.request.order_id)
            self.happened["filled_before_cancel"] += booked is not None and not booked.open and booked.filled > 0
        self.broker.receive(effect, refuses)
        self.happened["broker_refused"] += refuses
        if not heard:
            del self.broker.wire[wire:]
        self.sender_laws.at_broker()

    def do_arrive(self, chance: Random) -> None:
        """A request that was long given up reaches the broker."""
        if self.under_way:
            self.happened["arrived_late"] += 1
            self.surprises += 1
            self._receive(self.under_way.pop(chance.randrange(len(self.under_way))))

    def _from_wire(self, chance: Random, faulty: bool) -> list[Any]:
        wire = self.broker.wire
        if not faulty:
            events, self.broker.wire = list(wire), []
            return events
        if wire and chance.random() < 0.06:
            del wire[chance.randrange(len(wire))]
            self.happened["event_lost"] += 1
        if len(wire) > 1 and chance.random() < 0.1:
            chance.shuffle(wire)
            self.happened["events_shuffled"] += 1
        take = chance.randint(0, len(wire))
        events, self.broker.wire = wire[:take], wire[take:]
        repeatable = [event for event in self.broker.spoken[-20:] if isinstance(event, Executed)]
        if repeatable and self.broker.session and chance.random() < 0.1:
            events.append(chance.choice(repeatable))
            self.happened["event_repeated"] += 1
        return events

    def do_disconnect(self, chance: Random) -> None:
        """The session ends; what was on the wire is lost."""
        if self.broker.session:
            self._cut()
            self.inbox.append(Disconnected(ts_event_ns=self.now_ns, detail="cut"))
            self.happened["disconnected"] += 1
            if chance.random() < 0.7:
                self.do_connect(chance)

    def do_connect(self, chance: Random) -> None:
        """A session begins."""
        if not self.broker.session:
            self.broker.session = True
            self.inbox.append(Connected(ts_event_ns=self.now_ns))

    def do_answer(self, chance: Random, faulty: bool = True) -> None:
        """The broker shows its books, or does not."""
        asked, self.questions = self.questions, []
        for ask in asked:
            luck = chance.random() if faulty else 1.0
            if luck < 0.05:
                self.happened["books_unanswered"] += 1
            elif luck < 0.12:
                self.happened["books_unavailable"] += 1
                self.inbox.append(BooksUnavailable(number=ask.number, detail="busy"))
            else:
                hidden = ""
                if luck < 0.25 and (open_ids := self.broker.open_ids()):
                    hidden = open_ids[-1]
                    self.happened["order_hidden"] += 1
                self.inbox.append(self.broker.books(ask, self._ledger(), hidden))

    def _ledger(self) -> LedgerFigures | None:
        """What the portfolio's rows say, if it has read all fills; on margin, cash depends on how profits are split."""
        if self.portfolio.unread() or self.portfolio.outbox or self.portfolio_laws.unbooked or not self.spot:
            return None
        return LedgerFigures(positions=self.portfolio_laws.by_symbol(), cash=dict(self.portfolio.node.cash("paper")))

    def do_ask(self, chance: Random) -> None:
        """Somebody wants the books compared."""
        self.inbox.append(ReconcileAsked())

    # -- people --------------------------------------------------------------------------------------------------------------

    def _command(self, kind: type[Any], **fields: Any) -> Any:
        self._count += 1
        return kind(command_id=f"c{self._count}", ts_event_ns=self.now_ns, actor="me", reason="drill", **fields)

    def _halt(self, why: str) -> None:
        """The row first, then flag and message in one commit."""
        self.row = self.streams.flag = True
        self.streams.publish([(Topic.CONTROL, self._command(Halt))])
        self.happened[f"halted by {why}"] += 1

    def do_halt(self, chance: Random) -> None:
        """Somebody halts the book, perhaps twice; perhaps a node did, and the row follows."""
        if self.streams.flag and not self.row:
            self.row = True  # the gateway adopts the flag
            return
        self._halt("a person")
        self.happened["halted"] += 1

    def do_resume(self, chance: Random) -> None:
        """Somebody lifts the halt."""
        if self.row or self.streams.flag or chance.random() < 0.1:
            self.row = self.streams.flag = False
            self.streams.publish([(Topic.CONTROL, self._command(Resume))])
            self.happened["resumed"] += 1

    def do_flatten(self, chance: Random) -> None:
        """Somebody wants out; the command may come twice."""
        flatten = self._command(Flatten)
        self.streams.publish([(Topic.CONTROL, flatten)] * chance.randint(1, 2))
        self.happened["flattened"] += 1

    def do_stop_strategy(self, chance: Random) -> None:
        """A strategy is stopped or started."""
        kind = chance.choice([StopStrategy, StartStrategy, StartStrategy, StartStrategy])
        self.streams.publish([(Topic.CONTROL, self._command(kind, strategy_id=chance.choice(STRATEGIES)))])
        self.happened["strategy_stopped"] += kind is StopStrategy

    # -- market and time -----------------------------------------------------------------------------------------------------

    def _mark(self, symbol: str) -> None:
        price = float(self.broker.prices[symbol])
        mark = Mark(symbol=symbol, ts_event_ns=self.now_ns, bid=price, ask=price, last=price)
        self.streams.publish([(Topic.MARKS, mark)])

    def do_market(self, chance: Random) -> None:
        """A price moves."""
        symbol = chance.choice(list(PRICES))
        tick = self.instruments[symbol].tick_size
        self.broker.prices[symbol] += chance.randint(-400, 400) * tick
        self._mark(symbol)
        if chance.random() < 0.2:
            price = float(self.broker.prices[symbol])
            times = {"ts_open_ns": self.now_ns - 60 * NS, "ts_close_ns": self.now_ns}
            prices = dict.fromkeys(("open", "high", "low", "close"), price)
            self.streams.publish([(Topic.BARS, Bar(symbol=symbol, interval="1m", price="bid", **times, **prices))])

    def do_wait(self, chance: Random) -> None:
        """Time passes; where it is much, whoever lives has read what there was."""
        seconds = chance.choice([0.05, 0.3, 0.3, 1, 2, 6, 6, 20])
        if chance.random() < 0.03:
            seconds = 61
        if seconds >= 1:
            self.do_drain(chance)
        self._advance(seconds)
        if chance.random() < 0.9:
            for symbol in PRICES:
                self._mark(symbol)

    def _advance(self, seconds: float) -> None:
        for execution in self.broker.standing():
            if execution.commission is None and self.now_ns - execution.ts_event_ns > 20 * NS:
                self.broker.price_late(execution)
        self.now_ns += int(seconds * NS)
        self.broker.now_ns = self.now_ns

    # -- the broker ----------------------------------------------------------------------------------------------------------

    def do_trade(self, chance: Random) -> None:
        """An order trades, whole or in part; market orders rather than others."""
        at_work = self.broker.at_work()
        if not at_work:
            return
        market = [order_id for order_id in at_work if self.broker.orders[order_id].order.order_type == "market"]
        order_id = chance.choice(market if market and chance.random() < 0.6 else at_work)
        room = self.broker.orders[order_id].room
        quantity = Decimal(chance.randint(1, int(room))) if chance.random() < 0.5 else room
        self.happened["partly_filled"] += quantity < room
        priced = chance.random() < 0.8
        self.broker.trade(order_id, quantity, priced)

    def do_price(self, chance: Random) -> None:
        """A commission becomes known."""
        unpriced = [each for each in self.broker.standing() if each.commission is None]
        if unpriced:
            self.broker.price_late(chance.choice(unpriced))
            self.happened["priced_late"] += 1

    def do_correct(self, chance: Random) -> None:
        """An execution of an order that has ended, and has no exits, is corrected or busted."""
        linked = {booked.order.parent_id for booked in self.broker.orders.values()}
        known = self.sender_laws.intents
        linked |= {order.parent_id for order in known.values()}
        standing = [
            each
            for each in self.broker.standing()[-8:]
            if each.order_id not in linked
            and (each.order_id not in known or known[each.order_id].parent_id is None)
            and each.order_id not in self.broker.open_ids()
        ]
        if not standing:
            return
        execution = chance.choice(standing)
        quantity = Decimal(chance.randint(0, int(execution.quantity)))
        price = execution.price + chance.randint(-5, 5) * self.instruments[execution.symbol].tick_size
        self.broker.correct(execution, quantity, price)
        self.happened["corrected" if quantity else "busted"] += 1

    def do_end(self, chance: Random) -> None:
        """The broker ends an order by itself."""
        if open_ids := self.broker.open_ids():
            self.broker.end(chance.choice(open_ids), chance.choice(["cancelled", "expired"]))
            self.happened["ended_by_broker"] += 1

    def do_amend(self, chance: Random) -> None:
        """The price of an order is changed by hand at the broker."""
        limits = [o for o in self.broker.open_ids() if self.broker.orders[o].order.limit_price is not None]
        if limits:
            order_id = chance.choice(limits)
            booked = self.broker.orders[order_id]
            tick = self.instruments[booked.order.symbol].tick_size
            self.broker.amend(order_id, limit_price=booked.order.limit_price + chance.randint(1, 9) * tick)
            self.happened["amended_by_broker"] += 1

    def do_by_hand(self, chance: Random) -> None:
        """Somebody trades in our account elsewhere, or has an order there."""
        symbol, side = chance.choice(list(PRICES)), chance.choice(["buy", "sell"])
        if chance.random() < 0.5:
            self.broker.by_hand(symbol, side, Decimal(chance.randint(1, 2)))
            self.happened["traded_by_hand"] += 1
            return
        name = f"other-{len(self.broker.externals)}"
        self.broker.externals[name] = VenueOrder(
            order_id="", venue_order_id=name, symbol=symbol, side=side, quantity=Decimal(1), filled=ZERO, order_type="limit"
        )
        self.happened["order_of_others"] += 1

    def do_move(self, chance: Random) -> None:
        """Contracts come or go without an execution, or money does: the books differ, truly."""
        if not self.sender_laws.opened:
            return
        if chance.random() < 0.5:
            symbol = chance.choice(list(PRICES))
            self.broker.moved[symbol] = self.broker.moved.get(symbol, ZERO) + chance.choice([-1, 1])
            self.happened["moved_without_trade"] += 1
            self.surprises += 1
        else:
            self.broker.money["USD"] = self.broker.money.get("USD", ZERO) + chance.choice([-3, 7])
            self.happened["paid_in"] += 1

    # -- strategies ----------------------------------------------------------------------------------------------------------

    def do_wish(self, chance: Random) -> None:
        """A strategy wishes something; sometimes the same twice."""
        if self.signals and chance.random() < 0.05:
            self.streams.publish([(Topic.SIGNALS, chance.choice(self.signals[-20:]))])
            self.happened["signal_repeated"] += 1
            return
        self._count += 1
        strategy_id = chance.choice(STRATEGIES)
        symbol = "EURUSD" if chance.random() < 0.7 else "USDJPY"
        origin = {"cause": f"b{self._count}", "root": f"b{self._count}", "ts_event_ns": self.now_ns}
        about = {"id": f"{strategy_id}/{self._count}/0", "strategy_id": strategy_id, "symbol": symbol} | origin
        wish = self._wish(chance, symbol, about)
        self.signals.append(wish)
        self.streams.publish([(Topic.SIGNALS, wish)])

    def _wish(self, chance: Random, symbol: str, about: dict[str, Any]) -> Message:
        kind = chance.choice(["enter"] * 4 + ["bracket"] * 4 + ["exit", "exit", "reduce", "target", "cancel", "modify", "modify"])
        mine = [
            order_id
            for order_id, order in self.sender_laws.intents.items()
            if (order.strategy_id, order.symbol) == (about["strategy_id"], symbol)
        ][-6:]
        if kind == "cancel":
            return CancelRequest(**about, order_id=chance.choice(mine) if mine and chance.random() < 0.6 else None)
        if kind == "modify" and mine:
            price = self._near(chance, symbol, chance.choice([-1, 1]))
            terms: dict[str, Any] = (
                {"quantity": Decimal(chance.randint(1, 4))} if chance.random() < 0.7 else {"limit_price": price}
            )
            return ModifyRequest(**about, order_id=chance.choice(mine), **terms)
        valid = self.now_ns + chance.choice([0, 1, 30]) * NS if chance.random() < 0.15 else None
        common = about | {"valid_until_ns": valid}
        side = chance.choice(["buy", "sell"])
        if kind == "bracket":
            away = 1 if side == "buy" else -1
            exits = {"take_profit": self._near(chance, symbol, away), "stop_loss": self._near(chance, symbol, -away)}
            return Signal(**common, action="enter", side=side, quantity=Decimal(chance.randint(1, 4)), **exits)
        how: dict[str, Any] = chance.choice([{}, {}, {"order_type": "limit", "limit_price": self._near(chance, symbol, -1)}])
        if kind == "reduce":
            return Signal(**common, action="reduce", quantity=Decimal(chance.randint(1, 3)), **how)
        if kind == "target":
            return Signal(**common, action="target", target=Decimal(chance.randint(-4, 4)), **how)
        if kind == "exit":
            return Signal(**common, action="exit", **how)
        return Signal(**common, action="enter", side=side, quantity=Decimal(chance.randint(1, 4)), **how)

    def _near(self, chance: Random, symbol: str, direction: int) -> Decimal:
        """A price some way above or below the market's."""
        return self.broker.prices[symbol] + direction * chance.randint(500, 2000) * self.instruments[symbol].tick_size


def _ids(effect: Any) -> tuple[str, ...]:
    return tuple(order.order_id for order, _ in effect.orders) if isinstance(effect, Send) else (effect.request.order_id,)


def _request(effect: Effect) -> Any:
    return "submit" if isinstance(effect, Send) else "cancel" if isinstance(effect, Withdraw) else "modify"
