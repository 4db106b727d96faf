"""What a file of rows holds, by its columns, under our names or under theirs.

In:   a file's column names, and where they are foreign a mapping (`open` -> `O`).   Out: the kind, and which column is what.
Not:  values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from barque.errors import ConfigError, nearest

FileKind = Literal["quotes", "trades", "bars", "bid_ask_bars"]

TIMESTAMPS = ("timestamp", "timestamp_utc", "ts_open")
OHLC = ("open", "high", "low", "close")
SIDES = ("bid", "ask")
COLUMNS: Mapping[FileKind, tuple[str, ...]] = {
    "quotes": ("bid", "ask"),
    "trades": ("price", "size"),
    "bid_ask_bars": tuple(f"{side}_{part}" for side in SIDES for part in OHLC),
    "bars": OHLC,
}
"""Required beside a timestamp."""
OPTIONAL: Mapping[FileKind, tuple[str, ...]] = {
    "quotes": ("bid_size", "ask_size"),
    "trades": (),
    "bid_ask_bars": ("ts_close", "volume", "tick_count", "seq"),
    "bars": ("ts_close", "volume", "tick_count", "seq"),
}
_GUESSES = {"timestamp": ("time", "date", "datetime")}
"""What a timestamp is called elsewhere, the best last."""
OUR_NAMES = sorted({*TIMESTAMPS, *(name for table in (COLUMNS, OPTIONAL) for names in table.values() for name in names)})


def kind_of(columns: Sequence[str], among: Sequence[FileKind] = tuple(COLUMNS)) -> FileKind:
    """What a file with these columns holds; raises `ConfigError` naming what is missing of the nearest kind."""
    present = set(columns)
    for kind in among:
        if present.issuperset(COLUMNS[kind]) and present.intersection(TIMESTAMPS):
            return kind
    alike = {column.strip().lower() for column in columns}
    closest = max(among, key=lambda kind: (len(alike.intersection(COLUMNS[kind])), -len(COLUMNS[kind])))
    missing = [column for column in COLUMNS[closest] if column not in present]
    if not present.intersection(TIMESTAMPS):
        missing.insert(0, "timestamp")
    expected = "; ".join(f"{kind}: {', '.join(('timestamp', *COLUMNS[kind]))}" for kind in among)
    raise ConfigError(
        f"columns {', '.join(columns) or '(none)'}: missing {', '.join(missing)} for {closest}; expected one of: {expected}"
        f"{_hint(columns, [*missing, *(name for name in OPTIONAL[closest] if name not in present)])}"
    )


def _hint(columns: Sequence[str], wanted: Sequence[str]) -> str:
    """How `barque data import` may read the file all the same, where that can be guessed."""
    if len(columns) == 1 and any(sign in columns[0] for sign in ";|\t"):
        return "; all is in one column: `barque data import` takes --delimiter"
    alike = {column.strip().lower(): column for column in columns}
    if "date" in alike and "time" in alike:
        alike["datetime"] = f"{alike['date']}+{alike['time']}"
    theirs = {ours: alike[name] for ours in wanted for name in _GUESSES.get(ours, (ours,)) if name in alike}
    return f"; try `barque data import --map {','.join(f'{ours}={name}' for ours, name in theirs.items())}`" if theirs else ""


def renamed(columns: Sequence[str], theirs: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Our name -> the file's columns that hold it: one, or for a timestamp several (`Date+Time`), read with a space between.

    What `theirs` does not name keeps its own name. Raises `ConfigError` for a name that is not ours, or a column not there.
    """
    found: dict[str, tuple[str, ...]] = {name: (name,) for name in columns}
    for ours, column in theirs.items():
        if ours not in OUR_NAMES:
            raise ConfigError(f"option --map {ours}={column}: '{ours}' is not a column of ours; {nearest(ours, OUR_NAMES)}")
        parts = (column,) if column in columns or ours not in TIMESTAMPS else tuple(column.split("+"))
        for part in parts:
            if part not in columns:
                raise ConfigError(
                    f"option --map {ours}={column}: the file has no column '{part}'; {nearest(part, list(columns))}"
                )
        found[ours] = parts
    return found
