"""Parameter grids: which configurations a sweep runs.

In:   `--grid path=values` texts and the table of `barque.toml`.   Out: every combination, and the table with it.
Not:  whether a strategy takes the values; its own `Params` say that (`fault_of`).

A path leads to one value: `strategies.<id>.params.fast`, `strategies.<id>.interval`, `paper.slippage_fraction`. Values are
separated by commas, each as TOML would read it, or text: `5,10,20`, `0.1,0.2`, `true,false`, `bid,ask`. `5:50:5` are the
whole numbers from 5 to 50 in steps of 5, both ends included.
"""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from barque.config import SECTIONS, load_common
from barque.errors import BarqueError, ConfigError, nearest
from barque_backtest import nodes
from barque_backtest.engine import effective

MOST_COMBINATIONS = 100_000
_RANGE = re.compile(r"(-?\d+):(-?\d+)(?::(\d+))?")


@dataclass(frozen=True, slots=True)
class Axis:
    """One parameter and the values that it is given."""

    path: tuple[str, ...]
    values: tuple[Any, ...]

    @property
    def name(self) -> str:
        """The path as it was written."""
        return ".".join(self.path)


Combination = Mapping[str, Any]
"""Value by name of axis, in the order of axes."""


def parse_axis(text: str) -> Axis:
    """`path=values`; raises `ConfigError` naming the option."""
    name, equals, listed = text.partition("=")
    path = tuple(part.strip() for part in name.split("."))
    if not equals or not all(path) or len(path) < 2:
        raise ConfigError(f"--grid '{text}': write a path, =, and values, such as strategies.sma.params.fast=5,10,20")
    values = tuple(value for part in listed.split(",") for value in _values(part.strip(), text))
    if len(set(map(repr, values))) != len(values):
        raise ConfigError(f"--grid '{text}': a value is given twice")
    return Axis(path, values)


def combinations(axes: Sequence[Axis]) -> list[Combination]:
    """Every combination, the last axis fastest; raises `ConfigError` where there are none, or too many."""
    names = [axis.name for axis in axes]
    if not axes:
        raise ConfigError("a sweep needs at least one --grid, such as --grid strategies.sma.params.fast=5,10,20")
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"--grid {name} is given twice; put all its values into one")
    count = 1
    for axis in axes:
        count *= len(axis.values)
    if count > MOST_COMBINATIONS:
        raise ConfigError(f"the grid has {count:,} combinations; at most {MOST_COMBINATIONS:,} are run: give fewer values")
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*(axis.values for axis in axes))]


def with_values(config: Mapping[str, Any], axes: Iterable[Axis], chosen: Combination) -> dict[str, Any]:
    """A copy of the table with the chosen values; raises `ConfigError` where a path leads nowhere."""
    changed = deepcopy(dict(config))
    for axis in axes:
        table = _table_at(changed, axis.path)
        table[axis.path[-1]] = chosen[axis.name]
    return changed


def fault_of(config: Mapping[str, Any]) -> str:
    """Why no book can be made of this table; empty where one can."""
    try:
        raw = effective(config)
        load_common(raw)
        nodes.make_all(raw)
    except BarqueError as error:
        return str(error)
    return ""


def _values(part: str, whole: str) -> Iterator[Any]:
    if not part:
        raise ConfigError(f"--grid '{whole}': a value is missing")
    numbers = _RANGE.fullmatch(part)
    if numbers is None:
        yield _value(part)
        return
    first, last, step = int(numbers[1]), int(numbers[2]), int(numbers[3] or 1)
    if step < 1 or last < first:
        raise ConfigError(f"--grid '{whole}': {part} is no range; write lowest:highest:step, such as 5:50:5")
    if (last - first) // step >= MOST_COMBINATIONS:
        raise ConfigError(f"--grid '{whole}': {part} has more than {MOST_COMBINATIONS:,} values")
    yield from range(first, last + 1, step)


def _value(text: str) -> Any:
    try:
        value = tomllib.loads(f"x = {text}")["x"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
    return value if isinstance(value, bool | int | float | str) else text


def _table_at(config: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """The table whose key is the last part of `path`."""
    name = ".".join(path)
    if path[0] not in SECTIONS:
        raise ConfigError(f"--grid {name}: no section '{path[0]}'; {nearest(path[0], list(SECTIONS))}")
    table: Any = config
    inner = path[:-1]
    if path[0] == "strategies":
        table = _strategy(config, path)
        inner = path[2:-1]
    for part in inner:
        table = table.setdefault(part, {}) if isinstance(table, dict) else None
    if not isinstance(table, dict):
        raise ConfigError(f"--grid {name}: lists cannot be reached; only keys of tables and of [[strategies]] by id")
    return table


def _strategy(config: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    entries = [entry for entry in config.get("strategies", ()) if isinstance(entry, dict)]
    ids = [str(entry.get("id", "")) for entry in entries]
    if len(path) < 3:
        raise ConfigError(f"--grid {'.'.join(path)}: write strategies.<id>.params.<name>; ids: {', '.join(ids)}")
    if path[1] not in ids:
        raise ConfigError(f"--grid {'.'.join(path)}: no strategy '{path[1]}'; {nearest(path[1], ids)}")
    return entries[ids.index(path[1])]
