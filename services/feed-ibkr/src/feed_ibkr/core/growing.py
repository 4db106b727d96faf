"""A bar that the Gateway keeps up to date: its past, then the same bar again and again until the next one begins.

In:   bars as told, the open one among them.   Out: bars that are over, each once.
Not:  the open bar.
"""

from __future__ import annotations

from collections.abc import Iterator

from barque.messages import Bar


class GrowingBars:
    """One subscription."""

    def __init__(self, after_ns: int) -> None:
        """`after_ns`: the open of the bar that was published last; 0: none, then the past is not told."""
        self._done_ns = after_ns
        self._tells_past = after_ns > 0
        self._open: Bar | None = None

    def past(self, bar: Bar) -> Iterator[Bar]:
        """A bar of the history with which it begins, oldest first; the last of them may still be open."""
        over = self._replace(bar)
        if over is not None and self._tells_past:
            yield over

    def update(self, bar: Bar) -> Iterator[Bar]:
        """The newest bar, as it is now."""
        over = self._replace(bar)
        if over is not None:
            yield over

    def _replace(self, bar: Bar) -> Bar | None:
        """The bar that is over, if it has not been told."""
        before, self._open = self._open, bar
        if before is None or not self._done_ns < before.ts_open_ns < bar.ts_open_ns:
            return None
        self._done_ns = before.ts_open_ns
        return before
