"""Sends one request, repeats it where surely nothing was done, and says what came of it.

In:   a request.   Out: the trade server's answer, with its meaning.
Not:  a second attempt at anything that may have been done: that raises `VenueOutcomeUnknown`, and the books have to tell.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from barque.errors import VenueOutcomeUnknown, VenueUnavailable
from venues.mt5.client import Request
from venues.mt5.requests import DEAL, PENDING, priced
from venues.mt5.retcodes import Retcode, meaning
from venues.mt5.session import Mt5Session, unavailable
from venues.mt5.structs import SendResult
from venues.mt5.symbols import RETURN, Symbol

INVALID_FILL = 10030


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The trade server's last word on a request."""

    result: SendResult
    meaning: Retcode

    @property
    def done(self) -> bool:
        """Carried out, wholly or in part, or there was nothing to do."""
        return self.meaning.reaction in ("done", "unchanged")

    @property
    def text(self) -> str:
        """For people."""
        said = f" ({self.result.comment})" if self.result.comment else ""
        return f"{self.meaning.text} [{self.meaning.code} {self.meaning.name}]{said}"


async def send(session: Mt5Session, symbol: Symbol, request: Request, may_send: Callable[[], bool]) -> Answer:
    """Raises `VenueUnavailable` (nothing was done), `VenueRefused` (the package did not take it) or `VenueOutcomeUnknown`."""
    config = session.config
    attempts = 0
    while True:
        if not session.up:
            raise unavailable(session)
        if session.trading:
            raise VenueUnavailable(f"not sent: {session.trading}")
        asked = request
        if request["action"] == DEAL:
            tick = await session.client.tick(symbol.venue_symbol)
            if tick is None:
                raise VenueUnavailable(f"not sent: {symbol.venue_symbol} has no price")
            asked = priced(symbol, request, tick)
        result = await session.client.send(asked, may_send)
        answer = Answer(result=result, meaning=meaning(result.retcode))
        reaction = answer.meaning.reaction
        if reaction == "unknown":
            raise VenueOutcomeUnknown(f"nobody knows whether it was done: {answer.text}")
        if reaction == "disabled":
            session.trading_refused(answer.meaning.text)
            raise VenueUnavailable(f"nothing was done: {answer.text}")
        if _other_filling(asked, result, symbol):
            request = request | {"type_filling": symbol.filling}
            continue
        if reaction != "retry" or attempts >= config.retries:
            return answer
        attempts += 1
        await asyncio.sleep(config.retry_wait_s)


def _other_filling(request: Request, result: SendResult, symbol: Symbol) -> bool:
    """Brokers differ in which filling a pending order wants; what is refused for that was not placed."""
    return result.retcode == INVALID_FILL and request["action"] == PENDING and request["type_filling"] == RETURN != symbol.filling
