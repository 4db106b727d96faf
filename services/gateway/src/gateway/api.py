"""The HTTP API under /api/v1: reads of the ledger, halt and resume, and the probes.

In:   requests that `gateway.security` let in.   Out: models as JSON; every error is `{"error": "what, which id, what to do"}`.
Not:  anything internal in an answer: stack traces, addresses, secrets stay in the log.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from time import perf_counter
from typing import Annotated, Literal

import structlog
from fastapi import APIRouter, Depends, FastAPI, Header, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.middleware.base import RequestResponseEndpoint

from barque.bus.redis_bus import RedisBus
from barque.errors import BarqueError
from barque.messages import AdjustCash, CashKind, Flatten, StartStrategy, StopStrategy
from barque.observability.health import Health
from barque.why import unknown
from gateway.commands import Commands
from gateway.format import nanoseconds
from gateway.live import Live, newest_alerts
from gateway.models import (
    Alert,
    Balance,
    Bar,
    BrokerAccount,
    CashAdjustment,
    Day,
    Equity,
    Fill,
    Halt,
    Instrument,
    Lot,
    Order,
    OrderState,
    Page,
    Position,
    Problem,
    Reconciliation,
    Rejection,
    Series,
    Status,
    Story,
    Strategy,
)
from gateway.queries import END_OF_TIME, MAX_ROWS, Cursor, Ledger, Scope
from gateway.security import Guard, Refused

REQUESTS = Counter("barque_gateway_requests", "Requests answered, by route and status.", ("route", "status"))
REQUEST_SECONDS = Histogram("barque_gateway_request_seconds", "Time to answer a request.", ("route",))

log = structlog.get_logger()

ALERTS_READ = 500

Limit = Annotated[int, Query(ge=1, le=MAX_ROWS, description=f"At most so many rows, 1 to {MAX_ROWS}.")]
Symbol = Annotated[str | None, Query(max_length=64)]
StrategyId = Annotated[str, Path(max_length=64, description="As in `[[strategies]]`.")]
CursorText = Annotated[str | None, Query(max_length=200, description="`next` of the page before.")]
Since = Annotated[str | None, Query(alias="from", max_length=64, description="ISO 8601 or ns, inclusive.")]
Until = Annotated[str | None, Query(alias="to", max_length=64, description="ISO 8601 or ns, exclusive.")]
Authorization = Annotated[str | None, Header(max_length=1_000)]
IdempotencyKey = Annotated[str | None, Header(pattern=r"^[\w./:-]{1,100}$", description="The command's id; a repeat is one.")]


@dataclass(frozen=True, slots=True)
class Services:
    """What a request may use; lives in `app.state` from start to stop."""

    book: str
    ledger: Ledger
    streams: RedisBus
    """For questions about the past; nothing waits on it."""
    live: Live
    commands: Commands
    guard: Guard
    health: Health


def services_of(request: Request) -> Services:
    """The running services."""
    services: Services = request.app.state.services
    return services


async def scope_of(request: Request) -> Scope:
    """The book's current history."""
    services = services_of(request)
    return await services.ledger.scope(services.book)


Use = Annotated[Services, Depends(services_of)]
In = Annotated[Scope, Depends(scope_of)]

probes = APIRouter(tags=["probes"])
api = APIRouter(prefix="/api/v1", responses={code: {"model": Problem} for code in (401, 403, 422, 503)})


@probes.get("/healthz")
async def healthz(use: Use, response: Response) -> dict[str, bool]:
    """Whether the process lives."""
    alive = use.health.alive()
    response.status_code = 200 if alive else 503
    return {"alive": alive}


@probes.get("/readyz")
async def readyz(use: Use, response: Response) -> dict[str, object]:
    """Whether Postgres and Redis answer, and what is wrong where they do not."""
    reasons = use.health.reasons()
    response.status_code = 503 if reasons else 200
    return {"ready": not reasons, "reasons": reasons}


