"""How old a wish may be, and the account's valuation by which losses, leverage and sizes are known.

In:   wishes, the time.   Out: why a wish may not open; an alert when the valuation has stayed away, and one when it is back.
Not:  the age of prices (`checks.market`), of orders that wait to leave (the senders). What only closes is not asked.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from barque.messages import ModifyRequest, RejectReason, Signal
from barque.node import Output
from router.config import RouterConfig
from router.core.alerts import alert
from router.core.amounts import UNVALUED, Amounts
from router.core.breakers.board import SECOND_NS
from router.core.refusal import Refusal, figure
from router.core.state import RouterState

PAUSE_NS = 60 * SECOND_NS
"""Who was told no time for so long has been away, and gives the portfolio time to be heard of."""


class Ages:
    """What is too old, over one state."""

    def __init__(self, config: RouterConfig, state: RouterState, needs: Callable[[str], bool]) -> None:
        """`needs`: whether a breaker or a limit on a strategy's orders ("": on anybody's) goes by the account's equity.

        Ages of `config` that are not set do not exist.
        """
        self._state = state
        self._needs = needs
        self._signal_ns = _ns(config.max_signal_age_s)
        self._equity_ns = _ns(config.max_equity_age_s)
        self.watches = bool(self._equity_ns)
        """False: time alone changes nothing."""
        self.matter = bool(self._signal_ns or self._equity_ns)
        """False: nothing is ever too old."""

    def refusal(self, wish: Signal | ModifyRequest, sized: bool) -> Refusal | None:
        """Why `wish` may not open anything; `sized`: its size is a part of the account's equity."""
        return self._late(wish) or self._unvalued(wish.strategy_id, sized)

    def _late(self, wish: Signal | ModifyRequest) -> Refusal | None:
        wished_ns = wish.ts_event_ns if wish.ts_heard_ns is None else wish.ts_heard_ns
        age_ns = self._state.now_ns - wished_ns
        if not self._signal_ns or age_ns <= self._signal_ns:
            return None
        what = "it was wished" if wish.ts_heard_ns is None else "the bar or tick that it was wished on came"
        detail = f"{what} longer than max_signal_age_s ago, so it can only close; see why it is late"
        return Refusal(RejectReason.EXPIRED, detail, _seconds(self._signal_ns), _seconds(age_ns))

    def _unvalued(self, strategy_id: str, sized: bool) -> Refusal | None:
        if not self.watches or not (sized or self._needs(strategy_id)):
            return None
        marked = self._state.equity
        if marked is None:
            return Refusal(RejectReason.NO_EQUITY, f"a breaker, a limit or its size depends on the account's equity, {UNVALUED}")
        age_ns = self._state.now_ns - marked.ts_event_ns
        if age_ns <= self._equity_ns:
            return None
        detail = (
            "a breaker, a limit or its size depends on the account's equity, and its last valuation is older than "
            "max_equity_age_s, so it can only close; see the portfolio"
        )
        return Refusal(RejectReason.NO_EQUITY, detail, _seconds(self._equity_ns), _seconds(age_ns))

    def told_time(self, before_ns: int) -> list[Output]:
        """It is `state.now_ns`, and was `before_ns` when time was told last."""
        state = self._state
        if not self._needs(""):
            return []
        if state.now_ns - before_ns > PAUSE_NS:
            state.listening_ns = state.now_ns
        marked_ns = 0 if state.equity is None else state.equity.ts_event_ns
        if state.equity_unknown:
            if state.now_ns - marked_ns > self._equity_ns:
                return []
            state.equity_unknown = False
            text = "the account's equity is known again: breakers and limits measure, positions may be opened"
            return [alert("equity_unknown", "info", state.now_ns, text)]
        if state.now_ns - max(marked_ns, state.listening_ns) <= self._equity_ns:
            return []
        state.equity_unknown = True
        text = (
            f"nothing has been heard of the account's equity for {_seconds(self._equity_ns)} s: losses and leverage are unknown. "
            "No position is opened, exits pass. See whether the portfolio runs and can value the account"
        )
        return [alert("equity_unknown", "critical", state.now_ns, text)]


def sized_by_equity(wish: Signal, amounts: Amounts) -> bool:
    """Whether the size of `wish` is a part of the account's equity."""
    if wish.risk_fraction is not None or wish.target_fraction is not None:
        return True
    return wish.action == "enter" and wish.quantity is None and wish.notional is None and amounts.by_equity(wish)


def _ns(seconds: Decimal | None) -> int:
    return 0 if seconds is None else int(seconds * SECOND_NS)


def _seconds(age_ns: int) -> str:
    return figure(Decimal(age_ns) / SECOND_NS)
