"""The error tree. An error's `disposition` says what the shell must do; nobody asks for its class.

stop         end the service (exit code `exit_code`), or the node where it is one of several
dead_letter  keep the raw bytes and where they were, go on
retry        the outside is not there: wait with backoff, try again
reject       the venue said no: tell the strategy
reconcile    nobody knows: ask the broker's books, never re-send blindly
isolate      pause that strategy, the others go on
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import ClassVar, Literal

Disposition = Literal["stop", "dead_letter", "retry", "reject", "reconcile", "isolate"]


class BarqueError(Exception):
    """Root of every error of ours."""

    disposition: ClassVar[Disposition] = "stop"
    exit_code: ClassVar[int] = 1


class ConfigError(BarqueError):
    """The configuration cannot be used; raised before anything is connected."""

    exit_code = 2


class WireError(BarqueError):
    """Bytes on the bus are not the messages they should be."""

    disposition = "dead_letter"


class BusError(BarqueError):
    """Something is wrong between us and Redis."""

    disposition: ClassVar[Disposition] = "retry"


class BusUnavailable(BusError):
    """Redis or Postgres cannot be reached; a commit under way has an unknown outcome and is issued again."""


class LineageFork(BusError):
    """Redis lost or rewound history that Postgres has already acted upon; going on would book wrongly."""

    disposition = "stop"
    exit_code = 4


class VenueError(BarqueError):
    """Something is wrong between us and a broker."""

    disposition: ClassVar[Disposition] = "retry"


class VenueUnavailable(VenueError):
    """The broker cannot be reached."""


class VenueThrottled(VenueError):
    """The broker asks us to slow down."""

    def __init__(self, text: str, retry_after_ms: int) -> None:
        super().__init__(text)
        self.retry_after_ms = retry_after_ms


class VenueRefused(VenueError):
    """The broker said no."""

    disposition = "reject"


class VenueOutcomeUnknown(VenueError):
    """The broker may or may not have it."""

    disposition = "reconcile"


class StrategyError(BarqueError):
    """A user's strategy raised."""

    disposition = "isolate"


class Overrun(BaseException):
    """A user's code was stopped because it ran too long. No `Exception`, so that no `except` of that code swallows it."""


class InvariantError(BarqueError):
    """Our bug: what must never be is. State is kept as it was."""

    exit_code = 3


SHORT, ALIKE_SHORT, ALIKE = 5, 0.6, 0.7
"""From here on a word is taken for another one misspelt; in a short word a single slip is a third. GBPUSD and BTCUSD are 0.67
alike, and two symbols."""


def nearest(word: str, valid: list[str]) -> str:
    """A hint for an error's end: the nearest valid word, or the list of them."""
    matches = get_close_matches(word, valid, n=1, cutoff=ALIKE_SHORT if len(word) < SHORT else ALIKE)
    if matches:
        return f"did you mean '{matches[0]}'?"
    return f"valid: {', '.join(sorted(valid))}"
