"""Writes docs/strategy-api.md from the strategy API itself.

.venv/bin/python docs/generate_strategy_api.py           write it
.venv/bin/python docs/generate_strategy_api.py --check   exit 1 where it is not what the code says
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from _structs import cell, fields_of, sentence_of

import strategy_host.testing
from barque.strategy import BarHistory, OpenOrder, Strategy, base, indicators, orders, schedules
from barque.strategy.testing import check_hooks, check_no_look_ahead, check_repeats, check_restores

NodeT = TypeVar("NodeT", bound=ast.stmt)
TARGET = Path(__file__).with_name("strategy-api.md")
HEAD = """\
# Strategy API

<!-- Written by docs/generate_strategy_api.py; change the code, then run it again. -->

Everything a strategy may declare, hear, read and say. How to write one: [first strategy](guides/first-strategy.md). What a `Bar`,
a `Fill` or a `Signal` is: [messages](messages.md).

```python
from barque.messages import Bar, Fill, Quote, SignalRejected, Trade
from barque.strategy import SMA, OrderEvent, Strategy, StrategyParams, StrategyState
```

- Quantities are contracts, prices in units of the instrument's price, times nanoseconds UTC.
- A wish is not an order: the router sizes and checks it, and may refuse it (`on_signal_rejected`).
- What makes no sense whatever the market, such as a price of NaN, two sizes or an unknown symbol, raises `StrategyError` at the
  verb.
