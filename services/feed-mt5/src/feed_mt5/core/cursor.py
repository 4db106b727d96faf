"""How far the ticks of one symbol have been taken, so that none is lost and none taken twice between two polls.

In:   rows of the terminal from some second on, oldest first, each time with a part of what was there the last time.
Out:  those that are new.
Not:  time zones; times here are milliseconds as the server's clock shows them.

A terminal can be asked for ticks from a second on, not from a tick on. Ticks of one millisecond are told apart by what they say;
of two that are equal, both are new if both come.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Rows: TypeAlias = npt.NDArray[Any]
Content: TypeAlias = tuple[float, float, float, float]


class Cursor:
    """Of one symbol and one kind of tick."""

    def __init__(self, wall_ms: int, taken: int = 0) -> None:
        """`taken`: so many ticks of that millisecond were published by a process before this one."""
        self.wall_ms = wall_ms
        self._skip = taken
        self._seen: Counter[Content] = Counter()

    def take(self, rows: Rows) -> Rows:
        """The new ones; they are taken."""
        times = rows["time_msc"]
        first, after = (int(np.searchsorted(times, self.wall_ms, side)) for side in ("left", "right"))
        same, later = self._unseen(rows[first:after]), rows[after:]
        if len(later):
            self.wall_ms, self._skip = int(later["time_msc"][-1]), 0
            newest = later[int(np.searchsorted(later["time_msc"], self.wall_ms, "left")) :]
            self._seen = Counter(map(_content, newest))
        return np.concatenate([same, later]) if len(same) else later

    def _unseen(self, rows: Rows) -> Rows:
        """Of the millisecond up to which all was taken before."""
        skipped, self._skip = min(self._skip, len(rows)), max(self._skip - len(rows), 0)
        self._seen.update(map(_content, rows[:skipped]))
        left, fresh = self._seen.copy(), np.zeros(len(rows), np.bool_)
        for index, row in enumerate(rows):
            content = _content(row)
            if left[content] > 0:
                left[content] -= 1
            else:
                fresh[index] = True
                self._seen[content] += 1
        return rows[fresh]


def _content(row: Any) -> Content:
    return float(row["bid"]), float(row["ask"]), float(row["last"]), float(row["volume_real"])
