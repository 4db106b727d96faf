"""Scenarios: what happens to the n-th request of a kind, and what happens at a time.

In:   rules of a test.   Out: for each request that arrives, what to do with it.

    tws.script.on("placeOrder", n=1).drop("after")      the order is taken; the socket breaks before its answer
    tws.script.on("reqPositions").silence()             never answered
    tws.script.on("placeOrder", where=lambda order: order.order_ref == "exit").error(201, "no")
    tws.script.at(2.5).do(lambda: tws.quote(...))       2.5 s from now

`on` counts requests from the moment at which the rule is made; without `n` it is for all of them. Names are those of the API
(`placeOrder`, `reqMktData`), `connect` for a TCP connection, and `handshake` for the client's greeting.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import msgspec

from simulators.tws.place_order import PlaceOrder
from simulators.tws.replies import Message, error
from simulators.tws.requests import NAMES, Request

Drop = Literal["before", "after", "inside", "answered"]
"""When a socket breaks: before the request is handled; when it is, with nothing said; in the middle of the answer's first
frame; when the answer is out."""
Act: TypeAlias = Callable[[], object]
Asked: TypeAlias = Request | PlaceOrder
Where: TypeAlias = Callable[[Any], bool]
"""Looks at the typed request."""
KNOWN = ("connect", "handshake", *NAMES.values())


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What to do with a request."""

    kind: Literal["reply", "delay", "drop", "silence", "close", "error"] = "reply"
    messages: tuple[Message, ...] = ()
    code: int = 0
    text: str = ""
    delay_s: float = 0.0
    drop: Drop = "before"
    handled: bool = False
    """`silence`: the request takes effect all the same."""
    first: Act | None = None


class Rule:
    """For one kind of request; made by `Script.on`, completed by one of its methods."""

    def __init__(self, request: str, n: int | None, client_id: int | None, where: Where | None) -> None:
        self.request = request
        self.n = n
        self._client_id = client_id
        self._where = where
        self.seen = 0
        self.used = 0
        """How many requests it was applied to."""
        self.step: Step | None = None

    def is_for(self, request: str, client_id: int, body: Asked | None) -> bool:
        """True where it has something to say about this request."""
        mine = request == self.request and self.step is not None and self._client_id in (None, client_id)
        return mine and (self._where is None or (body is not None and self._where(body)))

    def reply(self, *messages: Message) -> Rule:
        """These messages instead of the usual answer; the request has no effect."""
        return self._set(Step(kind="reply", messages=messages))

    def error(self, code: int, text: str) -> Rule:
        """An error on the request's own id instead of the usual answer; the request has no effect."""
        return self._set(Step(kind="error", code=code, text=text))

    def delay(self, seconds: float) -> Rule:
        """Handled so much later; later requests may overtake it."""
        return self._set(Step(kind="delay", delay_s=seconds))

    def drop(self, when: Drop = "before") -> Rule:
        """The socket breaks."""
        return self._set(Step(kind="drop", drop=when))

    def silence(self, handled: bool = False) -> Rule:
        """No answer; with `handled` it takes effect all the same."""
        return self._set(Step(kind="silence", handled=handled))

    def close(self) -> Rule:
        """The connection is closed in order, the request has no effect."""
        return self._set(Step(kind="close"))

    def then(self, act: Act) -> Rule:
        """Call this whenever the rule is applied, before anything else."""
        if self.step is None:
            raise ValueError("first say what is to happen: on(…).silence().then(…)")
        return self._set(msgspec.structs.replace(self.step, first=act))

    def _set(self, step: Step) -> Rule:
        self.step = step
        return self


class Script:
    """All rules; the first that is for a request decides."""

    def __init__(self, schedule: Callable[[float, Act], None]) -> None:
        self._rules: list[Rule] = []
        self._schedule = schedule

    def on(self, request: str, n: int | None = None, *, client_id: int | None = None, where: Where | None = None) -> Rule:
        """`n`: only the n-th from now on, 1 is the next; of one client, and of those requests for which `where` holds."""
        if request not in KNOWN:
            raise ValueError(f"{request} is no request; known are {', '.join(sorted(KNOWN))}")
        rule = Rule(request, n, client_id, where)
        self._rules.append(rule)
        return rule

    def at(self, seconds: float) -> At:
        """So many seconds from now."""
        return At(seconds, self._schedule)

    def clear(self) -> None:
        """No rule any more; what is scheduled stays scheduled."""
        self._rules.clear()

    def step(self, request: str, client_id: int, body: Asked | None = None) -> Step | None:
        """What to do with this request; None: the usual."""
        chosen: Step | None = None
        for rule in list(self._rules):
            if not rule.is_for(request, client_id, body):
                continue
            rule.seen += 1
            if chosen is None and rule.n in (None, rule.seen):
                rule.used += 1
                chosen = rule.step
            if rule.n is not None and rule.seen >= rule.n:
                self._rules.remove(rule)
        if chosen is not None and chosen.first is not None:
            chosen.first()
        return chosen


class At:
    """A moment; made by `Script.at`."""

    def __init__(self, seconds: float, schedule: Callable[[float, Act], None]) -> None:
        self._seconds = seconds
        self._schedule = schedule

    def do(self, act: Act) -> None:
        """Anything, such as a quote or a mishap."""
        self._schedule(self._seconds, act)


def error_step(step: Step, req_id: int) -> tuple[Message, ...]:
    """What a `reply` or an `error` says."""
    return (error(req_id, step.code, step.text),) if step.kind == "error" else step.messages