"""
RUNS = "## What runs when\n"
SECTIONS = {
    "hooks": ("Hooks", "Methods to override; the host calls them one at a time."),
    "declarations, in `setup`": ("Declarations", "Called in `setup`, and only there."),
    "facts": ("Facts", "To read, in any hook."),
    "verbs": (
        "Verbs",
        "Each returns the id that order events, fills and rejections name as their `cause`; `notify` returns nothing.",
    ),
}
HISTORY = "What `history` returns: the last bars of one series, filled by the host before `on_bar`."
"""Introduces `BarHistory`, whose docstring says how it is declared."""


def render() -> str:
    """The whole page."""
    return "\n".join([HEAD, RUNS, *_runs(), *_strategy(), *_options(), *_objects(), *_indicators(), *_kit()]).rstrip() + "\n"


def _runs() -> Iterator[str]:
    text = inspect.getdoc(base) or ""
    table, _, after = text.partition("What runs when:\n")[2].partition("A hook that raises")
    yield "| | |"
    yield "|---|---|"
    for name, said in re.findall(r"^    (\S.{10}) (.*(?:\n {16}.*)*)", table, flags=re.MULTILINE):
        yield f"| {name.strip()} | {cell(_line(said))} |"
    yield f"\nA hook that raises{_line(after, ' ')}\n"


def _strategy() -> Iterator[str]:
    """The class, section by section, as its comments divide it."""
    source = inspect.getsource(Strategy)
    tree = next(_nodes(source, ast.ClassDef))
    headings = {n: m[1] for n, line in enumerate(source.splitlines(), 1) if (m := re.match(r"    # ---- ([^:]*)", line))}
    for start, heading in headings.items():
        title, sentence = SECTIONS[heading]
        yield f"## {title}\n\n{sentence}\n"
        end = min((other for other in headings if other > start), default=sys.maxsize)
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and start < node.lineno < end:
                yield from _method(node)


def _method(node: ast.FunctionDef) -> Iterator[str]:
    is_property = any(ast.unparse(each) == "property" for each in node.decorator_list)
    signature = "" if is_property else f"({', '.join(_parameters(node))})"
    result = ast.unparse(node.returns) if node.returns else "None"
    arrow = "" if result == "None" else f" → {result}"
    yield f"- **`{node.name}{signature}{arrow}`**  "
    yield f"  {_line(ast.get_docstring(node) or '')}\n"


def _parameters(node: ast.FunctionDef) -> Iterator[str]:
    arguments = node.args
    positional = arguments.args[1:]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
    for argument, default in zip(positional, defaults, strict=True):
        yield _parameter(argument, default)
    if arguments.vararg is not None:
        yield f"*{_parameter(arguments.vararg, None)}"
    elif arguments.kwonlyargs:
        yield "*"
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield _parameter(argument, default)
    if arguments.kwarg is not None and arguments.kwarg.annotation is not None:
        kind = ast.unparse(arguments.kwarg.annotation).removeprefix("Unpack[").removesuffix("]")
        yield f"**{arguments.kwarg.arg}: {kind}"


def _parameter(argument: ast.arg, default: ast.expr | None) -> str:
    kind = f": {ast.unparse(argument.annotation)}" if argument.annotation else ""
    return f"{argument.arg}{kind}" + (f" = {ast.unparse(default)}" if default is not None else "")


def _options() -> Iterator[str]:
    yield "## Options\n"
    for module, names in ((orders, ("OrderOptions", "EntryOptions")), (schedules, ("Policy",))):
        classes = _classes(module)
        for name in names:
            node = classes[name]
            yield f"### `{name}`\n\n{_line(ast.get_docstring(node) or '')}\n"
            yield "| keyword | type | meaning |"
            yield "|---|---|---|"
            yield from _annotated(node)
            yield ""


def _annotated(node: ast.ClassDef) -> Iterator[str]:
    for at, statement in enumerate(node.body):
        if isinstance(statement, ast.AnnAssign):
            below = node.body[at + 1] if at + 1 < len(node.body) else None
            said = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else ""
            name, kind = ast.unparse(statement.target), cell(ast.unparse(statement.annotation))
            yield f"| `{name}` | `{kind}` | {cell(_line(said))} |"


def _objects() -> Iterator[str]:
    yield f"## Objects\n\n### `OpenOrder`\n\n{sentence_of(OpenOrder)}\n"
    yield "| field | type | meaning |"
    yield "|---|---|---|"
    for field in fields_of(OpenOrder):
        yield f"| `{field.name}` | `{cell(field.type)}` | {cell(field.text)} |"
    yield f"\n### `BarHistory`\n\n{HISTORY} {_line((inspect.getdoc(BarHistory) or '').partition(chr(10) * 2)[2])}\n"
    for name, found in vars(BarHistory).items():
        if isinstance(found, property):
            yield f"- **`{name}`**: {_line(inspect.getdoc(found) or '')}"
    yield ""


def _indicators() -> Iterator[str]:
    yield "## Indicators\n\nDeclared with `self.indicator(...)`, so that they survive a restart. "
    yield "Of your own: subclass `Indicator`; what its constructor takes are its parameters, its other fields its memory.\n"
    yield "| indicator | |"
    yield "|---|---|"
    for name in indicators.__all__:
        kind = getattr(indicators, name)
        if hasattr(kind, "update") and name not in ("BarIndicator", "ScalarIndicator"):
            yield f"| `{name}` | {cell(_line((inspect.getdoc(kind) or '').split(chr(10) * 2)[0]))} |"
    yield ""


def _kit() -> Iterator[str]:
    yield "## Test kit\n\n`from strategy_host.testing import bars, check_strategy`\n"
    for found in (strategy_host.testing.check_strategy, strategy_host.testing.bars, strategy_host.testing.make_node):
        node = next(_nodes(inspect.getsource(found), ast.FunctionDef))
        node.args.args.insert(0, ast.arg("self"))
        yield from _method(node)
    yield "What it checks:\n"
    for check in (check_hooks, check_repeats, check_restores, check_no_look_ahead):
        yield f"- `{check.__name__}`: {_line(inspect.getdoc(check) or '')}"
    yield ""


def _classes(module: ModuleType) -> dict[str, ast.ClassDef]:
    return {node.name: node for node in _nodes(inspect.getsource(module), ast.ClassDef)}


def _nodes(source: str, kind: type[NodeT]) -> Iterator[NodeT]:
    """What of a kind stands at the top of a source."""
    return (node for node in ast.parse(source).body if isinstance(node, kind))


def _line(text: Any, before: str = "") -> str:
    joined = " ".join(str(text).split())
    return before + joined if joined and joined[0].isalnum() else joined


def main() -> int:
    """Write, or compare."""
    text = render()
    if "--check" in sys.argv[1:]:
        if TARGET.is_file() and TARGET.read_text(encoding="utf-8") == text:
            return 0
        print(f"{TARGET.name} is not what the code says; run: python docs/generate_strategy_api.py", file=sys.stderr)
        return 1
    TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
