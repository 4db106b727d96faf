"""What stands in an order's comment at the broker, so that it is known again: its id, its number, and which exits it carries.

In:   order ids and numbers of the ledger, and of exits whose they are.   Out: comments of at most 31 characters, and back.
Not:  magic numbers (`requests`).

`4f1d…20c7~1A2ts`: order 4f1d…20c7, number 1A2 of the ledger (base 36), with a take profit that is order 1A3 and a stop loss that
is 1A4. A stop loss and a take profit are no orders at the broker and have no comment, so their ids come from the numbers,
which the ledger names to `Tokens.token` again whenever a process starts. Numbers begin anew with a book's next lineage, so an
exit counts only where its entry is the order that the comment names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

LONGEST = 31
REMEMBERED = 8_192
"""Numbers. What the terminal shows is read at every look, and stays; of the others the oldest go."""
_COMMENT = re.compile(r"^(?P<id>[!-}]*)~(?P<number>[0-9A-Z]+)(?P<legs>t?s?|st)$")
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """An order of ours, as its comment tells."""

    order_id: str
    token: str
    take_profit_id: str = ""
    """Order id of the exit that the broker holds as take profit; empty: none of ours."""
    stop_loss_id: str = ""


class _Named(msgspec.Struct, frozen=True, kw_only=True):
    """An order of the ledger."""

    order_id: str
    parent_id: str


class Tokens:
    """Orders by number, as far as they are remembered."""

    def __init__(self) -> None:
        self._named: dict[int, _Named] = {}

    def token(self, order_id: str, number: int, parent_id: str = "") -> str:
        """What the comment of this order begins with. `parent_id`: of an exit, its entry; empty: none, or as was said before."""
        before = self._named.pop(number, None)
        if not parent_id and before is not None and before.order_id == order_id:
            parent_id = before.parent_id
        self._named[number] = _Named(order_id=order_id, parent_id=parent_id)
        if len(self._named) > REMEMBERED:
            del self._named[next(iter(self._named))]
        token = f"{order_id}~{base36(number)}"
        return token if len(token) <= LONGEST - 2 else f"~{base36(number)}"

    def comment(self, token: str, legs: Sequence[tuple[str, str]]) -> str:
        """`legs`: kind (`t` or `s`) and token of each exit; their numbers follow the entry's. Raises `ValueError`."""
        number = _number(token)
        for place, (_, leg) in enumerate(legs, 1):
            if _number(leg) != number + place:
                raise ValueError(f"the number of {leg} does not follow {token}")
        return token + "".join(kind for kind, _ in legs)

    def read(self, comment: str) -> Known | None:
        """Whose order that is; None: not one of ours, or one that is too old to be remembered."""
        match = _COMMENT.match(comment)
        if match is None:
            return None
        number = int(match["number"], 36)
        named = self._keep(number)
        order_id = match["id"] or (named.order_id if named is not None else "")
        if not order_id:
            return None
        exits = {kind: self._exit(number + place, order_id) for place, kind in enumerate(match["legs"], 1)}
        token = f"{match['id']}~{match['number']}"
        return Known(order_id=order_id, token=token, take_profit_id=exits.get("t", ""), stop_loss_id=exits.get("s", ""))

    def _exit(self, number: int, entry_id: str) -> str:
        """Empty: that number is not remembered, or it is now another order's."""
        named = self._keep(number)
        return named.order_id if named is not None and named.parent_id == entry_id else ""

    def _keep(self, number: int) -> _Named | None:
        """The order with this number, which is younger from now on."""
        named = self._named.pop(number, None)
        if named is not None:
            self._named[number] = named
        return named


def base36(number: int) -> str:
    """Digits and capital letters.

    >>> base36(71)
    '1Z'
    """
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits or "0"


def _number(token: str) -> int:
    return int(token.rpartition("~")[2], 36)