@probes.get("/metrics", response_class=Response)
async def metrics() -> Response:
    """Prometheus text."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@api.get("/status", tags=["book"])
async def status(use: Use) -> Status:
    """The book at a glance: clock, halt, nodes, feeds, and what is away. At most a second old."""
    return use.live.view.status


@api.get("/positions", tags=["book"])
async def positions(use: Use, scope: In) -> list[Position]:
    """Every position, open and closed, by symbol and strategy."""
    return await use.ledger.positions(scope)


@api.get("/orders", tags=["book"])
async def orders(
    use: Use, scope: In, state: OrderState | None = None, symbol: Symbol = None, limit: Limit = 100, cursor: CursorText = None
) -> Page[Order]:
    """Orders by time of decision, newest first."""
    return await use.ledger.orders(scope, limit, _cursor(cursor), state, symbol)


@api.get("/fills", tags=["book"])
async def fills(
    use: Use,
    scope: In,
    symbol: Symbol = None,
    limit: Limit = 100,
    cursor: CursorText = None,
    since: Since = None,
    replaced: Annotated[bool, Query(description="Also what a correction has replaced, waits, or could not be booked.")] = False,
) -> Page[Fill]:
    """Executions that count, newest first."""
    return await use.ledger.fills(scope, limit, _cursor(cursor), symbol, _time("from", since, 0), replaced)


@api.get("/rejections", tags=["book"])
async def rejections(use: Use, scope: In, limit: Limit = 100, cursor: CursorText = None) -> Page[Rejection]:
    """Signals that became no order, newest first."""
    return await use.ledger.rejections(scope, limit, _cursor(cursor))


@api.get("/equity", tags=["book"])
async def equity(
    use: Use, scope: In, account: Symbol = None, limit: Limit = 500, since: Since = None, until: Until = None
) -> list[Equity]:
    """The newest valuations in [from, to), oldest first."""
    return await use.ledger.equity(scope, limit, account, _time("from", since, 0), _time("to", until, END_OF_TIME))


@api.get("/days", tags=["book"])
async def days(use: Use, scope: In, account: Symbol = None, limit: Limit = 100) -> list[Day]:
    """Daily statistics of accounts, newest first."""
    return await use.ledger.days(scope, limit, account)


@api.get("/lots", tags=["book"])
async def lots(use: Use, scope: In) -> list[Lot]:
    """Open lots, first in, first out."""
    return await use.ledger.lots(scope)


@api.get("/balances", tags=["book"])
async def balances(use: Use, scope: In) -> list[Balance]:
    """The journal's accounts by currency; they sum to zero."""
    return await use.ledger.balances(scope)


@api.get("/cash-adjustments", tags=["book"])
async def cash_adjustments(use: Use, scope: In, account: Symbol = None, limit: Limit = 100) -> list[CashAdjustment]:
    """Cash that came or went without a trade, newest first."""
    return await use.ledger.cash_adjustments(scope, limit, account)


@api.get("/accounts", tags=["book"])
async def accounts(use: Use, scope: In) -> list[BrokerAccount]:
    """Accounts as their brokers show them: equity, buying power, profit of the day. On paper there are none."""
    return await use.ledger.broker_accounts(scope)


@api.get("/reconciliations", tags=["book"])
async def reconciliations(use: Use, scope: In, account: Symbol = None, limit: Limit = 100) -> list[Reconciliation]:
    """Comparisons with the broker's books, newest first."""
    return await use.ledger.reconciliations(scope, limit, account)


@api.get("/alerts", tags=["book"])
async def alerts(
    use: Use, limit: Limit = 100, severity: Annotated[Literal["info", "warning", "critical"] | None, Query()] = None
) -> list[Alert]:
    """What a person should know, newest first: of the book's last 500 entries, as far back as its streams are kept."""
    return await newest_alerts(use.streams, ALERTS_READ, limit, severity)


@api.get("/why/{name:path}", tags=["book"], responses={404: {"model": Problem}})
async def why(use: Use, scope: In, name: Annotated[str, Path(max_length=300)]) -> Story:
    """Why did it trade? From an execution, an order or a signal back to the market that it came of."""
    story = await use.ledger.why(scope, use.streams, name)
    if story is None:
        raise Refused(404, unknown(use.book, name, await use.ledger.retired(scope)))
    return story


