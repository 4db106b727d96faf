"""Writes the skeleton of a strategy package: a strategy that works, its test, its README.

In:   a name, and the folder to write into.   Out: the files written; in a checkout of Barque also the lists that name packages.
Not:  overwriting. A name that is taken or cannot be one is refused before anything is written.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from string import Template

from barque.errors import ConfigError

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")

_PYPROJECT = Template("""\
[project]
name = "$name"
version = "0.1.0"
description = "One sentence on what this strategy does"
requires-python = ">=3.11,<3.14"
dependencies = [
    "barque",
]

[project.entry-points."barque.strategies"]
$name = "$name:$cls"

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[tool.hatch.build.targets.wheel]
packages = ["src/$name"]
""")
_WORKSPACE = """
[tool.uv.sources]
barque = { workspace = true }
"""
_INIT = Template('''\
"""$cls: see `$name.strategy`."""

from $name.strategy import $cls

__all__ = ["$cls"]
''')
_STRATEGY = Template('''\
"""Holds a long position while the close is above its average, none below.

In:   bars of one price type.   Out: a target at each crossing, at market.
Not:  short positions, stops. This is a beginning; write here what your strategy does instead.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from msgspec import Meta, field

from barque.messages import Bar
from barque.messages.market import PriceType
from barque.strategy import SMA, Strategy, StrategyParams, StrategyState


class $cls(Strategy):
    """One position per symbol."""

    class Params(StrategyParams, frozen=True):
        length: Annotated[int, Meta(ge=1, description="Bars of the average.")] = 20
        quantity: Annotated[Decimal, Meta(description="Contracts.")] = Decimal(1)
        price: Annotated[PriceType, Meta(description="Which of the bars of a minute count.")] = "bid"

    class State(StrategyState):
        above: dict[str, bool] = field(default_factory=dict)
        """By symbol: whether the last close was above the average."""

    params: Params
    state: State

    def setup(self) -> None:
        """One average per symbol, filled from history."""
        self.averages = {symbol: self.indicator(SMA(self.params.length)) for symbol in self.symbols}
        self.warm_up(bars=self.params.length)

    def on_bar(self, bar: Bar) -> None:
        """Follow a crossing."""
        if bar.price != self.params.price:
            return
        average = self.averages[bar.symbol].update(bar.close)
        if average is None:
            return
        above = bar.close > average
        before = self.state.above.get(bar.symbol, above)
        self.state.above[bar.symbol] = above
        if above != before:
            self.target(bar.symbol, self.params.quantity if above else 0, reason="close crossed its average")
''')
_TEST = Template('''\
"""$cls at work."""

from __future__ import annotations

from decimal import Decimal

from barque.messages import Signal
from $name import $cls
from strategy_host.testing import bars, check_strategy


def test_it_keeps_the_promises_of_a_strategy() -> None:
    check_strategy($cls, symbols=("EURUSD", "USDJPY"), params={"length": 5})


def test_it_follows_a_crossing() -> None:
    closes = bars(1.10, 1.10, 1.09, 1.12, 1.13, 1.08)
    said = check_strategy($cls, params={"length": 2, "quantity": 3}, bars=closes, answers=False)
    targets = [message.target for _, message in said if isinstance(message, Signal)]
    assert targets == [Decimal(3), Decimal(0)]
''')
_README = Template("""\
# $name

One paragraph on the idea.

- **In:** bars of the configured symbols. **Out:** a target at each crossing, at market.

```toml
[[strategies]]
id = "$name-eurusd"
strategy = "$name"
symbols = ["EURUSD"]
interval = "1m"
params = { length = 20, quantity = 1 }
```

`barque strategies` lists its parameters. Its test: `$test`.
""")


def write(name: str, folder: Path) -> list[Path]:
    """The files of a new package `name`. In a checkout of Barque it becomes a member of the workspace; elsewhere, a folder of
    its own in `folder`, its test included. Raises `ConfigError`."""
    _check(name)
    root = _checkout(folder)
    home = (root / "strategies" / name) if root else folder / name
    tests = (root / "tests" / "unit" / name) if root else home / "tests"
    for path in (home, tests):
        if path.exists():
            raise ConfigError(f"strategy '{name}': {path} exists; choose another name or move it away")
    lists = _listed(root / "pyproject.toml", name) if root else {}
    words = {"name": name, "cls": "".join(part.capitalize() for part in name.split("_")), "test": tests.name}
    words["test"] = f"tests/unit/{name}" if root else "tests"
    files = {
        home / "pyproject.toml": _PYPROJECT.substitute(words) + (_WORKSPACE if root else ""),
        home / "README.md": _README.substitute(words),
        home / "src" / name / "__init__.py": _INIT.substitute(words),
        home / "src" / name / "strategy.py": _STRATEGY.substitute(words),
        home / "src" / name / "py.typed": "",
        tests / f"test_{name}.py": _TEST.substitute(words),
        **lists,
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(files)


def _check(name: str) -> None:
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise ConfigError(f"strategy '{name}': a name is lower-case words joined by '_', such as 'opening_range'")
    if name in {point.name for point in entry_points(group="barque.strategies")}:
        raise ConfigError(f"strategy '{name}' is installed already; choose another name")
    if find_spec(name) is not None:
        raise ConfigError(f"strategy '{name}': a module of that name is installed already; choose another name")


def _checkout(folder: Path) -> Path | None:
    """The root of Barque's own workspace, where `folder` is it."""
    pyproject = folder / "pyproject.toml"
    is_ours = pyproject.is_file() and 'name = "barque-workspace"' in pyproject.read_text(encoding="utf-8")
    return folder if is_ours else None


def _listed(path: Path, name: str) -> dict[Path, str]:
    """The workspace's lists of packages with `name` in them."""
    text = path.read_text(encoding="utf-8")
    for pattern, addition in _additions(name):
        text, count = re.subn(pattern, addition, text, count=1)
        if not count:
            raise ConfigError(f"{path}: no place for a new strategy is found (searched for {pattern}); add '{name}' by hand")
    return {path: text}


def _additions(name: str) -> Iterator[tuple[str, str]]:
    """Where the lists end, and what comes there."""
    yield r"(mypy_path = \"[^\"]*?):tools/", rf"\1:strategies/{name}/src:tools/"
    yield r"(root_packages = \[[^\]]*?)(\"barque_backtest\")", rf'\1"{name}", \2'
    yield r"(\"sma_cross \| [a-z0-9_ |]+)(\",)", rf"\1 | {name}\2"
    yield r"(source_modules = \[\"sma_cross\", [^\]]*)(\])", rf'\1, "{name}"\2'
