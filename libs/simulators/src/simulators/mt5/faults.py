"""What goes wrong at a chosen call, and how.

In:   a function's name, when, what.   Out: which fault is due at this call.
Not:  doing it (`terminal`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

When = Literal["before", "during", "after"]
What = Literal["ipc", "hang", "cut", "retcode"]


@dataclass
class Fault:
    """Happens at the next `times` calls of `function`.

    `before`: the trade server has not heard of the request. `during`: it has carried it out and the answer is on its way.
    `after`: the caller has its answer; what follows is broken (a `hang` there delays the next call).

    `ipc`: the terminal is gone for the package until it is initialised anew: None, `last_error` -10004, -10005 (`during`).
    `hang`: the call takes `seconds` longer. `cut`: the bridge's connections break (RPyC only).
    `retcode`: the server answers `retcode`; `during`: although it has carried the request out.
    """

    when: When = "before"
    what: What = "ipc"
    function: str = "order_send"
    seconds: float = 0.0
    retcode: int = 0
    times: int = 1
    actions: tuple[int, ...] = ()
    """Of `order_send`: only for requests with one of these actions; none: for all."""


@dataclass
class Faults:
    """Those to come and those that were."""

    coming: list[Fault] = field(default_factory=list)
    happened: list[tuple[str, When, What]] = field(default_factory=list)

    def add(self, fault: Fault) -> None:
        """After those that wait already."""
        self.coming.append(fault)

    def due(self, function: str, action: int = 0) -> Fault | None:
        """The fault of this call, taken. `action`: of the request, where it has one."""
        for fault in self.coming:
            if fault.function == function and (not fault.actions or action in fault.actions):
                fault.times -= 1
                if fault.times <= 0:
                    self.coming.remove(fault)
                self.happened.append((function, fault.when, fault.what))
                return fault
        return None