@api.get("/bars", tags=["market"])
async def bars(
    use: Use,
    scope: In,
    symbol: Annotated[str, Query(max_length=64)],
    interval: Annotated[str, Query(max_length=32)] = "1m",
    price: Literal["bid", "ask", "mid", "last"] = "bid",
    limit: Limit = 500,
    since: Since = None,
    until: Until = None,
) -> list[Bar]:
    """The newest bars that open in [from, to), oldest first."""
    series = Series(symbol=symbol, interval=interval, price=price)
    return await use.ledger.bars(scope, series, limit, _time("from", since, 0), _time("to", until, END_OF_TIME))


@api.get("/series", tags=["market"])
async def series(use: Use, scope: In) -> list[Series]:
    """Which bars there are."""
    return await use.ledger.series(scope)


@api.get("/instruments", tags=["configuration"])
async def instruments(use: Use) -> list[Instrument]:
    """What can be traded."""
    return await use.ledger.instruments()


@api.get("/strategies", tags=["configuration"])
async def strategies(use: Use) -> list[Strategy]:
    """What is configured to trade."""
    return await use.ledger.strategies(use.book)


class Command(BaseModel):
    """Body of a command."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)
    reason: str = Field(min_length=1, max_length=500, description="For whoever reads the log later.")


class Commanded(BaseModel):
    """A command was carried out."""

    command_id: str
    halt: Halt


@api.post("/halt", tags=["control"])
async def halt(
    use: Use, request: Request, command: Command, authorization: Authorization = None, idempotency_key: IdempotencyKey = None
) -> Commanded:
    """Stop every new order. Needs the token where one is configured."""
    use.guard.authorise_halt(authorization)
    command_id = await use.commands.halt(_actor(request), command.reason, idempotency_key)
    return Commanded(command_id=command_id, halt=(await use.live.look()).status.halt)


class Asked(BaseModel):
    """A request was passed on."""

    command_id: str


class LimitCommand(Command):
    """Which limit, and its new value."""

    limit: str = Field(max_length=64)
    value: str = Field(min_length=1, max_length=64, description="A number; or the word `none`, which takes the limit away.")
    symbol: str = Field("", max_length=64)
    strategy_id: str = Field("", max_length=64)


class CashCommand(Command):
    """Cash that came or went without a trade."""

    account: str = Field(min_length=1, max_length=64)
    kind: CashKind
    currency: str = Field(pattern=r"^[A-Z0-9]{2,12}$")
    amount: Decimal = Field(allow_inf_nan=False, max_digits=30, description="By what cash changes; negative: it goes out.")
    reference: str = Field(
        min_length=1, max_length=200, description="The broker's; a second one of the same reference is the same."
    )
    at: str | None = Field(None, max_length=64, description="When it happened, ISO 8601 or ns; now if not given.")


@api.post("/flatten", tags=["control"])
async def flatten(
    use: Use, request: Request, command: Command, authorization: Authorization = None, idempotency_key: IdempotencyKey = None
) -> Asked:
    """Cancel every order and close every position; while the book is halted only cancel. Always needs the token."""
    use.guard.authorise_resume(authorization)
    return Asked(command_id=await use.commands.tell(Flatten, _actor(request), command.reason, idempotency_key))


@api.post("/strategies/{strategy_id}/stop", tags=["control"])
async def stop_strategy(
    use: Use,
    request: Request,
    strategy_id: StrategyId,
    command: Command,
    authorization: Authorization = None,
    idempotency_key: IdempotencyKey = None,
) -> Asked:
    """Let a strategy open nothing more. Needs the token where one is configured."""
    use.guard.authorise_halt(authorization)
    about = (StopStrategy, strategy_id, _actor(request), command.reason, idempotency_key)
    return Asked(command_id=await use.commands.tell_strategy(*about))


@api.post("/strategies/{strategy_id}/start", tags=["control"])
async def start_strategy(
    use: Use,
    request: Request,
    strategy_id: StrategyId,
    command: Command,
    authorization: Authorization = None,
    idempotency_key: IdempotencyKey = None,
) -> Asked:
    """Let a strategy trade again, and reset what has tripped for it. Always needs the token."""
    use.guard.authorise_resume(authorization)
    about = (StartStrategy, strategy_id, _actor(request), command.reason, idempotency_key)
    return Asked(command_id=await use.commands.tell_strategy(*about))


@api.post("/limits", tags=["control"])
async def set_limit(
    use: Use, request: Request, command: LimitCommand, authorization: Authorization = None, idempotency_key: IdempotencyKey = None
) -> Asked:
    """Change one risk limit; one that there is not is refused. Always needs the token."""
    use.guard.authorise_resume(authorization)
    about = (_actor(request), command.reason, idempotency_key)
    fields = {"limit": command.limit, "value": command.value, "symbol": command.symbol, "strategy_id": command.strategy_id}
    return Asked(command_id=await use.commands.set_limit(*about, **fields))


@api.post("/cash-adjustments", tags=["control"])
async def adjust_cash(
    use: Use, request: Request, command: CashCommand, authorization: Authorization = None, idempotency_key: IdempotencyKey = None
) -> Asked:
    """Book cash that came or went without a trade; what cannot be booked is told by an alert. Always needs the token."""
    use.guard.authorise_resume(authorization)
    about = (_actor(request), command.reason, idempotency_key)
    fields = command.model_dump(include={"account", "kind", "currency", "amount", "reference"})
    return Asked(command_id=await use.commands.tell(AdjustCash, *about, **fields, at_ns=_time("at", command.at, 0)))


@api.post("/reconcile", tags=["control"])
async def reconcile(use: Use, request: Request, authorization: Authorization = None) -> Asked:
    """Compare the broker's books with ours now; the report appears under `/reconciliations`. Needs the token where one is set."""
    use.guard.authorise_halt(authorization)
    return Asked(command_id=await use.commands.reconcile(_actor(request)))


