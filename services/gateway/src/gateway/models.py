"""What the gateway says of a book: one frozen model per row or report, the same for API and page.

Money and quantities are decimals, written as strings; times are integer nanoseconds with their ISO 8601 UTC twin.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, PlainSerializer, computed_field

from gateway.format import iso

Money = Annotated[Decimal, PlainSerializer(lambda value: format(value, "f"), return_type=str, when_used="json")]
OrderState = Literal[
    "NEW",
    "SENDING",
    "ACKED",
    "PARTIALLY_FILLED",
    "FILLED",
    "PENDING_CANCEL",
    "CANCELLED",
    "PENDING_MODIFY",
    "REJECTED",
    "EXPIRED",
    "UNKNOWN",
]
T = TypeVar("T")


class Row(BaseModel):
    """Base of all: frozen, no surprises."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Event(Row):
    """Something that happened at a time."""

    ts_event_ns: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def ts_event(self) -> str:
        """`ts_event_ns` as ISO 8601 UTC, to the nanosecond."""
        return iso(self.ts_event_ns)


class Position(Event):
    """One strategy's position in one symbol; money in `currency`."""

    account: str
    strategy_id: str
    symbol: str
    quantity: Money
    """Signed contracts."""
    average_price: Money
    realised_pnl: Money
    commission: Money
    currency: str
    fifo_realised_pnl: Money = Decimal(0)
    """Realised by first in, first out; `realised_pnl` is by average cost."""


class Order(Event):
    """An intent of the ledger, and how far it came."""

    order_id: str
    account: str
    strategy_id: str
    signal_id: str
    symbol: str
    side: str
    quantity: Money
    filled: Money
    order_type: str
    limit_price: Money | None
    stop_price: Money | None
    time_in_force: str
    state: OrderState
    detail: str
    venue_order_id: str
    updated_ns: int


class Fill(Event):
    """One execution as the portfolio booked it."""

    exec_id: str
    account: str
    order_id: str
    signal_id: str
    strategy_id: str
    symbol: str
    side: str
    quantity: Money
    price: Money
    commission: Money
    commission_currency: str
    realised_pnl: Money
    currency: str
    state: str = "booked"
    """`booked`: it counts. `replaced` by a correction, `waiting` for what it corrects, `unbooked`: it does not."""
    corrects: str = ""
    """`exec_id` that it replaces."""


class Rejection(Event):
    """A signal that became no order."""

    signal_id: str
    strategy_id: str
    symbol: str
    reason: str
    detail: str


class Equity(Event):
    """An account valued at the marks of its time."""

    account: str
    currency: str
    cash: Money
    equity: Money
    unrealised_pnl: Money
    realised_pnl: Money
    drawdown: Money | None = None
    """Below the highest equity so far; deposits and withdrawals are none."""
    flows: Money = Decimal(0)
    """Deposits less withdrawals so far, part of `equity`."""


class CashAdjustment(Event):
    """Cash that came or went without a trade."""

    account: str
    reference: str
    kind: str
    currency: str
    amount: Money
    """Negative: it went out."""
    source: str
    """`control`: a person commanded it; `sender`: the broker's books have it."""
    actor: str
    reason: str


class BrokerAccount(Event):
    """An account as its broker shows it, when its sender last looked."""

    account: str
    currency: str
    cash: Money
    equity: Money
    buying_power: Money
    daily_pnl: Money | None
    """Since the broker's day began; null: the broker does not say."""
    unrealised_pnl: Money | None
    realised_pnl: Money | None


class Reconciliation(Event):
    """A comparison of the broker's books with ours."""

    account: str
    severity: str
    """`clean`, `minor` or `critical`."""
    discrepancies: list[str]


class Lot(Row):
    """What one fill opened and is still open, first in, first out."""

    account: str
    strategy_id: str
    symbol: str
    exec_id: str
    opened_ns: int
    quantity: Money
    """Signed contracts that it opened."""
    open_quantity: Money
    price: Money

    @computed_field  # type: ignore[prop-decorator]
    @property
    def opened(self) -> str:
        """`opened_ns` as ISO 8601 UTC."""
        return iso(self.opened_ns)


