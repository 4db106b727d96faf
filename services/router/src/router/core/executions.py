"""Executions, their corrections and busts: which contracts count, in whatever order and however often they are reported.

In:   fills.   Out: the signed contracts by which a position changes.
Not:  positions themselves. Of what is older than the last `WINDOW` executions nothing is known any more.

A correction replaces an execution by another; of a bust the other has quantity 0. Corrections can be corrected, and one that
names an execution that was replaced already means the one that replaced it. A correction may come before what it corrects: it
waits for it, and takes its place when it comes.
"""

from __future__ import annotations

from decimal import Decimal

from barque.messages import Fill
from router.core.state import ZERO, RouterState, remember


class Executions:
    """The executions in a state."""

    def __init__(self, state: RouterState) -> None:
        self._state = state

    def knows(self, exec_id: str) -> bool:
        """Whether it has been reported before."""
        return exec_id in self._state.executions

    def take(self, fill: Fill) -> Decimal | None:
        """What `fill`, which is new, changes, in signed contracts; None for a correction of an execution that is not known."""
        if not fill.corrects:
            return self._settle(fill.exec_id, fill.signed_quantity)
        state = self._state
        old = self._last(fill.corrects)
        if self._last(fill.exec_id) == old:  # it corrects itself
            return self._settle(fill.exec_id, ZERO)
        known = old in state.executions and old not in state.waiting
        before = state.executions.get(old, ZERO) if known else ZERO
        state.waiting.pop(old, None)
        signed = self._settle(fill.exec_id, fill.signed_quantity)
        remember(state.replaced, old, fill.exec_id)
        if known:
            return signed - before
        last = self._last(fill.exec_id)
        state.executions[last] = ZERO
        remember(state.waiting, last, signed)
        return None

    def _settle(self, exec_id: str, signed: Decimal) -> Decimal:
        """What counts for an execution that has come: its own contracts, or those of the correction that waited for it."""
        state = self._state
        last = self._last(exec_id)
        if last != exec_id:
            remember(state.executions, exec_id, ZERO)
            signed = state.waiting.pop(last, ZERO)
        remember(state.executions, last, signed)
        return signed

    def _last(self, exec_id: str) -> str:
        """The execution that stands for `exec_id` now."""
        replaced = self._state.replaced
        while exec_id in replaced:
            exec_id = replaced[exec_id]
        return exec_id