@api.post("/resume", tags=["control"])
async def resume(
    use: Use, request: Request, command: Command, authorization: Authorization = None, idempotency_key: IdempotencyKey = None
) -> Commanded:
    """Lift the halt. Always needs the token."""
    use.guard.authorise_resume(authorization)
    command_id = await use.commands.resume(_actor(request), command.reason, idempotency_key)
    return Commanded(command_id=command_id, halt=(await use.live.look()).status.halt)


@api.api_route("/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"], include_in_schema=False)
async def nothing_here(path: str) -> None:
    """Keeps unknown paths from reaching the page."""
    raise HTTPException(404, f"there is no /api/v1/{path[:100]}; /openapi.json lists what there is")


def install(app: FastAPI) -> None:
    """Put routes, error bodies and metrics into `app`."""
    app.include_router(probes)
    app.include_router(api)
    app.middleware("http")(_measured)

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> JSONResponse:
        return _problem(error.status, str(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        return _problem(422, "; ".join(f"{e['loc'][-1]}: {e['msg'][:1].lower()}{e['msg'][1:]}" for e in error.errors()))

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> JSONResponse:
        return _problem(error.status_code, str(error.detail))

    @app.exception_handler(BarqueError)
    async def unavailable(_: Request, error: BarqueError) -> JSONResponse:
        return _problem(503, str(error))

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> JSONResponse:
        log.error("request_failed", path=request.url.path, exc_info=error)
        return _problem(500, f"the gateway failed on {request.url.path}; its log says why (event request_failed)")


async def _measured(request: Request, call_next: RequestResponseEndpoint) -> Response:
    started = perf_counter()
    response = await call_next(request)
    route = getattr(request.scope.get("route"), "path", "page")
    REQUESTS.labels(route, response.status_code).inc()
    REQUEST_SECONDS.labels(route).observe(perf_counter() - started)
    return response


def _problem(status: int, error: str) -> JSONResponse:
    return JSONResponse(Problem(error=error).model_dump(), status)


def _actor(request: Request) -> str:
    return f"api:{request.client.host if request.client else 'local'}"


def _cursor(text: str | None) -> Cursor:
    try:
        return Cursor.parse(text)
    except ValueError:
        raise Refused(422, "cursor: not one of ours; pass the `next` of the page before") from None


def _time(name: str, text: str | None, default: int) -> int:
    if text is None:
        return default
    try:
        ns = nanoseconds(text)
    except ValueError:
        raise Refused(422, f"{name}: '{text}' is no time; pass ISO 8601 such as 2014-05-01T00:00:00Z, or ns") from None
    if not 0 <= ns <= END_OF_TIME:
        raise Refused(422, f"{name}: '{text}' is out of range")
    return ns