class Balance(Row):
    """One account of the ledger, in one currency; debits are positive."""

    account: str
    ledger: str
    currency: str
    amount: Money


class Day(Row):
    """An account on one day, UTC; money in its base currency."""

    account: str
    day: date
    currency: str
    first_equity: Money
    highest_equity: Money
    lowest_equity: Money
    last_equity: Money
    profit: Money
    largest_drawdown: Money
    fills: int
    winners: int
    losers: int
    flows: Money
    """Deposits less withdrawals of the day, no part of `profit`."""


class Step(Event):
    """One thing that happened on the way to a trade."""

    stage: str
    id: str
    published_ns: int
    """When it was put on its stream; 0: not known any more."""
    text: str
    found_in: str
    said: dict[str, Any]


class Story(Row):
    """The way to one execution, order or wish, oldest step first."""

    id: str
    kind: str
    steps: list[Step]
    missing: list[str]
    """What should be there and is not, and why."""


class Bar(Row):
    """One completed bar; prices are market floats."""

    ts_open_ns: int
    ts_close_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    tick_count: int
    seq: int = 0
    """Its number among the bars that open at the same time."""
    revised_ns: int = 0
    """When it was made whole from the broker's history; 0: it is as it was published."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def ts_open(self) -> str:
        """`ts_open_ns` as ISO 8601 UTC."""
        return iso(self.ts_open_ns)


class Series(Row):
    """A kind of bar that the book holds."""

    symbol: str
    interval: str
    price: str


class Instrument(Row):
    """A traded thing, as seeded from the configuration."""

    symbol: str
    asset_class: str
    currency: str
    base_currency: str
    tick_size: Money
    contract_size: Money
    quantity_step: Money
    calendar: str


class Strategy(Row):
    """A configured strategy instance."""

    id: str
    strategy: str
    symbols: list[str]
    interval: str
    params: dict[str, Any]
    enabled: bool


class Page(Row, Generic[T]):
    """Some rows, and the cursor that gives the ones after them."""

    items: list[T]
    next: str | None = None
    """Pass as `cursor`; null: there are no more."""


class Halt(Row):
    """Whether new orders are stopped, and who said so, why and when."""

    halted: bool
    actor: str = ""
    reason: str = ""
    at_ns: int = 0

    @computed_field  # type: ignore[prop-decorator]
    @property
    def at(self) -> str | None:
        """`at_ns` as ISO 8601 UTC; null: never commanded."""
        return iso(self.at_ns) if self.at_ns else None


class Node(Row):
    """One node's health as the bus knows it."""

    name: str
    rank: int
    seq: int
    """Commits so far."""
    lag: dict[str, int]
    """Topic -> entries not yet read."""
    refused: dict[str, int]
    """Why commits were refused -> how often."""
    last_seen_ms: int
    """Since its last sign of life."""
    worker: str


class Feed(Event):
    """A feed's last word on itself."""

    feed: str
    symbol: str
    state: str
    dropped: int
    detail: str


class Alert(Event):
    """Something that a person should know; each name has a page in `docs/runbooks/`."""

    id: str
    """Its place on the stream: `<entry>/<index>`."""
    name: str
    severity: Literal["info", "warning", "critical"]
    source: str
    text: str
    """What happened, to which id, and what to do next."""


class Status(Row):
    """The book at a glance."""

    book: str
    lineage: str
    clock: Literal["wall", "feed"]
    now_ns: int
    """The book's own time: event time where the clock is `feed`."""
    halt: Halt
    nodes: list[Node]
    feeds: list[Feed]
    problems: list[str]
    """What is away, and what to do; empty: all is well."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def now(self) -> str | None:
        """`now_ns` as ISO 8601 UTC; null: the book's time is not known yet."""
        return iso(self.now_ns) if self.now_ns else None


class Problem(Row):
    """Every error's body."""

    error: str
    """What happened, to which id, what to do."""
